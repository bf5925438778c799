//! What nobody does to the own benefit alone: taking over who holds more, widening by way of the organisation, handing
//! out more than the account above, holding duties that exclude each other.

use revisit_proto::identity::v1 as pb;
use tonic::Code;

use super::support::{Person, World, on_each, refusal, refused, set_password};

fn needs_another() -> (Code, String) {
    refused(Code::FailedPrecondition, "APPROVAL_REQUIRED")
}

fn mask(paths: &[&str]) -> Option<prost_types::FieldMask> {
    Some(prost_types::FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() })
}

fn whole_company(actions: &[&str]) -> pb::GrantTemplate {
    let write = pb::Level::Write.into();
    let levels = pb::LayerLevels { basic: write, sensitive: write, history: write, financial: write, review: write };
    pb::GrantTemplate {
        actions: actions.iter().map(|action| (*action).to_owned()).collect(),
        extent: Some(pb::Extent { kind: pb::ExtentKind::Tenant.into(), ..pb::Extent::default() }),
        levels: Some(levels),
        ..pb::GrantTemplate::default()
    }
}

/// A user who holds a role of these rights beside the position.
async fn clerk(world: &World, username: &str, (department, position): (&str, &str), rights: &[&[&str]]) -> pb::User {
    let user = world.user(username, department, position).await;
    let role = pb::CreateRoleRequest {
        key: format!("{username}_role"),
        display_name: username.to_owned(),
        templates: rights.iter().map(|actions| whole_company(actions)).collect(),
        ..pb::CreateRoleRequest::default()
    };
    let role = world.admin.access().create_role(role).await.expect("it is made").into_inner();
    overridden(&world.admin, &user.user_id, &role.role_id, pb::RoleSource::Added).await.expect("it is given");
    user
}

async fn overridden(
    who: &Person,
    user: &str,
    role: &str,
    source: pb::RoleSource,
) -> Result<pb::RoleAssignment, tonic::Status> {
    let (user_id, role_id) = (user.to_owned(), role.to_owned());
    let request = pb::SetRoleOverrideRequest { user_id, role_id, source: source.into(), reason: String::new() };
    who.access().set_role_override(request).await.map(tonic::Response::into_inner)
}

async fn link(who: &Person, user_id: &str) -> Result<pb::CreatePasswordLinkResponse, tonic::Status> {
    let request = pb::CreatePasswordLinkRequest { user_id: user_id.to_owned() };
    who.directory().create_password_link(request).await.map(tonic::Response::into_inner)
}

#[tokio::test]
async fn who_only_manages_users_takes_over_nobody_who_holds_more() {
    on_each(async |world| {
        let root = &world.tenant.root_department_id;
        let head = world.user("head", root, "Sales manager").await.user_id;
        let rights: [&[&str]; 1] = [&["user.view", "user.manage", "user.service_account_manage"]];
        let own = clerk(world, "clerk", (root, "Marketing"), &rights).await.user_id;
        let clerk = world.log_in("clerk").await;
        for target in [&head, &world.tenant.administrator_id] {
            assert_eq!(refusal(link(&clerk, target).await), needs_another());
        }
        link(&clerk, &own).await.expect("of the own account");
        link(&world.admin, &head).await.expect("who may give all of it");
        let request = pb::CreateServiceAccountRequest {
            display_name: "Warehouse".to_owned(),
            department_id: root.clone(),
            role_ids: vec![world.role("marketing").await],
            ..pb::CreateServiceAccountRequest::default()
        };
        let program = world.admin.directory().create_service_account(request).await.expect("it is made").into_inner();
        let rotate = || pb::RotateServiceAccountSecretRequest {
            service_account_id: program.service_account.clone().unwrap_or_default().service_account_id,
            reason: String::new(),
        };
        assert_eq!(refusal(clerk.directory().rotate_service_account_secret(rotate()).await), needs_another());
        world.admin.directory().rotate_service_account_secret(rotate()).await.expect("who may give all of it");
    })
    .await;
}

#[tokio::test]
async fn an_administrator_invites_an_auditor_and_does_not_come_in_as_one() {
    on_each(async |world| {
        let root = &world.tenant.root_department_id;
        let request = world.new_user("eyes", root, "Auditor").await;
        let made = world.admin.directory().create_user(request).await.expect("it is made").into_inner();
        let eyes = made.user.expect("the answer holds the user").user_id;
        let again = link(&world.admin, &eyes).await.expect("the invitation was lost");
        set_password(&world.channel, &again.password_token).await.expect("the newest link is good");
        assert_eq!(refusal(link(&world.admin, &eyes).await), needs_another());
    })
    .await;
}

