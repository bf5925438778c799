//! The tables of this service. A published migration is never edited: changes are new ones below.
//!
//! `tenant_id` stands first in every key and index. No foreign keys: rows come and go in bulk, and children are removed
//! by the statement that removes their parent.

use revisit_bootstrap::database::{self, isolate};
use sea_orm::{DbBackend, DbErr};
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
        "customer_0001_first"
    }
}

/// Tables with their columns; `{uuid}`, `{text}`, `{bytes}` and `{bool}` are the database's own words.
const TABLES: [(&str, &str); 24] = [
    (
        "customer",
        "customer_id {uuid} NOT NULL, kind smallint NOT NULL, name {text} NOT NULL, owner_id {uuid},
         department_id {uuid}, ownership_epoch bigint NOT NULL, stage {text} NOT NULL, grade {text},
         grade_reason {text}, graded_at bigint NOT NULL, vip {bool} NOT NULL, pooled {bool} NOT NULL, city {text},
         source {text}, birthday {text}, contract_end {text}, external_id {text}, created_at bigint NOT NULL,
         updated_at bigint NOT NULL, deleted_at bigint, version bigint NOT NULL, auth_rev bigint NOT NULL,
         import_job_id {uuid}, import_version bigint, PRIMARY KEY (tenant_id, customer_id)",
    ),
    (
        "contact_point",
        "customer_id {uuid} NOT NULL, contact_point_id {uuid} NOT NULL, kind smallint NOT NULL,
         ordinal smallint NOT NULL, sealed {bytes} NOT NULL, verified {bool} NOT NULL, is_primary {bool} NOT NULL,
         PRIMARY KEY (tenant_id, customer_id, contact_point_id)",
    ),
    // A strong key belongs to one customer: two writers that race for it cannot both win.
    (
        "strong_key",
        "kind smallint NOT NULL, digest {bytes} NOT NULL, customer_id {uuid} NOT NULL,
         PRIMARY KEY (tenant_id, kind, digest)",
    ),
    (
        "weak_key",
        "kind smallint NOT NULL, digest {bytes} NOT NULL, customer_id {uuid} NOT NULL,
         PRIMARY KEY (tenant_id, kind, digest, customer_id)",
    ),
    ("customer_tag", "customer_id {uuid} NOT NULL, tag {text} NOT NULL, PRIMARY KEY (tenant_id, customer_id, tag)"),
    (
        "customer_team",
        "customer_id {uuid} NOT NULL, team_id {uuid} NOT NULL, PRIMARY KEY (tenant_id, customer_id, team_id)",
    ),
    (
        "task_holder",
        "customer_id {uuid} NOT NULL, task_id {uuid} NOT NULL, generation bigint NOT NULL, subject_id {uuid},
         layers {text} NOT NULL, until_at bigint NOT NULL, PRIMARY KEY (tenant_id, customer_id, task_id)",
    ),
    (
        "field",
        "field_id {uuid} NOT NULL, key {text} NOT NULL, title {text} NOT NULL, kind smallint NOT NULL,
         layer {text} NOT NULL, required {bool} NOT NULL, length_max integer NOT NULL, number_min bigint,
         number_max bigint, retired_at bigint, version bigint NOT NULL, PRIMARY KEY (tenant_id, field_id)",
    ),
    (
        "field_choice",
        "field_id {uuid} NOT NULL, key {text} NOT NULL, ordinal integer NOT NULL, title {text} NOT NULL,
         PRIMARY KEY (tenant_id, field_id, key)",
    ),
    (
        "field_value",
        "customer_id {uuid} NOT NULL, field_id {uuid} NOT NULL, ordinal integer NOT NULL, text_value {text},
         number_value bigint, date_value {text}, truth_value {bool}, minor_value bigint, currency_value {text},
         sealed {bytes}, PRIMARY KEY (tenant_id, customer_id, field_id, ordinal)",
    ),
    // One row per kind of scheme (1 stages, 2 grades); a tenant without one has the shipped scheme.
    (
        "scheme",
        "kind smallint NOT NULL, version bigint NOT NULL, window_days integer NOT NULL, currency {text} NOT NULL,
         PRIMARY KEY (tenant_id, kind)",
    ),
    (
        "stage",
        "ordinal integer NOT NULL, name {text} NOT NULL, title {text} NOT NULL, active {bool} NOT NULL,
         PRIMARY KEY (tenant_id, name)",
    ),
    (
        "stage_transition",
        "from_stage {text} NOT NULL, to_stage {text} NOT NULL, PRIMARY KEY (tenant_id, from_stage, to_stage)",
    ),
    (
        "grade_rule",
        "ordinal integer NOT NULL, grade {text} NOT NULL, amount_min bigint NOT NULL, orders_min integer NOT NULL,
         recency_days_max integer NOT NULL, PRIMARY KEY (tenant_id, ordinal)",
    ),
    (
        "customer_order",
        "order_id {uuid} NOT NULL, customer_id {uuid} NOT NULL, external_id {text}, amount_minor bigint NOT NULL,
         currency {text} NOT NULL, placed_at bigint NOT NULL, sealed {bytes}, cancelled_at bigint,
         recorded_by {uuid} NOT NULL, PRIMARY KEY (tenant_id, order_id)",
    ),
    (
        "timeline_entry",
        "customer_id {uuid} NOT NULL, happened_at bigint NOT NULL, entry_id {uuid} NOT NULL, kind smallint NOT NULL,
         layer {text} NOT NULL, actor_id {uuid}, channel {text}, direction smallint, sealed {bytes}, from_value {text},
         to_value {text}, reference_id {uuid}, PRIMARY KEY (tenant_id, customer_id, happened_at, entry_id)",
    ),
    (
        "segment",
        "segment_id {uuid} NOT NULL, name {text} NOT NULL, filter {text} NOT NULL, updated_at bigint NOT NULL,
         version bigint NOT NULL, deleted_at bigint, swept_version bigint NOT NULL, swept_through {uuid},
         PRIMARY KEY (tenant_id, segment_id)",
    ),
    (
        "segment_member",
        "segment_id {uuid} NOT NULL, customer_id {uuid} NOT NULL, crossing bigint NOT NULL, present {bool} NOT NULL,
         PRIMARY KEY (tenant_id, segment_id, customer_id)",
    ),
    // What published plans look at; a plan that reads no field has one row with an empty one.
    (
        "watch",
        "plan_id {uuid} NOT NULL, field {text} NOT NULL, segment_id {uuid} NOT NULL, plan_version integer NOT NULL,
         sent_through {uuid}, sent {bool} NOT NULL, PRIMARY KEY (tenant_id, plan_id, field)",
    ),
    (
        "import_job",
        "job_id {uuid} NOT NULL, subject_id {uuid} NOT NULL, file_name {text} NOT NULL, format smallint NOT NULL,
         encoding {text} NOT NULL, delimiter smallint NOT NULL, state smallint NOT NULL, headers {text} NOT NULL,
         mapping {text} NOT NULL, row_count bigint NOT NULL, next_row bigint NOT NULL, next_position bigint NOT NULL,
         created_count bigint NOT NULL, merged_count bigint NOT NULL, duplicate_count bigint NOT NULL,
         foreign_count bigint NOT NULL, rejected_count bigint NOT NULL, kept_count bigint NOT NULL,
         stop_reason {text} NOT NULL, created_at bigint NOT NULL, ended_at bigint, PRIMARY KEY (tenant_id, job_id)",
    ),
    (
        "import_chunk",
        "job_id {uuid} NOT NULL, position bigint NOT NULL, sealed {bytes} NOT NULL,
         PRIMARY KEY (tenant_id, job_id, position)",
    ),
    (
        "import_row",
        "job_id {uuid} NOT NULL, row_number bigint NOT NULL, result smallint NOT NULL, customer_id {uuid},
         duplicate_of bigint, violations {text} NOT NULL, sealed {bytes},
         PRIMARY KEY (tenant_id, job_id, row_number)",
    ),
    (
        "transfer_job",
        "job_id {uuid} NOT NULL, subject_id {uuid} NOT NULL, owner_id {uuid}, department_id {uuid},
         undone_job_id {uuid}, reason {text} NOT NULL, state smallint NOT NULL, total_count bigint NOT NULL, moved_count bigint NOT NULL,
         refused_count bigint NOT NULL, stop_reason {text} NOT NULL, created_at bigint NOT NULL, ended_at bigint,
         PRIMARY KEY (tenant_id, job_id)",
    ),
    // Of a moved row: whose it was, and the ownership epoch that the move made. Both are null when it was there already.
    (
        "transfer_row",
        "job_id {uuid} NOT NULL, customer_id {uuid} NOT NULL, result smallint NOT NULL, reason {text} NOT NULL,
         former_owner_id {uuid}, former_department_id {uuid}, epoch bigint,
         PRIMARY KEY (tenant_id, job_id, customer_id)",
    ),
];

