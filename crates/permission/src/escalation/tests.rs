//! Who may hand out what, on one company.

use revisit_core::Timestamp;

use super::*;
use crate::{
    ActionSet, Extent, ExternalType, Layer, Level, Levels, Place, Removed,
    fixture::{
        ADMIN, ALWAYS, BOSS, HEAD_OFFICE, NEWCOMER, NORTH, NORTH_MANAGER, NOW, REP_ONE, REP_TWO, SOUTH, SOUTH_REP,
        STORE_ONE, STORE_TWO, actions, assign, company_with, department, grant_id, id, role, user,
    },
};

fn right(names: &[Action], extent: Extent, levels: Levels) -> Template {
    Template { actions: actions(names), extent, stages: None, grades: None, external: None, levels }
}

fn to(holder: u128, right: Template) -> Grant {
    Grant::of(grant_id(1), id(holder), right, ALWAYS, Origin::Direct)
}

/// The regional manager may grant in the north, to read.
fn deputy() -> Change {
    let grants = right(&[Action::GrantManage], Extent::Subtree(Place::At(id(NORTH))), Levels::READ);
    Change::Grant(Grant::of(grant_id(77), id(NORTH_MANAGER), grants, ALWAYS, Origin::Direct))
}

#[test]
fn what_somebody_would_gain_is_named_and_what_is_held_already_is_not() {
    let before = company_with(&[]);
    let auditor = company_with(&[assign(ADMIN, "auditor")]);
    assert_eq!(before.gained_in(&auditor, id(ADMIN)), ActionSet::of(&[Action::AuditView]), "the rest of it is held");
    assert!(before.gained_in(&auditor, id(BOSS)).is_empty(), "it is the administrator's");
    let wider = right(&[Action::CustomerView], Extent::Tenant, Levels::READ);
    let wider = company_with(&[Change::Grant(to(REP_ONE, wider))]);
    assert_eq!(before.gained_in(&wider, id(REP_ONE)), ActionSet::of(&[Action::CustomerView]), "held in fewer places");
}

#[test]
fn nobody_grants_without_the_right_to_grant_even_what_they_hold() {
    let snapshot = company_with(&[]);
    let own = to(REP_TWO, right(&[Action::CustomerView], Extent::Own, Levels::READ));
    let refused = Err(Refusal::WiderThanGrantor(Action::CustomerView));
    assert_eq!(snapshot.may_grant(id(BOSS), &own, NOW), refused);
    assert_eq!(snapshot.may_grant(id(ADMIN), &own, NOW), Ok(()), "the administrator hands out and does not see");
}

#[test]
fn a_right_to_grant_reaches_as_far_as_its_extent_levels_and_end() {
    let snapshot = company_with(&[deputy()]);
    let may = |grant: Grant| snapshot.may_grant(id(NORTH_MANAGER), &grant, NOW).is_ok();
    let view = |extent, levels| right(&[Action::CustomerView], extent, levels);
    assert!(may(to(REP_ONE, view(Extent::Subtree(Place::At(id(STORE_TWO))), Levels::READ))));
    assert!(may(to(REP_ONE, view(Extent::Own, Levels::READ))));
    assert!(!may(to(SOUTH_REP, view(Extent::Own, Levels::READ))), "the holder sits elsewhere");
    assert!(!may(to(REP_ONE, view(Extent::Subtree(Place::At(id(SOUTH))), Levels::READ))));
    assert!(!may(to(REP_ONE, view(Extent::Tenant, Levels::READ))));
    let writing = Levels::READ.with(Layer::Sensitive, Level::Write);
    assert!(!may(to(REP_ONE, view(Extent::Own, writing))));
    let manage = right(&[Action::UserManage], Extent::Subtree(Place::At(id(STORE_ONE))), Levels::READ);
    assert!(!may(to(REP_ONE, manage)), "administration is handed out by who holds it");
}

