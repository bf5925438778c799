//! Roles, grants, guards, and the questions about them.

use revisit_proto::identity::v1 as pb;
use tonic::Code;

use super::support::{Person, World, fields, on_each, refusal, refused};

pub fn row(world: &World, owner: &str) -> pb::RowAttributes {
    pb::RowAttributes {
        row_id: uuid::Uuid::from_u128(1).to_string(),
        owner_id: owner.to_owned(),
        department_id: world.tenant.root_department_id.clone(),
        stage: "lead".to_owned(),
        ..pb::RowAttributes::default()
    }
}

pub fn question(subject: &str, action: &str, row: pb::RowAttributes) -> pb::CheckRequest {
    let (subject_id, action) = (subject.to_owned(), action.to_owned());
    pb::CheckRequest { subject_id, action, row: Some(row), ..pb::CheckRequest::default() }
}

async fn explained(who: &Person, check: pb::CheckRequest) -> pb::ExplainAccessResponse {
    let request = pb::ExplainAccessRequest { check: Some(check) };
    who.access().explain_access(request).await.expect("it is explained").into_inner()
}

pub fn right(actions: &[&str], kind: pb::ExtentKind) -> pb::GrantTemplate {
    pb::GrantTemplate {
        actions: actions.iter().map(|action| (*action).to_owned()).collect(),
        extent: Some(pb::Extent { kind: kind.into(), ..pb::Extent::default() }),
        levels: Some(pb::LayerLevels { basic: pb::Level::Read.into(), ..pb::LayerLevels::default() }),
        ..pb::GrantTemplate::default()
    }
}

#[tokio::test]
async fn the_shipped_sales_role_edits_and_does_not_delete_and_the_manager_does_both() {
    on_each(async |world| {
        let root = &world.tenant.root_department_id;
        let mei = world.user("mei", root, "Sales representative").await.user_id;
        let head = world.user("head", root, "Sales manager").await.user_id;
        let allowed = async |subject: &str, action: &str| {
            explained(&world.admin, question(subject, action, row(world, &mei)))
                .await
                .answer
                .expect("an answer")
                .allowed
        };
        assert!(allowed(&mei, "customer.update").await);
        assert!(!allowed(&mei, "customer.delete").await);
        assert!(allowed(&head, "customer.update").await);
        assert!(allowed(&head, "customer.delete").await);
    })
    .await;
}

#[tokio::test]
async fn an_explanation_names_the_first_axis_that_refused() {
    on_each(async |world| {
        let root = &world.tenant.root_department_id;
        let mei = world.user("mei", root, "Sales representative").await.user_id;
        let axis = async |action: &str, row: pb::RowAttributes| {
            explained(&world.admin, question(&mei, action, row)).await.refused_axis()
        };
        let other = world.tenant.administrator_id.clone();
        assert_eq!(axis("customer.view", row(world, &mei)).await, pb::Axis::Unspecified);
        assert_eq!(axis("customer.view", row(world, &other)).await, pb::Axis::Extent);
        assert_eq!(axis("customer.delete", row(world, &mei)).await, pb::Axis::Operation);
        assert_eq!(axis("audit.view", row(world, &mei)).await, pb::Axis::Role);
        let served = pb::RowAttributes { stage: "service".to_owned(), ..row(world, &mei) };
        assert_eq!(axis("customer.update", served).await, pb::Axis::Stage);
    })
    .await;
}

#[tokio::test]
async fn a_batch_answers_each_question_by_itself() {
    on_each(async |world| {
        let root = &world.tenant.root_department_id;
        let mei = world.user("mei", root, "Sales representative").await.user_id;
        let broken = pb::CheckRequest::default();
        let checks = vec![
            question(&mei, "customer.view", row(world, &mei)),
            broken,
            question(&mei, "customer.nonsense", row(world, &mei)),
        ];
        let answered =
            world.admin.access().batch_check(pb::BatchCheckRequest { checks }).await.expect("it is answered");
        let results: Vec<_> = answered.into_inner().results.into_iter().filter_map(|it| it.result).collect();
        use pb::batch_check_result::Result as Answer;
        assert!(matches!(&results[0], Answer::Answer(answer) if answer.allowed), "{results:?}");
        assert!(matches!(&results[1], Answer::ErrorReason(reason) if reason == "INVALID_ARGUMENT"), "{results:?}");
        assert!(matches!(&results[2], Answer::Answer(answer) if !answer.allowed), "{results:?}");
        let none = world.admin.access().batch_check(pb::BatchCheckRequest::default()).await;
        assert_eq!(fields(none), ["checks"]);
    })
    .await;
}

