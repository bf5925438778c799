//! Every write of service customer, as it is sent under a key; and another request under the same key.

use std::fmt::Debug;

use revisit_bootstrap::{status::answer, wire};
use revisit_core::Failure;
use revisit_permission::{Action, Layer, Level, Levels};
use revisit_proto::customer::v1 as pb;
use revisit_tests::world::mask;
use tonic::{Response, Status};

use super::super::{
    person,
    support::{BEGIN, Office, Seat, everywhere},
};

/// All of them, each before what would be in its way.
pub const CALLS: [&str; 28] = [
    "Customers/UpdateCustomer",
    "Customers/CreateCustomer",
    "Customers/UpsertCustomer",
    "Customers/MoveStage",
    "Customers/TagCustomer",
    "Customers/DeleteCustomer",
    "Customers/BatchDeleteCustomers",
    "Customers/RestoreCustomer",
    "Ownership/AssignCustomer",
    "Ownership/TransferCustomer",
    "Ownership/CreateBulkTransfer",
    "Ownership/UndoBulkTransfer",
    "Timeline/AddNote",
    "Timeline/RecordTouch",
    "Orders/RecordOrder",
    "Orders/CancelOrder",
    "Catalogue/CreateField",
    "Catalogue/UpdateField",
    "Catalogue/RetireField",
    "Catalogue/SetStages",
    "Catalogue/SetGrades",
    "Segments/CreateSegment",
    "Segments/UpdateSegment",
    "Segments/DeleteSegment",
    "Import/UploadFile",
    "Import/SetMapping",
    "Import/StartImport",
    "Import/RevertImport",
];

/// What the writes are about; made without keys.
pub struct Things {
    own: String,
    doomed: [String; 2],
    deleted: String,
    orphan: String,
    of_the_branch: String,
    moved: String,
    order: String,
    cancelled: String,
    field: pb::Field,
    segments: [pb::Segment; 2],
    stages: pb::StageScheme,
    grades: pb::GradeScheme,
    mapped: pb::ImportJob,
    started: String,
    done: String,
}

/// How a write is sent.
pub struct Sent {
    pub request_id: String,
    /// Whether it says something else than the first one did.
    pub other: bool,
}

impl Sent {
    fn word(&self) -> String {
        self.of("甲", "乙")
    }

    fn of(&self, first: &str, other: &str) -> String {
        if self.other { other } else { first }.to_owned()
    }
}

/// A file of one customer.
pub fn file(name: &str) -> String {
    format!("姓名,手机号\n{name}一,13900009001\n")
}

impl Things {
    pub async fn make(office: &Office) -> Self {
        let (rep, manager, director, admin) =
            (office.seat("rep"), office.seat("manager"), office.seat("director"), office.seat("admin"));
        let records = everywhere(
            &[Action::CustomerOrderRecord],
            Levels::HIDDEN.with(Layer::Basic, Level::Write).with(Layer::Financial, Level::Write),
        );
        office.grant("boss", vec![records]).await;
        let make = async |who: &Seat, number: u32| {
            who.create(person("王芳", &format!("1380000{number:04}"))).await.expect("made").customer_id
        };
        let own = make(&rep, 1).await;
        let deleted = make(&rep, 2).await;
        let delete = pb::DeleteCustomerRequest { customer_id: deleted.clone(), ..Default::default() };
        answer(manager.customers().delete_customer(delete).await).expect("deleted");
        let orphan = make(&office.seat("colleague"), 3).await;
        office.leaves("colleague").await;
        let transfer = pb::CreateBulkTransferRequest {
            customer_ids: vec![make(&rep, 4).await],
            owner_id: office.who("manager").to_string(),
            ..Default::default()
        };
        let moved = answer(director.ownership().create_bulk_transfer(transfer).await).expect("a job").job_id;
        let started = manager.upload("b.csv", file("丙").as_bytes()).await.expect("a job").job_id;
        let done = manager.import(office, "姓名,手机号\n丁一,13900009009\n".as_bytes()).await.job_id;
        office.settle().await;
        Self {
            doomed: [make(&rep, 5).await, make(&rep, 6).await],
            of_the_branch: make(&office.seat("outsider"), 7).await,
            order: order(office, &own, "丙").await,
            cancelled: order(office, &own, "丁").await,
            field: admin.field("slogan", pb::FieldType::Text, "basic").await,
            segments: [admin.segment("vip").await.expect("made"), admin.segment("!vip").await.expect("made")],
            stages: answer(admin.catalogue().get_stages(pb::GetStagesRequest {}).await).expect("what ships"),
            grades: answer(admin.catalogue().get_grades(pb::GetGradesRequest {}).await).expect("what ships"),
            mapped: manager.upload("a.csv", file("戊").as_bytes()).await.expect("a job"),
            own,
            deleted,
            orphan,
            moved,
            started,
            done,
        }
    }
}

