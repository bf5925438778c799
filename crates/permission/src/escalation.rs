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
    account::Account,
    action::{Action, ActionSet},
    clause::{Clause, Reach},
    compile::{Delegated, Right},
    external::{About, Asked},
    model::{Change, SubjectKind},
    org::Org,
    policy::{Bar, Policy},
    predicate::Predicate,
    registry::Resource,
    row::NameSet,
    rule::{Grant, Origin, Template},
    snapshot::Snapshot,
    validate::Refusal,
};

impl Snapshot {
    /// Whether `grantor` may give what `grant` says.
    pub fn may_grant(&self, grantor: SubjectId, grant: &Grant, now: Timestamp) -> Result<(), Refusal> {
        let right = self.undelegated(grantor, Action::GrantManage);
        self.may_give((grantor, &right), grant, self.secret_of(grant.holder), now)
    }

    /// Whether `author` may come to know what `target` proves itself by: who knows it can act as the target, so it
    /// takes the right to give all that the target holds, to somebody whose secret one knows.
    pub fn may_become(&self, author: SubjectId, target: SubjectId, now: Timestamp) -> Result<(), Refusal> {
        let Some(facts) = self.subject(target) else { return Ok(()) };
        let right = self.undelegated(author, Action::GrantManage);
        let roles = facts.roles.iter().filter(|held| now < held.until);
        let templates = roles.filter_map(|held| self.facts().role(held.role)).flat_map(|role| &role.templates);
        let held = self.facts().grants_of(target).filter(|grant| now < grant.until);
        templates
            .map(|template| as_grant(target, template))
            .chain(held.map(|grant| Grant { origin: Origin::Direct, ..grant.to_grant() }))
            .filter(|grant| !self.clauses_of(grant).is_empty())
            .try_for_each(|grant| self.may_give((author, &right), &grant, Secret::Known, now))
    }

