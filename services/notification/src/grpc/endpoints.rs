//! The calls of `Endpoints`.

use revisit_bootstrap::{Reply, authenticated, reply};
use revisit_proto::notification::v1::{self as pb, endpoints_server::Endpoints};
use tonic::Request;

use super::{Served, read, show};
use crate::{domain::Error, operations::endpoints};

#[tonic::async_trait]
impl Endpoints for Served {
    async fn create_endpoint(&self, request: Request<pb::CreateEndpointRequest>) -> Reply<pb::CreateEndpointResponse> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let (new, repeat) = read::create_endpoint(&message, self.app.resolver.outbound())?;
                Ok::<_, Error>(show::created(&endpoints::create(&self.app, &who, new, repeat).await?))
            }
            .await,
        )
    }

    async fn get_endpoint(&self, request: Request<pb::GetEndpointRequest>) -> Reply<pb::Endpoint> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let id = read::endpoint_id(&message.endpoint_id)?;
                Ok::<_, Error>(show::endpoint(&endpoints::get(&self.app, &who, id).await?))
            }
            .await,
        )
    }

    async fn list_endpoints(&self, request: Request<pb::ListEndpointsRequest>) -> Reply<pb::ListEndpointsResponse> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let page = read::list_endpoints(&message)?;
                let (rows, next_page_token) = endpoints::list(&self.app, &who, page).await?;
                let endpoints = rows.iter().map(show::endpoint).collect();
                Ok::<_, Error>(pb::ListEndpointsResponse { endpoints, next_page_token })
            }
            .await,
        )
    }

    async fn update_endpoint(&self, request: Request<pb::UpdateEndpointRequest>) -> Reply<pb::Endpoint> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let change = read::update_endpoint(message, self.app.resolver.outbound())?;
                Ok::<_, Error>(show::endpoint(&endpoints::update(&self.app, &who, change).await?))
            }
            .await,
        )
    }

    async fn delete_endpoint(&self, request: Request<pb::DeleteEndpointRequest>) -> Reply<pb::DeleteEndpointResponse> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let (id, version) = read::delete_endpoint(&message)?;
                endpoints::delete(&self.app, &who, id, version).await?;
                Ok::<_, Error>(pb::DeleteEndpointResponse {})
            }
            .await,
        )
    }

    async fn add_endpoint_key(&self, request: Request<pb::AddEndpointKeyRequest>) -> Reply<pb::AddEndpointKeyResponse> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let (what, repeat) = read::add_key(&message)?;
                Ok::<_, Error>(show::added(&endpoints::add_key(&self.app, &who, what, repeat).await?))
            }
            .await,
        )
    }

    async fn remove_endpoint_key(&self, request: Request<pb::RemoveEndpointKeyRequest>) -> Reply<pb::Endpoint> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let (id, key) = read::remove_key(&message)?;
                Ok::<_, Error>(show::endpoint(&endpoints::remove_key(&self.app, &who, id, key).await?))
            }
            .await,
        )
    }
}