/// A sales lead with a branch, and a store elsewhere in which somebody works. A guard hides important customers from
/// sales leads, except those of whom they lead.
struct Guarded {
    lead: String,
    person: Person,
    branch: String,
    store: String,
    mei: String,
}

async fn guarded(world: &World) -> Guarded {
    let root = &world.tenant.root_department_id;
    let branch = world.department(root, "Branch").await.department_id;
    let store = world.department(root, "Store").await.department_id;
    let mei = world.user("mei", &store, "Sales representative").await.user_id;
    let rights: [&[&str]; 3] =
        [&["user.view", "user.manage"], &["department.view", "department.manage"], &["grant.manage"]];
    let lead = clerk(world, "lead", (&branch, "Sales manager"), &rights).await.user_id;
    let role = world.role("sales_rep").await;
    overridden(&world.admin, &lead, &role, pb::RoleSource::Added).await.expect("a second role");
    let heads = pb::Department { department_id: branch.clone(), head_id: lead.clone(), ..pb::Department::default() };
    let update =
        pb::UpdateDepartmentRequest { department: Some(heads), update_mask: mask(&["head_id"]), reason: String::new() };
    world.admin.directory().update_department(update).await.expect("the administrator appoints");
    let target = pb::GuardTarget {
        whom: Some(pb::guard_target::Whom::RoleId(world.role("sales_manager").await)),
        except_managers: true,
        ..pb::GuardTarget::default()
    };
    let guard = pb::Guard {
        target: Some(target),
        actions: vec!["customer.view".to_owned()],
        condition: Some(pb::RowCondition { vip: true, ..pb::RowCondition::default() }),
        reason: "important customers".to_owned(),
        ..pb::Guard::default()
    };
    let request = pb::CreateGuardRequest { guard: Some(guard), ..pb::CreateGuardRequest::default() };
    world.admin.access().create_guard(request).await.expect("it is put up");
    Guarded { person: world.log_in("lead").await, lead, branch, store, mei }
}

#[tokio::test]
async fn whatever_change_of_the_organisation_would_widen_its_author_needs_another() {
    on_each(async |world| {
        let Guarded { lead, person, branch, store, mei } = guarded(world).await;
        let heads = pb::Department { department_id: store.clone(), head_id: lead.clone(), ..pb::Department::default() };
        let update = pb::UpdateDepartmentRequest {
            department: Some(heads),
            update_mask: mask(&["head_id"]),
            reason: String::new(),
        };
        assert_eq!(refusal(person.directory().update_department(update.clone()).await), needs_another(), "head");
        let led = pb::User { user_id: mei, manager_id: lead.clone(), ..pb::User::default() };
        let led = pb::UpdateUserRequest { user: Some(led), update_mask: mask(&["manager_id"]), reason: String::new() };
        assert_eq!(refusal(person.directory().update_user(led.clone()).await), needs_another(), "manager");
        let moved = pb::MoveDepartmentRequest {
            department_id: store.clone(),
            parent_id: branch.clone(),
            ..pb::MoveDepartmentRequest::default()
        };
        assert_eq!(refusal(person.directory().move_department(moved).await), needs_another(), "branch");
        let bound = world.role("sales_manager").await;
        let withheld = overridden(&person, &lead, &bound, pb::RoleSource::Removed).await;
        assert_eq!(refusal(withheld), needs_another(), "out of the guard's reach");
        // Who is new owns nothing, and another person may do all of it.
        let request = world.new_user("li", &branch, "Sales representative").await;
        person.directory().create_user(request).await.expect("somebody new of the own branch");
        world.admin.directory().update_user(led).await.expect("the administrator may");
        world.admin.directory().update_department(update).await.expect("the administrator may");
    })
    .await;
}

