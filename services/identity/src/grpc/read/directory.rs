//! Reading requests about companies, departments, positions, users and service accounts.

use revisit_bootstrap::idempotency::Repeatable;
use revisit_core::{Failure, Id, Input, id::PositionId};
use revisit_permission::{Address, Clarity, SubjectState};
use revisit_proto::identity::v1 as pb;

use super::{mask, names};
use crate::{
    domain::profile::{
        LIST_MAX, NAME_MAX, read_email, read_locale, read_phone, read_reason, read_region, read_tenant_key,
        read_time_zone, read_username,
    },
    operations::{
        departments::{DepartmentEdit, NewDepartment, NewPosition, PositionEdit},
        merge::Merger,
        profiles::Clear,
        service_accounts::NewServiceAccount,
        tenants::Founding,
        users::{NewUser, UserEdit},
    },
};

/// A create, and what makes it repeatable.
pub type Repeated<T> = (T, Option<Repeatable>);

pub fn create_tenant(message: pb::CreateTenantRequest) -> Result<Repeated<Founding>, Failure> {
    let mut input = Input::default();
    let repeat = Repeatable::read(&mut input, &message.request_id, "Directory.CreateTenant", &message);
    let email = read_email(&mut input, "administrator_email", &message.administrator_email);
    input.require(email.is_some(), "administrator_email", "is required");
    let founding = Founding {
        key: read_tenant_key(&mut input, "key", &message.key),
        display_name: input.text("display_name", &message.display_name, 1..=NAME_MAX),
        username: read_username(&mut input, "administrator_username", &message.administrator_username),
        email: Address::mail(email.unwrap_or_default()),
        time_zone: read_time_zone(&mut input, "time_zone", &message.time_zone),
        region: read_region(&mut input, "region", &message.region),
    };
    input.finish()?;
    Ok((founding, repeat))
}

pub fn create_department(message: pb::CreateDepartmentRequest) -> Result<Repeated<NewDepartment>, Failure> {
    let mut input = Input::default();
    let repeat = Repeatable::read(&mut input, &message.request_id, "Directory.CreateDepartment", &message);
    let new = NewDepartment {
        parent: input.id("parent_id", &message.parent_id),
        name: input.text("name", &message.name, 1..=NAME_MAX),
        head: input.id_optional("head_id", &message.head_id),
        reason: read_reason(&mut input, &message.reason),
    };
    input.finish()?;
    Ok((new, repeat))
}

/// An edit, and of what.
pub type Edited<K, T> = (Id<K>, T);

pub fn update_department(
    message: pb::UpdateDepartmentRequest,
) -> Result<Edited<revisit_core::id::kind::Department, DepartmentEdit>, Failure> {
    let mut input = Input::default();
    let paths = mask(&mut input, message.update_mask, &["name", "head_id"]);
    let it = input.required("department", message.department).unwrap_or_default();
    let id = input.id("department.department_id", &it.department_id);
    let name = names(&paths, "name").then(|| input.text("department.name", &it.name, 1..=NAME_MAX));
    let head = names(&paths, "head_id").then(|| input.id_optional("department.head_id", &it.head_id));
    let reason = read_reason(&mut input, &message.reason);
    input.finish()?;
    Ok((id, DepartmentEdit { name, head, etag: it.etag, reason, ..DepartmentEdit::default() }))
}

pub fn move_department(
    message: pb::MoveDepartmentRequest,
) -> Result<Edited<revisit_core::id::kind::Department, DepartmentEdit>, Failure> {
    let mut input = Input::default();
    let id = input.id("department_id", &message.department_id);
    let parent = Some(input.id("parent_id", &message.parent_id));
    let reason = read_reason(&mut input, &message.reason);
    input.finish()?;
    Ok((id, DepartmentEdit { parent, etag: message.etag, reason, ..DepartmentEdit::default() }))
}