fn order_of(customer_id: &str, description: &str) -> pb::Order {
    pb::Order {
        customer_id: customer_id.to_owned(),
        amount: Some(pb::Money { minor_units: 1, currency: "CNY".to_owned() }),
        place_time: Some(wire::time(BEGIN)),
        description: description.to_owned(),
        ..Default::default()
    }
}

async fn order(office: &Office, customer_id: &str, description: &str) -> String {
    let request = pb::RecordOrderRequest { order: Some(order_of(customer_id, description)), ..Default::default() };
    answer(office.seat("boss").orders().record_order(request).await).expect("recorded").order_id
}

/// Everything of an answer.
fn told<M: Debug>(response: Result<Response<M>, Status>) -> Result<String, Failure> {
    answer(response).map(|message| format!("{message:?}"))
}

/// Sends one of the calls.
pub async fn send(office: &Office, things: &Things, call: &str, sent: Sent) -> Result<String, Failure> {
    match call.split_once('/').expect("a service and a method") {
        ("Customers", method) => customers(office, things, method, sent).await,
        ("Ownership", method) => ownership(office, things, method, sent).await,
        ("Timeline", method) => timeline(office, things, method, sent).await,
        ("Orders", method) => orders(office, things, method, sent).await,
        ("Catalogue", method) => catalogue(office, things, method, sent).await,
        ("Segments", method) => segments(office, things, method, sent).await,
        (_, method) => import(office, things, method, sent).await,
    }
}

async fn customers(office: &Office, things: &Things, method: &str, sent: Sent) -> Result<String, Failure> {
    let (mut rep, mut manager) = (office.seat("rep").customers(), office.seat("manager").customers());
    let (word, customer_id) = (sent.word(), things.own.clone());
    let Sent { request_id, other } = sent;
    match method {
        "CreateCustomer" => {
            let customer = Some(person(&word, "13900001000"));
            told(rep.create_customer(pb::CreateCustomerRequest { customer, request_id }).await)
        }
        "UpsertCustomer" => {
            let row = pb::Customer { external_id: "E-9".to_owned(), ..person(&word, "13900001001") };
            told(rep.upsert_customer(pb::UpsertCustomerRequest { customer: Some(row), request_id }).await)
        }
        "UpdateCustomer" => {
            let customer = Some(pb::Customer { customer_id, city: word, ..Default::default() });
            let (update_mask, etag) = (mask(&["city"]), "3".to_owned());
            told(rep.update_customer(pb::UpdateCustomerRequest { customer, update_mask, etag, request_id }).await)
        }
        "MoveStage" => {
            let stage = if other { "churned" } else { "contacted" }.to_owned();
            let request = pb::MoveStageRequest { customer_id, stage, request_id, ..Default::default() };
            told(rep.move_stage(request).await)
        }
        "TagCustomer" => {
            let request = pb::TagCustomerRequest { customer_id, add: vec![word], request_id, ..Default::default() };
            told(rep.tag_customer(request).await)
        }
        "DeleteCustomer" => {
            let customer_id = if other { customer_id } else { things.doomed[0].clone() };
            let request = pb::DeleteCustomerRequest { customer_id, request_id, ..Default::default() };
            told(manager.delete_customer(request).await)
        }
        "BatchDeleteCustomers" => {
            let last = if other { customer_id } else { things.of_the_branch.clone() };
            let customer_ids = vec![things.doomed[1].clone(), last, things.doomed[0].clone()];
            let request = pb::BatchDeleteCustomersRequest { customer_ids, expected_count: 3, request_id };
            told(manager.batch_delete_customers(request).await)
        }
        _ => {
            let customer_id = if other { customer_id } else { things.deleted.clone() };
            told(manager.restore_customer(pb::RestoreCustomerRequest { customer_id, request_id }).await)
        }
    }
}

/// Of a job only its id: it goes on between the answers.
async fn ownership(office: &Office, things: &Things, method: &str, sent: Sent) -> Result<String, Failure> {
    let (mut director, mut manager) = (office.seat("director").ownership(), office.seat("manager").ownership());
    let (reason, owner_id, request_id) = (sent.word(), office.who("rep").to_string(), sent.request_id);
    let customer_id = things.own.clone();
    match method {
        "AssignCustomer" => {
            let customer_id = things.orphan.clone();
            let request = pb::AssignCustomerRequest { customer_id, owner_id, reason, request_id, ..Default::default() };
            told(manager.assign_customer(request).await)
        }
        "TransferCustomer" => {
            let request =
                pb::TransferCustomerRequest { customer_id, owner_id, reason, request_id, ..Default::default() };
            told(director.transfer_customer(request).await)
        }
        "CreateBulkTransfer" => {
            let customer_ids = vec![customer_id];
            let request =
                pb::CreateBulkTransferRequest { customer_ids, owner_id, reason, request_id, ..Default::default() };
            answer(director.create_bulk_transfer(request).await).map(|job| job.job_id)
        }
        _ => {
            let request = pb::UndoBulkTransferRequest { job_id: things.moved.clone(), reason, request_id };
            answer(director.undo_bulk_transfer(request).await).map(|job| job.job_id)
        }
    }
}

