//! L9: a delegated grant never exceeds its grantor, and delegated rights are not delegated on.

use proptest::prop_assert;
use revisit_laws::{
    engine,
    law::Law,
    naive::World,
    world::{ACTIONS, Holding, TIME_MAX, alone, case},
};

use crate::{answer, at_most, decide};

#[test]
fn l9_a_delegated_grant_never_exceeds_its_grantor() {
    Law::new("L9", 1_000, 300_000).holds(&case(), |case, tally| {
        let undelegated = World {
            grants: case.world.grants.iter().filter(|it| it.giver().is_none()).cloned().collect(),
            ..case.world.clone()
        };
        let undelegated = engine::snapshot(&undelegated);
        for grant in &case.world.grants {
            let Some(giver) = grant.giver() else { continue };
            let delegated = engine::snapshot(&alone(&case.world, grant.holder, Holding::Grant(grant.id)));
            for action in ACTIONS {
                for row in &case.rows {
                    for now in 0..=TIME_MAX {
                        tally.count();
                        let given = answer(decide(&delegated, grant.holder, action, row, now));
                        let own = answer(decide(&undelegated, giver, action, row, now));
                        prop_assert!(at_most(given, own), "grant {} on {:?} at {}", grant.id, row, now);
                    }
                }
            }
        }
        Ok(())
    });
}
