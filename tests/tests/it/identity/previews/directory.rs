//! Previews of changes of the directory that give and take rights: posts, heads, mergers, modules, and who is stopped.

use revisit_proto::identity::v1::{self as pb, preview_change_request::Change};
use tonic::Code;

use super::{Company, company, preview, rehearse};
use crate::identity::{
    strangers::explainer_of,
    support::{World, fields, on_each, refusal, refused},
};

fn mask(path: &str) -> Option<prost_types::FieldMask> {
    Some(prost_types::FieldMask { paths: vec![path.to_owned()] })
}

/// A post with the roles of other ones.
async fn roles_of(world: &World, position: &str, others: &[&str]) -> pb::UpdatePositionRequest {
    let get = async |name: &str| {
        let request = pb::GetPositionRequest { position_id: world.position(name).await };
        world.admin.directory().get_position(request).await.expect("it is there").into_inner()
    };
    let mut it = get(position).await;
    it.role_ids.clear();
    for other in others {
        it.role_ids.extend(get(other).await.role_ids);
    }
    pb::UpdatePositionRequest { position: Some(it), update_mask: mask("role_ids"), reason: String::new() }
}

fn headed(department: &str, head: &str) -> pb::UpdateDepartmentRequest {
    let (department_id, head_id) = (department.to_owned(), head.to_owned());
    let department = Some(pb::Department { department_id, head_id, ..pb::Department::default() });
    pb::UpdateDepartmentRequest { department, update_mask: mask("head_id"), reason: String::new() }
}

fn merged(ends: &str, into: &str) -> pb::MergeDepartmentRequest {
    let (department_id, into_department_id) = (ends.to_owned(), into.to_owned());
    pb::MergeDepartmentRequest { department_id, into_department_id, ..pb::MergeDepartmentRequest::default() }
}

fn switched(department: &str, off: bool) -> pb::SwitchModuleRequest {
    let (name, department_id) = ("sales".to_owned(), department.to_owned());
    pb::SwitchModuleRequest { name, department_id, off, reason: String::new() }
}

fn suspended(user: &str) -> pb::SuspendUserRequest {
    pb::SuspendUserRequest { user_id: user.to_owned(), ..pb::SuspendUserRequest::default() }
}

fn reactivated(user: &str) -> pb::ReactivateUserRequest {
    pb::ReactivateUserRequest { user_id: user.to_owned(), ..pb::ReactivateUserRequest::default() }
}

