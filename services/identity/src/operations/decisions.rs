//! Questions about decisions, for callers in any language: the attributes of the row come with the question.

use revisit_bootstrap::auth::Principal;
use revisit_core::{
    Failure, Timestamp,
    id::{SubjectId, TenantId},
};
use revisit_permission::{Action, Axis, Decision, GrantRef, Levels, Reading, Row, Witness};

use super::{book::Revised, grants, leases, sessions, users};
use crate::{App, domain::Error, store::organisation};

/// Who asks.
pub enum Asker {
    /// A service of ours: about anybody.
    Service,
    /// A subject: about itself, and with the right to explain about others of its company.
    Subject(Box<Principal>),
}

/// One question.
pub struct Question {
    pub tenant: Option<TenantId>,
    pub subject: Option<SubjectId>,
    /// Nothing for a name that the registry does not know.
    pub action: Option<Action>,
    pub row: Row,
}

/// One answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub allowed: bool,
    pub levels: Levels,
    pub witness: String,
    pub valid_until: Timestamp,
    pub revision: i64,
    pub refused: Option<Axis>,
}

/// A question whose asker may ask it, on a snapshot that is new enough.
struct Asked {
    subject: SubjectId,
    reading: Reading,
}

async fn ask(app: &App, asker: &Asker, question: &Question) -> Result<Asked, Error> {
    let (tenant, caller) = match asker {
        Asker::Service => (question.tenant.ok_or(required("tenant_id"))?, None),
        Asker::Subject(who) => (who.tenant(), Some(who)),
    };
    let foreign = question.tenant.is_some_and(|named| named != tenant);
    let subject = match (question.subject, caller) {
        (Some(subject), _) => subject,
        (None, Some(who)) => who.subject(),
        (None, None) => return Err(required("subject_id")),
    };
    app.lease.hold(tenant).await?;
    reach(app, tenant, question.row.auth_rev).await?;
    let reading = app.leases.read(tenant).map_err(|_| grants::lease_expired())?;
    if let Some(who) = caller
        && (foreign || subject != who.subject())
    {
        // Somebody of another company is as unknown as somebody who does not exist.
        let facts = reading.snapshot.subject(subject).filter(|_| !foreign).ok_or(Error::NoSuchUser)?;
        let row = Row::new(tenant, subject.uuid()).with_department(facts.subject.department);
        who.decide(Action::AccessExplain, &row)?;
    }
    Ok(Asked { subject, reading })
}

/// Waits for the revision under which a row was written. One that was never issued is not waited for: no snapshot
/// reaches it, so the decision denies.
async fn reach(app: &App, tenant: TenantId, revision: i64) -> Result<(), Error> {
    let held = app.leases.read(tenant).map_err(|_| grants::lease_expired())?.snapshot.revision;
    if held >= revision {
        return Ok(());
    }
    let known =
        app.store.read(&app.workers.lease, async |tx| Ok(organisation::tenant_by_id(tx, tenant).await?)).await?;
    if known.is_some_and(|known| known.revision >= revision) {
        app.lease.reach(tenant, revision).await?;
    }
    Ok(())
}

const fn required(field: &'static str) -> Error {
    Error::Refused { field, rule: "is required" }
}

pub async fn check(app: &App, asker: &Asker, question: &Question) -> Result<Answer, Error> {
    let asked = ask(app, asker, question).await?;
    Ok(decide(&asked, question))
}

fn decide(asked: &Asked, question: &Question) -> Answer {
    let Reading { snapshot, now, until, .. } = &asked.reading;
    // An action that nobody knows is denied, like everything that is not allowed.
    let Some(action) = question.action else {
        return Answer {
            allowed: false,
            levels: Levels::HIDDEN,
            witness: "there is no such action".to_owned(),
            valid_until: *until,
            revision: snapshot.revision,
            refused: Some(Axis::Operation),
        };
    };
    let row = Row { tenant: snapshot.tenant, ..question.row.clone() };
    let decision = snapshot.decide(asked.subject, action, &row, *now);
    Answer {
        allowed: decision.allowed,
        levels: decision.levels,
        witness: witness(&decision),
        valid_until: decision.valid_until.min(*until),
        revision: decision.revision,
        refused: decision.witness.refused(),
    }
}

