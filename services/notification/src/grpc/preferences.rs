//! The calls of `Preferences`.

use revisit_bootstrap::{Reply, authenticated, reply};
use revisit_proto::notification::v1::{self as pb, preferences_server::Preferences};
use tonic::Request;

use super::{Served, read, show};
use crate::{domain::Error, operations::preferences};

#[tonic::async_trait]
impl Preferences for Served {
    async fn get_preferences(&self, request: Request<pb::GetPreferencesRequest>) -> Reply<pb::UserPreferences> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let pb::GetPreferencesRequest {} = message;
                Ok::<_, Error>(show::preference(&preferences::get(&self.app, &who).await?))
            }
            .await,
        )
    }

    async fn update_preferences(&self, request: Request<pb::UpdatePreferencesRequest>) -> Reply<pb::UserPreferences> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let change = read::update_preferences(message)?;
                Ok::<_, Error>(show::preference(&preferences::update(&self.app, &who, change).await?))
            }
            .await,
        )
    }

    async fn get_policy(&self, request: Request<pb::GetPolicyRequest>) -> Reply<pb::Policy> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let pb::GetPolicyRequest {} = message;
                Ok::<_, Error>(show::policy(preferences::policy(&self.app, &who).await?))
            }
            .await,
        )
    }

    async fn update_policy(&self, request: Request<pb::UpdatePolicyRequest>) -> Reply<pb::Policy> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let change = read::update_policy(message)?;
                Ok::<_, Error>(show::policy(preferences::update_policy(&self.app, &who, change).await?))
            }
            .await,
        )
    }
}
