//! How things of identity look on the wire.

use revisit_bootstrap::wire::{time, time_optional};
use revisit_core::{Id, id::SubjectId};
use revisit_permission::{
    ActionSet, Axis, Effect, Extent, Grant as GrantFacts, Guard, Layer, Level, Levels, NameSet, Place, Shown, Template,
    Whom,
};
use revisit_proto::identity::v1 as pb;

use crate::{
    domain::{Account, Department, HeldGrant, Position, Role, Session, Tenant},
    operations::{
        book::Revised,
        decisions::Answer,
        facts,
        log_in::Tokens,
        profiles::Profile,
        roles::{Assignment, Source},
    },
};

pub fn id<K>(id: Option<Id<K>>) -> String {
    id.map(|id| id.to_string()).unwrap_or_default()
}

pub fn ids<K>(ids: &[Id<K>]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}

pub fn tenant(it: Tenant) -> pb::Tenant {
    pb::Tenant {
        tenant_id: it.id.to_string(),
        key: it.key,
        display_name: it.display_name,
        region: it.region,
        root_department_id: it.root.to_string(),
        administrator_id: it.administrator.to_string(),
        create_time: Some(time(it.created_at)),
    }
}

pub fn founded_tenant(it: Revised<Tenant>) -> pb::CreateTenantResponse {
    let tenant = Some(tenant(it.value));
    pb::CreateTenantResponse { tenant, password_token: String::new(), password_token_expire_time: None }
}

pub fn department(it: Department) -> pb::Department {
    pb::Department {
        department_id: it.id.to_string(),
        parent_id: id(it.parent),
        name: it.name,
        head_id: id(it.head),
        disabled: it.disabled,
        create_time: Some(time(it.created_at)),
        etag: it.version.to_string(),
        revision_token: String::new(),
        merged_into_id: id(it.merged_into),
    }
}

pub fn revised_department(it: Revised<Department>) -> pb::Department {
    pb::Department { revision_token: it.token, ..department(it.value) }
}

pub fn position(it: Position) -> pb::Position {
    pb::Position {
        position_id: it.id.to_string(),
        department_id: it.department.to_string(),
        name: it.name,
        role_ids: ids(&it.roles),
        etag: it.version.to_string(),
        revision_token: String::new(),
    }
}

pub fn revised_position(it: Revised<Position>) -> pb::Position {
    pb::Position { revision_token: it.token, ..position(it.value) }
}

pub fn user(it: Profile) -> pb::User {
    let known = pb::User {
        user_id: it.id().to_string(),
        email: it.email().unwrap_or_default(),
        phone: it.phone().unwrap_or_default(),
        etag: it.etag(),
        ..pb::User::default()
    };
    match it.basic() {
        Shown::Hidden => known,
        Shown::Masked(name) => pb::User { display_name: name, ..known },
        Shown::Clear(account) => basic(account.clone(), it.manager, known),
    }
}

fn basic(account: Account, manager: Option<SubjectId>, known: pb::User) -> pb::User {
    pb::User {
        username: account.username,
        display_name: account.display_name,
        department_id: account.department.to_string(),
        further_department_ids: ids(&account.further),
        position_ids: ids(&account.positions),
        manager_id: id(account.manager),
        resolved_manager_id: id(manager),
        parent_user_id: id(account.parent),
        state: facts::state(account.state).into(),
        time_zone: account.time_zone,
        locale: account.locale,
        create_time: Some(time(account.created_at)),
        update_time: Some(time(account.updated_at)),
        ..known
    }
}

pub fn revised_user(it: Revised<Profile>) -> pb::User {
    pb::User { revision_token: it.token, ..user(it.value) }
}

pub fn created_user(it: Revised<Profile>) -> pb::CreateUserResponse {
    let user = Some(revised_user(it));
    pb::CreateUserResponse { user, password_token: String::new(), password_token_expire_time: None }
}

