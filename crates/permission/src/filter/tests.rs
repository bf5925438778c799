//! The description read by its own words, row by row, beside the decision.

use std::time::Duration;

use revisit_core::id::{SubjectId, TeamId};

use super::*;
use crate::{
    Change, Exceptions, Extent, Flags, Grant, Guard, Layer, Level, Origin, Place, Row, RowCondition, TaskHolder, Team,
    Template, Whom,
    fixture::{
        ADMIN, ALWAYS, BOSS, HEAD_OFFICE, MARKETING, NEWCOMER, NORTH, NORTH_MANAGER, NOW, REP_ONE, REP_TWO, SALES_LEAD,
        SERVICE_ONE, SOUTH, STORE_ONE, STORE_TWO, actions, assign, company_with, customer, department, grant_id, id,
        tenant, user,
    },
};

const SUB_ACCOUNT: u128 = 150;
const TEAM: u128 = 300;
const UNKNOWN: u128 = 999;

/// Reads a filter as its documentation says, knowing nothing of the engine.
fn allowed(filter: &Filter, row: &Row, now: Timestamp) -> Option<Levels> {
    if row.tenant != filter.tenant || row.auth_rev > filter.revision {
        return None;
    }
    given((&filter.accounts, &filter.guards), row, now)
}

fn given(rights: (&[FilterAccount], &[FilterGuard]), row: &Row, now: Timestamp) -> Option<Levels> {
    let (accounts, guards) = rights;
    let mut levels = Levels::WRITE;
    for account in accounts {
        let given = account.clauses.iter().filter_map(|clause| matched(account, clause, row, now));
        levels = levels.cap(given.reduce(Levels::join)?);
    }
    for guard in guards.iter().filter(|guard| covered(guard, row)) {
        match guard.effect {
            Effect::Deny => return None,
            Effect::Cap(ceiling) => levels = levels.cap(ceiling),
        }
    }
    Some(levels)
}

fn matched(account: &FilterAccount, clause: &FilterClause, row: &Row, now: Timestamp) -> Option<Levels> {
    let in_pool = row.flags.pooled && row.owner.is_none();
    let placed = row.department.is_some_and(|at| clause.departments.contains(&at));
    let mut levels = clause.levels;
    let reached = match &clause.reach {
        Reach::Own => row.owner.is_some_and(|owner| account.who.contains(&owner)),
        Reach::Task => {
            let held = |it: &&TaskHolder| it.subject.is_some_and(|who| account.who.contains(&who)) && now < it.until;
            let basic = Levels::HIDDEN.with(Layer::Basic, Level::Read);
            let lent = row.task_holders.iter().filter(held).map(|it| clause.levels.cap(it.layers.join(basic)));
            levels = lent.reduce(Levels::join)?;
            true
        }
        Reach::Department(_) | Reach::Subtree(_) => placed && !in_pool,
        Reach::Pooled(_) | Reach::PooledSubtree(_) => placed && in_pool,
        Reach::Team(team) => row.teams.contains(team),
        Reach::Ids(ids) => ids.contains(&row.id),
        Reach::Tenant => true,
    };
    if let Some(delegation) = &clause.delegation {
        levels = levels.cap(given((&delegation.accounts, &delegation.guards), row, now)?);
    }
    (reached && named(clause.stages.as_ref(), row.stage.as_ref()) && named(clause.grades.as_ref(), row.grade.as_ref()))
        .then_some(levels)
}

fn covered(guard: &FilterGuard, row: &Row) -> bool {
    (!guard.vip || row.flags.vip)
        && (!guard.pooled || row.flags.pooled)
        && named(guard.stages.as_ref(), row.stage.as_ref())
        && named(guard.grades.as_ref(), row.grade.as_ref())
        && guard.departments.as_ref().is_none_or(|them| row.department.is_some_and(|at| them.contains(&at)))
        && guard.ids.as_ref().is_none_or(|ids| ids.contains(&row.id))
        && !row.owner.is_some_and(|owner| guard.except_owners.contains(&owner))
}

fn named(names: Option<&NameSet>, name: Option<&crate::Name>) -> bool {
    names.is_none_or(|names| name.is_some_and(|name| names.iter().any(|known| known == name)))
}

fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for owner in [None, Some(REP_ONE), Some(REP_TWO), Some(SUB_ACCOUNT), Some(UNKNOWN)] {
        for department in [None, Some(STORE_ONE), Some(STORE_TWO), Some(SOUTH), Some(HEAD_OFFICE), Some(UNKNOWN)] {
            for (place, stage) in [None, Some("lead"), Some("service")].into_iter().enumerate() {
                for marks in 0..8_u8 {
                    let flags = Flags { vip: marks & 1 != 0, pooled: marks & 2 != 0 };
                    let until = if place == 0 { NOW } else { NOW + Duration::from_secs(60) };
                    let task = |layers| TaskHolder {
                        task: id(1),
                        generation: 1,
                        subject: Some(id(if place == 2 { SUB_ACCOUNT } else { SERVICE_ONE })),
                        layers,
                        until,
                    };
                    let lent = Levels::of(&[(Layer::Sensitive, Level::Read)]);
                    let row = customer(REP_ONE, STORE_ONE)
                        .with_owner(owner.map(id::<revisit_core::id::kind::Subject>))
                        .with_department(department.map(id::<revisit_core::id::kind::Department>))
                        .with_stage(stage.map(Into::into))
                        .with_grade((place == 1).then(|| "A".into()))
                        .with_teams((marks & 4 != 0).then(|| id(TEAM)))
                        .with_task_holders((marks & 4 == 0).then(|| task(lent)))
                        .with_flags(flags)
                        .with_auth_rev(if marks == 7 { 8 } else { 7 });
                    rows.push(Row { id: Uuid::from_u128(u128::from(marks)), ..row });
                }
            }
        }
    }
    rows
}

fn guard(number: u128, effect: Effect, except: Exceptions, condition: RowCondition) -> Change {
    Change::Guard(Guard {
        id: id(number),
        whom: Whom::Everyone,
        except,
        actions: actions(&[Action::CustomerView]),
        condition,
        effect,
        from: ALWAYS.0,
        until: ALWAYS.1,
        reason: String::new(),
    })
}

fn give(number: u128, holder: u128, extent: Extent, window: (Timestamp, Timestamp), origin: Origin) -> Change {
    Change::Grant(Grant {
        id: grant_id(number),
        holder: id(holder),
        actions: actions(&[Action::CustomerView]),
        extent,
        stages: None,
        grades: Some(["A"].into_iter().collect()),
        external: None,
        levels: Levels::READ,
        from: window.0,
        until: window.1,
        origin,
    })
}

/// Everything that a filter can say, in one company.
fn everything() -> Vec<Change> {
    let later = NOW + Duration::from_secs(10);
    let led = Exceptions { owner: true, managers: true, subjects: vec![id(ADMIN)] };
    let masked = Effect::Cap(Levels::WRITE.with(Layer::Sensitive, Level::Masked));
    let team: TeamId = id(TEAM);
    let sub_account = crate::Subject { parent: Some(id(REP_ONE)), ..user(SUB_ACCOUNT, STORE_ONE) };
    vec![
        Change::Subject(sub_account),
        assign(SUB_ACCOUNT, "sales_rep"),
        assign(MARKETING, "sales_manager"),
        Change::Team(Team {
            id: team,
            name: "fair".to_owned(),
            members: vec![id(NEWCOMER)],
            cap: Levels::of(&[(Layer::Basic, Level::Read)]),
            from: ALWAYS.0,
            until: later,
        }),
        give(1, NEWCOMER, Extent::Team(team), ALWAYS, Origin::Team),
        give(2, REP_TWO, Extent::Ids([Uuid::from_u128(3), Uuid::from_u128(1)].into()), ALWAYS, Origin::Share),
        give(3, REP_TWO, Extent::Tenant, (later, ALWAYS.1), Origin::Direct),
        // What the account above owns bounds the sub-account too.
        give(40, SUB_ACCOUNT, Extent::Tenant, ALWAYS, Origin::Direct),
        give(4, SERVICE_ONE, Extent::Department(Place::At(id(SOUTH))), ALWAYS, Origin::Delegation(id(REP_ONE))),
        guard(10, masked, led, RowCondition { vip: true, ..RowCondition::default() }),
        guard(
            11,
            Effect::Deny,
            Exceptions { owner: true, ..Exceptions::default() },
            RowCondition { department: Some(id(SOUTH)), pooled: true, ..RowCondition::default() },
        ),
        guard(
            12,
            Effect::Deny,
            Exceptions::default(),
            RowCondition {
                ids: Some([Uuid::from_u128(5)].into()),
                stages: Some(["lead"].into_iter().collect()),
                ..RowCondition::default()
            },
        ),
    ]
}

