//! Clients that go on writing whatever happens to the server, and remember every answer.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use revisit_bootstrap::{status, wire};
use revisit_core::{Clock, Failure, Ids, Kind, Timestamp};
use revisit_proto::{customer::v1 as customer, followup::v1 as followup};
use revisit_standalone::client::Person;
use tokio::sync::watch;
use tonic::{Code, Response, Status};
use tonic_types::StatusExt;

/// A to-do is due this soon: its reminder falls into one of the next lives of the server.
const DUE_MILLIS: [u64; 4] = [2_000, 4_000, 6_000, 9_000];
/// What a to-do is refused with when it comes too late.
const TOO_LATE: &str = "DUE_TIME_IN_PAST";

/// What somebody writes with.
#[derive(Clone)]
pub struct Desk {
    pub who: Person,
    pub ids: Ids,
    pub clock: Clock,
    /// Where the server is.
    pub address: watch::Receiver<Option<SocketAddr>>,
    /// Answers of all writers so far.
    pub answers: watch::Sender<usize>,
    /// Whether no new write is to begin.
    pub closed: Arc<AtomicBool>,
}

/// What was answered.
#[derive(Default)]
pub struct Ledger {
    /// Names of customers with their ids.
    pub customers: BTreeMap<String, String>,
    /// Titles of to-dos with their ids.
    pub tasks: BTreeMap<String, String>,
    /// When the last reminder is due.
    pub last_due: Option<Timestamp>,
    /// To-dos that were refused because the server was away until they were due.
    pub refused: usize,
}

impl Ledger {
    /// Takes over what another one remembers.
    pub fn merge(&mut self, other: Self) {
        self.customers.extend(other.customers);
        self.tasks.extend(other.tasks);
        self.last_due = self.last_due.max(other.last_due);
        self.refused += other.refused;
    }
}

impl Desk {
    /// Writes until the desk is closed; what was begun is brought to an answer.
    pub async fn write(self, writer: usize) -> Ledger {
        let mut ledger = Ledger::default();
        let mut count = 0;
        while !self.closed.load(Ordering::SeqCst) {
            count += 1;
            if count % 2 == 0 {
                self.to_do(format!("回电 {writer}-{count}"), DUE_MILLIS[count / 2 % DUE_MILLIS.len()], &mut ledger)
                    .await;
            } else {
                // Eleven digits of a mobile number that nobody else writes.
                let phone = format!("13{writer:02}{count:07}");
                self.customer(format!("王芳 {writer}-{count}"), phone, &mut ledger).await;
            }
        }
        ledger
    }

    async fn customer(&self, name: String, phone: String, ledger: &mut Ledger) {
        let point =
            customer::ContactPoint { r#type: customer::ContactType::Phone as i32, value: phone, ..Default::default() };
        let row = customer::Customer {
            kind: customer::CustomerKind::Person as i32,
            name: name.clone(),
            contact_points: vec![point],
            ..Default::default()
        };
        let request = customer::CreateCustomerRequest { customer: Some(row), request_id: self.request_id() };
        let call = |who: Person, request| async move { who.customers().create_customer(request).await };
        let made = self.until_answered(request, call).await.expect("a customer can be made");
        ledger.customers.insert(name, made.customer_id);
    }

    async fn to_do(&self, title: String, due_millis: u64, ledger: &mut Ledger) {
        let due = self.clock.wall() + Duration::from_millis(due_millis);
        let request = followup::CreateTaskRequest {
            kind: followup::TaskKind::Todo as i32,
            title: title.clone(),
            due_time: Some(wire::time(due)),
            request_id: self.request_id(),
            ..Default::default()
        };
        let call = |who: Person, request| async move { who.tasks().create_task(request).await };
        match self.until_answered(request, call).await {
            Ok(task) => {
                ledger.tasks.insert(title, task.task_id);
                ledger.last_due = ledger.last_due.max(Some(due));
            }
            Err(failure) => {
                assert_eq!(failure.reason, TOO_LATE, "{failure:?}");
                ledger.refused += 1;
            }
        }
    }

    /// Makes the same call, in every life of the server, until one of them answers.
    async fn until_answered<M: Clone, T, F>(&self, message: M, call: impl Fn(Person, M) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let mut address = self.address.clone();
        loop {
            address.wait_for(Option::is_some).await.expect("the server outlives its writers");
            if let Err(failure) = self.who.fresh().await {
                assert!(failure.kind != Kind::Unauthenticated, "nobody gets in any more: {failure:?}");
                continue;
            }
            match call(self.who.clone(), message.clone()).await {
                Err(status) if is_no_answer(&status) => {}
                answered => {
                    self.answers.send_modify(|answers| *answers += 1);
                    return status::answer(answered);
                }
            }
        }
    }

    fn request_id(&self) -> String {
        self.ids.next::<revisit_core::id::kind::Event>(self.clock.wall()).to_string()
    }
}

/// Whether the connection broke, or the server has only just begun to live. A fault of the server is an answer, and one
/// that no writer accepts.
fn is_no_answer(status: &Status) -> bool {
    let broken = status.get_error_details().error_info().is_none();
    broken || matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled)
}
