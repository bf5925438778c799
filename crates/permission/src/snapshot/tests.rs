//! Guards, managers, states and windows on one company.

use revisit_core::Timestamp;

use super::*;
use crate::{
    Axis, Change, Effect, Exceptions, Guard, Layer, Level, Removed, RowCondition, SubjectState, Whom,
    fixture::{
        ADMIN, ALWAYS, BOSS, NEWCOMER, NORTH, NORTH_MANAGER, NOW, REP_ONE, REP_TWO, SALES_LEAD, SERVICE_ONE, SOUTH,
        SOUTH_REP, STORE_ONE, actions, assign, company, company_with, customer, department, grant_id, id, user,
    },
    rule::{Extent, Grant, Origin, Template},
};

fn vip(row: crate::Row) -> crate::Row {
    row.with_flags(crate::Flags { vip: true, pooled: false })
}

/// VIP contact values are masked for all but the owner and the owner's managers.
fn vip_guard() -> Change {
    Change::Guard(Guard {
        id: id(1),
        whom: Whom::Everyone,
        except: Exceptions { owner: true, managers: true, subjects: vec![id(SALES_LEAD)] },
        actions: actions(&[Action::CustomerView]),
        condition: RowCondition { vip: true, ..RowCondition::default() },
        effect: Effect::Cap(Levels::WRITE.with(Layer::Sensitive, Level::Masked)),
        from: ALWAYS.0,
        until: ALWAYS.1,
        reason: "VIP contacts".to_owned(),
    })
}

#[test]
fn a_vip_is_masked_for_all_but_owner_managers_and_named_people() {
    let snapshot = company_with(&[vip_guard(), assign(NEWCOMER, "sales_manager")]);
    let row = vip(customer(REP_ONE, STORE_ONE));
    let sees =
        |who, row: &crate::Row| snapshot.decide(id(who), Action::CustomerView, row, NOW).levels.get(Layer::Sensitive);
    assert_eq!(sees(REP_ONE, &row), Level::Write);
    assert_eq!(sees(NORTH_MANAGER, &row), Level::Write, "the head above is in the line of managers");
    assert_eq!(sees(NEWCOMER, &row), Level::Masked, "a manager by role, not of this owner");
    assert_eq!(sees(BOSS, &row), Level::Read, "and so is the head above that one");
    assert_eq!(sees(SALES_LEAD, &row), Level::Write, "named");
    assert_eq!(sees(NEWCOMER, &customer(REP_ONE, STORE_ONE)), Level::Write, "no VIP");
}

#[test]
fn a_guard_denies_administrators_too_and_names_itself() {
    let Change::Guard(frozen) = vip_guard() else { unreachable!("it is a guard") };
    let frozen = Guard { effect: Effect::Deny, except: Exceptions::default(), ..frozen };
    let snapshot = company_with(&[Change::Guard(frozen.clone())]);
    let row = vip(customer(REP_ONE, STORE_ONE));
    let decision = snapshot.decide(id(REP_ONE), Action::CustomerView, &row, NOW);
    assert_eq!((decision.allowed, decision.witness), (false, Witness::Guard(frozen.id)));
    let lifted = company_with(&[Change::Guard(frozen.clone()), Change::Removed(Removed::Guard(frozen.id))]);
    assert!(lifted.decide(id(REP_ONE), Action::CustomerView, &row, NOW).allowed);
    // Somebody whom no grant lets in hears of the grants, not of the guard.
    let outsider = snapshot.decide(id(SOUTH_REP), Action::CustomerView, &row, NOW);
    assert_eq!(outsider.witness.refused(), Some(Axis::Extent));
}

