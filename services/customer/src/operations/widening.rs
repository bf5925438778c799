//! Nobody gives himself more of a customer by changing it.
//!
//! Guards and grants go by what a row says: whether it is a VIP, its stage, its grade, its owner. Who may write one of
//! these could lift the guard that binds him. So a change is refused after which its author could do something to the
//! row that he could not do before, or would get a layer of it at a higher level. Left out are the actions that are made
//! for it, which are decided by their own right: transfer, assign and claim.

use revisit_bootstrap::Principal;
use revisit_permission::{Action, Levels, Resource, Row};

use super::allowed;
use crate::domain::Error;

/// Refuses a change of a row, made by `action`, after which its author has more of the row than before.
pub fn refuse_widening(who: &Principal, action: Action, (before, after): (&Row, &Row)) -> Result<(), Error> {
    if matches!(action, Action::CustomerTransfer | Action::CustomerAssign | Action::CustomerClaim) {
        return Ok(());
    }
    for action in Action::ALL.iter().copied().filter(|action| action.resource() == Resource::Customer) {
        let Some(given) = given(who, action, after)? else { continue };
        if !given_before(who, action, before, given)? {
            return Err(Error::ApprovalRequired);
        }
    }
    Ok(())
}

fn given_before(who: &Principal, action: Action, before: &Row, after: Levels) -> Result<bool, Error> {
    Ok(given(who, action, before)?.is_some_and(|before| after.within(before)))
}

/// What somebody gets of a row for an action; none when it is denied.
fn given(who: &Principal, action: Action, row: &Row) -> Result<Option<Levels>, Error> {
    Ok(allowed(who.decide(action, row))?.map(|decided| decided.levels()))
}
