//! The stages that a company has declared, as customer told them: what grants and guards may name.

use std::collections::BTreeSet;

use revisit_bootstrap::database::{Tx, fault};
use revisit_core::{Failure, id::TenantId};
use sea_orm::EntityTrait;
use uuid::Uuid;

use super::{
    entity::known_stages::{Entity, Model},
    from_json, insert, replace, to_json,
};

/// Keeps the names unless newer ones are known: events may come twice, and late. A database that was brought back counts
/// its versions anew, under another incarnation: what was parked of its former life may be tried again long after that. An
/// incarnation's id begins with the instant at which it was drawn, so the greater one is the later life.
pub async fn keep(
    tx: &Tx,
    tenant: TenantId,
    names: &[String],
    (incarnation, version): (Uuid, i64),
) -> Result<(), Failure> {
    let tenant_id = tenant.uuid();
    let known = Entity::find_by_id(tenant_id).one(&**tx).await.map_err(fault)?;
    let new = Model { tenant_id, names: to_json(&names)?, incarnation, version };
    match known {
        None => insert(tx, new).await,
        Some(known) if (known.incarnation, known.version) < (incarnation, version) => replace(tx, new).await,
        Some(_) => Ok(()),
    }
}

/// The names; none for a company that has declared none of its own.
pub async fn names(tx: &Tx, tenant: TenantId) -> Result<BTreeSet<String>, Failure> {
    let known = Entity::find_by_id(tenant.uuid()).one(&**tx).await.map_err(fault)?;
    known.map_or_else(|| Ok(BTreeSet::new()), |known| from_json(&known.names))
}
