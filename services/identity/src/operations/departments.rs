//! The department tree and its positions.

use prost::Message;
use revisit_bootstrap::{auth::Principal, database::Tx};
use revisit_core::id::{DepartmentId, PositionId, RoleId, SubjectId, kind};
use revisit_permission::{Action, Change, Decided, Refusal, Removed};

use super::book::{Book, Cause, Once, Revised, require_decided};
use crate::{
    App,
    domain::{
        Department, Error, Position,
        directory::{check_etag, department_row},
    },
    store::{
        organisation,
        seen::{BATCH, Filling, Seen},
    },
};

const MANAGE: &str = Action::DepartmentManage.name();

/// A new department.
pub struct NewDepartment {
    pub parent: DepartmentId,
    pub name: String,
    pub head: Option<SubjectId>,
    pub reason: String,
}

/// What may be changed of a department; nothing stays as it is.
#[derive(Default)]
pub struct DepartmentEdit {
    pub name: Option<String>,
    pub head: Option<Option<SubjectId>>,
    pub parent: Option<DepartmentId>,
    pub disabled: Option<bool>,
    pub etag: String,
    pub reason: String,
}

pub async fn get(app: &App, who: &Principal, id: DepartmentId) -> Result<Department, Error> {
    let scope = who.scope(Action::DepartmentView)?;
    let tenant = who.tenant();
    let found = app.store.read(&scope, async |tx| Ok(organisation::department_by_id(tx, tenant, id).await?)).await?;
    found.filter(|it| scope.levels(&it.row(tenant)).is_some()).ok_or(Error::NoSuchDepartment)
}

pub async fn list(
    app: &App,
    who: &Principal,
    parent: Option<DepartmentId>,
    after: Option<DepartmentId>,
    size: u32,
) -> Result<Seen<Department>, Error> {
    let scope = who.scope(Action::DepartmentView)?;
    app.store
        .read(&scope, async |tx| {
            let mut filling = Filling::new(size, after.map(DepartmentId::uuid));
            while let Some(after) = filling.wants() {
                let batch =
                    organisation::departments(tx, &scope, parent, after.map(DepartmentId::from_uuid), BATCH).await?;
                filling.take(batch, |it| it.id.uuid(), |_| true);
            }
            Ok(filling.page(|it| it.id.uuid()))
        })
        .await
}

/// The right to change what hangs at a department; one that may not be seen does not exist.
async fn managed(app: &App, who: &Principal, id: DepartmentId) -> Result<Decided, Error> {
    get(app, who, id).await?;
    Ok(who.decide(Action::DepartmentManage, &department_row(who.tenant(), id))?)
}

pub async fn create<M: Message + Default>(
    app: &App,
    who: &Principal,
    input: NewDepartment,
    once: Once<Department, M>,
) -> Result<M, Error> {
    let permit = managed(app, who, input.parent).await?;
    let tenant = who.tenant();
    let cause = Cause::new(who, MANAGE, input.reason);
    let created = app.revise_once(&permit, cause, once, async |tx, book| {
        let department = Department {
            id: app.ids.next(book.now),
            parent: Some(input.parent),
            name: input.name,
            head: input.head,
            disabled: false,
            merged_into: None,
            modules_off: Vec::new(),
            version: 1,
            created_at: book.now,
        };
        book.add(Change::Department(department.facts()))?;
        organisation::add_department(tx, tenant, &department).await?;
        Ok(department)
    });
    Ok(created.await?.0)
}

pub async fn change(
    app: &App,
    who: &Principal,
    id: DepartmentId,
    edit: DepartmentEdit,
) -> Result<Revised<Department>, Error> {
    let permit = changing(app, who, id, edit.parent).await?;
    let cause = Cause::new(who, MANAGE, edit.reason.clone());
    app.revise(&permit, who.tenant(), cause, async |tx, book| {
        let from = edit.parent.and(book.facts().department(id)).and_then(|department| department.parent);
        require_decided(&permit, from.map(|from| department_row(who.tenant(), from)))?;
        let mut it = edited(tx, book, id, edit).await?;
        save(tx, book, &mut it).await?;
        Ok(it)
    })
    .await
}

