//! Receivers of webhooks: registered, changed, their keys rotated. A secret is told once, when it is made.

use revisit_bootstrap::{Principal, Tx, audit::Deed, idempotency::Repeatable, seal::Place};
use revisit_core::{Failure, id::EndpointId, page::Page};
use revisit_permission::{Action, Decided, Permits};
use uuid::Uuid;

use super::write::{self, Made};
use crate::{
    App,
    domain::{
        Error, MessageKind, State,
        signature::{Algorithm, Key},
    },
    store::{
        claims,
        endpoints::{self, ENDPOINTS_MAX, Endpoint, SealedKey},
        ledger::{Ledger, Marks},
        now,
    },
};

/// Keys of one endpoint at the most: the present one, the next one, and one that somebody forgot.
const KEYS_MAX: usize = 3;

/// An endpoint with its keys.
pub struct Shown {
    pub endpoint: Endpoint,
    pub keys: Vec<SealedKey>,
}

/// A new key as it is told once.
pub struct Told {
    pub shown: Shown,
    pub verification: String,
}

/// What is to be registered.
pub struct New {
    pub url: String,
    pub kinds: Vec<MessageKind>,
    pub algorithm: Algorithm,
}

/// What is to change; what is none stays.
pub struct Change {
    pub id: EndpointId,
    pub url: Option<String>,
    pub kinds: Option<Vec<MessageKind>>,
    pub enabled: Option<bool>,
    pub version: Option<i64>,
}

impl Change {
    /// What it names, in the words of the contract.
    fn named(&self) -> Vec<&'static str> {
        let named =
            [self.url.as_ref().map(|_| "url"), self.kinds.as_ref().map(|_| "kinds"), self.enabled.map(|_| "state")];
        named.into_iter().flatten().collect()
    }
}

fn permit(who: &Principal) -> Result<Decided, Error> {
    super::of_tenant(who, Action::EndpointManage)
}

fn deed(endpoint: &Endpoint, fields: &[&str]) -> Deed {
    Deed::on("endpoint", [endpoint.id.uuid()]).fields(fields.iter().copied())
}

/// Changes endpoints for who manages them.
async fn change<T>(
    app: &App,
    who: &Principal,
    work: impl AsyncFnOnce(&Tx) -> Result<Made<T>, Error>,
) -> Result<T, Error> {
    write::change(app, &Permits(vec![permit(who)?]), work).await
}

async fn shown(tx: &Tx, endpoint: Endpoint) -> Result<Shown, Error> {
    let keys = endpoints::keys(tx, endpoint.tenant, endpoint.id).await?;
    Ok(Shown { endpoint, keys })
}

async fn find(tx: &Tx, who: &Principal, id: EndpointId) -> Result<Endpoint, Error> {
    endpoints::find(tx, who.tenant(), id).await?.ok_or(Error::NoSuchEndpoint)
}

pub async fn get(app: &App, who: &Principal, id: EndpointId) -> Result<Shown, Error> {
    let permit = permit(who)?;
    app.store.read(&permit, async |tx| shown(tx, find(tx, who, id).await?).await).await
}

pub async fn list(app: &App, who: &Principal, page: Page) -> Result<(Vec<Shown>, String), Error> {
    let permit = permit(who)?;
    let after = match &page.after {
        None => Uuid::nil(),
        Some(key) => Uuid::from_slice(key).map_err(|_| Page::unreadable())?,
    };
    let mut rows = app
        .store
        .read(&permit, async |tx| {
            let mut rows = Vec::new();
            for endpoint in endpoints::list(tx, who.tenant(), after, u64::from(page.size) + 1).await? {
                rows.push(shown(tx, endpoint).await?);
            }
            Ok(rows)
        })
        .await?;
    let size = usize::try_from(page.size).unwrap_or(usize::MAX);
    let more = rows.len() > size;
    rows.truncate(size);
    let next = rows.last().filter(|_| more).map(|last| page.token(last.endpoint.id.uuid().as_bytes()));
    Ok((rows, next.unwrap_or_default()))
}