/// Which departments, and the version that the caller has seen with the reason.
pub fn merge_department(message: pb::MergeDepartmentRequest) -> Result<(Merger, (String, String)), Failure> {
    let mut input = Input::default();
    let ends = input.id("department_id", &message.department_id);
    let into = input.id("into_department_id", &message.into_department_id);
    let reason = read_reason(&mut input, &message.reason);
    input.finish()?;
    Ok((Merger { ends, into }, (message.etag, reason)))
}

pub fn disable_department(
    message: pb::SetDepartmentDisabledRequest,
) -> Result<Edited<revisit_core::id::kind::Department, DepartmentEdit>, Failure> {
    let mut input = Input::default();
    let id = input.id("department_id", &message.department_id);
    let reason = read_reason(&mut input, &message.reason);
    input.finish()?;
    let disabled = Some(message.disabled);
    Ok((id, DepartmentEdit { disabled, etag: message.etag, reason, ..DepartmentEdit::default() }))
}

pub fn create_position(message: pb::CreatePositionRequest) -> Result<Repeated<NewPosition>, Failure> {
    let mut input = Input::default();
    let repeat = Repeatable::read(&mut input, &message.request_id, "Directory.CreatePosition", &message);
    let new = NewPosition {
        department: input.id("department_id", &message.department_id),
        name: input.text("name", &message.name, 1..=NAME_MAX),
        roles: input.ids("role_ids", &message.role_ids, LIST_MAX),
        reason: read_reason(&mut input, &message.reason),
    };
    input.finish()?;
    Ok((new, repeat))
}

pub fn update_position(
    message: pb::UpdatePositionRequest,
) -> Result<Edited<revisit_core::id::kind::Position, PositionEdit>, Failure> {
    let mut input = Input::default();
    let paths = mask(&mut input, message.update_mask, &["name", "role_ids"]);
    let it = input.required("position", message.position).unwrap_or_default();
    let id = input.id("position.position_id", &it.position_id);
    let name = names(&paths, "name").then(|| input.text("position.name", &it.name, 1..=NAME_MAX));
    let roles = names(&paths, "role_ids").then(|| input.ids("position.role_ids", &it.role_ids, LIST_MAX));
    let reason = read_reason(&mut input, &message.reason);
    input.finish()?;
    Ok((id, PositionEdit { name, roles, etag: it.etag, reason }))
}

pub fn delete_position(message: pb::DeletePositionRequest) -> Result<(PositionId, PositionEdit), Failure> {
    let mut input = Input::default();
    let id = input.id("position_id", &message.position_id);
    let reason = read_reason(&mut input, &message.reason);
    input.finish()?;
    Ok((id, PositionEdit { etag: message.etag, reason, ..PositionEdit::default() }))
}

pub fn create_user(message: pb::CreateUserRequest) -> Result<Repeated<NewUser>, Failure> {
    let mut input = Input::default();
    let repeat = Repeatable::read(&mut input, &message.request_id, "Directory.CreateUser", &message);
    input.require(!message.position_ids.is_empty(), "position_ids", "is required");
    let new = NewUser {
        username: read_username(&mut input, "username", &message.username),
        display_name: input.text("display_name", &message.display_name, 1..=NAME_MAX),
        email: read_email(&mut input, "email", &message.email).map(Address::mail),
        phone: read_phone(&mut input, "phone", &message.phone).map(Address::phone),
        department: input.id("department_id", &message.department_id),
        further: input.ids("further_department_ids", &message.further_department_ids, LIST_MAX),
        positions: input.ids("position_ids", &message.position_ids, LIST_MAX),
        manager: input.id_optional("manager_id", &message.manager_id),
        parent: input.id_optional("parent_user_id", &message.parent_user_id),
        time_zone: read_time_zone(&mut input, "time_zone", &message.time_zone),
        locale: read_locale(&mut input, "locale", &message.locale),
        reason: read_reason(&mut input, &message.reason),
    };
    let contact = !message.email.is_empty() || !message.phone.is_empty();
    input.require(contact, "email", "or a telephone number is required");
    input.finish()?;
    Ok((new, repeat))
}

const USER_FIELDS: [&str; 8] =
    ["display_name", "email", "phone", "further_department_ids", "position_ids", "manager_id", "time_zone", "locale"];
