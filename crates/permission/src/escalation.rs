//! No escalation: nobody hands out what they may not hand out, and who widens their own rights needs a second person.
//!
//! The right to grant is the action `grant.manage`: its extent says for whom and where, its levels how much. It does
//! not include the right to hand out administration: that one must hold as well. Who may grant appoints an auditor among
//! other people, never among programs, whose secrets it knows, and never oneself. What was delegated to somebody is nothing to
//! hand on: it is neither a right to grant nor a right held.

use std::sync::Arc;

use revisit_core::{
    Timestamp,
    id::{RoleId, SubjectId},
};

use crate::{
    action::Action,
    clause::{Clause, Reach},
    compile::{Delegated, Right},
    model::{Change, SubjectKind},
    org::Org,
    policy::{Bar, Policy},
    predicate::Predicate,
    registry::Resource,
    rule::{Grant, Origin, Template},
    snapshot::Snapshot,
    validate::Refusal,
};

impl Snapshot {
    /// Whether `grantor` may give what `grant` says.
    pub fn may_grant(&self, grantor: SubjectId, grant: &Grant, now: Timestamp) -> Result<(), Refusal> {
        let secret = if self.is_program(grant.holder) { Secret::Known } else { Secret::Own };
        self.may_give(grantor, grant, secret, now)
    }

    /// Whether `author` may come to know what `target` proves itself by: who knows it can act as the target, so it
    /// takes the right to give all that the target holds, to somebody whose secret one knows.
    pub fn may_become(&self, author: SubjectId, target: SubjectId, now: Timestamp) -> Result<(), Refusal> {
        let Some(facts) = self.subject(target) else { return Ok(()) };
        let roles = facts.roles.iter().filter(|held| now < held.until);
        let templates = roles.filter_map(|held| self.facts().role(held.role)).flat_map(|role| &role.templates);
        let held = self.facts().grants_of(target).filter(|grant| now < grant.until);
        templates
            .map(|template| as_grant(target, template))
            .chain(held.map(|grant| Grant { origin: Origin::Direct, ..grant.to_grant() }))
            .filter(|grant| !self.clauses_of(grant).is_empty())
            .try_for_each(|grant| self.may_give(author, &grant, Secret::Known, now))
    }

    fn may_give(&self, grantor: SubjectId, grant: &Grant, secret: Secret, now: Timestamp) -> Result<(), Refusal> {
        let wanted = self.clauses_of(grant);
        for action in grant.actions.iter() {
            let delegated = match grant.origin {
                Origin::Delegation(giver) if giver == grantor => true,
                // In somebody else's name nobody delegates.
                Origin::Delegation(_) => return Err(Refusal::WiderThanGrantor(action)),
                Origin::Direct | Origin::Share | Origin::Temporary | Origin::Team | Origin::BreakGlass => false,
            };
            let holds = || {
                let own = self.undelegated(grantor, action);
                let gives = |clause: &Clause| own.all_sides(|mine| mine.holds(now) && mine.gives(clause, self.org()));
                wanted.iter().all(|clause| gives(clause) && self.binds_alike(&own, grant.holder, clause, now))
            };
            let hands_out = || {
                let right = self.undelegated(grantor, Action::GrantManage);
                let covers = |clause: &Clause| {
                    right.all_sides(|mine| mine.holds(now) && self.hands_out(mine, clause, grant.holder))
                        && !self.is_barred(&right, clause, grant.holder, now)
                };
                wanted.iter().all(covers)
            };
            let takes_holding = administers(action) || (action == Action::AuditView && secret == Secret::Known);
            let allowed = if delegated { holds() } else { hands_out() && (!takes_holding || holds()) };
            if !allowed || wanted.is_empty() {
                return Err(Refusal::WiderThanGrantor(action));
            }
        }
        Ok(())
    }

    /// Whether `grantor` may give a role to `holder`.
    pub fn may_assign(
        &self,
        grantor: SubjectId,
        holder: SubjectId,
        role: RoleId,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let role = self.facts().role(role).ok_or(Refusal::UnknownRole(role))?;
        let grants = role.templates.iter().map(|template| as_grant(holder, template));
        // A relative extent lies nowhere for a holder without a department: such a template gives nothing yet.
        let somewhere = |grant: &Grant| !self.clauses_of(grant).is_empty();
        grants.filter(somewhere).try_for_each(|grant| self.may_grant(grantor, &grant, now))
    }

