//! Every call that reads something about customers, with what somebody would try who wants to know more.

use std::time::Duration;

use revisit_bootstrap::{auth::CALLER_HEADER, status::answer, wire};
use revisit_core::Failure;
use revisit_proto::{
    customer::v1::{self as customer, projections_client::ProjectionsClient as OfCustomer},
    followup::v1::{self as followup, projections_client::ProjectionsClient as OfFollowUp, today_client::TodayClient},
    notification::v1 as notification,
};
use revisit_tests::world::mask;
use tonic::{Request, Response};

use super::{
    book::Book,
    company::{Company, Viewer},
    people::lines,
};

/// A small page, so that there are several.
const FEW: i32 = 2;
const ALL: i32 = 1_000;

/// Filters over what everybody reads, over what is hidden, over the absence of it, and over both.
pub const FILTERS: [&str; 15] = [
    "",
    "city == \"Suzhou\"",
    "!(city == \"Suzhou\")",
    "fields.budget > 50.0",
    "!(fields.budget > 50.0)",
    "has(fields.budget)",
    "!has(fields.budget)",
    "fields.limit.minor_units > 5",
    "fields.mood > 1.0 || name.startsWith(\"basic\")",
    "!(fields.budget > 50.0) && stage == \"lead\"",
    "fields.fit || stage == \"lead\"",
    "fields.talk == \"他要退货\"",
    "fields.id_card.startsWith(\"3\")",
    "contact_points == \"13811110011\"",
    "fields.hall == \"hall 2\"",
];
const ORDERS: [&str; 7] =
    ["", "name", "name desc", "update_time desc", "grade_reason", "fields.budget", "contact_points"];

/// Customers, one by one, in lists, by number, and their histories.
pub async fn customers(book: &mut Book, company: &Company, viewer: &Viewer) {
    let who = viewer.person.fresh().await.expect("a session");
    let (mut customers, mut orders, mut timeline) = (who.customers(), who.orders(), who.timeline());
    for id in &viewer.customers {
        // What nobody sees proves nothing.
        let request = customer::GetCustomerRequest { customer_id: id.clone(), read_mask: None };
        answer(customers.get_customer(request).await)
            .expect("everybody sees the customers of their own department or task");
        for paths in [&[][..], &["contact_points", "fields"], &["fields.id_card", "fields.budget"]] {
            let request = customer::GetCustomerRequest { customer_id: id.clone(), read_mask: mask(paths) };
            let asked = format!("{} {paths:?}", book.named(id));
            book.take("customer.v1.Customers/GetCustomer", &asked, customers.get_customer(request).await);
        }
        let asked = book.named(id);
        let list = async |page_token| {
            let request = customer::ListTimelineRequest {
                customer_id: id.clone(),
                page_size: FEW,
                page_token,
                ..Default::default()
            };
            who.timeline().list_timeline(request).await
        };
        book.leaf("customer.v1.Timeline/ListTimeline", &asked, list, |page| &mut page.next_page_token).await;
        let list = async |page_token| {
            let request = customer::ListOrdersRequest {
                customer_id: id.clone(),
                page_size: FEW,
                page_token,
                ..Default::default()
            };
            who.orders().list_orders(request).await
        };
        book.leaf("customer.v1.Orders/ListOrders", &asked, list, |page| &mut page.next_page_token).await;
    }
    let request = customer::BatchGetCustomersRequest { customer_ids: viewer.customers.clone() };
    book.take("customer.v1.Customers/BatchGetCustomers", "", customers.batch_get_customers(request).await);
    for filter in FILTERS {
        for order in ORDERS {
            let list = async |page_token| {
                let request = customer::ListCustomersRequest {
                    page_size: FEW,
                    page_token,
                    filter: filter.to_owned(),
                    order_by: order.to_owned(),
                    read_mask: mask(&["contact_points", "fields"]),
                    deleted: false,
                };
                who.customers().list_customers(request).await
            };
            let asked = format!("{filter:?} {order:?}");
            book.leaf("customer.v1.Customers/ListCustomers", &asked, list, |page| &mut page.next_page_token).await;
        }
        let request = customer::CountCustomersRequest { filter: filter.to_owned() };
        book.take("customer.v1.Customers/CountCustomers", filter, customers.count_customers(request).await);
        let request = customer::PreviewSegmentRequest { filter: filter.to_owned() };
        book.take("customer.v1.Segments/PreviewSegment", filter, who.segments().preview_segment(request).await);
    }
    subjects(book, viewer).await;
    // What the rows of another department say is nobody's business here.
    let others = company.viewers().iter().find(|other| other.name != viewer.name).expect("there are several");
    let id = &others.customers[0];
    let request = customer::GetCustomerRequest { customer_id: id.clone(), read_mask: None };
    book.take("customer.v1.Customers/GetCustomer", "a stranger", customers.get_customer(request).await);
    let request = customer::ListTimelineRequest { customer_id: id.clone(), ..Default::default() };
    book.take("customer.v1.Timeline/ListTimeline", "a stranger", timeline.list_timeline(request).await);
    let request = customer::ListOrdersRequest { customer_id: id.clone(), ..Default::default() };
    book.take("customer.v1.Orders/ListOrders", "a stranger", orders.list_orders(request).await);
    catalogue(book, company, viewer).await;
}