/// The right to change a department. A move takes rights over both places: what leaves one branch must be wanted in the
/// other.
pub async fn changing(
    app: &App,
    who: &Principal,
    id: DepartmentId,
    parent: Option<DepartmentId>,
) -> Result<Decided, Error> {
    let department = get(app, who, id).await?;
    let tenant = who.tenant();
    let mut rows = vec![department_row(tenant, id)];
    if let Some(parent) = parent {
        get(app, who, parent).await?;
        rows.push(department_row(tenant, parent));
        rows.extend(department.parent.map(|from| department_row(tenant, from)));
    }
    let permit = who.caller.decide_all(&who.leases, Action::DepartmentManage, &rows);
    Ok(permit.map_err(revisit_core::Failure::from)?)
}

/// A department as an edit makes it.
async fn edited(tx: &Tx, book: &Book, id: DepartmentId, edit: DepartmentEdit) -> Result<Department, Error> {
    let mut it = organisation::department_by_id(tx, book.tenant.id, id).await?.ok_or(Error::NoSuchDepartment)?;
    check_etag(&edit.etag, it.version)?;
    apply(&mut it, edit)?;
    Ok(it)
}

/// Puts a changed department into a revision.
pub async fn stage(tx: &Tx, book: &mut Book, id: DepartmentId, edit: DepartmentEdit) -> Result<(), Error> {
    let mut it = edited(tx, book, id, edit).await?;
    put(book, &mut it).map(drop)
}

/// Puts a department as it will be into a revision; answers whether that changes it.
pub fn put(book: &mut Book, it: &mut Department) -> Result<bool, Error> {
    let changes = book.facts().department(it.id) != Some(&it.facts());
    if changes {
        book.add(Change::Department(it.facts()))?;
        it.version += 1;
    }
    Ok(changes)
}

/// Saves a changed department: its row, and what permission is told of it. One that is as it was stays as it is.
async fn save(tx: &Tx, book: &mut Book, it: &mut Department) -> Result<(), Error> {
    if put(book, it)? {
        organisation::save_department(tx, book.tenant.id, it).await?;
    }
    Ok(())
}

fn apply(it: &mut Department, edit: DepartmentEdit) -> Result<(), Error> {
    if it.merged_into.is_some() {
        return Err(Refusal::DepartmentMerged(it.id).into());
    }
    let structural = edit.parent.is_some() || edit.disabled.is_some();
    if structural && it.parent.is_none() {
        return Err(Error::RootDepartment);
    }
    if let Some(name) = edit.name {
        it.name = name;
    }
    if let Some(head) = edit.head {
        it.head = head;
    }
    if let Some(parent) = edit.parent {
        it.parent = Some(parent);
    }
    if let Some(disabled) = edit.disabled {
        it.disabled = disabled;
    }
    Ok(())
}

/// A new position.
pub struct NewPosition {
    pub department: DepartmentId,
    pub name: String,
    pub roles: Vec<RoleId>,
    pub reason: String,
}

/// What may be changed of a position.
#[derive(Default)]
pub struct PositionEdit {
    pub name: Option<String>,
    pub roles: Option<Vec<RoleId>>,
    pub etag: String,
    pub reason: String,
}

pub async fn get_position(app: &App, who: &Principal, id: PositionId) -> Result<Position, Error> {
    let scope = who.scope(Action::DepartmentView)?;
    let tenant = who.tenant();
    let found = app.store.read(&scope, async |tx| Ok(organisation::position_by_id(tx, tenant, id).await?)).await?;
    found.filter(|it| scope.levels(&department_row(tenant, it.department)).is_some()).ok_or(Error::NoSuchPosition)
}

/// The positions; with a department, those declared at it or above it.
pub async fn list_positions(
    app: &App,
    who: &Principal,
    department: Option<DepartmentId>,
    after: Option<PositionId>,
    size: u32,
) -> Result<Seen<Position>, Error> {
    let scope = who.scope(Action::DepartmentView)?;
    let tenant = who.tenant();
    app.store
        .read(&scope, async |tx| {
            let (revision, facts) = app.ledgers.read(tx, tenant).await?;
            let snapshot = revisit_permission::Snapshot::compile(&facts, revision);
            let holds = |at: DepartmentId| department.is_none_or(|below| snapshot.org().within(below, at));
            let sees = |at: DepartmentId| scope.levels(&department_row(tenant, at)).is_some();
            let keep = |it: &Position| holds(it.department) && sees(it.department);
            let mut filling = Filling::new(size, after.map(PositionId::uuid));
            while let Some(after) = filling.wants() {
                let batch = organisation::positions(tx, tenant, after.map(PositionId::from_uuid), BATCH).await?;
                filling.take(batch, |it| it.id.uuid(), keep);
            }
            Ok(filling.page(|it| it.id.uuid()))
        })
        .await
}

