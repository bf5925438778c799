//! Pushes: each revision is read once after its commit, whichever replica made it, and given to all who watch. A hint:
//! what is missed here is found by the next renewal of a lease.

use std::{collections::HashMap, sync::Arc};

use revisit_bootstrap::{Database, database::Heard};
use revisit_core::id::TenantId;
use tokio::sync::broadcast::{self, error::RecvError};

use super::leases;
use crate::{App, domain::Error, store::log};

/// Revisions that wait to be read, and pushes that wait to be sent; who is slower misses some and is told so.
const WAITING_MAX: usize = 1_024;
/// Companies of which is remembered what was pushed last.
const LAST_MAX: usize = 10_000;

/// What watchers are told.
#[derive(Clone)]
pub enum Push {
    /// The next revision of a tenant, as it is sent.
    Revision(TenantId, Arc<Encoded>),
    /// Some may have been missed, of any tenant.
    Missed,
}

/// A revision whose changes are written down once, for all watchers.
pub struct Encoded {
    pub number: i64,
    pub changes: Vec<Vec<u8>>,
}

/// From commits to watchers.
pub struct Pushes {
    committed: broadcast::Sender<(TenantId, i64)>,
    pushed: broadcast::Sender<Push>,
}

impl Default for Pushes {
    fn default() -> Self {
        Self { committed: broadcast::channel(WAITING_MAX).0, pushed: broadcast::channel(WAITING_MAX).0 }
    }
}

impl Pushes {
    /// A revision was committed, here or elsewhere.
    pub fn committed(&self, tenant: TenantId, revision: i64) {
        // Until the worker has begun there is nobody to tell.
        let _ = self.committed.send((tenant, revision));
    }

    /// What is pushed from now on.
    pub fn watch(&self) -> broadcast::Receiver<Push> {
        self.pushed.subscribe()
    }

    fn push(&self, push: Push) {
        // Without anybody who watches there is nobody to tell.
        let _ = self.pushed.send(push);
    }
}

/// Hears what other replicas commit.
pub async fn hear(app: &App, database: &Database) {
    let heard = |heard| match heard {
        Heard::Anew => app.pushes.push(Push::Missed),
        Heard::Hint(text) => match log::read_hint(&text) {
            Some((tenant, revision)) => app.pushes.committed(tenant, revision),
            None => tracing::warn!(text, "another replica tells of no revision"),
        },
    };
    database.listen(log::CHANNEL, heard).await;
}

/// Reads what is committed and gives it to those who watch.
pub async fn push(app: &App) {
    let mut committed = app.pushes.committed.subscribe();
    let mut last = HashMap::new();
    loop {
        match committed.recv().await {
            Ok(_) if app.pushes.pushed.receiver_count() == 0 => last.clear(),
            Ok((tenant, revision)) => {
                if let Err(error) = push_until(app, &mut last, tenant, revision).await {
                    tracing::debug!(%error, "a revision could not be read to be pushed");
                    app.pushes.push(Push::Missed);
                }
            }
            Err(RecvError::Lagged(_)) => {
                last.clear();
                app.pushes.push(Push::Missed);
            }
            Err(RecvError::Closed) => return,
        }
    }
}

/// Pushes what follows the last revision that was pushed of a tenant. One's own commits are heard a second time, and find
/// nothing left to do.
async fn push_until(
    app: &App,
    last: &mut HashMap<TenantId, i64>,
    tenant: TenantId,
    revision: i64,
) -> Result<(), Error> {
    let after = last.get(&tenant).copied().unwrap_or(revision - 1);
    if after >= revision {
        return Ok(());
    }
    for it in leases::changes(app, tenant, after).await? {
        if last.len() >= LAST_MAX {
            // Rare: of those that are forgotten a revision is read and told twice at the most.
            last.clear();
        }
        last.insert(tenant, it.number);
        let encoded = Encoded { number: it.number, changes: leases::encode(&it.changes)? };
        app.pushes.push(Push::Revision(tenant, Arc::new(encoded)));
    }
    Ok(())
}
