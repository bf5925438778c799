//! L8: an answer stays the same until the instant that it names.

use proptest::{prop_assert, prop_assert_eq};
use revisit_laws::{
    engine,
    law::Law,
    world::{TIME_MAX, case},
};

use crate::{answer, decide, everywhere};

#[test]
fn l8_the_answer_is_constant_until_it_says() {
    Law::new("L8", 1_500, 100_000).holds(&case(), |case, tally| {
        let snapshot = engine::snapshot(&case.world);
        everywhere(&case, tally, |subject, action, row| {
            let decision = decide(&snapshot, subject, action, row, case.now);
            prop_assert!(decision.valid_until > engine::time(case.now));
            // Behind the last edge that is drawn nothing can change any more.
            for later in (case.now..=TIME_MAX).take_while(|at| engine::time(*at) < decision.valid_until) {
                prop_assert_eq!(answer(decide(&snapshot, subject, action, row, later)), answer(decision));
            }
            Ok(())
        })
    });
}
