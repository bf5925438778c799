//! Nobody locks a company out: after a change somebody who is active can undo it.

use revisit_proto::identity::v1 as pb;
use tonic::{Code, Status};

use super::support::{Person, World, on_each, refusal, refused};

fn locks_out() -> (Code, String) {
    refused(Code::FailedPrecondition, "NOBODY_COULD_UNDO")
}

fn over(action: &str, target: pb::GuardTarget) -> pb::CreateGuardRequest {
    let guard = pb::Guard {
        target: Some(target),
        actions: vec![action.to_owned()],
        reason: "a test".to_owned(),
        ..pb::Guard::default()
    };
    pb::CreateGuardRequest { guard: Some(guard), request_id: String::new() }
}

async fn guard(who: &Person, action: &str, target: pb::GuardTarget) -> Result<pb::Guard, Status> {
    who.access().create_guard(over(action, target)).await.map(tonic::Response::into_inner)
}

async fn without(world: &World, user_id: &str, source: pb::RoleSource) -> Result<pb::RoleAssignment, Status> {
    let role_id = world.role("admin").await;
    let user_id = user_id.to_owned();
    let request = pb::SetRoleOverrideRequest { user_id, role_id, source: source.into(), reason: String::new() };
    world.admin.access().set_role_override(request).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn a_guard_that_nobody_could_lift_is_refused() {
    on_each(async |world| {
        let everybody = pb::GuardTarget::default;
        for action in
            ["grant.guard_manage", "grant.manage", "role.manage", "user.manage", "user.view", "segment.manage"]
        {
            assert_eq!(refusal(guard(&world.admin, action, everybody()).await), locks_out(), "{action}");
        }
        let whom = pb::guard_target::Whom::RoleId(world.role("admin").await);
        let admins = pb::GuardTarget { whom: Some(whom), ..everybody() };
        assert_eq!(refusal(guard(&world.admin, "segment.manage", admins).await), locks_out());
        let preview = pb::PreviewChangeRequest {
            change: Some(pb::preview_change_request::Change::CreateGuard(over("role.manage", everybody()))),
            ..pb::PreviewChangeRequest::default()
        };
        let told = world.admin.access().preview_change(preview).await.expect("it is shown").into_inner();
        assert_eq!(told.refusal_reason, "NOBODY_COULD_UNDO");
        // Whoever is left out lifts it.
        let except = vec![world.tenant.administrator_id.clone()];
        let others = pb::GuardTarget { except_subject_ids: except, ..everybody() };
        let made = guard(&world.admin, "segment.manage", others).await.expect("the administrator is left out");
        let request = pb::DeleteGuardRequest { guard_id: made.guard_id, reason: String::new() };
        world.admin.access().delete_guard(request).await.expect("and lifts it");
        let made = guard(&world.admin, "customer.view", everybody()).await.expect("administrators see no customers");
        let request = pb::DeleteGuardRequest { guard_id: made.guard_id, reason: String::new() };
        world.admin.access().delete_guard(request).await.expect("so one of them lifts it");
    })
    .await;
}

#[tokio::test]
async fn the_last_administrator_keeps_the_role_and_one_of_two_gives_it_up() {
    on_each(async |world| {
        let (root, boss) = (&world.tenant.root_department_id, world.tenant.administrator_id.clone());
        assert_eq!(refusal(without(world, &boss, pb::RoleSource::Removed).await), locks_out());
        let (department_id, name) = (root.clone(), "Nothing to do".to_owned());
        let idle = pb::CreatePositionRequest { department_id, name, ..pb::CreatePositionRequest::default() };
        let idle = world.admin.directory().create_position(idle).await.expect("a post without roles").into_inner();
        let position_ids = vec![idle.position_id];
        let post = pb::User { user_id: boss.clone(), position_ids, ..pb::User::default() };
        let paths = vec!["position_ids".to_owned()];
        let update_mask = Some(prost_types::FieldMask { paths });
        let request = pb::UpdateUserRequest { user: Some(post), update_mask, reason: String::new() };
        assert_eq!(refusal(world.admin.directory().update_user(request).await), locks_out());
        let position_id = world.position("Administrator").await;
        let emptied = pb::Position { position_id, ..pb::Position::default() };
        let update_mask = Some(prost_types::FieldMask { paths: vec!["role_ids".to_owned()] });
        let request = pb::UpdatePositionRequest { position: Some(emptied), update_mask, reason: String::new() };
        assert_eq!(refusal(world.admin.directory().update_position(request).await), locks_out());
        world.user("second", root, "Administrator").await;
        without(world, &boss, pb::RoleSource::Removed).await.expect("the second can give it back");
    })
    .await;
}
