//! Plans, their published versions, and the sweeps that carry a publication through the audience.

use revisit_bootstrap::database::{Tx, fault};
use revisit_core::{
    Failure, Id, Timestamp,
    id::{CustomerId, PlanId, SegmentId, TenantId},
};
use revisit_permission::Scope;
use sea_orm::{
    ColumnTrait, EntityTrait, ModelTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, ExprTrait, LockType},
};

use super::{
    at,
    entity::{plan, plan_version, sweep},
    id, raw, unreadable, upsert,
};
use crate::domain::plan::{Definition, Plan, PlanState, PlanVersion};

fn plan_of(row: plan::Model) -> Result<Plan, Failure> {
    let draft = row.draft.as_deref().map(definition_of).transpose()?;
    Ok(Plan {
        tenant: Id::from_uuid(row.tenant_id),
        id: Id::from_uuid(row.plan_id),
        name: row.name,
        state: PlanState::parse(&row.state).ok_or_else(|| unreadable("plan state"))?,
        published: row.published,
        segment: id(row.segment_id),
        draft,
        owner: Id::from_uuid(row.owner_id),
        department: id(row.department_id),
        created_at: at(row.created_at),
        updated_at: at(row.updated_at),
        version: row.version,
    })
}

fn definition_of(text: &str) -> Result<Definition, Failure> {
    serde_json::from_str(text).map_err(Failure::internal)
}

fn text_of(definition: &Definition) -> Result<String, Failure> {
    serde_json::to_string(definition).map_err(Failure::internal)
}

/// A plan that lies in the scope.
pub async fn find(tx: &Tx, scope: &Scope, plan: PlanId) -> Result<Option<Plan>, Failure> {
    let row = plan::Entity::find_by_id((scope.tenant().uuid(), plan.uuid())).one(&**tx).await.map_err(fault)?;
    let found = row.map(plan_of).transpose()?;
    Ok(found.filter(|plan| scope.levels(&plan.row()).is_some()))
}

/// A plan that is decided about, to change it.
pub async fn lock(tx: &Tx, tenant: TenantId, plan: PlanId) -> Result<Option<Plan>, Failure> {
    let find = plan::Entity::find_by_id((tenant.uuid(), plan.uuid())).lock(LockType::Update);
    find.one(&**tx).await.map_err(fault)?.map(plan_of).transpose()
}

/// The next plans in the scope after one, by id. A tenant has tens of them, so each is checked in memory.
pub async fn list(
    tx: &Tx,
    scope: &Scope,
    (after, state): (Option<PlanId>, Option<PlanState>),
    limit: usize,
) -> Result<Vec<Plan>, Failure> {
    let mut find = plan::Entity::find().filter(plan::Column::TenantId.eq(scope.tenant().uuid()));
    if let Some(after) = after {
        find = find.filter(plan::Column::PlanId.gt(after.uuid()));
    }
    if let Some(state) = state {
        find = find.filter(plan::Column::State.eq(state.name()));
    }
    let rows = find.order_by_asc(plan::Column::PlanId).all(&**tx).await.map_err(fault)?;
    let mut plans = Vec::new();
    for row in rows {
        let plan = plan_of(row)?;
        if plans.len() < limit && scope.levels(&plan.row()).is_some() {
            plans.push(plan);
        }
    }
    Ok(plans)
}

/// Published plans whose audience is a segment.
pub async fn of_segment(tx: &Tx, tenant: TenantId, segment: SegmentId) -> Result<Vec<Plan>, Failure> {
    let rows = plan::Entity::find()
        .filter(plan::Column::TenantId.eq(tenant.uuid()))
        .filter(plan::Column::SegmentId.eq(segment.uuid()))
        .filter(plan::Column::State.eq(PlanState::Published.name()))
        .order_by_asc(plan::Column::PlanId)
        .all(&**tx)
        .await
        .map_err(fault)?;
    rows.into_iter().map(plan_of).collect()
}

/// Writes a plan.
pub async fn save(tx: &Tx, plan: &Plan) -> Result<(), Failure> {
    let row = plan::Model {
        tenant_id: plan.tenant.uuid(),
        plan_id: plan.id.uuid(),
        name: plan.name.clone(),
        state: plan.state.name().to_owned(),
        published: plan.published,
        segment_id: raw(plan.segment),
        draft: plan.draft.as_ref().map(text_of).transpose()?,
        owner_id: plan.owner.uuid(),
        department_id: raw(plan.department),
        created_at: plan.created_at.micros(),
        updated_at: plan.updated_at.micros(),
        version: plan.version,
    };
    upsert::<plan::Entity, _>(tx, vec![row]).await
}

fn version_of(row: plan_version::Model) -> Result<PlanVersion, Failure> {
    Ok(PlanVersion {
        tenant: Id::from_uuid(row.tenant_id),
        plan: Id::from_uuid(row.plan_id),
        version: row.plan_version,
        name: row.name,
        definition: definition_of(&row.definition)?,
        published_by: Id::from_uuid(row.published_by),
        published_at: at(row.published_at),
    })
}