/// Each question has its own answer; one that cannot be answered does not spoil the others.
pub async fn batch(
    app: &App,
    asker: &Asker,
    questions: Vec<Result<Question, Failure>>,
) -> Vec<Result<Answer, Failure>> {
    let mut answers = Vec::with_capacity(questions.len());
    for question in questions {
        answers.push(match question {
            Ok(question) => check(app, asker, &question).await.map_err(Failure::from),
            Err(failure) => Err(failure),
        });
    }
    answers
}

/// What decided, as programs compare it; a denial in words.
fn witness(decision: &Decision) -> String {
    match decision.witness {
        Witness::Grant(grant) => grant_name(grant),
        Witness::Own => "own".to_owned(),
        Witness::Guard(guard) => format!("guard:{guard}"),
        Witness::NearestMiss { axis, grant: Some(grant) } => {
            format!("nearest miss {} on {}", grant_name(grant), axis.name())
        }
        Witness::NearestMiss { axis, grant: None } => format!("nothing grants it: {}", axis.name()),
        Witness::Inactive => "the subject is not active".to_owned(),
        Witness::UnknownSubject => "there is no such subject".to_owned(),
        Witness::OtherTenant => "the row belongs to another company".to_owned(),
        Witness::Behind => "the row is newer than the permission state".to_owned(),
    }
}

fn grant_name(grant: GrantRef) -> String {
    match grant {
        GrantRef::Grant(id) => format!("grant:{id}"),
        GrantRef::Role { role, template } => format!("role:{role}#{template}"),
        GrantRef::Position { position, role, template } => format!("position:{position}/role:{role}#{template}"),
    }
}

/// An answer and its reasons for people.
pub async fn explain(app: &App, asker: &Asker, question: &Question) -> Result<(Answer, String), Error> {
    let asked = ask(app, asker, question).await?;
    let answer = decide(&asked, question);
    let mut words = match (answer.allowed, answer.refused) {
        (true, _) => format!("Allowed by {}.", answer.witness),
        (false, Some(axis)) => format!("Refused on the axis {}: {}. {}", axis.name(), answer.witness, sentence(axis)),
        (false, None) => format!("Refused: {}.", answer.witness),
    };
    if let Some(action) = question.action {
        let Reading { snapshot, now, .. } = &asked.reading;
        let row = Row { tenant: snapshot.tenant, ..question.row.clone() };
        let explanation = snapshot.explain(asked.subject, action, &row, *now);
        for considered in explanation.considered.iter().take(CONSIDERED_MAX) {
            let outcome = considered.refused.map_or("matches", Axis::name);
            words.push_str(&format!(" {}: {outcome}.", grant_name(considered.grant)));
        }
        for guard in explanation.guards.iter().take(CONSIDERED_MAX) {
            let reason = snapshot.facts().guard(*guard).map(|guard| guard.reason.as_str()).unwrap_or_default();
            words.push_str(&format!(" guard:{guard} covers the row: {reason}."));
        }
    }
    Ok((answer, words))
}

/// Grants and guards that an explanation names.
const CONSIDERED_MAX: usize = 20;

const fn sentence(axis: Axis) -> &'static str {
    match axis {
        Axis::Subject => "The subject must be known, active and of the row's company.",
        Axis::Module => "The module of this action is switched off.",
        Axis::Role => "No role or grant of the subject is about this type of rows.",
        Axis::Operation => "Some role or grant is about this type of rows, and none has this operation.",
        Axis::Extent => "The row lies outside the reach: department, ownership, task, team or pool.",
        Axis::Stage => "The row is within reach, and not in this stage.",
        Axis::Grade => "The row is within reach, and not of this grade.",
        Axis::Time => "A grant matches, and does not hold now.",
        Axis::Parent => "The account above this one may not do it.",
        Axis::Guard => "A guard denies it.",
    }
}

/// What shall end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    Grant(revisit_core::id::GrantId),
    Session(revisit_core::id::SessionId),
    User(SubjectId),
}

/// Takes a right back, and answers once nobody can act on it any more.
pub async fn revoke_and_wait(
    app: &App,
    who: &Principal,
    target: Target,
    why: String,
) -> Result<(Revised<()>, leases::Effective), Error> {
    let tenant = who.tenant();
    let revised = match target {
        Target::Grant(id) => grants::revoke(app, who, id, why).await?,
        Target::Session(id) => sessions::revoke(app, who, id, why).await?,
        Target::User(id) => {
            let turned = users::turn(app, who, id, users::Turn::Suspend, (String::new(), why)).await?;
            Revised { value: (), revision: turned.revision, token: turned.token }
        }
    };
    let effective = leases::effective(app, tenant, revised.revision).await?;
    Ok((revised, effective))
}
