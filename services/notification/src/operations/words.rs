//! The words of a message: its variables for one recipient, its template, and what a webhook says instead.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use chrono_tz::Tz;
use revisit_core::{Timestamp, id::TemplateId};
use revisit_permission::{Clarity, Levels, Veiled};
use serde::Serialize;
use uuid::Uuid;

use crate::{
    domain::{Fact, Locale, Template, Value, Values, fact::layer_of, morning, shipped::Placeholder, template::Flaw},
    store::{deliveries::Delivery, intents::Intent, templates},
};

/// Compiled templates that are kept; when there are more, all are compiled anew.
const COMPILED_MAX: usize = 2_000;

/// Compiled templates by id and version.
#[derive(Default)]
pub struct Texts(Mutex<HashMap<(TemplateId, i64), Arc<Template>>>);

impl Texts {
    /// The compiled form of a template as it is stored now.
    pub fn compiled(&self, stored: &templates::Template) -> Result<Arc<Template>, Flaw> {
        let key = (stored.id, stored.version);
        // A poisoned lock only means that another thread panicked between two whole insertions.
        if let Some(known) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key) {
            return Ok(Arc::clone(known));
        }
        let compiled = Arc::new(Template::compile(stored.channel, stored.locale, &stored.text, &stored.layout)?);
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= COMPILED_MAX {
            all.clear();
        }
        all.insert(key, Arc::clone(&compiled));
        Ok(compiled)
    }
}

/// To whom a message speaks, and what it may call the others.
#[derive(Clone, Debug)]
pub struct Audience<'a> {
    pub name: &'a str,
    pub locale: Locale,
    pub zone: Tz,
    /// The customer's name as this recipient may read it; none when it may not.
    pub customer: Option<&'a str>,
    /// How much of the customer this recipient may read beside its name.
    pub levels: Levels,
    /// Names of users by their ids.
    pub people: &'a HashMap<Uuid, String>,
}

/// The values of a message's variables. One that cannot be had is left out, and then the message is not sent.
pub fn values(intent: &Intent, audience: &Audience<'_>) -> Values {
    // What every event may carry is told to who is told at all, whatever becomes of the customer's name.
    let levels = audience.levels.join(Levels::EVENT);
    let text = |text: &str| Some(Value::Text(text.to_owned()));
    let stored = |fact: Fact| intent.facts.get(fact.name());
    let person = |fact: Fact| {
        let Some(Value::Text(id)) = stored(fact) else { return None };
        let known = id.parse().ok().and_then(|id: Uuid| audience.people.get(&id));
        text(known.map_or(Placeholder::Somebody.text(audience.locale), String::as_str))
    };
    let value = |name: &str| match name {
        "recipient_name" => text(audience.name),
        "customer_name" => text(audience.customer.unwrap_or_else(|| {
            let missing = if intent.customer.is_some() { Placeholder::Hidden } else { Placeholder::NoCustomer };
            missing.text(audience.locale)
        })),
        "due_time" => match stored(Fact::DueMicros) {
            Some(Value::Number(micros)) => text(&moment(audience.zone, Timestamp::from_micros(*micros))),
            Some(Value::Text(_)) | None => None,
        },
        "assignee_name" => person(Fact::Assignee),
        "actor_name" => person(Fact::Actor),
        "owner_name" => person(Fact::Owner).or_else(|| text(Placeholder::Somebody.text(audience.locale))),
        "result" => stored(Fact::Result).map(|result| match told(levels, name, result) {
            Some(known) if known != Value::Text(String::new()) => known,
            Some(_) | None => Value::Text(Placeholder::Sensitive.text(audience.locale).to_owned()),
        }),
        other => told(levels, other, intent.facts.get(other)?),
    };
    let variables = intent.kind.variables().iter();
    variables.filter_map(|(name, _)| Some(((*name).to_owned(), value(name)?))).collect()
}

/// A fact for a reader; none when it is of a layer that the reader does not read.
fn told(levels: Levels, name: &str, value: &Value) -> Option<Value> {
    levels.show(&Veiled::new(layer_of(name), value.clone()), Clarity::Usual).clear().cloned()
}

fn moment(zone: Tz, at: Timestamp) -> String {
    morning::local(zone, at).format("%Y-%m-%d %H:%M").to_string()
}

#[derive(Serialize)]
struct Payload<'a> {
    r#type: &'a str,
    timestamp: String,
    data: BTreeMap<&'a str, serde_json::Value>,
}