    /// Whether `grantor` may put these templates into a role. Whoever holds it may be anywhere, so it takes the right
    /// to grant in the whole company.
    pub fn may_write_role(&self, grantor: SubjectId, templates: &[Template], now: Timestamp) -> Result<(), Refusal> {
        let right = self.undelegated(grantor, Action::GrantManage);
        for template in templates {
            let everywhere = |predicate: &Predicate| {
                let wide = |mine: &Clause| mine.holds(now) && mine.reach == Reach::Tenant && mine.binds_nothing();
                predicate.all_sides(|mine| wide(mine) && template.levels.within(mine.levels))
                    && predicate.in_force(now).all(|bar| bar.lets(template.levels))
            };
            let hands_out = everywhere(&right);
            for action in template.actions.iter() {
                let holds = || everywhere(&self.undelegated(grantor, action));
                if !hands_out || (administers(action) && !holds()) {
                    return Err(Refusal::WiderThanGrantor(action));
                }
            }
        }
        Ok(())
    }

    /// Whether a change gives a subject anything that it does not have now: the author of such a change about itself
    /// needs a second person. Taking a guard away gives.
    #[must_use]
    pub fn widens(&self, change: &Change, subject: SubjectId) -> bool {
        let mut facts = self.facts().clone();
        facts.apply(change);
        self.widened_in(&Self::compile(&facts, self.revision), subject)
    }

    /// The same for several changes together: what each of them leaves alone, all of them may still widen.
    #[must_use]
    pub fn widened_in(&self, after: &Self, subject: SubjectId) -> bool {
        Action::ALL.iter().any(|action| {
            let (before, after) = (self.predicate(subject, *action), after.predicate(subject, *action));
            self.widened((&before.policy, &after.policy), action.bit())
        })
    }

    /// Whether a policy gives anything that an older one of the same subject did not.
    fn widened(&self, (before, after): (&Policy, &Policy), action: u32) -> bool {
        let is_new = |(place, clause): (usize, &Clause)| {
            let giver = after.own.giver(place);
            !before.own.about(action).any(|(former, old)| {
                covered((old, before), (clause, after))
                    && match (before.own.giver(former), giver) {
                        (None, _) => true,
                        // A delegated right gives what its giver has, so it covers itself alone, and only while that
                        // one gains nothing. A giver's own policy has no delegated rights.
                        (Some(had), Some(has)) => {
                            old.grant == clause.grant && had.subject == has.subject && !self.widened((had, has), action)
                        }
                        (Some(_), None) => false,
                    }
            })
        };
        // Who is new owns nothing yet.
        let owns = |owner: SubjectId| self.facts().subject(owner).is_some();
        let gone_guard = |bar: &Bar| !after.bars_on(action).any(|new| bar.stands_in((before, after), new, owns));
        let has_any = after.own.about(action).next().is_some();
        after.own.about(action).any(is_new)
            || (has_any && before.bars_on(action).any(gone_guard))
            || (has_any && before.above.len() > after.above.len())
    }

    /// What a subject may do by rights of its own.
    fn undelegated(&self, subject: SubjectId, action: Action) -> Predicate {
        Predicate::new(Arc::new(self.compile_policy(subject, action.resource(), Delegated::Never)), action)
    }

    /// Whether every guard that binds the giver's own right binds the holder too, or leaves as much as is given. A
    /// delegation would else get around it.
    fn binds_alike(&self, own: &Predicate, holder: SubjectId, clause: &Clause, now: Timestamp) -> bool {
        let held = self.predicate(holder, own.action());
        own.bars().filter(|bar| now < bar.until).all(|bar| bar.lets(clause.levels) || held.bars().any(|its| its == bar))
    }

    /// Whether a guard on the right to grant forbids to give so much there.
    fn is_barred(&self, right: &Predicate, clause: &Clause, holder: SubjectId, now: Timestamp) -> bool {
        let lies = |top| {
            self.facts()
                .subject(holder)
                .into_iter()
                .flat_map(|it| it.departments())
                .any(|at| self.org().within(at, top))
        };
        let touches = |top| match clause.reach {
            Reach::Own | Reach::Task => lies(top),
            Reach::Department(at) | Reach::Pooled(at) => self.org().within(at, top),
            Reach::Subtree(at) | Reach::PooledSubtree(at) => self.org().within(at, top) || self.org().within(top, at),
            Reach::Team(_) | Reach::Ids(_) | Reach::Tenant => true,
        };
        right.in_force(now).any(|bar| !bar.lets(clause.levels) && bar.department.is_none_or(touches))
    }