    fn may_give(
        &self,
        (grantor, right): (SubjectId, &Predicate),
        grant: &Grant,
        secret: Secret,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let wanted = self.clauses_of(grant);
        let covers = |clause: &Clause| {
            right.all_sides(|mine| mine.holds(now) && self.hands_out(mine, clause, grant.holder))
                && !self.is_barred(right, clause, grant.holder, now)
        };
        let hands_out = wanted.iter().all(covers);
        for action in grant.actions.iter() {
            let delegated = match grant.origin {
                Origin::Delegation(giver) if giver == grantor => true,
                // In somebody else's name nobody delegates.
                Origin::Delegation(_) => return Err(Refusal::WiderThanGrantor(action)),
                Origin::Direct | Origin::Share | Origin::Temporary | Origin::Team | Origin::BreakGlass => false,
            };
            let holds = || {
                let own = self.predicates((grantor, Delegated::Never), action, grant.external.as_ref());
                let held = self.predicates((grant.holder, Delegated::Counts), action, grant.external.as_ref());
                own.iter().zip(&held).all(|(own, held)| {
                    let mine = |clause: &Clause| own.all_sides(|it| it.holds(now) && it.gives(clause, self.org()));
                    wanted.iter().all(|clause| mine(clause) && binds_alike(own, held, clause, now))
                })
            };
            let takes_holding = administers(action) || (action == Action::AuditView && secret == Secret::Known);
            let allowed = if delegated { holds() } else { hands_out && (!takes_holding || holds()) };
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
        let right = self.undelegated(grantor, Action::GrantManage);
        let secret = self.secret_of(holder);
        grants.filter(somewhere).try_for_each(|grant| self.may_give((grantor, &right), &grant, secret, now))
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
        self.widened_actions(after, subject).next().is_some()
    }

    /// Of which actions several changes together give a subject more than it has now.
    #[must_use]
    pub fn gained_in(&self, after: &Self, subject: SubjectId) -> ActionSet {
        self.widened_actions(after, subject).collect()
    }

    fn widened_actions(&self, after: &Self, subject: SubjectId) -> impl Iterator<Item = Action> {
        let is_widened = move |action: &Action| match action.resource() == Resource::External {
            true => after.facts().external_types().any(|it| self.widened_on(*action, it, (after, subject))),
            false => self.is_wider(&self.predicate(subject, *action), &after.predicate(subject, *action)),
        };
        Action::ALL.iter().copied().filter(is_widened)
    }

    fn is_wider(&self, before: &Predicate, after: &Predicate) -> bool {
        self.widened((&before.policy, &after.policy), (before.bit(), after.bit()))
    }

    /// Whether a policy gives anything that an older one of the same subject did not; `was` and `is` are the actions.
    fn widened(&self, (before, after): (&Policy, &Policy), (was, is): (u32, u32)) -> bool {
        // Who is new owns nothing yet.
        let owns = |owner: SubjectId| self.facts().subject(owner).is_some();
        let gone_guard = |bar: &Bar| !after.bars_on(is).any(|new| bar.stands_in((before, after), new, owns));
        let bound = |old: &Account| self.is_bounding((old, before), after, (was, is));
        let has_any = after.own.about(is).next().is_some();
        self.gains((&before.own, before), (&after.own, after), (was, is))
            || (has_any && before.bars_on(was).any(gone_guard))
            || !before.above.iter().all(bound)
    }

    /// Whether what an account above a subject held back is held back still: by that account or another, which gives
    /// nothing that it did not; or of all that the subject holds itself, nothing was held back.
    fn is_bounding(&self, (old, before): Sided<'_>, after: &Policy, (was, is): (u32, u32)) -> bool {
        let let_through = |(_, clause): (usize, &Clause)| {
            let given = |(place, it): (usize, &Clause)| {
                old.giver(place).is_none() && covers((it, old, before), (clause, &after.own, after))
            };
            old.about(was).any(given)
        };
        after.own.about(is).all(let_through)
            || after.above.iter().any(|new| !self.gains((old, before), (new, after), (was, is)))
    }

    /// Whether one account gives anything on its own that another, of an older policy, did not.
    fn gains(&self, (old, before): Sided<'_>, (new, after): Sided<'_>, (was, is): (u32, u32)) -> bool {
        let is_new = |(place, clause): (usize, &Clause)| {
            let giver = new.giver(place);
            !old.about(was).any(|(former, it)| {
                covers((it, old, before), (clause, new, after))
                    && match (old.giver(former), giver) {
                        (None, _) => true,
                        // A delegated right gives what its giver has, so it covers itself alone, and only while that
                        // one gains nothing. A giver's own policy has no delegated rights.
                        (Some(had), Some(has)) => {
                            let same = it.grant == clause.grant && had.subject == has.subject;
                            same && !self.widened((had, has), (was, is))
                        }
                        (Some(_), None) => false,
                    }
            })
        };
        new.about(is).any(is_new)
    }

    /// What a subject may do by rights of its own.
    fn undelegated(&self, subject: SubjectId, action: Action) -> Predicate {
        self.predicate_about(subject, About::Ours(action.resource()), Asked::from(action), Delegated::Never)
    }

    fn predicate_about(
        &self,
        subject: SubjectId,
        about: About<'_>,
        asked: Asked<'_>,
        delegated: Delegated,
    ) -> Predicate {
        Predicate::new(Arc::new(self.compile_policy(subject, about, delegated)), asked)
    }

    /// What somebody may do with an action where a right is about it: type by type, and of rows of other systems, when no
    /// type is named, whatever the type.
    fn predicates(
        &self,
        (subject, delegated): (SubjectId, Delegated),
        action: Action,
        external: Option<&NameSet>,
    ) -> Vec<Predicate> {
        let of = |about, asked| self.predicate_about(subject, about, asked, delegated);
        match external {
            Some(named) => {
                let of_type = |name| of(About::External(name), Asked::on(action, Some(name)));
                named.iter().map(of_type).collect()
            }
            None if action.resource() == Resource::External => vec![of(About::AnyExternal, Asked::from(action))],
            None => vec![of(About::Ours(action.resource()), Asked::from(action))],
        }
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

    fn secret_of(&self, holder: SubjectId) -> Secret {
        if self.is_program(holder) { Secret::Known } else { Secret::Own }
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
        reaches
            && mine.binds_nothing()
            && clause.levels.within(mine.levels)
            && clause.limits().until <= mine.limits().until
    }
}

/// Whether every guard that binds the giver's own right binds the holder too, or leaves as much as is given. A delegation
/// would else get around it.
fn binds_alike(own: &Predicate, held: &Predicate, clause: &Clause, now: Timestamp) -> bool {
    own.bars().filter(|bar| now < bar.until).all(|bar| bar.lets(clause.levels) || held.bars().any(|its| its == bar))
}

impl Clause {
    /// Whether it gives at least what `other` gives, now and until that ends.
    fn gives(&self, other: &Self, org: &Org) -> bool {
        self.lists(other, org) && other.levels.within(self.levels) && other.limits().until <= self.limits().until
    }

    /// Whether it holds in every stage and grade.
    fn binds_nothing(&self) -> bool {
        self.limits().stages.is_none() && self.limits().grades.is_none()
    }
}

/// Whether who gives a right knows what its holder proves itself by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Secret {
    Own,
    Known,
}

/// Whether an action is about who may do what: handing it out takes holding it.
pub(crate) fn administers(action: Action) -> bool {
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

/// An account with the policy that it is a side of.
type Sided<'a> = (&'a Account, &'a Policy);

/// Whether what a clause gives after a change was given by an older one before it. A department that is new has no
/// rows yet, so reaching it is nothing new.
fn covers((old, mine, before): (&Clause, &Account, &Policy), (new, its, after): (&Clause, &Account, &Policy)) -> bool {
    let personal = |clause: &Clause| matches!(clause.reach, Reach::Own | Reach::Task);
    // What is owned, or lent, by whom.
    if personal(old) && personal(new) && !its.who.iter().all(|who| mine.who.contains(who)) {
        return false;
    }
    let within = |top, at| {
        let (before, after) = (before.org(), after.org());
        let known = |department: &_| before.knows(*department);
        after.subtree(at).filter(known).all(|department| before.within(department, top))
    };
    let reached = match (&old.reach, &new.reach) {
        (Reach::Subtree(top), Reach::Subtree(at)) | (Reach::PooledSubtree(top), Reach::PooledSubtree(at)) => {
            within(*top, *at)
        }
        (old, new) => old.includes(new, before.org()),
    };
    let (was, is) = (old.limits(), new.limits());
    reached && was.hold_where(is) && new.levels.within(old.levels) && was.from <= is.from && is.until <= was.until
}

mod external;
#[cfg(test)]
mod tests;
