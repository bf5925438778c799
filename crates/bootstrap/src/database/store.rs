//! A service's database as its store knows it: transactions answer the service's own error, and the statements that
//! every store needs are written once.

use std::marker::PhantomData;

use revisit_core::{Failure, Timestamp};
use revisit_permission::Permit;
use sea_orm::{EntityTrait, IntoActiveModel, ModelTrait};

use super::{Database, Tx, fault};

/// A database whose transactions answer `E`. Cheap to clone.
pub struct Store<E> {
    database: Database,
    error: PhantomData<fn() -> E>,
}

impl<E> Clone for Store<E> {
    fn clone(&self) -> Self {
        Self { database: self.database.clone(), error: PhantomData }
    }
}

impl<E: From<Failure>> Store<E> {
    /// The store of a database.
    #[must_use]
    pub const fn new(database: Database) -> Self {
        Self { database, error: PhantomData }
    }

    /// Reads under a permit.
    pub async fn read<T>(&self, permit: &impl Permit, work: impl AsyncFnOnce(&Tx) -> Result<T, E>) -> Result<T, E> {
        self.database.read(permit, work).await
    }

    /// Writes under a permit, in one transaction with what it emits.
    pub async fn write<T>(&self, permit: &impl Permit, work: impl AsyncFnOnce(&Tx) -> Result<T, E>) -> Result<T, E> {
        self.database.write(permit, work).await
    }
}

/// The time at which a transaction runs.
pub async fn now(tx: &Tx) -> Result<Timestamp, Failure> {
    tx.now().await.map_err(fault)
}

/// Adds a row; a key that exists is a fault, for callers who have looked before.
pub async fn insert<M>(tx: &Tx, model: M) -> Result<(), Failure>
where
    M: ModelTrait + IntoActiveModel<<M::Entity as EntityTrait>::ActiveModel>,
{
    M::Entity::insert(model.into_active_model()).exec_without_returning(&**tx).await.map_err(fault)?;
    Ok(())
}