/// Who else may see the customers, and why the viewer does.
async fn subjects(book: &mut Book, viewer: &Viewer) {
    let who = viewer.person.fresh().await.expect("a session");
    for id in &viewer.customers {
        let asked = book.named(id);
        let action = "customer.view".to_owned();
        let customer_id = id.clone();
        let request = customer::ListSubjectsWithAccessRequest { customer_id, action, ..Default::default() };
        let subjects = who.customers().list_subjects_with_access(request).await.map(|it| it.map(|it| it.subjects));
        lines(book, "customer.v1.Customers/ListSubjectsWithAccess", &asked, subjects);
        for action in ["customer.view", "customer.update", "customer.export"] {
            let (customer_id, asked) = (id.clone(), format!("{asked} {action}"));
            let request =
                customer::ExplainAccessRequest { customer_id, action: action.to_owned(), ..Default::default() };
            let why = who.customers().explain_access(request).await.map(without_end);
            book.take("customer.v1.Customers/ExplainAccess", &asked, why);
        }
    }
}

/// When an answer ends is when the lease does, and that is the machine's affair.
fn without_end(mut why: Response<customer::ExplainAccessResponse>) -> Response<customer::ExplainAccessResponse> {
    if let Some(answer) = &mut why.get_mut().answer {
        answer.valid_until_time = None;
    }
    why
}

/// What a company has declared, its segments, and the report of who has nobody.
async fn catalogue(book: &mut Book, company: &Company, viewer: &Viewer) {
    let who = viewer.person.fresh().await.expect("a session");
    let mut catalogue = who.catalogue();
    let fields = customer::ListFieldsRequest { include_retired: true };
    book.take("customer.v1.Catalogue/ListFields", "", catalogue.list_fields(fields).await);
    book.take("customer.v1.Catalogue/GetStages", "", catalogue.get_stages(customer::GetStagesRequest {}).await);
    book.take("customer.v1.Catalogue/GetGrades", "", catalogue.get_grades(customer::GetGradesRequest {}).await);
    let request = customer::GetSegmentRequest { segment_id: company.segment.clone() };
    book.take("customer.v1.Segments/GetSegment", "", who.segments().get_segment(request).await);
    let request = customer::ListSegmentsRequest { page_size: ALL, ..Default::default() };
    book.take("customer.v1.Segments/ListSegments", "", who.segments().list_segments(request).await);
    let report = who.ownership().get_orphan_report(customer::GetOrphanReportRequest {}).await;
    book.take("customer.v1.Ownership/GetOrphanReport", "", report);
}

