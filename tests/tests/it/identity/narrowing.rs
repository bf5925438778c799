//! Rules are written as they were sent, or refused by the field: nothing that would narrow one is dropped, and no name that
//! means nothing is taken.

use revisit_proto::identity::v1 as pb;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::{
    access::{question, right, row},
    support::{World, fields, on_each, refusal, refused},
};

const NOBODY: &str = "00000000-0000-4000-8000-000000000009";
/// An instant of the year 2100, in seconds.
const FAR: i64 = 4_102_444_800;

fn extent(kind: pb::ExtentKind) -> pb::Extent {
    pb::Extent { kind: kind.into(), ..pb::Extent::default() }
}

fn view(extent: pb::Extent) -> pb::GrantTemplate {
    pb::GrantTemplate { extent: Some(extent), ..right(&["customer.view"], pb::ExtentKind::Own) }
}

async fn grant(world: &World, holder: &str, right: pb::GrantTemplate) -> Result<pb::Grant, Status> {
    let request = pb::CreateGrantRequest {
        holder_id: holder.to_owned(),
        right: Some(right),
        reason: "a test".to_owned(),
        ..pb::CreateGrantRequest::default()
    };
    world.admin.access().create_grant(request).await.map(tonic::Response::into_inner)
}

async fn guard(world: &World, guard: pb::Guard) -> Result<pb::Guard, Status> {
    let guard = pb::Guard { reason: "a test".to_owned(), ..guard };
    let request = pb::CreateGuardRequest { guard: Some(guard), request_id: String::new() };
    world.admin.access().create_guard(request).await.map(tonic::Response::into_inner)
}

async fn role(world: &World, template: pb::GrantTemplate) -> Result<pb::Role, Status> {
    let request = pb::CreateRoleRequest {
        key: "looker".to_owned(),
        display_name: "Looker".to_owned(),
        templates: vec![right(&["customer.view"], pb::ExtentKind::Own), template],
        ..pb::CreateRoleRequest::default()
    };
    world.admin.access().create_role(request).await.map(tonic::Response::into_inner)
}

/// Each kind of extent with a field that belongs to another.
fn mismatched(department: &str) -> Vec<(&'static str, pb::Extent)> {
    use pb::ExtentKind as Kind;
    let placed = |kind| pb::Extent { department_id: department.to_owned(), ..extent(kind) };
    let teamed = |kind| pb::Extent { team_id: NOBODY.to_owned(), ..extent(kind) };
    let named = |kind| pb::Extent { row_ids: vec![NOBODY.to_owned()], ..extent(kind) };
    let mut all = Vec::new();
    for kind in [Kind::Own, Kind::Task, Kind::Tenant] {
        all.extend([("department_id", placed(kind)), ("team_id", teamed(kind)), ("row_ids", named(kind))]);
    }
    for kind in [Kind::Department, Kind::Subtree, Kind::PooledDepartment, Kind::PooledSubtree] {
        all.extend([("team_id", teamed(kind)), ("row_ids", named(kind))]);
    }
    let team = pb::Extent { team_id: NOBODY.to_owned(), ..placed(Kind::Team) };
    let rows = pb::Extent { row_ids: vec![NOBODY.to_owned()], ..placed(Kind::Ids) };
    all.extend([("department_id", team), ("department_id", rows)]);
    all
}

#[tokio::test]
async fn an_extent_is_never_wider_than_it_was_sent() {
    on_each(async |world| {
        let root = &world.tenant.root_department_id;
        let west = world.department(root, "West").await.department_id;
        let mei = world.user("mei", root, "Marketing").await.user_id;
        for (field, extent) in mismatched(&west) {
            let kind = extent.kind();
            let named = |path: &str| [format!("{path}.extent.{field}")];
            assert_eq!(fields(grant(world, &mei, view(extent.clone())).await), named("right"), "{kind:?}");
            assert_eq!(fields(role(world, view(extent.clone())).await), named("templates[1]"), "{kind:?}");
            let change = pb::CreateGrantRequest {
                holder_id: mei.clone(),
                right: Some(view(extent)),
                reason: "a test".to_owned(),
                ..pb::CreateGrantRequest::default()
            };
            let preview = pb::PreviewChangeRequest {
                change: Some(pb::preview_change_request::Change::CreateGrant(change)),
                ..pb::PreviewChangeRequest::default()
            };
            let told = world.admin.access().preview_change(preview).await;
            assert_eq!(fields(told), named("create_grant.right"), "{kind:?}");
        }
        let of_west = pb::Extent { department_id: west.clone(), ..extent(pb::ExtentKind::Subtree) };
        let made = grant(world, &mei, view(of_west.clone())).await.expect("what belongs together is taken");
        assert_eq!(made.right.and_then(|it| it.extent), Some(of_west));
    })
    .await;
}

