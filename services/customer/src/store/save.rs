//! Writing customers: every change of a record, one or a thousand, goes through `save`.
//!
//! Set by set it writes the rows, their keys, contact points, tags, values and timeline entries, evaluates the segments
//! and emits what happened: all in the caller's transaction.

use revisit_bootstrap::database::{Tx, is_unique};
use revisit_core::{Failure, Kind, Timestamp};
use revisit_permission::Permit;
use sea_orm::{
    ActiveModelTrait, ActiveValue, ColumnTrait, Condition, DbErr, EntityTrait, IntoActiveModel, Iterable, QueryFilter,
    sea_query::OnConflict,
};
use uuid::Uuid;

use super::{
    Store,
    entity::{contact_point, customer, customer_tag, field_value, strong_key, weak_key},
    events, past, rows, sealed, segments, timeline,
};
use crate::domain::{Error, customer::Customer, timeline::Entry};

/// Parameters of a statement at the most; SQLite takes 32,766.
const PARAMETERS_MAX: usize = 30_000;

/// A customer before and after, and what is to be said about it.
pub struct Change {
    pub before: Option<Customer>,
    pub after: Customer,
    /// Whether name, kind, city or contact points may differ. Both sides must then have been loaded in full.
    pub contents: bool,
    pub entries: Vec<Entry>,
    pub handover: Handover,
}

/// What an `owner_changed` says beside the facts.
#[derive(Clone, Default)]
pub struct Handover {
    pub reason: String,
    pub audit_group: Option<Uuid>,
}

impl Change {
    pub fn create(after: Customer) -> Self {
        Self { before: None, after, contents: true, entries: Vec::new(), handover: Handover::default() }
    }

    pub fn update(before: Customer, after: Customer) -> Self {
        Self { before: Some(before), after, contents: false, entries: Vec::new(), handover: Handover::default() }
    }

    pub fn with_contents(mut self) -> Self {
        self.contents = true;
        self
    }

    pub fn entry(mut self, entry: Entry) -> Self {
        self.entries.push(entry);
        self
    }

    pub fn because(mut self, handover: Handover) -> Self {
        self.handover = handover;
        self
    }
}

/// Saves the changes and answers the customers as they are now. A row that somebody else has changed since it was read
/// fails the whole with [`Error::EtagStale`].
pub async fn save(
    tx: &Tx,
    store: &Store,
    _permit: &impl Permit,
    mut changes: Vec<Change>,
) -> Result<Vec<Customer>, Error> {
    let now = tx.now().await?;
    for change in &mut changes {
        change.after.version = change.before.as_ref().map_or(1, |before| before.version + 1);
        change.after.updated_at = now;
    }
    write_records(tx, &changes).await?;
    past::keep(tx, &changes, now).await?;
    write_keys(tx, store, &changes).await?;
    write_contact_points(tx, store, &changes).await?;
    write_tags(tx, &changes).await?;
    write_values(tx, store, &changes).await?;
    let entries: Vec<&Entry> = changes.iter().flat_map(|change| &change.entries).collect();
    timeline::insert(tx, store, &entries).await?;
    for change in &changes {
        events::emit(tx, change);
    }
    segments::evaluate(tx, &changes).await?;
    Ok(changes.into_iter().map(|change| change.after).collect())
}

async fn write_records(tx: &Tx, changes: &[Change]) -> Result<(), Error> {
    let created = changes.iter().filter(|change| change.before.is_none());
    let inserted =
        insert_all::<customer::Entity, _>(tx, created.map(|change| rows::customer_row(&change.after)).collect());
    inserted.await.map_err(external_id)?;
    for (before, after) in changes.iter().filter_map(|change| Some((change.before.as_ref()?, &change.after))) {
        let mut row = rows::customer_row(after).into_active_model();
        // Every column but the key is written; unchanged ones cost nothing that matters.
        for column in customer::Column::iter() {
            if let ActiveValue::Unchanged(value) = row.get(column) {
                row.set(column, value);
            }
        }
        row.tenant_id = ActiveValue::NotSet;
        row.customer_id = ActiveValue::NotSet;
        let updated = customer::Entity::update_many()
            .set(row)
            .filter(customer::Column::TenantId.eq(after.tenant.uuid()))
            .filter(customer::Column::CustomerId.eq(after.id.uuid()))
            .filter(customer::Column::Version.eq(before.version))
            .exec(&**tx)
            .await
            .map_err(external_id)?;
        if updated.rows_affected != 1 {
            return Err(Error::EtagStale { newest: before.version + 1 });
        }
    }
    Ok(())
}

