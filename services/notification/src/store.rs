//! The only place of this service that knows the database. A transaction is had only with a permit.

pub use revisit_bootstrap::database::now;
use revisit_bootstrap::database::{self, Tx, fault, insert};
use revisit_core::{Failure, Id, Timestamp};
use sea_orm::{ConnectionTrait, DbErr, EntityTrait, IntoActiveModel, ModelTrait, QueryResult, Statement, Value};
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

use crate::domain::Error;

pub mod claims;
pub mod deliveries;
pub mod digests;
pub mod endpoints;
mod entity;
pub mod history;
pub mod inbox;
pub mod intents;
pub mod ledger;
pub mod migration;
pub mod people;
pub mod preferences;
pub mod replays;
pub mod templates;

/// This service's database. Cheap to clone.
pub type Store = database::Store<Error>;

/// Adds rows.
async fn insert_all<M>(tx: &Tx, models: Vec<M>) -> Result<(), Failure>
where
    M: ModelTrait + IntoActiveModel<<M::Entity as EntityTrait>::ActiveModel>,
{
    // Far below the parameters that one statement may have on either database.
    const ROWS_MAX: usize = 64;
    let mut models = models.into_iter().map(IntoActiveModel::into_active_model).peekable();
    while models.peek().is_some() {
        let some: Vec<_> = models.by_ref().take(ROWS_MAX).collect();
        M::Entity::insert_many(some).exec_without_returning(&**tx).await.map_err(fault)?;
    }
    Ok(())
}

/// Runs a statement that both databases understand; answers how many rows it changed.
async fn execute(tx: &Tx, text: &str, values: impl IntoIterator<Item = Value>) -> Result<u64, Failure> {
    Ok(tx.execute_raw(statement(tx, text, values)).await.map_err(fault)?.rows_affected())
}

async fn query(tx: &Tx, text: &str, values: impl IntoIterator<Item = Value>) -> Result<Vec<QueryResult>, Failure> {
    tx.query_all_raw(statement(tx, text, values)).await.map_err(fault)
}

async fn query_one(
    tx: &Tx,
    text: &str,
    values: impl IntoIterator<Item = Value>,
) -> Result<Option<QueryResult>, Failure> {
    tx.query_one_raw(statement(tx, text, values)).await.map_err(fault)
}

fn statement(tx: &Tx, text: &str, values: impl IntoIterator<Item = Value>) -> Statement {
    Statement::from_sql_and_values(tx.get_database_backend(), text, values)
}

fn column<T: sea_orm::TryGetable>(row: &QueryResult, name: &str) -> Result<T, Failure> {
    row.try_get("", name).map_err(fault)
}

const fn time(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

fn uuid<K>(id: Option<Id<K>>) -> Option<Uuid> {
    id.map(Id::uuid)
}

fn id<K>(uuid: Option<Uuid>) -> Option<Id<K>> {
    uuid.map(Id::from_uuid)
}

fn to_json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(Failure::internal)
}

fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(Failure::internal)
}

/// A stored word that this version does not know.
fn unknown(what: &str, word: &str) -> Failure {
    fault(DbErr::Type(format!("{word} is no {what}")))
}