/// What a webhook says: ids and basic-layer facts, the same bytes at every try.
pub fn payload(delivery: &Delivery, intent: &Intent) -> Vec<u8> {
    let mut data: BTreeMap<&str, serde_json::Value> = BTreeMap::new();
    for (name, value) in &intent.facts {
        let Some(value) = told(Levels::EVENT, name, value) else { continue };
        let value = match value {
            Value::Number(number) => serde_json::Value::from(number),
            Value::Text(text) => serde_json::Value::from(text),
        };
        data.insert(name, value);
    }
    let ids = [
        ("delivery_id", Some(delivery.id.uuid())),
        ("recipient_id", Some(intent.recipient)),
        ("customer_id", intent.customer.map(Into::into)),
        ("task_id", intent.task.map(Into::into)),
    ];
    data.extend(ids.into_iter().filter_map(|(name, id)| Some((name, serde_json::Value::from(id?.to_string())))));
    let timestamp = format!("{}Z", morning::local(Tz::UTC, intent.created_at).format("%Y-%m-%dT%H:%M:%S%.6f"));
    let payload = Payload { r#type: intent.kind.name(), timestamp, data };
    // Strings, numbers and string keys only: nothing here can fail to be written.
    serde_json::to_vec(&payload).unwrap_or_default()
}

/// Users whose names a message says beside its recipient's.
pub fn mentioned(intent: &Intent) -> impl Iterator<Item = Uuid> + '_ {
    [Fact::Assignee, Fact::Actor].into_iter().filter_map(|fact| match intent.facts.get(fact.name()) {
        Some(Value::Text(id)) => id.parse().ok(),
        Some(Value::Number(_)) | None => None,
    })
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use revisit_core::id::{DeliveryId, EventId, IntentId, TenantId};
    use revisit_permission::{Layer, Level};

    use super::*;
    use crate::domain::{Channel, MessageKind, Progress, State, fact::facts};

    fn intent(facts: Values) -> Intent {
        Intent {
            tenant: TenantId::from_uuid(Uuid::nil()),
            id: IntentId::from_uuid(Uuid::nil()),
            source: "followup".to_owned(),
            event: EventId::from_uuid(Uuid::nil()),
            kind: MessageKind::OutcomeRecorded,
            recipient: Uuid::nil(),
            occurrence: String::new(),
            customer: None,
            task: None,
            facts,
            expires_at: Timestamp::MAX,
            created_at: Timestamp::default(),
            traceparent: String::new(),
        }
    }

    fn delivery(intent: &Intent) -> Delivery {
        Delivery {
            tenant: intent.tenant,
            id: DeliveryId::from_uuid(Uuid::nil()),
            intent: intent.id,
            kind: intent.kind,
            channel: Channel::Webhook,
            endpoint: None,
            recipient: intent.recipient,
            department: None,
            customer: None,
            task: None,
            progress: Progress { state: State::Ready, reason: Cow::Borrowed(""), tries: 0, version: 1, due_at: None },
            expires_at: intent.expires_at,
            created_at: intent.created_at,
            accepted_at: None,
            read_at: None,
            last_code: String::new(),
            token: String::new(),
            rendered: None,
        }
    }

    fn told_of_everything() -> Intent {
        let mut known = facts([
            (Fact::ContactChannel, Value::Text("phone".to_owned())),
            (Fact::Result, Value::Text("reached".to_owned())),
        ]);
        known.insert("callers_number".to_owned(), Value::Text("13800138000".to_owned()));
        intent(known)
    }

    #[test]
    fn a_webhook_is_told_neither_a_result_nor_a_fact_that_nobody_has_classified() {
        let intent = told_of_everything();
        let body = String::from_utf8(payload(&delivery(&intent), &intent)).expect("JSON is text");
        assert!(body.contains(r#""contact_channel":"phone""#), "{body}");
        assert!(!body.contains("reached") && !body.contains("13800138000"), "{body}");
    }

    #[test]
    fn a_message_says_the_result_to_who_reads_the_history_and_basic_facts_to_everybody() {
        let intent = told_of_everything();
        let said = |levels| {
            let people = HashMap::new();
            let (locale, zone) = (Locale::English, Tz::UTC);
            values(&intent, &Audience { name: "Mei", locale, zone, customer: None, levels, people: &people })
        };
        let (nobody, reader) = (said(Levels::HIDDEN), said(Levels::of(&[(Layer::History, Level::Read)])));
        assert_eq!(reader.get("result"), Some(&Value::Text("reached".to_owned())));
        assert_ne!(nobody.get("result"), reader.get("result"));
        assert_eq!(nobody.get("contact_channel"), Some(&Value::Text("phone".to_owned())));
    }
}
