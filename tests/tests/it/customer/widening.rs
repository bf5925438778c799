//! Nobody gives himself more of a customer by changing it, and nobody hands over what he may only look at.

use revisit_bootstrap::{status::answer, wire};
use revisit_core::Kind;
use revisit_permission::{
    Action, ActionSet, Change, Effect, Exceptions, Extent, Guard, Layer, Level, Levels, RowCondition, Template, Whom,
};
use revisit_proto::customer::v1 as pb;
use revisit_tests::rights::guard;

use super::{
    fields, person,
    support::{Office, in_each_office},
};

fn template(actions: &[Action], extent: Extent, levels: Levels) -> Template {
    Template { actions: ActionSet::of(actions), extent, stages: None, grades: None, external: None, levels }
}

/// Contact values of these rows are masked for all but their owner.
async fn mask(office: &Office, condition: RowCondition) {
    let masked = Effect::Cap(Levels::WRITE.with(Layer::Sensitive, Level::Masked));
    let except = Exceptions { owner: true, managers: false, subjects: Vec::new() };
    let guard = Guard { except, condition, ..guard(Whom::Everyone, &[Action::CustomerView], masked) };
    office.commit(vec![Change::Guard(guard)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_is_not_lifted_by_writing_what_it_goes_by() {
    in_each_office(async |office: &Office| {
        let (rep, manager) = (office.seat("rep"), office.seat("manager"));
        let vip = pb::Customer { vip: true, ..person("王芳", "13800001001") };
        let vip = rep.create(vip).await.expect("made").customer_id;
        mask(office, RowCondition { vip: true, ..RowCondition::default() }).await;
        let lifted = pb::Customer { customer_id: vip.clone(), vip: false, ..Default::default() };
        let refused = manager.update(lifted.clone(), &["vip"]).await.expect_err("it binds the manager");
        assert_eq!((refused.kind, refused.reason), (Kind::Precondition, "APPROVAL_REQUIRED"));
        let seen = manager.ask(&vip).await.expect("in reach");
        assert!(seen.vip && seen.contact_points[0].value == "138****1001", "{seen:?}");
        let named = pb::Customer { customer_id: vip.clone(), city: "上海".to_owned(), ..Default::default() };
        manager.update(named, &["city"]).await.expect("what no guard goes by is free");
        let done = rep.update(lifted, &["vip"]).await.expect("it gives its owner nothing");
        assert!(!done.vip);
        let changed = office.audited("customer.update").await;
        let by: Vec<_> = changed.iter().map(|entry| (&entry.subject_id, entry.fields.join(" "))).collect();
        let (one, other) = (manager.id.to_string(), rep.id.to_string());
        assert!(by.len() == 2 && by.contains(&(&one, "city".to_owned())) && by.contains(&(&other, "vip".to_owned())));
        assert!(changed.iter().all(|entry| !entry.witness.is_empty()), "by what right: {changed:?}");
        // To bind oneself is free.
        let bound = pb::Customer { customer_id: vip.clone(), vip: true, ..Default::default() };
        assert!(manager.update(bound, &["vip"]).await.expect("set").vip);
        // What is made for changing hands is decided by its own right.
        let request = pb::TransferCustomerRequest {
            customer_id: vip.clone(),
            owner_id: manager.id.to_string(),
            ..Default::default()
        };
        answer(manager.ownership().transfer_customer(request).await).expect("a leader takes it over");
        assert_eq!(manager.ask(&vip).await.expect("his").contact_points[0].value, "13800001001");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_a_stage_nor_an_order_gives_its_author_more_of_the_row() {
    in_each_office(async |office: &Office| {
        let rep = office.seat("rep");
        let customer_id = rep.create(person("王芳", "13800001001")).await.expect("made").customer_id;
        let see = |stages: &[&str], levels| Template {
            stages: Some(stages.iter().copied().collect()),
            ..template(&[Action::CustomerView, Action::CustomerStage], Extent::Tenant, levels)
        };
        let names = Levels::HIDDEN.with(Layer::Basic, Level::Write);
        let more = names.with(Layer::Sensitive, Level::Read);
        office.grant("finance", vec![see(&["lead"], names), see(&["contacted"], more)]).await;
        let finance = office.seat("finance");
        let refused = finance.move_stage(&customer_id, "contacted").await.expect_err("he would read the contacts");
        assert_eq!(refused.reason, "APPROVAL_REQUIRED");
        assert_eq!(rep.get(&customer_id).await.expect("his").stage, "lead");
        rep.move_stage(&customer_id, "contacted").await.expect("it gives the seller nothing");
        // The customers of grade C are masked; an order that makes an A of one would unmask it.
        let graded = RowCondition { grades: Some(["C"].into_iter().collect()), ..RowCondition::default() };
        mask(office, graded).await;
        let record = template(
            &[Action::CustomerOrderRecord, Action::CustomerView],
            Extent::Tenant,
            Levels::READ.with(Layer::Financial, Level::Write).with(Layer::Basic, Level::Write),
        );
        office.grant("marketing", vec![record]).await;
        let order = pb::Order {
            customer_id: customer_id.clone(),
            amount: Some(pb::Money { minor_units: 100_000_000, currency: "CNY".to_owned() }),
            place_time: Some(wire::time(office.now())),
            ..Default::default()
        };
        let request = pb::RecordOrderRequest { order: Some(order), ..Default::default() };
        let refused = answer(office.seat("marketing").orders().record_order(request).await);
        let grade = rep.get(&customer_id).await.expect("his").grade;
        assert_eq!((refused.map_err(|it| it.reason), grade.as_str()), (Err("APPROVAL_REQUIRED"), "C"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_only_look_hands_over_deletes_and_restores_nothing() {
    in_each_office(async |office: &Office| {
        let rep = office.seat("rep");
        let customer_id = rep.create(person("王芳", "13800001001")).await.expect("made").customer_id;
        let looks = Levels::HIDDEN.with(Layer::Basic, Level::Read);
        let actions = [Action::CustomerTransfer, Action::CustomerDelete, Action::CustomerRestore];
        office.grant("finance", vec![template(&actions, Extent::Tenant, looks)]).await;
        let (finance, director) = (office.seat("finance"), office.seat("director"));
        let transfer = pb::TransferCustomerRequest {
            customer_id: customer_id.clone(),
            owner_id: office.who("outsider").to_string(),
            ..Default::default()
        };
        let refused = answer(finance.ownership().transfer_customer(transfer.clone()).await).expect_err("below write");
        assert_eq!(refused.reason, "FIELD_NOT_WRITABLE");
        let bulk = pb::CreateBulkTransferRequest {
            customer_ids: vec![customer_id.clone()],
            owner_id: office.who("outsider").to_string(),
            ..Default::default()
        };
        let job = answer(finance.ownership().create_bulk_transfer(bulk).await).expect("a job");
        office.settle().await;
        let request = pb::ListBulkTransferRowsRequest { job_id: job.job_id, ..Default::default() };
        let rows = answer(finance.ownership().list_bulk_transfer_rows(request).await).expect("rows").rows;
        assert_eq!(rows[0].reason, "FIELD_NOT_WRITABLE");
        let delete = pb::DeleteCustomerRequest { customer_id: customer_id.clone(), ..Default::default() };
        let refused = answer(finance.customers().delete_customer(delete.clone()).await).expect_err("below write");
        assert_eq!(refused.reason, "FIELD_NOT_WRITABLE");
        answer(director.customers().delete_customer(delete).await).expect("deleted");
        let restore = pb::RestoreCustomerRequest { customer_id: customer_id.clone(), ..Default::default() };
        let refused = answer(finance.customers().restore_customer(restore.clone()).await).expect_err("below write");
        assert_eq!(refused.reason, "FIELD_NOT_WRITABLE");
        answer(director.customers().restore_customer(restore).await).expect("restored");
        let nowhere: revisit_core::id::DepartmentId = office.new_id();
        let writes = looks.with(Layer::Basic, Level::Write);
        office.grant("finance", vec![template(&actions, Extent::Tenant, writes)]).await;
        let transfer = pb::TransferCustomerRequest { department_id: nowhere.to_string(), ..transfer };
        let refused = answer(finance.ownership().transfer_customer(transfer).await).expect_err("no department");
        assert_eq!(fields(&refused), ["department_id"]);
        assert_eq!(rep.get(&customer_id).await.expect("still his").owner_id, rep.id.to_string());
    })
    .await;
}
