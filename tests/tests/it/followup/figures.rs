//! Figures beside what the events alone say.

use std::collections::BTreeMap;

use revisit_core::id::SegmentId;
use revisit_proto::followup::v1 as pb;

use super::support::{Company, in_each_company, shanghai, wire};

/// Due, on time, late, overdue: of each person.
type Rates = BTreeMap<String, (i64, i64, i64, i64)>;

/// Worked out by somebody who has heard the events and knows nothing else.
async fn by_events(company: &Company) -> Rates {
    let opened = company.heard::<pb::TaskOpened>().await;
    let closed = company.heard::<pb::TaskClosed>().await;
    let mut newest: BTreeMap<String, pb::TaskOpened> = BTreeMap::new();
    for told in opened {
        let known = newest.entry(told.task_id.clone()).or_insert_with(|| told.clone());
        if known.generation <= told.generation {
            *known = told;
        }
    }
    let mut rates = Rates::new();
    for (task, opened) in newest {
        let end = closed.iter().find(|one| one.task_id == task);
        let account = end.map_or(opened.account, |end| end.account.clone()).expect("it says whose it is");
        if account.due_time_micros > company.now().micros() || end.is_some_and(|end| !end.done) {
            continue;
        }
        let rate = rates.entry(account.assignee_id).or_default();
        rate.0 += 1;
        match end {
            Some(end) if end.time_micros <= account.due_time_micros => rate.1 += 1,
            Some(_) => rate.2 += 1,
            None => rate.3 += 1,
        }
    }
    rates
}

#[tokio::test]
async fn on_time_rates_can_be_worked_out_from_the_events_alone() {
    in_each_company(async |company: &Company| {
        let segment: SegmentId = company.new_id();
        company.publish("grade_a_weekly", segment).await;
        for owner in ["rep", "rep", "rep", "rep", "colleague"] {
            company.enter(segment, company.facts(company.new_id(), 1, owner), 1).await;
        }
        company.advance_to_local("2026-03-09T10:00").await;
        let open = company.list("rep", &[pb::TaskState::Open]).await;
        let complete = async |task: &pb::Task| {
            let (task_id, channel) = (task.task_id.clone(), pb::Channel::Phone.into());
            let done = pb::CompleteTaskRequest { task_id, channel, result: "reached".into(), ..Default::default() };
            company.tasks().complete_task(company.by("rep", done)).await.expect("done");
        };
        complete(&open[0]).await;
        let (task_id, reason) = (open[1].task_id.clone(), "nothing to say".into());
        let cancel = pb::CancelTaskRequest { task_id, reason, ..Default::default() };
        company.tasks().cancel_task(company.by("manager", cancel)).await.expect("it is called off");
        let (task_id, assignee_id) = (open[2].task_id.clone(), company.who("colleague").to_string());
        let given = pb::ReassignTaskRequest { task_id, assignee_id, ..Default::default() };
        company.tasks().reassign_task(company.by("manager", given)).await.expect("it is given");
        company.advance_to_local("2026-03-11T10:00").await;
        complete(&open[3]).await;

        let request = pb::GetFiguresRequest {
            start_time: wire(shanghai("2026-03-09T00:00")),
            end_time: wire(shanghai("2026-03-11T00:00")),
            group_by: pb::FigureGroup::Person.into(),
            ..Default::default()
        };
        let told = company.metrics().get_figures(company.by("boss", request)).await.expect("figures").into_inner();
        let told = told.figures.into_iter();
        let told: Rates = told
            .map(|row| (row.group, (row.due_count, row.on_time_count, row.late_count, row.overdue_count)))
            .collect();
        let of = |who: &str| company.who(who).to_string();
        let expected = Rates::from([(of("rep"), (2, 1, 1, 0)), (of("colleague"), (2, 0, 0, 2))]);
        assert_eq!(by_events(company).await, expected);
        assert_eq!(told, expected);
    })
    .await;
}
