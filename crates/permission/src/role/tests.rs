//! The shipped roles on one company: who sees what is the promise that the catalogue makes.

use super::*;
use crate::{
    Axis, Caller, Change, Decision, Flags, Layer, Level, Row, Snapshot, TaskHolder, Witness,
    fixture::{
        ADMIN, AUDITOR, BOSS, FINANCE, HEAD_OFFICE, MARKETING, NEWCOMER, NORTH, NORTH_MANAGER, NOW, REP_ONE, REP_TWO,
        SALES_LEAD, SERVICE_ONE, SOUTH, SOUTH_REP, STORE_ONE, STORE_TWO, assign, company, company_with, customer,
        department, id, position, role, tenant, user,
    },
};

fn decide(snapshot: &Snapshot, who: u128, action: Action, row: &Row) -> Decision {
    snapshot.decide(id(who), action, row, NOW)
}

fn sees(who: u128, row: &Row) -> bool {
    decide(&company_with(&[]), who, Action::CustomerView, row).allowed
}

fn level(who: u128, action: Action, row: &Row, layer: Layer) -> Level {
    decide(&company_with(&[]), who, action, row).levels.get(layer)
}

#[test]
fn newcomer_manager_and_boss_see_nothing_the_subtree_and_all() {
    let rows = [
        customer(REP_ONE, STORE_ONE),
        customer(REP_TWO, STORE_TWO),
        customer(SOUTH_REP, SOUTH),
        customer(BOSS, HEAD_OFFICE),
    ];
    let seen = |who| rows.iter().map(|row| sees(who, row)).collect::<Vec<_>>();
    assert_eq!(seen(NEWCOMER), [false, false, false, false]);
    assert_eq!(seen(REP_ONE), [true, false, false, false]);
    assert_eq!(seen(NORTH_MANAGER), [true, true, false, false]);
    assert_eq!(seen(BOSS), [true, true, true, true]);
    assert_eq!(seen(ADMIN), [false, false, false, false]);
    assert_eq!(seen(AUDITOR), [false, false, false, false]);
}

#[test]
fn a_sales_representative_edits_and_does_not_delete_and_the_manager_does_both() {
    let row = customer(REP_ONE, STORE_ONE);
    let snapshot = company_with(&[]);
    let may = |who, action| decide(&snapshot, who, action, &row).allowed;
    assert!(may(REP_ONE, Action::CustomerUpdate) && !may(REP_ONE, Action::CustomerDelete));
    assert!(may(SALES_LEAD, Action::CustomerUpdate) && may(SALES_LEAD, Action::CustomerDelete));
    let denied = decide(&snapshot, REP_ONE, Action::CustomerDelete, &row);
    assert_eq!(denied.witness, Witness::NearestMiss { axis: Axis::Operation, grant: None });
}

#[test]
fn three_axes_must_allow_and_the_first_that_refused_is_named() {
    let snapshot = company_with(&[]);
    let row = customer(REP_ONE, STORE_ONE);
    let refused = |who, action, row: &Row| snapshot.explain(id(who), action, row, NOW).refused;
    assert_eq!(refused(AUDITOR, Action::CustomerView, &row), Some(Axis::Role));
    assert_eq!(refused(REP_ONE, Action::CustomerDelete, &row), Some(Axis::Operation));
    assert_eq!(refused(REP_TWO, Action::CustomerView, &row), Some(Axis::Extent));
    let moved_on = row.clone().with_stage(Some("service".into()));
    assert_eq!(refused(REP_ONE, Action::CustomerView, &moved_on), Some(Axis::Stage));
    assert_eq!(refused(REP_ONE, Action::CustomerView, &row), None);
}

#[test]
fn a_customer_that_sales_moves_on_or_gives_up_ends_the_sellers_rights() {
    let snapshot = company_with(&[]);
    let row = |stage: &str| customer(REP_ONE, STORE_ONE).with_stage(Some(stage.into()));
    // The seller makes the move: the row before and the row after it are decided.
    let moves = |stage: &str| decide(&snapshot, REP_ONE, Action::CustomerStage, &row(stage));
    assert!(moves("won").levels.writes(Layer::Basic));
    for left in ["service", "churned"] {
        assert!(moves(left).allowed, "to {left}");
        for action in Action::ALL.iter().filter(|action| action.resource() == crate::Resource::Customer) {
            let after = decide(&snapshot, REP_ONE, *action, &row(left));
            assert!(!after.levels.writes(Layer::Basic), "{action} still writes in {left}");
            assert!(!after.allowed || *action == Action::CustomerStage, "{action} is still allowed in {left}");
        }
    }
    for sold in ["won", "service"] {
        let served = decide(&snapshot, SERVICE_ONE, Action::CustomerView, &row(sold));
        assert!(served.levels.reads(Layer::History), "service reads the talk before the deal, in {sold}");
    }
    assert!(!decide(&snapshot, SERVICE_ONE, Action::CustomerView, &row("lead")).allowed);
}

