//! Guards as tests put them.

use revisit_core::Timestamp;
use revisit_permission::{Action, ActionSet, Effect, Exceptions, Guard, RowCondition, Whom};

use crate::fake_identity::unknown_id;

/// A guard over all rows and without an end, from which nobody is left out.
#[must_use]
pub fn guard(whom: Whom, actions: &[Action], effect: Effect) -> Guard {
    Guard {
        id: unknown_id(),
        whom,
        except: Exceptions::default(),
        actions: ActionSet::of(actions),
        condition: RowCondition::default(),
        effect,
        from: Timestamp::MIN,
        until: Timestamp::MAX,
        reason: "as the test wants it".to_owned(),
    }
}
