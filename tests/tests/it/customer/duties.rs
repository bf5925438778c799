//! Nobody is without an owner for long, and what was moved by mistake is moved back.

use std::time::Duration;

use revisit_bootstrap::status::answer;
use revisit_core::Kind;
use revisit_permission::{Action, Layer, Level, Levels};
use revisit_proto::{
    customer::v1 as pb,
    identity::v1::{PreviewHandOverRequest, customer_hand_over_client::CustomerHandOverClient},
};

use super::{
    person,
    support::{Office, Seat, everywhere, in_each_office},
};

async fn several(owner: &Seat, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for number in 0..count {
        let name = format!("客户{}{number}", owner.id);
        let row = pb::Customer { name, contact_points: Vec::new(), ..person("", "") };
        ids.push(owner.create(row).await.expect("made").customer_id);
    }
    ids
}

/// Result and reason of each row of a job that has come to its end.
async fn ended(office: &Office, who: &Seat, job_id: &str) -> Vec<(String, String, String)> {
    office.settle().await;
    let request = pb::GetBulkTransferRequest { job_id: job_id.to_owned() };
    let job = answer(who.ownership().get_bulk_transfer(request).await).expect("the job");
    assert_eq!(job.state, pb::JobState::Done as i32);
    let request = pb::ListBulkTransferRowsRequest { job_id: job_id.to_owned(), page_size: 100, ..Default::default() };
    let rows = answer(who.ownership().list_bulk_transfer_rows(request).await).expect("rows").rows;
    assert_eq!(rows.len() as i64, job.moved_count + job.refused_count);
    rows.into_iter().map(|row| (row.customer_id, row.result, row.reason)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bulk_transfer_is_undone_except_for_what_has_changed_hands_since() {
    in_each_office(async |office: &Office| {
        let (rep, colleague, director) = (office.seat("rep"), office.seat("colleague"), office.seat("director"));
        let mut ids = several(&rep, 3).await;
        ids.extend(several(&colleague, 1).await);
        let request = pb::CreateBulkTransferRequest {
            customer_ids: ids.clone(),
            owner_id: office.who("outsider").to_string(),
            ..Default::default()
        };
        let job = answer(director.ownership().create_bulk_transfer(request).await).expect("a job");
        assert!(ended(office, &director, &job.job_id).await.iter().all(|(_, result, _)| result == "moved"));
        let moved = director.get(&ids[0]).await.expect("there");
        assert_eq!(moved.department_id, office.branch.to_string(), "the department of record goes along");
        let request = pb::TransferCustomerRequest {
            customer_id: ids[2].clone(),
            owner_id: office.who("colleague").to_string(),
            ..Default::default()
        };
        answer(director.ownership().transfer_customer(request).await).expect("moved on by hand");
        let undo = pb::UndoBulkTransferRequest { job_id: job.job_id.clone(), ..Default::default() };
        let denied = answer(rep.ownership().undo_bulk_transfer(undo.clone()).await).expect_err("not a seller's call");
        assert_eq!(denied.reason, "JOB_NOT_FOUND");
        let back = answer(director.ownership().undo_bulk_transfer(undo.clone()).await).expect("a job");
        assert_eq!((back.undone_job_id.as_str(), back.owner_id.as_str()), (job.job_id.as_str(), ""));
        let rows = ended(office, &director, &back.job_id).await;
        let refused: Vec<_> = rows.iter().filter(|(_, result, _)| result == "refused").collect();
        assert_eq!(refused, [&(ids[2].clone(), "refused".to_owned(), "OWNER_CHANGED".to_owned())]);
        for (id, owner) in [(&ids[0], &rep), (&ids[1], &rep), (&ids[2], &colleague), (&ids[3], &colleague)] {
            let row = director.get(id).await.expect("there");
            assert_eq!(row.owner_id, owner.id.to_string());
            if *id != ids[2] {
                assert_eq!((row.department_id, row.ownership_epoch), (office.store.to_string(), 3));
            }
        }
        let again = answer(director.ownership().undo_bulk_transfer(undo).await).expect("a job");
        let rows = ended(office, &director, &again.job_id).await;
        assert!(rows.iter().all(|(_, _, reason)| reason == "OWNER_CHANGED"), "once is enough: {rows:?}");
        let groups = office.heard::<pb::OwnerChanged>().await;
        let of_job = groups.iter().filter(|it| it.audit_group_id == back.job_id).count();
        assert_eq!(of_job, 3, "one audit group for all rows of a job");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_of_a_leaver_are_counted_named_to_who_may_view_them_and_given_to_the_living() {
    in_each_office(async |office: &Office| {
        let (rep, manager, boss) = (office.seat("rep"), office.seat("manager"), office.seat("boss"));
        let mut orphans = several(&rep, 2).await;
        orphans.sort();
        let churned = several(&rep, 1).await.pop().expect("one");
        office.seat("director").move_stage(&churned, "churned").await.expect("moved");
        several(&office.seat("colleague"), 1).await;
        let assign = |customer: &str, owner: &str| pb::AssignCustomerRequest {
            customer_id: customer.to_owned(),
            owner_id: office.who(owner).to_string(),
            ..Default::default()
        };
        let owned = answer(manager.ownership().assign_customer(assign(&orphans[0], "colleague")).await);
        assert_eq!(owned.expect_err("its owner lives").reason, "HAS_OWNER");
        // Counts and names nobody: an analyst.
        let counts = everywhere(&[Action::CustomerAggregate], Levels::HIDDEN.with(Layer::Basic, Level::Read));
        office.grant("outsider", vec![counts]).await;
        let preview = PreviewHandOverRequest {
            tenant_id: office.identity.tenant.to_string(),
            user_id: rep.id.to_string(),
            ..Default::default()
        };
        let mut client = CustomerHandOverClient::new(office.inside());
        let dry = answer(client.preview_customer_hand_over(Office::by("identity", preview.clone())).await);
        let dry = dry.expect("what would move");
        let mut expected = [orphans.clone(), vec![churned.clone()]].concat();
        expected.sort();
        assert_eq!((dry.count, dry.row_ids), (3, expected));
        let stranger = answer(client.preview_customer_hand_over(Office::by("followup", preview)).await);
        assert_eq!(stranger.expect_err("identity's call").reason, "INTERNAL_CALL");
        office.leaves("rep").await;
        office.advance(Duration::from_hours(1)).await;
        office.until("SELECT coalesce(max(orphan_count), 0) AS n FROM orphan_report", 2).await;
        let report = async |who: &Seat| answer(who.ownership().get_orphan_report(pb::GetOrphanReportRequest {}).await);
        let told = report(&boss).await.expect("counts");
        assert_eq!(told.orphan_count, 2, "the churned one needs nobody");
        assert_eq!(told.customer_ids, orphans);
        let told = report(&office.seat("outsider")).await.expect("counts");
        assert_eq!((told.orphan_count, told.customer_ids), (2, Vec::new()), "a count, and no row that he may not view");
        assert_eq!(report(&manager).await.expect_err("counts her store only").kind, Kind::Denied);
        let denied =
            answer(office.seat("colleague").ownership().assign_customer(assign(&orphans[0], "colleague")).await);
        assert!(denied.is_err_and(|it| it.kind == Kind::NotFound), "what he may not view is not there");
        let inactive = answer(manager.ownership().assign_customer(assign(&orphans[0], "rep")).await);
        assert_eq!(inactive.expect_err("he has left").reason, "OWNER_INACTIVE");
        for orphan in &orphans {
            let given = answer(manager.ownership().assign_customer(assign(orphan, "colleague")).await).expect("given");
            assert_eq!(given.owner_id, office.who("colleague").to_string());
            office.seat("colleague").get(orphan).await.expect("in the same commit");
        }
        office.advance(Duration::from_hours(1)).await;
        office.until("SELECT orphan_count AS n FROM orphan_report", 0).await;
    })
    .await;
}