#[tokio::test]
async fn an_exception_of_a_guard_that_no_row_has_is_refused() {
    on_each(async |world| {
        let target = |except_owner, ids: &[&str]| pb::GuardTarget {
            except_owner,
            except_subject_ids: ids.iter().map(|id| (*id).to_owned()).collect(),
            ..pb::GuardTarget::default()
        };
        let over = |actions: &[&str], target| pb::Guard {
            actions: actions.iter().map(|action| (*action).to_owned()).collect(),
            target: Some(target),
            ..pb::Guard::default()
        };
        let ownerless = guard(world, over(&["template.view"], target(true, &[]))).await;
        assert_eq!(fields(ownerless), ["guard.target"], "templates have no owner");
        let stranger = guard(world, over(&["customer.view"], target(true, &[NOBODY]))).await;
        assert_eq!(fields(stranger), ["guard.target.except_subject_ids"]);
        guard(world, over(&["customer.view"], target(true, &[]))).await.expect("customers have owners");
    })
    .await;
}

#[tokio::test]
async fn stages_that_no_customer_can_be_in_are_refused() {
    on_each(async |world| {
        let mei = world.user("mei", &world.tenant.root_department_id, "Marketing").await.user_id;
        let in_stage = |stage: &str| pb::GrantTemplate {
            stages: vec!["lead".to_owned(), stage.to_owned()],
            ..right(&["customer.view"], pb::ExtentKind::Own)
        };
        assert_eq!(fields(grant(world, &mei, in_stage("nonsense")).await), ["right.stages"]);
        assert_eq!(fields(role(world, in_stage("nonsense")).await), ["templates[1].stages"]);
        let condition = Some(pb::RowCondition { stages: vec!["nonsense".to_owned()], ..Default::default() });
        let actions = vec!["customer.view".to_owned()];
        let barred = guard(world, pb::Guard { actions, condition, ..pb::Guard::default() }).await;
        assert_eq!(fields(barred), ["guard.condition.stages"]);
        grant(world, &mei, in_stage("won")).await.expect("it ships");
    })
    .await;
}

