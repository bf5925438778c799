//! Who may ask about whom, and the permission state on which the answer is given.
//!
//! A service of ours asks about anybody; a subject about itself, and with the right to explain about others of its
//! company. Who may explain nobody is told so whomever he names: the answer must not tell who exists.

use revisit_bootstrap::{auth::Principal, database::Tx};
use revisit_core::{
    Failure,
    id::{SubjectId, TenantId},
};
use revisit_permission::{Action, Asked, Reading, Row, Scope, SubjectFacts, SubjectKind};
use uuid::Uuid;

use super::grants;
use crate::{App, domain::Error, store::organisation};

/// Who asks.
pub enum Asker {
    /// A service of ours: about anybody.
    Service,
    /// A subject: about itself, and with the right to explain about others of its company.
    Subject(Box<Principal>),
}

/// Stands for every company that is not the asker's: nobody has it, and all of them are answered alike.
const ELSEWHERE: TenantId = TenantId::from_uuid(Uuid::nil());

impl Asker {
    /// Under which company questions are heard together: a subject's are about its own, or about none, however many it
    /// names, so that one call never opens more than two.
    pub fn heard_under(&self, named: Option<TenantId>) -> Option<TenantId> {
        match self {
            Self::Service => named,
            Self::Subject(who) => named.filter(|named| *named != who.tenant()).map(|_| ELSEWHERE),
        }
    }
}

/// The questions of one asker about one company, on a snapshot that is new enough for the rows that they are about.
pub struct Hearing<'a> {
    asker: &'a Asker,
    /// The company that is named is not the asker's.
    foreign: bool,
    pub tenant: TenantId,
    pub reading: Reading,
}

impl<'a> Hearing<'a> {
    /// Waits for the revisions under which the rows were written. One that was never issued is not waited for: no
    /// snapshot reaches it, so the decision denies.
    pub async fn open(app: &App, asker: &'a Asker, named: Option<TenantId>, revisions: &[i64]) -> Result<Self, Error> {
        let tenant = match asker {
            Asker::Service => named.ok_or(required("tenant_id"))?,
            Asker::Subject(who) => who.tenant(),
        };
        let foreign = named.is_some_and(|named| named != tenant);
        app.lease.hold(tenant).await?;
        // Of another company nothing is decided, so no revision is waited for.
        if !foreign {
            reach(app, tenant, revisions).await?;
        }
        let reading = app.leases.read(tenant).map_err(|_| grants::lease_expired())?;
        Ok(Self { asker, foreign, tenant, reading })
    }

    /// Goes on with a newer state when rows turn out to have been written under one. Of another company nothing is decided.
    pub async fn reach(&mut self, app: &App, revisions: &[i64]) -> Result<(), Error> {
        if self.foreign || revisions.iter().all(|revision| *revision <= self.reading.snapshot.revision) {
            return Ok(());
        }
        reach(app, self.tenant, revisions).await?;
        self.reading = app.leases.read(self.tenant).map_err(|_| grants::lease_expired())?;
        Ok(())
    }

    /// Goes on with the state that holds now: while something was read, a right may have been taken away everywhere.
    pub fn settle(&mut self, app: &App) -> Result<(), Error> {
        if !self.foreign {
            self.reading = app.leases.read(self.tenant).map_err(|_| grants::lease_expired())?;
        }
        Ok(())
    }

    /// Reads what is asked about: within the company, and while the asker may act there; a service of ours always may.
    pub async fn read<T>(&self, app: &App, work: impl AsyncFnOnce(&Tx) -> Result<T, Error>) -> Result<T, Error> {
        match self.asker {
            Asker::Service => app.store.read(&app.workers.ask.within(self.tenant), work).await,
            Asker::Subject(who) => {
                let own = who.caller.own(&who.leases).map_err(Failure::from)?;
                app.store.read(&own, work).await
            }
        }
    }

