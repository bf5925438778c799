//! Who sees what of an outcome. What was said with a customer is the customer's and not the task's: it is read by who may
//! view the customer now, a successor too, and no longer by who could then. A sensitive one belongs to supervisors: the
//! others see that it exists.

use revisit_bootstrap::{
    Principal,
    audit::{self, Deed},
    database::Tx,
    idempotency::{Once, Repeatable},
};
use revisit_core::{
    Timestamp,
    id::{CustomerId, TaskId},
};
use revisit_permission::{Action, Clarity, Layer, Level, Levels, Permits};
use revisit_proto::followup::v1 as pb;

use super::{
    enrolments::viewed_customer,
    rights::Rights,
    sight::Sight,
    tasks::{find, lock, read},
    write::{self, Made, Sent, TRIES},
};
use crate::{
    App,
    domain::{
        Error,
        outcome::{Note, Outcome},
        people::Customer,
        task::Task,
    },
    show,
    store::{outcomes, projection, tasks},
};

/// What a reader may see of a task's outcome.
struct Reader<'a> {
    sight: &'a Sight,
    levels: Levels,
    supervisor: bool,
    /// Whether values of the sensitive layer are asked for in clear.
    asked: Clarity,
}

/// What a supervisor of a task reads of its answer beside what they read anyway.
const SUPERVISING: Levels = Levels::of(&[(Layer::History, Level::Read), (Layer::Review, Level::Read)]);

impl<'a> Reader<'a> {
    /// A reader of one task at these levels.
    fn of(sight: &'a Sight, (task, customer): (&Task, Option<&Customer>), levels: Levels) -> Self {
        Self { sight, levels, supervisor: sight.reviews(task, customer), asked: Clarity::Usual }
    }
}

/// Seals and keeps the notes of an outcome.
pub async fn save_notes(app: &App, tx: &Tx, task: &Task, notes: &[Note]) -> Result<(), Error> {
    let mut sealed = Vec::with_capacity(notes.len());
    for (index, note) in notes.iter().enumerate() {
        sealed.push((note.layer, app.sealed.seal(tx, task, column(index), &note.text).await?));
    }
    outcomes::save_notes(tx, task.tenant, task.id, sealed).await?;
    Ok(())
}

/// A note is sealed for its place among the others.
const COLUMNS: [&str; 10] =
    ["note_0", "note_1", "note_2", "note_3", "note_4", "note_5", "note_6", "note_7", "note_8", "note_9"];

/// Notes of one outcome at the most.
pub const NOTES_MAX: usize = COLUMNS.len();

fn column(index: usize) -> &'static str {
    COLUMNS.get(index).copied().unwrap_or(COLUMNS[0])
}

/// An outcome as its reader may see it.
async fn shown(app: &App, tx: &Tx, task: &Task, outcome: &Outcome, reader: &Reader<'_>) -> Result<pb::Outcome, Error> {
    let mut shown = show::outcome(outcome, reader.of_answer().show(&outcome.answer, Clarity::Usual));
    for (index, (layer, sealed)) in outcomes::notes(tx, task.tenant, task.id).await?.into_iter().enumerate() {
        let text = app.sealed.open(tx, task, layer, (column(index), &sealed)).await?;
        shown.notes.extend(show::note(layer, reader.of_notes(outcome).show_prose(&text, reader.asked)));
    }
    if !shown.withheld {
        shown.issues = issues(app, tx, task, reader).await?;
    }
    Ok(shown)
}

/// The issues that an outcome has raised, as far as their tasks are within the reader's reach.
async fn issues(app: &App, tx: &Tx, task: &Task, reader: &Reader<'_>) -> Result<Vec<pb::Issue>, Error> {
    let customer = match task.customer {
        Some(id) => projection::customer(tx, task.tenant, id, projection::Hold::Look).await?,
        None => None,
    };
    let mut issues = Vec::new();
    for issue in tasks::issues_of(tx, task.tenant, task.id).await? {
        if let Some(levels) = reader.sight.tasks().levels(&issue.row(customer.as_ref())) {
            let title = app.sealed.open(tx, &issue, Layer::Basic, ("title", &issue.title)).await?;
            issues.push(show::issue(&issue, levels.show_prose(&title, Clarity::Usual)));
        }
    }
    Ok(issues)
}

impl Reader<'_> {
    /// What is shown of an answer by: a sensitive one is shown to who may review, whatever else they may.
    fn of_answer(&self) -> Levels {
        match self.supervisor {
            true => self.levels.join(SUPERVISING),
            false => self.levels.with(Layer::Review, Level::Hidden),
        }
    }

    /// What is shown of the notes by: those of a sensitive outcome are sensitive with it.
    fn of_notes(&self, outcome: &Outcome) -> Levels {
        if outcome.sensitive() && !self.supervisor { Levels::HIDDEN } else { self.levels }
    }
}

/// The outcome of one task.
pub async fn get(app: &App, who: &Principal, id: TaskId, clear: bool) -> Result<pb::Outcome, Error> {
    let sight = Sight::of(who)?;
    let reads = async |tx: &Tx| {
        let (task, customer) = read(app, tx, who.tenant(), id).await?;
        let customer = customer.as_ref();
        let decision = sight.decision(&task, customer).ok_or(Error::NoSuchTask)?;
        let levels = of_outcome(&sight, decision.levels, customer).ok_or(Error::NoSuchOutcome)?;
        let mut reader = Reader::of(&sight, (&task, customer), levels);
        let outcome = outcomes::find(tx, task.tenant, id).await?.ok_or(Error::NoSuchOutcome)?;
        if clear && levels.reads(Layer::Sensitive) {
            reader.asked = Clarity::Clear;
            let entry = audit::Entry::new(&who.caller, Action::TaskView.name(), "task").about([id.uuid()]);
            audit::record(tx, &app.ids, entry.fields(["notes"]).decided(&decision)).await?;
        }
        shown(app, tx, &task, &outcome, &reader).await
    };
    // A clear read is in the audit before it leaves, or it does not leave.
    if clear {
        app.database.write(&sight.permit(), reads).await
    } else {
        app.database.read(&sight.permit(), reads).await
    }
}

