//! How a plan's definition looks on the wire.

use revisit_proto::followup::v1 as pb;

use super::{channel, layers};
use crate::{
    domain::plan::{Anchor, Definition, Reminders, ResultRule, Step, Trigger, TriggerEvent},
    schedule::{Fold, Gap, Leap, Roll, Unit},
};

#[must_use]
pub fn definition(definition: &Definition) -> pb::PlanDefinition {
    let named = !definition.segment.uuid().is_nil();
    pb::PlanDefinition {
        // A shipped template leaves the segment to the tenant.
        segment_id: if named { definition.segment.to_string() } else { String::new() },
        lent_layers: layers(&definition.lent),
        issue_layers: layers(&definition.issue_lent),
        calendar_id: definition.calendar.map(|calendar| calendar.to_string()).unwrap_or_default(),
        time_zone: definition.zone.clone().unwrap_or_default(),
        steps: definition.steps.iter().map(step).collect(),
        results: definition.results.iter().map(result).collect(),
        asks_satisfaction: definition.asks_satisfaction,
        follow_on_reminders: definition.follow_on.as_ref().map(reminders),
    }
}

fn small(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn step(step: &Step) -> pb::Step {
    pb::Step {
        key: step.key.clone(),
        name: step.name.clone(),
        grades: step.grades.clone(),
        stages: step.stages.clone(),
        trigger: Some(pb::Trigger { kind: Some(trigger(&step.trigger)) }),
        channel: channel(Some(step.channel)).into(),
        time_of_day: step.time_of_day.format("%H:%M").to_string(),
        due_within_minutes: small(step.due_within_minutes),
        reminders: Some(reminders(&step.reminders)),
        scripts: step
            .scripts
            .iter()
            .map(|script| pb::Script { tags: script.tags.clone(), text: script.text.clone() })
            .collect(),
        roll: match step.roll {
            Roll::Forward => pb::Roll::Forward,
            Roll::Back => pb::Roll::Back,
            Roll::Nearest => pb::Roll::Nearest,
            Roll::Stay => pb::Roll::None,
        }
        .into(),
        gap: match step.gap {
            Gap::Shift => pb::GapPolicy::Shift,
            Gap::Skip => pb::GapPolicy::Skip,
        }
        .into(),
        fold: match step.fold {
            Fold::First => pb::FoldPolicy::First,
            Fold::Last => pb::FoldPolicy::Last,
            Fold::Both => pb::FoldPolicy::Both,
        }
        .into(),
    }
}

fn trigger(trigger: &Trigger) -> pb::trigger::Kind {
    match trigger {
        Trigger::Cadence { every, unit, anchor, first_after_days } => pb::trigger::Kind::Cadence(pb::CadenceTrigger {
            every: small(*every),
            unit: match unit {
                Unit::Day => pb::CadenceUnit::Day,
                Unit::Week => pb::CadenceUnit::Week,
                Unit::Month => pb::CadenceUnit::Month,
            }
            .into(),
            anchor: match anchor {
                Anchor::LastCompleted => pb::CadenceAnchor::LastCompleted,
                Anchor::FixedDates(_) => pb::CadenceAnchor::FixedDates,
            }
            .into(),
            start_date: match anchor {
                Anchor::FixedDates(Some(date)) => date.to_string(),
                Anchor::FixedDates(None) | Anchor::LastCompleted => String::new(),
            },
            first_after_days: first_after_days.map(small),
        }),
        Trigger::Event { event, delay_days } => {
            let (event, name) = match event {
                TriggerEvent::Enrolled => (pb::TriggerEvent::Enrolled, ""),
                TriggerEvent::StageEntered(stage) => (pb::TriggerEvent::StageEntered, stage.as_str()),
                TriggerEvent::OwnerChanged => (pb::TriggerEvent::OwnerChanged, ""),
                TriggerEvent::TagAdded(tag) => (pb::TriggerEvent::TagAdded, tag.as_str()),
                TriggerEvent::OrderRecorded => (pb::TriggerEvent::OrderRecorded, ""),
            };
            let delay_days = small(*delay_days);
            pb::trigger::Kind::Event(pb::EventTrigger { event: event.into(), name: name.to_owned(), delay_days })
        }
        Trigger::Silence { days } => pb::trigger::Kind::Silence(pb::SilenceTrigger { days: small(*days) }),
        Trigger::Date { field, offset_days, yearly, leap } => pb::trigger::Kind::Date(pb::DateTrigger {
            field: field.clone(),
            offset_days: *offset_days,
            yearly: *yearly,
            leap: match leap {
                Leap::February28 => pb::LeapPolicy::February28,
                Leap::March1 => pb::LeapPolicy::March1,
            }
            .into(),
        }),
    }
}

fn reminders(reminders: &Reminders) -> pb::Reminders {
    pb::Reminders {
        before_minutes: reminders.before_minutes.iter().copied().map(small).collect(),
        at_due: reminders.at_due,
        overdue_after_minutes: reminders.overdue_after_minutes.map(small),
        escalate_after_minutes: reminders.escalate_after_minutes.map(small),
        at_open: reminders.at_open,
    }
}

fn result(rule: &ResultRule) -> pb::ResultRule {
    pb::ResultRule {
        key: rule.key.clone(),
        name: rule.name.clone(),
        success: rule.success,
        sensitive: rule.sensitive,
        next_contact_days: rule.next_contact_days.map(small),
        ends_enrolment: rule.ends_enrolment,
    }
}
