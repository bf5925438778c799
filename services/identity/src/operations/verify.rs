//! `audit verify`: every company's chain, followed from its beginning and held against the checkpoints of all services.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use revisit_bootstrap::{
    Database, Peers, checkpoint,
    client::repeat,
    database::{Tx, fault},
    events::positions,
    settings::SERVICES,
};
use revisit_core::{Failure, Id, id::TenantId, page::PAGE_SIZE_MAX};
use revisit_event::{Outbox, inbox};
use revisit_permission::Worker;
use revisit_proto::{
    event::v1::{
        GetPositionsRequest, GetPositionsResponse, ListCheckpointsRequest, ListTenantsRequest,
        checkpoints_client::CheckpointsClient, events_client::EventsClient,
    },
    identity::v1::AuditCheckpoint,
};

use super::chain;
use crate::{
    NAME,
    domain::{
        Error,
        chain::{End, Link},
        checkpoint::Checkpoint,
        verifier::{Broken, Doubt, OWN, Rules, Verifier},
    },
    keys::PublicKey,
    store::{Store, audit, keys, organisation},
};

/// Links of one read.
const LINKS_MAX: u64 = 1_000;
/// Companies of one read.
const TENANTS_MAX: u64 = 1_000;
/// Pages of companies that one keeper is asked for: many times as many companies as an installation has.
const TENANT_PAGES_MAX: usize = 10_000;
/// Time that one question to another service may take.
const ASK_MAX: Duration = Duration::from_secs(10);

/// What was found in one company's chain.
pub struct Verdict {
    pub tenant: TenantId,
    pub entries: i64,
    pub broken: Option<Broken>,
    pub doubts: Vec<Doubt>,
}

impl Verdict {
    /// Of a company that identity does not know.
    fn gone(tenant: TenantId, keeper: &str) -> Self {
        Self { tenant, entries: 0, broken: Some(Broken::Gone { keeper: keeper.to_owned() }), doubts: Vec::new() }
    }
}

/// Where the checkpoints of the other services are read.
pub enum Keepers {
    /// They are asked.
    Peers(Peers),
    /// Their databases lie beside identity's: one process serves all.
    Databases(Vec<Neighbour>),
}

/// A keeper whose database lies beside.
pub struct Neighbour {
    pub database: Database,
    pub outbox: Outbox,
}

/// One service that keeps checkpoints, and where to find them.
#[derive(Clone, Copy)]
enum Keeper<'a> {
    Peer(&'a Peers, &'static str),
    Beside(&'a Neighbour),
}

impl Keepers {
    fn named(&self, keeper: &'static str) -> Option<Keeper<'_>> {
        match self {
            Self::Peers(peers) => peers.knows(keeper).then_some(Keeper::Peer(peers, keeper)),
            Self::Databases(all) => all.iter().find(|it| it.outbox.source() == keeper).map(Keeper::Beside),
        }
    }
}

impl Keeper<'_> {
    fn name(self) -> &'static str {
        match self {
            Self::Peer(_, name) => name,
            Self::Beside(it) => it.outbox.source(),
        }
    }

    /// How far identity had acknowledged its events.
    async fn positions(self) -> Result<GetPositionsResponse, Failure> {
        match self {
            Self::Beside(Neighbour { database, outbox }) => positions(database, outbox, NAME).await,
            Self::Peer(peers, keeper) => {
                let request = GetPositionsRequest { consumer: NAME.to_owned(), source: keeper.to_owned() };
                let client = EventsClient::new(peers.channel(keeper).within(ASK_MAX));
                repeat(async || client.clone().get_positions(request.clone()).await).await
            }
        }
    }

    /// The companies of which it keeps checkpoints; all of them.
    async fn tenants(self, worker: &Worker) -> Result<Vec<TenantId>, Failure> {
        let mut found: Vec<TenantId> = Vec::new();
        let mut token = String::new();
        for _ in 0..TENANT_PAGES_MAX {
            let page = match self {
                Self::Beside(Neighbour { database, .. }) => {
                    let after = found.last().copied();
                    let page = async |tx: &Tx| checkpoint::tenants(tx, after, PAGE_SIZE_MAX).await;
                    database.read(worker, page).await?
                }
                Self::Peer(peers, keeper) => {
                    let request = ListTenantsRequest {
                        keeper: keeper.to_owned(),
                        page_size: i32::try_from(PAGE_SIZE_MAX).unwrap_or(i32::MAX),
                        page_token: token,
                    };
                    let client = CheckpointsClient::new(peers.channel(keeper).within(ASK_MAX));
                    let page = repeat(async || client.clone().list_tenants(request.clone()).await).await?;
                    token = page.next_page_token;
                    let ids = page.tenant_ids.iter().map(|id| id.parse().map(Id::from_uuid));
                    ids.collect::<Result<_, uuid::Error>>().map_err(Failure::internal)?
                }
            };
            let is_last = match self {
                Self::Beside(_) => page.is_empty(),
                Self::Peer(..) => token.is_empty(),
            };
            found.extend(page);
            if is_last {
                return Ok(found);
            }
        }
        let message = format!("{} tells of companies without an end", self.name());
        Err(Failure::unavailable("KEEPER_ENDLESS", message))
    }
}

