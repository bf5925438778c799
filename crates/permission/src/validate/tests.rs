//! Every refusal of a change, met once.

use super::*;
use crate::{
    Exceptions, ExternalType, Level, Removed, Role, RowCondition, Tenant,
    fixture::{
        ADMIN, ALWAYS, BOSS, HEAD_OFFICE, NEWCOMER, NORTH, NOW, REP_ONE, REP_TWO, SOUTH, STORE_ONE, STORE_TWO, actions,
        assign, company, department, grant_id, id, position, role, user,
    },
    level::Layer,
};

fn refusal(change: Change) -> Option<Refusal> {
    company().validate(&change).err()
}

fn right(extent: Extent) -> Template {
    Template {
        actions: actions(&[Action::CustomerView]),
        extent,
        stages: None,
        grades: None,
        external: None,
        levels: Levels::READ,
    }
}

fn grant(right: Template) -> Grant {
    Grant::of(grant_id(1), id(REP_ONE), right, ALWAYS, Origin::Direct)
}

#[test]
fn a_department_never_comes_to_lie_below_itself() {
    assert_eq!(refusal(department(NORTH, Some(STORE_ONE), None)), Some(Refusal::DepartmentCycle(id(NORTH))));
    assert_eq!(refusal(department(NORTH, Some(NORTH), None)), Some(Refusal::DepartmentCycle(id(NORTH))));
    assert_eq!(refusal(department(STORE_ONE, Some(SOUTH), None)), None);
    assert_eq!(refusal(department(60, None, None)), Some(Refusal::SecondRoot(id(HEAD_OFFICE))));
    assert_eq!(refusal(department(60, Some(999), None)), Some(Refusal::UnknownDepartment(id(999))));
    assert_eq!(refusal(department(60, Some(NORTH), Some(999))), Some(Refusal::UnknownSubject(id(999))));
}

#[test]
fn a_disabled_department_takes_nothing_new_and_keeps_what_it_has() {
    let mut facts = company();
    let store = facts.department(id(STORE_ONE)).expect("a store").clone();
    facts.apply(&Change::Department(Department { disabled: true, ..store }));
    let refused = Err(Refusal::DepartmentDisabled(id(STORE_ONE)));
    assert_eq!(facts.validate(&department(60, Some(STORE_ONE), None)), refused);
    assert_eq!(facts.validate(&Change::Subject(user(500, STORE_ONE))), refused);
    assert_eq!(facts.validate(&Change::Subject(user(REP_ONE, STORE_ONE))), Ok(()));
}

#[test]
fn a_subject_names_only_what_there_is_and_never_stands_above_itself() {
    let subject = |change: fn(&mut Subject)| {
        let mut subject = user(REP_ONE, STORE_ONE);
        change(&mut subject);
        refusal(Change::Subject(subject))
    };
    assert_eq!(subject(|_| ()), None);
    assert_eq!(subject(|it| it.department = Some(id(999))), Some(Refusal::UnknownDepartment(id(999))));
    assert_eq!(subject(|it| it.positions = vec![id(999)]), Some(Refusal::UnknownPosition(id(999))));
    assert_eq!(subject(|it| it.manager = Some(id(999))), Some(Refusal::UnknownSubject(id(999))));
    assert_eq!(subject(|it| it.manager = Some(id(REP_ONE))), Some(Refusal::SubjectCycle(id(REP_ONE))));
    assert_eq!(subject(|it| it.parent = Some(id(REP_ONE))), Some(Refusal::SubjectCycle(id(REP_ONE))));
    let mut facts = company();
    facts.apply(&Change::Subject(Subject { manager: Some(id(REP_ONE)), ..user(REP_TWO, STORE_ONE) }));
    let circle = Change::Subject(Subject { manager: Some(id(REP_TWO)), ..user(REP_ONE, STORE_ONE) });
    assert_eq!(facts.validate(&circle), Err(Refusal::SubjectCycle(id(REP_ONE))));
    facts.apply(&position(50, SOUTH, &[]));
    let elsewhere = Change::Subject(Subject { positions: vec![id(50)], ..user(REP_ONE, STORE_ONE) });
    assert_eq!(facts.validate(&elsewhere), Err(Refusal::PositionElsewhere(id(50))));
}