#[test]
fn the_manager_is_the_named_one_else_the_nearest_active_head_else_the_administrator() {
    let snapshot = company_with(&[]);
    let manager = |snapshot: &Snapshot, who| snapshot.subject(id(who)).and_then(|facts| facts.manager);
    assert_eq!(manager(&snapshot, REP_ONE), Some(id(NORTH_MANAGER)));
    assert_eq!(manager(&snapshot, NORTH_MANAGER), Some(id(BOSS)), "nobody is led by themselves");
    assert_eq!(manager(&snapshot, SOUTH_REP), Some(id(BOSS)), "a department without a head: climb");
    assert_eq!(manager(&snapshot, BOSS), Some(id(ADMIN)));
    assert_eq!(manager(&snapshot, ADMIN), Some(id(BOSS)));
    let gone = Subject { state: SubjectState::Left, ..user(NORTH_MANAGER, NORTH) };
    let named = Subject { manager: Some(id(REP_TWO)), ..user(REP_ONE, STORE_ONE) };
    let snapshot = company_with(&[Change::Subject(gone), Change::Subject(named)]);
    assert_eq!(manager(&snapshot, REP_TWO), Some(id(BOSS)), "who has left leads nobody");
    assert_eq!(manager(&snapshot, REP_ONE), Some(id(REP_TWO)));
    assert_eq!(snapshot.head(id(STORE_ONE)), Some(id(BOSS)));
    let headless = company_with(&[department(NORTH, None, None)]);
    assert_eq!(headless.head(id(STORE_ONE)), Some(id(ADMIN)));
}

#[test]
fn a_circle_of_managers_ends_and_a_circle_of_accounts_is_not_active() {
    let leads = |who, manager| Change::Subject(Subject { manager: Some(id(manager)), ..user(who, STORE_ONE) });
    let snapshot = company_with(&[leads(REP_ONE, REP_TWO), leads(REP_TWO, REP_ONE), vip_guard()]);
    assert!(snapshot.lines().leads(id(REP_ONE), id(REP_TWO)));
    assert!(!snapshot.lines().leads(id(BOSS), id(REP_TWO)));
    let below = |who, parent| Change::Subject(Subject { parent: Some(id(parent)), ..user(who, STORE_ONE) });
    let snapshot = company_with(&[below(REP_ONE, REP_TWO), below(REP_TWO, REP_ONE)]);
    let decision = snapshot.decide(id(REP_ONE), Action::CustomerView, &customer(REP_ONE, STORE_ONE), NOW);
    assert_eq!(decision.witness, Witness::Inactive);
}

#[test]
fn only_an_active_subject_may_and_an_unknown_one_may_nothing() {
    let row = customer(REP_ONE, STORE_ONE);
    for state in [SubjectState::Invited, SubjectState::Suspended, SubjectState::Left] {
        let snapshot = company_with(&[Change::Subject(Subject { state, ..user(REP_ONE, STORE_ONE) })]);
        let decision = snapshot.decide(id(REP_ONE), Action::CustomerView, &row, NOW);
        assert_eq!((decision.allowed, decision.witness), (false, Witness::Inactive), "{state:?}");
    }
    let decision = company_with(&[]).decide(id(4_444), Action::CustomerView, &row, NOW);
    assert_eq!(decision.witness, Witness::UnknownSubject);
}

#[test]
fn a_removed_grant_stays_removed_whatever_is_repeated_and_an_ended_session_stays_ended() {
    let right = Template {
        actions: actions(&[Action::CustomerView]),
        extent: Extent::Tenant,
        stages: None,
        grades: None,
        external: None,
        levels: Levels::READ,
    };
    let grant = Change::Grant(Grant::of(grant_id(1), id(SERVICE_ONE), right, ALWAYS, Origin::Direct));
    let removed = Change::Removed(Removed::Grant { holder: id(SERVICE_ONE), id: grant_id(1) });
    let row = customer(REP_ONE, STORE_ONE);
    let sees =
        |changes: &[Change]| company_with(changes).decide(id(SERVICE_ONE), Action::CustomerView, &row, NOW).allowed;
    assert!(sees(std::slice::from_ref(&grant)));
    assert!(!sees(&[grant.clone(), removed.clone(), grant.clone()]));
    assert!(!sees(&[removed, grant]));
    let ended = |until| Change::SessionRevoked { session: id(9), until };
    let snapshot = company_with(&[ended(NOW), ended(Timestamp::MIN)]);
    assert!(snapshot.is_session_revoked(id(9)) && !snapshot.is_session_revoked(id(8)));
    let mut facts = company();
    facts.apply(&ended(NOW));
    facts.forget_sessions(Timestamp::MIN);
    assert!(Snapshot::compile(&facts, 1).is_session_revoked(id(9)));
    facts.forget_sessions(NOW);
    assert!(!Snapshot::compile(&facts, 1).is_session_revoked(id(9)));
}

