//! That nobody comes to hold two duties that exclude each other.

use super::Refusal;
use crate::{
    facts::Facts,
    model::{Change, Department, Removed, Subject},
    role::{Duty, clash},
    snapshot::Snapshot,
};

impl Facts {
    /// That nobody whose roles or grants the change touches comes to hold two duties that exclude each other.
    pub(super) fn validate_duties(&self, change: &Change) -> Result<(), Refusal> {
        let touched: Box<dyn Fn(&Subject) -> bool> = match change {
            Change::Subject(new) => Box::new(|subject| subject.id == new.id),
            Change::RoleAssignment(new) => Box::new(|subject| subject.id == new.subject),
            Change::Grant(new) => Box::new(|subject| subject.id == new.holder),
            Change::Position(new) => Box::new(|subject| subject.positions.contains(&new.id)),
            Change::Role(_) => Box::new(|_| true),
            // What was withheld is held again.
            Change::Removed(Removed::RoleAssignment { subject: id, .. }) => Box::new(|subject| subject.id == *id),
            // Positions of the new place hold for whoever moves below it.
            Change::Department(new) if self.moves(new) => Box::new(|subject| !subject.positions.is_empty()),
            Change::Tenant(_)
            | Change::Department(_)
            | Change::Team(_)
            | Change::Guard(_)
            | Change::ExternalType(_)
            | Change::SessionRevoked { .. }
            | Change::Removed(_) => return Ok(()),
        };
        let mut after = self.clone();
        after.apply(change);
        let snapshot = Snapshot::compile(&after, 0);
        for subject in after.subjects.values().filter(|subject| touched(subject)) {
            let held = snapshot.subject(subject.id).map_or(&[][..], |facts| &facts.roles);
            let roles: Vec<_> = held.iter().filter_map(|held| after.role(held.role)).collect();
            let held = |duty: Duty| {
                roles.iter().any(|role| duty.held_by(&role.templates))
                    || after.grants_of(subject.id).any(|grant| duty.includes(grant.actions, grant.levels))
            };
            if let Some((one, other)) = clash(held) {
                return Err(Refusal::RoleConflict(one, other));
            }
        }
        Ok(())
    }

    fn moves(&self, new: &Department) -> bool {
        self.department(new.id).is_some_and(|old| (old.parent, old.merged_into) != (new.parent, new.merged_into))
    }
}
