//! Reading roles, grants and guards.

use std::sync::Arc;

use revisit_bootstrap::{idempotency::Repeatable, wire::read_window};
use revisit_core::{
    Failure, Input,
    id::{DepartmentId, SubjectId},
};
use revisit_permission::{
    Action, ActionSet, Effect, Exceptions, Extent, Layer, Level, Levels, Module, NameSet, Place, RowCondition,
    Template, Whom,
};
use revisit_proto::identity::v1 as pb;

use super::{directory::Repeated, mask, names};
use crate::{
    domain::profile::{NAME_MAX, REASON_MAX, read_reason, read_role_key},
    operations::{
        grants::{NewGrant, NewGuard},
        modules::Turn,
        roles::{NewRole, RoleEdit, Source},
    },
};

const ACTIONS_MAX: usize = 64;
const NAMES_MAX: usize = 32;
const NAME_LENGTH_MAX: usize = 64;
const ROWS_MAX: usize = 1_000;
const EXCEPTIONS_MAX: usize = 100;
const TEMPLATES_MAX: usize = 100;

fn actions(input: &mut Input, field: &str, texts: &[String]) -> ActionSet {
    input.require(!texts.is_empty(), field, "is required");
    if texts.len() > ACTIONS_MAX {
        input.refuse(field, format!("must have at most {ACTIONS_MAX} entries"));
        return ActionSet::EMPTY;
    }
    let mut found = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        match Action::parse(text) {
            Some(action) => found.push(action),
            None => input.refuse(format!("{field}[{index}]"), "is not a known action"),
        }
    }
    ActionSet::of(&found)
}

fn name_set(input: &mut Input, field: &str, texts: Vec<String>) -> Option<NameSet> {
    if texts.is_empty() {
        return None;
    }
    input.require(texts.len() <= NAMES_MAX, field, "must have at most 32 entries");
    let fits = texts.iter().all(|text| !text.is_empty() && text.len() <= NAME_LENGTH_MAX);
    input.require(fits, field, "must hold names of 1 to 64 bytes");
    // Rows have no such names: a rule about one would give or bar nothing.
    let is_plain = texts.iter().all(|text| text.trim() == text && !text.chars().any(char::is_control));
    input.require(is_plain, field, "must hold names without control characters and space around them");
    Some(texts.into_iter().collect())
}

fn level(input: &mut Input, field: &str, value: i32, unspecified: Level) -> Level {
    match pb::Level::try_from(value) {
        Ok(pb::Level::Unspecified) => unspecified,
        Ok(pb::Level::Hidden) => Level::Hidden,
        Ok(pb::Level::Masked) => Level::Masked,
        Ok(pb::Level::Read) => Level::Read,
        Ok(pb::Level::Write) => Level::Write,
        Err(_) => {
            input.refuse(field, "is not a known level");
            Level::Hidden
        }
    }
}

/// Levels of a right (`unspecified` is hidden) or of a ceiling (`unspecified` caps nothing).
pub fn levels(input: &mut Input, field: &str, it: pb::LayerLevels, unspecified: Level) -> Levels {
    [
        (Layer::Basic, "basic", it.basic),
        (Layer::Sensitive, "sensitive", it.sensitive),
        (Layer::History, "history", it.history),
        (Layer::Financial, "financial", it.financial),
        (Layer::Review, "review", it.review),
    ]
    .into_iter()
    .fold(Levels::HIDDEN, |levels, (layer, name, value)| {
        levels.with(layer, level(input, &format!("{field}.{name}"), value, unspecified))
    })
}

/// An extent. A field that belongs to another kind is refused: dropped, it would make the reach wider than it was sent.
fn extent(input: &mut Input, field: &str, it: pb::Extent) -> Extent {
    use pb::ExtentKind as Kind;
    let at = |name: &str| format!("{field}.{name}");
    let Ok(kind) = Kind::try_from(it.kind) else {
        input.refuse(at("kind"), "is not a known kind");
        return Extent::Own;
    };
    let placed = [Kind::Department, Kind::Subtree, Kind::PooledDepartment, Kind::PooledSubtree];
    let narrowing: [(&str, bool, &[Kind]); 3] = [
        ("department_id", it.department_id.is_empty(), &placed),
        ("team_id", it.team_id.is_empty(), &[Kind::Team]),
        ("row_ids", it.row_ids.is_empty(), &[Kind::Ids]),
    ];
    for (name, absent, kinds) in narrowing {
        let fits = absent || kinds.contains(&kind) || kind == Kind::Unspecified;
        input.require(fits, &at(name), "does not belong to this kind of extent");
    }
    let place =
        |input: &mut Input| input.id_optional(&at("department_id"), &it.department_id).map_or(Place::Mine, Place::At);
    match kind {
        Kind::Own => Extent::Own,
        Kind::Task => Extent::Task,
        Kind::Department => Extent::Department(place(input)),
        Kind::Subtree => Extent::Subtree(place(input)),
        Kind::Team => Extent::Team(input.id(&at("team_id"), &it.team_id)),
        Kind::Ids => {
            input.require(!it.row_ids.is_empty(), &at("row_ids"), "is required");
            let ids = input.ids::<revisit_core::id::kind::Customer>(&at("row_ids"), &it.row_ids, ROWS_MAX);
            Extent::Ids(ids.into_iter().map(|id| id.uuid()).collect::<Arc<[_]>>())
        }
        Kind::Tenant => Extent::Tenant,
        Kind::PooledDepartment => Extent::Pooled(place(input), false),
        Kind::PooledSubtree => Extent::Pooled(place(input), true),
        Kind::Unspecified => {
            input.refuse(at("kind"), "is required");
            Extent::Own
        }
    }
}

