//! Users and service accounts, the hashes of their secrets, and the one-time links.

use std::collections::{BTreeMap, BTreeSet};

use revisit_bootstrap::database::{Tx, fault};
use revisit_core::{
    Failure, Id, Timestamp,
    id::{SubjectId, TenantId},
};
use revisit_permission::{Address, Columns, Purpose, Scope, SubjectKind, SubjectState, Veiled, merge_pages};
use sea_orm::{ColumnTrait, Condition, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect};

use super::{entity, from_json, id, insert, micros, replace, time, to_json, uuid};
use crate::domain::{
    Account,
    directory::{parse_state, state_name},
};

use entity::subject::{Column, Entity, Model};

const USER: &str = "user";
const SERVICE_ACCOUNT: &str = "service_account";

/// An account, and the hash of its password or secret.
pub struct Kept {
    pub account: Account,
    pub secret_hash: Option<String>,
    /// Who else knows the secret, or drew the link by which the password was set.
    pub secret_by: Option<SubjectId>,
}

fn kept(row: Model) -> Result<Kept, Failure> {
    let account = Account {
        id: Id::from_uuid(row.subject_id),
        kind: if row.kind == USER { SubjectKind::User } else { SubjectKind::ServiceAccount },
        state: parse_state(&row.state).ok_or_else(|| Failure::internal("an account has an unknown state"))?,
        username: row.username,
        display_name: row.display_name,
        email: row.email.map(Address::mail),
        phone: row.phone.map(Address::phone),
        department: Id::from_uuid(row.department_id),
        further: from_json(&row.further_department_ids)?,
        positions: from_json(&row.position_ids)?,
        added_roles: from_json(&row.added_role_ids)?,
        removed_roles: from_json(&row.removed_role_ids)?,
        manager: id(row.manager_id),
        parent: id(row.parent_id),
        time_zone: row.time_zone,
        locale: row.locale,
        version: row.version,
        created_at: time(row.created_at),
        updated_at: time(row.updated_at),
    };
    Ok(Kept { account, secret_hash: row.secret_hash, secret_by: id(row.secret_by_id) })
}

/// A secret by its hash, and who drew it.
type Secret = (Option<String>, Option<SubjectId>);

fn row(tenant: TenantId, it: &Account, (secret_hash, secret_by): Secret) -> Result<Model, Failure> {
    Ok(Model {
        tenant_id: tenant.uuid(),
        subject_id: it.id.uuid(),
        kind: kind_name(it.kind).to_owned(),
        state: state_name(it.state).to_owned(),
        username: it.username.clone(),
        display_name: it.display_name.clone(),
        email: lifted(it.email.as_ref(), Purpose::Store).map(str::to_owned),
        phone: lifted(it.phone.as_ref(), Purpose::Store).map(str::to_owned),
        department_id: it.department.uuid(),
        further_department_ids: to_json(&it.further)?,
        position_ids: to_json(&it.positions)?,
        added_role_ids: to_json(&it.added_roles)?,
        removed_role_ids: to_json(&it.removed_roles)?,
        manager_id: uuid(it.manager),
        parent_id: uuid(it.parent),
        time_zone: it.time_zone.clone(),
        locale: it.locale.clone(),
        secret_hash,
        secret_by_id: uuid(secret_by),
        version: it.version,
        created_at: micros(it.created_at),
        updated_at: micros(it.updated_at),
    })
}

fn lifted(address: Option<&Veiled<Address>>, what_for: Purpose) -> Option<&str> {
    address.map(|address| address.lift(what_for).as_str())
}

const fn kind_name(kind: SubjectKind) -> &'static str {
    match kind {
        SubjectKind::User => USER,
        SubjectKind::ServiceAccount => SERVICE_ACCOUNT,
    }
}

/// Adds an account; a program comes with its secret and who drew it.
pub async fn add(tx: &Tx, tenant: TenantId, it: &Account, secret: Option<(String, SubjectId)>) -> Result<(), Failure> {
    insert(tx, row(tenant, it, secret.unzip())?).await
}

pub async fn save(tx: &Tx, tenant: TenantId, it: &Kept) -> Result<(), Failure> {
    replace(tx, row(tenant, &it.account, (it.secret_hash.clone(), it.secret_by))?).await
}

