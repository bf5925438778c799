//! Accounts below another one: who is above may stop and limit them, and they never do more than who is above.

use revisit_proto::identity::v1 as pb;
use tonic::Code;

use super::support::{Person, World, log_in, on_each, refusal, refused, set_password};

/// A sales manager, an account below hers, and a colleague who stands below nobody.
struct Accounts {
    main: Person,
    sub: String,
    colleague: String,
}

async fn accounts(world: &World) -> Accounts {
    let root = &world.tenant.root_department_id;
    let branch = world.department(root, "Branch").await.department_id;
    let parent_user_id = world.user("main", &branch, "Sales manager").await.user_id;
    let request = pb::CreateUserRequest { parent_user_id, ..world.new_user("sub", &branch, "Sales manager").await };
    let made = world.admin.directory().create_user(request).await.expect("it is made").into_inner();
    set_password(&world.channel, &made.password_token).await.expect("the token is good");
    let colleague = world.user("colleague", &branch, "Sales representative").await.user_id;
    Accounts { main: world.log_in("main").await, sub: made.user.expect("the user").user_id, colleague }
}

fn suspend(user_id: &str) -> pb::SuspendUserRequest {
    pb::SuspendUserRequest { user_id: user_id.to_owned(), reason: "a test".to_owned(), ..Default::default() }
}

#[tokio::test]
async fn a_main_account_suspends_and_reactivates_its_own_and_nobody_else() {
    on_each(async |world| {
        let Accounts { main, sub, colleague } = accounts(world).await;
        let denied = refused(Code::PermissionDenied, "PERMISSION_DENIED");
        assert_eq!(refusal(main.directory().suspend_user(suspend(&colleague)).await), denied);
        let below = world.log_in("sub").await;
        assert_eq!(refusal(below.directory().suspend_user(suspend(&main.tokens.subject_id)).await), denied, "upwards");
        let stopped = main.directory().suspend_user(suspend(&sub)).await.expect("it is the own one").into_inner();
        assert_eq!(stopped.state(), pb::SubjectState::Suspended);
        assert_eq!(refusal(log_in(&world.channel, super::support::COMPANY, "sub").await).0, Code::Unauthenticated);
        let again = pb::ReactivateUserRequest { user_id: sub, reason: "a test".to_owned(), ..Default::default() };
        main.directory().reactivate_user(again).await.expect("it is the own one");
        world.log_in("sub").await;
    })
    .await;
}

#[tokio::test]
async fn a_main_account_takes_roles_from_its_own_and_gives_none() {
    on_each(async |world| {
        let Accounts { main, sub, colleague } = accounts(world).await;
        let (manager, rep) = (world.role("sales_manager").await, world.role("sales_rep").await);
        let denied = refused(Code::PermissionDenied, "PERMISSION_DENIED");
        let set = async |user_id: &str, role_id: &str, source: pb::RoleSource| {
            let request = pb::SetRoleOverrideRequest {
                user_id: user_id.to_owned(),
                role_id: role_id.to_owned(),
                source: source.into(),
                ..pb::SetRoleOverrideRequest::default()
            };
            main.access().set_role_override(request).await.map(drop)
        };
        assert_eq!(refusal(set(&colleague, &rep, pb::RoleSource::Removed).await), denied);
        assert_eq!(refusal(set(&sub, &rep, pb::RoleSource::Added).await), denied);
        set(&sub, &manager, pb::RoleSource::Removed).await.expect("it is the own one");
        let clear = pb::ClearRoleOverrideRequest { user_id: sub, role_id: manager, ..Default::default() };
        assert_eq!(refusal(main.access().clear_role_override(clear).await), denied, "giving it back is giving");
        let below = world.log_in("sub").await;
        let users = below.directory().list_users(pb::ListUsersRequest::default()).await;
        assert_eq!(refusal(users), denied, "its only role is gone");
    })
    .await;
}
