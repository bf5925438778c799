//! A task for a customer who was made a moment ago: the news of it is waited for, a short time.

use std::time::Duration;

use revisit_core::id::CustomerId;
use revisit_proto::{customer::v1 as customer, followup::v1 as pb};
use tonic::{Code, Response, Status};

use super::support::{Company, in_each_company, reason, wire};

/// Within this time what does not wait has answered, and what waits has not.
const AT_ONCE: Duration = Duration::from_millis(300);
/// Within this time every call has answered.
const AT_LAST: Duration = Duration::from_secs(5);

async fn plan(company: &Company, id: &str) -> Result<Response<pb::Task>, Status> {
    let request = pb::CreateTaskRequest {
        kind: pb::TaskKind::NextContact.into(),
        title: "ring about the offer".into(),
        customer_id: id.to_owned(),
        due_time: wire(company.now() + Duration::from_hours(24)),
        channel: pb::Channel::Phone.into(),
        ..Default::default()
    };
    company.tasks().create_task(company.by("rep", request)).await
}

#[tokio::test]
async fn a_customer_who_was_made_a_moment_ago_is_waited_for() {
    in_each_company(async |company: &Company| {
        let id: CustomerId = company.fresh_id();
        let name = id.to_string();
        let mut planned = std::pin::pin!(plan(company, &name));
        assert!(tokio::time::timeout(AT_ONCE, &mut planned).await.is_err(), "the news is on its way");
        let created = customer::CustomerCreated { facts: Some(company.facts(id, 1, "rep")) };
        company.event("customer", id.uuid(), &created).await;
        let task = planned.await.expect("the news has come").into_inner();
        assert_eq!(task.customer_id, name);
    })
    .await;
}

#[tokio::test]
async fn a_customer_who_was_never_made_is_not_waited_for_long_and_an_old_id_not_at_all() {
    in_each_company(async |company: &Company| {
        let name = company.fresh_id::<revisit_core::id::kind::Customer>().to_string();
        let never = tokio::time::timeout(AT_LAST, plan(company, &name)).await.expect("an answer");
        let never = never.expect_err("there is none");
        assert_eq!((never.code(), reason(&never)), (Code::NotFound, "CUSTOMER_NOT_FOUND"));
        let old = plan(company, "0190a0a0-0000-7000-8000-000000000001");
        let old = tokio::time::timeout(AT_ONCE, old).await.expect("at once").expect_err("there is none");
        assert_eq!((old.code(), reason(&old)), (Code::NotFound, "CUSTOMER_NOT_FOUND"));
    })
    .await;
}
