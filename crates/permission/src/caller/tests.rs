//! Permits over time: confirmed, refused, made again.

use std::{sync::Arc, time::Duration};

use super::*;
use crate::{
    Assigned, Change, Flags, Layer, Permit, Permits, Removed, RoleAssignment, Snapshot, Worker,
    fixture::{NEWCOMER, NOW, REP_ONE, REP_TWO, STORE_ONE, company, company_with, customer, id, leased, role, tenant},
};

fn caller() -> Caller {
    Caller::with_session(tenant(), id(REP_ONE), id(900), 5)
}

/// The company after some more changes, one revision later.
fn next(changes: &[Change]) -> Snapshot {
    let mut facts = company();
    changes.iter().for_each(|change| facts.apply(change));
    Snapshot::compile(&facts, 8)
}

fn withdrawn() -> Change {
    Change::Removed(Removed::RoleAssignment { subject: id(REP_ONE), role: role("sales_rep") })
}

#[test]
fn a_permit_is_confirmed_on_the_newest_snapshot_and_not_on_the_one_it_was_made_on() {
    let (leases, _clock) = leased(company_with(&[]));
    let row = customer(REP_ONE, STORE_ONE);
    let decided = caller().decide(&leases, Action::CustomerUpdate, &row).expect("a rep edits its customer");
    let scope = caller().scope(&leases, Action::CustomerView).expect("a rep sees its customers");
    assert!(decided.confirm().is_ok() && scope.confirm().is_ok());
    leases.load(tenant(), Arc::new(next(&[])));
    assert!(decided.confirm().is_ok() && scope.confirm().is_ok(), "nothing of it changed");
    leases.load(tenant(), Arc::new(next(&[withdrawn()])));
    assert_eq!(decided.confirm().expect_err("withdrawn").kind, DenialKind::Denied);
    assert_eq!(scope.confirm().expect_err("withdrawn").kind, DenialKind::Denied);
    assert_eq!(
        scope.levels(&row).map(|levels| levels.writes(Layer::Basic)),
        Some(true),
        "the old scope stays as it was"
    );
    assert!(Permits(vec![decided.clone()]).confirm().is_err());
    let ordered = Worker::declare("found").ordered_by(decided);
    assert!(ordered.tenant().is_none() && ordered.confirm().is_err(), "a worker does no more than who orders it may");
}

#[test]
fn a_scope_that_reaches_other_rows_than_before_has_to_be_made_again() {
    let (leases, _clock) = leased(company_with(&[]));
    let scope = caller().scope(&leases, Action::CustomerView).expect("a rep sees its customers");
    let manager = Change::RoleAssignment(RoleAssignment {
        subject: id(REP_ONE),
        role: role("sales_manager"),
        assigned: Assigned::Added { from: Timestamp::MIN, until: Timestamp::MAX },
    });
    leases.load(tenant(), Arc::new(next(&[manager])));
    assert_eq!(scope.confirm().expect_err("it changed").kind, DenialKind::Stale);
    let again = scope.decide_again().expect("still a scope");
    assert!(again.levels(&customer(REP_TWO, STORE_ONE)).is_some());
    assert!(scope.levels(&customer(REP_TWO, STORE_ONE)).is_none());
}

#[test]
fn past_the_lease_nothing_is_decided_and_the_answer_is_not_a_denial() {
    let (leases, clock) = leased(company_with(&[]));
    let row = customer(REP_ONE, STORE_ONE);
    let decided = caller().decide(&leases, Action::CustomerUpdate, &row).expect("a rep edits its customer");
    clock.advance_steady(Duration::from_secs(2));
    let failure = Failure::from(decided.confirm().expect_err("the lease is over"));
    assert_eq!((failure.kind, failure.reason), (Kind::Unavailable, "LEASE_EXPIRED"));
    assert!(caller().scope(&leases, Action::CustomerView).is_err());
    assert!(Worker::declare("fire").confirm().is_ok(), "a worker needs no lease");
}

#[test]
fn a_snapshot_older_than_the_token_or_than_the_row_is_not_answered_from() {
    let (leases, _clock) = leased(company_with(&[]));
    let row = customer(REP_ONE, STORE_ONE);
    let late = caller().at_least(8);
    assert_eq!(late.scope(&leases, Action::CustomerView).expect_err("behind").kind, DenialKind::Stale);
    let newer = row.clone().with_auth_rev(8);
    let behind = caller().decide(&leases, Action::CustomerView, &newer).expect_err("behind");
    assert_eq!(behind.kind, DenialKind::Stale);
    leases.load(tenant(), Arc::new(next(&[])));
    assert!(late.decide(&leases, Action::CustomerView, &newer).is_ok());
}

