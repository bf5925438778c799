//! Writing a tenant's log: every change of its permission state is one revision, in one transaction with the rows, the
//! events and the audit entry.

use std::time::Duration;

use prost::Message;
use revisit_bootstrap::{auth::Principal, database::Tx, idempotency::Repeatable};
use revisit_core::{
    Failure, Timestamp,
    id::{SubjectId, TenantId},
};
use revisit_permission::{self as permission, Change, Decided, Facts, Permit, Removed, Row, Snapshot};

use super::{about, audit, own_accounts, telling};
use crate::{
    App,
    domain::{Error, Tenant},
    store::{self, log, organisation},
};

mod rehearsal;

use rehearsal::Purpose;
pub use rehearsal::Rehearsed;

/// How long a write waits for its own revision after it is committed.
const SETTLE_MAX: Duration = Duration::from_millis(500);
/// Who writes, and why.
#[derive(Clone, Debug, Default)]
pub struct Cause {
    /// Who; nobody for what follows by itself.
    pub actor: audit::Actor,
    /// Name of the action.
    pub action: &'static str,
    /// In the actor's words.
    pub why: String,
    /// By what right; empty for what follows by itself.
    pub witness: String,
    /// Whom it is about, where that stands in no change: whose sessions end.
    pub about: Option<SubjectId>,
    /// The alert that it follows from; none for what somebody called for.
    pub source: Option<uuid::Uuid>,
}

impl Cause {
    pub fn new(who: &Principal, action: &'static str, why: impl Into<String>) -> Self {
        Self { actor: audit::Actor::of(who), action, why: why.into(), ..Self::default() }
    }

    /// With what decided.
    fn under(self, permit: &impl Permit) -> Self {
        let witness = permit.decision().map(|decision| revisit_bootstrap::audit::witness(&decision.witness));
        Self { witness: witness.unwrap_or_default(), ..self }
    }
}

/// The next revision of a tenant while it is written. The tenant is locked, so what the book shows cannot change.
pub struct Book {
    pub tenant: Tenant,
    pub now: Timestamp,
    before: Facts,
    after: Facts,
    changes: Vec<Change>,
    purpose: Purpose,
    /// Users that the other services hear of with this revision; of more they hear afterwards.
    pub users_told_max: usize,
}

impl Book {
    /// Locks the tenant and reads its facts.
    pub async fn open(app: &App, tx: &Tx, tenant: TenantId) -> Result<Self, Error> {
        let tenant = organisation::lock_tenant(tx, tenant).await?.ok_or(Error::NoSuchTenant)?;
        // After the lock: the facts are those that the holder before has committed.
        let (_, before) = app.ledgers.read(tx, tenant.id).await?;
        let after = before.clone();
        let (now, users_told_max) = (store::now(tx).await?, app.config.users_told_max);
        Ok(Self { tenant, now, before, after, changes: Vec::new(), purpose: Purpose::Write, users_told_max })
    }

    /// The first revision of a new tenant.
    pub fn found(tenant: Tenant, now: Timestamp) -> Self {
        let facts = Facts::new(tenant.id);
        // A company begins with one user.
        let (before, after, changes) = (facts.clone(), facts, Vec::new());
        Self { tenant, now, before, after, changes, purpose: Purpose::Write, users_told_max: 1 }
    }

    /// What holds with the changes made so far.
    pub const fn facts(&self) -> &Facts {
        &self.after
    }

    /// What held before.
    pub const fn facts_before(&self) -> &Facts {
        &self.before
    }

    /// The changes made so far.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// The number of the revision that is written.
    pub const fn next_revision(&self) -> i64 {
        self.tenant.revision + 1
    }