pub async fn create_position<M: Message + Default>(
    app: &App,
    who: &Principal,
    input: NewPosition,
    once: Once<Position, M>,
) -> Result<M, Error> {
    let permit = managed(app, who, input.department).await?;
    let tenant = who.tenant();
    let cause = Cause::new(who, MANAGE, input.reason);
    let created = app.revise_once(&permit, cause, once, async |tx, book| {
        let id = app.ids.next::<kind::Position>(book.now);
        let position = Position { id, department: input.department, name: input.name, roles: input.roles, version: 1 };
        let change = Change::Position(position.facts());
        book.check(&change)?;
        may_give(book, who, &position)?;
        book.add(change)?;
        organisation::add_position(tx, tenant, &position).await?;
        Ok(position)
    });
    Ok(created.await?.0)
}

/// Who declares a position gives its roles to whoever will hold it.
fn may_give(book: &Book, who: &Principal, position: &Position) -> Result<(), Error> {
    let snapshot = book.snapshot();
    let known = book.facts_before().position(position.id).map(|it| it.id.uuid());
    for id in &position.roles {
        let role = book.facts().role(*id).ok_or(Refusal::UnknownRole(*id))?;
        let about = known.into_iter().chain([id.uuid()]);
        let right = snapshot.may_write_role(who.subject(), &role.templates, book.now);
        right.map_err(Error::beyond("position", about))?;
    }
    Ok(())
}

pub async fn change_position(
    app: &App,
    who: &Principal,
    id: PositionId,
    edit: PositionEdit,
) -> Result<Revised<Position>, Error> {
    let permit = changing_position(app, who, id).await?;
    let tenant = who.tenant();
    let cause = Cause::new(who, MANAGE, edit.reason.clone());
    app.revise(&permit, tenant, cause, async |tx, book| {
        let it = stage_position(tx, book, who, (id, edit)).await?;
        require_decided(&permit, [department_row(tenant, it.department)])?;
        organisation::save_position(tx, tenant, &it).await?;
        Ok(it)
    })
    .await
}

/// The right to change a position, or to remove it.
pub async fn changing_position(app: &App, who: &Principal, id: PositionId) -> Result<Decided, Error> {
    let position = get_position(app, who, id).await?;
    managed(app, who, position.department).await
}

/// Puts a changed position into a revision: whoever holds it has its roles.
pub async fn stage_position(
    tx: &Tx,
    book: &mut Book,
    who: &Principal,
    (id, edit): (PositionId, PositionEdit),
) -> Result<Position, Error> {
    let mut it = organisation::position_by_id(tx, book.tenant.id, id).await?.ok_or(Error::NoSuchPosition)?;
    check_etag(&edit.etag, it.version)?;
    if let Some(name) = edit.name {
        it.name = name;
    }
    if let Some(roles) = edit.roles {
        it.roles = roles;
        book.check(&Change::Position(it.facts()))?;
        let right = may_give(book, who, &it);
        book.require_right(right)?;
    }
    book.add(Change::Position(it.facts()))?;
    it.version += 1;
    Ok(it)
}

pub async fn delete_position(
    app: &App,
    who: &Principal,
    id: PositionId,
    edit: PositionEdit,
) -> Result<Revised<()>, Error> {
    let permit = changing_position(app, who, id).await?;
    let tenant = who.tenant();
    let cause = Cause::new(who, MANAGE, edit.reason.clone());
    app.revise(&permit, tenant, cause, async |tx, book| {
        let it = organisation::position_by_id(tx, tenant, id).await?.ok_or(Error::NoSuchPosition)?;
        require_decided(&permit, [department_row(tenant, it.department)])?;
        check_etag(&edit.etag, it.version)?;
        book.add(Change::Removed(Removed::Position(id)))?;
        Ok(organisation::remove_position(tx, tenant, id).await?)
    })
    .await
}
