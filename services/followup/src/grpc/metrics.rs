//! `revisit.followup.v1.Metrics`.

use revisit_bootstrap::{Reply, authenticated, reply};
use revisit_core::Failure;
use revisit_proto::followup::v1::{self as pb, metrics_server::Metrics};
use tonic::Request;

use super::{Served, read};
use crate::operations::figures;

#[tonic::async_trait]
impl Metrics for Served {
    async fn get_figures(&self, request: Request<pb::GetFiguresRequest>) -> Reply<pb::GetFiguresResponse> {
        let (who, message) = authenticated(request)?;
        reply(async { figures::count(&self.app, &who, read::figures(&message)?).await.map_err(Failure::from) }.await)
    }

    async fn check_continuity(
        &self,
        request: Request<pb::CheckContinuityRequest>,
    ) -> Reply<pb::CheckContinuityResponse> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let input = read::continuity(&message)?;
                figures::continuity(&self.app, &who, input).await.map_err(Failure::from)
            }
            .await,
        )
    }
}
