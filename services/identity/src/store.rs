//! The only place of this service that knows the database. A transaction is had only with a permit.

pub use revisit_bootstrap::database::now;
use revisit_bootstrap::database::{self, Tx, fault, insert};
use revisit_core::{Failure, Id, Timestamp};
use sea_orm::{ActiveModelTrait, EntityTrait, IntoActiveModel, ModelTrait};
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

use crate::domain::Error;

pub mod accounts;
pub mod alerts;
pub mod audit;
pub mod audit_search;
mod entity;
pub mod external_rows;
pub mod external_types;
pub mod grants;
pub mod guards;
pub mod hand_overs;
pub mod keys;
pub mod leases;
pub mod log;
pub mod migration;
pub mod organisation;
pub mod roles;
pub mod seen;
pub mod sessions;
pub mod stages;
pub mod tellings;

/// This service's database. Cheap to clone.
pub type Store = database::Store<Error>;

/// Replaces a row that is there.
async fn replace<M>(tx: &Tx, model: M) -> Result<(), Failure>
where
    M: ModelTrait + IntoActiveModel<<M::Entity as EntityTrait>::ActiveModel>,
    <M::Entity as EntityTrait>::Model: IntoActiveModel<<M::Entity as EntityTrait>::ActiveModel>,
{
    M::Entity::update(model.into_active_model().reset_all()).exec(&**tx).await.map_err(fault)?;
    Ok(())
}

fn micros(at: Timestamp) -> i64 {
    at.micros()
}

fn time(micros: i64) -> Timestamp {
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