#[tokio::test]
async fn what_is_told_of_posts_and_mergers_is_what_their_writes_do_to_everybody_there() {
    on_each(async |world| {
        let company = company(world).await;
        let request = roles_of(world, "Sales representative", &["Marketing"]).await;
        rehearse(world, &company, "other roles of a post", Change::UpdatePosition(request.clone()), async || {
            world.admin.directory().update_position(request).await.expect("it is changed");
        })
        .await;
        // The third pair of rows lies in the south, where the lead of the north has nothing to say.
        let request = merged(&company.rows[4].department_id, &company.store);
        rehearse(world, &company, "a merger", Change::MergeDepartment(request.clone()), async || {
            world.admin.directory().merge_department(request).await.expect("they are one");
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn what_is_told_of_a_stopped_user_is_what_stopping_does_and_so_on_the_way_back() {
    on_each(async |world| {
        let company = company(world).await;
        let request = suspended(&company.lead);
        rehearse(world, &company, "a suspension", Change::SuspendUser(request.clone()), async || {
            world.admin.directory().suspend_user(request).await.expect("it is stopped");
        })
        .await;
        let request = reactivated(&company.lead);
        rehearse(world, &company, "a return", Change::ReactivateUser(request.clone()), async || {
            world.admin.directory().reactivate_user(request).await.expect("it is back");
        })
        .await;
        let state = preview(&world.admin, Change::ReactivateUser(reactivated(&company.lead)), &company).await;
        assert_eq!(refusal(state), refused(Code::FailedPrecondition, "USER_STATE"), "as the write is refused");
        let boss =
            preview(&world.admin, Change::SuspendUser(suspended(&world.tenant.administrator_id)), &company).await;
        assert_eq!(refusal(boss), refused(Code::FailedPrecondition, "ADMINISTRATOR"));
    })
    .await;
}

#[tokio::test]
async fn what_is_told_of_a_head_is_what_a_guard_then_leaves_to_a_manager() {
    on_each(async |world| {
        let company = company(world).await;
        let guard = pb::Guard {
            actions: vec!["customer.view".to_owned()],
            target: Some(pb::GuardTarget { except_owner: true, except_managers: true, ..pb::GuardTarget::default() }),
            reason: "those who work with them".to_owned(),
            ..pb::Guard::default()
        };
        let request = pb::CreateGuardRequest { guard: Some(guard), request_id: String::new() };
        world.admin.access().create_guard(request).await.expect("it is put up");
        let request = headed(&company.store, &company.lead);
        rehearse(world, &company, "a head", Change::UpdateDepartment(request.clone()), async || {
            world.admin.directory().update_department(request).await.expect("there is one");
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn what_is_told_of_a_module_is_what_switching_takes_and_gives_back() {
    on_each(async |world| {
        let company = company(world).await;
        let counts = async |off: bool| {
            let change = Change::SwitchModule(switched(&company.store, off));
            let told = preview(&world.admin, change, &company).await.expect("it is shown");
            assert_eq!((told.refusal_reason.as_str(), told.rows.len()), ("", 0));
            told.rights
        };
        let lost = counts(true).await;
        assert!(!lost.is_empty() && lost.iter().all(|right| right.after.is_none()), "{lost:?}");
        let whose: Vec<&str> = lost.iter().map(|right| right.subject_id.as_str()).collect();
        assert!(whose.iter().all(|id| *id == company.rep), "only those of the department: {whose:?}");
        assert_eq!(counts(false).await, [], "it is on");
        let modules = pb::ListModulesRequest { department_id: company.store.clone() };
        let modules = world.admin.access().list_modules(modules).await.expect("there are some").into_inner().modules;
        assert!(modules.iter().all(|module| !module.off_in_effect), "a preview switches nothing");
        world.admin.access().switch_module(switched(&company.store, true)).await.expect("it is off");
        assert_eq!(counts(true).await, []);
        let gained = counts(false).await;
        let names = |rights: &[pb::RightChange]| rights.iter().map(|it| it.action.clone()).collect::<Vec<_>>();
        assert_eq!(names(&gained), names(&lost), "the same comes back");
        assert!(gained.iter().all(|right| right.before.is_none()), "{gained:?}");
    })
    .await;
}

/// The changes of this file, about a company.
async fn changes(world: &World, company: &Company) -> Vec<Change> {
    vec![
        Change::UpdatePosition(roles_of(world, "Sales representative", &["Sales manager"]).await),
        Change::UpdateDepartment(headed(&company.store, &company.lead)),
        Change::MergeDepartment(merged(&company.store, &company.north)),
        Change::SwitchModule(switched("", true)),
        Change::SuspendUser(suspended(&company.lead)),
        Change::ReactivateUser(reactivated(&company.lead)),
    ]
}

#[tokio::test]
async fn nobody_previews_a_change_of_the_directory_without_the_right_to_explain_whom_it_is_about() {
    on_each(async |world| {
        let company = company(world).await;
        let denied = refused(Code::PermissionDenied, "PERMISSION_DENIED");
        let rep = world.log_in("rep").await;
        let look = explainer_of(world, "look", &company.store).await;
        for change in changes(world, &company).await {
            assert_eq!(refusal(preview(&rep, change.clone(), &company).await), denied, "{change:?}");
            // Of the users it is about somebody elsewhere, of the rest about the company.
            let one = matches!(change, Change::SuspendUser(_) | Change::ReactivateUser(_));
            let expected = if one { refused(Code::NotFound, "USER_NOT_FOUND") } else { denied.clone() };
            assert_eq!(refusal(preview(&look, change.clone(), &company).await), expected, "{change:?}");
        }
        let near = preview(&look, Change::SuspendUser(suspended(&company.rep)), &company).await.expect("it is shown");
        assert_eq!(near.refusal_reason, "PERMISSION_DENIED", "another one has to do it");
        assert!(near.rights.iter().all(|right| right.subject_id == company.rep) && !near.rights.is_empty());
    })
    .await;
}

#[tokio::test]
async fn what_is_wrong_with_a_proposed_change_of_the_directory_is_named_by_its_path() {
    on_each(async |world| {
        let company = company(world).await;
        let wrong = async |change: Change| fields(preview(&world.admin, change, &company).await);
        let nobody = uuid::Uuid::from_u128(7).to_string();
        let mut post = roles_of(world, "Marketing", &[]).await;
        if let Some(position) = &mut post.position {
            position.role_ids = vec![nobody.clone()];
        }
        assert_eq!(wrong(Change::UpdatePosition(post)).await, ["update_position.position.role_ids"]);
        let head = headed(&company.store, &nobody);
        assert_eq!(wrong(Change::UpdateDepartment(head)).await, ["update_department.department.head_id"]);
        let itself = merged(&company.store, &company.store);
        assert_eq!(wrong(Change::MergeDepartment(itself)).await, ["merge_department.into_department_id"]);
        let unknown = pb::SwitchModuleRequest { name: "nonsense".to_owned(), ..switched("", true) };
        assert_eq!(wrong(Change::SwitchModule(unknown)).await, ["switch_module.name"]);
        assert_eq!(wrong(Change::SuspendUser(suspended("one"))).await, ["suspend_user.user_id"]);
        assert_eq!(wrong(Change::ReactivateUser(reactivated("one"))).await, ["reactivate_user.user_id"]);
    })
    .await;
}
