//! Writes that touch what the writer may not see: refused or done, they are answered alike.

use std::time::Duration;

use revisit_bootstrap::wire;
use revisit_proto::{customer::v1 as customer, followup::v1 as followup, notification::v1 as notification};
use revisit_tests::world::mask;

use super::{
    book::Book,
    company::{Company, Viewer},
};

const UNKNOWN_ID: &str = "0190a0a0-0000-7000-8000-000000000001";

/// Everything that a viewer may try to change.
pub async fn attempts(book: &mut Book, company: &Company, viewer: &Viewer) {
    updates(book, viewer).await;
    histories(book, company, viewer).await;
    tasks(book, company, viewer).await;
    segments(book, company, viewer).await;
    messages(book, viewer).await;
    company.world.settle().await;
    lives(book, company, viewer).await;
}

fn value(key: &str, text: &str) -> customer::FieldValue {
    customer::FieldValue { key: key.to_owned(), value: Some(customer::field_value::Value::Number(text.to_owned())) }
}

/// Updates of one customer: of hidden fields, of all fields, of a contact point that there may be.
async fn updates(book: &mut Book, viewer: &Viewer) {
    let who = viewer.person.fresh().await.expect("a session");
    let mut customers = who.customers();
    let point = customer::ContactPoint {
        contact_point_id: UNKNOWN_ID.to_owned(),
        r#type: customer::ContactType::Phone.into(),
        ..Default::default()
    };
    for id in &viewer.customers {
        let asked = book.named(id);
        let row = customer::Customer {
            customer_id: id.clone(),
            name: format!("{asked} again"),
            city: "Suzhou".to_owned(),
            external_id: "basic-1".to_owned(),
            fields: vec![value("mood", "1")],
            contact_points: vec![point.clone()],
            ..Default::default()
        };
        let masks: [&[&str]; 9] = [
            &["fields"],
            &["fields.budget"],
            &["fields.mood"],
            &["fields.id_card"],
            &["contact_points"],
            &["external_id"],
            &["city", "fields"],
            &["grade_reason"],
            &["name", "city"],
        ];
        for paths in masks {
            let current = customer::GetCustomerRequest { customer_id: id.clone(), read_mask: None };
            let current = customers.get_customer(current).await.map(|row| row.into_inner().etag).unwrap_or_default();
            for etag in [current.as_str(), "1"] {
                let request = customer::UpdateCustomerRequest {
                    customer: Some(row.clone()),
                    update_mask: mask(paths),
                    etag: etag.to_owned(),
                    ..Default::default()
                };
                let asked = format!("{asked} {paths:?} {etag:?}");
                let answered = customers.update_customer(request).await;
                book.take("customer.v1.Customers/UpdateCustomer", &asked, answered);
            }
        }
        let tags = customer::TagCustomerRequest {
            customer_id: id.clone(),
            add: vec!["seen".to_owned()],
            ..Default::default()
        };
        book.take("customer.v1.Customers/TagCustomer", &asked, customers.tag_customer(tags).await);
        let row = customer::Customer { external_id: format!("{}-9", viewer.name), ..row };
        let request = customer::CreateCustomerRequest { customer: Some(row.clone()), ..Default::default() };
        book.take("customer.v1.Customers/CreateCustomer", &asked, customers.create_customer(request).await);
        let request = customer::UpsertCustomerRequest { customer: Some(row), ..Default::default() };
        book.take("customer.v1.Customers/UpsertCustomer", &asked, customers.upsert_customer(request).await);
    }
}

/// Notes, touches and orders of those who may write none.
async fn histories(book: &mut Book, company: &Company, viewer: &Viewer) {
    let who = viewer.person.fresh().await.expect("a session");
    for (number, id) in viewer.customers.iter().enumerate() {
        let (customer_id, asked) = (id.clone(), book.named(id));
        let text = "不再来了".to_owned();
        let note =
            customer::AddNoteRequest { customer_id: customer_id.clone(), text: text.clone(), ..Default::default() };
        book.take("customer.v1.Timeline/AddNote", &asked, who.timeline().add_note(note).await);
        let touch = customer::RecordTouchRequest {
            customer_id: customer_id.clone(),
            channel: "phone".to_owned(),
            direction: customer::Direction::Outbound.into(),
            text,
            ..Default::default()
        };
        book.take("customer.v1.Timeline/RecordTouch", &asked, who.timeline().record_touch(touch).await);
        let order = customer::Order {
            customer_id: customer_id.clone(),
            external_id: "order basic-1".to_owned(),
            amount: Some(customer::Money { minor_units: 10_000, currency: "CNY".to_owned() }),
            place_time: Some(wire::time(company.world.now())),
            ..Default::default()
        };
        let request = customer::RecordOrderRequest { order: Some(order), ..Default::default() };
        book.take("customer.v1.Orders/RecordOrder", &asked, who.orders().record_order(request).await);
        let order_id = viewer.orders[number].clone();
        let request = customer::CancelOrderRequest { order_id, customer_id, ..Default::default() };
        book.take("customer.v1.Orders/CancelOrder", &asked, who.orders().cancel_order(request).await);
    }
}

