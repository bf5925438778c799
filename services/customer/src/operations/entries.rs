//! Audit entries of customers that were changed or changed hands: which of them, which fields, and by what right.

use std::collections::BTreeSet;

use revisit_bootstrap::audit;
use revisit_core::id::CustomerId;
use revisit_permission::{Action, Decided};

use crate::store::save::{Change, Handover};

/// The field that a note is.
pub const NOTE: &str = "timeline.text";

/// What was decided about many customers, gathered by the right that decided: each entry names the one right by which its
/// customers were changed, and no more of them than an entry holds.
pub fn by_right(permits: &[Decided]) -> Vec<(&Decided, Vec<CustomerId>)> {
    let groups = grouped(permits.iter().map(|decided| (decided, ())));
    groups.into_iter().map(|((decided, ()), ids)| (decided, ids)).collect()
}

/// Gathers also by what else must be alike in an entry.
fn grouped<'a, T: PartialEq>(
    decided: impl Iterator<Item = (&'a Decided, T)>,
) -> Vec<((&'a Decided, T), Vec<CustomerId>)> {
    let mut groups: Vec<((&Decided, T), Vec<CustomerId>)> = Vec::new();
    for (decided, what) in decided {
        let id = CustomerId::from_uuid(decided.rows()[0].id);
        let alike = |((known, of), ids): &&mut ((&Decided, T), Vec<CustomerId>)| {
            ids.len() < audit::RESOURCE_IDS_MAX && *of == what && right(known) == right(decided)
        };
        match groups.iter_mut().find(alike) {
            Some((_, ids)) if ids.contains(&id) => {}
            Some((_, ids)) => ids.push(id),
            None => groups.push(((decided, what), vec![id])),
        }
    }
    groups
}

/// The entries of customers that were written by these rights, each with its fields.
pub fn written<'a>(permits: impl Iterator<Item = (&'a Decided, &'a BTreeSet<String>)>) -> Vec<audit::Entry> {
    let groups = grouped(permits);
    groups.into_iter().map(|((decided, named), ids)| changed(decided, ids, named)).collect()
}

/// The entries of new customers. They have no field: which of them somebody new has would tell who reads the log what is
/// there.
pub fn made(permits: &[Decided]) -> Vec<audit::Entry> {
    let groups = by_right(permits);
    groups.into_iter().map(|(decided, ids)| changed(decided, ids, std::iter::empty::<String>())).collect()
}

/// What an entry says of a decision.
fn right(decided: &Decided) -> impl PartialEq {
    let decision = &decided.decisions()[0];
    (decided.action(), decision.witness, decision.revision)
}

/// The entry of one change. One act is one entry: a change of hands says what else was to be written with it.
pub fn of_change(decided: &Decided, change: &Change, named: Vec<String>) -> audit::Entry {
    // Also from one department to another of the same owner.
    let changes_hands =
        change.before.as_ref().is_some_and(|before| before.ownership_epoch != change.after.ownership_epoch);
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