#[test]
fn a_delegation_is_covered_by_one_right_of_the_giver_and_given_in_nobody_elses_name() {
    let snapshot = company_with(&[]);
    let delegated = |giver, extent| Grant {
        origin: Origin::Delegation(id(giver)),
        ..to(NEWCOMER, right(&[Action::CustomerUpdate], extent, Levels::of(&[(Layer::Basic, Level::Write)])))
    };
    let store = || Extent::Subtree(Place::At(id(STORE_ONE)));
    let may = |grantor, grant: Grant| snapshot.may_grant(id(grantor), &grant, NOW).is_ok();
    assert!(may(NORTH_MANAGER, delegated(NORTH_MANAGER, store())));
    assert!(!may(NORTH_MANAGER, delegated(NORTH_MANAGER, Extent::Subtree(Place::At(id(SOUTH))))));
    assert!(!may(ADMIN, delegated(NORTH_MANAGER, store())));
    assert!(!may(REP_ONE, delegated(REP_ONE, store())));
    let wider = Grant { until: Timestamp::MAX, ..delegated(REP_ONE, Extent::Own) };
    assert!(!may(REP_ONE, wider), "the giver's own right is bound to stages");
}

#[test]
fn a_role_is_given_and_written_only_by_who_may_grant_all_of_it() {
    let snapshot = company_with(&[deputy()]);
    let assign = |grantor, holder, key| snapshot.may_assign(id(grantor), id(holder), role(key), NOW).is_ok();
    assert!(assign(ADMIN, NEWCOMER, "sales_rep") && assign(ADMIN, NEWCOMER, "admin"));
    assert!(assign(ADMIN, NEWCOMER, "auditor"), "somebody must be able to appoint the first auditor");
    let program = crate::Subject { kind: crate::SubjectKind::ServiceAccount, ..user(600, NORTH) };
    let with_program = company_with(&[Change::Subject(program)]);
    let to_program = |key| with_program.may_assign(id(ADMIN), id(600), role(key), NOW).is_ok();
    assert!(to_program("marketing") && !to_program("auditor"), "who makes a program knows its secret");
    assert!(!assign(NORTH_MANAGER, NEWCOMER, "executive") && !assign(REP_ONE, NEWCOMER, "sales_rep"));
    let templates = [right(&[Action::CustomerView], Extent::Own, Levels::READ)];
    assert!(snapshot.may_write_role(id(ADMIN), &templates, NOW).is_ok());
    assert!(snapshot.may_write_role(id(NORTH_MANAGER), &templates, NOW).is_err());
    let tenants = [right(&[Action::TenantManage], Extent::Tenant, Levels::WRITE)];
    assert!(snapshot.may_write_role(id(NORTH_MANAGER), &tenants, NOW).is_err());
}

#[test]
fn what_widens_its_author_is_told_apart_from_what_does_not() {
    let snapshot = company_with(&[]);
    let widens = |change: Change, who| snapshot.widens(&change, id(who));
    assert!(widens(assign(REP_ONE, "sales_manager"), REP_ONE));
    assert!(!widens(assign(REP_ONE, "sales_manager"), REP_TWO));
    assert!(!widens(assign(REP_ONE, "sales_rep"), REP_ONE), "it has that already");
    let rep = snapshot.facts().role(role("sales_rep")).expect("a shipped role").clone();
    let mut wider = rep.clone();
    wider.templates[0].actions = wider.templates[0].actions.union(ActionSet::of(&[Action::CustomerDelete]));
    assert!(widens(Change::Role(wider.clone()), REP_ONE) && !widens(Change::Role(wider), ADMIN));
    let mut narrower = rep;
    narrower.templates.truncate(1);
    assert!(!widens(Change::Role(narrower), REP_ONE));
    assert!(widens(department(SOUTH, Some(NORTH), None), NORTH_MANAGER), "a moved department brings its rows");
    assert!(!widens(department(60, Some(NORTH), None), NORTH_MANAGER), "a new one has none");
    assert!(!widens(Change::Subject(user(600, STORE_ONE)), NORTH_MANAGER));
}

#[test]
fn changes_that_widen_only_together_are_seen_together() {
    let snapshot = company_with(&[]);
    let new = crate::Role {
        id: id(800),
        key: "new".to_owned(),
        name: String::new(),
        shipped: None,
        templates: vec![right(&[Action::CustomerView], Extent::Tenant, Levels::READ)],
    };
    let assigned = crate::Assigned::Added { from: ALWAYS.0, until: ALWAYS.1 };
    let given = crate::RoleAssignment { subject: id(REP_ONE), role: id(800), assigned };
    let changes = [Change::RoleAssignment(given), Change::Role(new)];
    assert!(changes.iter().all(|change| !snapshot.widens(change, id(REP_ONE))));
    assert!(snapshot.widened_in(&company_with(&changes), id(REP_ONE)));
}