#[test]
fn a_filter_read_by_its_own_words_lists_what_a_check_allows_at_the_same_levels() {
    let snapshot = company_with(&everything());
    let (mut listed, mut left) = (0, 0);
    for subject in snapshot.subjects() {
        for action in [Action::CustomerView, Action::CustomerUpdate, Action::CustomerClaim, Action::TaskView] {
            let filter = snapshot.filter(subject, action, NOW);
            for row in rows() {
                let decision = snapshot.decide(subject, action, &row, NOW);
                let expected = decision.allowed.then_some(decision.levels);
                assert_eq!(allowed(&filter, &row, NOW), expected, "{subject} {action} {row:?}\n{filter:#?}");
                if decision.allowed { listed += 1 } else { left += 1 }
            }
        }
    }
    assert!(listed > 1_000 && left > 1_000, "{listed} listed, {left} not");
    assert!(
        allowed(&snapshot.filter(id(BOSS), Action::CustomerView, NOW), &Row::new(id(2), id::<()>(1)), NOW).is_none()
    );
}

#[test]
fn a_filter_holds_until_the_next_window_and_tells_in_whose_name_a_right_was_delegated() {
    let snapshot = company_with(&everything());
    let view = |who: u128| snapshot.filter(id(who), Action::CustomerView, NOW);
    assert_eq!(view(REP_TWO).edge, NOW + Duration::from_secs(10));
    assert_eq!(view(NEWCOMER).edge, NOW + Duration::from_secs(10), "the team ends");
    assert_eq!(view(SALES_LEAD).edge, Timestamp::MAX);
    let grants = |filter: &Filter| filter.accounts[0].clauses.iter().map(|it| it.grant).collect::<Vec<_>>();
    let later = GrantRef::Grant(grant_id(3));
    assert!(!grants(&view(REP_TWO)).contains(&later), "it has not begun");
    assert!(
        grants(&snapshot.filter_from(&snapshot.predicate(id(REP_TWO), Action::CustomerView), NOW)).contains(&later)
    );
    let service = view(SERVICE_ONE);
    let delegated: Vec<SubjectId> =
        service.accounts[0].clauses.iter().filter_map(|it| Some(it.delegation.as_ref()?.subject)).collect();
    assert_eq!(delegated, [id(REP_ONE)]);
}

#[test]
fn a_filter_counts_the_ids_that_it_names() {
    let snapshot = company_with(&[]);
    assert_eq!(snapshot.filter(id(REP_ONE), Action::TenantManage, NOW).ids(), 0);
    let below = snapshot.subtree(id(NORTH)).len();
    // The subtree, and the pools of the subtree.
    assert_eq!(snapshot.filter(id(NORTH_MANAGER), Action::CustomerView, NOW).ids(), 2 * below);
    assert_eq!(snapshot.tenant, tenant());
}

#[test]
fn a_grant_on_the_other_name_of_a_merged_department_is_told_under_the_living_one() {
    let Change::Department(mut store) = department(STORE_TWO, Some(NORTH), None) else { panic!("a department") };
    store.merged_into = Some(id(NORTH));
    let view = |number, at| {
        let right = Template {
            actions: actions(&[Action::CustomerView]),
            extent: Extent::Subtree(Place::At(id(at))),
            stages: None,
            grades: None,
            external: None,
            levels: Levels::READ,
        };
        Change::Grant(Grant::of(grant_id(number), id(NEWCOMER), right, ALWAYS, Origin::Direct))
    };
    let snapshot = company_with(&[Change::Department(store), view(91, STORE_TWO), view(92, NORTH)]);
    let filter = snapshot.filter(id(NEWCOMER), Action::CustomerView, NOW);
    let told: Vec<_> = filter.accounts[0].clauses.iter().map(|clause| (&clause.reach, &clause.departments)).collect();
    let [one, other] = told.as_slice() else { panic!("two grants: {told:?}") };
    assert_eq!(*one.0, Reach::Subtree(id(NORTH)));
    assert_eq!(one, other);
}

#[test]
fn what_ends_now_is_not_described_and_a_guard_names_all_departments_below() {
    let ended = give(60, NEWCOMER, Extent::Tenant, (NOW - Duration::from_secs(60), NOW), Origin::Direct);
    let condition = RowCondition { department: Some(id(NORTH)), ..RowCondition::default() };
    let guard = guard(61, Effect::Deny, Exceptions::default(), condition);
    let filter = company_with(&[ended, guard]).filter(id(NEWCOMER), Action::CustomerView, NOW);
    let ended = GrantRef::Grant(grant_id(60));
    assert!(filter.accounts.iter().flat_map(|account| &account.clauses).all(|clause| clause.grant != ended));
    let below = filter.guards[0].departments.as_ref().expect("it names some");
    assert!(below.contains(&id(NORTH)) && below.contains(&id(STORE_ONE)) && !below.contains(&id(SOUTH)), "{below:?}");
}