/// Tasks: moved, done, reviewed by who may not.
async fn tasks(book: &mut Book, company: &Company, viewer: &Viewer) {
    let who = viewer.person.fresh().await.expect("a session");
    let mut tasks = who.tasks();
    let due_time = Some(wire::time(company.world.now() + Duration::from_hours(48)));
    for id in &viewer.tasks {
        let (task_id, asked) = (id.clone(), book.named(id));
        let request = followup::SnoozeTaskRequest { task_id: task_id.clone(), due_time, ..Default::default() };
        book.take("followup.v1.Tasks/SnoozeTask", &asked, tasks.snooze_task(request).await);
        let assignee_id = viewer.person.id.to_string();
        let request = followup::ReassignTaskRequest { task_id: task_id.clone(), assignee_id, ..Default::default() };
        let moved = book.take("followup.v1.Tasks/ReassignTask", &asked, tasks.reassign_task(request).await);
        if moved.is_some() {
            // Whoever is told of it is told before the task ends.
            company.world.settle().await;
        }
        let reason = "a test".to_owned();
        let request =
            followup::SkipTaskRequest { task_id: task_id.clone(), reason: reason.clone(), ..Default::default() };
        book.take("followup.v1.Tasks/SkipTask", &asked, tasks.skip_task(request).await);
        let request = followup::ReviewOutcomeRequest { task_id: task_id.clone(), approved: true, ..Default::default() };
        book.take("followup.v1.Tasks/ReviewOutcome", &asked, tasks.review_outcome(request).await);
        for layer in ["basic", "review"] {
            let note = followup::Note { layer: layer.to_owned(), text: "done".to_owned(), ..Default::default() };
            let request = followup::CompleteTaskRequest {
                task_id: task_id.clone(),
                result: "reached".to_owned(),
                channel: followup::Channel::Phone.into(),
                notes: vec![note],
                ..Default::default()
            };
            book.take("followup.v1.Tasks/CompleteTask", &asked, tasks.complete_task(request).await);
        }
        let request = followup::CancelTaskRequest { task_id, reason, ..Default::default() };
        book.take("followup.v1.Tasks/CancelTask", &asked, tasks.cancel_task(request).await);
    }
    for id in &viewer.customers {
        let asked = book.named(id);
        let request = followup::CreateTaskRequest {
            kind: followup::TaskKind::NextContact.into(),
            title: "again".to_owned(),
            customer_id: id.clone(),
            due_time,
            channel: followup::Channel::Phone.into(),
            ..Default::default()
        };
        book.take("followup.v1.Tasks/CreateTask", &asked, tasks.create_task(request).await);
        let enrolments = followup::ListEnrolmentsRequest { customer_id: id.clone(), ..Default::default() };
        let enrolments = who.plans().list_enrolments(enrolments).await;
        let enrolment_id = enrolments.ok().and_then(|page| page.into_inner().enrolments.pop());
        let enrolment_id = enrolment_id.map_or_else(|| UNKNOWN_ID.to_owned(), |one| one.enrolment_id);
        let reason = "a test".to_owned();
        let pause =
            followup::PauseEnrolmentRequest { enrolment_id: enrolment_id.clone(), reason, ..Default::default() };
        book.take("followup.v1.Plans/PauseEnrolment", &asked, who.plans().pause_enrolment(pause).await);
        let resume = followup::ResumeEnrolmentRequest { enrolment_id, ..Default::default() };
        book.take("followup.v1.Plans/ResumeEnrolment", &asked, who.plans().resume_enrolment(resume).await);
    }
    let request = followup::MigrateEnrolmentsRequest { plan_id: company.plan.clone(), ..Default::default() };
    book.take("followup.v1.Plans/MigrateEnrolments", "", who.plans().migrate_enrolments(request).await);
}

/// Segments: what they ask about may be basic alone.
async fn segments(book: &mut Book, company: &Company, viewer: &Viewer) {
    let who = viewer.person.fresh().await.expect("a session");
    let mut segments = who.segments();
    for filter in super::reads::FILTERS {
        let segment = customer::Segment { name: filter.to_owned(), filter: filter.to_owned(), ..Default::default() };
        let request = customer::CreateSegmentRequest { segment: Some(segment.clone()), ..Default::default() };
        let made = book.take("customer.v1.Segments/CreateSegment", filter, segments.create_segment(request).await);
        let Some(made) = made else { continue };
        company.world.settle().await;
        let (segment_id, etag) = (made.segment_id.clone(), made.etag);
        let segment = customer::Segment { segment_id: segment_id.clone(), ..segment };
        let request = customer::UpdateSegmentRequest { segment: Some(segment), etag, ..Default::default() };
        book.take("customer.v1.Segments/UpdateSegment", filter, segments.update_segment(request).await);
        company.world.settle().await;
        let request = customer::DeleteSegmentRequest { segment_id, ..Default::default() };
        book.take("customer.v1.Segments/DeleteSegment", filter, segments.delete_segment(request).await);
    }
}