/// Tasks, what came of them, figures, enrolments.
pub async fn follow_ups(book: &mut Book, company: &Company, viewer: &Viewer) {
    let who = viewer.person.fresh().await.expect("a session");
    let mut tasks = who.tasks();
    for id in &viewer.tasks {
        let (task_id, asked) = (id.clone(), book.named(id));
        for paths in [&[][..], &["title", "reason"]] {
            let request = followup::GetTaskRequest { task_id: task_id.clone(), read_mask: mask(paths) };
            let asked = format!("{asked} {paths:?}");
            book.take("followup.v1.Tasks/GetTask", &asked, tasks.get_task(request).await);
        }
        for paths in [&[][..], &["notes"]] {
            let request = followup::GetOutcomeRequest { task_id: task_id.clone(), read_mask: mask(paths) };
            let asked = format!("{asked} {paths:?}");
            book.take("followup.v1.Tasks/GetOutcome", &asked, tasks.get_outcome(request).await);
        }
        let request = followup::GetScriptRequest { task_id };
        book.take("followup.v1.Tasks/GetScript", &asked, tasks.get_script(request).await);
    }
    for id in &viewer.customers {
        let list = async |page_token| {
            let request = followup::ListOutcomesRequest { customer_id: id.clone(), page_size: 1, page_token };
            who.tasks().list_outcomes(request).await
        };
        let asked = book.named(id);
        book.leaf("followup.v1.Tasks/ListOutcomes", &asked, list, |page| &mut page.next_page_token).await;
        let request = followup::ListEnrolmentsRequest { customer_id: id.clone(), ..Default::default() };
        book.take("followup.v1.Plans/ListEnrolments", &asked, who.plans().list_enrolments(request).await);
    }
    let states = [0, 1, 2, 3, 4];
    for state in states {
        let list = async |page_token| {
            let states = if state == 0 { Vec::new() } else { vec![state] };
            let request = followup::ListTasksRequest { page_size: FEW, page_token, states, ..Default::default() };
            let page = answer(who.tasks().list_tasks(request).await)?;
            Ok((page.tasks, page.next_page_token))
        };
        listed(book, "followup.v1.Tasks/ListTasks", &format!("state {state}"), list).await;
    }
    let today = async |page_token| {
        let request = followup::ListTodayTasksRequest { page_size: FEW, page_token, ..Default::default() };
        let page = answer(who.tasks().list_today_tasks(request).await)?;
        Ok((page.tasks, page.next_page_token))
    };
    listed(book, "followup.v1.Tasks/ListTodayTasks", "", today).await;
    figures(book, company, viewer).await;
}

/// Notes a list of tasks: by their due times, and those due at one instant whatever their ids.
async fn listed(
    book: &mut Book,
    call: &str,
    asked: &str,
    page: impl AsyncFn(String) -> Result<(Vec<followup::Task>, String), Failure>,
) {
    let (mut texts, mut order, mut token) = (Vec::new(), String::new(), String::new());
    loop {
        let (tasks, rest) = match page(token).await {
            Ok(page) => page,
            Err(failure) => return book.refused(call, asked, &failure),
        };
        order.push_str(&format!("{:?}\n", tasks.iter().map(|task| task.due_time).collect::<Vec<_>>()));
        texts.extend(tasks.iter().map(|task| format!("{task:?}")));
        token = rest;
        if token.is_empty() {
            break;
        }
    }
    book.sorted(call, asked, texts);
    book.note(call, asked, &order);
}

async fn figures(book: &mut Book, company: &Company, viewer: &Viewer) {
    let who = viewer.person.fresh().await.expect("a session");
    let (now, days) = (company.world.now(), Duration::from_hours(240));
    for group in 0..=4 {
        let request = followup::GetFiguresRequest {
            start_time: Some(wire::time(now - days)),
            end_time: Some(wire::time(now + days)),
            group_by: group,
            ..Default::default()
        };
        let asked = format!("by {group}");
        book.take("followup.v1.Metrics/GetFigures", &asked, who.metrics().get_figures(request).await);
    }
    let request = followup::CheckContinuityRequest { grades: vec!["B".to_owned(), "C".to_owned()], page_size: ALL };
    book.take("followup.v1.Metrics/CheckContinuity", "", who.metrics().check_continuity(request).await);
    let request = followup::GetPlanRequest { plan_id: company.plan.clone() };
    book.take("followup.v1.Plans/GetPlan", "", who.plans().get_plan(request).await);
    let request = followup::ListPlansRequest { page_size: ALL, ..Default::default() };
    book.take("followup.v1.Plans/ListPlans", "", who.plans().list_plans(request).await);
    let request = followup::PreviewPlanRequest { plan_id: company.plan.clone() };
    book.take("followup.v1.Plans/PreviewPlan", "", who.plans().preview_plan(request).await);
}

