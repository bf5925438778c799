//! The filter that other languages translate: its shape, and that what Python lists with it is what a check allows.

use std::{path::Path, process::Command};

use revisit_core::Id;
use revisit_permission::{Change, Levels, Team};
use revisit_proto::identity::v1 as pb;
use revisit_tests::databases::{Backend, python};
use sea_orm::{ConnectionTrait, Statement, Value};
use uuid::Uuid;

use super::support::{ADMINISTRATOR, COMPANY, PASSWORD, World, fields, on_each, set_password};

const TEAM: Uuid = Uuid::from_u128(7_000);
const STRANGER: Uuid = Uuid::from_u128(9_999);
/// Rows of the table that Python generates.
const ROWS: u128 = 700;

async fn filter_of(world: &World, subject_id: &str, action: &str) -> pb::ListFilterResponse {
    let (subject_id, action) = (subject_id.to_owned(), action.to_owned());
    let request = pb::ListFilterRequest { subject_id, action, ..pb::ListFilterRequest::default() };
    world.admin.access().list_filter(request).await.expect("it is answered").into_inner()
}

#[tokio::test]
async fn a_filter_names_reach_stages_and_departments_and_ends_with_the_next_window() {
    on_each(async |world| {
        let root = world.tenant.root_department_id.clone();
        let store = world.department(&root, "Store").await.department_id;
        let corner = world.department(&store, "Corner").await.department_id;
        let lin = world.user("lin", &store, "Sales manager").await.user_id;
        let filter = filter_of(world, &lin, "customer.delete").await;
        let [account] = filter.accounts.as_slice() else { panic!("one account: {filter:?}") };
        assert_eq!((&account.subject_ids, account.clauses.len()), (&vec![lin.clone()], 1));
        let clause = &account.clauses[0];
        assert_eq!(clause.kind(), pb::ExtentKind::Subtree);
        assert_eq!(clause.stages, ["contacted", "lead", "negotiating", "qualified", "won"]);
        let mut departments = clause.department_ids.clone();
        departments.sort();
        assert_eq!(departments, [store.clone(), corner]);
        assert!(filter.revision > 0 && clause.witness.starts_with("position:"), "{filter:?}");

        let micros =
            |at: Option<prost_types::Timestamp>| at.map(|at| at.seconds * 1_000_000 + i64::from(at.nanos) / 1_000);
        let lasts = |filter: &pb::ListFilterResponse| {
            micros(filter.valid_until_time).expect("a lease ends") - micros(filter.decide_time).expect("it is told")
        };
        assert!((1..=1_000_000).contains(&lasts(&filter)), "no longer than the lease of a second: {filter:?}");
        let end = micros(filter.decide_time).expect("it is told") + 60_000_000;
        let guard = pb::Guard {
            actions: vec!["customer.delete".to_owned()],
            target: Some(pb::GuardTarget { except_managers: true, ..pb::GuardTarget::default() }),
            reason: "stocktaking".to_owned(),
            end_time: Some(prost_types::Timestamp { seconds: end / 1_000_000, nanos: 0 }),
            ..pb::Guard::default()
        };
        let mei = world.user("mei", &store, "Sales representative").await.user_id;
        world.admin.directory().update_department(head(&store, &lin)).await.expect("lin heads it");
        let guard = pb::CreateGuardRequest { guard: Some(guard), request_id: String::new() };
        world.admin.access().create_guard(guard).await.expect("it is put up");
        let guarded = filter_of(world, &lin, "customer.delete").await;
        let [guard] = guarded.guards.as_slice() else { panic!("one guard: {guarded:?}") };
        assert!(guard.cap.is_none() && guard.except_owner_ids == [mei], "whom lin leads: {guard:?}");
        let unknown = pb::ListFilterRequest { action: "customer.fly".to_owned(), ..pb::ListFilterRequest::default() };
        assert_eq!(fields(world.admin.access().list_filter(unknown).await), ["action"]);
    })
    .await;
}

fn head(department_id: &str, head_id: &str) -> pb::UpdateDepartmentRequest {
    let (department_id, head_id) = (department_id.to_owned(), head_id.to_owned());
    pb::UpdateDepartmentRequest {
        department: Some(pb::Department { department_id, head_id, ..pb::Department::default() }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["head_id".to_owned()] }),
        reason: String::new(),
    }
}

/// Adds a team as the one writer of the log does: no call makes teams yet.
async fn add_team(world: &World, members: &[&str]) {
    let team = Change::Team(Team {
        id: Id::from_uuid(TEAM),
        name: "fair".to_owned(),
        members: members.iter().map(|id| id.parse().expect("a UUID")).collect(),
        cap: Levels::READ,
        from: revisit_core::Timestamp::MIN,
        until: revisit_core::Timestamp::MAX,
    });
    let tenant: Uuid = world.tenant.tenant_id.parse().expect("a UUID");
    let database = &world.database.writer;
    let run = async |sql: &str, values: Vec<Value>| {
        let statement = Statement::from_sql_and_values(database.get_database_backend(), sql, values);
        database.execute_raw(statement).await.expect("it is written");
    };
    let changes = serde_json::to_vec(&[team]).expect("a change is JSON");
    run(
        "INSERT INTO revision (tenant_id, revision, changes, created_at) \
         SELECT tenant_id, revision + 1, $2, 0 FROM tenant WHERE tenant_id = $1",
        vec![tenant.into(), changes.into()],
    )
    .await;
    run("UPDATE tenant SET revision = revision + 1 WHERE tenant_id = $1", vec![tenant.into()]).await;
}