#[test]
fn finance_reads_amounts_and_no_contact_talk_or_result() {
    let row = customer(REP_ONE, STORE_ONE);
    let level = |layer| level(FINANCE, Action::CustomerOrderView, &row, layer);
    assert_eq!(
        Layer::ALL.iter().map(|layer| level(*layer)).collect::<Vec<_>>(),
        [Level::Read, Level::Hidden, Level::Hidden, Level::Read, Level::Hidden,]
    );
    assert!(!decide(&company_with(&[]), FINANCE, Action::CustomerNote, &row).allowed);
}

#[test]
fn marketing_sees_contacts_masked_and_no_talk() {
    let row = customer(REP_ONE, STORE_ONE);
    assert_eq!(level(MARKETING, Action::CustomerView, &row, Layer::Sensitive), Level::Masked);
    assert_eq!(level(MARKETING, Action::CustomerView, &row, Layer::History), Level::Hidden);
}

#[test]
fn a_pooled_row_shows_its_basic_layer_to_the_department_until_it_is_claimed() {
    let pooled = Row { owner: None, ..customer(REP_ONE, STORE_ONE) };
    let pooled = pooled.with_flags(Flags { vip: false, pooled: true });
    assert_eq!(level(REP_ONE, Action::CustomerView, &pooled, Layer::Basic), Level::Read);
    for who in [REP_ONE, SALES_LEAD, NORTH_MANAGER] {
        assert_eq!(level(who, Action::CustomerView, &pooled, Layer::Sensitive), Level::Hidden, "{who}");
    }
    assert!(!sees(REP_TWO, &pooled) && sees(NORTH_MANAGER, &pooled));
    assert!(decide(&company_with(&[]), REP_ONE, Action::CustomerClaim, &pooled).allowed);
    assert!(sees(REP_ONE, &customer(REP_ONE, STORE_ONE)));
}

#[test]
fn an_open_task_lends_its_layers_to_the_assignee_until_it_ends() {
    let holder = TaskHolder {
        task: id(1),
        generation: 1,
        subject: Some(id(REP_TWO)),
        layers: Levels::of(&[(Basic, Read), (Sensitive, Read)]),
        until: NOW + std::time::Duration::from_secs(60),
    };
    let row = customer(REP_ONE, STORE_ONE).with_stage(Some("service".into())).with_task_holders([holder.clone()]);
    let snapshot = company_with(&[]);
    let lent = decide(&snapshot, REP_TWO, Action::CustomerView, &row);
    assert!(lent.allowed && lent.levels == holder.layers);
    assert_eq!(lent.valid_until, holder.until);
    assert!(!snapshot.decide(id(REP_TWO), Action::CustomerView, &row, holder.until).allowed);
    let closed = TaskHolder { subject: None, ..holder };
    assert!(!sees(REP_TWO, &row.with_task_holders([closed])));
}

#[test]
fn a_new_branch_has_the_presets_of_the_departments_above_at_once() {
    let adviser = position(50, NORTH, &["sales_rep"]);
    let branch = department(60, Some(NORTH), None);
    let mut hired = user(61, 60);
    hired.positions = vec![id(50)];
    let row = customer(61, 60);
    let snapshot = company_with(&[adviser.clone(), branch.clone(), Change::Subject(hired.clone())]);
    assert!(decide(&snapshot, 61, Action::CustomerView, &row).allowed);
    assert!(decide(&snapshot, NORTH_MANAGER, Action::CustomerView, &row).allowed);
    // In a department outside the subtree the same position gives nothing.
    hired.department = Some(id(SOUTH));
    let snapshot = company_with(&[adviser, branch, Change::Subject(hired)]);
    assert!(!decide(&snapshot, 61, Action::CustomerView, &row).allowed);
}

#[test]
fn moving_a_store_moves_who_leads_its_rows() {
    let row = customer(REP_ONE, STORE_ONE);
    assert!(sees(NORTH_MANAGER, &row));
    let moved = company_with(&[department(STORE_ONE, Some(SOUTH), None)]);
    assert!(!decide(&moved, NORTH_MANAGER, Action::CustomerView, &row).allowed);
    assert!(decide(&moved, REP_ONE, Action::CustomerView, &row).allowed);
}