pub async fn create(app: &App, who: &Principal, new: New, repeat: Option<Repeatable>) -> Result<Told, Error> {
    change(app, who, async |tx| {
        if let Some((endpoint, key)) = repeated(tx, who, repeat.as_ref()).await? {
            return Ok(Made::Unchanged(told(app, tx, find(tx, who, endpoint).await?, key).await?));
        }
        let count = endpoints::list(tx, who.tenant(), Uuid::nil(), ENDPOINTS_MAX).await?.len() as u64;
        if count >= ENDPOINTS_MAX {
            return Err(Error::TooManyEndpoints(ENDPOINTS_MAX));
        }
        let at = now(tx).await?;
        let endpoint = Endpoint {
            tenant: who.tenant(),
            id: app.ids.next(at),
            url: new.url.clone(),
            kinds: new.kinds.clone(),
            enabled: true,
            reason: String::new(),
            created_at: at,
            version: 1,
        };
        endpoints::add(tx, &endpoint).await?;
        let key = make_key(app, tx, &endpoint, new.algorithm).await?;
        keep(tx, who, repeat.as_ref(), (endpoint.id, key)).await?;
        let deed = deed(&endpoint, &[]);
        Ok(Made::Changed(told(app, tx, endpoint, key).await?, deed))
    })
    .await
}

pub async fn add_key(
    app: &App,
    who: &Principal,
    (id, algorithm): (EndpointId, Algorithm),
    repeat: Option<Repeatable>,
) -> Result<Told, Error> {
    change(app, who, async |tx| {
        if let Some((endpoint, key)) = repeated(tx, who, repeat.as_ref()).await? {
            return Ok(Made::Unchanged(told(app, tx, find(tx, who, endpoint).await?, key).await?));
        }
        let mut endpoint = find(tx, who, id).await?;
        if endpoints::keys(tx, endpoint.tenant, id).await?.len() >= KEYS_MAX {
            return Err(Error::TooManyKeys(KEYS_MAX));
        }
        touch(tx, &mut endpoint).await?;
        let key = make_key(app, tx, &endpoint, algorithm).await?;
        keep(tx, who, repeat.as_ref(), (id, key)).await?;
        let deed = deed(&endpoint, &["keys"]);
        Ok(Made::Changed(told(app, tx, endpoint, key).await?, deed))
    })
    .await
}

pub async fn remove_key(app: &App, who: &Principal, id: EndpointId, key: Uuid) -> Result<Shown, Error> {
    change(app, who, async |tx| {
        let mut endpoint = find(tx, who, id).await?;
        let keys = endpoints::keys(tx, endpoint.tenant, id).await?;
        if !keys.iter().any(|one| one.id == key) {
            return Err(Error::NoSuchKey);
        }
        if keys.len() == 1 {
            return Err(Error::LastKey);
        }
        touch(tx, &mut endpoint).await?;
        endpoints::remove_key(tx, &endpoint, key).await?;
        let deed = deed(&endpoint, &["keys"]);
        Ok(Made::Changed(shown(tx, endpoint).await?, deed))
    })
    .await
}

pub async fn update(app: &App, who: &Principal, wanted: Change) -> Result<Shown, Error> {
    change(app, who, async |tx| {
        let mut endpoint = find(tx, who, wanted.id).await?;
        if wanted.version.is_some_and(|version| version != endpoint.version) {
            return Err(Error::Stale);
        }
        let named = wanted.named();
        endpoint.url = wanted.url.unwrap_or(endpoint.url);
        endpoint.kinds = wanted.kinds.unwrap_or(endpoint.kinds);
        if let Some(enabled) = wanted.enabled {
            endpoint.enabled = enabled;
            endpoint.reason.clear();
        }
        touch(tx, &mut endpoint).await?;
        let deed = deed(&endpoint, &named);
        Ok(Made::Changed(shown(tx, endpoint).await?, deed))
    })
    .await
}

