//! Rights as tests give them, and guards as they put them.

use revisit_core::Timestamp;
use revisit_permission::{Action, ActionSet, Effect, Exceptions, Extent, Guard, Levels, RowCondition, Template, Whom};

use crate::fake_identity::unknown_id;

/// A right on everything of the company, in whatever stage and grade.
#[must_use]
pub fn everywhere(actions: &[Action], levels: Levels) -> Template {
    Template {
        actions: ActionSet::of(actions),
        extent: Extent::Tenant,
        stages: None,
        grades: None,
        external: None,
        levels,
    }
}

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