const SMALL_TABLES: [(&str, &str); 6] = [
    // What decisions looked at before a change: as it was until then. A customer that never changed has no row here.
    (
        "customer_past",
        "customer_id {uuid} NOT NULL, version bigint NOT NULL, until_at bigint NOT NULL, owner_id {uuid},
         department_id {uuid}, stage {text} NOT NULL, grade {text}, vip {bool} NOT NULL, pooled {bool} NOT NULL,
         deleted {bool} NOT NULL, PRIMARY KEY (tenant_id, customer_id, version)",
    ),
    // What a task lent since an instant, until the next row of the same task or its own end.
    (
        "task_holder_past",
        "customer_id {uuid} NOT NULL, task_id {uuid} NOT NULL, from_at bigint NOT NULL, generation bigint NOT NULL,
         subject_id {uuid}, layers {text} NOT NULL, until_at bigint NOT NULL,
         PRIMARY KEY (tenant_id, customer_id, task_id, from_at, generation)",
    ),
    (
        "duplicate_budget",
        "subject_id {uuid} NOT NULL, hour bigint NOT NULL, used bigint NOT NULL, PRIMARY KEY (tenant_id, subject_id, hour)",
    ),
    (
        "orphan_report",
        "patrol_at bigint NOT NULL, orphan_count bigint NOT NULL, customer_ids {text} NOT NULL, PRIMARY KEY (tenant_id)",
    ),
    (
        "hand_over",
        "hand_over_id {uuid} NOT NULL, user_id {uuid} NOT NULL, from_department_id {uuid}, rule smallint NOT NULL,
         rule_id {uuid}, ordered_by_id {uuid}, revision_token {text} NOT NULL, effective_at bigint NOT NULL,
         turn bigint NOT NULL, pass bigint NOT NULL, moved_count bigint NOT NULL, next_at bigint NOT NULL,
         done {bool} NOT NULL, PRIMARY KEY (tenant_id, hand_over_id)",
    ),
    (
        "hand_over_refusal",
        "hand_over_id {uuid} NOT NULL, customer_id {uuid} NOT NULL, tries integer NOT NULL, reason {text} NOT NULL,
         PRIMARY KEY (tenant_id, hand_over_id, customer_id)",
    ),
];