#[test]
fn no_shipped_role_holds_duties_that_exclude_each_other_and_two_together_are_found() {
    for shipped in shipped_roles() {
        let held = |duty: Duty| duty.held_by(&shipped.templates);
        assert!(!CONFLICTS.iter().any(|(one, other)| held(*one) && held(*other)), "{}", shipped.key);
    }
    let facts = company();
    let role = |key| facts.role(role(key)).expect("a shipped role");
    assert_eq!(conflict([role("service"), role("sales_rep")]), Some((Duty::FinanceWrite, Duty::SalesWrite)));
    assert_eq!(conflict([role("finance"), role("sales_rep")]), None);
}

#[test]
fn every_shipped_template_is_one_that_could_be_written() {
    let facts = company();
    let stages: Vec<_> = STAGES.into_iter().collect();
    for shipped in shipped_roles() {
        let stored = facts.role(role(shipped.key)).expect("it is stored").clone();
        assert_eq!(facts.validate(&Change::Role(stored)), Ok(()), "{}", shipped.key);
        let named = shipped.templates.iter().filter_map(|template| template.stages.as_ref());
        assert!(named.flat_map(NameSet::iter).all(|stage| stages.contains(&stage.as_str())));
    }
}

#[test]
fn a_subject_without_a_role_reaches_only_its_own_profile() {
    let snapshot = company_with(&[]);
    let row = customer(NEWCOMER, STORE_ONE);
    for action in Action::ALL {
        assert!(!decide(&snapshot, NEWCOMER, *action, &row).allowed, "{action}");
        assert!(!decide(&snapshot, NEWCOMER, *action, &Row::of_tenant(tenant())).allowed, "{action}");
    }
    let (leases, _) = crate::fixture::leased(snapshot);
    assert!(Caller::named(tenant(), id(NEWCOMER)).own(&leases).is_ok());
}

#[test]
fn a_switched_off_module_takes_its_actions_from_everybody_and_names_itself() {
    let off =
        Change::Tenant(crate::Tenant { administrator: None, modules_off: vec![crate::Module::Sales], region: None });
    let snapshot = company_with(&[off]);
    let row = customer(REP_ONE, STORE_ONE);
    for action in crate::Module::Sales.actions().iter() {
        let decision = decide(&snapshot, NORTH_MANAGER, action, &row);
        assert_eq!(decision.witness.refused(), Some(Axis::Module), "{action}");
    }
    assert!(decide(&snapshot, REP_ONE, Action::CustomerView, &row).allowed);
}

#[test]
fn two_users_of_one_department_differ_by_their_positions() {
    let changes = [
        position(50, STORE_ONE, &["sales_rep"]),
        position(51, STORE_ONE, &["service"]),
        Change::Subject(crate::Subject { positions: vec![id(50)], ..user(70, STORE_ONE) }),
        Change::Subject(crate::Subject { positions: vec![id(51)], ..user(71, STORE_ONE) }),
    ];
    let snapshot = company_with(&changes);
    let actions = |who| {
        let row = customer(who, STORE_ONE).with_stage(Some("won".into()));
        let allowed = |action: &&Action| decide(&snapshot, who, **action, &row).allowed;
        Action::ALL.iter().filter(allowed).copied().collect::<ActionSet>()
    };
    assert!(actions(70).contains(Action::CustomerCreate) && !actions(70).contains(Action::CustomerOrderRecord));
    assert!(!actions(71).contains(Action::CustomerCreate) && actions(71).contains(Action::CustomerOrderRecord));
}

#[test]
fn a_sub_account_never_may_do_more_than_its_account() {
    let sub = crate::Subject { parent: Some(id(REP_ONE)), ..user(80, STORE_ONE) };
    let changes = [Change::Subject(sub), assign(80, "sales_manager")];
    let snapshot = company_with(&changes);
    assert!(decide(&snapshot, 80, Action::CustomerUpdate, &customer(80, STORE_ONE)).allowed);
    assert!(decide(&snapshot, 80, Action::CustomerView, &customer(REP_ONE, STORE_ONE)).allowed);
    let other = decide(&snapshot, 80, Action::CustomerView, &customer(REP_TWO, STORE_ONE));
    assert_eq!(other.witness.refused(), Some(Axis::Parent));
    assert!(!decide(&snapshot, 80, Action::CustomerDelete, &customer(80, STORE_ONE)).allowed);
}
