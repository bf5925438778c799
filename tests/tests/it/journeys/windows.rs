//! A time that ends before it begins is refused by its field: an empty answer would look like a finding.

use revisit_bootstrap::status::answer;
use revisit_core::{Failure, Kind};
use revisit_proto::{followup::v1 as followup, identity::v1 as identity, notification::v1 as notification};
use revisit_tests::world::{World, in_each_world};

fn refused<T: std::fmt::Debug>(answered: Result<T, Failure>, field: &str) {
    let failure = answered.expect_err("it ends before it begins");
    assert_eq!(failure.kind, Kind::Invalid, "{failure:?}");
    let named: Vec<_> = failure.violations.iter().map(|it| it.field.as_str()).collect();
    assert_eq!(named, [field]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_that_ends_before_it_begins_is_refused_everywhere() {
    in_each_world(async |world: &World| {
        let shen = world.hire("shen", "auditor", &world.root).await;
        let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
        for (start_time, end_time) in [(at(2_000), at(1_000)), (at(2_000), at(2_000))] {
            let entries = identity::ListEntriesRequest { start_time, end_time, ..Default::default() };
            refused(answer(shen.audit().list_entries(entries.clone()).await), "end_time");
            let export = identity::ExportEntriesRequest { filter: Some(entries), ..Default::default() };
            let export = answer(shen.audit().export_entries(export).await);
            let export = match export {
                Ok(mut pieces) => answer(pieces.message().await.map(tonic::Response::new)).map(drop),
                Err(failure) => Err(failure),
            };
            let named = export.expect_err("it ends before it begins").violations;
            assert!(named.iter().any(|it| it.field == "filter.end_time"), "{named:?}");
            let resource_id = shen.id.to_string();
            let readers = identity::ListReadersRequest { resource_id, start_time, end_time };
            refused(answer(shen.audit().list_readers(readers).await), "end_time");
            let tasks = followup::ListTasksRequest {
                due_after_time: start_time,
                due_before_time: end_time,
                ..Default::default()
            };
            refused(answer(world.admin.tasks().list_tasks(tasks).await), "due_before_time");
            let filter =
                notification::DeliveryFilter { from_time: start_time, until_time: end_time, ..Default::default() };
            let list = notification::ListDeliveriesRequest { filter: Some(filter.clone()), ..Default::default() };
            refused(answer(world.admin.deliveries().list_deliveries(list).await), "filter.until_time");
            let count = notification::CountDeliveriesRequest { filter: Some(filter) };
            refused(answer(world.admin.deliveries().count_deliveries(count).await), "filter.until_time");
        }
    })
    .await;
}