/// Tables that are little more than their key.
const KEYED: [&str; 8] = [
    "strong_key",
    "weak_key",
    "customer_tag",
    "customer_team",
    "task_holder",
    "task_holder_past",
    "segment_member",
    "transfer_row",
];

/// Lists walk one of the first five: one index per column by which a grant reaches rows, in the default order.
const INDEXES: [&str; 19] = [
    "INDEX customer_owner ON customer (tenant_id, owner_id, customer_id)",
    "INDEX customer_department ON customer (tenant_id, department_id, customer_id)",
    "INDEX customer_name ON customer (tenant_id, name, customer_id)",
    "INDEX customer_updated ON customer (tenant_id, updated_at, customer_id)",
    // What a deleted customer was called elsewhere is free, like its contact points.
    "UNIQUE INDEX customer_external ON customer (tenant_id, external_id) WHERE deleted_at IS NULL",
    "INDEX customer_import ON customer (tenant_id, import_job_id, customer_id)",
    "INDEX strong_key_customer ON strong_key (tenant_id, customer_id)",
    "INDEX weak_key_customer ON weak_key (tenant_id, customer_id)",
    "INDEX customer_tag_tag ON customer_tag (tenant_id, tag, customer_id)",
    "INDEX customer_team_team ON customer_team (tenant_id, team_id, customer_id)",
    "INDEX task_holder_subject ON task_holder (tenant_id, subject_id, customer_id)",
    "UNIQUE INDEX field_key ON field (tenant_id, key)",
    "INDEX field_value_text ON field_value (tenant_id, field_id, text_value)",
    "INDEX customer_order_customer ON customer_order (tenant_id, customer_id, placed_at, order_id)",
    "UNIQUE INDEX customer_order_external ON customer_order (tenant_id, external_id)",
    "INDEX segment_member_customer ON segment_member (tenant_id, customer_id)",
    "INDEX import_job_state ON import_job (state, tenant_id, job_id)",
    // What is forgotten is looked for over all companies.
    "INDEX customer_past_until ON customer_past (until_at)",
    "INDEX task_holder_past_from ON task_holder_past (from_at)",
];

#[async_trait]
#[expect(elided_lifetimes_in_paths, reason = "the trait's signature elides it, and async_trait wants the same")]
impl MigrationTrait for First {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let postgres = manager.get_database_backend() == DbBackend::Postgres;
        for (table, columns) in TABLES.iter().chain(&SMALL_TABLES) {
            // Small rows of SQLite lie in the key itself: one look-up instead of two.
            let tail = if !postgres && KEYED.contains(table) { " WITHOUT ROWID" } else { "" };
            let columns = columns.replace("{bool}", "boolean");
            database::run(manager, &[&format!("CREATE TABLE {table} (tenant_id {{uuid}} NOT NULL, {columns}){tail}")])
                .await?;
            isolate(manager, table).await?;
        }
        for index in INDEXES {
            database::run(manager, &[&format!("CREATE {index}")]).await?;
        }
        Ok(())
    }
}
