//! Reading plans: every step, trigger and result, with all violations at once.

use std::collections::BTreeSet;

use chrono::NaiveTime;
use revisit_bootstrap::idempotency::Repeatable;
use revisit_core::{Failure, Input, id::SegmentId};
use revisit_permission::Layer;
use revisit_proto::followup::v1 as pb;

use super::{
    etag,
    read::{MINUTES_MAX, before_minutes, channel, clock_time, date, layer, minutes, zone},
};
use crate::{
    domain::{
        plan::{Anchor, Definition, Reminders, ResultRule, Script, Step, Trigger, TriggerEvent},
        task::Channel,
    },
    operations::plans::{New, Update, Wanted},
    schedule::{Fold, Gap, Leap, Roll, Unit},
};

const STEPS_MAX: usize = 50;
const RESULTS_MAX: usize = 30;
const SCRIPTS_MAX: usize = 20;
const NAMES_MAX: usize = 20;
const DAYS_MAX: i32 = 366;
const AFTER_DUE_MAX: i32 = 14_400;
const UNKNOWN: &str = "must be a known value";

/// A new plan, from its own definition or from a shipped template.
pub fn create(message: pb::CreatePlanRequest) -> Result<New, Failure> {
    let mut input = Input::default();
    let repeat = Repeatable::read(&mut input, &message.request_id, "CreatePlan", &message);
    let name = input.text("name", &message.name, 1..=100);
    let given = message.definition.unwrap_or_default();
    let definition = if message.template_key.is_empty() {
        let mut inner = Input::default();
        let own = definition(&mut inner, &given);
        input.nest("definition", inner);
        Wanted::Own(Box::new(own))
    } else {
        let key = input.text("template_key", &message.template_key, 1..=60);
        let bare = pb::PlanDefinition {
            segment_id: given.segment_id.clone(),
            calendar_id: given.calendar_id.clone(),
            time_zone: given.time_zone.clone(),
            ..Default::default()
        } == given;
        input.require(bare, "definition", "may name only segment_id, calendar_id and time_zone beside template_key");
        let mut inner = Input::default();
        let frame = frame(&mut inner, &given);
        input.nest("definition", inner);
        Wanted::Template(key, Box::new(frame))
    };
    input.finish()?;
    Ok(New { name, definition, repeat })
}

/// A change of a plan.
pub fn update(message: pb::UpdatePlanRequest) -> Result<Update, Failure> {
    let mut input = Input::default();
    let repeat = Repeatable::read(&mut input, &message.request_id, "UpdatePlan", &message);
    let given = message.plan.unwrap_or_default();
    let paths = message.update_mask.map(|mask| mask.paths).unwrap_or_default();
    input.require(!paths.is_empty(), "update_mask", "is required");
    let known = paths.iter().all(|path| path == "name" || path == "definition");
    input.require(known, "update_mask", "may name name and definition");
    let named = |path: &str| paths.iter().any(|named| named == path);
    let update = Update {
        id: input.id("plan.plan_id", &given.plan_id),
        etag: etag(&mut input, "plan.etag", &given.etag),
        name: named("name").then(|| input.text("plan.name", &given.name, 1..=100)),
        definition: named("definition").then(|| {
            let mut inner = Input::default();
            let own = definition(&mut inner, &given.definition.unwrap_or_default());
            input.nest("plan.definition", inner);
            own
        }),
        repeat,
    };
    input.finish()?;
    Ok(update)
}

/// Audience, calendar and zone, and nothing yet of steps and results.
fn frame(input: &mut Input, given: &pb::PlanDefinition) -> Definition {
    let segment: SegmentId = input.id("segment_id", &given.segment_id);
    let zone = (!given.time_zone.is_empty()).then(|| zone(input, "time_zone", &given.time_zone).name().to_owned());
    Definition {
        segment,
        lent: layers(input, "lent_layers", &given.lent_layers),
        issue_lent: layers(input, "issue_layers", &given.issue_layers),
        calendar: input.id_optional("calendar_id", &given.calendar_id),
        zone,
        steps: Vec::new(),
        results: Vec::new(),
        asks_satisfaction: given.asks_satisfaction,
        follow_on: given.follow_on_reminders.as_ref().map(|given| reminders(input, "follow_on_reminders", given)),
    }
}

/// Names of layers, each once.
fn layers(input: &mut Input, field: &str, given: &[String]) -> Vec<Layer> {
    let mut read = Vec::new();
    for (index, name) in given.iter().take(NAMES_MAX).enumerate() {
        let layer = layer(input, &format!("{field}[{index}]"), name);
        if !read.contains(&layer) {
            read.push(layer);
        }
    }
    read
}

