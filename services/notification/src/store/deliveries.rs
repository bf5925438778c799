//! Deliveries as rows: how they are read by those who may, one by one, in lists and as counts.

use revisit_bootstrap::database::{Tx, fault};
use revisit_core::{
    Failure, Timestamp,
    id::{AttemptId, CustomerId, DeliveryId, DepartmentId, EndpointId, IntentId, TaskId, TenantId},
    page::Page,
};
use revisit_permission::{Columns, Scope, merge_pages};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, FromQueryResult, Order, QueryFilter, QueryOrder, QuerySelect, sea_query::Expr,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{entity, id, time, unknown};
use crate::domain::{Channel, MessageKind, Progress, State, Terms};

use entity::delivery::{Column, Entity, Model};

/// One message to one recipient on one channel.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub tenant: TenantId,
    pub id: DeliveryId,
    pub intent: IntentId,
    pub kind: MessageKind,
    pub channel: Channel,
    pub endpoint: Option<EndpointId>,
    pub recipient: Uuid,
    pub department: Option<DepartmentId>,
    pub customer: Option<CustomerId>,
    pub task: Option<TaskId>,
    pub progress: Progress,
    pub expires_at: Timestamp,
    pub created_at: Timestamp,
    pub accepted_at: Option<Timestamp>,
    pub read_at: Option<Timestamp>,
    pub last_code: String,
    pub token: String,
    /// The sealed words of a call whose answer is not known yet, so that a repeat says the same.
    pub rendered: Option<Vec<u8>>,
}

/// One call as it was recorded.
#[derive(Clone, Debug)]
pub struct Attempt {
    pub id: AttemptId,
    pub outcome: i32,
    pub code: String,
    pub request_hash: Vec<u8>,
    pub started_at: Timestamp,
    pub latency_micros: i64,
}

/// One change of state as it was recorded.
#[derive(Clone, Debug)]
pub struct StateChange {
    pub version: i64,
    pub from: State,
    pub to: State,
    pub reason: String,
    pub at: Timestamp,
}

/// Which deliveries; what is empty matches all. Also kept with a replay, so names and not numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    pub states: Vec<String>,
    pub kinds: Vec<String>,
    /// Kinds that the asker does not see.
    #[serde(default)]
    pub unseen: Vec<String>,
    pub channels: Vec<String>,
    pub recipient: Option<Uuid>,
    pub task: Option<Uuid>,
    pub endpoint: Option<Uuid>,
    pub from_micros: Option<i64>,
    pub until_micros: Option<i64>,
}

/// Deliveries that have something in common.
#[derive(Clone, Debug)]
pub struct Count {
    pub kind: MessageKind,
    pub channel: Channel,
    pub state: State,
    pub count: i64,
}

impl Delivery {
    pub const fn terms(&self) -> Terms {
        Terms { id: self.id.uuid(), channel: self.channel, expires_at: self.expires_at }
    }

    /// Whether it repeats a call whose answer was lost: only then are the words of the first call kept on it.
    pub const fn is_repeat(&self) -> bool {
        self.rendered.is_some()
    }

    /// Accounts of one channel share nothing but the channel's name.
    pub fn lane(&self) -> String {
        match self.endpoint {
            Some(endpoint) => format!("{}/{endpoint}", self.channel.name()),
            None => self.channel.name().to_owned(),
        }
    }

    pub(super) fn model(&self) -> Model {
        let progress = &self.progress;
        Model {
            tenant_id: self.tenant.uuid(),
            delivery_id: self.id.uuid(),
            intent_id: self.intent.uuid(),
            kind: self.kind.name().to_owned(),
            channel: self.channel.name().to_owned(),
            lane: self.lane(),
            endpoint_id: super::uuid(self.endpoint),
            recipient_id: self.recipient,
            department_id: super::uuid(self.department),
            customer_id: super::uuid(self.customer),
            task_id: super::uuid(self.task),
            state: progress.state.name().to_owned(),
            reason: progress.reason.clone().into_owned(),
            version: progress.version,
            tries: i32::try_from(progress.tries).unwrap_or(i32::MAX),
            due_at: progress.due_at.map(Timestamp::micros),
            expires_at: self.expires_at.micros(),
            created_at: self.created_at.micros(),
            accepted_at: self.accepted_at.map(Timestamp::micros),
            read_at: self.read_at.map(Timestamp::micros),
            last_code: self.last_code.clone(),
            token: self.token.clone(),
            rendered: self.rendered.clone(),
        }
    }
}

