//! The calls of Directory about service accounts.

use revisit_bootstrap::{Reply, authenticated, reply};
use revisit_core::Input;
use revisit_proto::identity::v1 as pb;
use tonic::Request;

use super::{
    Served,
    read::{self, id_and_reason, page},
    show,
};
use crate::{
    domain::Error,
    operations::{book::Once, service_accounts},
};

pub async fn create_service_account(
    served: &Served,
    request: Request<pb::CreateServiceAccountRequest>,
) -> Reply<pb::CreateServiceAccountResponse> {
    let (who, message) = authenticated(request)?;
    reply(
        async {
            let (input, repeat) = read::directory::create_service_account(message)?;
            let once = Once { repeat, answer: show::created_service_account };
            let (mut answer, secret) = service_accounts::create(&served.0, &who, input, once).await?;
            answer.secret = secret.unwrap_or_default();
            Ok::<_, Error>(answer)
        }
        .await,
    )
}

pub async fn list_service_accounts(
    served: &Served,
    request: Request<pb::ListServiceAccountsRequest>,
) -> Reply<pb::ListServiceAccountsResponse> {
    let (who, message) = authenticated(request)?;
    reply(
        async {
            let mut input = Input::default();
            let paged = page(&mut input, message.page_size, &message.page_token, &["service accounts"])?;
            input.finish()?;
            let seen = service_accounts::list(&served.0, &who, paged.after, paged.page.size).await?;
            let next_page_token = paged.token(seen.next);
            let service_accounts = seen.rows.into_iter().map(show::service_account).collect();
            Ok::<_, Error>(pb::ListServiceAccountsResponse { service_accounts, next_page_token })
        }
        .await,
    )
}

pub async fn rotate_service_account_secret(
    served: &Served,
    request: Request<pb::RotateServiceAccountSecretRequest>,
) -> Reply<pb::RotateServiceAccountSecretResponse> {
    let (who, message) = authenticated(request)?;
    reply(
        async {
            let (id, why) = id_and_reason("service_account_id", &message.service_account_id, &message.reason)?;
            let rotated = service_accounts::rotate(&served.0, &who, id, why).await?;
            let (secret, revision_token) = (rotated.value, rotated.token);
            Ok::<_, Error>(pb::RotateServiceAccountSecretResponse { secret, revision_token })
        }
        .await,
    )
}

pub async fn delete_service_account(
    served: &Served,
    request: Request<pb::DeleteServiceAccountRequest>,
) -> Reply<pb::DeleteServiceAccountResponse> {
    let (who, message) = authenticated(request)?;
    reply(
        async {
            let (id, why) = id_and_reason("service_account_id", &message.service_account_id, &message.reason)?;
            let deleted = service_accounts::delete(&served.0, &who, id, why).await?;
            Ok::<_, Error>(pb::DeleteServiceAccountResponse { revision_token: deleted.token })
        }
        .await,
    )
}