#[tokio::test]
async fn names_with_control_characters_or_longer_than_any_are_refused_of_rows_and_of_rules() {
    on_each(async |world| {
        let mei = world.user("mei", &world.tenant.root_department_id, "Marketing").await.user_id;
        let stage = |name: &str| pb::RowAttributes { stage: name.to_owned(), ..row(world, &mei) };
        let grade = |name: &str| pb::RowAttributes { grade: name.to_owned(), ..row(world, &mei) };
        let long = "x".repeat(101);
        for bad in ["le\u{0}ad", "lead\n", "\tlead", "lead\u{85}", &long] {
            for (row, field) in [(stage(bad), "row.stage"), (grade(bad), "row.grade")] {
                let check = question(&mei, "customer.view", row.clone());
                let told = world.admin.access().check(check.clone()).await;
                assert_eq!(fields(told), [field], "{bad:?}");
                let fields_asked = pb::CheckFieldsRequest { check: Some(check), fields: vec!["name".to_owned()] };
                assert_eq!(fields(world.admin.access().check_fields(fields_asked).await), [field], "{bad:?}");
            }
        }
        assert!(world.admin.access().check(question(&mei, "customer.view", stage("lead"))).await.is_ok());
        // Rows have no such names, whatever their type: a rule about one would give or bar nothing.
        for bad in ["A\n", " A", "\u{0}"] {
            let graded = |grade: &str| pb::GrantTemplate {
                grades: vec![grade.to_owned()],
                ..right(&["customer.view"], pb::ExtentKind::Own)
            };
            assert_eq!(fields(grant(world, &mei, graded(bad)).await), ["right.grades"], "{bad:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn what_does_not_exist_is_refused_by_the_name_of_its_field() {
    on_each(async |world| {
        let mei = world.user("mei", &world.tenant.root_department_id, "Marketing").await.user_id;
        let nowhere = pb::Extent { department_id: NOBODY.to_owned(), ..extent(pb::ExtentKind::Subtree) };
        let nowhere = grant(world, &mei, view(nowhere)).await;
        assert_eq!(fields(nowhere), ["right.extent.department_id"], "and not that it is too wide");
        let nobody = grant(world, NOBODY, view(extent(pb::ExtentKind::Own))).await;
        assert_eq!(fields(nobody), ["holder_id"]);
        use pb::guard_target::Whom;
        for (whom, field) in [
            (Whom::SubjectId(NOBODY.to_owned()), "guard.target.subject_id"),
            (Whom::RoleId(NOBODY.to_owned()), "guard.target.role_id"),
            (Whom::DepartmentId(NOBODY.to_owned()), "guard.target.department_id"),
        ] {
            let target = Some(pb::GuardTarget { whom: Some(whom), ..pb::GuardTarget::default() });
            let actions = vec!["customer.view".to_owned()];
            assert_eq!(fields(guard(world, pb::Guard { target, actions, ..pb::Guard::default() }).await), [field]);
        }
        let parent_id = world.tenant.root_department_id.clone();
        let (name, head_id) = ("West".to_owned(), NOBODY.to_owned());
        let request = pb::CreateDepartmentRequest { parent_id, name, head_id, ..Default::default() };
        assert_eq!(fields(world.admin.directory().create_department(request).await), ["head_id"]);
        let request = pb::SetRoleOverrideRequest {
            user_id: mei.clone(),
            role_id: NOBODY.to_owned(),
            source: pb::RoleSource::Added.into(),
            reason: String::new(),
        };
        assert_eq!(fields(world.admin.access().set_role_override(request).await), ["role_id"]);
        let manager = pb::User { user_id: mei, manager_id: NOBODY.to_owned(), ..pb::User::default() };
        let update_mask = Some(prost_types::FieldMask { paths: vec!["manager_id".to_owned()] });
        let request = pb::UpdateUserRequest { user: Some(manager), update_mask, reason: String::new() };
        assert_eq!(fields(world.admin.directory().update_user(request).await), ["user.manager_id"]);
    })
    .await;
}

#[tokio::test]
async fn a_question_about_a_row_of_a_negative_revision_or_a_nil_id_is_refused_by_its_rule() {
    on_each(async |world| {
        let me = world.tenant.administrator_id.clone();
        let of_rev = pb::RowAttributes { auth_rev: -1, ..row(world, &me) };
        let asked = world.admin.access().check(question("", "customer.view", of_rev)).await;
        assert_eq!(fields(asked), ["row.auth_rev"]);
        let nil = pb::RowAttributes { owner_id: uuid::Uuid::nil().to_string(), ..row(world, &me) };
        let status = world.admin.access().check(question("", "customer.view", nil)).await.expect_err("no id");
        assert!(status.message().contains("must not be the nil UUID"), "{status:?}");
    })
    .await;
}

#[tokio::test]
async fn duties_that_exclude_each_other_are_named() {
    on_each(async |world| {
        let mei = world.user("mei", &world.tenant.root_department_id, "Sales representative").await.user_id;
        let amounts = pb::GrantTemplate {
            levels: Some(pb::LayerLevels { financial: pb::Level::Write.into(), ..Default::default() }),
            ..right(&["customer.order_record"], pb::ExtentKind::Own)
        };
        let both = grant(world, &mei, amounts).await;
        let words = both.as_ref().err().map(|it| it.message().to_owned()).unwrap_or_default();
        assert_eq!(refusal(both), refused(Code::FailedPrecondition, "ROLE_CONFLICT"));
        assert!(words.contains("changing amounts") && words.contains("selling"), "{words}");
    })
    .await;
}

/// The field and the rule of a refusal whose code and reason say that the input is at fault.
fn told<T: std::fmt::Debug>(result: Result<T, Status>) -> (String, String) {
    let status = result.expect_err("it is refused");
    let details = status.get_error_details();
    let reason = details.error_info().map(|info| info.reason.as_str());
    assert_eq!((status.code(), reason), (Code::InvalidArgument, Some("INVALID_ARGUMENT")), "{status:?}");
    let bad = details.bad_request().map(|bad| bad.field_violations.clone()).unwrap_or_default();
    assert_eq!(bad.len(), 1, "one field is at fault: {bad:?}");
    (bad[0].field.clone(), bad[0].description.clone())
}

fn field_and(rule: &str, field: &str) -> (String, String) {
    (field.to_owned(), rule.to_owned())
}

#[tokio::test]
async fn a_guard_on_nothing_is_refused_by_what_makes_it_so() {
    use pb::guard_target::Whom;
    on_each(async |world| {
        let mei = world.user("mei", &world.tenant.root_department_id, "Marketing").await.user_id;
        let target = |except: &str| pb::GuardTarget {
            whom: Some(Whom::SubjectId(mei.clone())),
            except_subject_ids: vec![except.to_owned()],
            ..pb::GuardTarget::default()
        };
        let on = |except: &str| pb::Guard {
            actions: vec!["customer.view".to_owned()],
            target: Some(target(except)),
            ..pb::Guard::default()
        };
        let nobody = field_and("the guard covers nothing", "guard.target.except_subject_ids");
        assert_eq!(told(guard(world, on(&mei)).await), nobody, "it leaves out the only one whom it binds");
        let request = pb::CreateGuardRequest {
            guard: Some(pb::Guard { reason: "a test".to_owned(), ..on(&mei) }),
            ..pb::CreateGuardRequest::default()
        };
        let preview = pb::PreviewChangeRequest {
            change: Some(pb::preview_change_request::Change::CreateGuard(request)),
            ..pb::PreviewChangeRequest::default()
        };
        let previewed = told(world.admin.access().preview_change(preview).await);
        assert_eq!(previewed.0, format!("create_guard.{}", nobody.0));
        let nothing = pb::Guard { actions: Vec::new(), ..on(&world.tenant.administrator_id) };
        assert_eq!(told(guard(world, nothing).await), field_and("is required", "guard.actions"));
        let capless = pb::Guard { cap: Some(pb::LayerLevels::default()), ..on(&world.tenant.administrator_id) };
        assert_eq!(told(guard(world, capless).await), field_and("the guard has no effect", "guard.cap"));
        guard(world, on(&world.tenant.administrator_id)).await.expect("it binds her, and leaves out another");
    })
    .await;
}

#[tokio::test]
async fn a_grant_that_gives_nothing_is_refused_by_what_makes_it_so() {
    on_each(async |world| {
        let mei = world.user("mei", &world.tenant.root_department_id, "Marketing").await.user_id;
        let idle = pb::GrantTemplate { actions: Vec::new(), ..view(extent(pb::ExtentKind::Own)) };
        assert_eq!(told(grant(world, &mei, idle.clone()).await), field_and("is required", "right.actions"));
        assert_eq!(told(role(world, idle).await), field_and("is required", "templates[1].actions"));
        let rowless = view(extent(pb::ExtentKind::Ids));
        assert_eq!(told(grant(world, &mei, rowless).await), field_and("is required", "right.extent.row_ids"));
        let nowhere = pb::GrantTemplate { extent: None, ..view(extent(pb::ExtentKind::Own)) };
        let nowhere = grant(world, &mei, nowhere).await;
        assert!(fields(nowhere).contains(&"right.extent".to_owned()), "without a reach it gives nothing");
    })
    .await;
}

#[tokio::test]
async fn what_ends_at_or_before_its_start_is_refused_by_its_end() {
    on_each(async |world| {
        let mei = world.user("mei", &world.tenant.root_department_id, "Marketing").await.user_id;
        let at = |seconds: i64| Some(prost_types::Timestamp { seconds: FAR + seconds, nanos: 0 });
        let past = Some(prost_types::Timestamp { seconds: 1, nanos: 0 });
        let granted = async |start_time, end_time| {
            let request = pb::CreateGrantRequest {
                holder_id: mei.clone(),
                right: Some(view(extent(pb::ExtentKind::Own))),
                start_time,
                end_time,
                reason: "a test".to_owned(),
                ..pb::CreateGrantRequest::default()
            };
            world.admin.access().create_grant(request).await
        };
        let guarded = async |start_time, end_time| {
            let target = pb::GuardTarget { except_owner: true, ..pb::GuardTarget::default() };
            let actions = vec!["customer.view".to_owned()];
            guard(world, pb::Guard { actions, target: Some(target), start_time, end_time, ..pb::Guard::default() })
                .await
        };
        for end in [at(10), at(9)] {
            assert_eq!(told(granted(at(10), end).await), field_and("must be after start_time", "end_time"));
            let guarded = told(guarded(at(10), end).await);
            assert_eq!(guarded, field_and("must be after guard.start_time", "guard.end_time"));
        }
        assert_eq!(told(granted(None, past).await), field_and("must be in the future", "end_time"));
        assert_eq!(told(guarded(None, past).await), field_and("the end is not after the start", "guard.end_time"));
        granted(at(10), at(11)).await.expect("it opens for a second");
        guarded(at(10), at(11)).await.expect("it opens for a second");
    })
    .await;
}
