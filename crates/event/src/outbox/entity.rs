//! The outbox's row, as stored.

use sea_orm::entity::prelude::*;

/// One event, insert-only. Its place (shard, position) is its key, so the relay reads ranges of one index.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "outbox")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub shard: i32,
    #[sea_orm(primary_key, auto_increment = false)]
    pub position: i64,
    pub id: Uuid,
    pub tenant_id: Uuid,
    pub kind: String,
    pub subject: Uuid,
    pub sequence: i64,
    pub time: i64,
    pub traceparent: String,
    pub data: Vec<u8>,
    pub floor: Option<i64>,
    pub planted: Option<i64>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
