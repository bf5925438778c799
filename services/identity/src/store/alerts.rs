//! Alerts, and what came of them.

use revisit_bootstrap::database::{Tx, fault};
use revisit_core::{Failure, Id, Timestamp, id::TenantId};
use sea_orm::{ColumnTrait, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::Expr};
use uuid::Uuid;

use super::{
    entity::alert::{Column, Entity, Model},
    insert, micros, time,
};

/// What came of an alert; the numbers are those of the contract.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reaction {
    Told = 1,
    Freezing = 2,
    Frozen = 3,
    Spared = 4,
}

impl Reaction {
    fn numbered(number: i32) -> Self {
        [Self::Told, Self::Freezing, Self::Frozen, Self::Spared]
            .into_iter()
            .find(|reaction| *reaction as i32 == number)
            .unwrap_or(Self::Told)
    }
}

/// An alert as it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kept {
    pub id: Uuid,
    /// The number of the contract.
    pub rule: i32,
    pub about: Uuid,
    pub counted: i64,
    pub threshold: i64,
    pub window_seconds: i64,
    pub entry_number: i64,
    pub time: Timestamp,
    pub reaction: Reaction,
}

fn kept(row: Model) -> Kept {
    Kept {
        id: row.alert_id,
        rule: row.rule,
        about: row.about,
        counted: row.counted,
        threshold: row.threshold,
        window_seconds: row.window_seconds,
        entry_number: row.entry_number,
        time: time(row.time),
        reaction: Reaction::numbered(row.reaction),
    }
}

/// Adds an alert.
pub async fn add(tx: &Tx, tenant: TenantId, it: &Kept) -> Result<(), Failure> {
    let row = Model {
        tenant_id: tenant.uuid(),
        alert_id: it.id,
        rule: it.rule,
        about: it.about,
        counted: it.counted,
        threshold: it.threshold,
        window_seconds: it.window_seconds,
        entry_number: it.entry_number,
        time: micros(it.time),
        reaction: it.reaction as i32,
    };
    insert(tx, row).await
}

/// What was told at entries from one number to another: entry, rule, about whom.
pub async fn told_at(tx: &Tx, tenant: TenantId, (from, to): (i64, i64)) -> Result<Vec<(i64, i32, Uuid)>, Failure> {
    let find = Entity::find()
        .select_only()
        .columns([Column::EntryNumber, Column::Rule, Column::About])
        .filter(Column::TenantId.eq(tenant.uuid()))
        .filter(Column::EntryNumber.between(from, to));
    find.into_tuple().all(&**tx).await.map_err(fault)
}

/// When this rule has told about somebody after an instant, the last time.
pub async fn told_after(
    tx: &Tx,
    tenant: TenantId,
    (rule, about): (i32, Uuid),
    after: Timestamp,
) -> Result<Option<Timestamp>, Failure> {
    let find = Entity::find()
        .filter(Column::TenantId.eq(tenant.uuid()))
        .filter(Column::About.eq(about))
        .filter(Column::Rule.eq(rule))
        .filter(Column::Time.gt(micros(after)))
        .order_by_desc(Column::Time);
    Ok(find.one(&**tx).await.map_err(fault)?.map(|row| time(row.time)))
}

/// Which alerts a page holds.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    pub rule: Option<i32>,
    pub about: Option<Uuid>,
    pub after: Option<(Timestamp, Uuid)>,
    pub limit: u64,
}

/// Alerts, newest first.
pub async fn page(tx: &Tx, tenant: TenantId, wanted: &Wanted) -> Result<Vec<Kept>, Failure> {
    let mut find = Entity::find().filter(Column::TenantId.eq(tenant.uuid()));
    if let Some(rule) = wanted.rule {
        find = find.filter(Column::Rule.eq(rule));
    }
    if let Some(about) = wanted.about {
        find = find.filter(Column::About.eq(about));
    }
    if let Some((time, id)) = wanted.after {
        let time = micros(time);
        find = find.filter(Column::Time.lte(time)).filter(Column::Time.lt(time).or(Column::AlertId.lt(id)));
    }
    let find = find.order_by_desc(Column::Time).order_by_desc(Column::AlertId).limit(wanted.limit);
    Ok(find.all(&**tx).await.map_err(fault)?.into_iter().map(kept).collect())
}

/// Alerts whose sessions are to be ended, of all companies, oldest first.
pub async fn freezing(tx: &Tx, after: Option<(Timestamp, Uuid)>, limit: u64) -> Result<Vec<(TenantId, Kept)>, Failure> {
    let mut find = Entity::find().filter(Column::Reaction.eq(Reaction::Freezing as i32));
    if let Some((time, id)) = after {
        let time = micros(time);
        find = find.filter(Column::Time.gte(time)).filter(Column::Time.gt(time).or(Column::AlertId.gt(id)));
    }
    let find = find.order_by_asc(Column::Time).order_by_asc(Column::AlertId).limit(limit);
    let rows = find.all(&**tx).await.map_err(fault)?;
    Ok(rows.into_iter().map(|row| (Id::from_uuid(row.tenant_id), kept(row))).collect())
}

/// Says what came of it; answers whether nobody said so before.
pub async fn react(tx: &Tx, tenant: TenantId, id: Uuid, reaction: Reaction) -> Result<bool, Failure> {
    let update = Entity::update_many()
        .col_expr(Column::Reaction, Expr::value(reaction as i32))
        .filter(Column::TenantId.eq(tenant.uuid()))
        .filter(Column::AlertId.eq(id))
        .filter(Column::Reaction.eq(Reaction::Freezing as i32));
    Ok(update.exec(&**tx).await.map_err(fault)?.rows_affected == 1)
}
