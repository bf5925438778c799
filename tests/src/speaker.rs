//! Speaks for services that a test does not start: puts their events on the bus, and knows whether they were applied.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
};

use prost::Name;
use revisit_core::{Ids, ManualClock, id::TenantId};
use revisit_event::{Bus, Envelope, SHARDS, Stream, kind_of, shard};
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};
use uuid::Uuid;

/// The last position of each stream, by source and shard.
type Positions = BTreeMap<(&'static str, u32), i64>;

/// Says what other services would. Cheap to clone: all clones speak in one stream.
#[derive(Clone)]
pub struct Speaker {
    tenant: TenantId,
    clock: ManualClock,
    ids: Ids,
    /// The incarnation of every source.
    pub incarnation: Uuid,
    last: Arc<Mutex<Positions>>,
}

impl Speaker {
    /// Speaks about one company, at the time of this clock.
    #[must_use]
    pub fn new(tenant: TenantId, clock: &ManualClock) -> Self {
        let ids = Ids::random();
        let incarnation = ids.next::<revisit_core::id::kind::Event>(clock.clock().wall()).uuid();
        Self { tenant, clock: clock.clone(), ids, incarnation, last: Arc::default() }
    }

    fn positions(&self) -> MutexGuard<'_, Positions> {
        self.last.lock().expect("no test panics while it holds the positions")
    }

    /// The last position of each shard of a source; 0 where nothing was said.
    #[must_use]
    pub fn said_by(&self, source: &'static str) -> Vec<i64> {
        let positions = self.positions();
        (0..SHARDS).map(|shard| positions.get(&(source, shard)).copied().unwrap_or(0)).collect()
    }

    /// Puts an event on each bus as `source` would: processes that share a database may have a bus each.
    pub async fn say<M: Name>(
        &self,
        buses: impl IntoIterator<Item = Bus>,
        (source, key): (&'static str, Uuid),
        message: &M,
    ) {
        let shard = shard(self.tenant, key);
        let position = {
            let mut positions = self.positions();
            let last = positions.entry((source, shard)).or_default();
            *last += 1;
            *last
        };
        let now = self.clock.clock().wall();
        let envelope = Envelope {
            id: self.ids.next::<revisit_core::id::kind::Event>(now).to_string(),
            source: source.into(),
            r#type: kind_of::<M>(),
            subject: key.to_string(),
            time_micros: now.micros(),
            tenantid: self.tenant.to_string(),
            sequence: position,
            traceparent: String::new(),
            data: message.encode_to_vec(),
            shard,
            position,
            incarnation: self.incarnation.to_string(),
        };
        let stream = Stream { source: source.into(), incarnation: self.incarnation, shard };
        for bus in buses {
            bus.publish(&stream, position - 1, vec![envelope.clone()]).await.expect("the bus takes it");
        }
    }

    /// Whether a service has applied everything that was said, by what its own database says.
    pub async fn was_heard(&self, database: &DatabaseConnection) -> bool {
        let said: Vec<_> = self.positions().iter().map(|(stream, position)| (*stream, *position)).collect();
        let text = "SELECT source, shard, position FROM inbox_progress";
        let question = Statement::from_string(database.get_database_backend(), text);
        let rows = database.query_all_raw(question).await.expect("the question is well put");
        said.iter().all(|((source, shard), position)| {
            rows.iter().any(|row| {
                let told: String = row.try_get("", "source").expect("a source");
                let place: i32 = row.try_get("", "shard").expect("a shard");
                let reached: i64 = row.try_get("", "position").expect("a position");
                told == *source && place == shard.cast_signed() && reached >= *position
            })
        })
    }
}
