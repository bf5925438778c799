//! The caller's own inbox: listed, read, watched. Nobody reads somebody else's.

use std::{collections::HashSet, sync::Arc, time::Duration};

use revisit_bootstrap::{Principal, Tx, audit::Deed};
use revisit_core::{Failure, id::DeliveryId, page::Page};
use revisit_permission::{Decided, Permit, Permits};
use tokio::sync::{broadcast, mpsc};
use uuid::Uuid;

use super::write::{self, Made};
use crate::{
    App,
    domain::{Error, State, template::Rendered},
    store::{
        claims,
        inbox::{self, Message},
        ledger::{Ledger, Marks},
        now,
    },
    worker::words_place,
};

/// How often a stream looks by itself: a message from another replica is seen in half the time that it may take.
const LOOK: Duration = Duration::from_secs(1);
/// Messages of one look.
const LOOK_MAX: u64 = 100;
/// Messages that may wait for a slow reader; then the stream waits, too.
const QUEUE_MAX: usize = 32;

/// A message with its words.
pub struct Opened {
    pub message: Message,
    pub words: Rendered,
}

pub async fn list(app: &App, who: &Principal, unread_only: bool, page: Page) -> Result<(Vec<Opened>, String), Error> {
    let permit = super::own(who)?;
    let before = match &page.after {
        None => i64::MAX,
        Some(key) => key.as_slice().try_into().map(i64::from_be_bytes).map_err(|_| Page::unreadable())?,
    };
    app.store
        .read(&permit, async |tx| {
            let mut rows = inbox::list(tx, &permit, unread_only, before, u64::from(page.size) + 1).await?;
            let size = usize::try_from(page.size).unwrap_or(usize::MAX);
            let more = rows.len() > size;
            rows.truncate(size);
            // By the rows and not by what can still be read of them: erased messages end no list.
            let next = rows.last().filter(|_| more).map(|last| page.token(&last.sequence.to_be_bytes()));
            Ok((open(app, tx, &permit, rows).await?, next.unwrap_or_default()))
        })
        .await
}

pub async fn unread(app: &App, who: &Principal) -> Result<i64, Error> {
    let permit = super::own(who)?;
    app.store.read(&permit, async |tx| Ok(inbox::unread(tx, &permit).await?)).await
}

/// Marks messages as read, all or none; answers how many are still unread.
pub async fn mark_read(app: &App, who: &Principal, ids: Vec<DeliveryId>) -> Result<i64, Error> {
    let permit = super::own(who)?;
    let wanted: HashSet<Uuid> = ids.into_iter().map(DeliveryId::uuid).collect();
    let work = async |tx: &Tx| {
        let found = inbox::find_all(tx, &permit, wanted.iter().copied().collect()).await?;
        if found.len() != wanted.len() {
            return Err(Error::NoSuchMessage);
        }
        let ledger = Ledger::open(tx, now(tx).await?);
        // The same call from another device may have come first: who wrote the row is who read it.
        let mut read = Vec::new();
        for message in found.iter().filter(|message| message.read_at.is_none()) {
            if !inbox::mark_read(tx, message, ledger.now()).await? {
                continue;
            }
            read.push(message.id.uuid());
            let Some(mut delivery) = claims::one(tx, message.tenant, message.id).await? else { continue };
            if delivery.progress.state == State::Delivered {
                let progress = delivery.progress.to(State::Read, "", None)?;
                ledger.advance(&mut delivery, progress, Marks::default()).await?;
            }
        }
        ledger.close().await?;
        let unread = inbox::unread(tx, &permit).await?;
        if read.is_empty() {
            return Ok(Made::Unchanged(unread));
        }
        let deed = Deed::on("delivery", read).named("inbox.mark_read");
        Ok(Made::Changed(unread, deed.fields(["read_time"])))
    };
    write::change(app, &Permits(vec![permit.clone()]), work).await
}

/// Messages as they arrive, beginning after a sequence. The stream ends when its reader or the caller's session does.
pub fn watch(app: &Arc<App>, who: Principal, after: i64) -> Result<mpsc::Receiver<Result<Opened, Error>>, Error> {
    super::own(&who)?;
    let (sender, receiver) = mpsc::channel(QUEUE_MAX);
    let app = Arc::clone(app);
    // It ends with its reader at the latest at the next look.
    tokio::spawn(async move {
        if let Err(error) = push(&app, &who, after, &sender).await {
            let _ = sender.send(Err(error)).await;
        }
    });
    Ok(receiver)
}

async fn push(
    app: &App,
    who: &Principal,
    mut after: i64,
    sender: &mpsc::Sender<Result<Opened, Error>>,
) -> Result<(), Error> {
    let mut arrivals = app.arrivals.subscribe();
    let mine = (who.tenant(), who.subject());
    loop {
        // Decided anew at every look, so that an ended session ends the stream.
        let permit = super::own(who)?;
        let (opened, reached, full) = app
            .store
            .read(&permit, async |tx| {
                let rows = inbox::after(tx, &permit, after, LOOK_MAX).await?;
                let reached = rows.last().map_or(after, |last| last.sequence);
                let full = rows.len() as u64 == LOOK_MAX;
                Ok::<_, Error>((open(app, tx, &permit, rows).await?, reached, full))
            })
            .await?;
        // Past erased messages, too.
        after = reached;
        for one in opened {
            let Ok(place) = sender.reserve().await else { return Ok(()) };
            // A slow reader waits long: what was read for a session does not outlive it.
            permit.confirm().map_err(Failure::from)?;
            place.send(Ok(one));
        }
        if full {
            continue;
        }
        let arrived = async {
            loop {
                match arrivals.recv().await {
                    Ok(whose) if whose != mine => {}
                    Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => return,
                    // The sender lives as long as the service.
                    Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
                }
            }
        };
        tokio::select! {
            () = sender.closed() => return Ok(()),
            _ = tokio::time::timeout(LOOK, arrived) => {}
        }
    }
}

/// The words of messages. One whose key was destroyed is left out: what it said about was erased.
async fn open(app: &App, tx: &Tx, permit: &Decided, rows: Vec<Message>) -> Result<Vec<Opened>, Error> {
    let owner = |message: &Message| message.customer.map_or(message.recipient.uuid(), Into::into);
    let mut owners: Vec<Uuid> = rows.iter().map(owner).collect();
    owners.sort_unstable();
    owners.dedup();
    let keys = app.sealer.keys(tx, permit.tenant(), &owners).await?;
    let mut opened = Vec::with_capacity(rows.len());
    for message in rows {
        let Some(plain) = keys.open(owner(&message), words_place(message.id), &message.sealed)? else { continue };
        let (title, body) = serde_json::from_slice(&plain).map_err(Failure::internal)?;
        opened.push(Opened { message, words: Rendered { title, body } });
    }
    Ok(opened)
}
