//! What the test tells the service as customer and identity would.

use std::time::Duration;

use prost::Name;
use revisit_core::id::{CustomerId, EventId, SegmentId};
use revisit_event::{Envelope, Stream, Watermark, kind_of, shard};
use revisit_proto::customer::v1 as customer;
use tonic::{Response, Status};
use uuid::Uuid;

use super::{Company, reason};

impl Company {
    /// Puts an event on the bus as `source` would.
    pub async fn event<M: Name>(&self, source: &'static str, key: Uuid, message: &M) {
        let shard = shard(self.identity.tenant, key);
        let position = {
            let mut streams = self.streams.lock().expect("no test panics while it holds the positions");
            let last = streams.entry((source, shard)).or_default();
            *last += 1;
            *last
        };
        let envelope = Envelope {
            id: self.new_id::<revisit_core::id::kind::Event>().to_string(),
            source: source.into(),
            r#type: kind_of::<M>(),
            subject: key.to_string(),
            time_micros: self.now().micros(),
            tenantid: self.identity.tenant.to_string(),
            sequence: position,
            traceparent: String::new(),
            data: message.encode_to_vec(),
            shard,
            position,
            incarnation: self.incarnation.to_string(),
        };
        let stream = Stream { source: source.into(), incarnation: self.incarnation, shard };
        self.first().runtime.bus.publish(&stream, position - 1, vec![envelope]).await.expect("the bus takes it");
    }

    /// Makes what is known of customers fresh enough for a caller's decision.
    pub async fn refresh(&self) {
        let runtime = &self.first().runtime;
        let positions = {
            let streams = self.streams.lock().expect("no test panics while it holds the positions");
            (0..revisit_event::SHARDS).map(|shard| streams.get(&("customer", shard)).copied().unwrap_or(0)).collect()
        };
        let time = runtime.lease.time().expect("the lease holds");
        let watermark = Watermark { incarnation: self.incarnation, time, positions };
        runtime.bus.set_watermark("customer", watermark).await.expect("the bus takes it");
    }

    /// Repeats a call while the service's knowledge of customers is being refreshed.
    pub async fn freshly<T>(&self, call: impl AsyncFn() -> Result<Response<T>, Status>) -> Result<T, Status> {
        let mut tick = tokio::time::interval(Duration::from_millis(20));
        for _ in 0..500 {
            self.refresh().await;
            match call().await {
                Err(status) if reason(&status) == "PROJECTION_STALE" => drop(tick.tick().await),
                answer => return answer.map(Response::into_inner),
            }
        }
        Err(Status::internal("it never became fresh"))
    }

    /// A customer of somebody, as customer would tell of it.
    pub fn facts(&self, id: CustomerId, version: i64, owner: &str) -> customer::CustomerFacts {
        customer::CustomerFacts {
            customer_id: id.to_string(),
            version,
            owner_id: self.who(owner).to_string(),
            ownership_epoch: 1,
            department_id: self.store.to_string(),
            stage: "lead".into(),
            grade: "A".into(),
            ..Default::default()
        }
    }

    /// A new customer of somebody.
    pub async fn customer(&self, owner: &str) -> CustomerId {
        let id = self.new_id();
        let created = customer::CustomerCreated { facts: Some(self.facts(id, 1, owner)) };
        self.event("customer", id.uuid(), &created).await;
        id
    }

    /// Lets a customer into a segment.
    pub async fn enter(&self, segment: SegmentId, facts: customer::CustomerFacts, crossing: i64) {
        let key: EventId = facts.customer_id.parse().expect("an id");
        let entered = customer::SegmentEntered {
            segment_id: segment.to_string(),
            customer_id: facts.customer_id.clone(),
            crossing,
            facts: Some(facts),
        };
        self.event("customer", key.uuid(), &entered).await;
    }
}