    /// What holds with the changes made so far, ready to be asked.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::compile(&self.after, self.tenant.revision)
    }

    /// Adds a change if the model's rules allow it. One that changes nothing is left out.
    pub fn add(&mut self, change: Change) -> Result<(), Error> {
        if before_of(&self.after, &change).as_ref() == Some(&change) {
            return Ok(());
        }
        self.check(&change)?;
        self.after.apply(&change);
        self.changes.push(change);
        Ok(())
    }

    /// Whether the model's rules allow a change, which is not made.
    pub fn check(&self, change: &Change) -> Result<(), Error> {
        self.after.validate(change).map_err(|refusal| Error::of_change(&self.after, change, refusal))
    }

    /// Adds a subject even when permission learns nothing new of it: its profile is told to the other services with the
    /// revision, so there must be one.
    pub fn touch(&mut self, subject: permission::Subject) -> Result<(), Error> {
        let change = Change::Subject(subject);
        self.check(&change)?;
        self.after.apply(&change);
        self.changes.push(change);
        Ok(())
    }

    /// Refuses what would widen its author's own rights: that needs a second person. Whoever was not active before
    /// came in by a link that another person has given. And what nobody could undo.
    fn refuse_misuse(&self, author: Option<SubjectId>, after: &Snapshot) -> Result<(), Error> {
        if !self.changes.iter().any(|change| self.says_who_may(change)) {
            return Ok(());
        }
        let before = Snapshot::compile(&self.before, self.tenant.revision);
        let acts = |author: &SubjectId| before.subject(*author).is_some_and(|facts| facts.active);
        let gained = author.filter(acts).map(|author| before.gained_in(after, author));
        if let Some(gained) = gained.filter(|gained| !gained.is_empty()) {
            return Err(Error::OwnRights(about::tried(&self.replacing(), gained)));
        }
        before.stays_governed(after, author, self.now)?;
        let guards = self.changes.iter().filter_map(|change| match change {
            Change::Guard(guard) => Some(guard.id),
            Change::Tenant(_)
            | Change::Department(_)
            | Change::Subject(_)
            | Change::Position(_)
            | Change::Role(_)
            | Change::RoleAssignment(_)
            | Change::Team(_)
            | Change::Grant(_)
            | Change::ExternalType(_)
            | Change::SessionRevoked { .. }
            | Change::Removed(_) => None,
        });
        for guard in guards {
            after.can_lift(guard, author, self.now)?;
        }
        Ok(())
    }

    /// Whether a change may give or take a right. Names and ended sessions do neither; switching a module gives
    /// everybody back what was granted before, and its author no more than others.
    fn says_who_may(&self, change: &Change) -> bool {
        match change {
            Change::Tenant(_) | Change::SessionRevoked { .. } => false,
            Change::Department(new) => self.before.department(new.id).is_none_or(|old| {
                let (name, modules_off) = (new.name.clone(), new.modules_off.clone());
                permission::Department { name, modules_off, ..old.clone() } != *new
            }),
            Change::Subject(new) => self
                .before
                .subject(new.id)
                .is_none_or(|old| permission::Subject { name: new.name.clone(), ..old.clone() } != *new),
            Change::Position(_)
            | Change::Role(_)
            | Change::RoleAssignment(_)
            | Change::Team(_)
            | Change::Grant(_)
            | Change::Guard(_)
            | Change::ExternalType(_)
            | Change::Removed(_) => true,
        }
    }

    /// Each change with what it replaces.
    fn replacing(&self) -> Vec<(Option<Change>, &Change)> {
        self.changes.iter().map(|change| (before_of(&self.before, change), change)).collect()
    }

    /// Writes the revision, its events and its audit entry; answers its number. Without a change there is no revision.
    pub async fn close(self, tx: &Tx, cause: &Cause) -> Result<i64, Error> {
        if self.changes.is_empty() {
            return Ok(self.tenant.revision);
        }
        let number = self.next_revision();
        let after = Snapshot::compile(&self.after, number);
        self.refuse_misuse(cause.actor.subject, &after)?;
        telling::tell(tx, &self, &after).await?;
        let changes = self.replacing();
        let own = own_accounts::given(tx, (self.tenant.id, &self.after), cause.actor.subject, &changes).await?;
        audit::revision(tx, self.now, (self.tenant.id, number), (cause, &own), &changes)?;
        let revision = log::Revision { number, changes: self.changes };
        log::append(tx, self.tenant.id, &revision, self.now).await?;
        Ok(number)
    }
}

/// What a change replaces or removes, as it was.
fn before_of(facts: &Facts, change: &Change) -> Option<Change> {
    match change {
        Change::Department(new) => facts.department(new.id).cloned().map(Change::Department),
        Change::Subject(new) => facts.subject(new.id).cloned().map(Change::Subject),
        Change::Position(new) => facts.position(new.id).cloned().map(Change::Position),
        Change::Role(new) => facts.role(new.id).cloned().map(Change::Role),
        Change::RoleAssignment(new) => assignment(facts, new.subject, new.role),
        Change::Guard(new) => facts.guard(new.id).cloned().map(Change::Guard),
        Change::ExternalType(new) => facts.external_type(&new.name).cloned().map(Change::ExternalType),
        Change::Grant(new) => grant(facts, new.holder, new.id),
        // A company that is being founded had none.
        Change::Tenant(_) => {
            Some(facts.settings()).filter(|it| **it != Default::default()).cloned().map(Change::Tenant)
        }
        Change::Team(new) => facts.team(new.id).cloned().map(Change::Team),
        Change::SessionRevoked { .. } => None,
        Change::Removed(removed) => match removed {
            Removed::Department(id) => facts.department(*id).cloned().map(Change::Department),
            Removed::Subject(id) => facts.subject(*id).cloned().map(Change::Subject),
            Removed::Position(id) => facts.position(*id).cloned().map(Change::Position),
            Removed::Role(id) => facts.role(*id).cloned().map(Change::Role),
            Removed::RoleAssignment { subject, role } => assignment(facts, *subject, *role),
            Removed::Grant { holder, id } => grant(facts, *holder, *id),
            Removed::Guard(id) => facts.guard(*id).cloned().map(Change::Guard),
            Removed::ExternalType(name) => facts.external_type(name).cloned().map(Change::ExternalType),
            Removed::Team(id) => facts.team(*id).cloned().map(Change::Team),
        },
    }
}

