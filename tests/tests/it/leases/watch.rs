//! Somebody who asks a replica for one customer all the while, and what was answered when.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use revisit_core::{Clock, Steady};
use revisit_proto::customer::v1::{GetCustomerRequest, customers_client::CustomersClient};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinHandle,
};
use tonic::{Code, Request, Status, transport::Channel};

/// How often it is asked, whether the calls before were answered or not.
const EVERY: Duration = Duration::from_millis(100);
/// Time for one call: longer than a process is stopped. What it finds in its socket when it goes on began before the
/// revocation was told, and is decided after it: see [`Watch::queued`].
const CALL_MAX: Duration = Duration::from_secs(20);
/// Calls under way at once: a machine that is busy with other things is not asked into a standstill.
const CALLS_MAX: u32 = 12;
/// Time for an answer that has to come.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// Calls that are remembered, longer than any round takes.
const REMEMBERED_MAX: usize = 10_000;
/// How long a process that was told to stop may go on.
const STOPPING_MAX: Duration = Duration::from_millis(50);
/// Calls that a stopped process is asked beside.
const QUEUED: usize = 3;
/// How often is looked whether it has come.
const LOOK: Duration = Duration::from_millis(10);

/// What a call was answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    Allowed,
    /// The right is not there, or the session, or the person.
    Refused,
    /// The replica cannot say, or did not answer, and why.
    Nothing(String),
    /// Something that is never right.
    Fault(Code),
}

impl Answer {
    fn of<T>(result: Result<T, Status>) -> Self {
        let Err(status) = result else { return Self::Allowed };
        if matches!(status.code(), Code::NotFound | Code::PermissionDenied | Code::Unauthenticated) {
            Self::Refused
        } else if matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown)
        {
            // A connection that breaks off is unknown to who called.
            Self::Nothing(status.message().to_owned())
        } else {
            Self::Fault(status.code())
        }
    }
}

/// What an answer says of the right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Right {
    There,
    Gone,
}

/// A stretch of time: of a call, from its begin to its answer, or of a stop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    pub begin: Steady,
    pub end: Steady,
}

/// What was answered to a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Call {
    span: Span,
    is_allowed: bool,
}

/// What was heard so far.
#[derive(Clone, Default, Debug)]
pub struct Heard {
    /// The latest begin of a call that was allowed, and of one that was refused.
    allowed: Steady,
    refused: Steady,
    pub allows: usize,
    pub refusals: usize,
    pub nothings: usize,
    /// Why nothing was said the last time.
    why: String,
    pub fault: Option<Code>,
}

/// One who asks one replica.
pub struct Watch {
    /// For the report.
    pub name: String,
    question: Question,
    calls: Arc<Semaphore>,
    asking: JoinHandle<()>,
}

#[derive(Clone)]
struct Question {
    channel: Channel,
    customer_id: Arc<str>,
    token: Arc<Mutex<Arc<str>>>,
    heard: Arc<Mutex<Heard>>,
    /// The last calls that were answered.
    calls: Arc<Mutex<VecDeque<Call>>>,
    clock: Clock,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A test that panics elsewhere fails by itself.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Question {
    async fn ask(&self) {
        let mut request =
            Request::new(GetCustomerRequest { customer_id: self.customer_id.to_string(), read_mask: None });
        let value = format!("Bearer {}", lock(&self.token)).parse().expect("a token is ASCII");
        request.metadata_mut().insert("authorization", value);
        let mut client = CustomersClient::new(self.channel.clone());
        let began = self.clock.steady();
        let call = tokio::time::timeout(CALL_MAX, client.get_customer(request)).await;
        let answer = call.map_or_else(|_| Answer::Nothing("it takes too long".to_owned()), Answer::of);
        let span = Span { begin: began, end: self.clock.steady() };
        let mut calls = lock(&self.calls);
        if calls.len() >= REMEMBERED_MAX {
            calls.pop_front();
        }
        calls.push_back(Call { span, is_allowed: answer == Answer::Allowed });
        drop(calls);
        let mut heard = lock(&self.heard);
        match answer {
            Answer::Allowed => (heard.allows, heard.allowed) = (heard.allows + 1, heard.allowed.max(began)),
            Answer::Refused => (heard.refusals, heard.refused) = (heard.refusals + 1, heard.refused.max(began)),
            Answer::Nothing(why) => (heard.nothings, heard.why) = (heard.nothings + 1, why),
            Answer::Fault(code) => heard.fault = Some(code),
        }
    }
}

impl Watch {
    /// Begins to ask through `channel`; without a token until one is given.
    pub fn begin(name: String, channel: Channel, customer_id: &str) -> Self {
        let question = Question {
            channel,
            customer_id: customer_id.into(),
            token: Arc::new(Mutex::new("nobody".into())),
            heard: Arc::default(),
            calls: Arc::default(),
            clock: Clock::system(),
        };
        let calls = Arc::new(Semaphore::new(CALLS_MAX as usize));
        let (asked, permits) = (question.clone(), Arc::clone(&calls));
        let asking = tokio::spawn(async move {
            while let Ok(permit) = Arc::clone(&permits).acquire_owned().await {
                let asked = asked.clone();
                tokio::spawn(async move {
                    asked.ask().await;
                    drop(permit);
                });
                tokio::time::sleep(EVERY).await;
            }
        });
        Self { name, question, calls, asking }
    }

    /// Comes with this session from now on.
    pub fn come_with(&self, access_token: &str) {
        *lock(&self.question.token) = access_token.into();
    }

    /// What was heard so far.
    pub fn heard(&self) -> Heard {
        lock(&self.question.heard).clone()
    }

    /// Waits until a call that began after `since` was answered so; fails when that takes too long.
    pub async fn until(&self, right: Right, since: Steady) {
        let latest = || match right {
            Right::There => lock(&self.question.heard).allowed,
            Right::Gone => lock(&self.question.heard).refused,
        };
        let answered = async {
            while latest() <= since {
                tokio::time::sleep(LOOK).await;
            }
        };
        let answered = tokio::time::timeout(ANSWER_MAX, answered).await;
        assert!(answered.is_ok(), "{} does not find the right {right:?}: {:?}", self.name, self.heard());
    }

    /// Waits until every call is answered, and begins none as long as what this answers is held.
    pub async fn quiet(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.calls).acquire_many_owned(CALLS_MAX).await.expect("it is never closed")
    }

    /// Whether a call was allowed that began after `told`.
    pub fn is_stale(&self, told: Steady) -> bool {
        self.heard().allowed > told
    }

    /// Asks some more of a replica that has just been told to stop, however many calls are under way: what it finds in
    /// its socket when it goes on.
    pub async fn ask_while_stopped(&self) {
        tokio::time::sleep(STOPPING_MAX * 2).await;
        futures::future::join_all((0..QUEUED).map(|_| self.question.ask())).await;
    }

    /// How many calls lay waiting while a process was stopped, and of them how many were allowed when it went on.
    pub fn queued(&self, stop: Span) -> (usize, usize) {
        let calls = lock(&self.question.calls);
        let waited = |call: &&Call| {
            call.span.begin > stop.begin + STOPPING_MAX && call.span.begin < stop.end && call.span.end > stop.end
        };
        let queued = calls.iter().filter(waited);
        (queued.clone().count(), queued.filter(|call| call.is_allowed).count())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.asking.abort();
    }
}
