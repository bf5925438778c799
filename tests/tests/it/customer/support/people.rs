//! Who works here, and how they call.

use revisit_bootstrap::status::answer;
use revisit_core::{
    Failure, Timestamp,
    id::{DepartmentId, SubjectId},
};
use revisit_permission::{
    Action, Assigned, Change, Department, Effect, Removed, Role, RoleAssignment, Subject, SubjectState, Template,
    Tenant, Whom, shipped_roles,
};
use revisit_proto::customer::v1::{
    self as pb, catalogue_client::CatalogueClient, customers_client::CustomersClient, export_client::ExportClient,
    import_client::ImportClient, orders_client::OrdersClient, ownership_client::OwnershipClient,
    projections_client::ProjectionsClient, segments_client::SegmentsClient, timeline_client::TimelineClient,
};
use revisit_tests::{
    fake_identity::{FakeIdentity, KEY_ID},
    rights::guard,
    world::mask,
};
use tonic::{
    Request, Status,
    service::{Interceptor, interceptor::InterceptedService},
    transport::Channel,
};

use super::Office;

#[derive(Clone, Copy)]
pub(super) enum At {
    Root,
    Store,
    Branch,
}

/// Name, role and place of everybody. The manager is the head of the store, the boss of everything else.
pub(super) const ROLES: [(&str, &str, At); 10] = [
    ("admin", "admin", At::Root),
    ("boss", "executive", At::Root),
    ("director", "regional_manager", At::Root),
    ("marketing", "marketing", At::Root),
    ("finance", "finance", At::Root),
    ("manager", "sales_manager", At::Store),
    ("rep", "sales_rep", At::Store),
    ("colleague", "sales_rep", At::Store),
    ("service", "service", At::Store),
    ("outsider", "sales_rep", At::Branch),
];

impl Office {
    /// Rights: the shipped roles, a store with a manager at its head and a branch without one.
    pub(super) fn found(&self) {
        let department = |id: DepartmentId, name: &str, head: &str| {
            Change::Department(Department {
                id,
                parent: (id != self.root).then_some(self.root),
                name: name.to_owned(),
                head: (!head.is_empty()).then(|| self.who(head)),
                disabled: false,
                merged_into: None,
                modules_off: Vec::new(),
            })
        };
        let mut changes = vec![
            Change::Tenant(Tenant { administrator: Some(self.who("admin")), modules_off: Vec::new(), region: None }),
            department(self.root, "总部", "boss"),
            department(self.store, "徐汇店", "manager"),
            department(self.branch, "西湖店", ""),
        ];
        for (person, key, _) in ROLES {
            changes.push(self.subject(person, SubjectState::Active));
            let shipped = shipped_roles().iter().find(|role| role.key == key).expect("it ships");
            changes.extend(self.role(person, shipped.templates.clone()));
        }
        self.identity.commit(changes);
    }

    fn subject(&self, person: &str, state: SubjectState) -> Change {
        let (.., at) = ROLES.iter().find(|(name, ..)| *name == person).expect("they work here");
        let mut subject = Subject::user(self.who(person), person, state);
        subject.department = Some(match at {
            At::Root => self.root,
            At::Store => self.store,
            At::Branch => self.branch,
        });
        Change::Subject(subject)
    }

    /// A role of somebody's own.
    fn role(&self, person: &str, templates: Vec<Template>) -> [Change; 2] {
        let id = self.new_id();
        let (key, name) = (format!("r{id}"), person.to_owned());
        let assigned = Assigned::Added { from: Timestamp::MIN, until: Timestamp::MAX };
        let assignment = RoleAssignment { subject: self.who(person), role: id, assigned };
        [Change::Role(Role { id, key, name, shipped: None, templates }), Change::RoleAssignment(assignment)]
    }

    /// Makes changes of rights known to the service.
    pub async fn commit(&self, changes: Vec<Change>) {
        self.identity.commit(changes);
        let lease = self.at(|running| running.runtime.lease.clone());
        lease.force_renew().await.expect("identity answers");
    }

    /// Gives somebody these rights beside their own: see [`everywhere`].
    pub async fn grant(&self, person: &str, templates: Vec<Template>) {
        self.commit(self.role(person, templates).to_vec()).await;
    }

    /// From now on a guard denies somebody an action, whatever their roles say.
    pub async fn deny(&self, person: &str, action: Action) {
        self.commit(vec![Change::Guard(guard(Whom::Subject(self.who(person)), &[action], Effect::Deny))]).await;
    }

    /// Somebody leaves the company.
    pub async fn leaves(&self, person: &str) {
        self.commit(vec![self.subject(person, SubjectState::Left)]).await;
    }