#[test]
fn a_grant_names_only_what_there_is_reads_only_what_rows_have_and_ends_after_it_starts() {
    let of = |right| refusal(Change::Grant(grant(right)));
    assert_eq!(of(right(Extent::Own)), None);
    assert_eq!(of(right(Extent::Subtree(Place::At(id(999))))), Some(Refusal::UnknownDepartment(id(999))));
    assert_eq!(of(right(Extent::Team(id(999)))), Some(Refusal::UnknownTeam(id(999))));
    assert_eq!(of(right(Extent::Ids([].into()))), Some(Refusal::GivesNothing));
    assert_eq!(of(Template { actions: ActionSet::EMPTY, ..right(Extent::Own) }), Some(Refusal::GivesNothing));
    assert_eq!(of(Template { stages: Some(NameSet::default()), ..right(Extent::Own) }), Some(Refusal::GivesNothing));
    let mixed = actions(&[Action::CustomerView, Action::TaskView]);
    assert_eq!(of(Template { actions: mixed, ..right(Extent::Own) }), Some(Refusal::MixedTypes));
    let unowned = actions(&[Action::TemplateView]);
    assert_eq!(of(Template { actions: unowned, ..right(Extent::Own) }), Some(Refusal::NoSuchAttribute));
    let holderless = Grant { holder: id(999), ..grant(right(Extent::Own)) };
    assert_eq!(refusal(Change::Grant(holderless)), Some(Refusal::UnknownSubject(id(999))));
    let backwards = Grant { from: NOW, until: NOW, ..grant(right(Extent::Own)) };
    assert_eq!(refusal(Change::Grant(backwards)), Some(Refusal::EndBeforeStart));
    let emergency = Grant { origin: Origin::BreakGlass, ..grant(right(Extent::Own)) };
    assert_eq!(refusal(Change::Grant(emergency)), Some(Refusal::EndRequired));
}

#[test]
fn a_guard_covers_something_and_does_something() {
    let guard = |change: fn(&mut Guard)| {
        let mut guard = Guard {
            id: id(1),
            whom: Whom::Everyone,
            except: Exceptions::default(),
            actions: actions(&[Action::CustomerView]),
            condition: RowCondition::default(),
            effect: Effect::Deny,
            from: ALWAYS.0,
            until: ALWAYS.1,
            reason: "frozen".to_owned(),
        };
        change(&mut guard);
        refusal(Change::Guard(guard))
    };
    assert_eq!(guard(|_| ()), None);
    assert_eq!(guard(|it| it.actions = ActionSet::EMPTY), Some(Refusal::GuardOnNothing));
    assert_eq!(guard(|it| it.condition.ids = Some([].into())), Some(Refusal::GuardOnNothing));
    assert_eq!(guard(|it| it.condition.stages = Some(NameSet::default())), Some(Refusal::GuardOnNothing));
    assert_eq!(guard(|it| it.effect = Effect::Cap(Levels::WRITE)), Some(Refusal::GuardWithoutEffect));
    assert_eq!(guard(|it| it.effect = Effect::Cap(Levels::WRITE.with(Layer::Review, Level::Read))), None);
    assert_eq!(guard(|it| it.whom = Whom::Role(id(999))), Some(Refusal::UnknownRole(id(999))));
    let nobody: fn(&mut Guard) = |it| {
        it.whom = Whom::Subject(id(BOSS));
        it.except.subjects = vec![id(BOSS)];
    };
    assert_eq!(guard(nobody), Some(Refusal::GuardOnNothing));
    let unread: fn(&mut Guard) = |it| {
        it.actions = actions(&[Action::TemplateManage]);
        it.condition.vip = true;
    };
    assert_eq!(guard(unread), Some(Refusal::NoSuchAttribute));
}

#[test]
fn roles_that_exclude_each_other_do_not_meet_by_whatever_way() {
    let conflict = Some(Refusal::RoleConflict(Duty::FinanceWrite, Duty::SalesWrite));
    assert_eq!(refusal(assign(REP_ONE, "service")), conflict);
    assert_eq!(refusal(assign(NEWCOMER, "service")), None);
    let mut facts = company();
    facts.apply(&position(50, STORE_ONE, &[]));
    facts.apply(&Change::Subject(Subject { positions: vec![id(50)], ..user(REP_ONE, STORE_ONE) }));
    assert_eq!(facts.validate(&position(50, STORE_ONE, &["service"])).err(), conflict);
    let clerk = position(51, STORE_ONE, &["service"]);
    facts.apply(&clerk);
    let both = Change::Subject(Subject { positions: vec![id(51)], ..user(REP_ONE, STORE_ONE) });
    assert_eq!(facts.validate(&both).err(), conflict);
    let rep = facts.role(role("sales_rep")).expect("a shipped role").clone();
    let mut templates = rep.templates.clone();
    templates[0].levels = Levels::WRITE;
    assert_eq!(facts.validate(&Change::Role(Role { templates, ..rep })).err(), conflict);
    let orders =
        Template { actions: actions(&[Action::CustomerOrderRecord]), levels: Levels::WRITE, ..right(Extent::Own) };
    assert_eq!(refusal(Change::Grant(grant(orders.clone()))), conflict, "by a grant");
    let read = Template { levels: Levels::READ, ..orders };
    assert_eq!(refusal(Change::Grant(grant(read))), None);
}

