//! L1 and L3 on both databases: what SQL lists is what the check allows, nulls and foreign tenants included.

use std::collections::BTreeSet;

use proptest::{prop_assert, prop_assert_eq, test_runner::TestCaseError};
use revisit_laws::{
    engine,
    law::{Law, Tally},
    naive,
    world::{ACTIONS, Case, OTHER, TYPES, case},
};
use revisit_permission::{Asked, Caller, Columns, HolderTable, Layer, Leases, Name, SideTable};
use revisit_tests::databases::{Backend, TestDatabase};
use sea_orm::{
    ConnectionTrait, DatabaseTransaction,
    sea_query::{Condition, Expr, IntoColumnRef, IntoTableRef, Query},
};
use uuid::Uuid;

/// The corpus of the laws in memory: what once broke one of them is tried here too.
const CORPUS: &str = "laws/proptest-regressions/cases.txt";
/// Worlds per database: in each every subject lists its rows for every action.
const WORLDS: u32 = 300;
/// What the id of a row with gaps is more than that of the whole one: no generated row has such an id.
const GAPS: naive::Id = 100;
/// Lists that these worlds ask for at the least.
const LISTS: u32 = 5_000;

/// Our own rows and those of other systems lie in tables of the same shape: a service keeps the former, identity the latter.
const TABLES: [&str; 3] = [
    "(tenant_id uuid NOT NULL, id uuid NOT NULL, owner_id uuid, department_id uuid, stage text, grade text, \
     vip boolean NOT NULL, pooled boolean NOT NULL, auth_rev bigint NOT NULL, external text NOT NULL, \
     PRIMARY KEY (tenant_id, external, id))",
    "(tenant_id uuid NOT NULL, row_id uuid NOT NULL, team_id uuid NOT NULL, external text NOT NULL)",
    "(tenant_id uuid NOT NULL, row_id uuid NOT NULL, subject_id uuid, until bigint NOT NULL, external text NOT NULL)",
];

/// The names of the tables of our own rows, or of those of other systems.
fn tables(external: Option<&str>) -> [&'static str; 3] {
    match external {
        None => ["scratch", "scratch_team", "scratch_holder"],
        Some(_) => ["external", "external_team", "external_holder"],
    }
}

fn columns(external: Option<&str>) -> Columns {
    let [rows, teams, holders] = tables(external);
    let column = |name: &'static str| Some((rows, name).into_column_ref());
    let side = |table: &'static str, value: &'static str| SideTable {
        table: table.into_table_ref(),
        tenant: (table, "tenant_id").into_column_ref(),
        row: (table, "row_id").into_column_ref(),
        value: (table, value).into_column_ref(),
        external: external.map(|_| (table, "external").into_column_ref()),
    };
    Columns {
        external: external.and(column("external")),
        owner: column("owner_id"),
        department: column("department_id"),
        stage: column("stage"),
        grade: column("grade"),
        vip: column("vip"),
        pooled: column("pooled"),
        auth_rev: column("auth_rev"),
        teams: Some(side(teams, "team_id")),
        holders: Some(HolderTable { table: side(holders, "subject_id"), until: (holders, "until").into_column_ref() }),
        ..Columns::new((rows, "tenant_id"), (rows, "id"))
    }
}

#[test]
fn l3_memory_and_sqlite_agree() {
    agree("L3-sqlite", Backend::Sqlite);
}

#[test]
fn l3_memory_and_postgres_agree() {
    agree("L3-postgres", Backend::Postgres);
}

fn agree(name: &'static str, backend: Backend) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let database = runtime.block_on(async {
        let database = TestDatabase::new(backend).await;
        for names in [tables(None), tables(Some(""))] {
            for (name, shape) in names.into_iter().zip(TABLES) {
                let create = format!("CREATE TABLE {name} {shape}");
                database.writer.execute_unprepared(&create).await.expect("the table is made");
            }
        }
        database
    });
    Law::new(name, WORLDS, LISTS).with_corpus(CORPUS).holds(&case(), |case, tally| {
        runtime.block_on(async {
            let transaction = database.begin().await;
            let checked = check(&transaction, &case, tally).await;
            transaction.rollback().await.expect("nothing of a world stays");
            checked
        })
    });
    runtime.block_on(database.close());
}

