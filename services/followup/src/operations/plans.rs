//! Plans: drafting, showing what a publication would change, publishing, ending.

use revisit_bootstrap::{
    Principal,
    audit::Deed,
    database::Tx,
    idempotency::{Once, Repeatable},
};
use revisit_core::id::{DepartmentId, PlanId};
use revisit_permission::{Action, Layer, Levels, Permits, Row};
use revisit_proto::followup::v1 as pb;

use super::{
    enrolments, events, planner,
    rights::Rights,
    write::{self, Made},
};
use crate::{
    App,
    domain::{
        Error,
        plan::{self, Definition, Plan, PlanState, PlanVersion, Shipped},
    },
    show,
    store::{
        people, plans,
        plans::{Sweep, SweepKind},
    },
};

/// A new plan.
pub struct New {
    pub name: String,
    pub definition: Wanted,
    pub repeat: Option<Repeatable>,
}

/// Where a new plan's definition comes from.
pub enum Wanted {
    Own(Box<Definition>),
    /// A shipped template; the definition gives only what the template leaves to the tenant.
    Template(String, Box<Definition>),
}

/// Where a plan of somebody's belongs.
async fn department(app: &App, who: &Principal) -> Result<Option<DepartmentId>, Error> {
    let scope = who.scope(Action::PlanManage)?;
    let own = async |tx: &Tx| people::person(tx, scope.tenant(), who.subject()).await.map_err(Error::from);
    Ok(app.database.read(&scope, own).await?.and_then(|own| own.department))
}

/// Creates a draft.
pub async fn create(app: &App, who: &Principal, new: New) -> Result<pb::Plan, Error> {
    let definition = match new.definition {
        Wanted::Own(definition) => *definition,
        Wanted::Template(key, given) => {
            let found = plan::shipped().into_iter().find(|shipped| shipped.key == key).ok_or(Error::NoSuchTemplate)?;
            Definition { segment: given.segment, calendar: given.calendar, zone: given.zone, ..found.definition }
        }
    };
    let now = app.clock.wall();
    let plan = Plan {
        tenant: who.tenant(),
        id: app.ids.next(now),
        name: new.name,
        state: PlanState::Draft,
        published: 0,
        segment: None,
        draft: Some(definition),
        owner: who.subject(),
        department: department(app, who).await?,
        created_at: now,
        updated_at: now,
        version: 1,
    };
    let permits = Permits(vec![who.decide(Action::PlanManage, &plan.row())?]);
    let work = async |tx: &Tx| {
        let mut rights = Rights::of(who);
        rights.decide(Action::PlanManage, &plan.row())?;
        plans::save(tx, &plan).await?;
        Ok(Made::Changed(show::plan(&plan, None), deed(&plan), rights))
    };
    write::change(app, &permits, Once::new(who, new.repeat.as_ref()), work).await
}

fn deed(plan: &Plan) -> Deed {
    Deed::on("plan", [plan.id.uuid()])
}

/// A plan that the caller may see.
async fn find(app: &App, who: &Principal, id: PlanId) -> Result<Plan, Error> {
    let scope = who.scope(Action::PlanView)?;
    let read = async |tx: &Tx| plans::find(tx, &scope, id).await?.ok_or(Error::NoSuchPlan);
    app.database.read(&scope, read).await
}

async fn shown(app: &App, tx: &Tx, plan: &Plan) -> Result<pb::Plan, Error> {
    let published = planner::version(app, tx, (plan.tenant, plan.id, plan.published)).await?;
    Ok(show::plan(plan, published.as_deref()))
}

/// One plan.
pub async fn get(app: &App, who: &Principal, id: PlanId) -> Result<pb::Plan, Error> {
    let scope = who.scope(Action::PlanView)?;
    app.database
        .read(&scope, async |tx: &Tx| {
            let plan = plans::find(tx, &scope, id).await?.ok_or(Error::NoSuchPlan)?;
            shown(app, tx, &plan).await
        })
        .await
}

/// A page of plans.
pub async fn list(
    app: &App,
    who: &Principal,
    state: Option<PlanState>,
    (after, limit): (Option<PlanId>, u32),
) -> Result<(Vec<pb::Plan>, Option<PlanId>), Error> {
    let scope = who.scope(Action::PlanView)?;
    app.database
        .read(&scope, async |tx: &Tx| {
            let limit = limit as usize;
            let mut found = plans::list(tx, &scope, (after, state), limit + 1).await?;
            let more = found.len() > limit;
            found.truncate(limit);
            let mut rows = Vec::with_capacity(found.len());
            for plan in &found {
                rows.push(shown(app, tx, plan).await?);
            }
            Ok((rows, found.last().filter(|_| more).map(|plan| plan.id)))
        })
        .await
}

/// A change of a plan's name, draft or both.
pub struct Update {
    pub id: PlanId,
    pub etag: Option<i64>,
    pub name: Option<String>,
    pub definition: Option<Definition>,
    pub repeat: Option<Repeatable>,
}

