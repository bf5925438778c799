//! Companies: founding one with everything that its first administrator needs, and who may see which.

use prost::Message;
use revisit_bootstrap::{auth::Principal, database::Tx};
use revisit_core::{
    Failure, Ids, Kind, Timestamp,
    id::{DepartmentId, PositionId, RoleId, SubjectId, TenantId},
};
use revisit_permission::{
    self as permission, Action, Address, Change, Row, SubjectKind, SubjectState, Veiled, shipped_roles,
};

use super::book::{Book, Cause, Once, Revised};
use crate::{
    App,
    domain::{
        Account, Department, Error, Position, Role, Tenant,
        log_in::{draw_secret, hash_secret},
    },
    store::{
        accounts, organisation, roles,
        seen::{BATCH, Filling, Seen},
    },
};

/// The key of the role that an administrator's position gives.
const ADMIN: &str = "admin";

/// A company to be founded.
#[derive(Clone, Debug)]
pub struct Founding {
    pub key: String,
    pub display_name: String,
    pub username: String,
    pub email: Veiled<Address>,
    pub time_zone: String,
    /// ISO 3166-1 code.
    pub region: String,
}

/// A founded company, and the one-time token of its administrator.
pub struct Founded {
    pub tenant: Tenant,
    pub password_token: String,
    pub expires_at: Timestamp,
}

/// Where a founding draws its ids and secrets.
pub struct Draw<'a> {
    pub ids: &'a Ids,
    pub secrets: &'a Ids,
    pub now: Timestamp,
    pub link_until: Timestamp,
}

/// Writes a company, its root department, the shipped roles with a position each, and its administrator: revision 1.
/// Positions declared at the root hold everywhere, so a new branch has its presets the moment it is created.
pub async fn found(tx: &Tx, draw: &Draw<'_>, input: &Founding, cause: &Cause) -> Result<Founded, Error> {
    if organisation::tenant_by_key(tx, &input.key).await?.is_some() {
        return Err(Error::TenantKeyTaken);
    }
    let root = root(draw, input);
    let positions = presets(draw, root.id);
    let administrator = administrator(draw, input, (root.id, &positions));
    let tenant = Tenant {
        id: draw.ids.next(draw.now),
        key: input.key.clone(),
        display_name: input.display_name.clone(),
        region: input.region.clone(),
        root: root.id,
        administrator: administrator.id,
        revision: 0,
        created_at: draw.now,
    };
    organisation::add_tenant(tx, &tenant).await?;
    let mut book = Book::found(tenant.clone(), draw.now);
    book.add(Change::Department(root.facts()))?;
    organisation::add_department(tx, tenant.id, &root).await?;
    for (role, position) in &positions {
        book.add(Change::Role(role.facts()))?;
        roles::add(tx, tenant.id, role).await?;
        book.add(Change::Position(position.facts()))?;
        organisation::add_position(tx, tenant.id, position).await?;
    }
    book.add(Change::Subject(administrator.facts()))?;
    accounts::add(tx, tenant.id, &administrator, None).await?;
    let settings = permission::Tenant {
        administrator: Some(administrator.id),
        modules_off: Vec::new(),
        region: Some(input.region.clone()),
    };
    book.add(Change::Tenant(settings))?;
    let password_token = draw_secret(draw.secrets);
    // Who founds a company is none of its people.
    let link = accounts::NewLink { hash: hash_secret(&password_token), drawn_by: None, expires_at: draw.link_until };
    accounts::set_link(tx, tenant.id, administrator.id, link).await?;
    let revision = book.close(tx, cause).await?;
    Ok(Founded { tenant: Tenant { revision, ..tenant }, password_token, expires_at: draw.link_until })
}

fn root(draw: &Draw<'_>, input: &Founding) -> Department {
    Department {
        id: draw.ids.next::<revisit_core::id::kind::Department>(draw.now),
        parent: None,
        name: input.display_name.clone(),
        head: None,
        disabled: false,
        merged_into: None,
        modules_off: Vec::new(),
        version: 1,
        created_at: draw.now,
    }
}

/// A role and a position of the same name for each entry of the catalogue.
fn presets(draw: &Draw<'_>, root: DepartmentId) -> Vec<(Role, Position)> {
    let preset = |shipped: &permission::ShippedRole| {
        let role: RoleId = draw.ids.next(draw.now);
        let position: PositionId = draw.ids.next(draw.now);
        let role = Role {
            id: role,
            key: shipped.key.to_owned(),
            display_name: shipped.name.to_owned(),
            templates: shipped.templates.clone(),
            shipped: true,
            catalogue_version: i32::try_from(shipped.version).unwrap_or(i32::MAX),
            version: 1,
        };
        let name = shipped.name.to_owned();
        let position = Position { id: position, department: root, name, roles: vec![role.id], version: 1 };
        (role, position)
    };
    shipped_roles().iter().map(preset).collect()
}

