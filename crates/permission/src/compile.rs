//! From facts to clauses: what a subject holds, where it lies, and which guards bind it.
//!
//! Everything unknown is left out: a grant on an unknown department, team or role gives nothing.

use std::sync::Arc;

use revisit_core::{
    Timestamp,
    id::{DepartmentId, SubjectId, TeamId},
};

use crate::{
    account::Held,
    action::ActionSet,
    clause::{Clause, Limits, Reach},
    decision::GrantRef,
    external::About,
    grants::GrantView,
    level::{Layer, Levels},
    lines::Lines,
    model::{Assigned, Subject, SubjectState, Team},
    policy::{Bar, Policy},
    registry::Module,
    row::NameSet,
    rule::{Extent, Grant, Guard, Place, Template, Whom},
    snapshot::{HeldRole, Snapshot, SubjectFacts},
};

/// Accounts above a sub-account at the most; a longer line, and so a circle, makes the account inactive.
pub(crate) const ACCOUNTS_MAX: usize = 8;
/// A right of a subject before its places are resolved.
#[derive(Clone, Copy)]
pub(crate) struct Right<'a> {
    pub(crate) grant: GrantRef,
    pub(crate) actions: ActionSet,
    extent: &'a Extent,
    stages: Option<&'a NameSet>,
    grades: Option<&'a NameSet>,
    pub(crate) external: Option<&'a NameSet>,
    levels: Levels,
    from: Timestamp,
    until: Timestamp,
    /// Who delegated it.
    giver: Option<SubjectId>,
}

/// Whether grants that others have delegated to an account count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Delegated {
    Counts,
    /// What is delegated is one's own; a delegated right cannot be delegated on.
    Never,
}

impl<'a> Right<'a> {
    /// What a template gives while it holds.
    const fn told(grant: GrantRef, right: &'a Template, (from, until): (Timestamp, Timestamp)) -> Self {
        Self {
            grant,
            actions: right.actions,
            extent: &right.extent,
            stages: right.stages.as_ref(),
            grades: right.grades.as_ref(),
            external: right.external.as_ref(),
            levels: right.levels,
            from,
            until,
            giver: None,
        }
    }

    /// What a grant that is kept gives.
    const fn held(grant: GrantView<'a>) -> Self {
        let GrantView { id, actions, extent, stages, grades, external, levels, from, until, .. } = grant;
        let (grant, giver) = (GrantRef::Grant(id), grant.giver());
        Self { grant, actions, extent, stages, grades, external, levels, from, until, giver }
    }

    /// What a grant would give.
    pub(crate) const fn of(grant: &'a Grant) -> Self {
        Self {
            grant: GrantRef::Grant(grant.id),
            actions: grant.actions,
            extent: &grant.extent,
            stages: grant.stages.as_ref(),
            grades: grant.grades.as_ref(),
            external: grant.external.as_ref(),
            levels: grant.levels,
            from: grant.from,
            until: grant.until,
            giver: grant.giver(),
        }
    }
}

impl Snapshot {
    pub(crate) fn resolve(&self, subject: &Subject) -> SubjectFacts {
        SubjectFacts {
            manager: self.manager_of(subject),
            roles: self.roles_of(subject),
            actions: self.actions_of(subject),
            active: self.is_active(subject),
            subject: subject.clone(),
        }
    }

    pub(crate) fn lines(&self) -> Lines {
        let managers = self.facts().subjects.values();
        let managers = managers.filter_map(|subject| Some((subject.id, self.manager_of(subject)?))).collect();
        Lines::new(managers)
    }

    /// The named manager, else the nearest head above, else the administrator; who is not active leads nobody, the
    /// administrator excepted.
    fn manager_of(&self, subject: &Subject) -> Option<SubjectId> {
        let leads = |id: &SubjectId| *id != subject.id && self.is_known_active(*id);
        let heads = subject.department.into_iter().flat_map(|department| self.org().upwards(department));
        let mut heads = heads.filter_map(|department| self.department(department)?.head);
        subject.manager.filter(leads).or_else(|| heads.find(leads)).or(self
            .facts()
            .settings
            .administrator
            .filter(|id| *id != subject.id))
    }

    pub(crate) fn is_known_active(&self, id: SubjectId) -> bool {
        self.facts().subject(id).is_some_and(|subject| subject.state == SubjectState::Active)
    }

    fn is_active(&self, subject: &Subject) -> bool {
        let mut above = self.accounts_above(subject);
        subject.state == SubjectState::Active
            && above.by_ref().take(ACCOUNTS_MAX).all(|id| self.is_known_active(id))
            && above.next().is_none()
    }