    /// The asker's scope, when it asks about itself and there can be such rows.
    pub fn own(&self, subject: SubjectId, asked: Asked<'_>) -> Option<Scope> {
        match self.asker {
            // Without a scope they are read like those of others, and there the same failure is told.
            Asker::Subject(who) if subject == who.subject() => who.scope(asked).ok(),
            Asker::Subject(_) | Asker::Service => None,
        }
    }

    /// Whether the asker may hear that a row is kept, and why a subject is denied on it: who views the row, and who may
    /// explain the subject.
    pub fn hears_of(&self, subject: SubjectId, row: &Row) -> bool {
        let Asker::Subject(who) = self.asker else { return true };
        let Reading { snapshot, now, .. } = &self.reading;
        if snapshot.decide(who.subject(), Action::ExternalView, row, *now).allowed {
            return true;
        }
        // Who may explain nobody hears no more than where that cannot be decided now.
        let explains = self.explains().unwrap_or(Explains::Nobody);
        snapshot.subject(subject).is_some_and(|facts| explains.reaches(facts))
    }

    /// Who is asked about: the asker when nobody is named. Fails unless the asker may ask about that one.
    pub fn subject(&self, named: Option<SubjectId>) -> Result<SubjectId, Error> {
        let who = match self.asker {
            Asker::Service => return named.ok_or(required("subject_id")),
            Asker::Subject(who) => who,
        };
        let subject = named.unwrap_or_else(|| who.subject());
        if !self.foreign && subject == who.subject() {
            return Ok(subject);
        }
        let explains = self.explains()?;
        // Somebody of another company is as unknown as somebody who does not exist.
        let known = self.reading.snapshot.subject(subject).filter(|facts| explains.reaches(facts));
        known.map(|_| subject).ok_or(Error::NoSuchUser)
    }

    /// About whom the asker may ask beside itself; fails when that is nobody.
    pub fn explains(&self) -> Result<Explains, Error> {
        match self.asker {
            Asker::Service => Ok(Explains::Everybody),
            Asker::Subject(who) => {
                let scope = Box::new(who.scope(Action::AccessExplain)?);
                Ok(if self.foreign { Explains::Nobody } else { Explains::Within(scope) })
            }
        }
    }
}

/// Whether somebody is what the question says: a person or a program.
pub async fn is_of_kind(app: &App, asker: &Asker, id: SubjectId, kind: SubjectKind) -> Result<bool, Error> {
    let hearing = Hearing::open(app, asker, None, &[]).await?;
    let id = hearing.subject(Some(id))?;
    Ok(hearing.reading.snapshot.facts().subject(id).is_some_and(|subject| subject.kind == kind))
}

/// About whom somebody may ask.
pub enum Explains {
    Everybody,
    /// Those whom the right to explain reaches.
    Within(Box<Scope>),
    /// A company that is not the asker's.
    Nobody,
}

impl Explains {
    pub fn reaches(&self, facts: &SubjectFacts) -> bool {
        match self {
            Self::Everybody => true,
            Self::Within(scope) => {
                let row = Row::new(scope.tenant(), facts.subject.id.uuid());
                scope.levels(&row.with_department(facts.subject.department)).is_some()
            }
            Self::Nobody => false,
        }
    }
}

/// A revision that exists is waited for; the newest of them brings the others.
pub async fn reach(app: &App, tenant: TenantId, revisions: &[i64]) -> Result<(), Error> {
    let held = app.leases.read(tenant).map_err(|_| grants::lease_expired())?.snapshot.revision;
    if revisions.iter().all(|revision| held >= *revision) {
        return Ok(());
    }
    let known =
        app.store.read(&app.workers.lease, async |tx| Ok(organisation::tenant_by_id(tx, tenant).await?)).await?;
    let issued = known.map_or(0, |known| known.revision);
    let newest = revisions.iter().copied().filter(|revision| *revision <= issued).max();
    match newest.filter(|revision| *revision > held) {
        Some(revision) => Ok(app.lease.reach(tenant, revision).await?),
        None => Ok(()),
    }
}

const fn required(field: &'static str) -> Error {
    Error::Refused { field, rule: "is required" }
}