#[test]
fn taking_a_guard_away_widens_whom_it_bound() {
    let guard = |number| crate::Guard {
        id: id(number),
        whom: crate::Whom::Subject(id(REP_ONE)),
        except: crate::Exceptions { managers: true, ..crate::Exceptions::default() },
        actions: actions(&[Action::CustomerView]),
        condition: crate::RowCondition { vip: true, ..crate::RowCondition::default() },
        effect: crate::Effect::Deny,
        from: ALWAYS.0,
        until: ALWAYS.1,
        reason: "frozen".to_owned(),
    };
    let snapshot = company_with(&[Change::Guard(guard(1))]);
    let lifted = Change::Removed(Removed::Guard(id(1)));
    assert!(snapshot.widens(&lifted, id(REP_ONE)) && !snapshot.widens(&lifted, id(REP_TWO)));
    assert!(!snapshot.widens(&Change::Guard(guard(2)), id(REP_ONE)));
    assert!(!snapshot.widens(&Change::Subject(user(600, SOUTH)), id(REP_ONE)), "somebody new elsewhere is not led");
}

/// A guard that binds one subject and lets out those whom it leads.
fn bound(subject: u128, action: Action, effect: crate::Effect) -> Change {
    Change::Guard(crate::Guard {
        id: id(1),
        whom: crate::Whom::Subject(id(subject)),
        except: crate::Exceptions { managers: true, ..crate::Exceptions::default() },
        actions: actions(&[action]),
        condition: crate::RowCondition::default(),
        effect,
        from: ALWAYS.0,
        until: ALWAYS.1,
        reason: "frozen".to_owned(),
    })
}

#[test]
fn who_comes_to_lead_others_than_before_gains_their_rows_and_somebody_new_has_none() {
    let snapshot = company_with(&[bound(NORTH_MANAGER, Action::CustomerView, crate::Effect::Deny)]);
    let manager = |number, at| crate::Subject { manager: Some(id(NORTH_MANAGER)), ..user(number, at) };
    assert!(snapshot.widens(&Change::Subject(manager(SOUTH_REP, SOUTH)), id(NORTH_MANAGER)));
    assert!(snapshot.widens(&department(SOUTH, Some(HEAD_OFFICE), Some(NORTH_MANAGER)), id(NORTH_MANAGER)));
    assert!(!snapshot.widens(&Change::Subject(manager(600, SOUTH)), id(NORTH_MANAGER)));
}

#[test]
fn a_guard_on_the_giver_is_not_got_around_by_a_delegation_or_the_right_to_grant() {
    let view = |levels| right(&[Action::CustomerView], Extent::Subtree(Place::At(id(STORE_ONE))), levels);
    let delegated = |levels| Grant { origin: Origin::Delegation(id(NORTH_MANAGER)), ..to(NEWCOMER, view(levels)) };
    let masked = Levels::of(&[(Layer::Basic, Level::Read), (Layer::Sensitive, Level::Masked)]);
    let clear = masked.with(Layer::Sensitive, Level::Read);
    let cap = |action| company_with(&[deputy(), bound(NORTH_MANAGER, action, crate::Effect::Cap(masked))]);
    let free = company_with(&[deputy()]);
    assert!(free.may_grant(id(NORTH_MANAGER), &delegated(clear), NOW).is_ok());
    let capped = cap(Action::CustomerView);
    assert!(capped.may_grant(id(NORTH_MANAGER), &delegated(clear), NOW).is_err());
    assert!(capped.may_grant(id(NORTH_MANAGER), &delegated(masked), NOW).is_ok());
    let granting = cap(Action::GrantManage);
    assert!(granting.may_grant(id(NORTH_MANAGER), &to(REP_ONE, view(clear)), NOW).is_err());
    assert!(granting.may_grant(id(NORTH_MANAGER), &to(REP_ONE, view(masked)), NOW).is_ok());
    let barred = company_with(&[bound(ADMIN, Action::GrantManage, crate::Effect::Deny)]);
    assert!(barred.may_write_role(id(ADMIN), &[view(clear)], NOW).is_err());
    assert!(free.may_write_role(id(ADMIN), &[view(clear)], NOW).is_ok());
}

