//! What other services ask of this one: counts for the morning digest, and what a hand-over would move.

use revisit_bootstrap::{Reply, internal, reply};
use revisit_core::Failure;
use revisit_proto::{
    followup::v1::{self as pb, today_server::Today},
    identity::v1::{self as identity, task_hand_over_server::TaskHandOver},
};
use tonic::Request;

use super::{Served, read};
use crate::operations::{figures, hand_over};

#[tonic::async_trait]
impl Today for Served {
    async fn count_today(&self, request: Request<pb::CountTodayRequest>) -> Reply<pb::CountTodayResponse> {
        let (_, message) = internal(request, &["notification"])?;
        reply(
            async {
                let (tenant, days) = read::days(&message)?;
                figures::today(&self.app, &self.worker, tenant, &days).await.map_err(Failure::from)
            }
            .await,
        )
    }
}

#[tonic::async_trait]
impl TaskHandOver for Served {
    async fn preview_task_hand_over(
        &self,
        request: Request<identity::PreviewHandOverRequest>,
    ) -> Reply<identity::PreviewHandOverResponse> {
        let (_, message) = internal(request, &["identity"])?;
        reply(
            async {
                let (whose, from) = read::hand_over(&message)?;
                let (count, ids) = hand_over::preview(&self.app, &self.worker, whose, from).await?;
                Ok::<_, Failure>(identity::PreviewHandOverResponse {
                    count: i64::try_from(count).unwrap_or(i64::MAX),
                    row_ids: ids.iter().map(ToString::to_string).collect(),
                })
            }
            .await,
        )
    }
}
