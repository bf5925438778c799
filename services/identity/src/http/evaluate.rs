//! Evaluation of one question, and of several with the three semantics of the standard.

use std::{ops::ControlFlow, sync::Arc};

use revisit_bootstrap::{Refusals, wire::time_optional};
use revisit_core::Failure;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{
    answer::{Told, status},
    wire::{Object, Parts, Sent, Tuple, object, unreadable},
};
use crate::{
    App,
    domain::Error,
    grpc::read::access::QUESTIONS_MAX,
    operations::{
        asking::Asker,
        decisions::{self, Answer, Question},
    },
};

/// A request for several evaluations; without any it is one. What is wrong with one of them is answered in its place.
#[derive(Debug, Deserialize)]
pub struct Evaluations {
    subject: Option<Box<RawValue>>,
    action: Option<Box<RawValue>>,
    resource: Option<Box<RawValue>>,
    #[serde(default)]
    evaluations: Vec<Box<RawValue>>,
    #[serde(default, deserialize_with = "object")]
    options: Options,
}

#[derive(Debug, Default, Deserialize)]
struct Options {
    #[serde(default)]
    evaluations_semantic: Semantic,
}

/// Where the answers end.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Semantic {
    /// With the last.
    #[default]
    ExecuteAll,
    /// With the first that is no permit.
    DenyOnFirstDeny,
    /// With the first permit.
    PermitOnFirstPermit,
}

impl Semantic {
    const fn after(self, allowed: Option<bool>) -> ControlFlow<()> {
        match (self, allowed) {
            (Self::DenyOnFirstDeny, Some(false) | None) | (Self::PermitOnFirstPermit, Some(true)) => {
                ControlFlow::Break(())
            }
            (Self::ExecuteAll | Self::DenyOnFirstDeny | Self::PermitOnFirstPermit, _) => ControlFlow::Continue(()),
        }
    }
}

/// One decision.
pub async fn one(app: Arc<App>, asker: Asker, input: Tuple) -> Result<Value, Error> {
    Ok(decision(&decisions::check(&app, &asker, &input.question()?).await?))
}

/// Several decisions, in the order of the questions. One that cannot be answered is denied and says why.
pub async fn several(app: Arc<App>, asker: Asker, input: Evaluations) -> Result<Told, Error> {
    let Evaluations { subject, action, resource, evaluations, options } = input;
    let defaults = Parts::read(Sent { subject, action, resource });
    if evaluations.is_empty() {
        return Ok(one(app, asker, defaults.alone()?).await?.into());
    }
    if evaluations.len() > QUESTIONS_MAX {
        return Err(Error::Refused { field: "evaluations", rule: "must have at most 1,000 entries" });
    }
    let questions = evaluations.into_iter().map(|it| question(&it, &defaults)).collect();
    let answers = decisions::batch(&app, &asker, questions).await;
    let refusals = Some(Refusals::among(&answers));
    let mut told = Vec::new();
    for answer in answers {
        told.push(answer.as_ref().map_or_else(undecided, decision));
        if options.evaluations_semantic.after(answer.ok().map(|answer| answer.allowed)).is_break() {
            break;
        }
    }
    Ok(Told { answer: json!({ "evaluations": told }), refusals })
}

/// One of several: what it lacks it has from the request.
fn question(sent: &RawValue, defaults: &Parts) -> Result<Question, Failure> {
    let Object(sent) =
        serde_json::from_str::<Object<Sent>>(sent.get()).map_err(|fault| unreadable("evaluation", &fault))?;
    Parts::read(sent).or(defaults)?.question()
}

fn decision(it: &Answer) -> Value {
    let until = time_optional(Some(it.valid_until)).map(|until| until.to_string());
    let mut context = json!({ "witness": it.witness, "revision": it.revision, "levels": it.levels });
    if let Some(until) = until {
        context["valid_until"] = until.into();
    }
    if let Some(axis) = it.refused {
        context["reason"] = axis.name().into();
    }
    json!({ "decision": it.allowed, "context": context })
}

fn undecided(failure: &Failure) -> Value {
    let error = json!({ "status": status(failure).as_u16(), "message": failure.to_string() });
    json!({ "decision": false, "context": { "error": error } })
}