    /// Takes everything away that somebody holds; answers what to commit to give it back.
    pub async fn strip(&self, person: &str) -> Vec<Change> {
        let subject = self.who(person);
        let held: Vec<RoleAssignment> = {
            let state = self.identity.state();
            let assigned = state
                .log
                .iter()
                .flatten()
                .filter_map(|change| if let Change::RoleAssignment(held) = change { Some(*held) } else { None });
            let assigned = assigned.filter(|held| held.subject == subject);
            assigned.collect()
        };
        let gone = held.iter().map(|held| Change::Removed(Removed::RoleAssignment { subject, role: held.role }));
        self.commit(gone.collect()).await;
        held.into_iter().map(Change::RoleAssignment).collect()
    }

    /// Identity can no longer be reached, and the lease of the service has run out.
    pub async fn loses_identity(&self) {
        self.identity.state().away = true;
        let leases = self.at(|running| running.runtime.leases.clone());
        let expired = async {
            while leases.read(self.identity.tenant).is_ok() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(super::REST_MAX, expired).await.expect("the lease ends");
    }

    /// Identity is there again.
    pub async fn finds_identity(&self) {
        self.identity.state().away = false;
        self.commit(Vec::new()).await;
    }

    pub fn who(&self, name: &str) -> SubjectId {
        *self.people.get(name).expect("they work here")
    }

    /// Somebody's line to the service, as it runs now.
    pub fn seat(&self, name: &str) -> Seat {
        let badge = Badge { identity: self.identity.clone(), subject: self.who(name) };
        Seat { id: self.who(name), line: InterceptedService::new(self.channel(), badge) }
    }
}

/// Puts a good token on each call.
#[derive(Clone)]
pub struct Badge {
    identity: FakeIdentity,
    subject: SubjectId,
}

impl Interceptor for Badge {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let mut claims = self.identity.claims();
        claims.sub = self.subject.to_string();
        claims.sid = self.subject.to_string();
        let token = format!("Bearer {}", self.identity.sign(&claims, KEY_ID));
        request.metadata_mut().insert("authorization", token.parse().expect("a token is ASCII"));
        Ok(request)
    }
}

type Line = InterceptedService<Channel, Badge>;

/// Somebody at work.
#[derive(Clone)]
pub struct Seat {
    pub id: SubjectId,
    line: Line,
}

impl Seat {
    pub fn customers(&self) -> CustomersClient<Line> {
        CustomersClient::new(self.line.clone())
    }
    pub fn ownership(&self) -> OwnershipClient<Line> {
        OwnershipClient::new(self.line.clone())
    }
    pub fn orders(&self) -> OrdersClient<Line> {
        OrdersClient::new(self.line.clone())
    }
    pub fn timeline(&self) -> TimelineClient<Line> {
        TimelineClient::new(self.line.clone())
    }
    pub fn catalogue(&self) -> CatalogueClient<Line> {
        CatalogueClient::new(self.line.clone())
    }
    pub fn segments(&self) -> SegmentsClient<Line> {
        SegmentsClient::new(self.line.clone())
    }
    pub fn imports(&self) -> ImportClient<Line> {
        ImportClient::new(self.line.clone())
    }
    pub fn projections(&self) -> ProjectionsClient<Line> {
        ProjectionsClient::new(self.line.clone())
    }
    pub fn exports(&self) -> ExportClient<Line> {
        ExportClient::new(self.line.clone())
    }
}

/// What is asked again and again.
impl Seat {
    pub async fn create(&self, customer: pb::Customer) -> Result<pb::Customer, Failure> {
        let request = pb::CreateCustomerRequest { customer: Some(customer), ..Default::default() };
        answer(self.customers().create_customer(request).await)
    }

    pub async fn get(&self, customer_id: &str) -> Result<pb::Customer, Failure> {
        let request = pb::GetCustomerRequest { customer_id: customer_id.to_owned(), ..Default::default() };
        answer(self.customers().get_customer(request).await)
    }

    /// With clear contact values.
    pub async fn ask(&self, customer_id: &str) -> Result<pb::Customer, Failure> {
        let read_mask = mask(&["contact_points"]);
        let request = pb::GetCustomerRequest { customer_id: customer_id.to_owned(), read_mask };
        answer(self.customers().get_customer(request).await)
    }

    /// The first thousand that a filter gives.
    pub async fn list(&self, filter: &str) -> Result<Vec<pb::Customer>, Failure> {
        let request = pb::ListCustomersRequest { page_size: 1_000, filter: filter.to_owned(), ..Default::default() };
        Ok(answer(self.customers().list_customers(request).await)?.customers)
    }

    pub async fn move_stage(&self, customer_id: &str, stage: &str) -> Result<pb::Customer, Failure> {
        let request =
            pb::MoveStageRequest { customer_id: customer_id.to_owned(), stage: stage.to_owned(), ..Default::default() };
        answer(self.customers().move_stage(request).await)
    }

