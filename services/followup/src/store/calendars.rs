//! Work calendars of a tenant: few, and read whole.

use revisit_bootstrap::database::{Tx, fault};
use revisit_core::{
    Failure, Id,
    id::{CalendarId, TenantId},
};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::LockType};

use super::{entity::calendar, upsert};
use crate::domain::calendar::Calendar;

fn read(row: calendar::Model) -> Result<Calendar, Failure> {
    Ok(Calendar {
        tenant: Id::from_uuid(row.tenant_id),
        id: Id::from_uuid(row.calendar_id),
        name: row.name,
        hours: serde_json::from_str(&row.hours).map_err(Failure::internal)?,
        is_default: row.is_default,
        version: row.version,
    })
}

/// One calendar.
pub async fn find(tx: &Tx, tenant: TenantId, id: CalendarId) -> Result<Option<Calendar>, Failure> {
    let row = calendar::Entity::find_by_id((tenant.uuid(), id.uuid())).one(&**tx).await.map_err(fault)?;
    row.map(read).transpose()
}

/// The default of a tenant, if it has one of its own.
pub async fn default(tx: &Tx, tenant: TenantId) -> Result<Option<Calendar>, Failure> {
    let find = calendar::Entity::find()
        .filter(calendar::Column::TenantId.eq(tenant.uuid()))
        .filter(calendar::Column::IsDefault.eq(true));
    find.one(&**tx).await.map_err(fault)?.map(read).transpose()
}

/// All calendars of a tenant, by id.
pub async fn all(tx: &Tx, tenant: TenantId) -> Result<Vec<Calendar>, Failure> {
    let find = calendar::Entity::find()
        .filter(calendar::Column::TenantId.eq(tenant.uuid()))
        .order_by_asc(calendar::Column::CalendarId);
    find.all(&**tx).await.map_err(fault)?.into_iter().map(read).collect()
}

/// All calendars of a tenant, by id, held for change.
pub async fn lock(tx: &Tx, tenant: TenantId) -> Result<Vec<Calendar>, Failure> {
    let find = calendar::Entity::find()
        .filter(calendar::Column::TenantId.eq(tenant.uuid()))
        .order_by_asc(calendar::Column::CalendarId)
        .lock(LockType::Update);
    find.all(&**tx).await.map_err(fault)?.into_iter().map(read).collect()
}

/// Writes a calendar beside the others, which are held. A default one takes that mark from them.
pub async fn save(tx: &Tx, new: &Calendar, others: Vec<Calendar>) -> Result<(), Failure> {
    let mut rows = Vec::new();
    for known in others {
        if known.id != new.id && known.is_default && new.is_default {
            rows.push(Calendar { is_default: false, version: known.version + 1, ..known });
        }
    }
    rows.push(new.clone());
    let rows = rows.iter().map(|calendar| {
        Ok(calendar::Model {
            tenant_id: calendar.tenant.uuid(),
            calendar_id: calendar.id.uuid(),
            name: calendar.name.clone(),
            hours: serde_json::to_string(&calendar.hours).map_err(Failure::internal)?,
            is_default: calendar.is_default,
            version: calendar.version,
        })
    });
    upsert::<calendar::Entity, _>(tx, rows.collect::<Result<_, Failure>>()?).await
}
