//! The tables of the audit log and of what was alarming in it.

use sea_orm::entity::prelude::*;

entity!(
    /// The chain of one tenant. `entry` is the protobuf message as it came.
    audit_entry, "audit_entry", {
        #[sea_orm(primary_key, auto_increment = false)]
        tenant_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        number: i64,
        source: String,
        incarnation: Uuid,
        shard: i32,
        position: i64,
        subject_id: Option<Uuid>,
        action: String,
        outcome: i32,
        time: i64,
        entry: Vec<u8>,
        hash: Vec<u8>,
        signature: Vec<u8>,
    }
);

entity!(
    /// What each entry is about, to find it by.
    audit_row, "audit_row", {
        #[sea_orm(primary_key, auto_increment = false)]
        tenant_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        row_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        time: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        number: i64,
    }
);

entity!(
    /// Which fields each entry names, to find it by, with who read or changed them.
    audit_field, "audit_field", {
        #[sea_orm(primary_key, auto_increment = false)]
        tenant_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        field: String,
        #[sea_orm(primary_key, auto_increment = false)]
        time: i64,
        #[sea_orm(primary_key, auto_increment = false)]
        number: i64,
        subject_id: Option<Uuid>,
    }
);

entity!(
    /// Alerts. `reaction` is the number of the contract.
    alert, "alert", {
        #[sea_orm(primary_key, auto_increment = false)]
        tenant_id: Uuid,
        #[sea_orm(primary_key, auto_increment = false)]
        alert_id: Uuid,
        rule: i32,
        about: Uuid,
        counted: i64,
        threshold: i64,
        window_seconds: i64,
        entry_number: i64,
        time: i64,
        reaction: i32,
    }
);

entity!(
    /// Where the chain of one tenant ends, signed.
    audit_end, "audit_end", {
        #[sea_orm(primary_key, auto_increment = false)]
        tenant_id: Uuid,
        number: i64,
        kid: String,
        signature: Vec<u8>,
    }
);
