//! The outboxes of a process towards their consumers: one `Events` service for all of them, told apart by incarnation.

use std::sync::Arc;

use revisit_core::{Failure, Input, Kind};
use revisit_event::{Outbox, SHARDS, outbox::Refused};
use revisit_permission::Worker;
use revisit_proto::event::v1::{
    AcknowledgeRequest, AcknowledgeResponse, GetPositionsRequest, GetPositionsResponse, ShardPosition,
    events_server::{Events, EventsServer},
};
use tonic::Request;
use uuid::Uuid;

use crate::{
    auth::{ServiceCaller, internal},
    database::{Database, Tx, fault},
    settings::SERVICES,
    status::{Reply, reply},
};

/// How far a consumer has acknowledged an outbox.
pub async fn positions(database: &Database, outbox: &Outbox, consumer: &str) -> Result<GetPositionsResponse, Failure> {
    let incarnation = outbox.incarnation(&database.pools().writer).await.map_err(fault)?;
    let gone = outbox.gone(&database.pools().reader, consumer).await.map_err(fault)?;
    let shards: Vec<u32> = (0..SHARDS).collect();
    let newest = outbox.newest(&database.pools().reader, &shards).await.map_err(fault)?;
    let passed = |shard: u32| gone.iter().find(|(at, _)| *at == shard).map_or(0, |(_, position)| *position);
    let waiting = newest.iter().map(|head| (head.position - passed(head.shard)).max(0)).sum();
    let positions = gone.iter().map(|(shard, position)| ShardPosition { shard: *shard, position: *position }).collect();
    Ok(GetPositionsResponse { incarnation: incarnation.to_string(), positions, waiting })
}

/// Serves the acknowledgements of every outbox given.
pub(crate) fn service(outboxes: Vec<Database>) -> EventsServer<impl Events> {
    EventsServer::new(Served { outboxes: Arc::new(outboxes), worker: Worker::declare("events") })
}

#[derive(Clone)]
struct Served {
    outboxes: Arc<Vec<Database>>,
    worker: Worker,
}

struct Acknowledged {
    incarnation: Uuid,
    positions: Vec<(u32, i64)>,
}

#[tonic::async_trait]
impl Events for Served {
    async fn acknowledge(&self, request: Request<AcknowledgeRequest>) -> Reply<AcknowledgeResponse> {
        let (caller, message) = internal(request, &SERVICES)?;
        reply(
            async {
                let consumer = message.consumer.clone();
                own(&caller, &consumer)?;
                let what = read(message)?;
                self.acknowledge_as(&consumer, what).await
            }
            .await,
        )
    }

    async fn get_positions(&self, request: Request<GetPositionsRequest>) -> Reply<GetPositionsResponse> {
        let (caller, message) = internal(request, &SERVICES)?;
        reply(
            async {
                own(&caller, &message.consumer)?;
                self.positions_of(&message.consumer, &message.source).await
            }
            .await,
        )
    }
}

/// The consumer that a service names must be itself.
fn own(caller: &ServiceCaller, consumer: &str) -> Result<(), Failure> {
    if consumer == caller.service {
        return Ok(());
    }
    Err(Failure::new(Kind::Denied, "CONSUMER_UNKNOWN", "a service acknowledges for itself only"))
}

fn read(message: AcknowledgeRequest) -> Result<Acknowledged, Failure> {
    let mut input = Input::default();
    let incarnation = Uuid::try_parse(&message.incarnation).unwrap_or_else(|_| {
        input.refuse("incarnation", "must be a UUID");
        Uuid::nil()
    });
    input.require(message.positions.len() <= SHARDS as usize, "positions", "must have at most 64 entries");
    for (index, place) in message.positions.iter().enumerate() {
        input.require(place.shard < SHARDS, &format!("positions[{index}].shard"), "must lie between 0 and 63");
        input.require(place.position >= 0, &format!("positions[{index}].position"), "must not be negative");
    }
    input.finish()?;
    let positions = message.positions.into_iter().map(|place| (place.shard, place.position)).collect();
    Ok(Acknowledged { incarnation, positions })
}

impl Served {
    async fn positions_of(&self, consumer: &str, source: &str) -> Result<GetPositionsResponse, Failure> {
        let of_source = |database: &&Database| database.outbox().is_some_and(|outbox| outbox.source() == source);
        let none = || Failure::new(Kind::NotFound, "OUTBOX_NOT_FOUND", "the outbox of that service is not here");
        let database = self.outboxes.iter().find(of_source).ok_or_else(none)?;
        positions(database, database.outbox().ok_or_else(none)?, consumer).await
    }

    async fn acknowledge_as(&self, consumer: &str, what: Acknowledged) -> Result<AcknowledgeResponse, Failure> {
        for database in self.outboxes.iter() {
            let Some(outbox) = database.outbox() else { continue };
            let held = outbox.incarnation(&database.pools().writer).await.map_err(fault)?;
            if held != what.incarnation {
                continue;
            }
            let write = database.write(&self.worker, async |tx: &Tx| {
                let stored = outbox.acknowledge(tx, consumer, what.incarnation, &what.positions).await;
                stored.map_err(|refused| match refused {
                    Refused::Database(error) => fault(error),
                    Refused::IncarnationChanged | Refused::UnknownConsumer | Refused::NoSuchPosition { .. } => {
                        Failure::from(refused)
                    }
                })
            });
            write.await?;
            outbox.committed();
            return Ok(AcknowledgeResponse {});
        }
        Err(Failure::from(Refused::IncarnationChanged))
    }
}