/// Changes a plan; what is published stays as it is until the next publication.
pub async fn update(app: &App, who: &Principal, update: Update) -> Result<pb::Plan, Error> {
    let found = find(app, who, update.id).await?;
    let permits = Permits(vec![who.decide(Action::PlanManage, &found.row())?]);
    let named = [update.name.as_ref().map(|_| "name"), update.definition.as_ref().map(|_| "definition")];
    let work = async |tx: &Tx| {
        let (mut plan, mut rights) = (lock(tx, &found, update.etag).await?, Rights::of(who));
        rights.decide(Action::PlanManage, &plan.row())?;
        if let Some(name) = update.name {
            plan.name = name;
        }
        if let Some(definition) = update.definition {
            plan.draft = Some(definition);
        }
        plan.updated_at = app.now(tx).await?;
        plan.version += 1;
        plans::save(tx, &plan).await?;
        let deed = deed(&plan).fields(named.into_iter().flatten());
        Ok(Made::Changed(shown(app, tx, &plan).await?, deed, rights))
    };
    write::change(app, &permits, Once::new(who, update.repeat.as_ref()), work).await
}

async fn lock(tx: &Tx, found: &Plan, etag: Option<i64>) -> Result<Plan, Error> {
    let plan = plans::lock(tx, found.tenant, found.id).await?.ok_or(Error::NoSuchPlan)?;
    if etag.is_some_and(|etag| etag != plan.version) {
        return Err(Error::Stale);
    }
    if plan.state == PlanState::Retired {
        return Err(Error::PlanRetired);
    }
    Ok(plan)
}

/// Lending is granting: it takes the right to grant, over the whole company, because any customer may enter the segment.
fn granting(rights: &mut Rights) -> Result<Option<Levels>, Error> {
    rights.allowed(Action::GrantManage, &Row::of_tenant(rights.who().tenant()))
}

/// What may not be granted of what a definition lends.
fn refused(granting: Option<Levels>, lent: &[Layer]) -> Vec<Layer> {
    let may = |layer: &Layer| granting.is_some_and(|granting| granting.reads(*layer));
    lent.iter().copied().filter(|layer| !may(layer)).collect()
}

/// What a publication would change.
pub async fn preview(app: &App, who: &Principal, id: PlanId) -> Result<pb::PreviewPlanResponse, Error> {
    let running = enrolments::running(app, who, id, None).await?;
    let scope = who.scope(Action::PlanView)?;
    app.database
        .read(&scope, async |tx: &Tx| {
            let plan = plans::find(tx, &scope, id).await?.ok_or(Error::NoSuchPlan)?;
            let published = planner::version(app, tx, (plan.tenant, plan.id, plan.published)).await?;
            let former = published.as_ref().map(|version| &version.definition);
            let former_lent = former.map_or(&[][..], |former| &former.lent);
            let former_issues = former.map_or(&[][..], |former| &former.issue_lent);
            let next = plan.draft.as_ref().or(published.as_ref().map(|version| &version.definition));
            let next = next.ok_or(Error::NoDraft)?;
            let without = |these: &[Layer], those: &[Layer]| -> Vec<Layer> {
                these.iter().copied().filter(|layer| !those.contains(layer)).collect()
            };
            let granting = granting(&mut Rights::of(who))?;
            Ok(pb::PreviewPlanResponse {
                added_layers: show::layers(&without(&next.lent, former_lent)),
                removed_layers: show::layers(&without(former_lent, &next.lent)),
                refused_layers: show::layers(&refused(granting, &next.lends())),
                added_issue_layers: show::layers(&without(&next.issue_lent, former_issues)),
                removed_issue_layers: show::layers(&without(former_issues, &next.issue_lent)),
                watched_fields: next.watched_fields().into_iter().map(str::to_owned).collect(),
                enrolment_count: running,
            })
        })
        .await
}

/// Makes the draft the next version and enrols who is in its segment.
pub async fn publish(
    app: &App,
    who: &Principal,
    id: PlanId,
    (etag, migrates): (Option<i64>, bool),
    repeat: Option<Repeatable>,
) -> Result<pb::Plan, Error> {
    let found = find(app, who, id).await?;
    let permits = Permits(vec![who.decide(Action::PlanPublish, &found.row())?]);
    let work = async |tx: &Tx| {
        let plan = lock(tx, &found, etag).await?;
        publish_in(app, tx, Rights::of(who), (plan, migrates)).await
    };
    let published = write::change(app, &permits, Once::new(who, repeat.as_ref()), work).await?;
    app.wake.notify_one();
    Ok(published)
}