async fn check(database: &DatabaseTransaction, case: &Case, tally: &Tally) -> Result<(), TestCaseError> {
    let case = &with_neighbours(&with_gaps(case));
    for row in &case.rows {
        insert(database, row).await;
        if row.tenant != OTHER {
            insert(database, &twin(case, row)).await;
        }
    }
    let leases = engine::leased(&[case]);
    for subject in case.world.subjects.iter().map(|subject| subject.id) {
        for action in ACTIONS {
            if action.starts_with("external.") {
                for name in TYPES {
                    check_list(database, (case, &leases), subject, (action, Some(name))).await?;
                    tally.count();
                }
            } else {
                check_list(database, (case, &leases), subject, (action, None)).await?;
                tally.count();
            }
        }
    }
    Ok(())
}

/// The same row in the other tenant: its keys differ in nothing but the tenant, and its teams and tasks are everybody's.
fn twin(Case { world, .. }: &Case, row: &naive::Row) -> naive::Row {
    let layers = naive::hidden();
    let task = |subject: &naive::Subject| naive::Holder { subject: Some(subject.id), layers, until: naive::NEVER };
    let teams = world.teams.iter().map(|team| team.id).collect();
    naive::Row { tenant: OTHER, teams, holders: world.subjects.iter().map(task).collect(), ..row.clone() }
}

/// Beside each row one that lacks what may be missing: in SQL its absence must be false, and its negation true.
fn with_gaps(case: &Case) -> Case {
    let bare =
        |row: &naive::Row| naive::Row { id: row.id + GAPS, department: None, stage: None, grade: None, ..row.clone() };
    let rows = case.rows.iter().cloned().chain(case.rows.iter().map(bare)).collect();
    Case { rows, ..case.clone() }
}

/// Beside each row of another system one with the same id in another type, without its owner, teams and tasks: these must
/// not be taken for the other one's.
fn with_neighbours(case: &Case) -> Case {
    let external = |row: &naive::Row| row.external.map(|name| if name == TYPES[0] { TYPES[1] } else { TYPES[0] });
    let bare = |row: &naive::Row| {
        let (owner, teams, holders) = (None, Vec::new(), Vec::new());
        naive::Row { external: external(row), owner, teams, holders, ..row.clone() }
    };
    let neighbours = case.rows.iter().filter(|row| row.external.is_some()).map(bare);
    Case { rows: case.rows.iter().cloned().chain(neighbours).collect(), ..case.clone() }
}

