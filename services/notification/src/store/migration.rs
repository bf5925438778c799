//! The schema, step by step. A published step is never edited; the next one expands or contracts.

use revisit_bootstrap::database::{isolate, migrations, run};
use sea_orm::DbErr;
use sea_orm_migration::{MigrationName, MigrationTrait, MigratorTrait, SchemaManager, async_trait::async_trait};

/// What every service's database has, then the tables of this one.
pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        let mut all = migrations();
        all.push(Box::new(First));
        all
    }
}

struct First;

impl MigrationName for First {
    fn name(&self) -> &str {
        "notification_0001_deliveries"
    }
}

/// Tables with a `tenant_id`, which is first in their keys.
const TABLES: [(&str, &str); 16] = [
    // Users, as identity told us.
    (
        "person",
        "tenant_id {uuid} NOT NULL, user_id {uuid} NOT NULL, version bigint NOT NULL, state integer NOT NULL,
         display_name {text} NOT NULL, email {text} NOT NULL, time_zone {text} NOT NULL, locale {text} NOT NULL,
         manager_id {uuid}, department_id {uuid}, PRIMARY KEY (tenant_id, user_id)",
    ),
    // Customers, as the customer service told us: who owns and who shares them.
    (
        "customer",
        "tenant_id {uuid} NOT NULL, customer_id {uuid} NOT NULL, version bigint NOT NULL, owner_id {uuid},
         team_ids {text} NOT NULL, deleted boolean NOT NULL, PRIMARY KEY (tenant_id, customer_id)",
    ),
    // Tasks, as followup told us: whose they are. A closed one stays, so that a late event does not open it again.
    (
        "task",
        "tenant_id {uuid} NOT NULL, task_id {uuid} NOT NULL, customer_id {uuid}, assignee_id {uuid} NOT NULL,
         generation bigint NOT NULL, closed boolean NOT NULL, PRIMARY KEY (tenant_id, task_id)",
    ),
    (
        "intent",
        "tenant_id {uuid} NOT NULL, intent_id {uuid} NOT NULL, source {text} NOT NULL, event_id {uuid} NOT NULL,
         kind {text} NOT NULL, recipient_id {uuid} NOT NULL, occurrence {text} NOT NULL, body_hash {bytes} NOT NULL,
         customer_id {uuid}, task_id {uuid}, facts {text} NOT NULL, expires_at bigint NOT NULL,
         created_at bigint NOT NULL, traceparent {text} NOT NULL, PRIMARY KEY (tenant_id, intent_id),
         UNIQUE (tenant_id, source, event_id, kind, recipient_id, occurrence)",
    ),
    (
        "delivery",
        "tenant_id {uuid} NOT NULL, delivery_id {uuid} NOT NULL, intent_id {uuid} NOT NULL, kind {text} NOT NULL,
         channel {text} NOT NULL, lane {text} NOT NULL, endpoint_id {uuid}, recipient_id {uuid} NOT NULL,
         department_id {uuid}, customer_id {uuid}, task_id {uuid}, state {text} NOT NULL, reason {text} NOT NULL,
         version bigint NOT NULL, tries integer NOT NULL, due_at bigint, expires_at bigint NOT NULL,
         created_at bigint NOT NULL, accepted_at bigint, read_at bigint, last_code {text} NOT NULL,
         token {text} NOT NULL, rendered {bytes}, PRIMARY KEY (tenant_id, delivery_id),
         UNIQUE (tenant_id, intent_id, lane)",
    ),
    // Append only, but for the outcome of the call that it stands for.
    (
        "attempt",
        "tenant_id {uuid} NOT NULL, delivery_id {uuid} NOT NULL, number integer NOT NULL, attempt_id {uuid} NOT NULL,
         outcome integer NOT NULL, code {text} NOT NULL, request_hash {bytes} NOT NULL, started_at bigint NOT NULL,
         latency_micros bigint NOT NULL, PRIMARY KEY (tenant_id, delivery_id, number)",
    ),
    (
        "delivery_history",
        "tenant_id {uuid} NOT NULL, delivery_id {uuid} NOT NULL, version bigint NOT NULL, from_state {text} NOT NULL,
         to_state {text} NOT NULL, reason {text} NOT NULL, changed_at bigint NOT NULL,
         PRIMARY KEY (tenant_id, delivery_id, version)",
    ),
    (
        "inbox_message",
        "tenant_id {uuid} NOT NULL, recipient_id {uuid} NOT NULL, sequence bigint NOT NULL,
         delivery_id {uuid} NOT NULL, kind {text} NOT NULL, customer_id {uuid}, task_id {uuid},
         sealed {bytes} NOT NULL, created_at bigint NOT NULL, read_at bigint,
         PRIMARY KEY (tenant_id, recipient_id, sequence), UNIQUE (tenant_id, delivery_id)",
    ),
    // The newest sequence of each inbox; its row lock makes sequences visible in the order of their numbers.
    (
        "inbox_head",
        "tenant_id {uuid} NOT NULL, recipient_id {uuid} NOT NULL, sequence bigint NOT NULL,
         PRIMARY KEY (tenant_id, recipient_id)",
    ),
    (
        "template",
        "tenant_id {uuid} NOT NULL, kind {text} NOT NULL, channel {text} NOT NULL, locale {text} NOT NULL,
         template_id {uuid} NOT NULL, body {text} NOT NULL, layout {text} NOT NULL, shipped boolean NOT NULL,
         version bigint NOT NULL, updated_at bigint NOT NULL, PRIMARY KEY (tenant_id, kind, channel, locale),
         UNIQUE (tenant_id, template_id)",
    ),
    (
        "preference",
        "tenant_id {uuid} NOT NULL, user_id {uuid} NOT NULL, kinds {text} NOT NULL, quiet_start {text} NOT NULL,
         quiet_end {text} NOT NULL, version bigint NOT NULL, updated_at bigint NOT NULL,
         PRIMARY KEY (tenant_id, user_id)",
    ),
    (
        "policy",
        "tenant_id {uuid} NOT NULL, critical_breaks_quiet boolean NOT NULL, customer_welcome boolean NOT NULL,
         digest boolean NOT NULL, version bigint NOT NULL, PRIMARY KEY (tenant_id)",
    ),
    (
        "endpoint",
        "tenant_id {uuid} NOT NULL, endpoint_id {uuid} NOT NULL, url {text} NOT NULL, kinds {text} NOT NULL,
         enabled boolean NOT NULL, reason {text} NOT NULL, created_at bigint NOT NULL, version bigint NOT NULL,
         PRIMARY KEY (tenant_id, endpoint_id)",
    ),
    (
        "endpoint_key",
        "tenant_id {uuid} NOT NULL, endpoint_id {uuid} NOT NULL, key_id {uuid} NOT NULL, algorithm integer NOT NULL,
         sealed {bytes} NOT NULL, created_at bigint NOT NULL, PRIMARY KEY (tenant_id, endpoint_id, key_id)",
    ),
    (
        "replay",
        "tenant_id {uuid} NOT NULL, replay_id {uuid} NOT NULL, filter {text} NOT NULL, cursor_id {uuid} NOT NULL,
         replayed bigint NOT NULL, done boolean NOT NULL, created_at bigint NOT NULL,
         PRIMARY KEY (tenant_id, replay_id)",
    ),
    // One timer per active user: when the next digest is due.
    (
        "digest",
        "tenant_id {uuid} NOT NULL, user_id {uuid} NOT NULL, due_at bigint NOT NULL,
         PRIMARY KEY (tenant_id, user_id)",
    ),
];

