//! Questions about decisions, for callers in any language: the attributes of the row come with the question, unless
//! identity keeps it.

use std::collections::{BTreeMap, HashMap};

use futures::{StreamExt, stream};
use revisit_bootstrap::auth::Principal;
use revisit_core::{
    Failure, Timestamp,
    id::{SubjectId, TenantId},
};
use revisit_permission::{
    Asked, Axis, Decision, Filter, GrantRef, Layer, Level, Levels, Name, Reading, SubjectKind, Witness,
};

use super::{
    asking::{Asker, Hearing},
    book::Revised,
    grants, leases,
    meaning::{KeptRows, Meant, Named, There, mean},
    sessions, users,
};
use crate::{App, domain::Error};

/// One question.
pub struct Question {
    pub tenant: Option<TenantId>,
    pub subject: Option<SubjectId>,
    /// What the subject is said to be; somebody else than who it is, is nobody.
    pub kind: Option<SubjectKind>,
    pub what: Named,
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

pub async fn check(app: &App, asker: &Asker, question: &Question) -> Result<Answer, Error> {
    let (hearing, subject, meant) = heard(app, asker, question).await?;
    Ok(decide(&hearing.reading, (subject, question.kind), &meant))
}

/// The state on which a question is decided, whom it is about, and what it means.
async fn heard<'a>(app: &App, asker: &'a Asker, question: &Question) -> Result<(Hearing<'a>, SubjectId, Meant), Error> {
    let mut hearing = Hearing::open(app, asker, question.tenant, &[question.what.row.auth_rev]).await?;
    // For nobody about whom the asker may not ask is anything read; while it is, that may change.
    hearing.subject(question.subject)?;
    let kept = KeptRows::read(app, &mut hearing, std::iter::once(&question.what)).await?;
    let subject = hearing.subject(question.subject)?;
    let meant = meant_for(&hearing, subject, &question.what, &kept)?;
    Ok((hearing, subject, meant))
}

/// What a question means to its asker. Why a kept row is denied tells that it is there and what it looks like: whoever may
/// not hear that is answered as about a row that is not kept.
fn meant_for(hearing: &Hearing<'_>, subject: SubjectId, question: &Named, kept: &KeptRows) -> Result<Meant, Error> {
    let Reading { snapshot, now, .. } = &hearing.reading;
    let meant = mean(snapshot, question, kept)?;
    let may = |action| snapshot.decide(subject, action, &meant.row, *now).allowed;
    let told = meant.there != There::Kept || meant.action.is_some_and(may) || hearing.hears_of(subject, &meant.row);
    Ok(if told { meant } else { meant.unseen() })
}

fn decide(reading: &Reading, (subject, kind): (SubjectId, Option<SubjectKind>), meant: &Meant) -> Answer {
    let Reading { snapshot, now, until } = reading;
    let denied = |witness: &str, axis| Answer {
        allowed: false,
        levels: Levels::HIDDEN,
        witness: witness.to_owned(),
        valid_until: *until,
        revision: snapshot.revision,
        refused: Some(axis),
    };
    let is_other = |kind| snapshot.facts().subject(subject).is_some_and(|it| it.kind != kind);
    if kind.is_some_and(is_other) {
        return denied("there is no such subject", Axis::Subject);
    }
    // An action that nobody knows is denied, like everything that is not allowed.
    let Some(action) = meant.action else { return denied("there is no such action", Axis::Operation) };
    let decision = snapshot.decide(subject, action, &meant.row, *now);
    if decision.allowed && meant.there == There::No {
        // Who would be denied on every row hears why that is, and not that this one is not there.
        return denied("there is no such row", Axis::Extent);
    }
    Answer {
        allowed: decision.allowed,
        levels: decision.levels,
        witness: witness(&decision),
        valid_until: decision.valid_until.min(*until),
        revision: decision.revision,
        refused: decision.witness.refused(),
    }
}

/// Companies that one batch of a service of ours opens at once.
const OPENED_AT_ONCE: usize = 8;