/// What another service said.
pub enum Answer {
    /// Its checkpoints were compared.
    Compared {
        /// Events of it that identity has not applied yet, so that what they tell is in no chain.
        waiting: i64,
    },
    /// It remembers that identity had applied more than identity knows of.
    Ahead,
    /// No address of it is configured.
    Unknown,
    /// It could not be asked.
    Away(Failure),
}

/// What was found.
pub struct Report {
    pub verdicts: Vec<Verdict>,
    pub keepers: Vec<(&'static str, Answer)>,
}

/// Follows every chain.
pub async fn verify(store: &Store, worker: &Worker, from: &Keepers) -> Result<Report, Error> {
    let mut keepers = Vec::new();
    for keeper in SERVICES.into_iter().filter(|service| *service != NAME) {
        keepers.push((keeper, ask(store, worker, from.named(keeper)).await));
    }
    let asked = keepers.iter().filter(|(_, answer)| matches!(answer, Answer::Compared { .. } | Answer::Ahead));
    let names: Vec<&'static str> = [OWN].into_iter().chain(asked.map(|(keeper, _)| *keeper)).collect();
    let mut remembered = remembered(worker, from, &names).await?;
    let mut verdicts = Vec::new();
    let mut after = None;
    loop {
        let read = store
            .read(worker, async |tx| Ok((organisation::tenants(tx, after, TENANTS_MAX).await?, keys::ever(tx).await?)));
        let (tenants, keys) = read.await?;
        let Some(last) = tenants.last() else {
            verdicts.extend(remembered.into_iter().map(|(tenant, keeper)| Verdict::gone(tenant, keeper)));
            return Ok(Report { verdicts, keepers });
        };
        after = Some(last.id);
        for tenant in tenants {
            remembered.remove(&tenant.id);
            let chain = Chain { store, worker, keepers: from, tenant: tenant.id };
            verdicts.push(chain.verdict(&names, &keys).await?);
        }
    }
}

/// Every company of which another service keeps checkpoints, and one that does. To be asked before identity's own are
/// read: then each of them has to be there.
async fn remembered(
    worker: &Worker,
    from: &Keepers,
    names: &[&'static str],
) -> Result<BTreeMap<TenantId, &'static str>, Error> {
    let mut remembered = BTreeMap::new();
    for keeper in names {
        if let Some(asked) = from.named(keeper) {
            remembered.extend(asked.tenants(worker).await?.into_iter().map(|tenant| (tenant, *keeper)));
        }
    }
    Ok(remembered)
}

async fn ask(store: &Store, worker: &Worker, keeper: Option<Keeper<'_>>) -> Answer {
    match keeper {
        Some(keeper) => compare(store, worker, keeper).await.unwrap_or_else(Answer::Away),
        None => Answer::Unknown,
    }
}

/// Asks a service how far identity had acknowledged its events: if identity knows less by now, it was brought back from
/// a backup, and what it had chained since is gone.
async fn compare(store: &Store, worker: &Worker, keeper: Keeper<'_>) -> Result<Answer, Failure> {
    let told = keeper.positions().await?;
    // Only now: what identity has acknowledged by then it had applied before.
    let read = async |tx: &Tx| Ok(inbox::all_progress(&**tx, NAME, keeper.name()).await.map_err(fault)?);
    let known = store.read(worker, read).await.map_err(|error: Error| Failure::from(error))?;
    let reached = |shard: u32| {
        let of_shard =
            known.iter().filter(|(at, _)| at.shard == shard && at.incarnation.to_string() == told.incarnation);
        of_shard.map(|(_, position)| *position).max().unwrap_or(0)
    };
    let is_ahead = told.positions.iter().any(|place| place.position > reached(place.shard));
    Ok(if is_ahead { Answer::Ahead } else { Answer::Compared { waiting: told.waiting } })
}

/// One company's chain.
struct Chain<'a> {
    store: &'a Store,
    worker: &'a Worker,
    keepers: &'a Keepers,
    tenant: TenantId,
}

/// The checkpoints of one keeper, as far as they were read.
struct Cursor {
    keeper: &'static str,
    read: VecDeque<Checkpoint>,
    /// Behind which key or token the next page begins; nothing behind the last one.
    next: Option<Next>,
}