fn definition(input: &mut Input, given: &pb::PlanDefinition) -> Definition {
    let mut read = frame(input, given);
    input.require((1..=STEPS_MAX).contains(&given.steps.len()), "steps", "must have 1 to 50 entries");
    input.require((1..=RESULTS_MAX).contains(&given.results.len()), "results", "must have 1 to 30 entries");
    let mut keys = BTreeSet::new();
    for (index, given) in given.steps.iter().take(STEPS_MAX).enumerate() {
        let mut inner = Input::default();
        let step = step(&mut inner, given);
        inner.require(keys.insert(step.key.clone()), "key", "must differ from the other steps'");
        input.nest(&format!("steps[{index}]"), inner);
        read.steps.push(step);
    }
    let mut keys = BTreeSet::new();
    for (index, given) in given.results.iter().take(RESULTS_MAX).enumerate() {
        let mut inner = Input::default();
        let result = result(&mut inner, given);
        inner.require(keys.insert(result.key.clone()), "key", "must differ from the other results'");
        input.nest(&format!("results[{index}]"), inner);
        read.results.push(result);
    }
    read
}

fn key(input: &mut Input, text: &str) -> String {
    let key = input.text("key", text, 1..=40);
    let plain = key.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    input.require(plain, "key", "may hold lower-case letters, digits and underscores");
    key
}

fn names(input: &mut Input, field: &str, given: &[String]) -> Vec<String> {
    input.require(given.len() <= NAMES_MAX, field, "must have at most 20 entries");
    let some = given.iter().take(NAMES_MAX).enumerate();
    some.map(|(index, name)| input.text(&format!("{field}[{index}]"), name, 1..=64)).collect()
}

fn result(input: &mut Input, given: &pb::ResultRule) -> ResultRule {
    ResultRule {
        key: key(input, &given.key),
        name: input.text("name", &given.name, 1..=100),
        success: given.success,
        sensitive: given.sensitive,
        next_contact_days: given.next_contact_days.map(|days| minutes(input, "next_contact_days", days, 0..=DAYS_MAX)),
        ends_enrolment: given.ends_enrolment,
    }
}

fn step(input: &mut Input, given: &pb::Step) -> Step {
    let channel = channel(input, "channel", given.channel);
    input.require(channel.is_some() || given.channel != 0, "channel", "is required");
    let time_of_day = match given.time_of_day.as_str() {
        "" => NaiveTime::from_hms_opt(9, 0, 0).unwrap_or_default(),
        text => clock_time(text).unwrap_or_else(|| {
            input.refuse("time_of_day", "must be a time as HH:MM");
            NaiveTime::MIN
        }),
    };
    Step {
        key: key(input, &given.key),
        name: input.text("name", &given.name, 1..=100),
        grades: names(input, "grades", &given.grades),
        stages: names(input, "stages", &given.stages),
        trigger: trigger(input, given.trigger.as_ref()),
        channel: channel.unwrap_or(Channel::Other),
        time_of_day,
        due_within_minutes: minutes(input, "due_within_minutes", given.due_within_minutes, 1..=MINUTES_MAX),
        reminders: given.reminders.as_ref().map(|given| reminders(input, "reminders", given)).unwrap_or_default(),
        scripts: scripts(input, &given.scripts),
        roll: roll(input, given.roll),
        gap: gap(input, given.gap),
        fold: fold(input, given.fold),
    }
}

fn roll(input: &mut Input, value: i32) -> Roll {
    match pb::Roll::try_from(value) {
        Ok(pb::Roll::Unspecified | pb::Roll::Forward) => Roll::Forward,
        Ok(pb::Roll::Back) => Roll::Back,
        Ok(pb::Roll::Nearest) => Roll::Nearest,
        Ok(pb::Roll::None) => Roll::Stay,
        Err(_) => {
            input.refuse("roll", UNKNOWN);
            Roll::Forward
        }
    }
}

fn gap(input: &mut Input, value: i32) -> Gap {
    match pb::GapPolicy::try_from(value) {
        Ok(pb::GapPolicy::Unspecified | pb::GapPolicy::Shift) => Gap::Shift,
        Ok(pb::GapPolicy::Skip) => Gap::Skip,
        Err(_) => {
            input.refuse("gap", UNKNOWN);
            Gap::Shift
        }
    }
}

fn fold(input: &mut Input, value: i32) -> Fold {
    match pb::FoldPolicy::try_from(value) {
        Ok(pb::FoldPolicy::Unspecified | pb::FoldPolicy::First) => Fold::First,
        Ok(pb::FoldPolicy::Last) => Fold::Last,
        Ok(pb::FoldPolicy::Both) => Fold::Both,
        Err(_) => {
            input.refuse("fold", UNKNOWN);
            Fold::First
        }
    }
}

fn scripts(input: &mut Input, given: &[pb::Script]) -> Vec<Script> {
    input.require(given.len() <= SCRIPTS_MAX, "scripts", "must have at most 20 entries");
    let mut read = Vec::new();
    for (index, script) in given.iter().take(SCRIPTS_MAX).enumerate() {
        let mut inner = Input::default();
        inner.require(script.tags.len() <= 10, "tags", "must have at most 10 entries");
        read.push(Script {
            tags: names(&mut inner, "tags", &script.tags),
            text: inner.lines("text", &script.text, 1..=4_000),
        });
        input.nest(&format!("scripts[{index}]"), inner);
    }
    read
}