#[tokio::test]
async fn a_sub_account_hands_out_no_more_than_the_account_above_it_may() {
    on_each(async |world| {
        let root = &world.tenant.root_department_id;
        let branch = world.department(root, "Branch").await.department_id;
        let main = world.user("main", &branch, "Sales manager").await.user_id;
        let sub = pb::CreateUserRequest {
            parent_user_id: main.clone(),
            ..world.new_user("sub", &branch, "Sales manager").await
        };
        let made = world.admin.directory().create_user(sub).await.expect("it is made").into_inner();
        set_password(&world.channel, &made.password_token).await.expect("the token is good");
        let sub = made.user.expect("the answer holds the user").user_id;
        let rep = world.user("rep", &branch, "Sales representative").await.user_id;
        let granted = async |who: &Person, holder: &str, right: pb::GrantTemplate| {
            let (holder_id, right, reason) = (holder.to_owned(), Some(right), "a test".to_owned());
            let request = pb::CreateGrantRequest { holder_id, right, reason, ..pb::CreateGrantRequest::default() };
            who.access().create_grant(request).await.map(drop)
        };
        let below = |right: pb::GrantTemplate| {
            let kind = pb::ExtentKind::Subtree.into();
            let extent = pb::Extent { kind, department_id: branch.clone(), ..pb::Extent::default() };
            pb::GrantTemplate { extent: Some(extent), ..right }
        };
        let (grants, view) = (whole_company(&["grant.manage"]), whole_company(&["customer.view"]));
        granted(&world.admin, &main, below(grants.clone())).await.expect("in the branch");
        granted(&world.admin, &sub, grants).await.expect("everywhere");
        let person = world.log_in("sub").await;
        granted(&person, &rep, below(view.clone())).await.expect("both may");
        let wider = granted(&person, &rep, view).await;
        assert_eq!(refusal(wider), refused(Code::PermissionDenied, "GRANT_EXCEEDS_GRANTOR"));
    })
    .await;
}

#[tokio::test]
async fn nobody_hands_a_leavers_work_over_to_the_own_hands_without_the_right_to_transfer_it() {
    on_each(async |world| {
        let root = &world.tenant.root_department_id;
        let rights: [&[&str]; 1] = [&["user.view", "user.hand_over_manage"]];
        let clerk = clerk(world, "clerk", (root, "Sales representative"), &rights).await.user_id;
        let mei = world.user("mei", root, "Sales representative").await.user_id;
        let jun = world.user("jun", root, "Sales representative").await.user_id;
        let person = world.log_in("clerk").await;
        let ordered = async |to: pb::successor_rule::Rule| {
            let request = pb::StartHandOverRequest {
                user_id: jun.clone(),
                kind: pb::HandOverKind::Leave.into(),
                successor: Some(pb::SuccessorRule { rule: Some(to) }),
                reason: "leaves".to_owned(),
                ..pb::StartHandOverRequest::default()
            };
            person.hand_overs().start_hand_over(request).await.map(drop)
        };
        use pb::successor_rule::Rule;
        assert_eq!(refusal(ordered(Rule::UserId(clerk)).await), needs_another());
        assert_eq!(refusal(ordered(Rule::RoundRobinDepartmentId(root.clone())).await), needs_another());
        ordered(Rule::UserId(mei)).await.expect("to a colleague");
    })
    .await;
}

#[tokio::test]
async fn a_role_that_is_withheld_does_not_come_back_beside_one_that_it_excludes() {
    on_each(async |world| {
        let root = &world.tenant.root_department_id;
        let mei = world.user("mei", root, "Sales representative").await.user_id;
        let (rep, service) = (world.role("sales_rep").await, world.role("service").await);
        overridden(&world.admin, &mei, &rep, pb::RoleSource::Removed).await.expect("it is withheld");
        overridden(&world.admin, &mei, &service, pb::RoleSource::Added).await.expect("it is given");
        let request = pb::ClearRoleOverrideRequest { user_id: mei, role_id: rep, reason: String::new() };
        let cleared = world.admin.access().clear_role_override(request).await;
        assert_eq!(refusal(cleared), refused(Code::FailedPrecondition, "ROLE_CONFLICT"));
    })
    .await;
}

#[tokio::test]
async fn a_service_that_acts_for_a_user_asks_with_the_rights_of_the_user() {
    on_each(async |world| {
        let root = &world.tenant.root_department_id;
        let mei = world.user("mei", root, "Sales representative").await;
        let row = pb::RowAttributes { row_id: mei.user_id, ..pb::RowAttributes::default() };
        let ask = async |person: &Person| {
            let mut request = tonic::Request::new(pb::CheckRequest {
                tenant_id: world.tenant.tenant_id.clone(),
                subject_id: world.tenant.administrator_id.clone(),
                action: "user.view".to_owned(),
                row: Some(row.clone()),
            });
            let token = super::support::CUSTOMER_TOKEN.parse().expect("ASCII");
            request.metadata_mut().insert("x-revisit-caller", token);
            person.access().check(request).await.map(drop)
        };
        ask(&world.admin).await.expect("the administrator may explain");
        let denied = ask(&world.log_in("mei").await).await;
        assert_eq!(refusal(denied), refused(Code::PermissionDenied, "PERMISSION_DENIED"));
    })
    .await;
}