async fn messages(book: &mut Book, viewer: &Viewer) {
    let who = viewer.person.fresh().await.expect("a session");
    let request = notification::MarkReadRequest { message_ids: vec![viewer.customers[0].clone()] };
    book.take("notification.v1.Inbox/MarkRead", "", who.inbox().mark_read(request).await);
    let request = notification::ReplayDeliveriesRequest::default();
    book.take("notification.v1.Deliveries/ReplayDeliveries", "", who.deliveries().replay_deliveries(request).await);
}

/// Customers moved on, handed over, deleted, brought back.
async fn lives(book: &mut Book, company: &Company, viewer: &Viewer) {
    let who = viewer.person.fresh().await.expect("a session");
    let (mut customers, mut ownership) = (who.customers(), who.ownership());
    let owner_id = viewer.person.id.to_string();
    for id in &viewer.customers {
        let (customer_id, asked) = (id.clone(), book.named(id));
        for stage in ["contacted", "nowhere", "service"] {
            let request = customer::MoveStageRequest {
                customer_id: customer_id.clone(),
                stage: stage.to_owned(),
                ..Default::default()
            };
            let asked = format!("{asked} {stage}");
            book.take("customer.v1.Customers/MoveStage", &asked, customers.move_stage(request).await);
        }
        let reason = "a test".to_owned();
        let request = customer::AssignCustomerRequest {
            customer_id: customer_id.clone(),
            owner_id: owner_id.clone(),
            reason: reason.clone(),
            ..Default::default()
        };
        book.take("customer.v1.Ownership/AssignCustomer", &asked, ownership.assign_customer(request).await);
        let request = customer::TransferCustomerRequest {
            customer_id: customer_id.clone(),
            owner_id: owner_id.clone(),
            reason,
            ..Default::default()
        };
        book.take("customer.v1.Ownership/TransferCustomer", &asked, ownership.transfer_customer(request).await);
        let request = customer::DeleteCustomerRequest { customer_id: customer_id.clone(), ..Default::default() };
        book.take("customer.v1.Customers/DeleteCustomer", &asked, customers.delete_customer(request).await);
        let deleted = async |page_token| {
            let request = customer::ListCustomersRequest { page_token, deleted: true, ..Default::default() };
            who.customers().list_customers(request).await
        };
        let asked_deleted = format!("{asked} deleted");
        book.leaf("customer.v1.Customers/ListCustomers", &asked_deleted, deleted, |page| &mut page.next_page_token)
            .await;
        let request = customer::RestoreCustomerRequest { customer_id, ..Default::default() };
        book.take("customer.v1.Customers/RestoreCustomer", &asked, customers.restore_customer(request).await);
    }
    transfers(book, company, viewer).await;
    let expected_count = i32::try_from(viewer.customers.len()).expect("few");
    let request = customer::BatchDeleteCustomersRequest {
        customer_ids: viewer.customers.clone(),
        expected_count,
        ..Default::default()
    };
    book.take("customer.v1.Customers/BatchDeleteCustomers", "", customers.batch_delete_customers(request).await);
}

async fn transfers(book: &mut Book, company: &Company, viewer: &Viewer) {
    let who = viewer.person.fresh().await.expect("a session");
    let mut ownership = who.ownership();
    let request = customer::CreateBulkTransferRequest {
        customer_ids: viewer.customers.clone(),
        owner_id: viewer.person.id.to_string(),
        reason: "a test".to_owned(),
        ..Default::default()
    };
    let made = ownership.create_bulk_transfer(request).await;
    let job = book.take("customer.v1.Ownership/CreateBulkTransfer", "", made);
    company.world.settle().await;
    let job_id = job.map_or_else(|| UNKNOWN_ID.to_owned(), |job| job.job_id);
    let request = customer::GetBulkTransferRequest { job_id: job_id.clone() };
    book.take("customer.v1.Ownership/GetBulkTransfer", "", ownership.get_bulk_transfer(request).await);
    let request = customer::ListBulkTransferRowsRequest { job_id: job_id.clone(), ..Default::default() };
    book.take("customer.v1.Ownership/ListBulkTransferRows", "", ownership.list_bulk_transfer_rows(request).await);
    let request = customer::UndoBulkTransferRequest { job_id, reason: "a test".to_owned(), ..Default::default() };
    book.take("customer.v1.Ownership/UndoBulkTransfer", "", ownership.undo_bulk_transfer(request).await);
    company.world.settle().await;
}
