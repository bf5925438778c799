//! The default policy that ships: weekly for A, monthly for B, a conversion track for C; and birthdays, silence, after-sales.

use chrono::NaiveTime;
use revisit_core::id::SegmentId;
use revisit_permission::Layer;

use super::{Anchor, Definition, Reminders, ResultRule, Script, Step, Trigger, TriggerEvent};
use crate::{
    domain::task::Channel,
    schedule::{Fold, Gap, Leap, Roll, Unit},
};

/// A definition that ships. Its segment is the nil id: the tenant names it.
#[derive(Clone, Debug)]
pub struct Shipped {
    pub key: &'static str,
    pub name: &'static str,
    pub definition: Definition,
}

/// Working minutes of one day of the shipped calendar.
const WORKDAY: u32 = 450;

/// All shipped definitions.
#[must_use]
pub fn shipped() -> Vec<Shipped> {
    vec![
        Shipped {
            key: "grade_a_weekly",
            name: "A: weekly follow-up",
            definition: cadence(1, Unit::Week, &[60, 1_440]),
        },
        Shipped { key: "grade_b_monthly", name: "B: monthly follow-up", definition: cadence(1, Unit::Month, &[60]) },
        Shipped { key: "grade_c_conversion", name: "C: conversion track", definition: conversion() },
        Shipped { key: "birthday", name: "Birthday greeting", definition: birthday() },
        Shipped { key: "silence_nudge", name: "No reply for two weeks", definition: silence() },
        Shipped { key: "after_sales", name: "After signing", definition: after_sales() },
    ]
}

fn cadence(every: u32, unit: Unit, before: &[u32]) -> Definition {
    let trigger = Trigger::Cadence { every, unit, anchor: Anchor::LastCompleted, first_after_days: None };
    let mut step = step("regular", "Regular follow-up", trigger, Channel::Phone);
    step.due_within_minutes = WORKDAY * 2;
    step.reminders.before_minutes = before.to_vec();
    definition(vec![step])
}

fn conversion() -> Definition {
    let track = [
        ("first_contact", "First contact", 0, Channel::Phone),
        ("needs", "Ask for needs", 3, Channel::Phone),
        ("proposal", "Send a proposal", 7, Channel::Wechat),
        ("objections", "Answer objections", 14, Channel::Phone),
        ("decision", "Ask for the decision", 30, Channel::Meeting),
    ];
    let step = |(key, name, delay_days, channel): (&str, &str, u32, Channel)| {
        step(key, name, Trigger::Event { event: TriggerEvent::Enrolled, delay_days }, channel)
    };
    definition(track.into_iter().map(step).collect())
}

fn birthday() -> Definition {
    let trigger = Trigger::Date { field: "birthday".into(), offset_days: 0, yearly: true, leap: Leap::February28 };
    let mut step = step("greeting", "Birthday greeting", trigger, Channel::Wechat);
    step.roll = Roll::Stay;
    definition(vec![step])
}

fn silence() -> Definition {
    definition(vec![step("nudge", "Ask how things are", Trigger::Silence { days: 14 }, Channel::Wechat)])
}

fn after_sales() -> Definition {
    let won = || TriggerEvent::StageEntered("won".into());
    let order = Trigger::Event { event: TriggerEvent::OrderRecorded, delay_days: 60 };
    definition(vec![
        step("thanks", "Thank for signing", Trigger::Event { event: won(), delay_days: 1 }, Channel::Phone),
        step("use", "Ask for first impressions", Trigger::Event { event: won(), delay_days: 14 }, Channel::Phone),
        step("repurchase", "Repurchase window", order, Channel::Phone),
    ])
}

fn definition(steps: Vec<Step>) -> Definition {
    Definition {
        segment: SegmentId::from_uuid(uuid::Uuid::nil()),
        lent: vec![Layer::Basic, Layer::Sensitive, Layer::History],
        calendar: None,
        zone: None,
        steps,
        results: results(),
        asks_satisfaction: true,
        follow_on: None,
        issue_lent: Vec::new(),
    }
}

fn step(key: &str, name: &str, trigger: Trigger, channel: Channel) -> Step {
    Step {
        key: key.into(),
        name: name.into(),
        grades: Vec::new(),
        stages: Vec::new(),
        trigger,
        channel,
        time_of_day: NaiveTime::from_hms_opt(9, 0, 0).unwrap_or_default(),
        due_within_minutes: WORKDAY,
        reminders: Reminders {
            at_open: true,
            before_minutes: vec![60],
            at_due: true,
            overdue_after_minutes: Some(60),
            escalate_after_minutes: Some(WORKDAY),
        },
        scripts: vec![Script { tags: Vec::new(), text: "{{name}}，您好！最近使用情况怎么样？".into() }],
        roll: Roll::Forward,
        gap: Gap::Shift,
        fold: Fold::First,
    }
}

fn results() -> Vec<ResultRule> {
    let rule = |key: &str, name: &str, success: bool, next: Option<u32>| ResultRule {
        key: key.into(),
        name: name.into(),
        success,
        sensitive: false,
        next_contact_days: next,
        ends_enrolment: false,
    };
    vec![
        rule("reached", "Reached", true, None),
        rule("interested", "Interested", true, Some(3)),
        rule("no_answer", "No answer", false, Some(1)),
        ResultRule { ends_enrolment: true, ..rule("refused", "Refused", false, None) },
        ResultRule { ends_enrolment: true, ..rule("closed_won", "Signed", true, None) },
        ResultRule { sensitive: true, ..rule("complaint", "Complaint", false, Some(1)) },
    ]
}
