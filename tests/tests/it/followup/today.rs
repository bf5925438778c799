//! A person's day: what is open, and what is planned to begin, for whoever answers for the customer now.

use revisit_core::id::CustomerId;
use revisit_proto::followup::v1 as pb;

use super::support::{Company, in_each_company, shanghai, wire};

async fn next_contact(company: &Company, customer: CustomerId, title: &str, due: &str) {
    let request = pb::CreateTaskRequest {
        kind: pb::TaskKind::NextContact.into(),
        title: title.into(),
        customer_id: customer.to_string(),
        due_time: wire(shanghai(due)),
        channel: pb::Channel::Phone.into(),
        ..Default::default()
    };
    let create = async || company.tasks().create_task(company.by("rep", request.clone())).await;
    company.freshly(create).await.expect("a task");
}

/// Titles of a person's day as somebody sees it.
async fn day(company: &Company, asking: &str, person: &str) -> Vec<String> {
    let request = pb::ListTodayTasksRequest { assignee_id: company.who(person).to_string(), ..Default::default() };
    let list = async || company.tasks().list_today_tasks(company.by(asking, request.clone())).await;
    company.freshly(list).await.expect("a day").tasks.into_iter().map(|task| task.title).collect()
}

#[tokio::test]
async fn a_day_names_what_is_open_and_what_begins_later_for_who_owns_the_customer_now() {
    in_each_company(async |company: &Company| {
        let (one, other) = (company.customer("rep").await, company.customer("rep").await);
        company.settle().await;
        next_contact(company, one, "call about the sample", "2026-03-03T15:00").await;
        next_contact(company, other, "visit the shop", "2026-03-03T16:00").await;
        next_contact(company, one, "not before Thursday", "2026-03-05T15:00").await;
        let to_do = pb::CreateTaskRequest {
            kind: pb::TaskKind::Todo.into(),
            title: "send the catalogue".into(),
            due_time: wire(shanghai("2026-03-02T17:00")),
            ..Default::default()
        };
        company.tasks().create_task(company.by("rep", to_do)).await.expect("a to-do");
        let planned = company.list("rep", &[pb::TaskState::Scheduled]).await;
        assert_eq!(planned.len(), 3, "none of the contacts has begun");
        let all = ["send the catalogue", "call about the sample", "visit the shop"];
        assert_eq!(day(company, "rep", "rep").await, all);
        company.change_owner(one, 2, "colleague").await;
        assert_eq!(day(company, "rep", "rep").await, ["send the catalogue", "visit the shop"]);
        assert_eq!(day(company, "colleague", "colleague").await, ["call about the sample"]);
        assert_eq!(day(company, "manager", "colleague").await, ["call about the sample"]);
        company.advance_to_local("2026-03-02T15:30").await;
        assert_eq!(company.list("colleague", &[pb::TaskState::Open]).await.len(), 1, "it has begun");
        assert_eq!(day(company, "colleague", "colleague").await, ["call about the sample"]);
        assert_eq!(day(company, "rep", "rep").await, ["send the catalogue", "visit the shop"]);
    })
    .await;
}
