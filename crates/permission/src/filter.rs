//! A predicate as plain data, every place resolved: for who translates it for a database that is not ours, and for who
//! compares what two states give.
//!
//! It says the same as the predicate that it was made of, and is made anew for each question: nothing here decides.

use std::sync::Arc;

use revisit_core::{
    Timestamp,
    id::{DepartmentId, GuardId, SubjectId, TenantId},
};
use uuid::Uuid;

use crate::{
    account::{Account, open},
    action::Action,
    clause::{Clause, Reach},
    decision::GrantRef,
    external::Asked,
    level::Levels,
    org::Org,
    policy::{Bar, Policy},
    predicate::Predicate,
    row::{Name, NameSet},
    rule::Effect,
    snapshot::Snapshot,
};

/// The rows to which a subject may do something: those of the tenant, not newer than the revision, that some clause of
/// every account matches and no denying guard covers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Filter {
    /// The company.
    pub tenant: TenantId,
    /// Whose.
    pub subject: SubjectId,
    /// To do what.
    pub action: Action,
    /// On rows of which registered type; none for our own types.
    pub external: Option<Name>,
    /// Rows that were written under a newer one are not among them.
    pub revision: i64,
    /// The subject's own, then one for each account above it.
    pub accounts: Vec<FilterAccount>,
    /// In the order of their ids; those that can cover no row are left out.
    pub guards: Vec<FilterGuard>,
    /// The next instant at which a grant or guard begins or ends. What tasks lend ends by the row.
    pub edge: Timestamp,
}

/// What one account may do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FilterAccount {
    /// Who counts as owner and as holder of tasks; the account itself stands last.
    pub who: Vec<SubjectId>,
    /// In the order of [`GrantRef`]; those that can match no row are left out.
    pub clauses: Vec<FilterClause>,
}

/// What one grant gives.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FilterClause {
    /// Which grant.
    pub grant: GrantRef,
    /// Which rows.
    pub reach: Reach,
    /// The departments that it reaches, under all their names; empty for a reach that names none.
    pub departments: Vec<DepartmentId>,
    /// In which stages; all when none is named.
    pub stages: Option<NameSet>,
    /// For which grades; all when none is named.
    pub grades: Option<NameSet>,
    /// How much of each layer.
    pub levels: Levels,
    /// From when.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// What whoever delegated it may do by rights of its own: the row must be among those rows too, and the levels are at
    /// most those.
    pub delegation: Option<Box<FilterDelegation>>,
}

/// What a giver may do by rights of its own: a filter within a filter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FilterDelegation {
    /// Who delegated.
    pub subject: SubjectId,
    /// See [`Filter::accounts`].
    pub accounts: Vec<FilterAccount>,
    /// See [`Filter::guards`].
    pub guards: Vec<FilterGuard>,
}

/// What one guard takes away.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FilterGuard {
    /// Which guard.
    pub guard: GuardId,
    /// What it does.
    pub effect: Effect,
    /// Owners whose rows it leaves out.
    pub except_owners: Vec<SubjectId>,
    /// Only VIP rows.
    pub vip: bool,
    /// Only rows that are marked as pooled.
    pub pooled: bool,
    /// Only rows in one of these stages.
    pub stages: Option<NameSet>,
    /// Only rows of one of these grades.
    pub grades: Option<NameSet>,
    /// Only rows of one of these departments.
    pub departments: Option<Vec<DepartmentId>>,
    /// Only these rows.
    pub ids: Option<Arc<[Uuid]>>,
    /// From when.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
}

/// Which windows count.
#[derive(Clone, Copy)]
enum Windows {
    /// Those that are open at the instant.
    Open(Timestamp),
    /// Those too that open later.
    NotOver(Timestamp),
}

impl Windows {
    fn count(self, from: Timestamp, until: Timestamp) -> bool {
        from < until
            && match self {
                Self::Open(now) => from <= now && now < until,
                Self::NotOver(now) => now < until,
            }
    }

    const fn now(self) -> Timestamp {
        match self {
            Self::Open(now) | Self::NotOver(now) => now,
        }
    }
}