/// Work is found by time over all tenants, so these indexes do not begin with one; lists of rows do.
const INDEXES: [&str; 13] = [
    "CREATE INDEX delivery_due ON delivery (lane, due_at) WHERE due_at IS NOT NULL",
    "CREATE INDEX delivery_due_first ON delivery (due_at) WHERE due_at IS NOT NULL",
    "CREATE INDEX delivery_by_time ON delivery (tenant_id, created_at, delivery_id)",
    "CREATE INDEX delivery_by_recipient ON delivery (tenant_id, recipient_id, created_at, delivery_id)",
    "CREATE INDEX delivery_by_department ON delivery (tenant_id, department_id, created_at, delivery_id)",
    "CREATE INDEX delivery_by_task ON delivery (tenant_id, task_id) WHERE due_at IS NOT NULL",
    "CREATE INDEX delivery_dead ON delivery (tenant_id, delivery_id) WHERE state = 'dead'",
    "CREATE INDEX delivery_unknown ON delivery (channel) WHERE state = 'unknown'",
    "CREATE INDEX delivery_ended ON delivery (created_at) WHERE due_at IS NULL",
    "CREATE INDEX inbox_unread ON inbox_message (tenant_id, recipient_id, sequence) WHERE read_at IS NULL",
    "CREATE INDEX task_by_customer ON task (tenant_id, customer_id) WHERE NOT closed",
    "CREATE INDEX replay_open ON replay (created_at) WHERE NOT done",
    "CREATE INDEX digest_due ON digest (due_at)",
];

#[async_trait]
#[expect(elided_lifetimes_in_paths, reason = "the trait's signature elides it, and async_trait wants the same")]
impl MigrationTrait for First {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (table, columns) in TABLES {
            run(manager, &[&format!("CREATE TABLE {table} ({columns})")]).await?;
            isolate(manager, table).await?;
        }
        run(manager, &INDEXES).await
    }
}