#[test]
fn a_sub_account_gives_no_more_than_the_account_above_it() {
    let grants = right(&[Action::GrantManage], Extent::Tenant, Levels::WRITE);
    let snapshot = company_with(&[
        deputy(),
        Change::Subject(crate::Subject { parent: Some(id(NORTH_MANAGER)), ..user(600, STORE_ONE) }),
        Change::Grant(Grant::of(grant_id(78), id(600), grants, ALWAYS, Origin::Direct)),
    ]);
    let view = |extent| to(REP_ONE, right(&[Action::CustomerView], extent, Levels::READ));
    assert!(snapshot.may_grant(id(600), &view(Extent::Subtree(Place::At(id(STORE_ONE)))), NOW).is_ok());
    assert!(snapshot.may_grant(id(600), &view(Extent::Tenant), NOW).is_err());
    let templates = [right(&[Action::CustomerView], Extent::Own, Levels::READ)];
    assert!(snapshot.may_write_role(id(600), &templates, NOW).is_err());
}

fn delegated(number: u128, giver: u128, holder: u128, right: Template) -> Change {
    let origin = Origin::Delegation(id(giver));
    Change::Grant(Grant::of(grant_id(number), id(holder), right, ALWAYS, origin))
}

#[test]
fn what_was_delegated_to_somebody_is_nothing_to_hand_on() {
    let north = || Extent::Subtree(Place::At(id(NORTH)));
    let granting = right(&[Action::GrantManage], Extent::Tenant, Levels::WRITE);
    let snapshot = company_with(&[delegated(81, ADMIN, REP_ONE, granting)]);
    let view = to(REP_TWO, right(&[Action::CustomerView], north(), Levels::READ));
    assert_eq!(
        snapshot.may_grant(id(REP_ONE), &view, NOW),
        Err(Refusal::WiderThanGrantor(Action::CustomerView)),
        "a right to grant that somebody else has"
    );
    let template = [right(&[Action::CustomerView], Extent::Own, Levels::READ)];
    assert!(snapshot.may_write_role(id(REP_ONE), &template, NOW).is_err());
    // The manager of the north may view there, and so may delegate it; who has it by that does not.
    let lent = right(&[Action::CustomerView], north(), Levels::of(&[(Layer::Basic, Level::Read)]));
    let snapshot = company_with(&[delegated(82, NORTH_MANAGER, REP_ONE, lent.clone())]);
    let on = |giver| Grant { origin: Origin::Delegation(id(giver)), ..to(REP_TWO, lent.clone()) };
    assert_eq!(snapshot.may_grant(id(NORTH_MANAGER), &on(NORTH_MANAGER), NOW), Ok(()));
    assert!(snapshot.may_grant(id(REP_ONE), &on(REP_ONE), NOW).is_err());
    assert!(snapshot.may_grant(id(NORTH_MANAGER), &on(REP_ONE), NOW).is_err(), "in somebody else's name");
}

#[test]
fn nobody_gives_for_longer_than_the_own_right_to_grant_lasts() {
    let end = NOW + std::time::Duration::from_secs(60);
    let grants = right(&[Action::GrantManage], Extent::Subtree(Place::At(id(NORTH))), Levels::READ);
    let deputy = Grant::of(grant_id(77), id(NORTH_MANAGER), grants, (ALWAYS.0, end), Origin::Direct);
    let snapshot = company_with(&[Change::Grant(deputy)]);
    let view = || right(&[Action::CustomerView], Extent::Own, Levels::READ);
    let may = |until| snapshot.may_grant(id(NORTH_MANAGER), &Grant { until, ..to(REP_ONE, view()) }, NOW).is_ok();
    assert!(may(end));
    assert!(!may(end + std::time::Duration::from_micros(1)));
}

#[test]
fn who_holds_a_delegated_right_is_widened_by_what_its_giver_gains_and_by_having_it_as_an_own_one() {
    let south = |extent| right(&[Action::CustomerTransfer], extent, Levels::READ);
    let below = || Extent::Subtree(Place::At(id(SOUTH)));
    let lent = delegated(83, SOUTH_REP, REP_ONE, south(below()));
    let gains = |number, holder, extent| {
        Change::Grant(Grant::of(grant_id(number), id(holder), south(extent), ALWAYS, Origin::Direct))
    };
    let dead = company_with(std::slice::from_ref(&lent));
    let giver = gains(84, SOUTH_REP, below());
    assert!(dead.widens(&giver, id(REP_ONE)), "it gave nothing, and now it gives what its giver has got");
    assert!(dead.widens(&gains(85, REP_ONE, below()), id(REP_ONE)), "the same as a right of one's own");
    let alive = company_with(&[lent, giver]);
    assert!(!alive.widens(&gains(86, NEWCOMER, below()), id(REP_ONE)), "somebody else gains");
    assert!(!alive.widens(&gains(87, SOUTH_REP, below()), id(SOUTH_REP)), "the giver has that already");
    let gone = Change::Removed(Removed::Grant { holder: id(SOUTH_REP), id: grant_id(84) });
    assert!(!alive.widens(&gone, id(REP_ONE)), "to lose is not to gain");
}