/// Who drew the secrets and links of these accounts that are in use.
pub async fn drawers(
    tx: &Tx,
    tenant: TenantId,
    ids: &[SubjectId],
) -> Result<BTreeMap<SubjectId, BTreeSet<SubjectId>>, Failure> {
    use entity::password_link;
    let accounts = Entity::find()
        .filter(Column::TenantId.eq(tenant.uuid()))
        .filter(Column::SecretById.is_not_null())
        .filter(tx.among(Column::SubjectId, ids.iter().map(|id| id.uuid())));
    let links = password_link::Entity::find()
        .filter(password_link::Column::TenantId.eq(tenant.uuid()))
        .filter(password_link::Column::DrawnById.is_not_null())
        .filter(tx.among(password_link::Column::SubjectId, ids.iter().map(|id| id.uuid())));
    let of_secrets =
        accounts.all(&**tx).await.map_err(fault)?.into_iter().map(|row| (row.subject_id, row.secret_by_id));
    let of_links = links.all(&**tx).await.map_err(fault)?.into_iter().map(|row| (row.subject_id, row.drawn_by_id));
    let mut drawers: BTreeMap<SubjectId, BTreeSet<SubjectId>> = BTreeMap::new();
    for (account, by) in of_secrets.chain(of_links) {
        drawers.entry(Id::from_uuid(account)).or_default().extend(id(by));
    }
    Ok(drawers)
}

pub async fn by_id(tx: &Tx, tenant: TenantId, subject: SubjectId) -> Result<Option<Kept>, Failure> {
    Entity::find_by_id((tenant.uuid(), subject.uuid())).one(&**tx).await.map_err(fault)?.map(kept).transpose()
}

/// The account with a name. Service accounts have no name to log in with.
pub async fn by_username(tx: &Tx, tenant: TenantId, username: &str) -> Result<Option<Kept>, Failure> {
    let find = Entity::find().filter(Column::TenantId.eq(tenant.uuid())).filter(Column::Username.eq(username));
    find.one(&**tx).await.map_err(fault)?.map(kept).transpose()
}

/// A service account by its id alone: a program knows nothing else of its company.
pub async fn service_account(tx: &Tx, subject: SubjectId) -> Result<Option<(TenantId, Kept)>, Failure> {
    let find = Entity::find().filter(Column::SubjectId.eq(subject.uuid())).filter(Column::Kind.eq(SERVICE_ACCOUNT));
    let row = find.one(&**tx).await.map_err(fault)?;
    row.map(|row| Ok((Id::from_uuid(row.tenant_id), kept(row)?))).transpose()
}

/// Which of the values that must be unique another account has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Taken {
    Username,
    Email,
    Phone,
}

/// Looks for another account with the same name or contact value. The tenant is locked by who asks.
pub async fn taken(tx: &Tx, tenant: TenantId, it: &Account) -> Result<Option<Taken>, Failure> {
    let mut same = Condition::any().add(Column::Username.eq(it.username.as_str()));
    let (email, phone) = (lifted(it.email.as_ref(), Purpose::Match), lifted(it.phone.as_ref(), Purpose::Match));
    if let Some(email) = email {
        same = same.add(Column::Email.eq(email));
    }
    if let Some(phone) = phone {
        same = same.add(Column::Phone.eq(phone));
    }
    let find = Entity::find()
        .filter(Column::TenantId.eq(tenant.uuid()))
        .filter(Column::SubjectId.ne(it.id.uuid()))
        .filter(same);
    let other = find.one(&**tx).await.map_err(fault)?;
    Ok(other.map(|other| match () {
        () if other.username == it.username => Taken::Username,
        () if email.is_some() && other.email.as_deref() == email => Taken::Email,
        () => Taken::Phone,
    }))
}

/// Which accounts a page holds.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub kind: Option<SubjectKind>,
    pub state: Option<SubjectState>,
    pub after: Option<SubjectId>,
    pub limit: u64,
}

/// Where policy finds the attributes of an account: everybody owns the own record.
fn columns() -> Columns {
    Columns {
        owner: Some(Column::SubjectId.as_column_ref().into()),
        department: Some(Column::DepartmentId.as_column_ref().into()),
        ..Columns::new(Column::TenantId.as_column_ref(), Column::SubjectId.as_column_ref())
    }
}