enum Next {
    First,
    Key(Vec<u8>),
    Token(String),
}

impl Chain<'_> {
    async fn verdict(&self, keepers: &[&'static str], keys: &[PublicKey]) -> Result<Verdict, Error> {
        let verifies = |kid: Option<&str>, bytes: &[u8], signature: &[u8]| {
            let named = keys.iter().filter(|key| kid.is_none_or(|kid| kid == key.kid));
            named.into_iter().any(|key| key.verifies(bytes, signature))
        };
        let mut verifier = Verifier::new(Rules { tenant: self.tenant, index: &chain::index, verifies: &verifies });
        let mut cursors: Vec<_> = keepers.iter().map(|keeper| Cursor::new(keeper)).collect();
        let mut entries = 0;
        let broken = loop {
            for cursor in &mut cursors {
                self.feed(&mut verifier, cursor, entries + i64::try_from(LINKS_MAX).unwrap_or(i64::MAX)).await?;
            }
            let Read { beyond, end, links } = self.links(entries).await?;
            let Some(last) = links.last() else {
                // What is left was made before the links were read, so they had to reach it.
                for cursor in &mut cursors {
                    cursor.read.pop_front().into_iter().for_each(|left| verifier.expect(cursor.keeper, left));
                }
                break verifier.finish(end.as_ref()).err().or(beyond.then_some(Broken::Missing(entries + 1)));
            };
            if let Err(broken) = links.iter().try_for_each(|link| verifier.follow(link)) {
                break Some(broken);
            }
            entries = last.number;
        };
        Ok(Verdict { tenant: self.tenant, entries, broken, doubts: verifier.doubts().to_vec() })
    }

    /// Entries may be appended meanwhile: the links are read last, and go on where one of the others is too new.
    async fn links(&self, after: i64) -> Result<Read, Error> {
        let read = self.store.read(self.worker, async |tx| {
            let beyond = audit::beyond(tx, self.tenant, after).await?;
            let end = audit::end(tx, self.tenant).await?;
            Ok(Read { beyond, end, links: audit::after(tx, self.tenant, after, LINKS_MAX).await? })
        });
        read.await
    }

    /// Hands over the checkpoints of a keeper up to an entry.
    async fn feed(&self, verifier: &mut Verifier<'_>, cursor: &mut Cursor, until: i64) -> Result<(), Error> {
        while cursor.read.back().is_none_or(|last| last.entry_number <= until) {
            let Some(next) = cursor.next.take() else { break };
            self.read_on(cursor, next).await?;
        }
        while cursor.read.front().is_some_and(|first| first.entry_number <= until) {
            cursor.read.pop_front().into_iter().for_each(|checkpoint| verifier.expect(cursor.keeper, checkpoint));
        }
        Ok(())
    }

    async fn read_on(&self, cursor: &mut Cursor, next: Next) -> Result<(), Error> {
        let told: Vec<AuditCheckpoint> = match self.keepers.named(cursor.keeper) {
            Some(Keeper::Peer(peers, keeper)) => {
                let request = ListCheckpointsRequest {
                    keeper: keeper.to_owned(),
                    tenant_id: self.tenant.to_string(),
                    page_size: i32::try_from(PAGE_SIZE_MAX).unwrap_or(i32::MAX),
                    page_token: if let Next::Token(token) = next { token } else { String::new() },
                };
                let client = CheckpointsClient::new(peers.channel(keeper).within(ASK_MAX));
                let page = repeat(async || client.clone().list_checkpoints(request.clone()).await).await?;
                cursor.next = Some(page.next_page_token).filter(|token| !token.is_empty()).map(Next::Token);
                page.checkpoints
            }
            beside => {
                let key = if let Next::Key(key) = next { Some(key) } else { None };
                let page = async |tx: &Tx| checkpoint::page(tx, self.tenant, key.as_deref(), PAGE_SIZE_MAX).await;
                let read = match beside {
                    Some(Keeper::Beside(it)) => it.database.read(self.worker, page).await?,
                    // identity's own.
                    Some(Keeper::Peer(..)) | None => {
                        self.store.read(self.worker, async |tx| Ok(page(tx).await?)).await?
                    }
                };
                let (keys, told): (Vec<_>, Vec<_>) = read.into_iter().unzip();
                cursor.next = keys.into_iter().last().map(Next::Key);
                told
            }
        };
        cursor.read.extend(told.into_iter().map(chain::read));
        Ok(())
    }
}

struct Read {
    beyond: bool,
    end: Option<End>,
    links: Vec<Link>,
}

impl Cursor {
    const fn new(keeper: &'static str) -> Self {
        Self { keeper, read: VecDeque::new(), next: Some(Next::First) }
    }
}
