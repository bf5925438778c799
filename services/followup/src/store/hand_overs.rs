//! Hand-overs that this service has a part in: how far each is.

use revisit_bootstrap::database::{Tx, fault};
use revisit_core::{
    Failure, Id, Timestamp,
    id::{DepartmentId, JobId, SubjectId, TaskId, TenantId},
};
use sea_orm::{
    ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{LockBehavior, LockType},
};
use serde::{Deserialize, Serialize};

use super::{
    at,
    entity::{hand_over, hand_over_refusal},
    id, raw, upsert,
};
use crate::domain::people::People;

/// Who takes over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Successor {
    /// Whoever is responsible by the department.
    Default,
    Person(SubjectId),
    HeadOf(DepartmentId),
    InTurn(DepartmentId),
}

/// One hand-over of tasks.
#[derive(Clone, Debug)]
pub struct HandOver {
    pub tenant: TenantId,
    pub id: JobId,
    pub person: SubjectId,
    /// Only tasks of this department and below; none: all.
    pub from: Option<DepartmentId>,
    /// Who asked for it; nobody when somebody was suspended.
    pub ordered_by: Option<SubjectId>,
    pub successor: Successor,
    pub effective_at: Timestamp,
    /// Whose turn it is next.
    pub turn: i64,
    pub pass: i64,
    pub moved: i64,
    pub refused: i64,
    /// When the next pass may begin.
    pub next_at: Timestamp,
    pub kind: Kind,
    pub done: bool,
}

/// Why work is handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Identity asked for it and waits for the end of this part.
    Offboarding,
    /// Somebody was suspended; nobody waits.
    Suspension,
}

impl HandOver {
    /// Whether there is no reason left: a person who is active again keeps their work.
    #[must_use]
    pub fn is_over(&self, people: &People) -> bool {
        self.kind == Kind::Suspension && people.is_active(self.person)
    }
}

fn read(row: hand_over::Model) -> Result<HandOver, Failure> {
    Ok(HandOver {
        tenant: Id::from_uuid(row.tenant_id),
        id: Id::from_uuid(row.hand_over_id),
        person: Id::from_uuid(row.user_id),
        from: id(row.from_department_id),
        ordered_by: id(row.ordered_by_id),
        successor: serde_json::from_str(&row.successor).map_err(Failure::internal)?,
        effective_at: at(row.effective_at),
        turn: row.turn,
        pass: row.pass,
        moved: row.moved,
        refused: row.refused,
        next_at: at(row.next_at),
        kind: if row.suspended { Kind::Suspension } else { Kind::Offboarding },
        done: row.done,
    })
}

/// Writes a hand-over.
pub async fn save(tx: &Tx, hand_over: &HandOver) -> Result<(), Failure> {
    let row = hand_over::Model {
        tenant_id: hand_over.tenant.uuid(),
        hand_over_id: hand_over.id.uuid(),
        user_id: hand_over.person.uuid(),
        from_department_id: raw(hand_over.from),
        ordered_by_id: raw(hand_over.ordered_by),
        successor: serde_json::to_string(&hand_over.successor).map_err(Failure::internal)?,
        effective_at: hand_over.effective_at.micros(),
        turn: hand_over.turn,
        pass: hand_over.pass,
        moved: hand_over.moved,
        refused: hand_over.refused,
        next_at: hand_over.next_at.micros(),
        suspended: hand_over.kind == Kind::Suspension,
        done: hand_over.done,
    };
    upsert::<hand_over::Entity, _>(tx, vec![row]).await
}

/// The hand-over with this id.
pub async fn find(tx: &Tx, tenant: TenantId, id: JobId) -> Result<Option<HandOver>, Failure> {
    let find = hand_over::Entity::find_by_id((tenant.uuid(), id.uuid()));
    find.one(&**tx).await.map_err(fault)?.map(read).transpose()
}

/// The first hand-over whose next pass may begin, locked; nothing when there is none or another replica has it.
pub async fn next(tx: &Tx, now: Timestamp) -> Result<Option<HandOver>, Failure> {
    let find = hand_over::Entity::find()
        .filter(hand_over::Column::Done.eq(false))
        .filter(hand_over::Column::NextAt.lte(now.micros()))
        .order_by_asc(hand_over::Column::NextAt)
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
    find.one(&**tx).await.map_err(fault)?.map(read).transpose()
}

/// When the next pass of any hand-over may begin.
pub async fn next_at(tx: &Tx) -> Result<Option<Timestamp>, Failure> {
    let find = hand_over::Entity::find()
        .filter(hand_over::Column::Done.eq(false))
        .order_by_asc(hand_over::Column::NextAt)
        .limit(1);
    Ok(find.one(&**tx).await.map_err(fault)?.map(|row| at(row.next_at)))
}

/// Counts one more refusal of a task; answers how many there are now.
pub async fn refuse(tx: &Tx, hand_over: &HandOver, task: TaskId) -> Result<i32, Failure> {
    let key = (hand_over.tenant.uuid(), hand_over.id.uuid(), task.uuid());
    let known = hand_over_refusal::Entity::find_by_id(key).one(&**tx).await.map_err(fault)?;
    let tries = known.map_or(0, |known| known.tries) + 1;
    let (tenant_id, hand_over_id, task_id) = key;
    let row = hand_over_refusal::Model { tenant_id, hand_over_id, task_id, tries };
    upsert::<hand_over_refusal::Entity, _>(tx, vec![row]).await?;
    Ok(tries)
}

/// Tasks that were refused so often that they stay where they are.
pub async fn given_up(tx: &Tx, hand_over: &HandOver, tries: i32) -> Result<Vec<TaskId>, Failure> {
    let rows = hand_over_refusal::Entity::find()
        .filter(hand_over_refusal::Column::TenantId.eq(hand_over.tenant.uuid()))
        .filter(hand_over_refusal::Column::HandOverId.eq(hand_over.id.uuid()))
        .filter(hand_over_refusal::Column::Tries.gte(tries))
        .all(&**tx)
        .await
        .map_err(fault)?;
    Ok(rows.into_iter().map(|row| Id::from_uuid(row.task_id)).collect())
}
