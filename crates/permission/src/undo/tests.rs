//! Who can undo what, on one company with one administrator.

use revisit_core::id::GuardId;

use super::*;
use crate::{
    Assigned, Effect, Exceptions, Guard, RoleAssignment, RowCondition, SubjectState, Whom,
    fixture::{
        ADMIN, ALWAYS, AUDITOR, BOSS, FINANCE, HEAD_OFFICE, MARKETING, NEWCOMER, NORTH_MANAGER, NOW, SALES_LEAD,
        SERVICE_ONE, SOUTH, STORE_ONE, STORE_TWO, assign, company_with, id, role, user,
    },
};

fn withheld(subject: u128, key: &str) -> Change {
    Change::RoleAssignment(RoleAssignment { subject: id(subject), role: role(key), assigned: Assigned::Withheld })
}

fn guard(whom: Whom, action: Action) -> Guard {
    Guard {
        id: id(9),
        whom,
        except: Exceptions::default(),
        actions: ActionSet::of(&[action]),
        condition: RowCondition::default(),
        effect: Effect::Deny,
        from: NOW,
        until: Timestamp::MAX,
        reason: "a test".to_owned(),
    }
}

/// What a change on top of others is answered.
fn governed(first: &[Change], then: Change) -> Result<(), Refusal> {
    let after = [first, &[then]].concat();
    company_with(first).stays_governed(&company_with(&after), None, NOW)
}

fn liftable(first: &[Change], guard: Guard) -> Result<(), Refusal> {
    let id: GuardId = guard.id;
    company_with(&[first, &[Change::Guard(guard)]].concat()).can_lift(id, None, NOW)
}

#[test]
fn the_last_who_can_give_rights_back_keeps_them() {
    let second = assign(NEWCOMER, "admin");
    assert_eq!(governed(&[], withheld(ADMIN, "admin")), Err(Refusal::NobodyCouldUndo));
    assert_eq!(governed(&[], withheld(MARKETING, "marketing")), Ok(()));
    assert_eq!(governed(std::slice::from_ref(&second), withheld(ADMIN, "admin")), Ok(()));
    let invited = Change::Subject(crate::Subject { state: SubjectState::Invited, ..user(NEWCOMER, 13) });
    assert_eq!(
        governed(&[second.clone(), invited], withheld(ADMIN, "admin")),
        Err(Refusal::NobodyCouldUndo),
        "who has not come in undoes nothing"
    );
    let program = Change::Subject(crate::Subject { kind: SubjectKind::ServiceAccount, ..user(NEWCOMER, 13) });
    assert_eq!(governed(&[program, second], withheld(ADMIN, "admin")), Err(Refusal::NobodyCouldUndo));
    let ends = RoleAssignment {
        subject: id(NEWCOMER),
        role: role("admin"),
        assigned: Assigned::Added { from: NOW, until: Timestamp::from_seconds(2_000_000) },
    };
    let for_a_time = [Change::RoleAssignment(ends)];
    assert_eq!(governed(&for_a_time, withheld(ADMIN, "admin")), Err(Refusal::NobodyCouldUndo), "it ends");
}

#[test]
fn a_guard_counts_from_its_start_on_and_a_loss_is_none_where_nobody_governed() {
    let later = Guard { from: Timestamp::from_seconds(1_500_000), ..guard(Whom::Everyone, Action::UserManage) };
    assert_eq!(governed(&[], Change::Guard(later)), Err(Refusal::NobodyCouldUndo));
    let over = Guard { from: ALWAYS.0, until: NOW, ..guard(Whom::Everyone, Action::UserManage) };
    assert_eq!(governed(&[], Change::Guard(over)), Ok(()));
    let nobody = [withheld(ADMIN, "admin")];
    assert_eq!(governed(&nobody, withheld(MARKETING, "marketing")), Ok(()));
}

#[test]
fn where_people_share_the_rights_none_of_them_is_lost() {
    let only_guards = guard(Whom::Subject(id(ADMIN)), Action::GuardManage);
    let shared = [Change::Guard(only_guards)];
    assert_eq!(
        governed(&shared, Change::Guard(Guard { id: id(10), ..guard(Whom::Everyone, Action::RoleManage) })),
        Err(Refusal::NobodyCouldUndo)
    );
    assert_eq!(
        governed(&shared, Change::Guard(Guard { id: id(10), ..guard(Whom::Everyone, Action::SegmentManage) })),
        Ok(())
    );
}

