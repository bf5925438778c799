//! What differs from customer to customer in one plan: dates, words, reminders.

use revisit_core::id::SegmentId;
use revisit_proto::{customer::v1 as customer, followup::v1 as pb};

use super::support::{Company, in_each_company, instant, shanghai};

/// A step that follows customers up every so many weeks or months, with its own words.
fn step(like: &pb::Step, key: &str, unit: pb::CadenceUnit, words: &str) -> pb::Step {
    let cadence = pb::CadenceTrigger {
        every: 1,
        unit: unit.into(),
        anchor: pb::CadenceAnchor::LastCompleted.into(),
        ..Default::default()
    };
    pb::Step {
        key: key.into(),
        trigger: Some(pb::Trigger { kind: Some(pb::trigger::Kind::Cadence(cadence)) }),
        scripts: vec![pb::Script { tags: Vec::new(), text: words.into() }],
        ..like.clone()
    }
}

#[tokio::test]
async fn customers_of_another_grade_or_stage_get_other_dates_words_and_reminders() {
    in_each_company(async |company: &Company| {
        let segment: SegmentId = company.new_id();
        company
            .publish_changed("grade_a_weekly", segment, |plan| {
                let like = plan.steps[0].clone();
                let mut often = step(&like, "often", pb::CadenceUnit::Week, "what do you think of it?");
                often.grades = vec!["A".into()];
                let mut seldom = step(&like, "seldom", pb::CadenceUnit::Month, "how does it run?");
                (seldom.stages, seldom.due_within_minutes) = (vec!["won".into()], 450);
                seldom.reminders.as_mut().expect("it ships with some").before_minutes = vec![60];
                plan.steps = vec![often, seldom];
            })
            .await;
        let (new, bought) = (company.new_id(), company.new_id());
        company.enter(segment, company.facts(new, 1, "rep"), 1).await;
        let won = customer::CustomerFacts { stage: "won".into(), grade: "C".into(), ..company.facts(bought, 1, "rep") };
        company.enter(segment, won, 1).await;
        company.advance_to_local("2026-04-02T18:00").await;

        let mut seen = Vec::new();
        for task in company.list("rep", &[pb::TaskState::Open]).await {
            let request = pb::GetScriptRequest { task_id: task.task_id.clone() };
            let words = company.tasks().get_script(company.by("rep", request)).await.expect("words").into_inner().text;
            seen.push((task.customer_id, instant(task.open_time), instant(task.due_time), words));
        }
        let at = |open: &str, due: &str| (shanghai(open), shanghai(due));
        let (first, second) = (at("2026-03-09T09:00", "2026-03-10T18:00"), at("2026-04-02T09:00", "2026-04-02T18:00"));
        let expected = [
            (new.to_string(), first.0, first.1, "what do you think of it?".to_owned()),
            (bought.to_string(), second.0, second.1, "how does it run?".to_owned()),
        ];
        assert_eq!(seen, expected);
        let reminders = company.heard::<pb::ReminderDue>().await;
        let before = |id: &str| {
            let of_customer = reminders.iter().filter(|one| one.customer_id == id);
            of_customer.filter(|one| one.kind() == pb::ReminderKind::Before).count()
        };
        assert_eq!((before(&new.to_string()), before(&bought.to_string())), (2, 1), "a day and an hour, or an hour");
    })
    .await;
}