async fn grant(world: &World, holder_id: &str, extent: pb::Extent, grades: &[&str]) {
    let levels = pb::LayerLevels {
        basic: pb::Level::Read.into(),
        history: pb::Level::Masked.into(),
        ..pb::LayerLevels::default()
    };
    let right = pb::GrantTemplate {
        actions: vec!["customer.view".to_owned()],
        extent: Some(extent),
        grades: grades.iter().map(|grade| (*grade).to_owned()).collect(),
        levels: Some(levels),
        ..pb::GrantTemplate::default()
    };
    let (holder_id, reason) = (holder_id.to_owned(), "a test".to_owned());
    let request = pb::CreateGrantRequest { holder_id, right: Some(right), reason, ..pb::CreateGrantRequest::default() };
    world.admin.access().create_grant(request).await.expect("it is granted");
}

async fn guard(world: &World, guard: pb::Guard) {
    let guard = pb::Guard { actions: vec!["customer.view".to_owned()], reason: "a test".to_owned(), ..guard };
    let request = pb::CreateGuardRequest { guard: Some(guard), request_id: String::new() };
    world.admin.access().create_guard(request).await.expect("it is put up");
}

/// A company in which every kind of reach, guard and account occurs; answers its subjects and departments.
async fn everything(world: &World) -> (Vec<String>, Vec<String>) {
    let root = world.tenant.root_department_id.clone();
    let north = world.department(&root, "North").await.department_id;
    let store = world.department(&north, "Store").await.department_id;
    let south = world.department(&root, "South").await.department_id;
    let mut subjects = Vec::new();
    for (name, at, position) in [
        ("rep", &store, "Sales representative"),
        ("lead", &store, "Sales manager"),
        ("region", &north, "Regional manager"),
        ("serve", &south, "Customer service"),
        ("mark", &root, "Marketing"),
    ] {
        subjects.push(world.user(name, at, position).await.user_id);
    }
    let sub = pb::CreateUserRequest {
        parent_user_id: subjects[0].clone(),
        ..world.new_user("sub", &store, "Sales manager").await
    };
    let sub = world.admin.directory().create_user(sub).await.expect("it is made").into_inner();
    set_password(&world.channel, &sub.password_token).await.expect("the token is good");
    subjects.push(sub.user.expect("the user").user_id);
    subjects.push(world.tenant.administrator_id.clone());
    world.admin.directory().update_department(head(&north, &subjects[2])).await.expect("region heads it");

    add_team(world, &[&subjects[4], &subjects[3]]).await;
    let of = |kind: pb::ExtentKind| pb::Extent { kind: kind.into(), ..pb::Extent::default() };
    let team = pb::Extent { team_id: TEAM.to_string(), ..of(pb::ExtentKind::Team) };
    grant(world, &subjects[3], team, &["A"]).await;
    let row_ids = (1..=40_u128).map(|row| Uuid::from_u128(row).to_string()).collect();
    grant(world, &subjects[3], pb::Extent { row_ids, ..of(pb::ExtentKind::Ids) }, &[]).await;
    let department = pb::Extent { department_id: south.clone(), ..of(pb::ExtentKind::Department) };
    grant(world, &subjects[0], department, &["A", "B"]).await;

    let except = pb::GuardTarget { except_owner: true, except_managers: true, ..pb::GuardTarget::default() };
    let condition = |set: fn(&mut pb::RowCondition)| {
        let mut condition = pb::RowCondition::default();
        set(&mut condition);
        Some(condition)
    };
    let masked = pb::LayerLevels { sensitive: pb::Level::Masked.into(), ..pb::LayerLevels::default() };
    let vip = condition(|it| it.vip = true);
    guard(world, pb::Guard { target: Some(except.clone()), condition: vip, cap: Some(masked), ..Default::default() })
        .await;
    let won = condition(|it| (it.stages, it.grades) = (vec!["won".to_owned()], vec!["B".to_owned()]));
    guard(world, pb::Guard { target: Some(except), condition: won, ..Default::default() }).await;
    let pooled = Some(pb::RowCondition { pooled: true, department_id: north.clone(), ..pb::RowCondition::default() });
    let whom = pb::guard_target::Whom::SubjectId(subjects[2].clone());
    let target = Some(pb::GuardTarget { whom: Some(whom), ..pb::GuardTarget::default() });
    guard(world, pb::Guard { target, condition: pooled, ..Default::default() }).await;
    (subjects, vec![root, north, store, south])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_another_language_lists_by_the_filter_what_a_check_allows() {
    let world = World::start(Backend::Sqlite).await;
    let (subjects, departments) = everything(&world).await;
    let now = filter_of(&world, "", "customer.view").await.decide_time.expect("it is told");
    let facts = serde_json::json!({
        "address": world.running.address.to_string(),
        "tenant": COMPANY,
        "tenant_id": world.tenant.tenant_id,
        "username": ADMINISTRATOR,
        "password": PASSWORD,
        "subjects": subjects,
        "departments": departments,
        "team_id": TEAM.to_string(),
        "stranger": STRANGER.to_string(),
        "row_ids": (1..=ROWS).map(|row| Uuid::from_u128(row).to_string()).collect::<Vec<_>>(),
        "actions": ["customer.view", "customer.claim"],
        "now_micros": now.seconds * 1_000_000,
        "seed": 20_270_104,
    });
    let file = world.folder().path().join("facts.json");
    std::fs::write(&file, facts.to_string()).expect("it is written");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/list_equals_check.py");
    let run = move || Command::new(python()).arg(script).arg(file).output();
    let output = tokio::task::spawn_blocking(run).await.expect("the thread ends").expect("Python starts");
    let (told, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{told}\n{failed}");
    let compared = format!("compared {} answers, ", ROWS * 2 * subjects.len() as u128);
    assert!(told.starts_with(&compared) && told.contains("kinds of reach 9"), "{told}");
    world.end().await;
}