fn reminders(input: &mut Input, name: &str, given: &pb::Reminders) -> Reminders {
    let mut after = |field: &str, value: Option<i32>| {
        value.map(|value| minutes(input, &format!("{name}.{field}"), value, 0..=AFTER_DUE_MAX))
    };
    let overdue_after_minutes = after("overdue_after_minutes", given.overdue_after_minutes);
    let escalate_after_minutes = after("escalate_after_minutes", given.escalate_after_minutes);
    Reminders {
        at_open: given.at_open,
        before_minutes: before_minutes(input, &format!("{name}.before_minutes"), &given.before_minutes),
        at_due: given.at_due,
        overdue_after_minutes,
        escalate_after_minutes,
    }
}

fn trigger(input: &mut Input, given: Option<&pb::Trigger>) -> Trigger {
    match given.and_then(|trigger| trigger.kind.as_ref()) {
        Some(pb::trigger::Kind::Cadence(given)) => cadence(input, given),
        Some(pb::trigger::Kind::Event(given)) => event(input, given),
        Some(pb::trigger::Kind::Silence(given)) => {
            Trigger::Silence { days: minutes(input, "trigger.silence.days", given.days, 1..=DAYS_MAX) }
        }
        Some(pb::trigger::Kind::Date(given)) => Trigger::Date {
            field: input.text("trigger.date.field", &given.field, 1..=64),
            offset_days: input.number("trigger.date.offset_days", given.offset_days, -DAYS_MAX..=DAYS_MAX),
            yearly: given.yearly,
            leap: match pb::LeapPolicy::try_from(given.leap) {
                Ok(pb::LeapPolicy::Unspecified | pb::LeapPolicy::February28) => Leap::February28,
                Ok(pb::LeapPolicy::March1) => Leap::March1,
                Err(_) => {
                    input.refuse("trigger.date.leap", UNKNOWN);
                    Leap::February28
                }
            },
        },
        None => {
            input.refuse("trigger", "is required");
            Trigger::Silence { days: 1 }
        }
    }
}

fn cadence(input: &mut Input, given: &pb::CadenceTrigger) -> Trigger {
    let unit = match pb::CadenceUnit::try_from(given.unit) {
        Ok(pb::CadenceUnit::Day) => Unit::Day,
        Ok(pb::CadenceUnit::Week) => Unit::Week,
        Ok(pb::CadenceUnit::Month) => Unit::Month,
        Ok(pb::CadenceUnit::Unspecified) | Err(_) => {
            input.refuse("trigger.cadence.unit", UNKNOWN);
            Unit::Day
        }
    };
    let start = (!given.start_date.is_empty()).then(|| date(input, "trigger.cadence.start_date", &given.start_date));
    let anchor = match pb::CadenceAnchor::try_from(given.anchor) {
        Ok(pb::CadenceAnchor::FixedDates) => Anchor::FixedDates(start),
        Ok(pb::CadenceAnchor::LastCompleted) => {
            input.require(start.is_none(), "trigger.cadence.start_date", "is for FIXED_DATES only");
            Anchor::LastCompleted
        }
        Ok(pb::CadenceAnchor::Unspecified) | Err(_) => {
            input.refuse("trigger.cadence.anchor", UNKNOWN);
            Anchor::LastCompleted
        }
    };
    let first = given.first_after_days;
    Trigger::Cadence {
        every: minutes(input, "trigger.cadence.every", given.every, 1..=DAYS_MAX),
        unit,
        anchor,
        first_after_days: first.map(|days| minutes(input, "trigger.cadence.first_after_days", days, 0..=DAYS_MAX)),
    }
}

fn event(input: &mut Input, given: &pb::EventTrigger) -> Trigger {
    let mut named = || input.text("trigger.event.name", &given.name, 1..=64);
    let event = match pb::TriggerEvent::try_from(given.event) {
        Ok(pb::TriggerEvent::Enrolled) => TriggerEvent::Enrolled,
        Ok(pb::TriggerEvent::StageEntered) => TriggerEvent::StageEntered(named()),
        Ok(pb::TriggerEvent::OwnerChanged) => TriggerEvent::OwnerChanged,
        Ok(pb::TriggerEvent::TagAdded) => TriggerEvent::TagAdded(named()),
        Ok(pb::TriggerEvent::OrderRecorded) => TriggerEvent::OrderRecorded,
        Ok(pb::TriggerEvent::Unspecified) | Err(_) => {
            input.refuse("trigger.event.event", UNKNOWN);
            TriggerEvent::Enrolled
        }
    };
    Trigger::Event { event, delay_days: minutes(input, "trigger.event.delay_days", given.delay_days, 0..=3_660) }
}