impl Snapshot {
    /// The rows to which a subject may do something at `now`.
    #[must_use]
    pub fn filter<'a>(&self, subject: SubjectId, asked: impl Into<Asked<'a>>, now: Timestamp) -> Filter {
        self.describe(&self.predicate(subject, asked), Windows::Open(now))
    }

    /// The same with what begins later, of a predicate that was compiled here.
    pub(crate) fn filter_from(&self, predicate: &Predicate, now: Timestamp) -> Filter {
        self.describe(predicate, Windows::NotOver(now))
    }

    fn describe(&self, predicate: &Predicate, windows: Windows) -> Filter {
        let asked = Asked::on(predicate.action(), predicate.external());
        self.describe_policy(&predicate.policy, asked, windows)
    }

    fn describe_policy(&self, policy: &Policy, asked: Asked<'_>, windows: Windows) -> Filter {
        let action = asked.action;
        let bars = policy.bars_on(action.bit()).filter(|bar| windows.count(bar.from, bar.until));
        let mut edge = Timestamp::MAX;
        for window in policy.windows(action.bit()) {
            open(window, windows.now(), &mut edge);
        }
        Filter {
            tenant: policy.base.tenant,
            subject: policy.subject,
            action,
            external: asked.external.cloned(),
            revision: self.revision,
            accounts: policy.sides().map(|account| self.describe_account(account, asked, windows)).collect(),
            guards: bars.map(|bar| self.describe_bar(policy.subject, bar)).filter(FilterGuard::covers).collect(),
            edge,
        }
    }

    fn describe_account(&self, account: &Account, asked: Asked<'_>, windows: Windows) -> FilterAccount {
        let about = account.about(asked.action.bit());
        let clauses = about.filter(|(_, clause)| windows.count(clause.limits().from, clause.limits().until));
        let describe = |(place, clause): (usize, &Clause)| FilterClause {
            grant: clause.grant,
            reach: clause.reach.clone(),
            departments: departments(&clause.reach, self.org()),
            stages: clause.limits().stages.clone(),
            grades: clause.limits().grades.clone(),
            levels: clause.levels,
            from: clause.limits().from,
            until: clause.limits().until,
            delegation: account.giver(place).map(|giver| {
                let Filter { subject, accounts, guards, .. } = self.describe_policy(giver, asked, windows);
                Box::new(FilterDelegation { subject, accounts, guards })
            }),
        };
        FilterAccount {
            who: account.who.to_vec(),
            clauses: clauses.map(describe).filter(FilterClause::matches).collect(),
        }
    }

    fn describe_bar(&self, subject: SubjectId, bar: &Bar) -> FilterGuard {
        let led = bar.except_led.iter().flat_map(|lines| lines.led_by(subject));
        let mut except_owners: Vec<_> = bar.except_owner.then_some(subject).into_iter().chain(led).collect();
        except_owners.sort_unstable();
        except_owners.dedup();
        FilterGuard {
            guard: bar.guard,
            effect: bar.effect,
            except_owners,
            vip: bar.vip,
            pooled: bar.pooled,
            stages: bar.stages.clone(),
            grades: bar.grades.clone(),
            departments: bar.department.map(|top| self.org().subtree(top).collect()),
            ids: bar.ids.clone(),
            from: bar.from,
            until: bar.until,
        }
    }
}

impl Filter {
    /// Ids that it names: what bounds its size.
    #[must_use]
    pub fn ids(&self) -> usize {
        ids(&self.accounts, &self.guards)
    }
}

fn ids(accounts: &[FilterAccount], guards: &[FilterGuard]) -> usize {
    let clauses = accounts.iter().flat_map(|account| &account.clauses);
    clauses.map(FilterClause::ids).chain(guards.iter().map(FilterGuard::ids)).sum()
}

impl FilterClause {
    pub(crate) fn ids(&self) -> usize {
        let rows = if let Reach::Ids(ids) = &self.reach { ids.len() } else { 0 };
        let delegated = self.delegation.as_ref().map_or(0, |it| ids(&it.accounts, &it.guards));
        self.departments.len() + rows + delegated
    }

    /// Whether some row could match.
    fn matches(&self) -> bool {
        let somewhere = match &self.reach {
            Reach::Own | Reach::Task | Reach::Team(_) | Reach::Tenant => true,
            Reach::Ids(ids) => !ids.is_empty(),
            Reach::Department(_) | Reach::Subtree(_) | Reach::Pooled(_) | Reach::PooledSubtree(_) => {
                !self.departments.is_empty()
            }
        };
        somewhere && has_names(self.stages.as_ref()) && has_names(self.grades.as_ref())
    }
}

impl FilterGuard {
    pub(crate) fn ids(&self) -> usize {
        let departments = self.departments.as_ref().map_or(0, Vec::len);
        self.except_owners.len() + departments + self.ids.as_ref().map_or(0, |ids| ids.len())
    }

    /// Whether it could cover some row.
    fn covers(&self) -> bool {
        has_names(self.stages.as_ref())
            && has_names(self.grades.as_ref())
            && self.departments.as_ref().is_none_or(|departments| !departments.is_empty())
            && self.ids.as_ref().is_none_or(|ids| !ids.is_empty())
    }
}

/// A set of no names is met by no row; no set at all is met by every row.
fn has_names(names: Option<&NameSet>) -> bool {
    names.is_none_or(|names| !names.is_empty())
}

fn departments(reach: &Reach, org: &Org) -> Vec<DepartmentId> {
    match reach {
        Reach::Department(at) | Reach::Pooled(at) => vec![*at],
        Reach::Subtree(top) | Reach::PooledSubtree(top) => org.subtree(*top).collect(),
        Reach::Own | Reach::Task | Reach::Team(_) | Reach::Ids(_) | Reach::Tenant => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
