//! L1 and L3 on both databases: what SQL lists is what the check allows, nulls and foreign tenants included.

use std::collections::BTreeSet;

use proptest::{prop_assert, prop_assert_eq, test_runner::TestCaseError};
use revisit_laws::{
    engine,
    law::{Law, Tally},
    naive,
    world::{ACTIONS, Case, OTHER, case},
};
use revisit_permission::{Caller, Columns, HolderTable, Layer, SideTable};
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
/// Lists that these worlds ask for at the least.
const LISTS: u32 = 5_000;

const TABLES: [&str; 3] = [
    "CREATE TABLE scratch (tenant_id uuid NOT NULL, id uuid NOT NULL, owner_id uuid, department_id uuid, stage text, \
     grade text, vip boolean NOT NULL, pooled boolean NOT NULL, auth_rev bigint NOT NULL, PRIMARY KEY (tenant_id, id))",
    "CREATE TABLE scratch_team (tenant_id uuid NOT NULL, row_id uuid NOT NULL, team_id uuid NOT NULL)",
    "CREATE TABLE scratch_holder (tenant_id uuid NOT NULL, row_id uuid NOT NULL, subject_id uuid, until bigint NOT NULL)",
];

fn columns() -> Columns {
    let column = |name: &'static str| Some(("scratch", name).into_column_ref());
    let side = |table: &'static str, value: &'static str| SideTable {
        table: table.into_table_ref(),
        tenant: (table, "tenant_id").into_column_ref(),
        row: (table, "row_id").into_column_ref(),
        value: (table, value).into_column_ref(),
    };
    Columns {
        owner: column("owner_id"),
        department: column("department_id"),
        stage: column("stage"),
        grade: column("grade"),
        vip: column("vip"),
        pooled: column("pooled"),
        auth_rev: column("auth_rev"),
        teams: Some(side("scratch_team", "team_id")),
        holders: Some(HolderTable {
            table: side("scratch_holder", "subject_id"),
            until: ("scratch_holder", "until").into_column_ref(),
        }),
        ..Columns::new(("scratch", "tenant_id"), ("scratch", "id"))
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
        for table in TABLES {
            database.writer.execute_unprepared(table).await.expect("the table is made");
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
    for row in &case.rows {
        insert(database, row).await;
        // The same row in the other tenant: its keys differ in nothing but the tenant.
        if row.tenant != OTHER {
            insert(database, &naive::Row { tenant: OTHER, ..row.clone() }).await;
        }
    }
    let leases = engine::leased(&[case]);
    let columns = columns();
    for subject in case.world.subjects.iter().map(|subject| subject.id) {
        for action in ACTIONS {
            tally.count();
            let listed = list(database, case, &columns, subject, action).await?;
            let caller = Caller::named(engine::tenant(case.world.tenant), engine::subject(subject));
            match caller.scope(&leases, engine::action(action)) {
                Err(_) => prop_assert!(listed.is_empty(), "a scope was refused and the list is not empty"),
                Ok(scope) => {
                    prop_assert_eq!(&select(database, scope.condition(&columns)).await, &listed);
                    for (place, layer) in Layer::ALL.iter().enumerate() {
                        let readable = match scope.readable(*layer, &columns) {
                            Some(readable) => select(database, readable).await,
                            None => BTreeSet::new(),
                        };
                        check_readable(case, subject, action, place, &readable)?;
                    }
                }
            }
        }
    }
    Ok(())
}

/// The rows that the conditions of the clauses list together.
async fn list(
    database: &DatabaseTransaction,
    case: &Case,
    columns: &Columns,
    subject: naive::Id,
    action: &str,
) -> Result<BTreeSet<Uuid>, TestCaseError> {
    let snapshot = engine::snapshot(&case.world);
    let predicate = snapshot.predicate(engine::subject(subject), engine::action(action));
    let mut listed = BTreeSet::new();
    for condition in predicate.conditions(columns, engine::time(case.now)) {
        listed.extend(select(database, condition).await);
    }
    let allowed = |row: &&naive::Row| case.world.decide(subject, action, row, case.now).is_some();
    let expected: BTreeSet<Uuid> = case.rows.iter().filter(allowed).map(|row| engine::uuid(row.id)).collect();
    prop_assert_eq!(&listed, &expected, "subject {} {}", subject, action);
    Ok(listed)
}

/// A row that is read on a layer is searched by it; the other way round only what tasks might lend may be too many.
fn check_readable(
    case: &Case,
    subject: naive::Id,
    action: &str,
    layer: usize,
    readable: &BTreeSet<Uuid>,
) -> Result<(), TestCaseError> {
    for row in &case.rows {
        let level = case.world.decide(subject, action, row, case.now).map_or(0, |levels| levels[layer]);
        let searched = readable.contains(&engine::uuid(row.id));
        prop_assert!(searched || level < 2, "subject {} {} misses layer {} of {:?}", subject, action, layer, row);
        let lent = !row.holders.is_empty();
        prop_assert!(!searched || level >= 2 || lent, "subject {} {} searches {} of {:?}", subject, action, layer, row);
    }
    Ok(())
}

async fn select(database: &DatabaseTransaction, condition: Condition) -> BTreeSet<Uuid> {
    let query = Query::select().column(("scratch", "id")).from("scratch").cond_where(condition).to_owned();
    let rows = database.query_all(&query).await.expect("the condition is SQL");
    rows.iter().map(|row| row.try_get("", "id").expect("an id")).collect()
}

async fn insert(database: &DatabaseTransaction, row: &naive::Row) {
    let (tenant, id) = (engine::uuid(row.tenant), engine::uuid(row.id));
    let names = ["tenant_id", "id", "owner_id", "department_id", "stage", "grade", "vip", "pooled", "auth_rev"];
    let values: [Expr; 9] = [
        tenant.into(),
        id.into(),
        row.owner.map(engine::uuid).into(),
        row.department.map(engine::uuid).into(),
        row.stage.map(str::to_owned).into(),
        row.grade.map(str::to_owned).into(),
        row.vip.into(),
        row.pooled.into(),
        row.written_under.into(),
    ];
    let insert = Query::insert().into_table("scratch").columns(names).values_panic(values).to_owned();
    database.execute(&insert).await.expect("the row is stored");
    for team in &row.teams {
        let values: [Expr; 3] = [tenant.into(), id.into(), engine::uuid(*team).into()];
        let names = ["tenant_id", "row_id", "team_id"];
        let insert = Query::insert().into_table("scratch_team").columns(names).values_panic(values).to_owned();
        database.execute(&insert).await.expect("the team is stored");
    }
    for holder in &row.holders {
        let values: [Expr; 4] =
            [tenant.into(), id.into(), holder.subject.map(engine::uuid).into(), holder.until.into()];
        let names = ["tenant_id", "row_id", "subject_id", "until"];
        let insert = Query::insert().into_table("scratch_holder").columns(names).values_panic(values).to_owned();
        database.execute(&insert).await.expect("the task is stored");
    }
}
