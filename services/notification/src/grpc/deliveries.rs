//! The calls of `Deliveries`.

use revisit_bootstrap::{Reply, authenticated, reply};
use revisit_proto::notification::v1::{self as pb, deliveries_server::Deliveries};
use tonic::Request;

use super::{Served, read, show};
use crate::{domain::Error, operations::deliveries};

#[tonic::async_trait]
impl Deliveries for Served {
    async fn get_delivery(&self, request: Request<pb::GetDeliveryRequest>) -> Reply<pb::Delivery> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let id = read::delivery_id(&message)?;
                Ok::<_, Error>(show::told(&deliveries::get(&self.app, &who, id).await?))
            }
            .await,
        )
    }

    async fn list_deliveries(&self, request: Request<pb::ListDeliveriesRequest>) -> Reply<pb::ListDeliveriesResponse> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let (filter, page) = read::list_deliveries(message)?;
                let (rows, next_page_token) = deliveries::list(&self.app, &who, filter, page).await?;
                let deliveries = rows.iter().map(show::delivery).collect();
                Ok::<_, Error>(pb::ListDeliveriesResponse { deliveries, next_page_token })
            }
            .await,
        )
    }

    async fn count_deliveries(
        &self,
        request: Request<pb::CountDeliveriesRequest>,
    ) -> Reply<pb::CountDeliveriesResponse> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let filter = read::count_deliveries(message)?;
                let counts = deliveries::count(&self.app, &who, filter).await?;
                Ok::<_, Error>(pb::CountDeliveriesResponse { counts: counts.iter().map(show::count).collect() })
            }
            .await,
        )
    }

    async fn replay_deliveries(&self, request: Request<pb::ReplayDeliveriesRequest>) -> Reply<pb::Replay> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let (filter, repeat) = read::replay(message)?;
                Ok::<_, Error>(show::replay(&deliveries::replay(&self.app, &who, filter, repeat).await?))
            }
            .await,
        )
    }

    async fn get_replay(&self, request: Request<pb::GetReplayRequest>) -> Reply<pb::Replay> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let id = read::replay_id(&message)?;
                Ok::<_, Error>(show::replay(&deliveries::get_replay(&self.app, &who, id).await?))
            }
            .await,
        )
    }
}