#[test]
fn a_window_is_open_from_its_start_to_just_before_its_end_and_says_when_it_changes() {
    let (start, end) = (Timestamp::from_seconds(10), Timestamp::from_seconds(20));
    let right = Template {
        actions: actions(&[Action::CustomerView]),
        extent: Extent::Ids([customer(REP_ONE, STORE_ONE).id].into()),
        stages: None,
        grades: None,
        external: None,
        levels: Levels::READ,
    };
    let share = Change::Grant(Grant::of(grant_id(1), id(SOUTH_REP), right, (start, end), Origin::Share));
    let snapshot = company_with(&[share]);
    let at = |seconds| {
        let now = Timestamp::from_seconds(seconds);
        let decision = snapshot.decide(id(SOUTH_REP), Action::CustomerView, &customer(REP_ONE, STORE_ONE), now);
        (decision.allowed, decision.valid_until)
    };
    assert_eq!([at(9), at(10), at(19), at(20)], [(false, start), (true, end), (true, end), (false, Timestamp::MAX),]);
}

#[test]
fn a_subtree_of_another_region_is_not_reached() {
    let snapshot = company_with(&[]);
    assert_eq!(snapshot.subtree(id(SOUTH)), [id(SOUTH)]);
    assert_eq!(snapshot.subtree(id(NORTH)).len(), 3);
    let row = customer(SOUTH_REP, SOUTH);
    assert_eq!(snapshot.who(Action::CustomerView, &row, NOW), [BOSS, SOUTH_REP, 107, 108].map(id));
}

/// A colleague's row shared with somebody, and the same delegated by somebody.
fn handed(number: u128, holder: u128, origin: Origin) -> Change {
    let right = Template {
        actions: actions(&[Action::CustomerView, Action::CustomerUpdate]),
        extent: Extent::Tenant,
        stages: None,
        grades: None,
        external: None,
        levels: Levels::WRITE,
    };
    Change::Grant(Grant::of(grant_id(number), id(holder), right, ALWAYS, origin))
}

#[test]
fn a_delegated_grant_gives_what_its_giver_may_do_at_that_moment_and_no_more() {
    let delegated = [handed(1, NEWCOMER, Origin::Delegation(id(SALES_LEAD)))];
    let row = customer(REP_ONE, STORE_ONE);
    let decide = |snapshot: &Snapshot, row: &crate::Row| snapshot.decide(id(NEWCOMER), Action::CustomerView, row, NOW);
    let snapshot = company_with(&delegated);
    let (own, lent) = (snapshot.decide(id(SALES_LEAD), Action::CustomerView, &row, NOW), decide(&snapshot, &row));
    assert_eq!((lent.allowed, lent.levels), (true, own.levels), "the giver's levels, not the grant's");
    let elsewhere = decide(&snapshot, &customer(SOUTH_REP, SOUTH));
    assert_eq!(elsewhere.witness.refused(), Some(Axis::Parent), "out of the giver's reach");
    let vips = company_with(&[&delegated[..], &[barred(SALES_LEAD)]].concat());
    assert_eq!(decide(&vips, &row).levels.get(Layer::Sensitive), Level::Masked, "the giver's guards count");
    let mut leaver = user(SALES_LEAD, STORE_ONE);
    leaver.state = SubjectState::Left;
    assert!(!decide(&company_with(&[&delegated[..], &[Change::Subject(leaver)]].concat()), &row).allowed);
    let mut handed_on = delegated.to_vec();
    handed_on.push(handed(2, REP_TWO, Origin::Delegation(id(NEWCOMER))));
    let on = company_with(&handed_on).decide(id(REP_TWO), Action::CustomerView, &row, NOW);
    assert!(!on.allowed, "what was delegated cannot be delegated on");
}

/// A guard on everything that one person sees.
fn barred(who: u128) -> Change {
    let Change::Guard(guard) = vip_guard() else { unreachable!("it is a guard") };
    Change::Guard(Guard {
        whom: Whom::Subject(id(who)),
        except: Exceptions::default(),
        condition: RowCondition::default(),
        ..guard
    })
}
