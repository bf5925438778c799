//! Audit entries of customers that were changed or changed hands: which of them, which fields, and by what right.

use revisit_bootstrap::audit;
use revisit_core::id::CustomerId;
use revisit_permission::{Action, Decided};

use crate::store::save::{Change, Handover};

/// What was decided about many customers, gathered by the right that decided: each entry names the one right by which its
/// customers were changed, and no more of them than an entry holds.
pub fn by_right(permits: &[Decided]) -> Vec<(&Decided, Vec<CustomerId>)> {
    let mut groups: Vec<(&Decided, Vec<CustomerId>)> = Vec::new();
    for decided in permits {
        let id = CustomerId::from_uuid(decided.rows()[0].id);
        let alike = |(known, ids): &&mut (&Decided, Vec<CustomerId>)| {
            ids.len() < audit::RESOURCE_IDS_MAX && right(known) == right(decided)
        };
        match groups.iter_mut().find(alike) {
            Some((_, ids)) => ids.push(id),
            None => groups.push((decided, vec![id])),
        }
    }
    groups
}

/// What an entry says of a decision.
fn right(decided: &Decided) -> impl PartialEq {
    let decision = &decided.decisions()[0];
    (decided.action(), decision.witness, decision.revision)
}

/// The entry of one change. One act is one entry: a change of hands says what else was to be written with it.
pub fn of_change(decided: &Decided, change: &Change, named: Vec<String>) -> audit::Entry {
    let changes_hands = change.before.as_ref().is_some_and(|before| before.owner != change.after.owner);
    match changes_hands {
        true => transferred(decided, [change.after.id], &change.handover, &named),
        false => changed(decided, [change.after.id], named),
    }
}

/// The entry of customers that somebody made or changed: the fields that were to be written, whether or not they held
/// something else before.
pub fn changed(
    decided: &Decided,
    ids: impl IntoIterator<Item = CustomerId>,
    named: impl IntoIterator<Item = impl Into<String>>,
) -> audit::Entry {
    let action = decided.action().map_or(Action::CustomerUpdate.name(), Action::name);
    let entry = audit::Entry::new(decided.caller(), action, "customer");
    entry.about(ids.into_iter().map(CustomerId::uuid)).fields(named).decided(&decided.decisions()[0])
}

/// The entry of customers that changed hands, and of the other fields that were to be written with it.
pub fn transferred(
    decided: &Decided,
    ids: impl IntoIterator<Item = CustomerId>,
    handover: &Handover,
    named: &[String],
) -> audit::Entry {
    let moved = ["owner_id", "department_id"];
    let others = named.iter().map(String::as_str).filter(|field| !moved.contains(field));
    let entry = changed(decided, ids, moved.into_iter().chain(others));
    entry.with(|message| handover.reason.clone_into(&mut message.why))
}