async fn check_list(
    database: &DatabaseTransaction,
    (case, leases): (&Case, &Leases),
    subject: naive::Id,
    (action, external): (&str, Option<&'static str>),
) -> Result<(), TestCaseError> {
    let columns = columns(external);
    let listed = list(database, case, &columns, (subject, action, external)).await?;
    let caller = Caller::named(engine::tenant(case.world.tenant), engine::subject(subject));
    let name = external.map(Name::from);
    let Ok(scope) = caller.scope(leases, Asked::on(engine::action(action), name.as_ref())) else {
        prop_assert!(listed.is_empty(), "a scope was refused and the list is not empty");
        return Ok(());
    };
    prop_assert_eq!(&select(database, external, scope.condition(&columns)).await, &listed);
    for (place, layer) in Layer::ALL.iter().enumerate() {
        let readable = match scope.readable(*layer, &columns) {
            Some(readable) => select(database, external, readable).await,
            None => BTreeSet::new(),
        };
        check_readable(case, (subject, action, external), place, &readable)?;
    }
    Ok(())
}

/// The rows that the conditions of the clauses list together.
async fn list(
    database: &DatabaseTransaction,
    case: &Case,
    columns: &Columns,
    (subject, action, external): (naive::Id, &str, Option<&'static str>),
) -> Result<BTreeSet<Uuid>, TestCaseError> {
    let snapshot = engine::snapshot(&case.world);
    let name = external.map(Name::from);
    let predicate = snapshot.predicate(engine::subject(subject), Asked::on(engine::action(action), name.as_ref()));
    let mut listed = BTreeSet::new();
    for condition in predicate.conditions(columns, engine::time(case.now)) {
        listed.extend(select(database, external, condition).await);
    }
    let allowed = |row: &&naive::Row| case.world.decide(subject, action, row, case.now).is_some();
    let of_type = case.rows.iter().filter(|row| row.external == external);
    let expected: BTreeSet<Uuid> = of_type.filter(allowed).map(|row| engine::uuid(row.id)).collect();
    prop_assert_eq!(&listed, &expected, "subject {} {}", subject, action);
    Ok(listed)
}

/// A row that is read on a layer is searched by it; the other way round only what tasks might lend may be too many.
fn check_readable(
    case: &Case,
    (subject, action, external): (naive::Id, &str, Option<&'static str>),
    layer: usize,
    readable: &BTreeSet<Uuid>,
) -> Result<(), TestCaseError> {
    for row in case.rows.iter().filter(|row| row.external == external) {
        let level = case.world.decide(subject, action, row, case.now).map_or(0, |levels| levels[layer]);
        let searched = readable.contains(&engine::uuid(row.id));
        prop_assert!(searched || level < 2, "subject {} {} misses layer {} of {:?}", subject, action, layer, row);
        let lent = !row.holders.is_empty();
        prop_assert!(!searched || level >= 2 || lent, "subject {} {} searches {} of {:?}", subject, action, layer, row);
    }
    Ok(())
}

async fn select(database: &DatabaseTransaction, external: Option<&str>, condition: Condition) -> BTreeSet<Uuid> {
    let [rows, ..] = tables(external);
    let query = Query::select().column((rows, "id")).from(rows).cond_where(condition).to_owned();
    let rows = database.query_all(&query).await.expect("the condition is SQL");
    rows.iter().map(|row| row.try_get("", "id").expect("an id")).collect()
}

async fn insert(database: &DatabaseTransaction, row: &naive::Row) {
    let (tenant, id) = (engine::uuid(row.tenant), engine::uuid(row.id));
    let [rows, teams, holders] = tables(row.external);
    let external = row.external.unwrap_or_default();
    let names =
        ["tenant_id", "id", "owner_id", "department_id", "stage", "grade", "vip", "pooled", "auth_rev", "external"];
    let values: [Expr; 10] = [
        tenant.into(),
        id.into(),
        row.owner.map(engine::uuid).into(),
        row.department.map(engine::uuid).into(),
        row.stage.map(str::to_owned).into(),
        row.grade.map(str::to_owned).into(),
        row.vip.into(),
        row.pooled.into(),
        row.written_under.into(),
        external.into(),
    ];
    let insert = Query::insert().into_table(rows).columns(names).values_panic(values).to_owned();
    database.execute(&insert).await.expect("the row is stored");
    for team in &row.teams {
        let values: [Expr; 4] = [tenant.into(), id.into(), engine::uuid(*team).into(), external.into()];
        let names = ["tenant_id", "row_id", "team_id", "external"];
        let insert = Query::insert().into_table(teams).columns(names).values_panic(values).to_owned();
        database.execute(&insert).await.expect("the team is stored");
    }
    for holder in &row.holders {
        let subject = holder.subject.map(engine::uuid);
        let values: [Expr; 5] = [tenant.into(), id.into(), subject.into(), holder.until.into(), external.into()];
        let names = ["tenant_id", "row_id", "subject_id", "until", "external"];
        let insert = Query::insert().into_table(holders).columns(names).values_panic(values).to_owned();
        database.execute(&insert).await.expect("the task is stored");
    }
}
