//! Preferences of users and policies of tenants. What was never set is not a row: it has version 0 and its defaults.

use std::collections::BTreeMap;

use revisit_bootstrap::database::{Tx, fault};
use revisit_core::{
    Failure, Timestamp,
    id::{SubjectId, TenantId},
};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, Value};
use uuid::Uuid;

use super::{entity, execute, from_json, time, to_json};
use crate::domain::{MessageKind, QuietHours};

/// How a user wants to be told.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Preference {
    /// Whether mail is on, for kinds that differ from their default.
    pub mail: BTreeMap<MessageKind, bool>,
    pub quiet: Option<QuietHours>,
    pub version: i64,
    pub updated_at: Option<Timestamp>,
}

/// What a tenant allows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Policy {
    pub critical_breaks_quiet: bool,
    pub customer_welcome: bool,
    pub digest: bool,
    pub version: i64,
}

impl Default for Policy {
    fn default() -> Self {
        Self { critical_breaks_quiet: false, customer_welcome: false, digest: true, version: 0 }
    }
}

impl Preference {
    /// Whether messages of this kind are mailed.
    pub fn mails(&self, kind: MessageKind) -> bool {
        self.mail.get(&kind).copied().unwrap_or_else(|| kind.mailed_by_default())
    }
}

fn preference(row: &entity::preference::Model) -> Result<Preference, Failure> {
    let named: BTreeMap<String, bool> = from_json(&row.kinds)?;
    Ok(Preference {
        mail: named.into_iter().filter_map(|(name, on)| Some((MessageKind::parse(&name)?, on))).collect(),
        quiet: QuietHours::parse(&row.quiet_start, &row.quiet_end),
        version: row.version,
        updated_at: Some(time(row.updated_at)),
    })
}

/// The preferences of a user, if it has set any.
pub async fn find(tx: &Tx, tenant: TenantId, user: SubjectId) -> Result<Option<Preference>, Failure> {
    let key = (tenant.uuid(), user.uuid());
    let row = entity::preference::Entity::find_by_id(key).one(&**tx).await.map_err(fault)?;
    row.as_ref().map(preference).transpose()
}

/// The preferences of those users that have set any.
pub async fn find_all(tx: &Tx, tenant: TenantId, users: Vec<Uuid>) -> Result<BTreeMap<Uuid, Preference>, Failure> {
    use entity::preference::Column;
    let rows = entity::preference::Entity::find()
        .filter(Column::TenantId.eq(tenant.uuid()))
        .filter(tx.among(Column::UserId, users))
        .all(&**tx)
        .await
        .map_err(fault)?;
    rows.iter().map(|row| Ok((row.user_id, preference(row)?))).collect()
}

/// Writes preferences; answers false when somebody else changed them first.
pub async fn save(
    tx: &Tx,
    (tenant, user): (TenantId, SubjectId),
    preference: &Preference,
    former_version: i64,
) -> Result<bool, Failure> {
    let named: BTreeMap<&str, bool> = preference.mail.iter().map(|(kind, on)| (kind.name(), *on)).collect();
    let (start, end) = preference.quiet.map(QuietHours::texts).unwrap_or_default();
    let text = "INSERT INTO preference (tenant_id, user_id, kinds, quiet_start, quiet_end, version, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (tenant_id, user_id) DO UPDATE SET kinds = excluded.kinds, quiet_start = excluded.quiet_start,
            quiet_end = excluded.quiet_end, version = excluded.version, updated_at = excluded.updated_at
        WHERE preference.version = $8";
    let values: [Value; 8] = [
        tenant.uuid().into(),
        user.uuid().into(),
        to_json(&named)?.into(),
        start.into(),
        end.into(),
        preference.version.into(),
        preference.updated_at.map_or(0, Timestamp::micros).into(),
        former_version.into(),
    ];
    Ok(execute(tx, text, values).await? > 0)
}

/// The policy of a tenant.
pub async fn policy(tx: &Tx, tenant: TenantId) -> Result<Policy, Failure> {
    let row = entity::policy::Entity::find_by_id(tenant.uuid()).one(&**tx).await.map_err(fault)?;
    Ok(row.map_or_else(Policy::default, |row| Policy {
        critical_breaks_quiet: row.critical_breaks_quiet,
        customer_welcome: row.customer_welcome,
        digest: row.digest,
        version: row.version,
    }))
}

/// Writes a policy; answers false when somebody else changed it first.
pub async fn save_policy(tx: &Tx, tenant: TenantId, policy: Policy, former_version: i64) -> Result<bool, Failure> {
    let text = "INSERT INTO policy (tenant_id, critical_breaks_quiet, customer_welcome, digest, version)
        VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (tenant_id) DO UPDATE SET critical_breaks_quiet = excluded.critical_breaks_quiet,
            customer_welcome = excluded.customer_welcome, digest = excluded.digest, version = excluded.version
        WHERE policy.version = $6";
    let values: [Value; 6] = [
        tenant.uuid().into(),
        policy.critical_breaks_quiet.into(),
        policy.customer_welcome.into(),
        policy.digest.into(),
        policy.version.into(),
        former_version.into(),
    ];
    Ok(execute(tx, text, values).await? > 0)
}
