//! Departments, positions and users.

use std::collections::BTreeMap;

use prost::Message;
use prost_types::FieldMask;
use revisit_proto::identity::v1 as pb;
use revisit_tests::written;
use sea_orm::{ConnectionTrait, Statement};
use tonic::Code;

use super::support::{USERS_TOLD_MAX, World, fields, on_each, refusal, refused};

fn mask(paths: &[&str]) -> Option<FieldMask> {
    Some(FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() })
}

/// Gives a department a head.
async fn appoint(world: &World, department: pb::Department, head_id: &str) {
    let request = pb::UpdateDepartmentRequest {
        department: Some(pb::Department { head_id: head_id.to_owned(), ..department }),
        update_mask: mask(&["head_id"]),
        ..pb::UpdateDepartmentRequest::default()
    };
    world.admin.directory().update_department(request).await.expect("it has a head");
}

#[tokio::test]
async fn a_new_branch_has_the_presets_of_the_root_the_moment_it_is_created() {
    on_each(async |world| {
        let branch = world.department(&world.tenant.root_department_id, "Branch").await;
        let below = world.department(&branch.department_id, "Store").await;
        let request = pb::ListPositionsRequest {
            department_id: below.department_id.clone(),
            ..pb::ListPositionsRequest::default()
        };
        let there = world.admin.directory().list_positions(request).await.expect("they are listed").into_inner();
        assert!(there.positions.len() >= 9, "all shipped positions hold there");
        let mei = world.user("mei", &below.department_id, "Sales representative").await;
        let request = pb::ListRoleAssignmentsRequest { user_id: mei.user_id.clone() };
        let roles = world.admin.access().list_role_assignments(request).await.expect("they are listed").into_inner();
        let sources: Vec<_> = roles.assignments.iter().map(pb::RoleAssignment::source).collect();
        assert_eq!(sources, [pb::RoleSource::Position]);
        assert_eq!(roles.assignments[0].role_id, world.role("sales_rep").await);
    })
    .await;
}

#[tokio::test]
async fn a_moved_department_is_one_revision_and_writes_no_row_of_who_is_in_it() {
    on_each(async |world| {
        let root = world.tenant.root_department_id.clone();
        let [north, south] = [world.department(&root, "North").await, world.department(&root, "South").await];
        let store = world.department(&north.department_id, "Store").await;
        for number in 0..12 {
            world.user(&format!("user{number}"), &store.department_id, "Sales representative").await;
        }
        written::count(&world.database.writer).await;
        let (department_id, parent_id) = (store.department_id, south.department_id);
        let request = pb::MoveDepartmentRequest { department_id, parent_id, ..Default::default() };
        world.admin.directory().move_department(request).await.expect("it is moved");
        let rows = written::rows(&world.database.writer).await;
        // Not what it is told by (events, and the log that is made of them), nor the leases that are renewed meanwhile.
        let beside =
            |table: &str| ["outbox", "audit", "chain", "inbox", "lease"].iter().any(|beside| table.starts_with(beside));
        let rows: Vec<(&str, i64)> =
            rows.iter().map(|(table, rows)| (table.as_str(), *rows)).filter(|(table, _)| !beside(table)).collect();
        assert_eq!(rows, [("department", 1), ("revision", 1), ("tenant", 1)]);
    })
    .await;
}

#[tokio::test]
async fn a_department_never_comes_to_lie_below_itself_and_the_root_stays_where_it_is() {
    on_each(async |world| {
        let root = world.tenant.root_department_id.clone();
        let branch = world.department(&root, "Branch").await;
        let store = world.department(&branch.department_id, "Store").await;
        let mut directory = world.admin.directory();
        let mut moved = async |department_id: &str, parent_id: &str, etag: &str| {
            let (department_id, parent_id) = (department_id.to_owned(), parent_id.to_owned());
            let request =
                pb::MoveDepartmentRequest { department_id, parent_id, etag: etag.to_owned(), ..Default::default() };
            directory.move_department(request).await.map(tonic::Response::into_inner)
        };
        let cycle = moved(&branch.department_id, &store.department_id, "").await;
        assert_eq!(refusal(cycle), refused(Code::FailedPrecondition, "DEPARTMENT_CYCLE"));
        let upside_down = moved(&root, &branch.department_id, "").await;
        assert_eq!(refusal(upside_down), refused(Code::FailedPrecondition, "ROOT_DEPARTMENT"));
        let up = moved(&store.department_id, &root, &store.etag).await.expect("it hangs below the root now");
        assert_eq!(up.parent_id, root);
        let stale = moved(&store.department_id, &branch.department_id, &store.etag).await;
        assert_eq!(refusal(stale), refused(Code::Aborted, "ETAG_STALE"));
    })
    .await;
}