/// Each question has its own answer; one that cannot be answered does not spoil the others. The state of a company is
/// settled once, and whether the asker may ask about a subject once for each subject: no question waits by itself.
pub async fn batch(
    app: &App,
    asker: &Asker,
    questions: Vec<Result<Question, Failure>>,
) -> Vec<Result<Answer, Failure>> {
    let mut revisions: BTreeMap<Option<TenantId>, Vec<i64>> = BTreeMap::new();
    for question in questions.iter().flatten() {
        revisions.entry(asker.heard_under(question.tenant)).or_default().push(question.what.row.auth_rev);
    }
    // Several at once, so that a company that is not there yet keeps few others waiting.
    let questions_of = |tenant: Option<TenantId>| {
        let heard_here = move |question: &&Question| asker.heard_under(question.tenant) == tenant;
        questions.iter().flatten().filter(heard_here).map(|question| &question.what)
    };
    let opened = stream::iter(revisions).map(async |(tenant, revisions)| {
        let open = async {
            let mut hearing = Hearing::open(app, asker, tenant, &revisions).await?;
            let kept = KeptRows::read(app, &mut hearing, questions_of(tenant)).await?;
            Ok::<_, Error>((hearing, kept))
        };
        (tenant, open.await.map_err(Failure::from))
    });
    let mut hearings: BTreeMap<_, Result<(Hearing<'_>, KeptRows), Failure>> =
        opened.buffer_unordered(OPENED_AT_ONCE).collect().await;
    // The first has waited for the last.
    for heard in hearings.values_mut() {
        let settled = heard.as_mut().map_or(Ok(()), |(hearing, _)| hearing.settle(app));
        if let Err(failure) = settled {
            *heard = Err(failure.into());
        }
    }
    let mut subjects: HashMap<(Option<TenantId>, Option<SubjectId>), Result<SubjectId, Failure>> = HashMap::new();
    let mut answer = |question: Question| {
        // Every company of a question has been opened.
        let company = asker.heard_under(question.tenant);
        let (hearing, kept) = hearings.get(&company).ok_or_else(unheard)?.as_ref().map_err(Failure::clone)?;
        let subject = subjects.entry((company, question.subject));
        let subject = subject.or_insert_with(|| hearing.subject(question.subject).map_err(Failure::from)).clone()?;
        let meant = meant_for(hearing, subject, &question.what, kept)?;
        Ok(decide(&hearing.reading, (subject, question.kind), &meant))
    };
    questions.into_iter().map(|question| question.and_then(&mut answer)).collect()
}

fn unheard() -> Failure {
    Failure::internal("a question of a batch is about a company that was not opened")
}

/// What a write that names a field would be answered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Writable {
    Yes,
    /// The row is denied.
    Denied,
    Below,
    /// The action only looks.
    ReadsOnly,
}

/// What is left of one field.
pub struct FieldAnswer {
    pub field: String,
    pub layer: Layer,
    pub level: Level,
    pub write: Writable,
}

/// The decision about a row, and what it means for each field.
pub async fn fields(
    app: &App,
    asker: &Asker,
    question: &Question,
    fields: Vec<String>,
) -> Result<(Answer, Vec<FieldAnswer>), Error> {
    let (hearing, subject, meant) = heard(app, asker, question).await?;
    let action = meant.action.ok_or(Error::Refused { field: "check.action", rule: "is not a known action" })?;
    let answer = decide(&hearing.reading, (subject, question.kind), &meant);
    let registered = meant.row.external.as_ref().and_then(|name| hearing.reading.snapshot.facts().external_type(name));
    let of_field = |field: String| {
        let layer = registered.map_or_else(|| action.resource().layer_of(&field), |it| it.layer_of(&field));
        let level = answer.levels.get(layer);
        let write = match (action.writes(), answer.allowed) {
            (false, _) => Writable::ReadsOnly,
            (true, false) => Writable::Denied,
            (true, true) if answer.levels.writes(layer) => Writable::Yes,
            (true, true) => Writable::Below,
        };
        FieldAnswer { field, layer, level, write }
    };
    let fields = fields.into_iter().map(of_field).collect();
    Ok((answer, fields))
}

/// Ids that one filter names at the most; one id is 38 bytes on the wire.
const FILTER_IDS_MAX: usize = 50_000;

/// The rows to which a subject may do something, and when the lease ends on which that is said.
pub async fn filter(
    app: &App,
    asker: &Asker,
    (tenant, subject): (Option<TenantId>, Option<SubjectId>),
    (action, external): (&str, Option<&Name>),
) -> Result<(Filter, Reading), Error> {
    let hearing = Hearing::open(app, asker, tenant, &[]).await?;
    let subject = hearing.subject(subject)?;
    let snapshot = &hearing.reading.snapshot;
    let (action, external) = snapshot.facts().action_named(action, external).ok_or(Error::UnknownAction)?;
    let filter = snapshot.filter(subject, Asked::on(action, external.as_ref()), hearing.reading.now);
    if filter.ids() > FILTER_IDS_MAX {
        return Err(Error::FilterTooLarge);
    }
    Ok((filter, hearing.reading))
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

pub fn grant_name(grant: GrantRef) -> String {
    match grant {
        GrantRef::Grant(id) => format!("grant:{id}"),
        GrantRef::Role { role, template } => format!("role:{role}#{template}"),
        GrantRef::Position { position, role, template } => format!("position:{position}/role:{role}#{template}"),
    }
}

/// An answer and its reasons for people.
pub async fn explain(app: &App, asker: &Asker, question: &Question) -> Result<(Answer, String), Error> {
    let (hearing, subject, meant) = heard(app, asker, question).await?;
    let answer = decide(&hearing.reading, (subject, question.kind), &meant);
    let mut words = match (answer.allowed, answer.refused) {
        (true, _) => format!("Allowed by {}.", answer.witness),
        (false, Some(axis)) => format!("Refused on the axis {}: {}. {}", axis.name(), answer.witness, sentence(axis)),
        (false, None) => format!("Refused: {}.", answer.witness),
    };
    if let Some(action) = meant.action {
        let Reading { snapshot, now, .. } = &hearing.reading;
        let explanation = snapshot.explain(subject, action, &meant.row, *now);
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
