//! What is answered or done under several rights stands on all of them when it leaves, and not on those of its beginning.
//! On PostgreSQL alone, where a lock makes the wait.

use std::{future::Future, time::Duration};

use futures::{FutureExt, future::LocalBoxFuture};
use revisit_bootstrap::status::{answer, failure};
use revisit_core::Kind;
use revisit_permission::{Action, Levels};
use revisit_proto::customer::v1 as pb;
use revisit_tests::{
    databases::Backend,
    held::{Held, while_held},
};
use tonic::{Response, Status};

use super::{
    person, point,
    support::{Office, everywhere},
};

/// What a call answers when this happens while it waits.
fn held<'a, T>(
    office: &'a Office,
    what: impl Into<Held<'a>> + 'a,
    call: impl Future<Output = Result<Response<T>, Status>> + 'a,
    happening: impl Future<Output = ()> + 'a,
) -> LocalBoxFuture<'a, Result<T, Status>> {
    let connections = (&office.database.writer, &office.database.reader);
    async move { while_held(connections, what, call, happening).await.map(Response::into_inner) }.boxed_local()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_is_not_shown_after_the_right_to_view_it_ended_while_others_were_counted() {
    let office = Office::start(Backend::Postgres, "").await;
    let (rep, colleague) = (office.seat("rep"), office.seat("colleague"));
    rep.create(person("王芳", "13800001001")).await.expect("made");
    colleague.create(person("李强", "13800001002")).await.expect("made");
    let question = pb::CheckDuplicatesRequest {
        contact_points: ["13800001001", "13800001002"].map(|it| point(pb::ContactType::Phone, it)).to_vec(),
        ..Default::default()
    };
    let mut customers = rep.customers();
    let told = answer(customers.check_duplicates(question.clone()).await).expect("an answer").matches;
    let shown = told.iter().filter(|it| it.customer.is_some()).count();
    assert_eq!((told.len(), shown), (2, 1), "one's own is read before the other is counted");
    // The entry about the other is written after the own one was read.
    let entry = Held { table: "outbox", statement: "SELECT s.shard, (SELECT o.position" };
    let gone = office.deny("rep", Action::CustomerView);
    let told = held(&office, entry, customers.check_duplicates(question), gone).await;
    let refused = failure(&told.expect_err("it was shown all the same"));
    assert_eq!((refused.kind, refused.reason), (Kind::Unavailable, "LEASE_EXPIRED"), "{refused:?}");
    office.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orphans_are_not_counted_after_the_right_to_count_ended_while_they_were_read() {
    let office = Office::start(Backend::Postgres, "").await;
    office.grant("director", vec![everywhere(&[Action::CustomerAggregate], Levels::READ)]).await;
    office.seat("rep").create(person("王芳", "13800001001")).await.expect("made");
    office.leaves("rep").await;
    office.advance(Duration::from_hours(1)).await;
    office.until("SELECT coalesce(max(orphan_count), 0) AS n FROM orphan_report", 1).await;
    let mut ownership = office.seat("director").ownership();
    let report = answer(ownership.get_orphan_report(pb::GetOrphanReportRequest {}).await).expect("a report");
    assert_eq!((report.orphan_count, report.customer_ids.len()), (1, 1));
    let gone = office.deny("director", Action::CustomerAggregate);
    let call = ownership.get_orphan_report(pb::GetOrphanReportRequest {});
    let refused = held(&office, "contact_point", call, gone).await.expect_err("it was counted all the same");
    let refused = failure(&refused);
    assert_eq!((refused.kind, refused.reason), (Kind::Denied, "PERMISSION_DENIED"), "{refused:?}");
    office.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bulk_transfer_moves_nothing_after_the_right_to_it_ended_while_it_was_written() {
    let office = Office::start(Backend::Postgres, "").await;
    let customer_id = office.seat("rep").create(person("王芳", "13800001001")).await.expect("made").customer_id;
    office.settle().await;
    let order = pb::CreateBulkTransferRequest {
        customer_ids: vec![customer_id.clone()],
        owner_id: office.who("outsider").to_string(),
        ..Default::default()
    };
    let director = office.seat("director");
    let moved = async {
        let order = director.ownership().create_bulk_transfer(order).await;
        office.settle().await;
        order
    };
    // What was is kept by who writes what will be.
    held(&office, "customer_past", moved, office.deny("director", Action::CustomerTransfer)).await.expect("a job");
    let owner = office.seat("boss").get(&customer_id).await.expect("there").owner_id;
    assert_eq!(owner, office.who("rep").to_string());
    assert_eq!(office.number("SELECT moved_count AS n FROM transfer_job").await, 0);
    office.stop().await;
}
