//! Roles: shipped ones stay as they are, own ones are written by who may grant what they say; overrides per user.

use prost::Message;
use revisit_bootstrap::{auth::Principal, database::Tx};
use revisit_core::id::{PositionId, RoleId, SubjectId, kind};
use revisit_permission::{
    Action, Assigned, Change, Decided, Facts, Removed, RoleAssignment, Row, SubjectKind, Template,
};

use super::{
    book::{Book, Cause, Once, Revised, require_decided},
    stages, users,
};
use crate::{
    App,
    domain::{Error, Role, directory::check_etag},
    store::{
        accounts::Kept,
        roles,
        seen::{BATCH, Filling, Seen},
    },
};

const MANAGE: &str = Action::RoleManage.name();

/// A new role.
pub struct NewRole {
    pub key: String,
    pub display_name: String,
    pub templates: Vec<Template>,
    pub reason: String,
}

/// What may be changed of a role.
#[derive(Default)]
pub struct RoleEdit {
    pub display_name: Option<String>,
    pub templates: Option<Vec<Template>>,
    pub etag: String,
    pub reason: String,
}

pub fn may(who: &Principal, action: Action) -> Result<Decided, Error> {
    // A role belongs to the whole company: only a right over all of it reaches one.
    Ok(who.decide(action, &Row::of_tenant(who.tenant()))?)
}

pub async fn get(app: &App, who: &Principal, id: RoleId) -> Result<Role, Error> {
    let permit = may(who, Action::RoleView)?;
    let found = app.store.read(&permit, async |tx| Ok(roles::by_id(tx, who.tenant(), id).await?)).await?;
    found.ok_or(Error::NoSuchRole)
}

pub async fn list(app: &App, who: &Principal, after: Option<RoleId>, size: u32) -> Result<Seen<Role>, Error> {
    let permit = may(who, Action::RoleView)?;
    let tenant = who.tenant();
    app.store
        .read(&permit, async |tx| {
            let mut filling = Filling::new(size, after.map(RoleId::uuid));
            while let Some(after) = filling.wants() {
                let batch = roles::page(tx, tenant, after.map(RoleId::from_uuid), BATCH).await?;
                filling.take(batch, |it| it.id.uuid(), |_| true);
            }
            Ok(filling.page(|it| it.id.uuid()))
        })
        .await
}

pub async fn create<M: Message + Default>(
    app: &App,
    who: &Principal,
    input: NewRole,
    once: Once<Role, M>,
) -> Result<M, Error> {
    let permit = may(who, Action::RoleManage)?;
    let tenant = who.tenant();
    let cause = Cause::new(who, MANAGE, input.reason);
    let created = app.revise_once(&permit, cause, once, async |tx, book| {
        if roles::by_key(tx, tenant, &input.key).await?.is_some() {
            return Err(Error::RoleKeyTaken);
        }
        let role = Role {
            id: app.ids.next::<kind::Role>(book.now),
            key: input.key,
            display_name: input.display_name,
            templates: input.templates,
            shipped: false,
            catalogue_version: 0,
            version: 1,
        };
        stages::require_known_in(tx, tenant, "templates", &role.templates).await?;
        let right = book.snapshot().may_write_role(who.subject(), &role.templates, book.now);
        right.map_err(Error::beyond("role", []))?;
        book.add(Change::Role(role.facts()))?;
        roles::add(tx, tenant, &role).await?;
        Ok(role)
    });
    Ok(created.await?.0)
}

pub async fn change(app: &App, who: &Principal, id: RoleId, edit: RoleEdit) -> Result<Revised<Role>, Error> {
    let permit = may(who, Action::RoleManage)?;
    let tenant = who.tenant();
    app.revise(&permit, tenant, Cause::new(who, MANAGE, edit.reason.clone()), async |tx, book| {
        let it = stage(tx, book, who, (id, edit)).await?;
        roles::save(tx, tenant, &it).await?;
        Ok(it)
    })
    .await
}

/// Puts a changed role into a revision.
pub async fn stage(tx: &Tx, book: &mut Book, who: &Principal, (id, edit): (RoleId, RoleEdit)) -> Result<Role, Error> {
    let mut it = roles::by_id(tx, book.tenant.id, id).await?.ok_or(Error::NoSuchRole)?;
    if it.shipped {
        return Err(Error::RoleShipped);
    }
    check_etag(&edit.etag, it.version)?;
    if let Some(name) = edit.display_name {
        it.display_name = name;
    }
    if let Some(templates) = edit.templates {
        stages::require_known_in(tx, book.tenant.id, "role.templates", &templates).await?;
        let right = book.snapshot().may_write_role(who.subject(), &templates, book.now);
        book.require_right(right.map_err(Error::beyond("role", [id.uuid()])))?;
        it.templates = templates;
    }
    book.add(Change::Role(it.facts()))?;
    let right = programs_may_hold(book, who, id);
    book.require_right(right)?;
    it.version += 1;
    Ok(it)
}

/// What a program may not be given, it does not get by a change of the role that it has.
fn programs_may_hold(book: &Book, who: &Principal, role: RoleId) -> Result<(), Error> {
    let snapshot = book.snapshot();
    let is_program =
        |id: &SubjectId| book.facts().subject(*id).is_some_and(|subject| subject.kind == SubjectKind::ServiceAccount);
    let mut programs = snapshot.subjects().into_iter().filter(is_program).filter(|id| holds(book.facts(), *id, role));
    programs.try_for_each(|id| {
        let right = snapshot.may_assign(who.subject(), id, role, book.now);
        right.map_err(Error::beyond("role", [role.uuid(), id.uuid()]))
    })
}