/// The levels of what came of a task: those of the task, and no more than the customer gives. Nothing when the customer
/// is not seen.
fn of_outcome(sight: &Sight, levels: Levels, customer: Option<&Customer>) -> Option<Levels> {
    match customer {
        Some(customer) => Some(levels.cap(sight.viewed(customer)?)),
        None => Some(levels),
    }
}

/// Outcomes of a customer, newest first. Who may read nothing of the customer's history finds those of their own tasks
/// only, without what was said.
pub async fn list(
    app: &App,
    who: &Principal,
    customer: CustomerId,
    (before, limit): (Option<(Timestamp, TaskId)>, u32),
) -> Result<(Vec<pb::Outcome>, Option<(Timestamp, TaskId)>), Error> {
    viewed_customer(app, who, customer).await?;
    let sight = Sight::of(who)?;
    app.database
        .read(&sight.permit(), async |tx: &Tx| {
            let known = projection::customer(tx, who.tenant(), customer, projection::Hold::Look).await?;
            let levels = known.as_ref().and_then(|known| sight.viewed(known)).ok_or(Error::NoSuchCustomer)?;
            let (mut rows, mut after) = (Vec::new(), before);
            let limit = limit as usize;
            // Rows that are not the caller's are passed over until the page is full or the list ends; a page that
            // passes over too many is short, and says where to go on.
            for _ in 0..PAGES_MAX {
                let some = outcomes::list(tx, who.tenant(), customer, after, u64::from(PAGE)).await?;
                let last = some.len() < PAGE as usize;
                for outcome in some {
                    after = Some((outcome.recorded_at, outcome.task));
                    let Some(task) = tasks::find(tx, who.tenant(), outcome.task).await? else { continue };
                    if !levels.reads(Layer::History) && sight.decision(&task, known.as_ref()).is_none() {
                        continue;
                    }
                    let reader = Reader::of(&sight, (&task, known.as_ref()), levels);
                    rows.push(shown(app, tx, &task, &outcome, &reader).await?);
                    if rows.len() == limit {
                        return Ok((rows, after));
                    }
                }
                if last {
                    return Ok((rows, None));
                }
            }
            Ok((rows, after))
        })
        .await
}

/// Outcomes of one statement.
const PAGE: u32 = 100;
/// Statements of one page.
const PAGES_MAX: usize = 20;

/// The levels of what came of a task, for a reader who may see that at all.
fn levels_of(sight: &Sight, (task, customer): (&Task, Option<&Customer>)) -> Option<Levels> {
    of_outcome(sight, sight.decision(task, customer)?.levels, customer)
}

/// An outcome as whoever has just written it may see it: as [`get`] would show it, and of what that hides, that it exists.
pub async fn written(
    app: &App,
    tx: &Tx,
    rights: &mut Rights,
    (task, customer): (&Task, Option<&Customer>),
    outcome: &Outcome,
) -> Result<pb::Outcome, Error> {
    let sight = Sight::of(rights.who())?;
    let reader = match levels_of(&sight, (task, customer)) {
        Some(levels) => Reader::of(&sight, (task, customer), levels),
        None => Reader { sight: &sight, levels: Levels::HIDDEN, supervisor: false, asked: Clarity::Usual },
    };
    let answer = shown(app, tx, task, outcome, &reader).await?;
    rights.looked(sight);
    Ok(answer)
}

/// A supervisor's word on a sensitive outcome. A repeat reads it again: what was said is for who may read it by then.
pub async fn review(
    app: &App,
    who: &Principal,
    (id, approved): (TaskId, bool),
    repeat: Option<Repeatable>,
) -> Result<pb::Outcome, Error> {
    let found = find(app, who, id).await?;
    let permits = Permits(vec![who.decide(Action::TaskReview, &found.task.row(found.customer.as_ref()))?]);
    let once = Once::new(who, repeat.as_ref());
    for _ in 0..TRIES {
        let work = async |tx: &Tx, sent: Sent| {
            let Some(locked) = lock(tx, who.tenant(), id).await? else { return Ok(Made::Overtaken) };
            let mut rights = Rights::of(who);
            locked.decide(&mut rights, Action::TaskReview)?;
            let seen = (&locked.task, locked.customer.as_ref());
            levels_of(&Sight::of(who)?, seen).ok_or(Error::NoSuchOutcome)?;
            let mut outcome = outcomes::lock(tx, who.tenant(), id).await?.ok_or(Error::NoSuchOutcome)?;
            if matches!(sent, Sent::First) {
                outcome = outcome.reviewed(who.subject(), approved)?;
                outcomes::save(tx, &outcome).await?;
            }
            let answer = (written(app, tx, &mut rights, seen, &outcome).await?, None);
            Ok(match sent {
                Sent::First => Made::Changed(answer, Deed::on("task", [id.uuid()]).fields(["review"]), rights),
                Sent::Again(_) => Made::Unchanged(answer, rights),
            })
        };
        if let Some(outcome) = write::attempt(app, &permits, once, work).await? {
            return Ok(outcome);
        }
    }
    Err(Error::Stale)
}
