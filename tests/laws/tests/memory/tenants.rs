//! L7: nothing crosses a tenant, even with equal ids; and L10: a batch is each of its rows.

use proptest::{prop_assert, prop_assert_eq, test_runner::TestCaseError};
use revisit_laws::{
    engine,
    law::Law,
    naive,
    world::{ACTIONS, Case, OTHER, TENANT, case, case_of},
};
use revisit_permission::{Caller, DenialKind, Leases, Witness};

use crate::{NOBODY, answer, everywhere};

/// What a replica answers, as the oracle words it. Rows that it may not answer yet are not asked.
fn asked(
    leases: &Leases,
    who: (naive::Id, naive::Id),
    action: &str,
    row: &naive::Row,
) -> Result<Option<naive::Levels>, TestCaseError> {
    let caller = Caller::named(engine::tenant(who.0), engine::subject(who.1));
    match caller.decide(leases, engine::action(action), &engine::row(row)) {
        Ok(decided) => Ok(answer(decided.decisions()[0])),
        Err(denial) => {
            prop_assert_eq!(denial.kind, DenialKind::Denied);
            Ok(None)
        }
    }
}

#[test]
fn l7_two_companies_with_equal_ids_are_each_decided_as_if_alone() {
    Law::new("L7", 600, 100_000).holds(&(case_of(TENANT), case_of(OTHER)), |(ours, theirs), tally| {
        // One replica has one time.
        let theirs = Case { now: ours.now, ..theirs };
        let both = engine::leased(&[&ours, &theirs]);
        for (home, other) in [(&ours, &theirs), (&theirs, &ours)] {
            let rows = home.rows.iter().chain(&other.rows).filter(|row| row.written_under <= home.world.revision);
            let rows: Vec<_> = rows.cloned().collect();
            let home = &Case { rows, ..home.clone() };
            everywhere(home, tally, |subject, action, row| {
                let expected = home.world.decide(subject, action, row, home.now);
                prop_assert_eq!(asked(&both, (home.world.tenant, subject), action, row)?, expected);
                Ok(())
            })?;
        }
        Ok(())
    });
}

#[test]
fn l7_a_row_of_another_company_is_refused_for_that_and_nothing_else() {
    Law::new("L7-rows", 300, 15_000).holds(&case(), |case, tally| {
        let snapshot = engine::snapshot(&case.world);
        everywhere(&case, tally, |subject, action, row| {
            let elsewhere = engine::row(&naive::Row { tenant: OTHER, ..row.clone() });
            let (subject, action, now) = (engine::subject(subject), engine::action(action), engine::time(case.now));
            prop_assert_eq!(snapshot.decide(subject, action, &elsewhere, now).witness, Witness::OtherTenant);
            prop_assert_eq!(snapshot.predicate(subject, action).check(&elsewhere, now), None);
            Ok(())
        })
    });
}

#[test]
fn l10_a_batch_is_each_of_its_rows() {
    Law::new("L10", 1_500, 100_000).holds(&case(), |case, tally| {
        let leases = engine::leased(&[&case]);
        let tenant = engine::tenant(case.world.tenant);
        let rows: Vec<_> = case.rows.iter().map(engine::row).collect();
        let stale = rows.iter().any(|row| row.auth_rev > case.world.revision);
        for action in ACTIONS.map(engine::action) {
            for subject in case.world.subjects.iter().map(|subject| subject.id).chain([NOBODY]) {
                let caller = Caller::named(tenant, engine::subject(subject));
                let alone: Vec<_> = rows.iter().map(|row| caller.decide(&leases, action, row)).collect();
                rows.iter().for_each(|_| tally.count());
                let kinds = alone.iter().filter_map(|it| it.as_ref().err()).map(|it| it.kind);
                prop_assert!(stale || kinds.into_iter().all(|kind| kind == DenialKind::Denied));
                let single: Result<Vec<_>, _> = alone.into_iter().map(|it| it.map(|it| it.decisions()[0])).collect();
                let batch = caller.decide_all(&leases, action, &rows).map(|it| it.decisions().to_vec());
                prop_assert_eq!(batch, single);
            }
        }
        Ok(())
    });
}