#[test]
fn among_thousands_who_are_alike_one_is_asked() {
    let people = 10_000;
    let denied = |number: u128, whom| Change::Guard(Guard { id: id(number), ..guard(whom, Action::DepartmentView) });
    // Nobody but the last one sees the departments, and the administrator not either.
    let mut changes = vec![denied(20, Whom::Role(role("sales_rep"))), denied(21, Whom::Subject(id(ADMIN)))];
    changes.extend(
        [BOSS, NORTH_MANAGER, SALES_LEAD, SERVICE_ONE, FINANCE, MARKETING, AUDITOR]
            .map(|number| denied(number, Whom::Subject(id(number)))),
    );
    let at = [STORE_ONE, STORE_TWO, SOUTH];
    let reps = (0..people).map(|number| (1_000 + number, at[number as usize % at.len()]));
    changes.extend(reps.flat_map(|(number, at)| [Change::Subject(user(number, at)), assign(number, "sales_rep")]));
    let last = 1_000 + people;
    changes.extend([Change::Subject(user(last, HEAD_OFFICE)), assign(last, "executive")]);
    let state = company_with(&changes);
    let (looks, mut asked) = (ActionSet::of(&[Action::DepartmentView]), 0);
    let found = Search::new(&state, None, NOW).finds_one(looks, |who| {
        asked += 1;
        state.holds_for_good(who, looks, NOW)
    });
    assert!(found, "the last one sees them");
    assert!(asked < 20, "{asked} were asked");
    changes.push(denied(22, Whom::Subject(id(last))));
    let lost = company_with(&changes);
    assert_eq!(state.stays_governed(&lost, None, NOW), Err(Refusal::NobodyCouldUndo), "the last one was asked");
}

#[test]
fn who_differs_in_what_says_so_is_not_taken_for_another() {
    let grants = ActionSet::of(&[Action::GuardManage]);
    let finds = |changes: &[Change]| Search::new(&company_with(changes), None, NOW).finds(grants);
    let for_a_time = |subject| {
        let assigned = Assigned::Added { from: NOW, until: Timestamp::from_seconds(2_000_000) };
        Change::RoleAssignment(RoleAssignment { subject: id(subject), role: role("admin"), assigned })
    };
    let (first, second) = (for_a_time(ADMIN), assign(NEWCOMER, "admin"));
    assert!(!finds(std::slice::from_ref(&first)), "it ends");
    assert!(finds(&[first, second.clone()]), "the other one's does not");
    let by_place = Guard { id: id(20), ..guard(Whom::Department(id(HEAD_OFFICE)), Action::GuardManage) };
    assert!(!finds(&[Change::Guard(by_place.clone()), second.clone()]), "all lie below");
    let by_place = Guard { whom: Whom::Department(id(SOUTH)), ..by_place };
    let moved = Change::Subject(user(ADMIN, SOUTH));
    assert!(finds(&[Change::Guard(by_place), moved, second.clone()]), "one lies elsewhere");
    let by_name = Guard { id: id(20), ..guard(Whom::Subject(id(ADMIN)), Action::GuardManage) };
    assert!(finds(&[Change::Guard(by_name), second.clone()]), "one is not named");
    let except = Exceptions { subjects: vec![id(NEWCOMER)], ..Exceptions::default() };
    let spared = Guard { id: id(20), except, ..guard(Whom::Everyone, Action::GuardManage) };
    assert!(finds(&[Change::Guard(spared), second]), "one is left out");
}

#[test]
fn a_guard_is_lifted_by_somebody_whom_it_does_not_bind() {
    let all = |action| guard(Whom::Everyone, action);
    let refused = Err(Refusal::NobodyCouldLift(id(9)));
    assert_eq!(liftable(&[], all(Action::GuardManage)), refused);
    assert_eq!(liftable(&[], all(Action::SegmentManage)), refused, "its end would widen every administrator");
    assert_eq!(liftable(&[], all(Action::CustomerView)), Ok(()), "no administrator sees customers");
    let except = Exceptions { subjects: vec![id(ADMIN)], ..Exceptions::default() };
    assert_eq!(liftable(&[], Guard { except, ..all(Action::SegmentManage) }), Ok(()));
    assert_eq!(liftable(&[], guard(Whom::Subject(id(MARKETING)), Action::SegmentManage)), Ok(()));
    assert_eq!(liftable(&[], guard(Whom::Role(role("admin")), Action::SegmentManage)), refused);
    let alone = guard(Whom::Subject(id(ADMIN)), Action::SegmentManage);
    assert_eq!(liftable(&[], alone.clone()), refused);
    assert_eq!(liftable(&[assign(NEWCOMER, "admin")], alone), Ok(()), "the other one lifts it");
}
