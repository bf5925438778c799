//! A revision that is staged and never written: what it would do, and what its author may not do.

use revisit_bootstrap::database::Tx;
use revisit_core::{
    Failure,
    id::{SubjectId, TenantId},
};
use revisit_permission::{Comparison, Snapshot};

use super::Book;
use crate::{
    App,
    domain::Error,
    store::{self, organisation},
};

/// What becomes of a revision, and so of a right that its author lacks.
#[derive(Debug)]
pub(super) enum Purpose {
    /// It is written: a right that is lacking ends the work.
    Write,
    /// It is shown: the first right that is lacking is kept, and the work goes on.
    Rehearse(Option<Failure>),
}

/// What a revision would do.
pub struct Rehearsed {
    pub comparison: Comparison,
    /// With what its author would be refused.
    pub refusal: Option<Failure>,
}

impl Book {
    /// The same without the lock, for work that stages and does not save.
    pub async fn rehearse(app: &App, tx: &Tx, tenant: TenantId) -> Result<Self, Error> {
        let tenant = organisation::tenant_by_id(tx, tenant).await?.ok_or(Error::NoSuchTenant)?;
        let (revision, before) = app.ledgers.read(tx, tenant.id).await?;
        let (after, now) = (before.clone(), store::now(tx).await?);
        let tenant = crate::domain::Tenant { revision, ..tenant };
        let purpose = Purpose::Rehearse(None);
        Ok(Self { tenant, now, before, after, changes: Vec::new(), purpose, users_told_max: 0 })
    }

    /// Whether the author of the revision may do what it does.
    pub fn require_right<E: Into<Error>>(&mut self, right: Result<(), E>) -> Result<(), Error> {
        match (&mut self.purpose, right) {
            (_, Ok(())) => Ok(()),
            (Purpose::Write, Err(refusal)) => Err(refusal.into()),
            (Purpose::Rehearse(first), Err(refusal)) => {
                first.get_or_insert_with(|| Failure::from(refusal.into()));
                Ok(())
            }
        }
    }

    /// What the staged changes would do.
    pub fn rehearsed(mut self, author: SubjectId) -> Result<Rehearsed, Error> {
        let after = Snapshot::compile(&self.after, self.next_revision());
        let misuse = self.refuse_misuse(Some(author), &after);
        self.require_right(misuse)?;
        let before = Snapshot::compile(&self.before, self.tenant.revision);
        let refusal = match self.purpose {
            Purpose::Write => None,
            Purpose::Rehearse(refusal) => refusal,
        };
        Ok(Rehearsed { comparison: Comparison::new(before, after), refusal })
    }
}
