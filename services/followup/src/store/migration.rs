//! The tables of this service. A published migration is never edited: changes are new ones below.
//!
//! `tenant_id` stands first in every key and index, except in what the engine reads over all tenants: its timers, by
//! shard and instant, and its hand-overs, by instant. No foreign keys: rows come and go in bulk.

use revisit_bootstrap::database::{self, isolate};
use sea_orm::{ConnectionTrait, DbBackend, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, MigratorTrait, SchemaManager, async_trait::async_trait};

pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        let mut migrations = database::migrations();
        migrations.push(Box::new(First));
        migrations
    }
}

struct First;

impl MigrationName for First {
    fn name(&self) -> &str {
        "followup_0001_first"
    }
}

/// Tables with their columns beside `tenant_id`; `{uuid}`, `{text}` and `{bytes}` are the database's own words.
const TABLES: [(&str, &str); 16] = [
    (
        "customer",
        "customer_id {uuid} NOT NULL, version bigint NOT NULL, owner_id {uuid}, epoch bigint NOT NULL,
         department_id {uuid}, stage {text}, grade {text}, vip boolean NOT NULL, pooled boolean NOT NULL, deleted
         boolean NOT NULL, tags {text} NOT NULL, auth_rev bigint NOT NULL, last_inbound_at bigint, PRIMARY KEY
         (tenant_id, customer_id)",
    ),
    (
        "customer_team",
        "customer_id {uuid} NOT NULL, team_id {uuid} NOT NULL, PRIMARY KEY (tenant_id, customer_id, team_id)",
    ),
    (
        "membership",
        "segment_id {uuid} NOT NULL, customer_id {uuid} NOT NULL, crossing bigint NOT NULL, present boolean NOT
         NULL, PRIMARY KEY (tenant_id, segment_id, customer_id)",
    ),
    (
        "date_fact",
        "customer_id {uuid} NOT NULL, field {text} NOT NULL, value {text} NOT NULL, version bigint NOT NULL,
         PRIMARY KEY (tenant_id, customer_id, field)",
    ),
    (
        "person",
        "user_id {uuid} NOT NULL, version bigint NOT NULL, active boolean NOT NULL, manager_id {uuid},
         department_id {uuid}, zone {text} NOT NULL, PRIMARY KEY (tenant_id, user_id)",
    ),
    (
        "department",
        "department_id {uuid} NOT NULL, version bigint NOT NULL, parent_id {uuid}, head_id {uuid}, PRIMARY KEY
         (tenant_id, department_id)",
    ),
    (
        "calendar",
        "calendar_id {uuid} NOT NULL, name {text} NOT NULL, hours {text} NOT NULL, is_default boolean NOT NULL,
         version bigint NOT NULL, PRIMARY KEY (tenant_id, calendar_id)",
    ),
    (
        "plan",
        "plan_id {uuid} NOT NULL, name {text} NOT NULL, state {text} NOT NULL, published integer NOT NULL,
         segment_id {uuid}, draft {text}, owner_id {uuid} NOT NULL, department_id {uuid}, created_at bigint NOT
         NULL, updated_at bigint NOT NULL, version bigint NOT NULL, PRIMARY KEY (tenant_id, plan_id)",
    ),
    (
        "plan_version",
        "plan_id {uuid} NOT NULL, plan_version integer NOT NULL, name {text} NOT NULL, definition {text} NOT
         NULL, published_by {uuid} NOT NULL, published_at bigint NOT NULL, PRIMARY KEY (tenant_id, plan_id,
         plan_version)",
    ),
    (
        "sweep",
        "plan_id {uuid} NOT NULL, kind {text} NOT NULL, cursor {uuid} NOT NULL, started_at bigint NOT NULL,
         PRIMARY KEY (tenant_id, plan_id, kind)",
    ),
    (
        "enrolment",
        "enrolment_id {uuid} NOT NULL, plan_id {uuid} NOT NULL, plan_version integer NOT NULL, customer_id {uuid}
         NOT NULL, state {text} NOT NULL, generation bigint NOT NULL, zone {text} NOT NULL, reason {text} NOT
         NULL, entered_at bigint NOT NULL, last_completed_at bigint, version bigint NOT NULL, PRIMARY KEY
         (tenant_id, enrolment_id)",
    ),
    (
        "outcome",
        "task_id {uuid} NOT NULL, customer_id {uuid}, recorded_by {uuid} NOT NULL, recorded_at bigint NOT NULL,
         result {text} NOT NULL, channel {text}, satisfaction smallint, next_contact_at bigint, sensitive boolean
         NOT NULL, review {text} NOT NULL, reviewed_by {uuid}, PRIMARY KEY (tenant_id, task_id)",
    ),
    (
        "outcome_note",
        "task_id {uuid} NOT NULL, ordinal smallint NOT NULL, layer {text} NOT NULL, sealed {bytes} NOT NULL,
         PRIMARY KEY (tenant_id, task_id, ordinal)",
    ),
    (
        "hand_over",
        "hand_over_id {uuid} NOT NULL, user_id {uuid} NOT NULL, from_department_id {uuid}, ordered_by_id {uuid},
         successor {text} NOT NULL, effective_at bigint NOT NULL, turn bigint NOT NULL, pass bigint NOT NULL, moved bigint NOT NULL,
         refused bigint NOT NULL, next_at bigint NOT NULL, suspended boolean NOT NULL, done boolean NOT NULL,
         PRIMARY KEY (tenant_id, hand_over_id)",
    ),
    (
        "hand_over_refusal",
        "hand_over_id {uuid} NOT NULL, task_id {uuid} NOT NULL, tries integer NOT NULL, PRIMARY KEY (tenant_id,
         hand_over_id, task_id)",
    ),
    (
        "task",
        "task_id {uuid} NOT NULL, version bigint NOT NULL, kind {text} NOT NULL, state {text} NOT NULL,
         customer_id {uuid}, plan_id {uuid}, plan_version integer, step {text}, enrolment_id {uuid}, generation
         bigint NOT NULL, occurrence {text} NOT NULL, nominal {text}, zone {text} NOT NULL, named_id {uuid},
         assignee_id {uuid}, department_id {uuid}, stage {text}, grade {text}, channel {text}, open_at bigint NOT
         NULL, due_at bigint NOT NULL, agenda {text} NOT NULL, remind_open boolean NOT NULL, before_minutes {text} NOT NULL, timer_at bigint,
         timer_kind smallint, lent {text} NOT NULL, lent_until bigint NOT NULL, lent_by_id {uuid}, title {bytes} NOT NULL, reason {text} NOT NULL,
         reason_text {bytes} NOT NULL, parent_id {uuid}, open_issues integer NOT NULL, asks_satisfaction boolean NOT NULL,
         success boolean, satisfaction smallint, done_at bigint, closed_at bigint, created_at bigint NOT NULL,
         created_by {uuid}, PRIMARY KEY (tenant_id, task_id)",
    ),
];

