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
use crate::{
    domain::Error,
    operations::{book::Once, tenants},
};

pub async fn create_tenant(
    served: &Served,
    request: Request<pb::CreateTenantRequest>,
) -> Reply<pb::CreateTenantResponse> {
    let (who, message) = authenticated(request)?;
    reply(
        async {
            let (founding, repeat) = read::directory::create_tenant(message)?;
            let once = Once { repeat, answer: show::founded_tenant };
            let (mut answer, link) = tenants::create(&served.0, &who, founding, once).await?;
            if let Some((token, expires_at)) = link {
                answer.password_token = token;
                answer.password_token_expire_time = Some(time(expires_at));
            }
            Ok::<_, Error>(answer)
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