/// A right over everything that somebody holds directly.
fn direct(number: u128, holder: u128, action: Action, extent: Extent) -> Change {
    let right = right(&[action], extent, Levels::READ);
    Change::Grant(Grant::of(grant_id(number), id(holder), right, ALWAYS, Origin::Direct))
}

fn below(parent: u128) -> Change {
    Change::Subject(crate::Subject { parent: Some(id(parent)), ..user(600, STORE_ONE) })
}

#[test]
fn a_sub_account_is_widened_by_what_the_account_above_gains_of_that_which_it_holds_itself() {
    let store = || Extent::Subtree(Place::At(id(STORE_ONE)));
    let held = direct(90, 600, Action::CustomerDelete, store());
    let dormant = company_with(&[below(NEWCOMER), held.clone()]);
    let gives = |extent| direct(91, NEWCOMER, Action::CustomerDelete, extent);
    assert!(dormant.widens(&gives(store()), id(600)), "what it held gave nothing until now");
    assert!(!dormant.widens(&direct(91, NEWCOMER, Action::CustomerMerge, store()), id(600)), "of which it holds none");
    assert!(!dormant.widens(&direct(91, REP_ONE, Action::CustomerDelete, store()), id(600)), "somebody else gains");
    let awake = company_with(&[below(NEWCOMER), held.clone(), gives(store())]);
    assert!(!awake.widens(&gives(Extent::Tenant), id(600)), "all that it holds was let through already");
    let gone = Change::Removed(Removed::Grant { holder: id(NEWCOMER), id: grant_id(91) });
    assert!(!awake.widens(&gone, id(600)), "to lose is not to gain");
    let own = direct(92, 600, Action::CustomerDelete, Extent::Own);
    let by_owner = company_with(&[below(NEWCOMER), own, gives(Extent::Own)]);
    assert!(!by_owner.widens(&gives(Extent::Tenant), id(600)), "what it owns itself was let through");
}

#[test]
fn another_account_above_widens_unless_it_holds_back_as_much() {
    let store = || Extent::Subtree(Place::At(id(STORE_ONE)));
    let views = |number, holder, extent| direct(number, holder, Action::CustomerMerge, extent);
    let snapshot = company_with(&[
        below(NEWCOMER),
        views(90, 600, Extent::Tenant),
        views(91, NEWCOMER, store()),
        views(92, REP_ONE, Extent::Tenant),
    ]);
    assert!(snapshot.widens(&below(REP_ONE), id(600)), "as many accounts above as before");
    assert!(!snapshot.widens(&below(SOUTH_REP), id(600)), "one that may not at all");
    assert!(snapshot.widens(&Change::Subject(user(600, STORE_ONE)), id(600)), "none");
    let owners =
        |changes: &[Change]| company_with(&[&[below(NEWCOMER), views(90, 600, Extent::Tenant)], changes].concat());
    let own = |number, holder| views(number, holder, Extent::Own);
    let snapshot = owners(&[own(91, NEWCOMER), own(92, REP_ONE)]);
    assert!(snapshot.widens(&below(REP_ONE), id(600)), "what somebody else owns");
}

#[test]
fn who_holds_a_delegated_right_is_widened_by_what_the_account_above_its_giver_gains() {
    let store = || Extent::Subtree(Place::At(id(STORE_ONE)));
    let merges = |number, holder| direct(number, holder, Action::CustomerMerge, store());
    let lent = delegated(90, 600, REP_ONE, right(&[Action::CustomerMerge], store(), Levels::READ));
    let snapshot = company_with(&[below(NEWCOMER), merges(91, 600), lent]);
    assert!(snapshot.widens(&merges(92, NEWCOMER), id(REP_ONE)), "the giver could not give it before");
    assert!(!snapshot.widens(&merges(92, REP_TWO), id(REP_ONE)));
}

mod external;