    /// The accounts above a sub-account, nearest first. On a circle it does not end.
    fn accounts_above(&self, subject: &Subject) -> impl Iterator<Item = SubjectId> {
        std::iter::successors(subject.parent, |id| self.facts().subject(*id)?.parent)
    }

    /// The same as facts; only for active subjects, whose line is known to end.
    pub(crate) fn above(&self, facts: &SubjectFacts) -> Vec<&SubjectFacts> {
        self.accounts_above(&facts.subject).take(ACCOUNTS_MAX).filter_map(|id| self.subject(id)).collect()
    }

    /// Roles of positions that hold in the subject's departments, less those withheld, and the added ones.
    fn roles_of(&self, subject: &Subject) -> Vec<HeldRole> {
        let assignments = self.facts().assignments_of(subject.id);
        let withheld = |role| assignments.iter().any(|it| it.role == role && it.assigned == Assigned::Withheld);
        let mut held = Vec::new();
        for position in subject.positions.iter().filter_map(|id| self.facts().position(*id)) {
            let holds = |department: &DepartmentId| self.org().within(*department, position.department);
            let departments: Vec<_> = subject.departments().filter(holds).collect();
            if departments.is_empty() {
                continue;
            }
            held.extend(position.roles.iter().filter(|role| !withheld(**role)).map(|role| HeldRole {
                role: *role,
                position: Some(position.id),
                departments: departments.clone(),
                from: Timestamp::MIN,
                until: Timestamp::MAX,
            }));
        }
        for assignment in assignments {
            if let Assigned::Added { from, until } = assignment.assigned {
                let departments = subject.departments().collect();
                held.push(HeldRole { role: assignment.role, position: None, departments, from, until });
            }
        }
        held
    }

    /// What is left when the modules are taken away that the company, or all of the subject's departments, have off.
    fn actions_of(&self, subject: &Subject) -> ActionSet {
        let less = |actions: ActionSet, off: &[Module]| {
            off.iter().fold(actions, |actions, module| actions.without(module.actions()))
        };
        let whole = less(ActionSet::ALL, &self.facts().settings.modules_off);
        let of_department = |department| {
            let above = self.org().upwards(department).filter_map(|id| self.department(id));
            above.fold(whole, |actions, department| less(actions, &department.modules_off))
        };
        subject.departments().map(of_department).reduce(ActionSet::union).unwrap_or(whole)
    }