#[test]
fn an_ended_session_and_a_closed_window_are_not_authenticated_and_others_go_on() {
    let (leases, _clock) = leased(company_with(&[]));
    let ended = Change::SessionRevoked { session: id(900), until: Timestamp::MAX };
    leases.load(tenant(), Arc::new(next(&[ended])));
    let row = customer(REP_ONE, STORE_ONE);
    let refused = caller().decide(&leases, Action::CustomerView, &row).expect_err("the session has ended");
    assert_eq!(Failure::from(refused).kind, Kind::Unauthenticated);
    let other = Caller { session: Some(id(901)), ..caller() };
    assert!(other.decide(&leases, Action::CustomerView, &row).is_ok());
    let closed = Caller { window_end: Some(NOW), ..other };
    assert_eq!(closed.own(&leases).expect_err("closed").kind, DenialKind::Session);
    assert!(Caller::named(tenant(), id(REP_ONE)).decide(&leases, Action::CustomerView, &row).is_ok());
}

#[test]
fn a_change_is_decided_before_and_after_and_a_batch_of_nothing_is_no_proof() {
    let (leases, _clock) = leased(company_with(&[]));
    let mine = customer(REP_ONE, STORE_ONE);
    let theirs = mine.clone().with_owner(id(REP_TWO));
    let change = |before, after| caller().decide_change(&leases, Action::CustomerUpdate, before, after);
    assert!(change(&mine, &mine).is_ok());
    assert!(change(&mine, &theirs).is_err() && change(&theirs, &mine).is_err());
    assert!(caller().decide_all(&leases, Action::CustomerUpdate, &[]).is_err());
    assert!(Permits::default().confirm().is_err());
}

#[test]
fn moving_to_service_writes_the_row_before_and_only_reads_the_row_after() {
    let (leases, _clock) = leased(company_with(&[]));
    let won = customer(REP_ONE, STORE_ONE).with_stage(Some("won".into()));
    let served = won.clone().with_stage(Some("service".into())).with_flags(Flags::default());
    let moved = caller().decide_change(&leases, Action::CustomerStage, &won, &served).expect("the seller hands over");
    assert!(moved.levels_before().writes(Layer::Basic));
    assert!(!moved.levels().writes(Layer::Basic));
    let back = caller().decide_change(&leases, Action::CustomerStage, &served, &won).expect("allowed to read");
    assert!(!back.levels_before().writes(Layer::Basic), "nothing is moved out of service by its seller");
}

#[test]
fn a_scope_is_refused_only_when_no_row_can_be_in_it() {
    let (leases, _clock) = leased(company_with(&[]));
    let denial = caller().scope(&leases, Action::TenantManage).expect_err("no role has it");
    let failure = Failure::from(denial);
    assert_eq!((failure.kind, failure.reason), (Kind::Denied, "PERMISSION_DENIED"));
    assert_eq!(failure.details.get("axis").map(String::as_str), Some("role"));
}

#[test]
fn a_scope_under_a_guard_is_disturbed_by_whom_its_caller_leads_and_by_nobody_else() {
    let guard = Change::Guard(crate::Guard {
        id: id(1),
        whom: crate::Whom::Everyone,
        except: crate::Exceptions { managers: true, ..crate::Exceptions::default() },
        actions: crate::fixture::actions(&[Action::CustomerView]),
        condition: crate::RowCondition { vip: true, ..crate::RowCondition::default() },
        effect: crate::Effect::Deny,
        from: Timestamp::MIN,
        until: Timestamp::MAX,
        reason: "VIP".to_owned(),
    });
    let hired = |manager| Change::Subject(crate::Subject { manager, ..crate::fixture::user(600, STORE_ONE) });
    let (leases, _clock) = leased(company_with(std::slice::from_ref(&guard)));
    let scope = caller().scope(&leases, Action::CustomerView).expect("a rep sees its customers");
    leases.load(tenant(), Arc::new(next(&[guard.clone(), hired(None)])));
    assert!(scope.confirm().is_ok());
    leases.load(tenant(), Arc::new(next(&[guard, hired(Some(id(REP_ONE)))])));
    assert_eq!(scope.confirm().expect_err("one more is led").kind, DenialKind::Stale);
}

#[test]
fn a_scope_in_which_a_window_opens_or_closes_has_to_be_made_again() {
    let bounded = |from, until| {
        Change::RoleAssignment(RoleAssignment {
            subject: id(NEWCOMER),
            role: role("sales_rep"),
            assigned: Assigned::Added { from, until },
        })
    };
    let always = Change::RoleAssignment(RoleAssignment {
        subject: id(NEWCOMER),
        role: role("marketing"),
        assigned: Assigned::Added { from: Timestamp::MIN, until: Timestamp::MAX },
    });
    let second = Duration::from_secs(1);
    for (from, until) in [(Timestamp::MIN, NOW + second), (NOW + second, Timestamp::MAX)] {
        let (leases, clock) = leased(company_with(&[always.clone(), bounded(from, until)]));
        let newcomer = Caller::named(tenant(), id(NEWCOMER));
        let scope = newcomer.scope(&leases, Action::CustomerView).expect("there may be rows");
        assert!(scope.confirm().is_ok());
        clock.advance_steady(second);
        assert_eq!(scope.confirm().expect_err("other rights hold now").kind, DenialKind::Stale);
    }
}