const INDEXES: [&str; 12] = [
    "INDEX customer_grade ON customer (tenant_id, grade, customer_id)",
    "INDEX plan_segment ON plan (tenant_id, segment_id)",
    "INDEX enrolment_customer ON enrolment (tenant_id, customer_id, plan_id)",
    "INDEX enrolment_plan ON enrolment (tenant_id, plan_id, enrolment_id)",
    "INDEX task_due ON task (tenant_id, state, due_at, task_id)",
    "INDEX task_customer ON task (tenant_id, customer_id, due_at, task_id)",
    "INDEX task_assignee ON task (tenant_id, assignee_id, state, due_at, task_id)",
    "INDEX task_named ON task (tenant_id, named_id, state)",
    // What opens on a day; a task leaves it when it opens.
    "INDEX task_opening ON task (tenant_id, open_at) WHERE state = 'scheduled'",
    "INDEX task_parent ON task (tenant_id, parent_id) WHERE parent_id IS NOT NULL",
    "INDEX hand_over_open ON hand_over (next_at) WHERE NOT done",
    "INDEX outcome_customer ON outcome (tenant_id, customer_id, recorded_at, task_id)",
];

/// Besides the timers, the engine's own lists: one idle statement looks at all of them over all tenants. They hold ids
/// and instants only, and no caller's transaction reads them.
const ACROSS_TENANTS: [&str; 2] = ["sweep", "hand_over"];

