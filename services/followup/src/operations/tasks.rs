//! Task operations: who sees what of a task. What becomes of it is decided beneath.

mod change;
mod locked;

use revisit_bootstrap::{Principal, audit, database::Tx};
use revisit_core::id::{SubjectId, TaskId, TenantId};
use revisit_permission::{Action, Layer, Levels, Veiled};
use revisit_proto::followup::v1 as pb;

pub use change::{Act, Change, change, close_issue, closed, plant_next};
pub use locked::{Locked, active, loan_of_outcome, lock};

use super::{events, planner, rights::Rights, sight::Sight};
use crate::{
    App,
    domain::{Error, people::Customer, plan::Reason, task::Task},
    schedule,
    sealed::Texts,
    show::{self, Asked, Legible},
    store::{lists, people, projection, tasks},
};

/// A task with what it is decided on.
pub struct Found {
    pub task: Task,
    pub customer: Option<Customer>,
}

/// One task that the caller may see.
pub async fn find(app: &App, who: &Principal, id: TaskId) -> Result<Found, Error> {
    let scope = who.scope(Action::TaskView)?;
    app.database
        .read(&scope, async |tx: &Tx| {
            let (task, customer) = read(app, tx, scope.tenant(), id).await?;
            scope.levels(&task.row(customer.as_ref())).ok_or(Error::NoSuchTask)?;
            Ok(Found { task, customer })
        })
        .await
}

/// One task and its customer, whoever may see them.
pub async fn read(app: &App, tx: &Tx, tenant: TenantId, id: TaskId) -> Result<(Task, Option<Customer>), Error> {
    let task = tasks::find(tx, tenant, id).await?.ok_or(Error::NoSuchTask)?;
    let customer = match task.customer {
        // Whose it is and how it is guarded stands on the customer: old news decides nothing.
        Some(id) => {
            app.freshness.require("customer")?;
            projection::customer(tx, tenant, id, projection::Hold::Look).await?
        }
        None => None,
    };
    Ok((task, customer))
}

/// One task as the caller may see it.
pub async fn get(app: &App, who: &Principal, id: TaskId, asked: Asked) -> Result<pb::Task, Error> {
    let sight = Sight::of(who)?;
    let reads = async |tx: &Tx| {
        let (task, customer) = read(app, tx, who.tenant(), id).await?;
        let customer = customer.as_ref();
        let decision = sight.decision(&task, customer).ok_or(Error::NoSuchTask)?;
        let levels = sight.of_texts(decision.levels, customer);
        let texts = app.sealed.texts(tx, [&task]).await?;
        let legible = legible(app, tx, (&task, customer, levels), asked, &texts).await?;
        let disclosed = legible.disclosed();
        if !disclosed.is_empty() {
            let entry = audit::Entry::new(&who.caller, Action::TaskView.name(), "task").about([id.uuid()]);
            audit::record(tx, &app.ids, entry.fields(disclosed).decided(&decision)).await?;
        }
        Ok(show::task(legible))
    };
    // A clear read is in the audit before it leaves, or it does not leave.
    match asked {
        Asked::NOTHING => app.database.read(&sight.permit(), reads).await,
        Asked { .. } => app.database.write(&sight.permit(), reads).await,
    }
}

/// What is seen of a task that was just changed by who has handed it away with that, or views no tasks at all: what the
/// change itself was about.
pub const CHANGED: Levels = Levels::EVENT;
/// What they see of it with a repeat: it may have gone on without them.
pub const REPEATED: Levels = Levels::HIDDEN;

/// Makes a task ready to be shown: its title opened, its step named. `unseen` is what is seen of it by who may not view it.
pub async fn shown(
    app: &App,
    tx: &Tx,
    rights: &mut Rights,
    (task, customer): (&Task, Option<&Customer>),
    unseen: Levels,
) -> Result<pb::Task, Error> {
    let levels = rights.allowed(Action::TaskView, &task.row(customer))?.unwrap_or(unseen);
    let texts = app.sealed.texts(tx, [task]).await?;
    Ok(show::task(legible(app, tx, (task, customer, levels), Asked::NOTHING, &texts).await?))
}

async fn legible<'a>(
    app: &App,
    tx: &Tx,
    (task, customer, levels): (&'a Task, Option<&'a Customer>, Levels),
    asked: Asked,
    texts: &Texts,
) -> Result<Legible<'a>, Error> {
    let title = title(app, tx, task, texts).await?;
    let reason = if task.reason == Reason::Caller {
        texts.open(task, "reason_text", &task.reason_text)?
    } else {
        Veiled::new(Layer::Basic, task.reason.words().to_owned())
    };
    Ok(Legible { task, customer, levels, title, reason, asked, now: app.now(tx).await? })
}

async fn title(app: &App, tx: &Tx, task: &Task, texts: &Texts) -> Result<Veiled<String>, Error> {
    let named = |name: String| Veiled::new(Layer::Basic, name);
    let Some(origin) = &task.origin else {
        return Ok(match task.title.is_empty() {
            true => named(events::list_name(task.kind).to_owned()),
            false => texts.open(task, "title", &task.title)?,
        });
    };
    let version = planner::version(app, tx, (task.tenant, origin.plan, origin.version)).await?;
    let step = version.as_ref().and_then(|version| version.definition.step(&origin.step));
    Ok(named(step.map(|step| step.name.clone()).unwrap_or_default()))
}

/// A page of tasks of the caller's reach.
pub async fn list(app: &App, who: &Principal, wish: lists::Wish) -> Result<(Vec<pb::Task>, Option<lists::Key>), Error> {
    let scope = who.scope(Action::TaskView)?;
    app.freshness.require("customer")?;
    app.database
        .read(&scope, async |tx: &Tx| {
            let page = lists::tasks(tx, &scope, &wish).await?;
            let texts = app.sealed.texts(tx, page.tasks.iter().map(|(task, _)| task)).await?;
            let mut rows = Vec::with_capacity(page.tasks.len());
            for (task, customer) in &page.tasks {
                let customer = customer.as_ref();
                let levels = scope.levels(&task.row(customer)).unwrap_or_default();
                let legible = legible(app, tx, (task, customer, levels), Asked::NOTHING, &texts).await?;
                rows.push(show::task(legible));
            }
            Ok((rows, page.next))
        })
        .await
}

/// The zone of a person, for their local day.
pub async fn zone_of(app: &App, who: &Principal, person: SubjectId) -> Result<chrono_tz::Tz, Error> {
    let scope = who.scope(Action::TaskView)?;
    let found = app
        .database
        .read(&scope, async |tx: &Tx| people::person(tx, scope.tenant(), person).await.map_err(Error::from));
    let named = found.await?.and_then(|person| schedule::zone(&person.zone));
    Ok(named.unwrap_or_else(|| app.config.zone()))
}