pub fn service_account(it: Account) -> pb::ServiceAccount {
    pb::ServiceAccount {
        service_account_id: it.id.to_string(),
        display_name: it.display_name,
        department_id: it.department.to_string(),
        role_ids: ids(&it.added_roles),
        state: facts::state(it.state).into(),
        create_time: Some(time(it.created_at)),
        etag: it.version.to_string(),
        revision_token: String::new(),
    }
}

pub fn created_service_account(it: Revised<Account>) -> pb::CreateServiceAccountResponse {
    let account = pb::ServiceAccount { revision_token: it.token, ..service_account(it.value) };
    pb::CreateServiceAccountResponse { service_account: Some(account), secret: String::new() }
}

pub const fn level(level: Level) -> pb::Level {
    match level {
        Level::Hidden => pb::Level::Hidden,
        Level::Masked => pb::Level::Masked,
        Level::Read => pb::Level::Read,
        Level::Write => pb::Level::Write,
    }
}

pub fn levels(levels: Levels) -> pb::LayerLevels {
    let of = |layer| level(levels.get(layer)).into();
    pb::LayerLevels {
        basic: of(Layer::Basic),
        sensitive: of(Layer::Sensitive),
        history: of(Layer::History),
        financial: of(Layer::Financial),
        review: of(Layer::Review),
    }
}

fn extent(it: &Extent) -> pb::Extent {
    use pb::ExtentKind as Kind;
    let kind = |kind: Kind| pb::Extent { kind: kind.into(), ..pb::Extent::default() };
    let at = |which: Kind, place: &Place| {
        let department_id = match place {
            Place::Mine => String::new(),
            Place::At(department) => department.to_string(),
        };
        pb::Extent { department_id, ..kind(which) }
    };
    match it {
        Extent::Own => kind(Kind::Own),
        Extent::Task => kind(Kind::Task),
        Extent::Department(place) => at(Kind::Department, place),
        Extent::Subtree(place) => at(Kind::Subtree, place),
        Extent::Team(team) => pb::Extent { team_id: team.to_string(), ..kind(Kind::Team) },
        Extent::Ids(rows) => pb::Extent { row_ids: rows.iter().map(ToString::to_string).collect(), ..kind(Kind::Ids) },
        Extent::Tenant => kind(Kind::Tenant),
        Extent::Pooled(place, false) => at(Kind::PooledDepartment, place),
        Extent::Pooled(place, true) => at(Kind::PooledSubtree, place),
    }
}

fn actions(it: ActionSet) -> Vec<String> {
    it.iter().map(|action| action.name().to_owned()).collect()
}

pub fn names(it: Option<&NameSet>) -> Vec<String> {
    it.map(|names| names.iter().map(ToString::to_string).collect()).unwrap_or_default()
}

fn template(it: &Template) -> pb::GrantTemplate {
    pb::GrantTemplate {
        actions: actions(it.actions),
        extent: Some(extent(&it.extent)),
        stages: names(it.stages.as_ref()),
        grades: names(it.grades.as_ref()),
        external_types: names(it.external.as_ref()),
        levels: Some(levels(it.levels)),
    }
}

pub fn role(it: Role) -> pb::Role {
    pb::Role {
        role_id: it.id.to_string(),
        key: it.key,
        display_name: it.display_name,
        templates: it.templates.iter().map(template).collect(),
        shipped: it.shipped,
        catalogue_version: it.catalogue_version,
        etag: it.version.to_string(),
        revision_token: String::new(),
    }
}

pub fn revised_role(it: Revised<Role>) -> pb::Role {
    pb::Role { revision_token: it.token, ..role(it.value) }
}

pub fn assignment(it: Assignment) -> pb::RoleAssignment {
    let (source, position) = match it.source {
        Source::Position(position) => (pb::RoleSource::Position, Some(position)),
        Source::Added => (pb::RoleSource::Added, None),
        Source::Removed(position) => (pb::RoleSource::Removed, position),
    };
    pb::RoleAssignment {
        user_id: it.user.to_string(),
        role_id: it.role.to_string(),
        source: source.into(),
        position_id: id(position),
        revision_token: String::new(),
    }
}