pub(super) fn delivery(row: Model) -> Result<Delivery, Failure> {
    Ok(Delivery {
        tenant: row.tenant_id.into(),
        id: row.delivery_id.into(),
        intent: row.intent_id.into(),
        kind: MessageKind::parse(&row.kind).ok_or_else(|| unknown("message kind", &row.kind))?,
        channel: Channel::parse(&row.channel).ok_or_else(|| unknown("channel", &row.channel))?,
        endpoint: id(row.endpoint_id),
        recipient: row.recipient_id,
        department: id(row.department_id),
        customer: id(row.customer_id),
        task: id(row.task_id),
        progress: Progress {
            state: State::parse(&row.state).ok_or_else(|| unknown("state", &row.state))?,
            reason: row.reason.into(),
            version: row.version,
            tries: u32::try_from(row.tries).unwrap_or_default(),
            due_at: row.due_at.map(time),
        },
        expires_at: time(row.expires_at),
        created_at: time(row.created_at),
        accepted_at: row.accepted_at.map(time),
        read_at: row.read_at.map(time),
        last_code: row.last_code,
        token: row.token,
        rendered: row.rendered,
    })
}

/// How policy's attributes are called here: a delivery belongs to its recipient and to the recipient's department.
fn columns() -> Columns {
    Columns {
        owner: Some(Column::RecipientId.as_column_ref().into()),
        department: Some(Column::DepartmentId.as_column_ref().into()),
        ..Columns::new(Column::TenantId.as_column_ref(), Column::DeliveryId.as_column_ref())
    }
}

impl Filter {
    pub(super) fn condition(&self) -> Condition {
        let one_of = |column: Column, names: &[String]| (!names.is_empty()).then(|| column.is_in(names.to_vec()));
        Condition::all()
            .add_option(one_of(Column::State, &self.states))
            .add_option(one_of(Column::Kind, &self.kinds))
            .add_option((!self.unseen.is_empty()).then(|| Column::Kind.is_not_in(self.unseen.clone())))
            .add_option(one_of(Column::Channel, &self.channels))
            .add_option(self.recipient.map(|recipient| Column::RecipientId.eq(recipient)))
            .add_option(self.task.map(|task| Column::TaskId.eq(task)))
            .add_option(self.endpoint.map(|endpoint| Column::EndpointId.eq(endpoint)))
            .add_option(self.from_micros.map(|from| Column::CreatedAt.gte(from)))
            .add_option(self.until_micros.map(|until| Column::CreatedAt.lt(until)))
    }
}

/// The delivery with this id, if it is in scope.
pub async fn find(tx: &Tx, scope: &Scope, id: DeliveryId) -> Result<Option<Delivery>, Failure> {
    let query = Entity::find().filter(Column::DeliveryId.eq(id.uuid())).filter(scope.condition(&columns()));
    query.one(&**tx).await.map_err(fault)?.map(delivery).transpose()
}

/// A page of deliveries in scope, newest first, and one more when there is another page.
pub async fn list(tx: &Tx, scope: &Scope, filter: &Filter, page: &Page) -> Result<Vec<Delivery>, Failure> {
    let size = usize::try_from(page.size).unwrap_or(usize::MAX) + 1;
    let after = page.after.as_deref().map(read_key).transpose()?;
    let mut pages = Vec::new();
    // One query per clause: each walks one index, which OR over several columns would not.
    for clause in scope.conditions(&columns()) {
        let mut query = Entity::find()
            .filter(clause)
            .filter(filter.condition())
            .order_by(Column::CreatedAt, Order::Desc)
            .order_by(Column::DeliveryId, Order::Desc)
            .limit(u64::from(page.size) + 1);
        if let Some((at, id)) = after {
            let earlier = Condition::any()
                .add(Column::CreatedAt.lt(at))
                .add(Condition::all().add(Column::CreatedAt.eq(at)).add(Column::DeliveryId.lt(id)));
            query = query.filter(earlier);
        }
        let rows = query.all(&**tx).await.map_err(fault)?;
        pages.push(rows.into_iter().map(delivery).collect::<Result<Vec<_>, _>>()?);
    }
    Ok(merge_pages(pages, |delivery| std::cmp::Reverse((delivery.created_at, delivery.id)), size))
}