/// What a user may change about itself.
const OWN_FIELDS: [&str; 3] = ["display_name", "time_zone", "locale"];

pub fn update_user(
    message: pb::UpdateUserRequest,
) -> Result<Edited<revisit_core::id::kind::Subject, UserEdit>, Failure> {
    let mut input = Input::default();
    let paths = mask(&mut input, message.update_mask, &USER_FIELDS);
    let it = input.required("user", message.user).unwrap_or_default();
    let id = input.id("user.user_id", &it.user_id);
    let reason = read_reason(&mut input, &message.reason);
    let edit = UserEdit { reason, ..edit(&mut input, &paths, it) };
    input.finish()?;
    Ok((id, edit))
}

pub fn update_own_profile(message: pb::UpdateOwnProfileRequest) -> Result<UserEdit, Failure> {
    let mut input = Input::default();
    let paths = mask(&mut input, message.update_mask, &OWN_FIELDS);
    let it = input.required("user", message.user).unwrap_or_default();
    let edit = edit(&mut input, &paths, it);
    input.finish()?;
    Ok(edit)
}

fn edit(input: &mut Input, paths: &[String], it: pb::User) -> UserEdit {
    let named = |field| names(paths, field);
    if named("position_ids") {
        input.require(!it.position_ids.is_empty(), "user.position_ids", "is required");
    }
    UserEdit {
        display_name: named("display_name").then(|| input.text("user.display_name", &it.display_name, 1..=NAME_MAX)),
        email: named("email").then(|| read_email(input, "user.email", &it.email).map(Address::mail)),
        phone: named("phone").then(|| read_phone(input, "user.phone", &it.phone).map(Address::phone)),
        further: named("further_department_ids")
            .then(|| input.ids("user.further_department_ids", &it.further_department_ids, LIST_MAX)),
        positions: named("position_ids").then(|| input.ids("user.position_ids", &it.position_ids, LIST_MAX)),
        manager: named("manager_id").then(|| input.id_optional("user.manager_id", &it.manager_id)),
        time_zone: named("time_zone").then(|| read_time_zone(input, "user.time_zone", &it.time_zone)),
        locale: named("locale").then(|| read_locale(input, "user.locale", &it.locale)),
        etag: it.etag,
        reason: String::new(),
    }
}

pub fn clear(input: &mut Input, read_mask: Option<prost_types::FieldMask>) -> Clear {
    let mut clear = Clear::NONE;
    for path in read_mask.map(|mask| mask.paths).unwrap_or_default() {
        match path.as_str() {
            "email" => clear.email = Clarity::Clear,
            "phone" => clear.phone = Clarity::Clear,
            _ => input.refuse("read_mask", "names a field that has no clear value: email, phone"),
        }
    }
    clear
}

/// A state to filter by; unspecified is none.
pub fn state(input: &mut Input, value: i32) -> Option<SubjectState> {
    match pb::SubjectState::try_from(value) {
        Ok(pb::SubjectState::Unspecified) => None,
        Ok(pb::SubjectState::Invited) => Some(SubjectState::Invited),
        Ok(pb::SubjectState::Active) => Some(SubjectState::Active),
        Ok(pb::SubjectState::Suspended) => Some(SubjectState::Suspended),
        Ok(pb::SubjectState::Left) => Some(SubjectState::Left),
        Err(_) => {
            input.refuse("state", "is not a known state");
            None
        }
    }
}

pub fn create_service_account(
    message: pb::CreateServiceAccountRequest,
) -> Result<Repeated<NewServiceAccount>, Failure> {
    let mut input = Input::default();
    let repeat = Repeatable::read(&mut input, &message.request_id, "Directory.CreateServiceAccount", &message);
    let new = NewServiceAccount {
        display_name: input.text("display_name", &message.display_name, 1..=NAME_MAX),
        department: input.id("department_id", &message.department_id),
        roles: input.ids("role_ids", &message.role_ids, LIST_MAX),
        reason: read_reason(&mut input, &message.reason),
    };
    input.finish()?;
    Ok((new, repeat))
}
