//! The calls of Auth.

use revisit_bootstrap::{Reply, address, authenticated, reply};
use revisit_core::Input;
use revisit_proto::identity::v1::{self as pb, auth_server::Auth};
use tonic::{Request, async_trait};

use super::{Served, read, show};
use crate::{
    domain::{Error, profile::read_reason},
    operations::{log_in, sessions},
};

/// Where a call comes from, as the audit log has it.
fn source() -> String {
    Some(address::current()).filter(|address| !address.is_empty()).unwrap_or_else(|| "in-process".to_owned())
}

#[async_trait]
impl Auth for Served {
    async fn log_in(&self, request: Request<pb::LogInRequest>) -> Reply<pb::TokenPair> {
        let source = source();
        reply(
            async {
                let input = read::auth::log_in(request.into_inner(), source)?;
                Ok::<_, Error>(show::tokens(log_in::log_in(&self.0, input).await?))
            }
            .await,
        )
    }

    async fn log_in_service_account(&self, request: Request<pb::LogInServiceAccountRequest>) -> Reply<pb::TokenPair> {
        let source = source();
        reply(
            async {
                let (id, secret) = read::auth::log_in_service_account(request.into_inner())?;
                let tokens = log_in::log_in_service_account(&self.0, id, secret, source).await?;
                Ok::<_, Error>(show::tokens(tokens))
            }
            .await,
        )
    }

    async fn refresh(&self, request: Request<pb::RefreshRequest>) -> Reply<pb::TokenPair> {
        reply(
            async {
                let token = read::auth::refresh(request.into_inner())?;
                Ok::<_, Error>(show::tokens(log_in::refresh(&self.0, &token).await?))
            }
            .await,
        )
    }

    async fn log_out(&self, request: Request<pb::LogOutRequest>) -> Reply<pb::LogOutResponse> {
        let (who, _) = authenticated(request)?;
        let ended = sessions::log_out(&self.0, &who).await;
        reply(ended.map(|ended| pb::LogOutResponse { revision_token: ended.token }))
    }

    async fn set_password(&self, request: Request<pb::SetPasswordRequest>) -> Reply<pb::SetPasswordResponse> {
        reply(
            async {
                let (token, password) = read::auth::set_password(request.into_inner())?;
                let set = log_in::set_password(&self.0, &token, password).await?;
                Ok::<_, Error>(pb::SetPasswordResponse { revision_token: set.token })
            }
            .await,
        )
    }

    async fn change_password(&self, request: Request<pb::ChangePasswordRequest>) -> Reply<pb::ChangePasswordResponse> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let (current, new) = read::auth::change_password(message)?;
                let changed = log_in::change_password(&self.0, &who, current, new).await?;
                Ok::<_, Error>(pb::ChangePasswordResponse { revision_token: changed.token })
            }
            .await,
        )
    }

    async fn list_sessions(&self, request: Request<pb::ListSessionsRequest>) -> Reply<pb::ListSessionsResponse> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let mut input = Input::default();
                let user = input.id_optional("user_id", &message.user_id);
                input.finish()?;
                let found = sessions::list(&self.0, &who, user).await?;
                Ok::<_, Error>(pb::ListSessionsResponse { sessions: found.into_iter().map(show::session).collect() })
            }
            .await,
        )
    }

    async fn revoke_session(&self, request: Request<pb::RevokeSessionRequest>) -> Reply<pb::RevokeSessionResponse> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let mut input = Input::default();
                let id = input.id("session_id", &message.session_id);
                let reason = read_reason(&mut input, &message.reason);
                input.finish()?;
                let ended = sessions::revoke(&self.0, &who, id, reason).await?;
                Ok::<_, Error>(pb::RevokeSessionResponse { revision_token: ended.token })
            }
            .await,
        )
    }
}