async fn publish_in(
    app: &App,
    tx: &Tx,
    mut rights: Rights,
    (mut plan, migrates): (Plan, bool),
) -> Result<Made<pb::Plan>, Error> {
    // Both rights stand when the plan is published, or it is not.
    rights.decide(Action::PlanPublish, &plan.row())?;
    let definition = plan.draft.take().ok_or(Error::NoDraft)?;
    let refused = refused(granting(&mut rights)?, &definition.lends());
    if !refused.is_empty() {
        return Err(Error::LayersRefused(refused));
    }
    let now = app.now(tx).await?;
    plan.published += 1;
    plan.state = PlanState::Published;
    let former = plan.segment.replace(definition.segment);
    plan.updated_at = now;
    plan.version += 1;
    let version = PlanVersion {
        tenant: plan.tenant,
        plan: plan.id,
        version: plan.published,
        name: plan.name.clone(),
        definition,
        published_by: rights.who().subject(),
        published_at: now,
    };
    plans::save(tx, &plan).await?;
    plans::add_version(tx, &version).await?;
    plans::save_sweep(tx, &Sweep::begin(&plan, SweepKind::Enrol, now)).await?;
    if migrates {
        plans::save_sweep(tx, &Sweep::begin(&plan, SweepKind::Migrate, now)).await?;
    }
    if former.is_some_and(|former| former != version.definition.segment) {
        // The audience says who is followed up, whichever version they run on.
        plans::save_sweep(tx, &Sweep::begin(&plan, SweepKind::Sift, now)).await?;
    }
    tx.emit(events::published(&plan, &version));
    // Publishing widens what open tasks lend: like a grant, it names the layers.
    let deed = deed(&plan).fields(show::layers(&version.definition.lent));
    Ok(Made::Changed(show::plan(&plan, Some(&version)), deed, rights))
}

/// Ends a plan. Ending it twice changes nothing.
pub async fn retire(
    app: &App,
    who: &Principal,
    (id, etag): (PlanId, Option<i64>),
    repeat: Option<Repeatable>,
) -> Result<pb::Plan, Error> {
    let found = find(app, who, id).await?;
    let permits = Permits(vec![who.decide(Action::PlanPublish, &found.row())?]);
    let work = async |tx: &Tx| {
        let mut rights = Rights::of(who);
        rights.decide(Action::PlanPublish, &found.row())?;
        let mut plan = match lock(tx, &found, etag).await {
            Err(Error::PlanRetired) => return Ok(Made::Unchanged(shown(app, tx, &found).await?, rights)),
            locked => locked?,
        };
        let now = app.now(tx).await?;
        plan.state = PlanState::Retired;
        plan.updated_at = now;
        plan.version += 1;
        plans::save(tx, &plan).await?;
        plans::save_sweep(tx, &Sweep::begin(&plan, SweepKind::Release, now)).await?;
        tx.emit(events::retired(&plan));
        Ok(Made::Changed(shown(app, tx, &plan).await?, deed(&plan).fields(["state"]), rights))
    };
    let retired = write::change(app, &permits, Once::new(who, repeat.as_ref()), work).await?;
    app.wake.notify_one();
    Ok(retired)
}

/// One published version.
pub async fn version(app: &App, who: &Principal, id: PlanId, version: i32) -> Result<pb::PlanVersion, Error> {
    let scope = who.scope(Action::PlanView)?;
    app.database
        .read(&scope, async |tx: &Tx| {
            plans::find(tx, &scope, id).await?.ok_or(Error::NoSuchPlan)?;
            let found = planner::version(app, tx, (scope.tenant(), id, version)).await?;
            found.map(|version| show::plan_version(&version)).ok_or(Error::NoSuchVersion)
        })
        .await
}

/// Published versions, newest first.
pub async fn versions(
    app: &App,
    who: &Principal,
    id: PlanId,
    (below, limit): (Option<i32>, u32),
) -> Result<(Vec<pb::PlanVersion>, Option<i32>), Error> {
    let scope = who.scope(Action::PlanView)?;
    app.database
        .read(&scope, async |tx: &Tx| {
            plans::find(tx, &scope, id).await?.ok_or(Error::NoSuchPlan)?;
            let below = below.unwrap_or(i32::MAX);
            let mut rows = plans::list_versions(tx, scope.tenant(), id, below, u64::from(limit) + 1).await?;
            let more = rows.len() > limit as usize;
            rows.truncate(limit as usize);
            let next = rows.last().filter(|_| more).map(|row| row.version);
            Ok((rows.iter().map(show::plan_version).collect(), next))
        })
        .await
}

/// What ships.
pub fn templates(who: &Principal) -> Result<pb::ListPlanTemplatesResponse, Error> {
    who.scope(Action::PlanView)?;
    let template = |shipped: &Shipped| pb::PlanTemplate {
        key: shipped.key.to_owned(),
        name: shipped.name.to_owned(),
        definition: Some(show::plan::definition(&shipped.definition)),
    };
    Ok(pb::ListPlanTemplatesResponse { templates: plan::shipped().iter().map(template).collect() })
}
