//! Grants and guards: given, put up and taken back, each as one revision.

use prost::Message;
use revisit_bootstrap::{auth::Principal, database::Tx};
use revisit_core::{
    Failure, Timestamp,
    id::{GrantId, GuardId, SubjectId, kind},
};
use revisit_permission::{
    Action, ActionSet, Change, Decided, Effect, Exceptions, Grant, Guard, Origin, Removed, Row, RowCondition, Template,
    Whom,
};

use super::{
    book::{Book, Cause, Once, Revised},
    stages,
};
use crate::{
    App,
    domain::{Error, HeldGrant},
    store::{
        grants, guards,
        seen::{BATCH, Filling, Seen},
    },
};

const MANAGE: &str = Action::GrantManage.name();
const GUARD: &str = Action::GuardManage.name();

/// A new grant. Without a start it holds at once, without an end for good.
pub struct NewGrant {
    pub holder: SubjectId,
    pub right: Template,
    pub from: Option<Timestamp>,
    pub until: Option<Timestamp>,
    pub reason: String,
}

/// What policy sees of a grant: it is reached like its holder.
fn row(who: &Principal, id: uuid::Uuid, holder: SubjectId) -> Result<Row, Error> {
    let reading = who.leases.read(who.tenant()).map_err(|_| lease_expired())?;
    let department = reading.snapshot.subject(holder).and_then(|facts| facts.subject.department);
    Ok(Row::new(who.tenant(), id).with_department(department))
}

pub fn lease_expired() -> Failure {
    Failure::unavailable("LEASE_EXPIRED", "the permission lease has run out")
}

pub async fn get(app: &App, who: &Principal, id: GrantId) -> Result<HeldGrant, Error> {
    let scope = who.scope(Action::GrantView)?;
    let found = app.store.read(&scope, async |tx| Ok(grants::by_id(tx, who.tenant(), id).await?)).await?;
    let grant = found.ok_or(Error::NoSuchGrant)?;
    let row = row(who, id.uuid(), grant.grant.holder)?;
    scope.levels(&row).map(|_| grant).ok_or(Error::NoSuchGrant)
}

pub async fn list(
    app: &App,
    who: &Principal,
    holder: Option<SubjectId>,
    after: Option<GrantId>,
    size: u32,
) -> Result<Seen<HeldGrant>, Error> {
    let scope = who.scope(Action::GrantView)?;
    let tenant = who.tenant();
    app.store
        .read(&scope, async |tx| {
            let keep = |it: &HeldGrant| {
                row(who, it.id().uuid(), it.grant.holder).is_ok_and(|row| scope.levels(&row).is_some())
            };
            let mut filling = Filling::new(size, after.map(GrantId::uuid));
            while let Some(after) = filling.wants() {
                let batch = grants::page(tx, tenant, holder, after.map(GrantId::from_uuid), BATCH).await?;
                filling.take(batch, |it| it.id().uuid(), keep);
            }
            Ok(filling.page(|it| it.id().uuid()))
        })
        .await
}

pub async fn create<M: Message + Default>(
    app: &App,
    who: &Principal,
    input: NewGrant,
    once: Once<HeldGrant, M>,
) -> Result<M, Error> {
    let tenant = who.tenant();
    let permit = giving(who, input.holder)?;
    let cause = Cause::new(who, MANAGE, input.reason.clone());
    let created = app.revise_once(&permit, cause, once, async |tx, book| {
        let held = stage((app, tx), who, book, input).await?;
        grants::add(tx, tenant, &held).await?;
        Ok(held)
    });
    Ok(created.await?.0)
}

/// The right to give something to a holder.
pub fn giving(who: &Principal, holder: SubjectId) -> Result<Decided, Error> {
    Ok(who.decide(Action::GrantManage, &row(who, who.tenant().uuid(), holder)?)?)
}

/// Puts a new grant into a revision.
pub async fn stage(
    (app, tx): (&App, &Tx),
    who: &Principal,
    book: &mut Book,
    input: NewGrant,
) -> Result<HeldGrant, Error> {
    let named = (input.right.actions, input.right.stages.as_ref());
    stages::require_known(tx, book.tenant.id, "right.stages", named).await?;
    let window = (input.from.unwrap_or(book.now), input.until.unwrap_or(Timestamp::MAX));
    if window.1 <= book.now {
        return Err(Error::Refused { field: "end_time", rule: "must be in the future" });
    }
    let id = app.ids.next::<kind::Grant>(book.now);
    let held = HeldGrant {
        grant: Grant::of(id, input.holder, input.right, window, Origin::Direct),
        grantor: Some(who.subject()),
        reason: input.reason,
        created_at: book.now,
    };
    let change = Change::Grant(held.grant.clone());
    // First: of a place that does not exist nobody could say whether a right reaches it.
    book.check(&change)?;
    let right = book.snapshot().may_grant(who.subject(), &held.grant, book.now);
    book.require_right(right.map_err(Error::beyond("user", [held.grant.holder.uuid()])))?;
    book.add(change)?;
    Ok(held)
}

