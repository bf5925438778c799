//! Who is responsible: visibility moves at the commit, many move as a job.

use revisit_bootstrap::status::answer;
use revisit_core::Kind;
use revisit_proto::customer::v1 as pb;
use revisit_tests::world::{World, in_each_world};

use super::{create, get, list, person};

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_moves_visibility_owner_department_and_epoch_together() {
    in_each_world(async |world: &World| {
        let east = world.department("华东大区", &world.root).await;
        let (xuhui, xihu) = (world.department("徐汇店", &east).await, world.department("西湖店", &east).await);
        let director = world.hire("han", "regional_manager", &east).await;
        let jun = world.hire("jun", "sales_rep", &xuhui).await;
        let mei = world.hire("mei", "sales_rep", &xihu).await;
        let made = create(&jun, person("王芳", "13800001001")).await.expect("made");
        let request = pb::TransferCustomerRequest {
            customer_id: made.customer_id.clone(),
            owner_id: mei.id.to_string(),
            reason: "moved house".to_owned(),
            ..Default::default()
        };
        let denied = answer(jun.ownership().transfer_customer(request.clone()).await).expect_err("not a seller's call");
        assert_eq!(denied.kind, Kind::Denied);
        let moved = answer(director.ownership().transfer_customer(request).await).expect("moved");
        assert_eq!((moved.owner_id.as_str(), moved.ownership_epoch), (&*mei.id, 2));
        assert_eq!(moved.department_id, xihu);
        assert_eq!(get(&jun, &made.customer_id).await.map_err(|it| it.kind), Err(Kind::NotFound));
        assert!(get(&mei, &made.customer_id).await.is_ok());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bulk_transfer_has_a_result_for_every_row() {
    in_each_world(async |world: &World| {
        let east = world.department("华东大区", &world.root).await;
        let director = world.hire("han", "regional_manager", &east).await;
        let jun = world.hire("jun", "sales_rep", &east).await;
        let mei = world.hire("mei", "sales_rep", &east).await;
        let mut customer_ids = vec!["0190a0a0-0000-7000-8000-000000000001".to_owned()];
        for number in 0..7 {
            let made = create(&jun, person("王芳", &format!("1380000100{number}"))).await.expect("made");
            customer_ids.push(made.customer_id);
        }
        let request =
            pb::CreateBulkTransferRequest { customer_ids, owner_id: mei.id.to_string(), ..Default::default() };
        let job = answer(director.ownership().create_bulk_transfer(request).await).expect("a job");
        world.settle().await;
        let request = pb::GetBulkTransferRequest { job_id: job.job_id.clone() };
        let done = answer(director.ownership().get_bulk_transfer(request).await).expect("the job");
        assert_eq!(done.state, pb::JobState::Done as i32);
        assert_eq!((done.total_count, done.moved_count, done.refused_count), (8, 7, 1));
        let request = pb::ListBulkTransferRowsRequest { job_id: job.job_id, ..Default::default() };
        let rows = answer(director.ownership().list_bulk_transfer_rows(request).await).expect("rows").rows;
        let refused: Vec<_> = rows.iter().filter(|row| row.result == "refused").map(|row| &row.reason).collect();
        assert_eq!(refused, ["CUSTOMER_NOT_FOUND"]);
        assert_eq!(list(&mei, "", 100).await.expect("a list").len(), 7);
        assert!(list(&jun, "", 100).await.expect("a list").is_empty());
    })
    .await;
}
