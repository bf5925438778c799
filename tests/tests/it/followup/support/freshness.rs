//! How fresh what the service knows of customers is: the watermarks that customer would publish all the time.

use std::time::Duration;

use revisit_bootstrap::Running;
use revisit_event::Watermark;
use revisit_proto::followup::v1 as pb;
use tokio::task::JoinHandle;
use tonic::{Response, Status};

use super::{Company, reason};

/// How often a watermark is published: far more often than the age at which a call is refused.
const EVERY: Duration = Duration::from_millis(50);
/// Tries of a call until what it is decided on is fresh.
const TRIES: usize = 500;

impl Company {
    /// Publishes watermarks to a replica until the test ends.
    pub(super) fn watch(&self, replica: &Running) -> JoinHandle<()> {
        let (runtime, speaker) = (replica.runtime.clone(), self.speaker.clone());
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(EVERY);
            loop {
                tick.tick().await;
                let positions = speaker.said_by("customer");
                let Some(time) = runtime.lease.time() else { continue };
                let watermark = Watermark { incarnation: speaker.incarnation, time, positions };
                runtime.bus.set_watermark("customer", watermark).await.expect("the bus takes it");
            }
        })
    }

    /// Customer falls silent: what is known of it grows old.
    pub async fn silence_customer(&self) {
        self.watching.iter().for_each(JoinHandle::abort);
        let stale = async || {
            let answer = self.tasks().list_tasks(self.by("rep", pb::ListTasksRequest::default())).await;
            answer.err().filter(|status| reason(status) == "PROJECTION_STALE").map(drop)
        };
        self.until(stale).await;
    }

    /// Repeats a call while the service's knowledge of customers is being refreshed.
    pub async fn freshly<T>(&self, call: impl AsyncFn() -> Result<Response<T>, Status>) -> Result<T, Status> {
        let mut tick = tokio::time::interval(EVERY);
        for _ in 0..TRIES {
            match call().await {
                Err(status) if reason(&status) == "PROJECTION_STALE" => drop(tick.tick().await),
                answer => return answer.map(Response::into_inner),
            }
        }
        Err(Status::internal("it never became fresh"))
    }

    /// Waits until every replica may decide on what it knows of customers.
    pub(super) async fn be_fresh(&self) {
        for replica in 0..self.replicas.len() {
            let ask = async || {
                let request = pb::ListTasksRequest { page_size: 1, ..Default::default() };
                self.tasks_of(replica).list_tasks(self.by("boss", request)).await
            };
            self.freshly(ask).await.expect("a list");
        }
    }
}