/// The only unique column beside the key is the external id.
fn external_id(error: DbErr) -> Error {
    if is_unique(&error) { Error::ExternalIdTaken } else { Error::from(error) }
}

/// Keys of living customers. A deleted one has none, so that its contact points are free.
async fn write_keys(tx: &Tx, store: &Store, changes: &[Change]) -> Result<(), Error> {
    let touched: Vec<&Change> = changes.iter().filter(|change| change.contents).collect();
    let known = touched.iter().filter(|change| change.before.is_some()).map(|change| &change.after);
    for ids in by_tenant(known) {
        let (tenant, ids) = ids;
        strong_key::Entity::delete_many()
            .filter(strong_key::Column::TenantId.eq(tenant))
            .filter(tx.among(strong_key::Column::CustomerId, ids.iter().copied()))
            .exec(&**tx)
            .await?;
        weak_key::Entity::delete_many()
            .filter(weak_key::Column::TenantId.eq(tenant))
            .filter(tx.among(weak_key::Column::CustomerId, ids))
            .exec(&**tx)
            .await?;
    }
    let (mut strong, mut weak) = (Vec::new(), Vec::new());
    for after in touched.iter().map(|change| &change.after).filter(|after| after.deleted_at.is_none()) {
        for key in after.keys() {
            let (tenant_id, customer_id, kind) = (after.tenant.uuid(), after.id.uuid(), key.kind as i16);
            let digest = sealed::newest_digest(store, after.tenant, &key)?;
            if key.kind.is_strong() {
                strong.push(strong_key::Model { tenant_id, kind, digest, customer_id });
            } else {
                weak.push(weak_key::Model { tenant_id, kind, digest, customer_id });
            }
        }
    }
    // In key order, so that two batches that share keys wait for each other instead of locking each other out.
    strong.sort_by(|one, other| (one.kind, &one.digest).cmp(&(other.kind, &other.digest)));
    let wanted = strong.len() as u64;
    let nothing = OnConflict::new().do_nothing().to_owned();
    if insert_all_on::<strong_key::Entity, _>(tx, strong, Some(nothing)).await? < wanted {
        // Somebody took a key after we looked for matches: looking again will find them.
        return Err(match_race());
    }
    insert_all::<weak_key::Entity, _>(tx, weak).await?;
    Ok(())
}

/// Reason of a failure after which the match must be looked for again.
pub const MATCH_RACE: &str = "MATCH_RACE";

pub fn match_race() -> Error {
    Error::Told(Failure::new(Kind::Conflict, MATCH_RACE, "another change came first; try again"))
}

async fn write_contact_points(tx: &Tx, store: &Store, changes: &[Change]) -> Result<(), Error> {
    let differs = |change: &&Change| {
        let before = change.before.as_ref().map(|before| before.contact_points.as_slice());
        change.contents && before.unwrap_or_default() != change.after.contact_points.as_slice()
    };
    let touched: Vec<&Customer> = changes.iter().filter(differs).map(|change| &change.after).collect();
    let known = changes.iter().filter(|change| change.before.is_some()).filter(differs).map(|change| &change.after);
    for (tenant, ids) in by_tenant(known) {
        contact_point::Entity::delete_many()
            .filter(contact_point::Column::TenantId.eq(tenant))
            .filter(tx.among(contact_point::Column::CustomerId, ids))
            .exec(&**tx)
            .await?;
    }
    let points = sealed::contact_rows(tx, store, &touched).await?;
    insert_all::<contact_point::Entity, _>(tx, points).await?;
    Ok(())
}

async fn write_tags(tx: &Tx, changes: &[Change]) -> Result<(), Error> {
    let mut added = Vec::new();
    for change in changes {
        let before = change.before.as_ref().map(|before| before.tags.as_slice()).unwrap_or_default();
        let after = &change.after;
        let removed: Vec<&String> = before.iter().filter(|tag| !after.tags.contains(tag)).collect();
        if !removed.is_empty() {
            customer_tag::Entity::delete_many()
                .filter(customer_tag::Column::TenantId.eq(after.tenant.uuid()))
                .filter(customer_tag::Column::CustomerId.eq(after.id.uuid()))
                .filter(customer_tag::Column::Tag.is_in(removed))
                .exec(&**tx)
                .await?;
        }
        added.extend(after.tags.iter().filter(|tag| !before.contains(tag)).map(|tag| customer_tag::Model {
            tenant_id: after.tenant.uuid(),
            customer_id: after.id.uuid(),
            tag: tag.clone(),
        }));
    }
    insert_all::<customer_tag::Entity, _>(tx, added).await?;
    Ok(())
}