/// Removes an endpoint and takes back what was not yet sent to it, at most one batch; the rest is turned away when it
/// is claimed.
pub async fn delete(app: &App, who: &Principal, id: EndpointId, version: Option<i64>) -> Result<(), Error> {
    change(app, who, async |tx| {
        let endpoint = find(tx, who, id).await?;
        if version.is_some_and(|version| version != endpoint.version) {
            return Err(Error::Stale);
        }
        let ledger = Ledger::open(tx, now(tx).await?);
        for mut delivery in claims::of_endpoint(tx, endpoint.tenant, id).await? {
            let next = delivery.progress.to(State::Cancelled, "endpoint_deleted", None)?;
            ledger.advance(&mut delivery, next, Marks::default()).await?;
        }
        ledger.close().await?;
        if !endpoints::remove(tx, &endpoint).await? {
            return Err(Error::Stale);
        }
        app.sealer.destroy(tx, endpoint.tenant, id.uuid()).await?;
        Ok(Made::Changed((), deed(&endpoint, &[])))
    })
    .await
}

async fn touch(tx: &Tx, endpoint: &mut Endpoint) -> Result<(), Error> {
    let former = endpoint.version;
    endpoint.version += 1;
    if endpoints::save(tx, endpoint, former).await? { Ok(()) } else { Err(Error::Stale) }
}

async fn make_key(app: &App, tx: &Tx, endpoint: &Endpoint, algorithm: Algorithm) -> Result<Uuid, Error> {
    let at = now(tx).await?;
    let id: revisit_core::Id<revisit_core::id::kind::Endpoint> = app.ids.next(at);
    let key = Key::new(algorithm, app.secrets.bytes());
    let owner = (endpoint.tenant, endpoint.id.uuid());
    let sealed = app.sealer.seal(tx, owner, key_place(id.uuid()), key.secret().as_bytes()).await?;
    let row = SealedKey { id: id.uuid(), algorithm, sealed, created_at: at };
    endpoints::add_key(tx, endpoint, &row).await?;
    Ok(row.id)
}

/// What the secret of a key is bound to.
pub const fn key_place(id: Uuid) -> Place {
    Place { table: "endpoint_key", row: id, column: "sealed" }
}

/// The endpoint and what a receiver verifies with. A repeat finds the first secret in its seal, not in a stored answer.
async fn told(app: &App, tx: &Tx, endpoint: Endpoint, key: Uuid) -> Result<Told, Error> {
    let shown = shown(tx, endpoint).await?;
    let sealed = shown.keys.iter().find(|one| one.id == key).ok_or(Error::NoSuchKey)?;
    let owner = (shown.endpoint.tenant, shown.endpoint.id.uuid());
    let opened = app.sealer.open(tx, owner, key_place(key), &sealed.sealed).await?;
    let key = opened.and_then(|text| Key::parse(std::str::from_utf8(&text).ok()?)).ok_or(Error::NoSuchKey)?;
    Ok(Told { shown, verification: key.verification() })
}

async fn repeated(tx: &Tx, who: &Principal, repeat: Option<&Repeatable>) -> Result<Option<(EndpointId, Uuid)>, Error> {
    let Some(repeat) = repeat else { return Ok(None) };
    let Some(first) = repeat.first_answer(tx, who.tenant(), who.subject()).await? else { return Ok(None) };
    let (endpoint, key) = first.split_at_checked(16).unwrap_or((&[], &[]));
    let read = |bytes: &[u8]| Uuid::from_slice(bytes).map_err(Failure::internal);
    Ok(Some((EndpointId::from_uuid(read(endpoint)?), read(key)?)))
}

async fn keep(
    tx: &Tx,
    who: &Principal,
    repeat: Option<&Repeatable>,
    (endpoint, key): (EndpointId, Uuid),
) -> Result<(), Error> {
    let Some(repeat) = repeat else { return Ok(()) };
    let mut answer = endpoint.uuid().as_bytes().to_vec();
    answer.extend_from_slice(key.as_bytes());
    Ok(repeat.keep(tx, who.tenant(), who.subject(), answer).await?)
}