fn template(input: &mut Input, field: &str, it: Option<pb::GrantTemplate>) -> Template {
    let it = input.required(field, it).unwrap_or_default();
    let at = |name: &str| format!("{field}.{name}");
    let reach = input.required(&at("extent"), it.extent).unwrap_or_default();
    Template {
        actions: actions(input, &at("actions"), &it.actions),
        extent: extent(input, &at("extent"), reach),
        stages: name_set(input, &at("stages"), it.stages),
        grades: name_set(input, &at("grades"), it.grades),
        external: name_set(input, &at("external_types"), it.external_types),
        levels: levels(input, &at("levels"), it.levels.unwrap_or_default(), Level::Hidden),
    }
}

fn templates(input: &mut Input, field: &str, them: Vec<pb::GrantTemplate>) -> Vec<Template> {
    input.require(!them.is_empty(), field, "is required");
    input.require(them.len() <= TEMPLATES_MAX, field, "must have at most 100 entries");
    let read = |(index, it)| template(input, &format!("{field}[{index}]"), Some(it));
    them.into_iter().take(TEMPLATES_MAX).enumerate().map(read).collect()
}

pub fn create_role(message: pb::CreateRoleRequest) -> Result<Repeated<NewRole>, Failure> {
    let mut input = Input::default();
    let repeat = Repeatable::read(&mut input, &message.request_id, "Access.CreateRole", &message);
    let new = NewRole {
        key: read_role_key(&mut input, "key", &message.key),
        display_name: input.text("display_name", &message.display_name, 1..=NAME_MAX),
        templates: templates(&mut input, "templates", message.templates),
        reason: read_reason(&mut input, &message.reason),
    };
    input.finish()?;
    Ok((new, repeat))
}

pub fn update_role(message: pb::UpdateRoleRequest) -> Result<(revisit_core::id::RoleId, RoleEdit), Failure> {
    let mut input = Input::default();
    let paths = mask(&mut input, message.update_mask, &["display_name", "templates"]);
    let it = input.required("role", message.role).unwrap_or_default();
    let id = input.id("role.role_id", &it.role_id);
    let display_name =
        names(&paths, "display_name").then(|| input.text("role.display_name", &it.display_name, 1..=NAME_MAX));
    let templates = names(&paths, "templates").then(|| templates(&mut input, "role.templates", it.templates));
    let reason = read_reason(&mut input, &message.reason);
    input.finish()?;
    Ok((id, RoleEdit { display_name, templates, etag: it.etag, reason }))
}

pub fn delete_role(message: pb::DeleteRoleRequest) -> Result<(revisit_core::id::RoleId, RoleEdit), Failure> {
    let mut input = Input::default();
    let id = input.id("role_id", &message.role_id);
    let reason = read_reason(&mut input, &message.reason);
    input.finish()?;
    Ok((id, RoleEdit { etag: message.etag, reason, ..RoleEdit::default() }))
}

/// Whose role, which, what of it, and why.
pub type Override = ((SubjectId, revisit_core::id::RoleId), Option<Source>, String);

pub fn set_override(message: pb::SetRoleOverrideRequest) -> Result<Override, Failure> {
    let mut input = Input::default();
    let key = (input.id("user_id", &message.user_id), input.id("role_id", &message.role_id));
    let source = match pb::RoleSource::try_from(message.source) {
        Ok(pb::RoleSource::Added) => Some(Source::Added),
        Ok(pb::RoleSource::Removed) => Some(Source::Removed(None)),
        Ok(pb::RoleSource::Unspecified | pb::RoleSource::Position) | Err(_) => {
            input.refuse("source", "must be ADDED or REMOVED");
            None
        }
    };
    let reason = read_reason(&mut input, &message.reason);
    input.finish()?;
    Ok((key, source, reason))
}