#[tokio::test]
async fn a_closed_department_takes_nobody_in() {
    on_each(async |world| {
        let branch = world.department(&world.tenant.root_department_id, "Branch").await;
        let request = pb::SetDepartmentDisabledRequest {
            department_id: branch.department_id.clone(),
            disabled: true,
            ..pb::SetDepartmentDisabledRequest::default()
        };
        world.admin.directory().set_department_disabled(request).await.expect("it is closed");
        let request = world.new_user("mei", &branch.department_id, "Sales representative").await;
        let made = world.admin.directory().create_user(request).await;
        assert_eq!(refusal(made), refused(Code::FailedPrecondition, "DEPARTMENT_DISABLED"));
    })
    .await;
}

#[tokio::test]
async fn a_user_needs_name_contact_and_position_and_shares_none_of_them_with_another() {
    on_each(async |world| {
        let root = &world.tenant.root_department_id;
        let mut directory = world.admin.directory();
        let empty = directory.create_user(pb::CreateUserRequest::default()).await;
        let mut named = fields(empty);
        named.sort();
        named.dedup();
        assert_eq!(named, ["department_id", "display_name", "email", "position_ids", "username"]);
        let mei = world.new_user("mei", root, "Sales representative").await;
        directory.create_user(mei.clone()).await.expect("it is made");
        let again =
            pb::CreateUserRequest { username: "Mei".to_owned(), email: "other@acme.example".to_owned(), ..mei.clone() };
        assert_eq!(refusal(directory.create_user(again).await), refused(Code::AlreadyExists, "USERNAME_TAKEN"));
        let mail =
            pb::CreateUserRequest { username: "lei".to_owned(), email: "MEI@acme.example".to_owned(), ..mei.clone() };
        assert_eq!(refusal(directory.create_user(mail).await), refused(Code::AlreadyExists, "EMAIL_TAKEN"));
        let nowhere = uuid::Uuid::from_u128(7).to_string();
        let lost = pb::CreateUserRequest { username: "lei".to_owned(), department_id: nowhere, ..mei.clone() };
        assert_eq!(refusal(directory.create_user(lost).await), refused(Code::NotFound, "DEPARTMENT_NOT_FOUND"));
    })
    .await;
}

#[tokio::test]
async fn a_repeated_create_answers_the_first_answer_and_another_body_is_refused() {
    on_each(async |world| {
        let root = &world.tenant.root_department_id;
        let mut request = world.new_user("mei", root, "Sales representative").await;
        request.request_id = uuid::Uuid::from_u128(99).to_string();
        let mut directory = world.admin.directory();
        let first = directory.create_user(request.clone()).await.expect("it is made").into_inner();
        let second = directory.create_user(request.clone()).await.expect("it is repeated").into_inner();
        assert_eq!(first.user, second.user);
        assert_eq!(second.password_token, "", "a secret is not kept for repeats");
        request.display_name = "Another".to_owned();
        let other = directory.create_user(request).await;
        assert_eq!(refusal(other), refused(Code::FailedPrecondition, "REQUEST_ID_REUSED"));
    })
    .await;
}