pub fn grant(it: HeldGrant) -> pb::Grant {
    let HeldGrant { grant, grantor, reason, created_at } = it;
    let GrantFacts { id: grant_id, holder, actions, extent, stages, grades, external, levels, from, until, origin: _ } =
        grant;
    let right = Template { actions, extent, stages, grades, external, levels };
    pb::Grant {
        grant_id: grant_id.to_string(),
        holder_id: holder.to_string(),
        right: Some(template(&right)),
        start_time: time_optional(Some(from)),
        end_time: time_optional(Some(until)),
        grantor_id: id(grantor),
        reason,
        create_time: Some(time(created_at)),
        revision_token: String::new(),
    }
}

pub fn revised_grant(it: Revised<HeldGrant>) -> pb::Grant {
    pb::Grant { revision_token: it.token, ..grant(it.value) }
}

pub fn guard(it: Guard) -> pb::Guard {
    use pb::guard_target::Whom as Target;
    let whom = match it.whom {
        Whom::Everyone => None,
        Whom::Subject(subject) => Some(Target::SubjectId(subject.to_string())),
        Whom::Role(role) => Some(Target::RoleId(role.to_string())),
        Whom::Department(department) => Some(Target::DepartmentId(department.to_string())),
    };
    let target = pb::GuardTarget {
        whom,
        except_owner: it.except.owner,
        except_managers: it.except.managers,
        except_subject_ids: ids(&it.except.subjects),
    };
    let condition = pb::RowCondition {
        vip: it.condition.vip,
        pooled: it.condition.pooled,
        stages: names(it.condition.stages.as_ref()),
        grades: names(it.condition.grades.as_ref()),
        department_id: id(it.condition.department),
        row_ids: it.condition.ids.iter().flat_map(|ids| ids.iter()).map(ToString::to_string).collect(),
        external_types: names(it.condition.external.as_ref()),
    };
    pb::Guard {
        guard_id: it.id.to_string(),
        target: Some(target),
        actions: actions(it.actions),
        condition: Some(condition),
        cap: match it.effect {
            Effect::Deny => None,
            Effect::Cap(ceiling) => Some(levels(ceiling)),
        },
        start_time: time_optional(Some(it.from)),
        end_time: time_optional(Some(it.until)),
        reason: it.reason,
        revision_token: String::new(),
    }
}

pub fn revised_guard(it: Revised<Guard>) -> pb::Guard {
    pb::Guard { revision_token: it.token, ..guard(it.value) }
}

pub fn tokens(it: Tokens) -> pb::TokenPair {
    pb::TokenPair {
        access_token: it.access,
        access_token_expire_time: Some(time(it.access_until)),
        refresh_token: it.refresh,
        refresh_token_expire_time: Some(time(it.refresh_until)),
        tenant_id: it.tenant.to_string(),
        subject_id: it.subject.to_string(),
        session_id: it.session.to_string(),
    }
}

pub fn session(it: Session) -> pb::Session {
    pb::Session {
        session_id: it.id.to_string(),
        subject_id: it.subject.to_string(),
        device: it.device,
        create_time: Some(time(it.created_at)),
        refresh_time: Some(time(it.refreshed_at)),
        expire_time: Some(time(it.expires_at)),
    }
}

pub fn answer(it: &Answer) -> pb::CheckResponse {
    pb::CheckResponse {
        allowed: it.allowed,
        levels: Some(levels(it.levels)),
        witness: it.witness.clone(),
        valid_until_time: time_optional(Some(it.valid_until)),
        revision: it.revision,
    }
}

pub const fn axis(axis: Axis) -> pb::Axis {
    match axis {
        Axis::Subject => pb::Axis::Subject,
        Axis::Module => pb::Axis::Module,
        Axis::Role => pb::Axis::Role,
        Axis::Operation => pb::Axis::Operation,
        Axis::Extent => pb::Axis::Extent,
        Axis::Stage => pb::Axis::Stage,
        Axis::Grade => pb::Axis::Grade,
        Axis::Time => pb::Axis::Time,
        Axis::Parent => pb::Axis::Parent,
        Axis::Guard => pb::Axis::Guard,
    }
}
