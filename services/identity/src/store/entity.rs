//! The tables, as they lie in the database: raw ids, microseconds and text. Nothing outside the store sees them.

use sea_orm::entity::prelude::*;

/// One entity per table, without relations: every query names its tenant and key.
macro_rules! entity {
    ($(#[$doc:meta])* $module:ident, $table:literal, { $($(#[$attribute:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        pub mod $module {
            use super::*;

            #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
            #[sea_orm(table_name = $table)]
            pub struct Model { $($(#[$attribute])* pub $field: $type,)* }

            #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
            pub enum Relation {}

            impl ActiveModelBehavior for ActiveModel {}
        }
    };
}

mod audit;

pub use audit::{alert, audit_end, audit_entry, audit_field, audit_row};

entity!(
    /// What exists once per database: one row, with `id` 1.
    authority, "authority", {
        #[sea_orm(primary_key, auto_increment = false)]
        id: i64,
        incarnation: Uuid,
        operator_tenant_id: Uuid,
        created_at: i64,
    }
);

entity!(
    /// Public halves of the signing keys; the private ones lie in files.
    signing_key, "signing_key", {
        #[sea_orm(primary_key, auto_increment = false)]
        kid: String,
        public_key: Vec<u8>,
        created_at: i64,
        retired_at: Option<i64>,
    }
);

entity!(
    /// Companies. Whoever writes in one locks its row first: `revision` is the head of its log.
    tenant, "tenant", {
        #[sea_orm(primary_key, auto_increment = false)]
        tenant_id: Uuid,
        key: String,
        display_name: String,
        region: String,
        root_department_id: Uuid,
        administrator_id: Uuid,
        revision: i64,
        created_at: i64,
    }
);

entity!(
    /// The ordered log: `changes` is JSON of the permission crate's changes.
    revision, "revision", {
        #[sea_orm(primary_key, auto_increment = false)]
        tenant_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        revision: i64,
        changes: Vec<u8>,
        created_at: i64,
    }
);

entity!(
    /// `modules_off` is JSON.
    department, "department", {
        #[sea_orm(primary_key, auto_increment = false)]
        tenant_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        department_id: Uuid,
        parent_id: Option<Uuid>,
        name: String,
        head_id: Option<Uuid>,
        disabled: bool,
        merged_into_id: Option<Uuid>,
        modules_off: String,
        version: i64,
        created_at: i64,
    }
);

entity!(
    /// `role_ids` is JSON.
    position, "position", {
        #[sea_orm(primary_key, auto_increment = false)]
        tenant_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        position_id: Uuid,
        department_id: Uuid,
        name: String,
        role_ids: String,
        version: i64,
    }
);

entity!(
    /// Users and service accounts. The list columns are JSON. `username` is folded to lower case; a service account
    /// has its folded name there, after a colon that no user's may contain.
    subject, "subject", {
        #[sea_orm(primary_key, auto_increment = false)]
        tenant_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        subject_id: Uuid,
        kind: String,
        state: String,
        username: String,
        display_name: String,
        email: Option<String>,
        phone: Option<String>,
        department_id: Uuid,
        further_department_ids: String,
        position_ids: String,
        added_role_ids: String,
        removed_role_ids: String,
        manager_id: Option<Uuid>,
        parent_id: Option<Uuid>,
        time_zone: String,
        locale: String,
        secret_hash: Option<String>,
        secret_by_id: Option<Uuid>,
        version: i64,
        created_at: i64,
        updated_at: i64,
    }
);

entity!(
    /// `templates` is JSON.
    role, "role", {
        #[sea_orm(primary_key, auto_increment = false)]
        tenant_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        role_id: Uuid,
        key: String,
        display_name: String,
        templates: String,
        shipped: bool,
        catalogue_version: i32,
        version: i64,
    }
);

entity!(
    /// `body` is JSON of the permission crate's grant. A revoked grant is gone from here; the log keeps it.
    access_grant, "access_grant", {
        #[sea_orm(primary_key, auto_increment = false)]
        tenant_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        grant_id: Uuid,
        holder_id: Uuid,
        body: String,
        grantor_id: Option<Uuid>,
        reason: String,
        created_at: i64,
    }
);

entity!(
    /// `body` is JSON of the permission crate's guard.
    guard, "guard", {
        #[sea_orm(primary_key, auto_increment = false)]
        tenant_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        guard_id: Uuid,
        body: String,
        created_at: i64,
    }
);

entity!(
    /// Registered types of rows of other systems; `body` is JSON of the permission crate's type, `row_version` the last
    /// version that a kept row of it was given.
    external_type, "external_type", {
        #[sea_orm(primary_key, auto_increment = false)]
        tenant_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        name: String,
        display_name: String,
        body: String,
        version: i64,
        row_version: i64,
        created_at: i64,
    }
);

entity!(
    /// Rows of other systems that identity keeps: what policy looks at, and a name.
    external_row, "external_row", {
        #[sea_orm(primary_key, auto_increment = false)]
        tenant_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        external_type: String,
        #[sea_orm(primary_key, auto_increment = false)]
        row_id: Uuid,
        display_name: String,
        owner_id: Option<Uuid>,
        department_id: Option<Uuid>,
        stage: Option<String>,
        grade: Option<String>,
        vip: bool,
        pooled: bool,
        auth_rev: i64,
        version: i64,
        updated_at: i64,
    }
);

entity!(
    /// The teams that share a kept row.
    external_row_team, "external_row_team", {
        #[sea_orm(primary_key, auto_increment = false)]
        tenant_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        external_type: String,
        #[sea_orm(primary_key, auto_increment = false)]
        row_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        team_id: Uuid,
    }
);

entity!(
    /// Log-ins. `family_hash` stays for the life of a session, `refresh_hash` is that of the one token still good.
    session, "session", {
        #[sea_orm(primary_key, auto_increment = false)]
        tenant_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        session_id: Uuid,
        subject_id: Uuid,
        device: String,
        family_hash: Vec<u8>,
        refresh_hash: Vec<u8>,
        created_at: i64,
        refreshed_at: i64,
        expires_at: i64,
        revoked_at: Option<i64>,
    }
);

entity!(
    /// The stages that a company has declared. `names` is JSON.
    known_stages, "known_stages", {
        #[sea_orm(primary_key, auto_increment = false)]
        tenant_id: Uuid,
        names: String,
        incarnation: Uuid,
        version: i64,
    }
);

entity!(
    /// One-time tokens that set a password.
    password_link, "password_link", {
        #[sea_orm(primary_key, auto_increment = false)]
        hash: Vec<u8>,
        tenant_id: Uuid,
        subject_id: Uuid,
        drawn_by_id: Option<Uuid>,
        expires_at: i64,
    }
);

entity!(
    /// Failed log-ins by account and by source; `key` is a hash, so that no address is kept.
    log_in_failure, "log_in_failure", {
        #[sea_orm(primary_key, auto_increment = false)]
        key: Vec<u8>,
        failures: i64,
        blocked_until: i64,
        updated_at: i64,
        put_off: i64,
    }
);

entity!(
    /// Replicas that may answer from a snapshot. `tenants` packs 24 bytes each: id and acknowledged revision.
    lease, "lease", {
        #[sea_orm(primary_key, auto_increment = false)]
        holder: String,
        #[sea_orm(primary_key, auto_increment = false)]
        epoch: String,
        number: i64,
        tenants: Vec<u8>,
    }
);

entity!(
    /// Companies all of whose users are to be told to the other services anew.
    telling, "telling", {
        #[sea_orm(primary_key, auto_increment = false)]
        tenant_id: Uuid,
        revision: i64,
        after_id: Option<Uuid>,
    }
);

entity!(
    /// Sagas. `plan` and `parts` are JSON of the domain's types.
    hand_over, "hand_over", {
        #[sea_orm(primary_key, auto_increment = false)]
        tenant_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        hand_over_id: Uuid,
        user_id: Uuid,
        state: String,
        plan: String,
        parts: String,
        revision: i64,
        created_at: i64,
        effective_at: Option<i64>,
        done_at: Option<i64>,
    }
);
