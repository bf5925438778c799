//! Writes of customers that may be sent again: the first answer is found before anything is compared or decided, and
//! shows of the customer what the caller may see of it now.

use revisit_bootstrap::{Tx, idempotency::Once};
use revisit_core::{Failure, id::CustomerId};
use revisit_permission::{Permit, Permits};
use uuid::Uuid;

use super::{Clear, View, customers, lifecycle::find_deleted};
use crate::{
    App,
    domain::{Error, customer::Customer},
    store::{
        Store,
        save::{self, Change},
    },
};

/// Bytes of an id in what is kept; the version follows.
const ID: usize = 16;

/// The first answer of a request that was sent before, else what `work` answers. The work writes by [`saved`], or keeps
/// its answer by [`keep`].
pub async fn view(
    app: &App,
    permit: &impl Permit,
    once: Once<'_>,
    work: impl AsyncFnOnce(Once<'_>) -> Result<View, Error>,
) -> Result<View, Error> {
    if let Some(first) = first(app, permit, once).await? {
        return Ok(first);
    }
    // Boxed: with what stands around it a write outgrows the stack's share of one future.
    match Box::pin(work(once)).await {
        // What is in the way may be what this very request has written meanwhile.
        Err(error) => first(app, permit, once).await?.ok_or(error),
        answer => answer,
    }
}

/// Saves a change of one customer and keeps which one it was.
pub async fn saved(
    tx: &Tx,
    store: &Store,
    once: Once<'_>,
    permits: &Permits,
    change: Change,
) -> Result<Customer, Error> {
    let id = change.after.id;
    let saved = save::save(tx, store, permits, vec![change]).await?.pop().ok_or(Error::NoSuchCustomer(id))?;
    once.keep(tx, &kept(saved.id, saved.version)).await?;
    Ok(saved)
}

/// Keeps which customer a write has answered that had nothing to change.
pub async fn keep(app: &App, permit: &impl Permit, once: Once<'_>, view: View) -> Result<View, Error> {
    if once.is_kept() {
        let kept = kept(view.id(), view.version());
        app.store.database.write(permit, async |tx| once.keep(tx, &kept).await.map_err(Error::from)).await?;
    }
    Ok(view)
}

async fn first(app: &App, permit: &impl Permit, once: Once<'_>) -> Result<Option<View>, Error> {
    if !once.is_kept() {
        return Ok(None);
    }
    let kept = app.store.database.read(permit, async |tx| Ok::<_, Error>(once.first(tx).await?)).await?;
    let Some(kept) = kept else { return Ok(None) };
    let (id, version) = read(&kept)?;
    Ok(Some(seen(app, once, id, version).await?))
}

/// The customer as the caller may see it now, deleted or not. Who has handed it away, or may no longer see it for
/// another reason, is told that the first request was done, and nothing else.
pub async fn seen(app: &App, once: Once<'_>, id: CustomerId, version: i64) -> Result<View, Error> {
    let who = once.who();
    match customers::get(app, who, id, &Clear::default()).await {
        Err(Error::NoSuchCustomer(_)) => {
            let deleted = find_deleted(app, who, id).await?;
            Ok(deleted.unwrap_or_else(|| View::unseen(who.tenant(), id, version)))
        }
        seen => seen,
    }
}

fn kept(id: CustomerId, version: i64) -> Vec<u8> {
    [id.uuid().as_bytes().as_slice(), &version.to_be_bytes()].concat()
}

fn read(kept: &[u8]) -> Result<(CustomerId, i64), Failure> {
    let (id, version) = kept.split_at_checked(ID).unwrap_or_default();
    let id = Uuid::from_slice(id).map_err(Failure::internal)?;
    let version = version.try_into().map_err(Failure::internal)?;
    Ok((CustomerId::from_uuid(id), i64::from_be_bytes(version)))
}