pub fn clear_override(message: pb::ClearRoleOverrideRequest) -> Result<Override, Failure> {
    let mut input = Input::default();
    let key = (input.id("user_id", &message.user_id), input.id("role_id", &message.role_id));
    let reason = read_reason(&mut input, &message.reason);
    input.finish()?;
    Ok((key, None, reason))
}

/// Which module where, which way, and why.
pub type Switched = ((Module, Option<DepartmentId>), Turn, String);

pub fn switch_module(message: &pb::SwitchModuleRequest) -> Result<Switched, Failure> {
    let mut input = Input::default();
    let module = Module::parse(&message.name);
    input.require(module.is_some(), "name", "must be a module");
    let department = input.id_optional("department_id", &message.department_id);
    let reason = read_reason(&mut input, &message.reason);
    input.finish()?;
    let module = module.ok_or_else(|| Failure::invalid_field("name", "must be a module"))?;
    Ok(((module, department), if message.off { Turn::Off } else { Turn::On }, reason))
}

pub fn create_grant(message: pb::CreateGrantRequest) -> Result<Repeated<NewGrant>, Failure> {
    let mut input = Input::default();
    let repeat = Repeatable::read(&mut input, &message.request_id, "Access.CreateGrant", &message);
    let ends = (("start_time", message.start_time), ("end_time", message.end_time));
    let (from, until) = read_window(&mut input, ends.0, ends.1);
    let new = NewGrant {
        holder: input.id("holder_id", &message.holder_id),
        right: template(&mut input, "right", message.right),
        from,
        until,
        reason: input.text("reason", &message.reason, 1..=REASON_MAX),
    };
    input.finish()?;
    Ok((new, repeat))
}

pub fn create_guard(message: pb::CreateGuardRequest) -> Result<Repeated<NewGuard>, Failure> {
    let mut input = Input::default();
    let repeat = Repeatable::read(&mut input, &message.request_id, "Access.CreateGuard", &message);
    let it = input.required("guard", message.guard).unwrap_or_default();
    let target = it.target.unwrap_or_default();
    let (whom, except) = (whom(&mut input, target.whom.as_ref()), exceptions(&mut input, &target));
    let effect = match it.cap {
        None => Effect::Deny,
        Some(cap) => Effect::Cap(levels(&mut input, "guard.cap", cap, Level::Write)),
    };
    let ends = (("guard.start_time", it.start_time), ("guard.end_time", it.end_time));
    let (from, until) = read_window(&mut input, ends.0, ends.1);
    let new = NewGuard {
        whom,
        except,
        actions: actions(&mut input, "guard.actions", &it.actions),
        condition: condition(&mut input, it.condition.unwrap_or_default()),
        effect,
        from,
        until,
        reason: input.text("guard.reason", &it.reason, 1..=REASON_MAX),
    };
    input.finish()?;
    Ok((new, repeat))
}

fn whom(input: &mut Input, it: Option<&pb::guard_target::Whom>) -> Whom {
    use pb::guard_target::Whom as Target;
    match it {
        None => Whom::Everyone,
        Some(Target::SubjectId(id)) => Whom::Subject(input.id("guard.target.subject_id", id)),
        Some(Target::RoleId(id)) => Whom::Role(input.id("guard.target.role_id", id)),
        Some(Target::DepartmentId(id)) => Whom::Department(input.id("guard.target.department_id", id)),
    }
}

fn exceptions(input: &mut Input, it: &pb::GuardTarget) -> Exceptions {
    Exceptions {
        owner: it.except_owner,
        managers: it.except_managers,
        subjects: input.ids("guard.target.except_subject_ids", &it.except_subject_ids, EXCEPTIONS_MAX),
    }
}

fn condition(input: &mut Input, it: pb::RowCondition) -> RowCondition {
    let ids = input.ids::<revisit_core::id::kind::Customer>("guard.condition.row_ids", &it.row_ids, ROWS_MAX);
    RowCondition {
        vip: it.vip,
        pooled: it.pooled,
        stages: name_set(input, "guard.condition.stages", it.stages),
        grades: name_set(input, "guard.condition.grades", it.grades),
        department: input.id_optional("guard.condition.department_id", &it.department_id),
        ids: (!ids.is_empty()).then(|| ids.into_iter().map(|id| id.uuid()).collect::<Arc<[_]>>()),
        external: name_set(input, "guard.condition.external_types", it.external_types),
    }
}