/// The right to take a grant back.
pub async fn revocable(app: &App, who: &Principal, id: GrantId) -> Result<Decided, Error> {
    let held = get(app, who, id).await?;
    Ok(who.decide(Action::GrantManage, &row(who, id.uuid(), held.grant.holder)?)?)
}

pub async fn revoke(app: &App, who: &Principal, id: GrantId, why: String) -> Result<Revised<()>, Error> {
    let permit = revocable(app, who, id).await?;
    let cause = Cause::new(who, MANAGE, why);
    app.revise(&permit, who.tenant(), cause, async |tx, book| remove(tx, book, id).await).await
}

/// Takes a grant back inside a revision.
pub async fn remove(tx: &Tx, book: &mut Book, id: GrantId) -> Result<(), Error> {
    stage_removal(tx, book, id).await?;
    Ok(grants::remove(tx, book.tenant.id, id).await?)
}

/// Puts the end of a grant into a revision.
pub async fn stage_removal(tx: &Tx, book: &mut Book, id: GrantId) -> Result<HeldGrant, Error> {
    let held = grants::by_id(tx, book.tenant.id, id).await?.ok_or(Error::NoSuchGrant)?;
    book.add(Change::Removed(Removed::Grant { holder: held.grant.holder, id }))?;
    Ok(held)
}

/// A new guard.
pub struct NewGuard {
    pub whom: Whom,
    pub except: Exceptions,
    pub actions: ActionSet,
    pub condition: RowCondition,
    pub effect: Effect,
    pub from: Option<Timestamp>,
    pub until: Option<Timestamp>,
    pub reason: String,
}

pub fn over_guards(who: &Principal, action: Action) -> Result<Decided, Error> {
    // A guard may bind everybody, so only a right over the whole company reaches one.
    Ok(who.decide(action, &Row::of_tenant(who.tenant()))?)
}

pub async fn get_guard(app: &App, who: &Principal, id: GuardId) -> Result<Guard, Error> {
    let permit = over_guards(who, Action::GrantView)?;
    let found = app.store.read(&permit, async |tx| Ok(guards::by_id(tx, who.tenant(), id).await?)).await?;
    found.ok_or(Error::NoSuchGuard)
}

pub async fn list_guards(app: &App, who: &Principal, after: Option<GuardId>, size: u32) -> Result<Seen<Guard>, Error> {
    let permit = over_guards(who, Action::GrantView)?;
    let tenant = who.tenant();
    app.store
        .read(&permit, async |tx| {
            let mut filling = Filling::new(size, after.map(GuardId::uuid));
            while let Some(after) = filling.wants() {
                let batch = guards::page(tx, tenant, after.map(GuardId::from_uuid), BATCH).await?;
                filling.take(batch, |it| it.id.uuid(), |_| true);
            }
            Ok(filling.page(|it| it.id.uuid()))
        })
        .await
}

pub async fn create_guard<M: Message + Default>(
    app: &App,
    who: &Principal,
    input: NewGuard,
    once: Once<Guard, M>,
) -> Result<M, Error> {
    let permit = over_guards(who, Action::GuardManage)?;
    let cause = Cause::new(who, GUARD, input.reason.clone());
    let created = app.revise_once(&permit, cause, once, async |tx, book| {
        let guard = stage_guard(app, tx, book, input).await?;
        guards::add(tx, book.tenant.id, &guard, book.now).await?;
        Ok(guard)
    });
    Ok(created.await?.0)
}

/// Puts a new guard into a revision.
pub async fn stage_guard(app: &App, tx: &Tx, book: &mut Book, input: NewGuard) -> Result<Guard, Error> {
    let named = (input.actions, input.condition.stages.as_ref());
    stages::require_known(tx, book.tenant.id, "guard.condition.stages", named).await?;
    let guard = Guard {
        id: app.ids.next::<kind::Guard>(book.now),
        whom: input.whom,
        except: input.except,
        actions: input.actions,
        condition: input.condition,
        effect: input.effect,
        from: input.from.unwrap_or(book.now),
        until: input.until.unwrap_or(Timestamp::MAX),
        reason: input.reason,
    };
    book.add(Change::Guard(guard.clone()))?;
    Ok(guard)
}

/// Puts the end of a guard into a revision.
pub async fn stage_guard_removal(tx: &Tx, book: &mut Book, id: GuardId) -> Result<(), Error> {
    guards::by_id(tx, book.tenant.id, id).await?.ok_or(Error::NoSuchGuard)?;
    book.add(Change::Removed(Removed::Guard(id)))
}

pub async fn delete_guard(app: &App, who: &Principal, id: GuardId, why: String) -> Result<Revised<()>, Error> {
    let permit = over_guards(who, Action::GuardManage)?;
    app.revise(&permit, who.tenant(), Cause::new(who, GUARD, why), async |tx, book| {
        stage_guard_removal(tx, book, id).await?;
        Ok(guards::remove(tx, book.tenant.id, id).await?)
    })
    .await
}