#[tokio::test]
async fn contact_values_are_masked_until_they_are_asked_for_and_hidden_from_colleagues() {
    on_each(async |world| {
        let root = &world.tenant.root_department_id;
        let mei = world.user("mei", root, "Sales representative").await;
        let lei = world.user("lei", root, "Sales representative").await;
        let get = |read_mask| pb::GetUserRequest { user_id: lei.user_id.clone(), read_mask };
        let masked = world.admin.directory().get_user(get(None)).await.expect("it is seen").into_inner().email;
        assert!(masked.contains('*') && !masked.starts_with("lei@"), "{masked}");
        let clear = world.admin.directory().get_user(get(mask(&["email"]))).await.expect("it is seen").into_inner();
        assert_eq!(clear.email, "lei@acme.example");
        let colleague = world.log_in("mei").await;
        let seen = colleague.directory().get_user(get(mask(&["email"]))).await.expect("names are seen").into_inner();
        assert_eq!((seen.display_name.as_str(), seen.email.as_str()), ("lei", ""));
        let suspend = pb::SuspendUserRequest { user_id: mei.user_id, ..pb::SuspendUserRequest::default() };
        let denied = colleague.directory().suspend_user(suspend).await;
        assert_eq!(refusal(denied), refused(Code::PermissionDenied, "PERMISSION_DENIED"));
    })
    .await;
}

#[tokio::test]
async fn who_reads_basic_facts_masked_or_not_at_all_gets_no_more_of_a_colleague() {
    on_each(async |world| {
        let root = &world.tenant.root_department_id;
        let mei = world.user("mei", root, "Sales representative").await;
        let lei = world.user("lei", root, "Sales representative").await;
        let colleague = world.log_in("mei").await;
        let seen = async || {
            let get = pb::GetUserRequest { user_id: lei.user_id.clone(), read_mask: mask(&["email", "phone"]) };
            colleague.directory().get_user(get).await.expect("she is there").into_inner()
        };
        assert_eq!((seen().await.display_name, seen().await.department_id), ("lei".to_owned(), root.clone()));
        for (level, name) in [(pb::Level::Masked, "****"), (pb::Level::Hidden, "")] {
            let target = pb::guard_target::Whom::SubjectId(mei.user_id.clone());
            let guard = pb::Guard {
                actions: vec!["user.view".to_owned()],
                target: Some(pb::GuardTarget { whom: Some(target), ..Default::default() }),
                cap: Some(pb::LayerLevels { basic: level.into(), ..Default::default() }),
                reason: "works from outside".to_owned(),
                ..Default::default()
            };
            let request = pb::CreateGuardRequest { guard: Some(guard), request_id: String::new() };
            world.admin.access().create_guard(request).await.expect("it is put up");
            let (user_id, etag) = (lei.user_id.clone(), seen().await.etag);
            let known = pb::User { user_id, etag, display_name: name.to_owned(), ..Default::default() };
            assert_eq!(seen().await, known);
        }
    })
    .await;
}

#[tokio::test]
async fn a_user_without_a_role_sees_only_the_own_profile() {
    on_each(async |world| {
        let root = &world.tenant.root_department_id;
        let mei = world.user("mei", root, "Sales representative").await;
        let set = pb::SetRoleOverrideRequest {
            user_id: mei.user_id.clone(),
            role_id: world.role("sales_rep").await,
            source: pb::RoleSource::Removed.into(),
            reason: "on trial".to_owned(),
        };
        let taken = world.admin.access().set_role_override(set).await.expect("it is taken away").into_inner();
        assert_eq!(taken.source(), pb::RoleSource::Removed);
        let person = world.log_in("mei").await;
        let own = person.directory().get_own_profile(pb::GetOwnProfileRequest {}).await.expect("her own").into_inner();
        assert_eq!(own.user_id, mei.user_id);
        let users = person.directory().list_users(pb::ListUsersRequest::default()).await;
        assert_eq!(refusal(users), refused(Code::PermissionDenied, "PERMISSION_DENIED"));
        let tree = person.directory().list_departments(pb::ListDepartmentsRequest::default()).await;
        assert_eq!(refusal(tree), refused(Code::PermissionDenied, "PERMISSION_DENIED"));
    })
    .await;
}