/// One row per live task: what happens to it next. Small and without a second index, because it is written most.
const TIMER: &str = "shard integer NOT NULL, fire_at bigint NOT NULL, task_id {uuid} NOT NULL, kind smallint NOT NULL,
    generation bigint NOT NULL, tenant_id {uuid} NOT NULL, PRIMARY KEY (shard, fire_at, task_id)";

/// The attributes that policy reads of a task: the customer's of now, so that an ownership change rewrites no task that
/// has not opened.
const TASK_ROW: &str = "CREATE VIEW task_row AS SELECT t.tenant_id, t.task_id, t.kind, t.state, t.plan_id,
    t.assignee_id, t.named_id, t.open_at, t.due_at, t.done_at, t.success, t.satisfaction, t.asks_satisfaction, t.department_id, t.grade,
    t.customer_id, t.closed_at, COALESCE(t.assignee_id, t.named_id, c.owner_id) AS row_owner_id,
    CASE WHEN c.customer_id IS NULL THEN t.department_id ELSE c.department_id END AS row_department_id,
    c.stage AS row_stage, c.grade AS row_grade, COALESCE(c.vip, false) AS row_vip,
    COALESCE(c.pooled, false) AS row_pooled, COALESCE(c.auth_rev, 0) AS row_auth_rev
    FROM task t LEFT JOIN customer c ON c.tenant_id = t.tenant_id AND c.customer_id = t.customer_id";

/// The teams that share a task: those of its customer.
const TASK_TEAM: &str = "CREATE VIEW task_team AS SELECT t.tenant_id, t.task_id, m.team_id
    FROM task t JOIN customer_team m ON m.tenant_id = t.tenant_id AND m.customer_id = t.customer_id";

#[async_trait]
#[expect(elided_lifetimes_in_paths, reason = "the trait's signature elides it, and async_trait wants the same")]
impl MigrationTrait for First {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        let postgres = connection.get_database_backend() == DbBackend::Postgres;
        let (uuid, text, bytes) =
            if postgres { ("uuid", "text COLLATE \"C\"", "bytea") } else { ("blob", "text", "blob") };
        // Rows of SQLite lie in the key itself: one look-up instead of two.
        let tail = if postgres { "" } else { " WITHOUT ROWID" };
        let fill = |columns: &str| columns.replace("{uuid}", uuid).replace("{text}", text).replace("{bytes}", bytes);
        for (table, columns) in TABLES {
            let columns = fill(columns);
            connection
                .execute_unprepared(&format!("CREATE TABLE {table} (tenant_id {uuid} NOT NULL, {columns}){tail}"))
                .await?;
            if !ACROSS_TENANTS.contains(&table) {
                isolate(manager, table).await?;
            }
        }
        for index in INDEXES {
            connection.execute_unprepared(&format!("CREATE {index}")).await?;
        }
        let timer = fill(TIMER);
        if postgres {
            // Leaves by day come when there are many; what lies in none of them lies in the default one.
            connection
                .execute_unprepared(&format!("CREATE TABLE timer ({timer}) PARTITION BY RANGE (fire_at)"))
                .await?;
            connection.execute_unprepared("CREATE TABLE timer_default PARTITION OF timer DEFAULT").await?;
        } else {
            connection.execute_unprepared(&format!("CREATE TABLE timer ({timer}){tail}")).await?;
        }
        connection.execute_unprepared(TASK_ROW).await?;
        connection.execute_unprepared(TASK_TEAM).await?;
        Ok(())
    }
}
