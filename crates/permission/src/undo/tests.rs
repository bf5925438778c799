//! Who can undo what, on one company with one administrator.

use revisit_core::id::GuardId;

use super::*;
use crate::{
    Assigned, Effect, Exceptions, Guard, RoleAssignment, RowCondition, SubjectState, Whom,
    fixture::{ADMIN, ALWAYS, MARKETING, NEWCOMER, NOW, assign, company_with, id, role, user},
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