/// What was delivered, to whom, and what it said.
pub async fn messages(book: &mut Book, viewer: &Viewer) {
    let who = viewer.person.fresh().await.expect("a session");
    let mut deliveries = who.deliveries();
    let request = notification::ListDeliveriesRequest { page_size: ALL, ..Default::default() };
    let listed = deliveries.list_deliveries(request).await.map(tonic::Response::into_inner);
    let mut ids = Vec::new();
    match listed {
        Ok(page) => {
            let texts = page.deliveries.into_iter().map(|delivery| {
                ids.push(delivery.delivery_id.clone());
                delivered(delivery)
            });
            let texts = texts.collect();
            book.sorted("notification.v1.Deliveries/ListDeliveries", "", texts);
        }
        Err(status) => {
            book.refused("notification.v1.Deliveries/ListDeliveries", "", &revisit_bootstrap::status::failure(&status))
        }
    }
    let mut each = Vec::new();
    for delivery_id in ids {
        let one = deliveries.get_delivery(notification::GetDeliveryRequest { delivery_id }).await;
        each.push(one.map_or_else(|status| status.to_string(), |one| delivered(one.into_inner())));
    }
    book.sorted("notification.v1.Deliveries/GetDelivery", "", each);
    let count = notification::CountDeliveriesRequest::default();
    book.take("notification.v1.Deliveries/CountDeliveries", "", deliveries.count_deliveries(count).await);
    let replay = notification::GetReplayRequest { replay_id: viewer.customers[0].clone() };
    book.take("notification.v1.Deliveries/GetReplay", "", deliveries.get_replay(replay).await);
    let mut inbox = who.inbox();
    let request = notification::ListMessagesRequest { page_size: ALL, ..Default::default() };
    let messages = book.take("notification.v1.Inbox/ListMessages", "", inbox.list_messages(request).await);
    let count = messages.map_or(0, |page| page.messages.len());
    let stream = inbox.watch_messages(notification::WatchMessagesRequest { after_sequence: 0 }).await;
    let text = |message: notification::Message| format!("{message:?}\n");
    book.listen("notification.v1.Inbox/WatchMessages", "", (count, stream), text).await;
    let unread = inbox.get_unread_count(notification::GetUnreadCountRequest {}).await;
    book.take("notification.v1.Inbox/GetUnreadCount", "", unread);
}

/// A delivery without what is drawn or measured.
fn delivered(mut delivery: notification::Delivery) -> String {
    for attempt in &mut delivery.attempts {
        (attempt.latency_millis, attempt.request_hash) = (0, String::new());
    }
    format!("{delivery:?}")
}

/// What the services ask each other for.
pub async fn between_services(book: &mut Book, company: &Company) {
    book.opened_for("services");
    let channel = || company.world.running.channel();
    let tenant_id = company.world.admin.tenant_id.to_string();
    let facts = async |page_token| {
        let request = customer::ListCustomerFactsRequest { tenant_id: String::new(), page_size: FEW, page_token };
        OfCustomer::new(channel()).list_customer_facts(by("token-of-followup", request)).await
    };
    book.leaf("customer.v1.Projections/ListCustomerFacts", "", facts, |page| &mut page.next_page_token).await;
    let request = customer::ListSegmentMembersRequest { page_size: ALL, ..Default::default() };
    let members = OfCustomer::new(channel()).list_segment_members(by("token-of-followup", request)).await;
    book.take("customer.v1.Projections/ListSegmentMembers", "", members);
    for viewer in company.viewers() {
        let request = customer::ReadCustomersAsRequest {
            tenant_id: tenant_id.clone(),
            subject_id: viewer.person.id.to_string(),
            customer_ids: viewer.customers.clone(),
            read_mask: mask(&["contact_points"]),
        };
        let read = OfCustomer::new(channel()).read_customers_as(by("token-of-notification", request)).await;
        book.take("customer.v1.Projections/ReadCustomersAs", viewer.name, read);
    }
    let request = followup::ListOpenTasksRequest { page_size: ALL, ..Default::default() };
    let open = OfFollowUp::new(channel()).list_open_tasks(by("token-of-notification", request)).await;
    let open = open.expect("notification may ask").into_inner().tasks;
    book.sorted("followup.v1.Projections/ListOpenTasks", "", open.iter().map(|task| format!("{task:?}")).collect());
    let now = company.world.now();
    let questions = company.viewers().iter().map(|viewer| followup::TodayQuestion {
        assignee_id: viewer.person.id.to_string(),
        from_micros: (now - Duration::from_hours(24)).micros(),
        until_micros: (now + Duration::from_hours(24)).micros(),
    });
    let request = followup::CountTodayRequest { tenant_id, questions: questions.collect() };
    let counts = TodayClient::new(channel()).count_today(by("token-of-notification", request)).await;
    book.take("followup.v1.Today/CountToday", "", counts);
}

fn by<T>(token: &'static str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert(CALLER_HEADER, token.parse().expect("a token is ASCII"));
    request
}