fn assignment(facts: &Facts, subject: SubjectId, role: revisit_core::id::RoleId) -> Option<Change> {
    facts.assignments_of(subject).iter().find(|held| held.role == role).copied().map(Change::RoleAssignment)
}

fn grant(facts: &Facts, holder: SubjectId, id: revisit_core::id::GrantId) -> Option<Change> {
    facts.grants_of(holder).find(|grant| grant.id == id).map(|grant| Change::Grant(grant.to_grant()))
}

/// How a create that may be repeated answers: the request's id, and the answer made of what was written.
pub struct Once<T, M> {
    pub repeat: Option<Repeatable>,
    pub answer: fn(Revised<T>) -> M,
}

/// Refuses what was decided on a row that has changed since: where it lies by now somebody else may have to be asked. A
/// right over oneself, or over accounts below one's own, is of no row.
pub fn require_decided(permit: &Decided, rows: impl IntoIterator<Item = Row>) -> Result<(), Error> {
    let decided = permit.action().is_none() || rows.into_iter().all(|row| permit.rows().contains(&row));
    if decided { Ok(()) } else { Err(Error::StaleEtag) }
}

/// What a write of the log answers.
pub struct Revised<T> {
    pub value: T,
    pub revision: i64,
    pub token: String,
}

impl App {
    /// Writes one revision of a tenant.
    pub async fn revise<T>(
        &self,
        permit: &impl Permit,
        tenant: TenantId,
        cause: Cause,
        work: impl AsyncFnOnce(&Tx, &mut Book) -> Result<T, Error>,
    ) -> Result<Revised<T>, Error> {
        let cause = cause.under(permit);
        let (value, revision) = self
            .store
            .write(permit, async |tx| {
                // Only committed revisions are read into the ledger: it is read here, before anything is appended.
                let mut book = Book::open(self, tx, tenant).await?;
                let value = work(tx, &mut book).await?;
                Ok((value, book.close(tx, &cause).await?))
            })
            .await?;
        self.settled(tenant, revision).await;
        Ok(Revised { value, revision, token: self.token(tenant, revision)? })
    }

    /// Writes one revision, or answers a repeated request with its first answer; answers whether it was the first.
    pub async fn revise_once<T, M: Message + Default>(
        &self,
        permit: &Decided,
        cause: Cause,
        once: Once<T, M>,
        work: impl AsyncFnOnce(&Tx, &mut Book) -> Result<T, Error>,
    ) -> Result<(M, bool), Error> {
        let (tenant, subject) = (permit.tenant(), permit.caller().subject);
        let Once { repeat, answer } = once;
        let cause = cause.under(permit);
        let (value, written) = self
            .store
            .write(permit, async move |tx| {
                let mut book = Book::open(self, tx, tenant).await?;
                // Under the tenant's lock, so that two equal requests at once cannot both be the first.
                if let Some(repeat) = &repeat
                    && let Some(kept) = repeat.first_answer(tx, tenant, subject).await?
                {
                    let first = M::decode(kept.as_slice()).map_err(Failure::internal)?;
                    return Ok((first, None));
                }
                let value = work(tx, &mut book).await?;
                let revision = book.close(tx, &cause).await?;
                let value = answer(Revised { value, revision, token: self.token(tenant, revision)? });
                if let Some(repeat) = &repeat {
                    repeat.keep(tx, tenant, subject, value.encode_to_vec()).await?;
                }
                Ok((value, Some(revision)))
            })
            .await?;
        if let Some(revision) = written {
            self.settled(tenant, revision).await;
        }
        Ok((value, written.is_some()))
    }

    /// Tells that a revision is committed, and waits a moment until this replica decides on it: who has just made a
    /// department finds it here with the next call. Elsewhere the revision token says what to wait for.
    pub async fn settled(&self, tenant: TenantId, revision: i64) {
        self.pushes.committed(tenant, revision);
        // The write stands whatever comes of the wait.
        let _ = tokio::time::timeout(SETTLE_MAX, self.lease.reach(tenant, revision)).await;
    }
}
