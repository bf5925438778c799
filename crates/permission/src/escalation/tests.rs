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

/// A registered type without names and fields of its own.
fn registered(name: &str) -> ExternalType {
    ExternalType {
        name: name.into(),
        actions: std::collections::BTreeMap::new(),
        fields: std::collections::BTreeMap::new(),
        attributes: Resource::External.attributes().to_vec(),
        keeping: crate::Keeping::Sent,
    }
}

/// A right to rows of registered types, as a grant of its own.
fn over(holder: u128, grant: u128, types: Option<&[&str]>) -> Grant {
    let external = types.map(|types| types.iter().copied().collect());
    let right = Template { external, ..right(&[Action::ExternalView], Extent::Own, Levels::READ) };
    Grant::of(grant_id(grant), id(holder), right, ALWAYS, Origin::Direct)
}

#[test]
fn what_is_delegated_of_rows_of_other_systems_is_held_type_by_type() {
    let of_type = |name: &str| Change::ExternalType(registered(name));
    let held = |types| Change::Grant(over(REP_ONE, 40, types));
    let may = |changes: &[Change], types| {
        let grant = Grant { origin: Origin::Delegation(id(REP_ONE)), ..over(NEWCOMER, 41, types) };
        company_with(changes).may_grant(id(REP_ONE), &grant, NOW).is_ok()
    };
    let both = [of_type("contract"), of_type("invoice"), held(Some(&["contract", "invoice"]))];
    assert!(may(&both, Some(&["contract"])) && may(&both, Some(&["contract", "invoice"])));
    assert!(!may(&both, None), "a type may be registered tomorrow");
    let one = [of_type("contract"), of_type("invoice"), held(Some(&["contract"]))];
    assert!(!may(&one, Some(&["contract", "invoice"])));
    let all = [of_type("contract"), held(None)];
    assert!(may(&all, Some(&["contract"])) && may(&all, None));
    let hidden = Change::Guard(crate::Guard {
        id: id(9),
        whom: crate::Whom::Subject(id(REP_ONE)),
        except: crate::Exceptions::default(),
        actions: actions(&[Action::ExternalView]),
        condition: crate::RowCondition { external: Some(["contract"].into_iter().collect()), ..Default::default() },
        effect: crate::Effect::Deny,
        from: ALWAYS.0,
        until: ALWAYS.1,
        reason: String::new(),
    });
    let barred = [of_type("contract"), of_type("invoice"), held(None), hidden];
    assert!(may(&barred, Some(&["invoice"])) && !may(&barred, Some(&["contract"])) && !may(&barred, None));
}

#[test]
fn who_holds_rights_to_a_type_is_widened_by_new_names_other_verbs_and_moved_fields() {
    let update = |types| {
        let held = Grant { actions: actions(&[Action::ExternalUpdate]), ..over(REP_ONE, 40, types) };
        Change::Grant(Grant { levels: Levels::of(&[(Layer::Basic, Level::Read)]), ..held })
    };
    let typed = |verbs: &[(&str, Action)], fields: &[(&str, Layer)]| ExternalType {
        actions: verbs.iter().map(|(name, verb)| ((*name).to_owned(), *verb)).collect(),
        fields: fields.iter().map(|(name, layer)| ((*name).to_owned(), *layer)).collect(),
        ..registered("contract")
    };
    let before = typed(&[("sign", Action::ExternalApprove)], &[("price", Layer::Financial), ("title", Layer::Basic)]);
    let snapshot = company_with(&[Change::ExternalType(before.clone()), update(None)]);
    let widens = |after: ExternalType, who| snapshot.widens(&Change::ExternalType(after), id(who));
    assert!(!widens(before.clone(), REP_ONE));
    let signs = typed(&[("sign", Action::ExternalUpdate)], &[]);
    assert!(widens(signs.clone(), REP_ONE) && !widens(signs, REP_TWO));
    let amends = typed(&[("sign", Action::ExternalApprove), ("amend", Action::ExternalUpdate)], &[]);
    assert!(widens(amends, REP_ONE), "a name that the type did not have");
    assert!(!widens(typed(&[("sign", Action::ExternalExport)], &[]), REP_ONE), "she holds neither verb");
    assert!(widens(typed(&[], &[("price", Layer::Basic)]), REP_ONE), "she comes to read prices");
    assert!(!widens(typed(&[], &[("title", Layer::Review)]), REP_ONE), "she reads titles no more");
    let fresh = |verbs| ExternalType { name: "invoice".into(), attributes: Vec::new(), ..typed(verbs, &[]) };
    assert!(!widens(fresh(&[]), REP_ONE), "of a type that is new there are no rows yet");
    assert!(widens(fresh(&[("amend", Action::ExternalUpdate)]), REP_ONE), "and no names");
}