    /// Calls `visit` with each right of a subject and the departments in which its relative extent lies.
    pub(crate) fn rights<'a>(&'a self, facts: &'a SubjectFacts, mut visit: impl FnMut(Right<'a>, &[DepartmentId])) {
        for held in &facts.roles {
            let Some(role) = self.facts().role(held.role) else { continue };
            for (template, right) in (0_u16..).zip(&role.templates) {
                let grant = match held.position {
                    Some(position) => GrantRef::Position { position, role: role.id, template },
                    None => GrantRef::Role { role: role.id, template },
                };
                visit(Right::told(grant, right, (held.from, held.until)), &held.departments);
            }
        }
        let departments: Vec<_> = facts.subject.departments().collect();
        for grant in self.facts().grants_of(facts.subject.id) {
            visit(Right::held(grant), &departments);
        }
    }

    /// The clauses about one type of rows.
    pub(crate) fn held_clauses(&self, facts: &SubjectFacts, about: About<'_>, delegated: Delegated) -> Vec<Held> {
        let mut held = Vec::new();
        let mut givers: Vec<(SubjectId, Arc<Policy>)> = Vec::new();
        self.rights(facts, |right, departments| {
            // What a switched-off module takes away is in no clause.
            let actions = about.bits(right.actions) & about.bits(facts.actions);
            let lent = right.giver.is_some() && delegated == Delegated::Never;
            if actions == 0 || lent || !about.has_right(right.external) {
                return;
            }
            let giver = right.giver.map(|id| self.giver(id, about, &mut givers));
            let mut clauses = Vec::new();
            self.place(facts.subject.id, right, departments, &mut clauses);
            held.extend(clauses.into_iter().map(|clause| Held { actions, clause, giver: giver.clone() }));
        });
        held
    }

    /// What somebody who delegates may do by rights of its own; worked out once for each.
    fn giver(&self, id: SubjectId, about: About<'_>, known: &mut Vec<(SubjectId, Arc<Policy>)>) -> Arc<Policy> {
        if let Some((_, policy)) = known.iter().find(|(giver, _)| *giver == id) {
            return Arc::clone(policy);
        }
        let policy = Arc::new(self.compile_policy(id, about, Delegated::Never));
        known.push((id, Arc::clone(&policy)));
        policy
    }

    /// Resolves the places of a right: one clause for each department that it lies in.
    pub(crate) fn place(&self, holder: SubjectId, right: Right<'_>, mine: &[DepartmentId], clauses: &mut Vec<Clause>) {
        let mut push = |reach, levels, from, until| {
            let (stages, grades) = (right.stages.cloned(), right.grades.cloned());
            clauses.push(Clause::new(right.grant, reach, levels, Limits { stages, grades, from, until }));
        };
        let places = |place: &Place| -> Vec<DepartmentId> {
            let at = match place {
                Place::Mine => mine,
                Place::At(department) => std::slice::from_ref(department),
            };
            let known = at.iter().copied().filter(|department| self.org().knows(*department));
            known.map(|department| self.org().living(department)).collect()
        };
        // Rows of a department that was merged into this one still carry its id.
        let names = |place: &Place| -> Vec<DepartmentId> {
            places(place).into_iter().flat_map(|department| self.org().names(department)).collect()
        };
        let (levels, from, until) = (right.levels, right.from, right.until);
        let basic = Levels::HIDDEN.with(Layer::Basic, levels.get(Layer::Basic));
        match right.extent {
            Extent::Own => push(Reach::Own, levels, from, until),
            Extent::Task => push(Reach::Task, levels, from, until),
            Extent::Tenant => push(Reach::Tenant, levels, from, until),
            Extent::Department(place) => {
                names(place).into_iter().for_each(|at| push(Reach::Department(at), levels, from, until));
            }
            Extent::Subtree(place) => {
                places(place).into_iter().for_each(|at| push(Reach::Subtree(at), levels, from, until));
            }
            Extent::Pooled(place, false) => {
                names(place).into_iter().for_each(|at| push(Reach::Pooled(at), basic, from, until));
            }
            Extent::Pooled(place, true) => {
                places(place).into_iter().for_each(|at| push(Reach::PooledSubtree(at), basic, from, until));
            }
            Extent::Ids(ids) => push(Reach::Ids(in_order(ids)), levels, from, until),
            Extent::Team(id) => {
                if let Some(team) = self.team(*id, holder) {
                    push(Reach::Team(*id), levels.cap(team.cap), from.max(team.from), until.min(team.until));
                }
            }
        }
    }

    fn team(&self, id: TeamId, member: SubjectId) -> Option<&Team> {
        self.facts().teams.get(&id).map(|team| &**team).filter(|team| team.members.contains(&member))
    }

    /// The guards on one type of rows that bind a subject or an account above it.
    pub(crate) fn bars(&self, facts: &SubjectFacts, above: &[&SubjectFacts], about: About<'_>) -> Box<[Bar]> {
        let mut guards: Vec<&Guard> = self.facts().guards.values().map(|guard| &**guard).collect();
        guards.retain(|guard| about.has_guard(guard) && !guard.except.subjects.contains(&facts.subject.id));
        guards.sort_unstable_by_key(|guard| guard.id);
        let mut bars = Vec::new();
        for guard in guards {
            for account in std::iter::once(&facts).chain(above) {
                for (from, until) in self.bound(guard.whom, account) {
                    let window = (guard.from.max(from), guard.until.min(until));
                    bars.push(self.bar(guard, about.bits(guard.actions), window));
                }
            }
        }
        bars.dedup();
        bars.into_boxed_slice()
    }

    /// When a guard's target names an account.
    fn bound(&self, whom: Whom, facts: &SubjectFacts) -> Vec<(Timestamp, Timestamp)> {
        let always = |bound: bool| if bound { vec![(Timestamp::MIN, Timestamp::MAX)] } else { Vec::new() };
        match whom {
            Whom::Everyone => always(true),
            Whom::Subject(id) => always(id == facts.subject.id),
            Whom::Department(top) => {
                always(facts.subject.departments().any(|department| self.org().within(department, top)))
            }
            Whom::Role(role) => {
                facts.roles.iter().filter(|held| held.role == role).map(|held| (held.from, held.until)).collect()
            }
        }
    }

    fn bar(&self, guard: &Guard, actions: u32, window: (Timestamp, Timestamp)) -> Bar {
        Bar {
            guard: guard.id,
            actions,
            effect: guard.effect,
            from: window.0,
            until: window.1,
            except_owner: guard.except.owner,
            except_led: guard.except.managers.then(|| self.shared_lines()),
            vip: guard.condition.vip,
            pooled: guard.condition.pooled,
            stages: guard.condition.stages.clone(),
            grades: guard.condition.grades.clone(),
            department: guard.condition.department,
            ids: guard.condition.ids.as_ref().map(in_order),
        }
    }
}

/// Ids as a search needs them: sorted, each once.
fn in_order(ids: &Arc<[uuid::Uuid]>) -> Arc<[uuid::Uuid]> {
    if ids.is_sorted_by(|one, next| one < next) {
        return Arc::clone(ids);
    }
    let mut sorted = ids.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    Arc::from(sorted)
}