pub async fn delete(app: &App, who: &Principal, id: RoleId, edit: RoleEdit) -> Result<Revised<()>, Error> {
    let permit = may(who, Action::RoleManage)?;
    let tenant = who.tenant();
    app.revise(&permit, tenant, Cause::new(who, MANAGE, edit.reason), async |tx, book| {
        let it = roles::by_id(tx, tenant, id).await?.ok_or(Error::NoSuchRole)?;
        if it.shipped {
            return Err(Error::RoleShipped);
        }
        check_etag(&edit.etag, it.version)?;
        book.add(Change::Removed(Removed::Role(id)))?;
        Ok(roles::remove(tx, tenant, id).await?)
    })
    .await
}

/// Where a role of a user comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    Position(PositionId),
    Added,
    Removed(Option<PositionId>),
}

/// A role of a user.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Assignment {
    pub user: SubjectId,
    pub role: RoleId,
    pub source: Source,
}

/// The roles of a user: those from positions first, then the overrides.
fn assignments(facts: &Facts, user: SubjectId) -> Vec<Assignment> {
    let overrides = facts.assignments_of(user);
    let withheld = |role: RoleId| overrides.iter().any(|held| held.role == role && held.assigned == Assigned::Withheld);
    let positions = facts.subject(user).map(|subject| subject.positions.as_slice()).unwrap_or_default();
    let given: Vec<(PositionId, RoleId)> = positions
        .iter()
        .filter_map(|id| facts.position(*id))
        .flat_map(|position| position.roles.iter().map(|role| (position.id, *role)))
        .collect();
    let from_positions = given.iter().filter(|(_, role)| !withheld(*role));
    let mut all: Vec<Assignment> = from_positions
        .map(|(position, role)| Assignment { user, role: *role, source: Source::Position(*position) })
        .collect();
    all.extend(overrides.iter().map(|held| {
        let position = given.iter().find(|(_, role)| *role == held.role).map(|(position, _)| *position);
        let source = match held.assigned {
            Assigned::Added { .. } => Source::Added,
            Assigned::Withheld => Source::Removed(position),
        };
        Assignment { user, role: held.role, source }
    }));
    all
}

pub async fn list_assignments(app: &App, who: &Principal, user: SubjectId) -> Result<Vec<Assignment>, Error> {
    let permit = users::managed(app, who, user, Action::UserView).await?;
    app.store
        .read(&permit, async |tx| {
            let (_, facts) = app.ledgers.read(tx, who.tenant()).await?;
            Ok(assignments(&facts, user))
        })
        .await
}

/// Gives a user a role beside its positions, takes one of theirs away, or (`None`) lets the positions decide again.
pub async fn set_override(
    app: &App,
    who: &Principal,
    (user, role): (SubjectId, RoleId),
    wanted: Option<Source>,
    why: String,
) -> Result<Revised<Option<Assignment>>, Error> {
    let permit = overriding(app, who, user, wanted).await?;
    let tenant = who.tenant();
    app.revise(&permit, tenant, Cause::new(who, Action::UserManage.name(), why), async |tx, book| {
        users::require_still_above(book, who, &permit, user)?;
        let kept = stage_override(tx, book, who, (user, role), wanted).await?;
        require_decided(&permit, [kept.account.row(tenant)])?;
        users::keep(tx, book, &kept).await?;
        Ok(assignments(book.facts(), user).into_iter().find(|it| it.role == role))
    })
    .await
}

/// The right to override: whoever is above a sub-account limits it; to give a role takes the right to manage users.
pub async fn overriding(app: &App, who: &Principal, user: SubjectId, wanted: Option<Source>) -> Result<Decided, Error> {
    match wanted {
        Some(Source::Removed(_)) => Ok(users::stoppable(app, who, user).await?.0),
        None | Some(Source::Added | Source::Position(_)) => users::managed(app, who, user, Action::UserManage).await,
    }
}

/// Puts an override, or its end, into a revision.
pub async fn stage_override(
    tx: &Tx,
    book: &mut Book,
    who: &Principal,
    (user, role): (SubjectId, RoleId),
    wanted: Option<Source>,
) -> Result<Kept, Error> {
    let mut kept = users::find(tx, book, user).await?;
    let known = book.facts().assignments_of(user).iter().any(|held| held.role == role);
    kept.account.added_roles.retain(|id| *id != role);
    kept.account.removed_roles.retain(|id| *id != role);
    match wanted {
        None if !known => return Err(Error::NoSuchOverride),
        None => book.add(Change::Removed(Removed::RoleAssignment { subject: user, role }))?,
        Some(Source::Removed(_)) => {
            kept.account.removed_roles.push(role);
            let assigned = Assigned::Withheld;
            book.add(Change::RoleAssignment(RoleAssignment { subject: user, role, assigned }))?;
        }
        Some(Source::Added | Source::Position(_)) => {
            kept.account.added_roles.push(role);
            book.add(Change::RoleAssignment(super::service_accounts::given(user, role, book.now)))?;
        }
    }
    // An override that ends may give a role back as well as one that begins.
    let gains = wanted != Some(Source::Removed(None)) && holds(book.facts(), user, role);
    if gains {
        let right = book.snapshot().may_assign(who.subject(), user, role, book.now);
        book.require_right(right.map_err(Error::beyond("user", [user.uuid(), role.uuid()])))?;
    }
    users::stage(book, &mut kept)?;
    Ok(kept)
}

fn holds(facts: &Facts, user: SubjectId, role: RoleId) -> bool {
    let held = |it: &Assignment| it.role == role && !matches!(it.source, Source::Removed(_));
    assignments(facts, user).iter().any(held)
}