    fn is_program(&self, id: SubjectId) -> bool {
        self.facts().subject(id).is_some_and(|subject| subject.kind == SubjectKind::ServiceAccount)
    }

    fn clauses_of(&self, grant: &Grant) -> Vec<Clause> {
        let departments: Vec<_> =
            self.facts().subject(grant.holder).into_iter().flat_map(|holder| holder.departments()).collect();
        let mut clauses = Vec::new();
        self.place(grant.holder, Right::of(grant), &departments, &mut clauses);
        clauses
    }

    /// Whether a right to grant reaches what a clause would give its holder. What the holder owns, and what tasks
    /// lend, lies where the holder is; a pool lies where its department is.
    fn hands_out(&self, mine: &Clause, clause: &Clause, holder: SubjectId) -> bool {
        let org = self.org();
        let reaches = match (&mine.reach, &clause.reach) {
            (Reach::Subtree(top), Reach::Own | Reach::Task) => {
                let holder = self.facts().subject(holder);
                holder.is_some_and(|holder| {
                    holder.department.is_some() && holder.departments().all(|department| org.within(department, *top))
                })
            }
            (Reach::Subtree(top), Reach::Pooled(at) | Reach::PooledSubtree(at)) => org.within(*at, *top),
            (mine, wanted) => mine.includes(wanted, org),
        };
        reaches && mine.binds_nothing() && clause.levels.within(mine.levels) && clause.until <= mine.until
    }
}

impl Clause {
    /// Whether it gives at least what `other` gives, now and until that ends.
    fn gives(&self, other: &Self, org: &Org) -> bool {
        self.lists(other, org) && other.levels.within(self.levels) && other.until <= self.until
    }

    /// Whether it holds in every stage and grade.
    const fn binds_nothing(&self) -> bool {
        self.stages.is_none() && self.grades.is_none()
    }
}

/// Whether who gives a right knows what its holder proves itself by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Secret {
    Own,
    Known,
}

/// Whether an action is about who may do what: handing it out takes holding it.
fn administers(action: Action) -> bool {
    match action.resource() {
        Resource::Department
        | Resource::User
        | Resource::Role
        | Resource::Grant
        | Resource::Audit
        // Reading the audit log is no administration: were it, no administrator could ever appoint the first auditor.
        // Taking it for oneself is widening one's own rights, which needs a second person.
        | Resource::Tenant => action.writes(),
        Resource::Customer
        | Resource::Task
        | Resource::Plan
        | Resource::Calendar
        | Resource::Template
        | Resource::Delivery
        | Resource::Endpoint
        | Resource::Import
        | Resource::Segment
        | Resource::Field
        | Resource::Metrics
        | Resource::External => false,
    }
}

fn as_grant(holder: SubjectId, template: &Template) -> Grant {
    let nowhere = revisit_core::id::GrantId::from_uuid(uuid::Uuid::nil());
    Grant::of(nowhere, holder, template.clone(), (Timestamp::MIN, Timestamp::MAX), Origin::Direct)
}

/// Whether what a clause gives after a change was given by an older one before it. A department that is new has no
/// rows yet, so reaching it is nothing new.
fn covered((old, before): (&Clause, &Policy), (new, after): (&Clause, &Policy)) -> bool {
    let within = |top, at| {
        let (before, after) = (&before.org, &after.org);
        let known = |department: &_| before.knows(*department);
        after.subtree(at).filter(known).all(|department| before.within(department, top))
    };
    let reached = match (&old.reach, &new.reach) {
        (Reach::Subtree(top), Reach::Subtree(at)) | (Reach::PooledSubtree(top), Reach::PooledSubtree(at)) => {
            within(*top, *at)
        }
        (old, new) => old.includes(new, &before.org),
    };
    let alike = Clause { reach: old.reach.clone(), ..new.clone() };
    reached
        && old.lists(&alike, &before.org)
        && new.levels.within(old.levels)
        && old.from <= new.from
        && new.until <= old.until
}

#[cfg(test)]
mod tests;