#[tokio::test]
async fn somebody_without_the_right_to_explain_asks_about_herself_only() {
    on_each(async |world| {
        let root = &world.tenant.root_department_id;
        let mei = world.user("mei", root, "Sales representative").await.user_id;
        let person = world.log_in("mei").await;
        let own = person.access().check(question("", "customer.view", row(world, &mei))).await.expect("her own");
        assert!(own.into_inner().allowed);
        let boss = world.tenant.administrator_id.clone();
        let other = person.access().check(question(&boss, "customer.view", row(world, &mei))).await;
        assert_eq!(refusal(other), refused(Code::PermissionDenied, "PERMISSION_DENIED"));
    })
    .await;
}

#[tokio::test]
async fn a_grant_holds_from_its_revision_until_it_is_revoked() {
    on_each(async |world| {
        let root = &world.tenant.root_department_id;
        let mei = world.user("mei", root, "Sales representative").await.user_id;
        let request = pb::CreateGrantRequest {
            holder_id: mei.clone(),
            right: Some(right(&["department.manage"], pb::ExtentKind::Tenant)),
            reason: "helps with the new branch".to_owned(),
            ..pb::CreateGrantRequest::default()
        };
        let grant = world.admin.access().create_grant(request).await.expect("it is granted").into_inner();
        let may = async |token: &str| {
            let mut request = tonic::Request::new(question(&mei, "department.manage", row(world, &mei)));
            request.metadata_mut().insert("x-revisit-at-least", token.parse().expect("ASCII"));
            world.admin.access().check(request).await.expect("it is answered").into_inner()
        };
        let answer = may(&grant.revision_token).await;
        assert!(answer.allowed && answer.witness == format!("grant:{}", grant.grant_id), "{answer:?}");
        let target = Some(pb::revoke_and_wait_request::Target::GrantId(grant.grant_id.clone()));
        let request = pb::RevokeAndWaitRequest { target, reason: "done".to_owned() };
        let revoked = world.admin.access().revoke_and_wait(request).await.expect("it is revoked").into_inner();
        assert!(revoked.acknowledged, "the only holder of a lease lives");
        assert!(!may(&revoked.revision_token).await.allowed);
        let again = pb::RevokeGrantRequest { grant_id: grant.grant_id, reason: String::new() };
        let again = world.admin.access().revoke_grant(again).await;
        assert_eq!(refusal(again), refused(Code::NotFound, "GRANT_NOT_FOUND"));
    })
    .await;
}

#[tokio::test]
async fn bad_rights_are_refused_with_the_field_that_breaks_a_rule() {
    on_each(async |world| {
        let holder_id = world.tenant.administrator_id.clone();
        let create = async |right: pb::GrantTemplate| {
            let request = pb::CreateGrantRequest {
                holder_id: holder_id.clone(),
                right: Some(right),
                reason: "a test".to_owned(),
                ..pb::CreateGrantRequest::default()
            };
            world.admin.access().create_grant(request).await
        };
        assert_eq!(fields(create(right(&["customer.fly"], pb::ExtentKind::Tenant)).await), ["right.actions[0]"]);
        assert_eq!(fields(create(right(&["role.view"], pb::ExtentKind::Unspecified)).await), ["right.extent.kind"]);
        let mixed = right(&["role.view", "customer.view"], pb::ExtentKind::Tenant);
        assert_eq!(fields(create(mixed).await), ["right.actions"]);
        let unknown = pb::GrantTemplate {
            extent: Some(pb::Extent { kind: 99, ..pb::Extent::default() }),
            ..right(&["role.view"], pb::ExtentKind::Tenant)
        };
        assert_eq!(fields(create(unknown).await), ["right.extent.kind"]);
    })
    .await;
}