#[test]
fn an_attribute_that_a_right_or_an_exception_of_a_guard_waits_for_widens_its_author() {
    use crate::Attribute::{Department, Flags, Owner, Stage, Teams};
    let of = |extent| Template { extent, ..right(&[Action::ExternalView], Extent::Own, Levels::READ) };
    let held = |template| Change::Grant(Grant::of(grant_id(40), id(REP_ONE), template, ALWAYS, Origin::Direct));
    let typed =
        |attributes: &[crate::Attribute]| ExternalType { attributes: attributes.to_vec(), ..registered("ticket") };
    let widens = |template: Template, guards: &[Change], before: &[crate::Attribute], after: &[crate::Attribute]| {
        let changes = [&[Change::ExternalType(typed(before)), held(template)], guards].concat();
        company_with(&changes).widens(&Change::ExternalType(typed(after)), id(REP_ONE))
    };
    assert!(widens(of(Extent::Own), &[], &[Stage], &[Stage, Owner]));
    assert!(!widens(of(Extent::Own), &[], &[Owner], &[Owner, Stage, Teams]), "nothing of his looks at them");
    assert!(!widens(of(Extent::Tenant), &[], &[], &[Owner, Stage, Department]), "he reached all rows before");
    let staged = Template { stages: Some(["draft"].into_iter().collect()), ..of(Extent::Own) };
    assert!(widens(staged.clone(), &[], &[Owner], &[Owner, Stage]));
    assert!(!widens(staged, &[], &[], &[Stage]), "it still waits for an owner");
    let pooled = of(Extent::Pooled(crate::Place::Mine, false));
    assert!(widens(pooled.clone(), &[], &[Department], &[Department, Flags]));
    assert!(!widens(pooled, &[], &[], &[Department]));
    let guard = |owner| {
        Change::Guard(crate::Guard {
            id: id(9),
            whom: crate::Whom::Everyone,
            except: crate::Exceptions { owner, ..crate::Exceptions::default() },
            actions: actions(&[Action::ExternalView]),
            condition: crate::RowCondition::default(),
            effect: crate::Effect::Deny,
            from: ALWAYS.0,
            until: ALWAYS.1,
            reason: String::new(),
        })
    };
    assert!(widens(of(Extent::Tenant), &[guard(true)], &[], &[Owner]), "the guard leaves out what he owns");
    assert!(!widens(of(Extent::Tenant), &[guard(false)], &[], &[Owner]));

    let newly = |template, attributes: &[crate::Attribute]| {
        company_with(&[held(template)]).widens(&Change::ExternalType(typed(attributes)), id(REP_ONE))
    };
    assert!(newly(of(Extent::Own), &[Owner]) && !newly(of(Extent::Own), &[Stage]));
    assert!(!newly(of(Extent::Tenant), &[Owner]), "of a type that is new there are no rows yet");
}

#[test]
fn a_guard_on_another_type_is_not_gone_when_a_type_is_registered() {
    let hidden = Change::Guard(crate::Guard {
        id: id(9),
        whom: crate::Whom::Everyone,
        except: crate::Exceptions::default(),
        actions: actions(&[Action::ExternalView]),
        condition: crate::RowCondition { external: Some(["contract"].into_iter().collect()), ..Default::default() },
        effect: crate::Effect::Deny,
        from: ALWAYS.0,
        until: ALWAYS.1,
        reason: String::new(),
    });
    let held = Template { extent: Extent::Tenant, ..right(&[Action::ExternalView], Extent::Own, Levels::READ) };
    let held = Change::Grant(Grant::of(grant_id(40), id(REP_ONE), held, ALWAYS, Origin::Direct));
    let snapshot = company_with(&[Change::ExternalType(registered("contract")), held, hidden]);
    assert!(!snapshot.widens(&Change::ExternalType(registered("ticket")), id(REP_ONE)));
}
