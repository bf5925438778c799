//! Who may do something to a row, now or at an earlier instant: the predicate of every subject, asked about one row.

use std::sync::Arc;

use revisit_core::{
    Timestamp,
    id::{SubjectId, TenantId},
};
use revisit_permission::{Action, Asked, Levels, Permit, Reading, Row, Snapshot, SubjectKind, Witness};

use super::{
    asking::{Asker, Explains, Hearing},
    decisions::grant_name,
    history,
    meaning::{KeptRows, Named, There, mean, mean_then},
};
use crate::{App, domain::Error};

/// Subjects that are looked at in one go; then others have their turn.
const SLICE: usize = 64;

/// The question.
pub struct WhoMay {
    pub tenant: Option<TenantId>,
    pub what: Named,
    /// Only users, or only programs.
    pub kind: Option<SubjectKind>,
    /// Now, when there is none.
    pub at: Option<Timestamp>,
    pub after: Option<SubjectId>,
    pub size: u32,
}

/// Somebody who may.
pub struct Able {
    pub subject: SubjectId,
    pub levels: Levels,
    pub witness: String,
}

/// One page of the answer, and what it is based on.
pub struct Ables {
    pub found: Vec<Able>,
    /// The last one of this page, when there are more.
    pub next: Option<SubjectId>,
    pub revision: i64,
    pub at: Timestamp,
}

pub async fn list(app: &App, asker: &Asker, question: &WhoMay) -> Result<Ables, Error> {
    let revisions = if question.at.is_some() { [0] } else { [question.what.row.auth_rev] };
    let mut hearing = Hearing::open(app, asker, question.tenant, &revisions).await?;
    let explains = hearing.explains()?;
    if matches!(explains, Explains::Nobody) {
        return Err(Error::NoSuchTenant);
    }
    let (snapshot, at, meant) = match question.at {
        None => {
            let kept = KeptRows::read(app, &mut hearing, std::iter::once(&question.what)).await?;
            let Reading { snapshot, now, .. } = &hearing.reading;
            (Arc::clone(snapshot), *now, mean(snapshot, &question.what, &kept)?)
        }
        Some(at) => {
            let then = history::state_at(app, hearing.tenant, at, hearing.reading.now).await?;
            // Its action is what the name stood for then.
            let meant = mean_then(&then, &question.what);
            (then, at, meant)
        }
    };
    let action = meant.action.ok_or(Error::UnknownAction)?;
    let row = &meant.row;
    let size = usize::try_from(question.size).unwrap_or(usize::MAX);
    let mut found: Vec<Able> = Vec::new();
    // To a row that is not there nobody may do anything.
    let subjects = if meant.there != There::No { snapshot.subjects() } else { Vec::new() };
    let from = question.after.map_or(0, |after| subjects.partition_point(|subject| *subject <= after));
    for slice in subjects[from..].chunks(SLICE) {
        let is_kind = |subject: &SubjectId| {
            question.kind.is_none_or(|kind| snapshot.facts().subject(*subject).is_some_and(|it| it.kind == kind))
        };
        let told = |subject: &&SubjectId| is_kind(subject) && may_be_told(&explains, &hearing, &snapshot, **subject);
        let within = slice.iter().filter(told);
        found.extend(within.filter_map(|subject| able(&snapshot, *subject, action, (row, at))));
        if found.len() > size {
            break;
        }
        tokio::task::yield_now().await;
    }
    // One more than the page was looked for, to know whether there is another.
    let more = found.len() > size;
    found.truncate(size);
    if let Explains::Within(scope) = &explains {
        scope.confirm().map_err(revisit_core::Failure::from)?;
    }
    let next = found.last().filter(|_| more).map(|able| able.subject);
    Ok(Ables { found, next, revision: snapshot.revision, at })
}

/// Whether the asker may explain a subject by where it is now; one that is gone by where it was.
fn may_be_told(explains: &Explains, hearing: &Hearing<'_>, then: &Snapshot, subject: SubjectId) -> bool {
    let facts = hearing.reading.snapshot.subject(subject).or_else(|| then.subject(subject));
    facts.is_some_and(|facts| explains.reaches(facts))
}

fn able(snapshot: &Snapshot, subject: SubjectId, action: Action, (row, at): (&Row, Timestamp)) -> Option<Able> {
    let asked = Asked::on(action, row.external.as_ref());
    let decision = snapshot.predicate_once(subject, asked).decide(row, at);
    let Witness::Grant(grant) = decision.witness else { return None };
    Some(Able { subject, levels: decision.levels, witness: grant_name(grant) })
}
