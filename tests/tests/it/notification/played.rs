//! The other services, played: what they answer is what a test says.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use revisit_bootstrap::{Reply, internal, reply};
use revisit_core::Failure;
use revisit_proto::{customer::v1 as customer, followup::v1 as followup};
use tonic::Request;

/// What happens while a played service is asked.
pub type Meanwhile = Arc<dyn Fn() + Send + Sync>;

/// What the played services answer.
#[derive(Default)]
pub struct Played {
    /// Names of customers by (reader, customer); who is not here may not see the customer.
    pub names: Mutex<HashMap<(String, String), String>>,
    /// Whether who may name a customer reads nothing else of it; else the history, too.
    pub names_alone: AtomicBool,
    /// Mail addresses of customers, told only to who asks for clear values.
    pub addresses: Mutex<HashMap<String, String>>,
    /// Whether the customer service is away.
    pub customer_away: AtomicBool,
    /// What happens while names are asked for, so many more times.
    pub meanwhile: Mutex<(u32, Option<Meanwhile>)>,
    /// Due and overdue tasks of each assignee.
    pub counts: Mutex<HashMap<String, (i32, i32)>>,
    /// Whether followup is away.
    pub followup_away: AtomicBool,
    /// How often followup was asked.
    pub asked: AtomicU32,
}

/// Answers for the services that it plays.
#[derive(Clone)]
pub struct Answering(pub Arc<Played>);

fn away() -> Failure {
    Failure::unavailable("AWAY", "the test says so")
}

#[tonic::async_trait]
impl customer::projections_server::Projections for Answering {
    async fn read_customers_as(
        &self,
        request: Request<customer::ReadCustomersAsRequest>,
    ) -> Reply<customer::BatchGetCustomersResponse> {
        let (_, message) = internal(request, &["notification"])?;
        let happens = {
            let mut meanwhile = self.0.meanwhile.lock().expect("no panic");
            let happens = meanwhile.1.clone().filter(|_| meanwhile.0 > 0);
            meanwhile.0 = meanwhile.0.saturating_sub(1);
            happens
        };
        if let Some(happens) = happens {
            happens();
        }
        if self.0.customer_away.load(Ordering::SeqCst) {
            return reply(Err::<customer::BatchGetCustomersResponse, _>(away()));
        }
        let (names, addresses) = (self.0.names.lock().expect("no panic"), self.0.addresses.lock().expect("no panic"));
        let read: &[&str] = if self.0.names_alone.load(Ordering::SeqCst) { &["basic"] } else { &["basic", "history"] };
        let level = |layer: &&str| customer::LayerLevel { layer: (*layer).to_owned(), level: "read".to_owned() };
        let answer = |id: &String| {
            let name = names.get(&(message.subject_id.clone(), id.clone()));
            let point = |address: &String| customer::ContactPoint {
                r#type: customer::ContactType::Email.into(),
                value: address.clone(),
                normal_form: address.clone(),
                ..Default::default()
            };
            customer::CustomerAnswer {
                customer_id: id.clone(),
                customer: name.map(|name| customer::Customer {
                    customer_id: id.clone(),
                    name: name.clone(),
                    levels: read.iter().map(level).collect(),
                    contact_points: addresses.get(id).map(point).into_iter().collect(),
                    ..Default::default()
                }),
                ..Default::default()
            }
        };
        let answers = message.customer_ids.iter().map(answer).collect();
        reply(Ok::<_, Failure>(customer::BatchGetCustomersResponse { answers }))
    }

    async fn list_customer_facts(
        &self,
        _: Request<customer::ListCustomerFactsRequest>,
    ) -> Reply<customer::ListCustomerFactsResponse> {
        reply(Err::<customer::ListCustomerFactsResponse, _>(away()))
    }

    async fn list_segment_members(
        &self,
        _: Request<customer::ListSegmentMembersRequest>,
    ) -> Reply<customer::ListSegmentMembersResponse> {
        reply(Err::<customer::ListSegmentMembersResponse, _>(away()))
    }

    async fn close_task_access(
        &self,
        _: Request<customer::CloseTaskAccessRequest>,
    ) -> Reply<customer::CloseTaskAccessResponse> {
        reply(Err::<customer::CloseTaskAccessResponse, _>(away()))
    }
}

#[tonic::async_trait]
impl followup::today_server::Today for Answering {
    async fn count_today(&self, request: Request<followup::CountTodayRequest>) -> Reply<followup::CountTodayResponse> {
        let (_, message) = internal(request, &["notification"])?;
        self.0.asked.fetch_add(1, Ordering::SeqCst);
        if self.0.followup_away.load(Ordering::SeqCst) {
            return reply(Err::<followup::CountTodayResponse, _>(away()));
        }
        let counts = self.0.counts.lock().expect("no panic");
        let count = |question: &followup::TodayQuestion| {
            let (due_count, overdue_count) = counts.get(&question.assignee_id).copied().unwrap_or_default();
            followup::TodayCount { due_count, overdue_count }
        };
        let counts = message.questions.iter().map(count).collect();
        reply(Ok::<_, Failure>(followup::CountTodayResponse { counts }))
    }
}