#[tokio::test]
async fn the_rows_of_another_company_do_not_exist_and_only_operators_make_companies() {
    on_each(async |world| {
        let request = pb::CreateTenantRequest {
            key: "globex".to_owned(),
            display_name: "Globex".to_owned(),
            administrator_username: "hank".to_owned(),
            administrator_email: "hank@globex.example".to_owned(),
            ..pb::CreateTenantRequest::default()
        };
        let denied = world.admin.directory().create_tenant(request.clone()).await;
        assert_eq!(refusal(denied), refused(Code::PermissionDenied, "PERMISSION_DENIED"));
        let nowhere = pb::CreateTenantRequest { region: "XX".to_owned(), ..request.clone() };
        assert_eq!(fields(world.operator.directory().create_tenant(nowhere).await), ["region"]);
        let repeatable =
            pb::CreateTenantRequest { request_id: uuid::Uuid::from_u128(5).to_string(), ..request.clone() };
        let found = async || world.operator.directory().create_tenant(repeatable.clone()).await.expect("it is founded");
        let (made, repeated) = (found().await.into_inner(), found().await.into_inner());
        assert_eq!((&repeated.tenant, repeated.password_token.as_str()), (&made.tenant, ""));
        assert_eq!(made.tenant.as_ref().map(|tenant| tenant.region.as_str()), Some("CN"));
        let again = world.operator.directory().create_tenant(request).await;
        assert_eq!(refusal(again), refused(Code::AlreadyExists, "TENANT_KEY_TAKEN"));
        let hank = super::support::first_log_in(&world.channel, "globex", "hank", &made.password_token).await;
        let user_id = world.tenant.administrator_id.clone();
        let foreign = hank.directory().get_user(pb::GetUserRequest { user_id, read_mask: None }).await;
        assert_eq!(refusal(foreign), refused(Code::NotFound, "USER_NOT_FOUND"));
        let department_id = world.tenant.root_department_id.clone();
        let foreign = hank.directory().get_department(pb::GetDepartmentRequest { department_id }).await;
        assert_eq!(refusal(foreign), refused(Code::NotFound, "DEPARTMENT_NOT_FOUND"));
        let foreign =
            hank.directory().get_tenant(pb::GetTenantRequest { tenant_id: world.tenant.tenant_id.clone() }).await;
        assert_eq!(refusal(foreign), refused(Code::NotFound, "TENANT_NOT_FOUND"));
        let listed = hank.directory().list_users(pb::ListUsersRequest::default()).await.expect("the own").into_inner();
        assert_eq!(listed.users.len(), 1);
    })
    .await;
}

/// The manager of each user as last told to the other services.
async fn told_managers(world: &World) -> BTreeMap<String, String> {
    let reader = &world.database.reader;
    let text = "SELECT data FROM outbox WHERE kind LIKE '%user_changed' ORDER BY sequence";
    let rows = reader.query_all_raw(Statement::from_string(reader.get_database_backend(), text)).await;
    let told = rows.expect("the outbox is read").into_iter().map(|row| {
        let data: Vec<u8> = row.try_get("", "data").expect("bytes");
        let user = pb::UserChanged::decode(data.as_slice()).expect("a user");
        (user.user_id, user.manager_id)
    });
    told.collect()
}

#[tokio::test]
async fn a_new_head_of_more_people_than_one_change_tells_of_is_told_of_all_the_same() {
    on_each(async |world| {
        let branch = world.department(&world.tenant.root_department_id, "Branch").await;
        let head = world.user("head", &branch.department_id, "Sales manager").await.user_id;
        let mut led = Vec::new();
        for number in 0..=2 * USERS_TOLD_MAX {
            let name = format!("rep-{number}");
            led.push(world.user(&name, &branch.department_id, "Sales representative").await.user_id);
        }
        appoint(world, branch, &head).await;
        world
            .eventually("everybody's new manager is told", async || {
                let told = told_managers(world).await;
                led.iter().all(|id| told.get(id) == Some(&head)).then_some(())
            })
            .await;
    })
    .await;
}

#[tokio::test]
async fn the_head_of_a_department_manages_who_names_no_manager() {
    on_each(async |world| {
        let root = world.tenant.root_department_id.clone();
        let branch = world.department(&root, "Branch").await;
        let head = world.user("head", &branch.department_id, "Sales manager").await;
        let mei = world.user("mei", &branch.department_id, "Sales representative").await;
        assert_eq!(mei.resolved_manager_id, world.tenant.administrator_id, "nobody heads the branch yet");
        appoint(world, branch, &head.user_id).await;
        world
            .eventually("the head manages the branch", async || {
                let request = pb::GetUserRequest { user_id: mei.user_id.clone(), read_mask: None };
                let seen = world.admin.directory().get_user(request).await.expect("it is seen").into_inner();
                (seen.resolved_manager_id == head.user_id).then_some(())
            })
            .await;
    })
    .await;
}