/// Published versions by key; they never change.
pub async fn versions(tx: &Tx, keys: &[(TenantId, PlanId, i32)]) -> Result<Vec<PlanVersion>, Failure> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let key = Expr::tuple([
        Expr::col(plan_version::Column::TenantId),
        Expr::col(plan_version::Column::PlanId),
        Expr::col(plan_version::Column::PlanVersion),
    ]);
    let wanted = keys.iter().map(|(tenant, plan, version)| (tenant.uuid(), plan.uuid(), *version));
    let rows = plan_version::Entity::find().filter(key.in_tuples(wanted)).all(&**tx).await.map_err(fault)?;
    rows.into_iter().map(version_of).collect()
}

/// Versions of a plan below a number, newest first.
pub async fn list_versions(
    tx: &Tx,
    tenant: TenantId,
    plan: PlanId,
    below: i32,
    limit: u64,
) -> Result<Vec<PlanVersion>, Failure> {
    let rows = plan_version::Entity::find()
        .filter(plan_version::Column::TenantId.eq(tenant.uuid()))
        .filter(plan_version::Column::PlanId.eq(plan.uuid()))
        .filter(plan_version::Column::PlanVersion.lt(below))
        .order_by_desc(plan_version::Column::PlanVersion)
        .limit(limit)
        .all(&**tx)
        .await
        .map_err(fault)?;
    rows.into_iter().map(version_of).collect()
}

/// Adds a version.
pub async fn add_version(tx: &Tx, version: &PlanVersion) -> Result<(), Failure> {
    let row = plan_version::Model {
        tenant_id: version.tenant.uuid(),
        plan_id: version.plan.uuid(),
        plan_version: version.version,
        name: version.name.clone(),
        definition: text_of(&version.definition)?,
        published_by: version.published_by.uuid(),
        published_at: version.published_at.micros(),
    };
    upsert::<plan_version::Entity, _>(tx, vec![row]).await
}

/// Work over all customers of a plan that goes on in the background, restarts included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SweepKind {
    /// Enrol the present members of the segment.
    Enrol,
    /// Move enrolments to the newest version.
    Migrate,
    /// Release everybody: the plan has ended.
    Release,
    /// Release who is no member of the segment: the plan has another audience.
    Sift,
}

impl SweepKind {
    const ALL: [Self; 4] = [Self::Enrol, Self::Migrate, Self::Release, Self::Sift];

    const fn name(self) -> &'static str {
        match self {
            Self::Enrol => "enrol",
            Self::Migrate => "migrate",
            Self::Release => "release",
            Self::Sift => "sift",
        }
    }
}

/// One such work, and the customer or enrolment that it has reached.
#[derive(Clone, Debug)]
pub struct Sweep {
    pub tenant: TenantId,
    pub plan: PlanId,
    pub kind: SweepKind,
    pub cursor: CustomerId,
    pub started_at: Timestamp,
}

impl Sweep {
    /// From the first customer on.
    #[must_use]
    pub fn begin(plan: &Plan, kind: SweepKind, now: Timestamp) -> Self {
        Self { tenant: plan.tenant, plan: plan.id, kind, cursor: Id::from_uuid(uuid::Uuid::nil()), started_at: now }
    }
}

/// Starts a sweep, or starts it anew.
pub async fn save_sweep(tx: &Tx, sweep: &Sweep) -> Result<(), Failure> {
    let row = sweep::Model {
        tenant_id: sweep.tenant.uuid(),
        plan_id: sweep.plan.uuid(),
        kind: sweep.kind.name().to_owned(),
        cursor: sweep.cursor.uuid(),
        started_at: sweep.started_at.micros(),
    };
    upsert::<sweep::Entity, _>(tx, vec![row]).await
}

/// The oldest sweep, locked; nothing when there is none or another replica has it.
pub async fn next_sweep(tx: &Tx) -> Result<Option<Sweep>, Failure> {
    let find = sweep::Entity::find().order_by_asc(sweep::Column::StartedAt).order_by_asc(sweep::Column::PlanId);
    let find = find.lock_with_behavior(LockType::Update, sea_orm::sea_query::LockBehavior::SkipLocked);
    let Some(row) = find.one(&**tx).await.map_err(fault)? else { return Ok(None) };
    let kind = SweepKind::ALL.into_iter().find(|kind| kind.name() == row.kind).ok_or_else(|| unreadable("sweep"))?;
    Ok(Some(Sweep {
        tenant: Id::from_uuid(row.tenant_id),
        plan: Id::from_uuid(row.plan_id),
        kind,
        cursor: Id::from_uuid(row.cursor),
        started_at: at(row.started_at),
    }))
}

/// Whether some sweep is under way.
pub async fn has_sweep(tx: &Tx) -> Result<bool, Failure> {
    Ok(sweep::Entity::find().one(&**tx).await.map_err(fault)?.is_some())
}

/// Ends a sweep.
pub async fn end_sweep(tx: &Tx, sweep: &Sweep) -> Result<(), Failure> {
    let key = (sweep.tenant.uuid(), sweep.plan.uuid(), sweep.kind.name().to_owned());
    if let Some(row) = sweep::Entity::find_by_id(key).one(&**tx).await.map_err(fault)? {
        row.delete(&**tx).await.map_err(fault)?;
    }
    Ok(())
}
