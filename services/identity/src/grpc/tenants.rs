//! The calls of Directory about companies.

use revisit_bootstrap::{Reply, authenticated, reply, wire::time};
use revisit_core::Input;
use revisit_proto::identity::v1 as pb;
use tonic::Request;

use super::{
    Served,
    read::{self, page},
    show,
};
use crate::{domain::Error, operations::tenants};

pub async fn create_tenant(
    served: &Served,
    request: Request<pb::CreateTenantRequest>,
) -> Reply<pb::CreateTenantResponse> {
    let (who, message) = authenticated(request)?;
    reply(
        async {
            let founding = read::directory::create_tenant(message)?;
            let founded = tenants::create(&served.0, &who, founding).await?;
            Ok::<_, Error>(pb::CreateTenantResponse {
                tenant: Some(show::tenant(founded.tenant)),
                password_token: founded.password_token,
                password_token_expire_time: Some(time(founded.expires_at)),
            })
        }
        .await,
    )
}

pub async fn get_tenant(served: &Served, request: Request<pb::GetTenantRequest>) -> Reply<pb::Tenant> {
    let (who, message) = authenticated(request)?;
    reply(
        async {
            let id = read::id("tenant_id", &message.tenant_id)?;
            Ok::<_, Error>(show::tenant(tenants::get(&served.0, &who, id).await?))
        }
        .await,
    )
}

pub async fn list_tenants(served: &Served, request: Request<pb::ListTenantsRequest>) -> Reply<pb::ListTenantsResponse> {
    let (who, message) = authenticated(request)?;
    reply(
        async {
            let mut input = Input::default();
            let paged = page(&mut input, message.page_size, &message.page_token, &["tenants"])?;
            input.finish()?;
            let seen = tenants::list(&served.0, &who, paged.after, paged.page.size).await?;
            let next_page_token = paged.token(seen.next);
            let tenants = seen.rows.into_iter().map(show::tenant).collect();
            Ok::<_, Error>(pb::ListTenantsResponse { tenants, next_page_token })
        }
        .await,
    )
}