fn administrator(draw: &Draw<'_>, input: &Founding, place: (DepartmentId, &[(Role, Position)])) -> Account {
    let (department, presets) = place;
    let id: SubjectId = draw.ids.next(draw.now);
    let of_admin = presets.iter().filter(|(role, _)| role.key == ADMIN);
    Account {
        id,
        kind: SubjectKind::User,
        state: SubjectState::Invited,
        username: input.username.clone(),
        display_name: input.username.clone(),
        email: Some(input.email.clone()),
        phone: None,
        department,
        further: Vec::new(),
        positions: of_admin.map(|(_, position)| position.id).collect(),
        added_roles: Vec::new(),
        removed_roles: Vec::new(),
        manager: None,
        parent: None,
        time_zone: input.time_zone.clone(),
        locale: crate::domain::profile::LOCALE.to_owned(),
        version: 1,
        created_at: draw.now,
        updated_at: draw.now,
    }
}

/// Operators alone look over the border of a company; everybody else is denied.
fn operator(app: &App, who: &Principal) -> Result<permission::Decided, Error> {
    if who.tenant() != app.authority.operator {
        return Err(Failure::new(Kind::Denied, "PERMISSION_DENIED", "only operators do this").into());
    }
    Ok(who.decide(Action::TenantManage, &Row::of_tenant(who.tenant()))?)
}

/// Founds a company. The token is there for the first of equal requests only, because what is kept for repeats is no
/// secret.
pub async fn create<M: Message + Default>(
    app: &App,
    who: &Principal,
    input: Founding,
    once: Once<Tenant, M>,
) -> Result<(M, Option<(String, Timestamp)>), Error> {
    let permit = operator(app, who)?;
    let cause = Cause::new(who, Action::TenantManage.name(), "");
    let (tenant, subject) = (who.tenant(), who.subject());
    let Once { repeat, answer } = once;
    // The rows belong to a tenant that does not exist yet, so no permit of a tenant can write them.
    let permit = app.workers.found.ordered_by(permit);
    let (answer, founded) = app
        .store
        .write(&permit, async move |tx| {
            if let Some(repeat) = &repeat
                && let Some(kept) = repeat.first_answer(tx, tenant, subject).await?
            {
                return Ok((M::decode(kept.as_slice()).map_err(Failure::internal)?, None));
            }
            let now = crate::store::now(tx).await?;
            let link_until = now + app.config.password_link();
            let draw = Draw { ids: &app.ids, secrets: &app.secrets, now, link_until };
            let founded = found(tx, &draw, &input, &cause).await?;
            let (value, revision) = (founded.tenant.clone(), founded.tenant.revision);
            let token = app.token(value.id, revision)?;
            let answer = answer(Revised { value, revision, token });
            if let Some(repeat) = &repeat {
                repeat.keep(tx, tenant, subject, answer.encode_to_vec()).await?;
            }
            Ok((answer, Some(founded)))
        })
        .await?;
    let Some(founded) = founded else { return Ok((answer, None)) };
    app.settled(founded.tenant.id, founded.tenant.revision).await;
    Ok((answer, Some((founded.password_token, founded.expires_at))))
}

pub async fn get(app: &App, who: &Principal, id: TenantId) -> Result<Tenant, Error> {
    if id != who.tenant() {
        operator(app, who).map_err(|_| Error::NoSuchTenant)?;
    }
    let permit = who.caller.own(&who.leases).map_err(Failure::from)?;
    let found = app.store.read(&permit, async |tx| Ok(organisation::tenant_by_id(tx, id).await?)).await?;
    found.ok_or(Error::NoSuchTenant)
}

pub async fn list(app: &App, who: &Principal, after: Option<TenantId>, size: u32) -> Result<Seen<Tenant>, Error> {
    let permit = operator(app, who)?;
    app.store
        .read(&permit, async |tx| {
            let mut filling = Filling::new(size, after.map(TenantId::uuid));
            while let Some(after) = filling.wants() {
                let batch = organisation::tenants(tx, after.map(TenantId::from_uuid), BATCH).await?;
                filling.take(batch, |it| it.id.uuid(), |_| true);
            }
            Ok(filling.page(|it| it.id.uuid()))
        })
        .await
}