async fn timeline(office: &Office, things: &Things, method: &str, sent: Sent) -> Result<String, Failure> {
    let mut rep = office.seat("rep").timeline();
    let (text, customer_id, request_id) = (sent.word(), things.own.clone(), sent.request_id);
    if method == "AddNote" {
        return told(rep.add_note(pb::AddNoteRequest { customer_id, text, request_id }).await);
    }
    let request = pb::RecordTouchRequest {
        customer_id,
        channel: "phone".to_owned(),
        direction: pb::Direction::Inbound.into(),
        text,
        request_id,
        ..Default::default()
    };
    told(rep.record_touch(request).await)
}

async fn orders(office: &Office, things: &Things, method: &str, sent: Sent) -> Result<String, Failure> {
    let mut boss = office.seat("boss").orders();
    if method == "RecordOrder" {
        let order = Some(order_of(&things.own, &sent.word()));
        return told(boss.record_order(pb::RecordOrderRequest { order, request_id: sent.request_id }).await);
    }
    let (order_id, customer_id) = (sent.of(&things.order, &things.cancelled), things.own.clone());
    told(boss.cancel_order(pb::CancelOrderRequest { order_id, customer_id, request_id: sent.request_id }).await)
}

async fn catalogue(office: &Office, things: &Things, method: &str, sent: Sent) -> Result<String, Failure> {
    let mut admin = office.seat("admin").catalogue();
    let (title, request_id) = (sent.word(), sent.request_id.clone());
    match method {
        "CreateField" => {
            let field = pb::Field { key: "motto".to_owned(), title, layer: "basic".to_owned(), ..things.field.clone() };
            told(admin.create_field(pb::CreateFieldRequest { field: Some(field), request_id }).await)
        }
        "UpdateField" => {
            let (field, etag) = (Some(pb::Field { title, ..things.field.clone() }), things.field.etag.clone());
            told(admin.update_field(pb::UpdateFieldRequest { field, etag, request_id }).await)
        }
        "RetireField" => {
            let key = sent.of("slogan", "motto");
            told(admin.retire_field(pb::RetireFieldRequest { key, request_id }).await)
        }
        "SetStages" => {
            let (mut scheme, etag) = (things.stages.clone(), things.stages.etag.clone());
            scheme.stages[0].title = title;
            told(admin.set_stages(pb::SetStagesRequest { scheme: Some(scheme), etag, request_id }).await)
        }
        _ => {
            let (mut scheme, etag) = (things.grades.clone(), things.grades.etag.clone());
            scheme.window_days = if sent.other { 20 } else { 10 };
            told(admin.set_grades(pb::SetGradesRequest { scheme: Some(scheme), etag, request_id }).await)
        }
    }
}

async fn segments(office: &Office, things: &Things, method: &str, sent: Sent) -> Result<String, Failure> {
    let mut admin = office.seat("admin").segments();
    let [changed, deleted] = &things.segments;
    let (name, segment_id) = (sent.word(), sent.of(&deleted.segment_id, &changed.segment_id));
    let request_id = sent.request_id;
    match method {
        "CreateSegment" => {
            let segment = Some(pb::Segment { name, filter: "vip".to_owned(), ..Default::default() });
            told(admin.create_segment(pb::CreateSegmentRequest { segment, request_id }).await)
        }
        "UpdateSegment" => {
            let (segment, etag) = (Some(pb::Segment { name, ..changed.clone() }), changed.etag.clone());
            told(admin.update_segment(pb::UpdateSegmentRequest { segment, etag, request_id }).await)
        }
        _ => told(admin.delete_segment(pb::DeleteSegmentRequest { segment_id, request_id }).await),
    }
}

async fn import(office: &Office, things: &Things, method: &str, sent: Sent) -> Result<String, Failure> {
    let manager = office.seat("manager");
    let request_id = sent.request_id.clone();
    match method {
        "UploadFile" => {
            let file = file(&sent.word());
            let job = manager.upload_as(&request_id, "c.csv", file.as_bytes().chunks(9)).await?;
            Ok(format!("{job:?}"))
        }
        "SetMapping" => {
            let column =
                |column, target: &str| pb::ColumnMapping { column, target: target.to_owned(), ..Default::default() };
            let mapping = vec![column(0, &sent.of("name", "company")), column(1, "phone")];
            let request = pb::SetMappingRequest { job_id: things.mapped.job_id.clone(), mapping, request_id };
            told(manager.imports().set_mapping(request).await)
        }
        "StartImport" => {
            let job_id = sent.of(&things.started, &things.mapped.job_id);
            let request = pb::StartImportRequest { job_id, request_id };
            answer(manager.imports().start_import(request).await).map(|job| job.job_id)
        }
        _ => {
            let job_id = sent.of(&things.done, &things.mapped.job_id);
            let request = pb::RevertImportRequest { job_id, request_id };
            answer(manager.imports().revert_import(request).await).map(|job| job.job_id)
        }
    }
}