#[tokio::test]
async fn a_guard_takes_away_what_a_role_gives_until_it_is_taken_down() {
    on_each(async |world| {
        let root = &world.tenant.root_department_id;
        let mei = world.user("mei", root, "Sales representative").await.user_id;
        let guard = pb::Guard {
            target: Some(pb::GuardTarget::default()),
            actions: vec!["customer.view".to_owned()],
            condition: Some(pb::RowCondition { vip: true, ..pb::RowCondition::default() }),
            reason: "frozen accounts".to_owned(),
            ..pb::Guard::default()
        };
        let request = pb::CreateGuardRequest { guard: Some(guard), request_id: String::new() };
        let guard = world.admin.access().create_guard(request).await.expect("it is put up").into_inner();
        let axis = async |token: &str, vip: bool| {
            let check = question(&mei, "customer.view", pb::RowAttributes { vip, ..row(world, &mei) });
            let mut request = tonic::Request::new(pb::ExplainAccessRequest { check: Some(check) });
            request.metadata_mut().insert("x-revisit-at-least", token.parse().expect("ASCII"));
            world.admin.access().explain_access(request).await.expect("it is explained").into_inner().refused_axis()
        };
        assert_eq!(axis(&guard.revision_token, true).await, pb::Axis::Guard);
        assert_eq!(axis(&guard.revision_token, false).await, pb::Axis::Unspecified);
        let request = pb::DeleteGuardRequest { guard_id: guard.guard_id, reason: String::new() };
        let gone = world.admin.access().delete_guard(request).await.expect("it is taken down").into_inner();
        assert_eq!(axis(&gone.revision_token, true).await, pb::Axis::Unspecified);
    })
    .await;
}

#[tokio::test]
async fn own_roles_are_made_changed_and_removed_and_shipped_ones_stay() {
    on_each(async |world| {
        let request = pb::CreateRoleRequest {
            key: "greeter".to_owned(),
            display_name: "Greeter".to_owned(),
            templates: vec![right(&["department.view"], pb::ExtentKind::Tenant)],
            ..pb::CreateRoleRequest::default()
        };
        let role = world.admin.access().create_role(request.clone()).await.expect("it is made").into_inner();
        let again = world.admin.access().create_role(request).await;
        assert_eq!(refusal(again), refused(Code::AlreadyExists, "ROLE_KEY_TAKEN"));
        let shipped = pb::DeleteRoleRequest { role_id: world.role("sales_rep").await, ..Default::default() };
        let shipped = world.admin.access().delete_role(shipped).await;
        assert_eq!(refusal(shipped), refused(Code::FailedPrecondition, "ROLE_SHIPPED"));
        let root = &world.tenant.root_department_id;
        let mei = world.user("mei", root, "Sales representative").await.user_id;
        let give = pb::SetRoleOverrideRequest {
            user_id: mei.clone(),
            role_id: role.role_id.clone(),
            source: pb::RoleSource::Added.into(),
            reason: String::new(),
        };
        world.admin.access().set_role_override(give).await.expect("it is given");
        let delete = pb::DeleteRoleRequest { role_id: role.role_id.clone(), ..Default::default() };
        let used = world.admin.access().delete_role(delete.clone()).await;
        assert_eq!(refusal(used), refused(Code::FailedPrecondition, "ROLE_IN_USE"));
        let clear = pb::ClearRoleOverrideRequest { user_id: mei, role_id: role.role_id, reason: String::new() };
        world.admin.access().clear_role_override(clear).await.expect("it is cleared");
        world.admin.access().delete_role(delete).await.expect("nobody has it");
    })
    .await;
}

#[tokio::test]
async fn a_revision_that_was_never_issued_is_denied_at_once_and_not_waited_for() {
    on_each(async |world| {
        let root = &world.tenant.root_department_id;
        let mei = world.user("mei", root, "Sales representative").await.user_id;
        let person = world.log_in("mei").await;
        for auth_rev in [i64::MAX, 1_000_000] {
            let row = pb::RowAttributes { auth_rev, ..row(world, &mei) };
            // A wait for a revision lasts two seconds.
            let mut client = person.access();
            let asked = client.check(question("", "customer.view", row));
            let answered = tokio::time::timeout(std::time::Duration::from_secs(1), asked).await;
            let answered = answered.expect("nothing is waited for").expect("an answer").into_inner();
            assert!(!answered.allowed, "no revision is that far");
        }
        let row = pb::RowAttributes { auth_rev: 1, ..row(world, &mei) };
        assert!(
            person.access().check(question("", "customer.view", row)).await.expect("an answer").into_inner().allowed
        );
    })
    .await;
}
