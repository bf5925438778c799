//! The first oracle of the permission laws: the decision as the design page words it, evaluated the slow and obvious way.
//!
//! It shares no code with the engine and knows nothing of snapshots, predicates or labels. When it disagrees with the
//! engine, read the page, not the code.

mod facts;

use std::collections::BTreeSet;

pub use facts::{
    Assignment, Department, Extent, Grant, Guard, Holder, Id, Levels, NEVER, Origin, Position, Right, Role, Row,
    Subject, Team, Time, Whom, World,
};

/// May this be done to this row now?
#[derive(Clone, Copy)]
struct Question<'a> {
    action: &'a str,
    row: &'a Row,
    now: Time,
}

/// A right of somebody together with when it holds, the departments that "mine" means, and who delegated it.
struct Held<'a> {
    right: &'a Right,
    window: (Time, Time),
    mine: Vec<Id>,
    giver: Option<Id>,
}

/// Which rights count.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Counting {
    All,
    /// Delegated ones left out: what somebody may delegate.
    Undelegated,
}

impl World {
    /// The levels when allowed, nothing when denied.
    pub fn decide(&self, subject: Id, action: &str, row: &Row, now: Time) -> Option<Levels> {
        self.judge(subject, Question { action, row, now }, Counting::All)
    }

    /// Whether an action is one on such rows: verbs of `external` on rows of a registered type, all others on our own.
    fn is_about(&self, action: &str, row: &Row) -> bool {
        match row.external {
            Some(kind) => action.starts_with("external.") && self.types.contains(&kind),
            None => !action.starts_with("external."),
        }
    }

    fn judge(&self, subject: Id, question: Question<'_>, counting: Counting) -> Option<Levels> {
        let row = question.row;
        if row.tenant != self.tenant || row.written_under > self.revision {
            return None;
        }
        if !self.is_about(question.action, row) {
            return None;
        }
        let accounts = self.accounts_above(subject)?;
        let mut levels = self.granted((subject, &[subject]), question, counting)?;
        for account in &accounts {
            levels = lower(levels, self.granted((*account, &[subject, *account]), question, counting)?);
        }
        for guard in self.guards_on((subject, &accounts), question) {
            levels = lower(levels, guard.cap?);
        }
        Some(levels)
    }

    /// The ids of the guards that bind an active subject, or an account above it, on a row.
    pub fn guarded(&self, subject: Id, action: &str, row: &Row, now: Time) -> Vec<Id> {
        if !self.is_about(action, row) {
            return Vec::new();
        }
        let Some(accounts) = self.accounts_above(subject) else { return Vec::new() };
        self.guards_on((subject, &accounts), Question { action, row, now }).map(|guard| guard.id).collect()
    }

