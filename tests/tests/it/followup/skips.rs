//! Occurrences that are left out: each is a row with its reason, and the plan goes on behind it.

use revisit_core::id::SegmentId;
use revisit_proto::followup::v1 as pb;

use revisit_tests::meter::Meter;

use super::support::{Company, in_each_company, instant, shanghai};

/// A plan that goes by fixed dates, every day at a local time of a zone.
async fn daily(company: &Company, zone: &str, time_of_day: &str, gap: pb::GapPolicy) {
    let segment: SegmentId = company.new_id();
    let cadence = pb::CadenceTrigger {
        every: 1,
        unit: pb::CadenceUnit::Day.into(),
        anchor: pb::CadenceAnchor::FixedDates.into(),
        start_date: "2026-03-02".into(),
        first_after_days: None,
    };
    company
        .publish_changed("grade_a_weekly", segment, |definition| {
            definition.time_zone = zone.into();
            definition.steps.truncate(1);
            let step = &mut definition.steps[0];
            step.trigger = Some(pb::Trigger { kind: Some(pb::trigger::Kind::Cadence(cadence.clone())) });
            step.time_of_day = time_of_day.into();
            step.roll = pb::Roll::None.into();
            step.gap = gap.into();
        })
        .await;
    company.enter(segment, company.facts(company.new_id(), 1, "rep"), 1).await;
    company.settle().await;
}

async fn left_out(company: &Company) -> Vec<(String, String)> {
    let mut found: Vec<_> = company
        .list("rep", &[pb::TaskState::Cancelled])
        .await
        .into_iter()
        .map(|task| (task.nominal_local_time, task.reason))
        .collect();
    found.sort();
    found
}

/// For what an idle engine does by itself within half a second.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);

#[tokio::test]
async fn a_local_time_that_does_not_exist_is_left_out_with_its_reason() {
    in_each_company(async |company: &Company| {
        // On 8 March 2026 clocks in New York go from two to three.
        daily(company, "America/New_York", "02:30", pb::GapPolicy::Skip).await;
        company.advance_to(shanghai("2026-03-07T16:00")).await;
        assert_eq!(
            left_out(company).await,
            [("2026-03-08T02:30".to_owned(), "the local time does not exist on that day".to_owned())]
        );
        let next = company.list("rep", &[pb::TaskState::Scheduled]).await;
        assert_eq!(instant(next[0].open_time), shanghai("2026-03-09T14:30"), "02:30 in summer time");
        company.assert_timers_fit().await;
    })
    .await;
}

#[tokio::test]
async fn operators_see_how_late_the_engine_is_and_what_it_has_left_out() {
    let meter = Meter::set();
    in_each_company(async |company: &Company| {
        daily(company, "Asia/Shanghai", "09:00", pb::GapPolicy::Shift).await;
        // Nobody fires for five days.
        company.clock.set_wall(shanghai("2026-03-07T12:00"));
        company.settle().await;
        let days = |days: u32| f64::from(days * 86_400);
        assert!(
            meter.value("followup.fire.lateness").is_some_and(|late| late >= days(4)),
            "the first was due days ago"
        );
        assert!(meter.value("followup.skipped{coalesced}").is_some_and(|count| count >= 5.0), "each that was left out");
        // The engine says so at its next look, which no call waits for.
        let nothing_waits = async {
            while meter.value("followup.oldest_due.millis{timer}") != Some(0.0) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, nothing_waits).await.expect("nothing waits any more");
        assert!(meter.value("outbox.relay.gap").is_none_or(|gap| gap > 0.0));
    })
    .await;
}

#[tokio::test]
async fn what_was_missed_goes_together_with_the_next_one_and_each_says_so() {
    in_each_company(async |company: &Company| {
        daily(company, "Asia/Shanghai", "09:00", pb::GapPolicy::Shift).await;
        assert_eq!(left_out(company).await, [], "the day of the entry has missed nothing");
        // Nobody fires for five days.
        company.clock.set_wall(shanghai("2026-03-07T12:00"));
        company.settle().await;
        let missed = "it was missed and goes together with the next one".to_owned();
        let days = ["03", "04", "05", "06", "07"].map(|day| (format!("2026-03-{day}T09:00"), missed.clone()));
        assert_eq!(left_out(company).await, days);
        let next = company.list("rep", &[pb::TaskState::Scheduled]).await;
        assert_eq!((next.len(), instant(next[0].open_time)), (1, shanghai("2026-03-08T09:00")));
        assert_eq!(company.list("rep", &[pb::TaskState::Open]).await.len(), 1, "one is worked on");
        assert_eq!(company.heard::<revisit_proto::followup::v1::TaskClosed>().await, [], "nobody had begun them");
        company.assert_timers_fit().await;
    })
    .await;
}
