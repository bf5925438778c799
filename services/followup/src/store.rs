//! Every query of this service. A query runs on a transaction, and a transaction begins only with a permit
//! (`Database::read`, `Database::write`), so that a forgotten check does not compile.

pub mod calendars;
pub mod enrolments;
mod entity;
pub mod figures;
pub mod hand_overs;
pub mod lists;
mod migration;
pub mod outcomes;
pub mod people;
pub mod plans;
pub mod projection;
mod task_entity;
pub mod task_rows;
pub mod tasks;
pub mod timers;

pub use migration::Migrator;

use chrono::NaiveDateTime;
use revisit_core::{Failure, Id, Timestamp};
use revisit_permission::Layer;
use sea_orm::{
    ActiveModelBehavior, ActiveModelTrait, ConnectionTrait, EntityTrait, IntoActiveModel, Iterable, PrimaryKeyToColumn,
    sea_query::OnConflict,
};
use uuid::Uuid;

use revisit_bootstrap::database::{Tx, fault};

/// Rows of one statement at the most: below the number of values that either database takes at once.
const ROWS_MAX: usize = 500;

/// Writes rows whether they exist or not, a bounded number at a time.
async fn upsert<E, M>(tx: &Tx, rows: Vec<M>) -> Result<(), Failure>
where
    E: EntityTrait<Model = M>,
    M: IntoActiveModel<E::ActiveModel> + Send,
    E::ActiveModel: ActiveModelTrait<Entity = E> + ActiveModelBehavior + Send,
{
    let keys: Vec<E::Column> = E::PrimaryKey::iter().map(PrimaryKeyToColumn::into_column).collect();
    let key_names: Vec<String> = keys.iter().map(|key| format!("{key:?}")).collect();
    let rest = E::Column::iter().filter(|column| !key_names.contains(&format!("{column:?}")));
    let mut conflict = OnConflict::columns(keys);
    let rest: Vec<E::Column> = rest.collect();
    let conflict = if rest.is_empty() { conflict.do_nothing() } else { conflict.update_columns(rest) }.to_owned();
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let some: Vec<E::ActiveModel> = rows.by_ref().take(ROWS_MAX).map(IntoActiveModel::into_active_model).collect();
        let insert = E::insert_many(some).on_conflict(conflict.clone());
        tx.execute(sea_orm::QueryTrait::as_query(&insert)).await.map_err(fault)?;
    }
    Ok(())
}

const fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

fn id<K>(value: Option<Uuid>) -> Option<Id<K>> {
    value.map(Id::from_uuid)
}

fn raw<K>(value: Option<Id<K>>) -> Option<Uuid> {
    value.map(Id::uuid)
}

/// A stored word that no version of this program has written.
fn unreadable(what: &str) -> Failure {
    Failure::internal(format!("a stored {what} cannot be read"))
}

fn layers_text(layers: &[Layer]) -> String {
    layers.iter().map(|layer| layer.name()).collect::<Vec<_>>().join(" ")
}

fn layers(text: &str) -> Result<Vec<Layer>, Failure> {
    text.split_whitespace().map(|name| Layer::parse(name).ok_or_else(|| unreadable("layer"))).collect()
}

const LOCAL: &str = "%Y-%m-%dT%H:%M:%S";

fn local_text(local: NaiveDateTime) -> String {
    local.format(LOCAL).to_string()
}

fn local(text: &str) -> Option<NaiveDateTime> {
    NaiveDateTime::parse_from_str(text, LOCAL).ok()
}