    /// Why an active subject has no right that names an action: its module is off, or it has rights about the type that
    /// name other operations, or none about the type.
    pub fn lacks(&self, subject: Id, action: &str, row: &Row) -> &'static str {
        let kind = |action: &str| action.split('.').next().map(str::to_owned);
        let named = |held: &Held<'_>| named(held.right.types.as_deref(), row.external);
        let about = |held: &Held<'_>| held.right.actions.iter().any(|it| kind(it) == kind(action)) && named(held);
        match self.switched_off(subject, action) {
            _ if !self.is_about(action, row) => "role",
            true => "module",
            false if self.rights_of(subject).iter().any(about) => "operation",
            false => "role",
        }
    }

    fn guards_on<'a>(
        &'a self,
        (subject, accounts): (Id, &'a [Id]),
        Question { action, row, now }: Question<'a>,
    ) -> impl Iterator<Item = &'a Guard> {
        self.guards.iter().filter(move |guard| {
            let bound = |account: &Id| self.binds(guard, *account, now);
            (bound(&subject) || accounts.iter().any(bound))
                && !guard.except.contains(&subject)
                && within(guard.window, now)
                && guard.actions.contains(&action)
                && self.covers(guard, subject, row)
        })
    }

    /// Who may.
    pub fn who(&self, action: &str, row: &Row, now: Time) -> BTreeSet<Id> {
        let may = |subject: &Id| self.decide(*subject, action, row, now).is_some();
        self.subjects.iter().map(|subject| subject.id).filter(may).collect()
    }

    fn subject(&self, id: Id) -> Option<&Subject> {
        self.subjects.iter().find(|subject| subject.id == id)
    }

    fn active(&self, id: Id) -> bool {
        self.subject(id).is_some_and(|subject| subject.active)
    }

    /// The accounts above an active one, all of them active; nothing when one is not, or when there is no end of them.
    fn accounts_above(&self, id: Id) -> Option<Vec<Id>> {
        let mut above: Vec<Id> = Vec::new();
        let mut at = id;
        loop {
            if !self.active(at) || above.contains(&id) || above.len() > 8 {
                return None;
            }
            match self.subject(at)?.account {
                None => return Some(above),
                Some(account) => above.push(account),
            }
            at = *above.last()?;
        }
    }

    /// The highest levels that the single rights of one account give on a row. `who` counts as owner and as holder.
    fn granted(&self, (account, who): (Id, &[Id]), question: Question<'_>, counting: Counting) -> Option<Levels> {
        if self.switched_off(account, question.action) {
            return None;
        }
        let held = self.rights_of(account);
        let counted = held.iter().filter(|held| counting == Counting::All || held.giver.is_none());
        counted.filter_map(|held| self.counts(held, (account, who), question)).reduce(higher)
    }

    /// What one right gives; a delegated one at most what its giver's own, undelegated rights give there and then.
    fn counts(&self, held: &Held<'_>, (account, who): (Id, &[Id]), question: Question<'_>) -> Option<Levels> {
        let given = self.gives(held, account, who, question)?;
        match held.giver {
            None => Some(given),
            Some(giver) => Some(lower(given, self.judge(giver, question, Counting::Undelegated)?)),
        }
    }

    /// What one right gives on a row: all of it has to match, or nothing does.
    fn gives(&self, held: &Held<'_>, account: Id, who: &[Id], question: Question<'_>) -> Option<Levels> {
        let Question { action, row, now } = question;
        let right = held.right;
        let matches = right.actions.contains(&action)
            && within(held.window, now)
            && named(right.stages.as_deref(), row.stage)
            && named(right.grades.as_deref(), row.grade)
            && named(right.types.as_deref(), row.external);
        if !matches {
            return None;
        }
        let places = |place: &Option<Id>| place.map_or(held.mine.clone(), |at| vec![at]);
        let in_department = |place: &Option<Id>| {
            let named = |d: Id| places(place).iter().any(|at| self.known(*at) && self.living(*at) == self.living(d));
            row.department.is_some_and(|d| self.known(d) && named(d))
        };
        let in_subtree =
            |place: &Option<Id>| row.department.is_some_and(|d| places(place).iter().any(|top| self.below(d, *top)));
        let in_pool = row.pooled && row.owner.is_none();
        let basic_only = [right.levels[0], 0, 0, 0, 0];
        let levels = |reached: bool, levels: Levels| reached.then_some(levels);
        match &right.extent {
            Extent::Own => levels(row.owner.is_some_and(|owner| who.contains(&owner)), right.levels),
            Extent::Tenant => Some(right.levels),
            Extent::Ids(ids) => levels(ids.contains(&row.id), right.levels),
            // What lies in the pool is reached as pooled, not as a row of the department.
            Extent::Department(place) => levels(in_department(place) && !in_pool, right.levels),
            Extent::Subtree(place) => levels(in_subtree(place) && !in_pool, right.levels),
            Extent::Pooled(place) => levels(in_department(place) && in_pool, basic_only),
            Extent::PooledSubtree(place) => levels(in_subtree(place) && in_pool, basic_only),
            Extent::Team(id) => {
                let team = self.teams.iter().find(|team| team.id == *id)?;
                let works = team.members.contains(&account) && within(team.window, now);
                levels(works && row.teams.contains(id), lower(right.levels, team.cap))
            }
            Extent::Task => {
                let mine = |holder: &&Holder| holder.subject.is_some_and(|s| who.contains(&s)) && now < holder.until;
                let lent = row.holders.iter().filter(mine).map(|holder| {
                    // The basic layer is always lent to read.
                    lower(right.levels, higher(holder.layers, [2, 0, 0, 0, 0]))
                });
                lent.reduce(higher)
            }
        }
    }

    /// Rights from positions that hold in one of the departments, from added roles, and from grants.
    fn rights_of(&self, id: Id) -> Vec<Held<'_>> {
        let Some(subject) = self.subject(id) else { return Vec::new() };
        let mut held = Vec::new();
        for (role, window, mine) in self.roles_of(subject) {
            for right in self.roles.iter().filter(|it| it.id == role).flat_map(|it| &it.rights) {
                held.push(Held { right, window, mine: mine.clone(), giver: None });
            }
        }
        for grant in self.grants.iter().filter(|grant| grant.holder == id) {
            let mine = subject.departments.clone();
            held.push(Held { right: &grant.right, window: grant.window, mine, giver: grant.giver() });
        }
        held
    }

    fn roles_of(&self, subject: &Subject) -> Vec<(Id, (Time, Time), Vec<Id>)> {
        let overrides: Vec<_> = self.assignments.iter().filter(|it| it.subject == subject.id).collect();
        let withheld = |role: Id| overrides.iter().any(|it| it.role == role && it.added.is_none());
        let mut roles = Vec::new();
        for position in self.positions.iter().filter(|it| subject.positions.contains(&it.id)) {
            let mut mine = subject.departments.clone();
            mine.retain(|department| self.below(*department, position.department));
            for role in position.roles.iter().filter(|role| !mine.is_empty() && !withheld(**role)) {
                roles.push((*role, (Time::MIN, NEVER), mine.clone()));
            }
        }
        for it in overrides {
            roles.extend(it.added.map(|window| (it.role, window, subject.departments.clone())));
        }
        roles
    }

    /// Whether the company, or every department of the subject, has the action's module off.
    fn switched_off(&self, id: Id, action: &str) -> bool {
        let Some(module) = module_of(action) else { return false };
        let departments = self.subject(id).map_or(&[][..], |subject| &subject.departments);
        let off = |department: &Id| self.upwards(*department).any(|it| it.modules_off.contains(&module));
        self.modules_off.contains(&module) || (!departments.is_empty() && departments.iter().all(off))
    }

    fn binds(&self, guard: &Guard, account: Id, now: Time) -> bool {
        let Some(subject) = self.subject(account) else { return false };
        match guard.whom {
            Whom::Everyone => true,
            Whom::Subject(id) => id == account,
            Whom::Department(top) => subject.departments.iter().any(|department| self.below(*department, top)),
            Whom::Role(role) => {
                self.roles_of(subject).iter().any(|(held, window, _)| *held == role && within(*window, now))
            }
        }
    }

    fn covers(&self, guard: &Guard, subject: Id, row: &Row) -> bool {
        let own = guard.except_owner && row.owner == Some(subject);
        let led = guard.except_managers && row.owner.is_some_and(|owner| self.managers_of(owner).contains(&subject));
        !own && !led
            && (!guard.vip || row.vip)
            && (!guard.pooled || row.pooled)
            && named(guard.stages.as_deref(), row.stage)
            && named(guard.grades.as_deref(), row.grade)
            && named(guard.types.as_deref(), row.external)
            && guard.department.is_none_or(|top| row.department.is_some_and(|it| self.below(it, top)))
            && guard.ids.as_ref().is_none_or(|ids| ids.contains(&row.id))
    }

    /// Everybody above a subject: its manager, that one's, and so on.
    fn managers_of(&self, id: Id) -> BTreeSet<Id> {
        let mut above = BTreeSet::new();
        let mut at = id;
        while let Some(manager) = self.manager_of(at) {
            if !above.insert(manager) {
                break;
            }
            at = manager;
        }
        above
    }

    /// The named one, else the nearest head above, else the administrator. Who is not active does not lead.
    fn manager_of(&self, id: Id) -> Option<Id> {
        let subject = self.subject(id)?;
        let leads = |manager: &Id| *manager != id && self.active(*manager);
        let department = subject.departments.first().copied();
        let heads = department.into_iter().flat_map(|it| self.upwards(it)).filter_map(|it| it.head);
        let administrator = self.administrator.filter(|administrator| *administrator != id);
        subject.manager.into_iter().chain(heads).find(leads).or(administrator)
    }

    fn known(&self, department: Id) -> bool {
        self.departments.iter().any(|it| it.id == department)
    }

    /// A department, then each above it.
    fn upwards(&self, department: Id) -> impl Iterator<Item = &Department> {
        let find = |id: Id| self.departments.iter().find(move |it| it.id == id);
        std::iter::successors(find(department), move |it| find(it.parent?))
    }

    fn below(&self, department: Id, top: Id) -> bool {
        self.upwards(department).any(|it| it.id == self.living(top))
    }

    /// The department that this one is another name of.
    fn living(&self, department: Id) -> Id {
        let found = self.departments.iter().find(|it| it.id == department);
        found.filter(|it| it.merged).and_then(|it| it.parent).unwrap_or(department)
    }
}

fn module_of(action: &str) -> Option<&'static str> {
    match action {
        "customer.transfer" => Some("sales"),
        "customer.tag" => Some("marketing"),
        "task.view" => Some("service"),
        _ => None,
    }
}

/// A missing name is in no set; without a set nothing is asked.
fn named(names: Option<&[&str]>, name: Option<&str>) -> bool {
    names.is_none_or(|names| name.is_some_and(|name| names.contains(&name)))
}

fn within((from, until): (Time, Time), now: Time) -> bool {
    from <= now && now < until
}

fn higher(one: Levels, other: Levels) -> Levels {
    std::array::from_fn(|layer| one[layer].max(other[layer]))
}

fn lower(one: Levels, other: Levels) -> Levels {
    std::array::from_fn(|layer| one[layer].min(other[layer]))
}

/// Nothing of any layer: what the engine answers beside a denial.
pub const fn hidden() -> Levels {
    [0; 5]
}
