//! Moves along the stages, and who has the customer behind one: nobody loses sight of a customer by moving it.
//!
//! Rights are bound to stages, so a sale ends those of the seller, and of the seller's manager. A stage in which
//! customers are worked on is therefore not entered while whoever has the customer would lose sight of it there: such a
//! move names a new owner, who must be able to view and update the customer in that stage. Naming one is part of this
//! move and takes the right to make it, and no other: the giver is decided on the row as it would be if it stayed, the
//! next one on the row as it will be, so the giver need not reach what the next one's department has. That is no way to
//! push customers around: where the owner keeps the customer in sight, at no change of stage and on the way into a stage
//! that nobody works in, a new owner is a transfer, and decided as one.

use revisit_bootstrap::Principal;
use revisit_core::id::{CustomerId, SubjectId};
use revisit_permission::{Action, Decided, Layer, Row};

use super::{
    View, allowed,
    change::{Asked, Asking, Planned, apply},
    customers,
    lifecycle::hand_to,
    require_write,
};
use crate::{
    App,
    domain::{Error, customer::Customer, stage::Stage, timeline::EntryKind},
    store::save::Change,
};

/// Moves a customer to another stage, and to another owner in the same commit when one is named.
pub async fn move_stage(
    app: &App,
    who: &Principal,
    id: CustomerId,
    (stage, new_owner): (&str, Option<SubjectId>),
    asked: Asked,
) -> Result<View, Error> {
    let asking = Asking { who, id, action: Action::CustomerStage, asked: &asked };
    apply(app, asking, |before, catalogue| {
        let to = catalogue.stages.find(stage).ok_or_else(|| Error::StageUnknown(stage.to_owned()))?;
        if !catalogue.stages.allows(&before.stage, stage) {
            return Err(Error::StageTransitionIllegal { from: before.stage.clone(), to: stage.to_owned() });
        }
        plan(app, who, before, (to, new_owner))
    })
    .await
}

fn plan(
    app: &App,
    who: &Principal,
    before: Customer,
    (to, new_owner): (&Stage, Option<SubjectId>),
) -> Result<Planned, Error> {
    let now = app.clock.wall();
    let mut after = before.clone();
    to.name.clone_into(&mut after.stage);
    let (left, kept) = (before.row(), after.row());
    // Whoever may not move it at all hears that first, and nothing about what others may.
    who.decide(Action::CustomerStage, &left)?;
    let entry = customers::entry(app, EntryKind::Stage, &after, now)
        .by(who.subject())
        .change(before.stage.clone(), after.stage.clone());
    let sight = Sight::of_owner(who, (&left, &kept), to)?;
    let new_owner = new_owner.filter(|owner| before.owner != Some(*owner));
    let change = Change::update(before, after).entry(entry);
    let layer = (Layer::Basic, "stage".to_owned());
    let Some(owner) = new_owner else {
        let Sight::Stays(owner) = sight else { return Err(Error::NewOwnerRequired { stage: to.name.clone() }) };
        return Ok(Planned::new(change, vec![layer]).also(owner));
    };
    let change = hand_to(app, who, change, (owner, None), now)?;
    let row = change.after.row();
    let fit =
        || Ok::<_, Error>(to.active.then(|| require_fit(who, owner, &row, to)).transpose()?.into_iter().flatten());
    match sight {
        Sight::Ends => Ok(Planned::new(change, vec![layer]).also(fit()?).decided_on(kept)),
        Sight::Stays(_) => {
            // It is handed over in the stage that it leaves: in the next one the mover may have no right at all.
            let handed = change.after.row().with_stage(left.stage.clone());
            let decided = who.caller.decide_change(&who.leases, Action::CustomerTransfer, &left, &handed)?;
            require_write(&decided.levels(), Layer::Basic, "new_owner_id")?;
            // Only now: what others may do with a row is told to nobody who may not hand it over.
            Ok(Planned::new(change, vec![layer]).also(fit()?).also(Some(decided)))
        }
    }
}

/// What a move leaves the owner of, who is not asked.
enum Sight {
    /// As much as before. That the owner sees the customer, where that is so, is decided again before the commit.
    Stays(Vec<Decided>),
    /// The owner saw the customer and would not in the stage moved to, where somebody is to work on it.
    Ends,
}

impl Sight {
    fn of_owner(who: &Principal, (left, kept): (&Row, &Row), to: &Stage) -> Result<Self, Error> {
        let Some(owner) = left.owner.filter(|_| to.active && left.stage != kept.stage) else {
            return Ok(Self::Stays(Vec::new()));
        };
        let owner = Principal::named(&who.leases, who.tenant(), owner);
        let sees = |row| allowed(owner.decide(Action::CustomerView, &without_tasks(row)));
        match sees(kept)? {
            Some(decided) => Ok(Self::Stays(vec![decided])),
            None if sees(left)?.is_some() => Ok(Self::Ends),
            // Who has left, or never saw it, loses nothing by this move; the patrol finds such customers.
            None => Ok(Self::Stays(Vec::new())),
        }
    }
}

/// The row as rights of one's own reach it: what a task lends ends with the task, and would leave a customer with an owner
/// who does not see it.
fn without_tasks(row: &Row) -> Row {
    row.clone().with_task_holders([])
}

/// That the next owner can work on the customer as it will be. Decided again before the commit.
fn require_fit(who: &Principal, owner: SubjectId, row: &Row, to: &Stage) -> Result<[Decided; 2], Error> {
    let owner = Principal::named(&who.leases, who.tenant(), owner);
    let unfit = || Error::NewOwnerUnfit { stage: to.name.clone() };
    let row = &without_tasks(row);
    let views = allowed(owner.decide(Action::CustomerView, row))?.ok_or_else(unfit)?;
    let updates = allowed(owner.decide(Action::CustomerUpdate, row))?.ok_or_else(unfit)?;
    if updates.levels().writes(Layer::Basic) { Ok([views, updates]) } else { Err(unfit()) }
}