    /// Writes the fields that `paths` name over the newest version.
    pub async fn update(&self, customer: pb::Customer, paths: &[&str]) -> Result<pb::Customer, Failure> {
        let etag = self.get(&customer.customer_id).await?.etag;
        let (customer, update_mask) = (Some(customer), mask(paths));
        let request = pb::UpdateCustomerRequest { customer, update_mask, etag, ..Default::default() };
        answer(self.customers().update_customer(request).await)
    }

    pub async fn entries(&self, customer_id: &str) -> Result<Vec<pb::TimelineEntry>, Failure> {
        let request = pb::ListTimelineRequest { customer_id: customer_id.to_owned(), ..Default::default() };
        Ok(answer(self.timeline().list_timeline(request).await)?.entries)
    }

    pub async fn segment(&self, filter: &str) -> Result<pb::Segment, Failure> {
        let segment = pb::Segment { name: filter.to_owned(), filter: filter.to_owned(), ..Default::default() };
        let request = pb::CreateSegmentRequest { segment: Some(segment), ..Default::default() };
        answer(self.segments().create_segment(request).await)
    }

    pub async fn field(&self, key: &str, kind: pb::FieldType, layer: &str) -> pb::Field {
        let chosen = matches!(kind, pb::FieldType::Choice | pb::FieldType::Choices);
        let choices = ["red", "blue"].into_iter().filter(|_| chosen).map(choice).collect();
        let field = pb::Field {
            key: key.to_owned(),
            title: key.to_owned(),
            r#type: kind.into(),
            layer: layer.to_owned(),
            choices,
            ..Default::default()
        };
        let request = pb::CreateFieldRequest { field: Some(field), ..Default::default() };
        answer(self.catalogue().create_field(request).await).expect("a field")
    }

    /// Sends a file in pieces of an odd size.
    pub async fn upload(&self, name: &str, bytes: &[u8]) -> Result<pb::ImportJob, Failure> {
        self.upload_as("", name, bytes.chunks(100_003)).await
    }

    /// Sends a file in these pieces under a key.
    pub async fn upload_as(
        &self,
        request_id: &str,
        name: &str,
        pieces: impl Iterator<Item = &[u8]>,
    ) -> Result<pb::ImportJob, Failure> {
        use pb::upload_file_request::Part;
        let (file_name, request_id) = (name.to_owned(), request_id.to_owned());
        let header = Part::Header(pb::UploadHeader { file_name, request_id, ..Default::default() });
        let parts: Vec<_> = std::iter::once(header)
            .chain(pieces.map(|piece| Part::Data(piece.to_vec())))
            .map(|part| pb::UploadFileRequest { part: Some(part) })
            .collect();
        answer(self.imports().upload_file(Request::new(tokio_stream::iter(parts))).await)
    }

    pub async fn start_import(&self, job_id: &str) -> pb::ImportJob {
        let request = pb::StartImportRequest { job_id: job_id.to_owned(), ..Default::default() };
        answer(self.imports().start_import(request).await).expect("it starts")
    }

    pub async fn job(&self, job_id: &str) -> pb::ImportJob {
        let request = pb::GetImportRequest { job_id: job_id.to_owned() };
        answer(self.imports().get_import(request).await).expect("the job")
    }

    /// Imports a file to its end.
    pub async fn import(&self, office: &Office, bytes: &[u8]) -> pb::ImportJob {
        let job = self.upload("customers.csv", bytes).await.expect("a job");
        self.start_import(&job.job_id).await;
        office.settle().await;
        self.job(&job.job_id).await
    }

    /// The file of rejected rows of a job.
    pub async fn rejected(&self, job_id: &str) -> String {
        let request = pb::GetImportRequest { job_id: job_id.to_owned() };
        let mut chunks = answer(self.imports().download_rejected_rows(request).await).expect("a file");
        let mut bytes = Vec::new();
        while let Some(chunk) = chunks.message().await.expect("it goes on") {
            bytes.extend(chunk.data);
        }
        String::from_utf8(bytes).expect("UTF-8")
    }

    /// Every row of a job that has this result, or any.
    pub async fn import_rows(&self, job_id: &str, result: &str) -> Vec<pb::ImportRow> {
        let (mut rows, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = pb::ListImportRowsRequest {
                job_id: job_id.to_owned(),
                page_size: 1_000,
                page_token,
                result: result.to_owned(),
            };
            let page = answer(self.imports().list_import_rows(request).await).expect("rows");
            rows.extend(page.rows);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return rows;
            }
        }
    }
}

fn choice(key: &str) -> pb::Choice {
    pb::Choice { key: key.to_owned(), title: format!("{key} title") }
}