/// The key after which the next page begins.
pub fn key(delivery: &Delivery) -> Vec<u8> {
    let mut bytes = delivery.created_at.micros().to_be_bytes().to_vec();
    bytes.extend_from_slice(delivery.id.uuid().as_bytes());
    bytes
}

fn read_key(bytes: &[u8]) -> Result<(i64, Uuid), Failure> {
    let (at, id) = bytes.split_at_checked(8).ok_or_else(Page::unreadable)?;
    let at = at.try_into().map(i64::from_be_bytes).map_err(|_| Page::unreadable())?;
    Ok((at, Uuid::from_slice(id).map_err(|_| Page::unreadable())?))
}

#[derive(FromQueryResult)]
struct Counted {
    kind: String,
    channel: String,
    state: String,
    number: i64,
}

/// How many deliveries in scope there are of each kind, channel and state.
pub async fn count(tx: &Tx, scope: &Scope, filter: &Filter) -> Result<Vec<Count>, Failure> {
    let rows = Entity::find()
        .select_only()
        .columns([Column::Kind, Column::Channel, Column::State])
        .column_as(Expr::cust("COUNT(*)"), "number")
        .filter(scope.condition(&columns()))
        .filter(filter.condition())
        .group_by(Column::Kind)
        .group_by(Column::Channel)
        .group_by(Column::State)
        .into_model::<Counted>()
        .all(&**tx)
        .await
        .map_err(fault)?;
    let read = |row: Counted| {
        Ok(Count {
            kind: MessageKind::parse(&row.kind).ok_or_else(|| unknown("message kind", &row.kind))?,
            channel: Channel::parse(&row.channel).ok_or_else(|| unknown("channel", &row.channel))?,
            state: State::parse(&row.state).ok_or_else(|| unknown("state", &row.state))?,
            count: row.number,
        })
    };
    let mut counts: Vec<Count> = rows.into_iter().map(read).collect::<Result<_, Failure>>()?;
    counts.sort_by_key(|count| (count.kind, count.channel, count.state));
    Ok(counts)
}

/// Every call of a delivery, oldest first.
pub async fn attempts(tx: &Tx, delivery: &Delivery) -> Result<Vec<Attempt>, Failure> {
    use entity::attempt::Column;
    let rows = entity::attempt::Entity::find()
        .filter(Column::TenantId.eq(delivery.tenant.uuid()))
        .filter(Column::DeliveryId.eq(delivery.id.uuid()))
        .order_by(Column::Number, Order::Asc)
        .all(&**tx)
        .await
        .map_err(fault)?;
    let attempt = |row: entity::attempt::Model| Attempt {
        id: row.attempt_id.into(),
        outcome: row.outcome,
        code: row.code,
        request_hash: row.request_hash,
        started_at: time(row.started_at),
        latency_micros: row.latency_micros,
    };
    Ok(rows.into_iter().map(attempt).collect())
}

/// Every change of state of a delivery, oldest first.
pub async fn history(tx: &Tx, delivery: &Delivery) -> Result<Vec<StateChange>, Failure> {
    use entity::delivery_history::Column;
    let rows = entity::delivery_history::Entity::find()
        .filter(Column::TenantId.eq(delivery.tenant.uuid()))
        .filter(Column::DeliveryId.eq(delivery.id.uuid()))
        .order_by(Column::Version, Order::Asc)
        .all(&**tx)
        .await
        .map_err(fault)?;
    let change = |row: entity::delivery_history::Model| {
        Ok(StateChange {
            version: row.version,
            from: State::parse(&row.from_state).ok_or_else(|| unknown("state", &row.from_state))?,
            to: State::parse(&row.to_state).ok_or_else(|| unknown("state", &row.to_state))?,
            reason: row.reason,
            at: time(row.changed_at),
        })
    };
    rows.into_iter().map(change).collect()
}

/// Adds a planned delivery.
pub async fn add(tx: &Tx, delivery: &Delivery) -> Result<(), Failure> {
    super::insert(tx, delivery.model()).await
}