/// Values that differ. Those of sealed fields take part only when both sides were loaded in full.
async fn write_values(tx: &Tx, store: &Store, changes: &[Change]) -> Result<(), Error> {
    let mut added = Vec::new();
    for change in changes {
        let before = change.before.as_ref().map(|before| before.fields.as_slice()).unwrap_or_default();
        let after = &change.after;
        let gone: Vec<Uuid> =
            before.iter().filter(|value| !after.fields.contains(value)).map(|(field, _)| field.uuid()).collect();
        if !gone.is_empty() {
            let these = Condition::all()
                .add(field_value::Column::TenantId.eq(after.tenant.uuid()))
                .add(field_value::Column::CustomerId.eq(after.id.uuid()))
                .add(field_value::Column::FieldId.is_in(gone));
            field_value::Entity::delete_many().filter(these).exec(&**tx).await?;
        }
        added.extend(after.fields.iter().filter(|value| !before.contains(value)).map(|value| (after, value)));
    }
    let values = sealed::value_rows(tx, store, &added).await?;
    insert_all::<field_value::Entity, _>(tx, values).await?;
    Ok(())
}

/// Ids by tenant: nearly always one.
fn by_tenant<'a>(customers: impl Iterator<Item = &'a Customer>) -> Vec<(Uuid, Vec<Uuid>)> {
    let mut groups: Vec<(Uuid, Vec<Uuid>)> = Vec::new();
    for customer in customers {
        let tenant = customer.tenant.uuid();
        match groups.iter_mut().find(|(known, _)| *known == tenant) {
            Some((_, ids)) => ids.push(customer.id.uuid()),
            None => groups.push((tenant, vec![customer.id.uuid()])),
        }
    }
    groups
}

/// Inserts rows in as few statements as the database takes.
pub(super) async fn insert_all<E, A>(tx: &Tx, models: Vec<E::Model>) -> Result<u64, DbErr>
where
    E: EntityTrait,
    E::Model: IntoActiveModel<A>,
    A: ActiveModelTrait<Entity = E> + Send,
{
    insert_all_on::<E, A>(tx, models, None).await
}

/// The same with a rule for rows that are there already; answers how many were inserted.
pub(super) async fn insert_all_on<E, A>(
    tx: &Tx,
    models: Vec<E::Model>,
    conflict: Option<OnConflict>,
) -> Result<u64, DbErr>
where
    E: EntityTrait,
    E::Model: IntoActiveModel<A>,
    A: ActiveModelTrait<Entity = E> + Send,
{
    let size = PARAMETERS_MAX / E::Column::iter().count().max(1);
    let mut inserted = 0;
    let mut models = models.into_iter().peekable();
    while models.peek().is_some() {
        let chunk: Vec<A> = models.by_ref().take(size).map(every_column).collect();
        let mut insert = E::insert_many(chunk);
        if let Some(conflict) = &conflict {
            insert = insert.on_conflict(conflict.clone());
        }
        inserted += insert.exec_without_returning(&**tx).await?;
    }
    Ok(inserted)
}

/// A model made active leaves nothing out: an insert writes every column.
fn every_column<M: IntoActiveModel<A>, A: ActiveModelTrait>(model: M) -> A {
    let mut row = model.into_active_model();
    for column in <A::Entity as EntityTrait>::Column::iter() {
        if let ActiveValue::Unchanged(value) = row.get(column) {
            row.set(column, value);
        }
    }
    row
}

/// Marks customers as looked at by the nightly regrade without another trace: nothing that anybody sees has changed.
pub async fn touch_graded(tx: &Tx, tenant: Uuid, ids: Vec<Uuid>, at: Timestamp) -> Result<(), DbErr> {
    customer::Entity::update_many()
        .col_expr(customer::Column::GradedAt, sea_orm::sea_query::Expr::val(at.micros()))
        .filter(customer::Column::TenantId.eq(tenant))
        .filter(tx.among(customer::Column::CustomerId, ids))
        .exec(&**tx)
        .await?;
    Ok(())
}
