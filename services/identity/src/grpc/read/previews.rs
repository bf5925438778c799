//! Reading proposed changes: each is the request that would make it, read by the same rules.

use revisit_core::{
    Failure, Input,
    id::{TenantId, kind},
};
use revisit_permission::Row;
use revisit_proto::identity::v1::{self as pb, preview_change_request::Change};

use super::{Paged, access, directory, external, id_and_reason, page, rights};
use crate::operations::{
    previews::{Preview, Proposal, SUBJECTS_MAX},
    users::Turn,
};

const ROWS_MAX: usize = 1_000;
const ACTIONS_MAX: usize = 8;

pub fn preview(message: pb::PreviewChangeRequest) -> Result<(Preview, Paged<kind::Subject>), Failure> {
    let mut input = Input::default();
    let asked = format!("{:?} {:?}", message.change, message.rows);
    let shape =
        [&["preview", &asked], message.actions.iter().map(String::as_str).collect::<Vec<_>>().as_slice()].concat();
    let paged = page(&mut input, message.page_size, &message.page_token, &shape)?;
    let rows = rows(&mut input, message.rows);
    input.require(rows.is_empty() || !message.actions.is_empty(), "actions", "is required with rows");
    input.require(message.actions.len() <= ACTIONS_MAX, "actions", "must have at most 8 entries");
    let named = message.actions.iter().take(ACTIONS_MAX).enumerate();
    let actions =
        named.map(|(index, action)| access::action(&mut input, &format!("actions[{index}]"), action)).collect();
    let change = input.required("change", message.change);
    input.finish()?;
    let change = change.ok_or_else(|| Failure::invalid_field("change", "is required"))?;
    let (after, size) = (paged.after, paged.page.size.min(SUBJECTS_MAX));
    let (field, read) = proposal(change);
    let proposal = read.map_err(|failure| failure.within(field))?;
    Ok((Preview { proposal, field, rows, actions, after, size }, paged))
}

fn rows(input: &mut Input, them: Vec<pb::RowAttributes>) -> Vec<Row> {
    if them.len() > ROWS_MAX {
        input.refuse("rows", "must have at most 1,000 entries");
        return Vec::new();
    }
    let read = |(index, it)| access::row(input, &format!("rows[{index}]"), None::<TenantId>, it);
    them.into_iter().enumerate().map(read).collect()
}

/// The proposed change, and its field in the request.
fn proposal(change: Change) -> (&'static str, Result<Proposal, Failure>) {
    match change {
        Change::CreateGrant(it) => ("create_grant", rights::create_grant(it).map(|(input, _)| Proposal::Grant(input))),
        Change::RevokeGrant(it) => {
            let read = id_and_reason("grant_id", &it.grant_id, &it.reason);
            ("revoke_grant", read.map(|(id, _)| Proposal::Revocation(id)))
        }
        Change::UpdateRole(it) => ("update_role", rights::update_role(it).map(|(id, edit)| Proposal::Role(id, edit))),
        Change::SetRoleOverride(it) => {
            let read = rights::set_override(it);
            ("set_role_override", read.map(|((user, role), source, _)| Proposal::Override(user, role, source)))
        }
        Change::ClearRoleOverride(it) => {
            let read = rights::clear_override(it);
            ("clear_role_override", read.map(|((user, role), source, _)| Proposal::Override(user, role, source)))
        }
        Change::UpdateUser(it) => {
            ("update_user", directory::update_user(it).map(|(id, edit)| Proposal::User(id, edit)))
        }
        Change::MoveDepartment(it) => {
            ("move_department", directory::move_department(it).map(|(id, edit)| Proposal::Department(id, edit)))
        }
        Change::UpdateDepartment(it) => {
            ("update_department", directory::update_department(it).map(|(id, edit)| Proposal::Department(id, edit)))
        }
        Change::MergeDepartment(it) => {
            let read = directory::merge_department(it);
            ("merge_department", read.map(|(merger, (etag, _))| Proposal::Merger(merger, etag)))
        }
        Change::UpdatePosition(it) => {
            ("update_position", directory::update_position(it).map(|(id, edit)| Proposal::Position(id, edit)))
        }
        Change::SuspendUser(it) => {
            let read = id_and_reason("user_id", &it.user_id, &it.reason);
            ("suspend_user", read.map(|(id, _)| Proposal::Turn(id, Turn::Suspend, it.etag)))
        }
        Change::ReactivateUser(it) => {
            let read = id_and_reason("user_id", &it.user_id, &it.reason);
            ("reactivate_user", read.map(|(id, _)| Proposal::Turn(id, Turn::Reactivate, it.etag)))
        }
        Change::SwitchModule(it) => {
            ("switch_module", rights::switch_module(&it).map(|(what, turn, _)| Proposal::Switch(what, turn)))
        }
        Change::CreateGuard(it) => ("create_guard", rights::create_guard(it).map(|(input, _)| Proposal::Guard(input))),
        Change::DeleteGuard(it) => {
            let read = id_and_reason("guard_id", &it.guard_id, &it.reason);
            ("delete_guard", read.map(|(id, _)| Proposal::GuardRemoval(id)))
        }
        Change::CreateExternalType(it) => {
            ("create_external_type", external::create_type(it).map(|(input, _)| Proposal::Type(input)))
        }
        Change::UpdateExternalType(it) => {
            ("update_external_type", external::update_type(it).map(|(name, edit)| Proposal::TypeChange(name, edit)))
        }
        Change::DeleteExternalType(it) => {
            ("delete_external_type", external::delete_type(it).map(|(name, edit)| Proposal::TypeRemoval(name, edit)))
        }
    }
}
