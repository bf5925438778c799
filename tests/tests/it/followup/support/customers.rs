//! What the test tells the service as customer and identity would.

use prost::Name;
use revisit_core::id::{CustomerId, EventId, SegmentId};
use revisit_proto::{customer::v1 as customer, followup::v1 as pb};
use uuid::Uuid;

use super::Company;

impl Company {
    /// Puts an event on the bus as `source` would.
    pub async fn event<M: Name>(&self, source: &'static str, key: Uuid, message: &M) {
        // Each process has a bus of its own here; the database says which replica applies it.
        let buses = self.replicas.iter().map(|replica| replica.runtime.bus.clone());
        self.speaker.say(buses, (source, key), message).await;
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

    /// A customer of the rep with an open weekly task, due the next evening.
    pub async fn with_open_task(&self) -> (CustomerId, pb::Task) {
        let (id, task, _) = self.with_open_task_in_segment().await;
        (id, task)
    }

    /// The same, and the audience.
    pub async fn with_open_task_in_segment(&self) -> (CustomerId, pb::Task, SegmentId) {
        let segment: SegmentId = self.new_id();
        self.publish("grade_a_weekly", segment).await;
        let id = self.new_id();
        self.enter(segment, self.facts(id, 1, "rep"), 1).await;
        self.advance_to_local("2026-03-09T09:00").await;
        let open = self.list("rep", &[pb::TaskState::Open]).await;
        (id, open.into_iter().next().expect("it has opened"), segment)
    }

    /// Gives a customer to somebody else.
    pub async fn change_owner(&self, id: CustomerId, version: i64, owner: &str) {
        let facts = customer::CustomerFacts { ownership_epoch: version, ..self.facts(id, version, owner) };
        self.owner_changed(id, facts).await;
    }

    /// Lets its owner be who the facts say, if anybody.
    pub async fn owner_changed(&self, id: CustomerId, facts: customer::CustomerFacts) {
        let changed = customer::OwnerChanged { facts: Some(facts), ..Default::default() };
        self.event("customer", id.uuid(), &changed).await;
        self.settle().await;
    }
}