#[test]
fn roles_that_exclude_each_other_do_not_meet_when_one_is_given_back_or_a_department_moves() {
    let conflict = Err(Refusal::RoleConflict(Duty::FinanceWrite, Duty::SalesWrite));
    let rep = |facts: &mut Facts, positions: &[u128]| {
        let positions = positions.iter().map(|number| id(*number)).collect();
        facts.apply(&Change::Subject(Subject { positions, ..user(REP_ONE, STORE_ONE) }));
    };
    let mut facts = company();
    facts.apply(&position(51, STORE_ONE, &["service"]));
    let withheld = RoleAssignment { subject: id(REP_ONE), role: role("service"), assigned: Assigned::Withheld };
    facts.apply(&Change::RoleAssignment(withheld));
    rep(&mut facts, &[51]);
    let given_back = Removed::RoleAssignment { subject: id(REP_ONE), role: role("service") };
    assert_eq!(facts.validate(&Change::Removed(given_back)), conflict);
    // A position of the south holds in the store once that lies in the south.
    let mut facts = company();
    facts.apply(&position(52, SOUTH, &["service"]));
    rep(&mut facts, &[52]);
    assert_eq!(facts.validate(&department(STORE_ONE, Some(SOUTH), None)), conflict);
    assert_eq!(facts.validate(&department(STORE_TWO, Some(SOUTH), None)), Ok(()));
}

#[test]
fn what_is_in_use_is_not_removed() {
    let removal = |removed| refusal(Change::Removed(removed));
    assert_eq!(removal(Removed::Department(id(NORTH))), Some(Refusal::DepartmentInUse(id(NORTH))));
    assert_eq!(removal(Removed::Role(role("sales_rep"))), Some(Refusal::RoleInUse(role("sales_rep"))));
    let mut facts = company();
    facts.apply(&department(60, Some(SOUTH), None));
    assert_eq!(facts.validate(&Change::Removed(Removed::Department(id(60)))), Ok(()));
    facts.apply(&position(50, STORE_ONE, &[]));
    facts.apply(&Change::Subject(Subject { positions: vec![id(50)], ..user(REP_ONE, STORE_ONE) }));
    let in_use = Err(Refusal::PositionInUse(id(50)));
    assert_eq!(facts.validate(&Change::Removed(Removed::Position(id(50)))), in_use);
}

#[test]
fn the_administrator_is_somebody() {
    let settings =
        |number| Change::Tenant(Tenant { administrator: Some(id(number)), modules_off: Vec::new(), region: None });
    assert_eq!(refusal(settings(ADMIN)), None);
    assert_eq!(refusal(settings(999)), Some(Refusal::UnknownSubject(id(999))));
}

#[test]
fn a_rule_names_registered_types_that_have_what_it_reads_and_only_for_their_rows() {
    let contract = |attributes: &[Attribute]| ExternalType {
        name: "contract".into(),
        actions: std::collections::BTreeMap::new(),
        fields: std::collections::BTreeMap::new(),
        attributes: attributes.to_vec(),
        keeping: crate::Keeping::Sent,
    };
    let owned = contract(&[Attribute::Owner]);
    let mut facts = company();
    facts.apply(&Change::ExternalType(owned.clone()));
    let of = |extent, actions: &[Action], types: &[&str]| {
        let external = Some(types.iter().copied().collect());
        let right = Template { actions: crate::fixture::actions(actions), external, ..right(extent) };
        facts.validate(&Change::Grant(grant(right))).err()
    };
    let view = &[Action::ExternalView];
    assert_eq!(of(Extent::Own, view, &["contract"]), None);
    assert_eq!(of(Extent::Own, view, &[]), Some(Refusal::GivesNothing));
    assert_eq!(of(Extent::Own, view, &["contract", "invoice"]), Some(Refusal::UnknownExternalType));
    assert_eq!(of(Extent::Own, &[Action::CustomerView], &["contract"]), Some(Refusal::NoExternalRows));
    let mine = Extent::Department(Place::Mine);
    assert_eq!(of(mine.clone(), view, &["contract"]), Some(Refusal::NoSuchAttribute));
    let any = Template { actions: actions(view), external: None, ..right(mine) };
    assert_eq!(facts.validate(&Change::Grant(grant(any))), Ok(()), "some type may have departments");

    let change = |it: ExternalType| facts.validate(&Change::ExternalType(it)).err();
    assert_eq!(change(contract(&[Attribute::Owner, Attribute::Stage])), None);
    assert_eq!(change(contract(&[])), Some(Refusal::ExternalTypeNarrowed));
    let kept = ExternalType { keeping: crate::Keeping::Kept, ..owned.clone() };
    assert_eq!(change(kept), Some(Refusal::ExternalTypeNarrowed));
    assert_eq!(change(contract(&[Attribute::TaskHolders])), Some(Refusal::NoSuchAttribute));
    let reserved = ExternalType { name: "customer".into(), ..owned.clone() };
    assert_eq!(change(reserved), Some(Refusal::ExternalTypeReserved));
    let verb = ("look".to_owned(), Action::CustomerView);
    let foreign = ExternalType { actions: [verb].into_iter().collect(), ..owned };
    assert_eq!(change(foreign), Some(Refusal::NoExternalVerb(Action::CustomerView)));

    let gone = Change::Removed(Removed::ExternalType("contract".into()));
    assert_eq!(facts.validate(&gone), Ok(()));
    let named =
        Template { actions: actions(view), external: Some(["contract"].into_iter().collect()), ..right(Extent::Own) };
    facts.apply(&Change::Grant(grant(named)));
    assert_eq!(facts.validate(&gone), Err(Refusal::ExternalTypeInUse));
}