/// Accounts that a scope shows, in the order of their ids: one query for each clause, merged.
pub async fn page(tx: &Tx, scope: &Scope, wanted: Wanted) -> Result<Vec<Account>, Failure> {
    let mut pages = Vec::new();
    for reached in scope.conditions(&columns()) {
        let mut find = Entity::find().filter(reached);
        if let Some(kind) = wanted.kind {
            find = find.filter(Column::Kind.eq(kind_name(kind)));
        }
        if let Some(state) = wanted.state {
            find = find.filter(Column::State.eq(state_name(state)));
        }
        if let Some(after) = wanted.after {
            find = find.filter(Column::SubjectId.gt(after.uuid()));
        }
        let rows = find.order_by_asc(Column::SubjectId).limit(wanted.limit).all(&**tx).await.map_err(fault)?;
        pages.push(rows.into_iter().map(|row| Ok(kept(row)?.account)).collect::<Result<Vec<_>, Failure>>()?);
    }
    Ok(merge_pages(pages, |account| account.id, usize::try_from(wanted.limit).unwrap_or(usize::MAX)))
}

/// Several accounts in the order of their ids.
pub async fn by_ids(tx: &Tx, tenant: TenantId, ids: &[SubjectId]) -> Result<Vec<Account>, Failure> {
    let find = Entity::find()
        .filter(Column::TenantId.eq(tenant.uuid()))
        .filter(tx.among(Column::SubjectId, ids.iter().map(|id| id.uuid())))
        .order_by_asc(Column::SubjectId);
    find.all(&**tx).await.map_err(fault)?.into_iter().map(|row| Ok(kept(row)?.account)).collect()
}

/// How many accounts a tenant has.
pub async fn count(tx: &Tx, tenant: TenantId) -> Result<u64, Failure> {
    use sea_orm::PaginatorTrait;
    Entity::find().filter(Column::TenantId.eq(tenant.uuid())).count(&**tx).await.map_err(fault)
}

/// Accounts of all tenants in the order of tenant and id.
pub async fn all(
    tx: &Tx,
    tenant: Option<TenantId>,
    after: Option<(TenantId, SubjectId)>,
    limit: u64,
) -> Result<Vec<(TenantId, Account)>, Failure> {
    let mut find = Entity::find().filter(Column::Kind.eq(USER));
    if let Some(tenant) = tenant {
        find = find.filter(Column::TenantId.eq(tenant.uuid()));
    }
    if let Some((tenant, subject)) = after {
        let same = Column::TenantId.eq(tenant.uuid()).and(Column::SubjectId.gt(subject.uuid()));
        find = find.filter(Column::TenantId.gt(tenant.uuid()).or(same));
    }
    let find = find.order_by_asc(Column::TenantId).order_by_asc(Column::SubjectId).limit(limit);
    let rows = find.all(&**tx).await.map_err(fault)?;
    rows.into_iter().map(|row| Ok((Id::from_uuid(row.tenant_id), kept(row)?.account))).collect()
}

/// A one-time link, as it is kept.
pub struct NewLink {
    pub hash: Vec<u8>,
    /// Who knows it beside its owner; nobody of the company when it was drawn from outside.
    pub drawn_by: Option<SubjectId>,
    pub expires_at: Timestamp,
}

/// Keeps a one-time link; the earlier ones of the account die.
pub async fn set_link(tx: &Tx, tenant: TenantId, subject: SubjectId, link: NewLink) -> Result<(), Failure> {
    drop_links(tx, tenant, subject).await?;
    let model = entity::password_link::Model {
        hash: link.hash,
        tenant_id: tenant.uuid(),
        subject_id: subject.uuid(),
        drawn_by_id: uuid(link.drawn_by.filter(|by| *by != subject)),
        expires_at: micros(link.expires_at),
    };
    insert(tx, model).await
}

pub async fn drop_links(tx: &Tx, tenant: TenantId, subject: SubjectId) -> Result<(), Failure> {
    use entity::password_link::{Column, Entity};
    let links =
        Entity::delete_many().filter(Column::TenantId.eq(tenant.uuid())).filter(Column::SubjectId.eq(subject.uuid()));
    links.exec(&**tx).await.map_err(fault)?;
    Ok(())
}

/// Whose link it is and who drew it, if it is still good.
pub async fn link(
    tx: &Tx,
    hash: &[u8],
    now: Timestamp,
) -> Result<Option<((TenantId, SubjectId), Option<SubjectId>)>, Failure> {
    let row = entity::password_link::Entity::find_by_id(hash.to_vec()).one(&**tx).await.map_err(fault)?;
    Ok(row
        .filter(|row| now < time(row.expires_at))
        .map(|row| ((Id::from_uuid(row.tenant_id), Id::from_uuid(row.subject_id)), id(row.drawn_by_id))))
}
