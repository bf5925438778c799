//! The calls of Access: each hands on to its group.

use revisit_bootstrap::{Principal, Refusals, Reply, ServiceCaller, authenticated, reply, wire::time};
use revisit_core::Failure;
use revisit_proto::identity::v1::{self as pb, access_server::Access};
use tonic::{Request, Response, async_trait};

use super::{Served, modules, previews, questions, read, rights, show};
use crate::{
    domain::Error,
    operations::{
        asking::Asker,
        decisions::{self, Answer},
    },
};

/// A service of ours asks for itself unless it acts for a user; then the user asks.
fn asker<T>(request: &Request<T>) -> Option<Asker> {
    let principal = request.extensions().get::<Principal>().cloned();
    let service = request.extensions().get::<ServiceCaller>().map(|_| Asker::Service);
    principal.map(|who| Asker::Subject(Box::new(who))).or(service)
}

pub fn asked<T>(request: Request<T>) -> Result<(Asker, T), tonic::Status> {
    match asker(&request) {
        Some(asker) => Ok((asker, request.into_inner())),
        // Says what is missing in the one way that every call does.
        None => authenticated(request).map(|(who, message)| (Asker::Subject(Box::new(who)), message)),
    }
}

fn result(answer: Result<Answer, Failure>) -> pb::BatchCheckResult {
    use pb::batch_check_result::Result as Wire;
    let result = match answer {
        Ok(answer) => Wire::Answer(show::answer(&answer)),
        Err(failure) => Wire::ErrorReason(failure.reason.to_owned()),
    };
    pb::BatchCheckResult { result: Some(result) }
}

#[async_trait]
impl Access for Served {
    async fn create_role(&self, request: Request<pb::CreateRoleRequest>) -> Reply<pb::Role> {
        rights::create_role(self, request).await
    }

    async fn get_role(&self, request: Request<pb::GetRoleRequest>) -> Reply<pb::Role> {
        rights::get_role(self, request).await
    }

    async fn list_roles(&self, request: Request<pb::ListRolesRequest>) -> Reply<pb::ListRolesResponse> {
        rights::list_roles(self, request).await
    }

    async fn update_role(&self, request: Request<pb::UpdateRoleRequest>) -> Reply<pb::Role> {
        rights::update_role(self, request).await
    }

    async fn delete_role(&self, request: Request<pb::DeleteRoleRequest>) -> Reply<pb::DeleteRoleResponse> {
        rights::delete_role(self, request).await
    }

    async fn set_role_override(&self, request: Request<pb::SetRoleOverrideRequest>) -> Reply<pb::RoleAssignment> {
        rights::set_override(self, request).await
    }

    async fn clear_role_override(
        &self,
        request: Request<pb::ClearRoleOverrideRequest>,
    ) -> Reply<pb::ClearRoleOverrideResponse> {
        rights::clear_override(self, request).await
    }

    async fn list_role_assignments(
        &self,
        request: Request<pb::ListRoleAssignmentsRequest>,
    ) -> Reply<pb::ListRoleAssignmentsResponse> {
        rights::list_assignments(self, request).await
    }

    async fn create_grant(&self, request: Request<pb::CreateGrantRequest>) -> Reply<pb::Grant> {
        rights::create_grant(self, request).await
    }

    async fn get_grant(&self, request: Request<pb::GetGrantRequest>) -> Reply<pb::Grant> {
        rights::get_grant(self, request).await
    }

    async fn list_grants(&self, request: Request<pb::ListGrantsRequest>) -> Reply<pb::ListGrantsResponse> {
        rights::list_grants(self, request).await
    }

    async fn revoke_grant(&self, request: Request<pb::RevokeGrantRequest>) -> Reply<pb::RevokeGrantResponse> {
        rights::revoke_grant(self, request).await
    }

    async fn create_guard(&self, request: Request<pb::CreateGuardRequest>) -> Reply<pb::Guard> {
        rights::create_guard(self, request).await
    }

    async fn get_guard(&self, request: Request<pb::GetGuardRequest>) -> Reply<pb::Guard> {
        rights::get_guard(self, request).await
    }

    async fn list_guards(&self, request: Request<pb::ListGuardsRequest>) -> Reply<pb::ListGuardsResponse> {
        rights::list_guards(self, request).await
    }

    async fn delete_guard(&self, request: Request<pb::DeleteGuardRequest>) -> Reply<pb::DeleteGuardResponse> {
        rights::delete_guard(self, request).await
    }

    async fn list_modules(&self, request: Request<pb::ListModulesRequest>) -> Reply<pb::ListModulesResponse> {
        modules::list_modules(self, request).await
    }

    async fn switch_module(&self, request: Request<pb::SwitchModuleRequest>) -> Reply<pb::Module> {
        modules::switch_module(self, request).await
    }

    async fn check(&self, request: Request<pb::CheckRequest>) -> Reply<pb::CheckResponse> {
        let (asker, message) = asked(request)?;
        reply(
            async {
                let question = read::access::question(message)?;
                Ok::<_, Error>(show::answer(&decisions::check(&self.0, &asker, &question).await?))
            }
            .await,
        )
    }

    async fn batch_check(&self, request: Request<pb::BatchCheckRequest>) -> Reply<pb::BatchCheckResponse> {
        let (asker, message) = asked(request)?;
        reply(
            async {
                let questions = read::access::questions(message)?;
                let answers = decisions::batch(&self.0, &asker, questions).await;
                let refusals = Refusals::among(&answers);
                let results = answers.into_iter().map(result).collect();
                Ok::<_, Error>(refusals.on(pb::BatchCheckResponse { results }))
            }
            .await,
        )
        .map(Response::into_inner)
    }

    async fn check_fields(&self, request: Request<pb::CheckFieldsRequest>) -> Reply<pb::CheckFieldsResponse> {
        questions::check_fields(self, request).await
    }

    async fn list_filter(&self, request: Request<pb::ListFilterRequest>) -> Reply<pb::ListFilterResponse> {
        questions::list_filter(self, request).await
    }

    async fn list_subjects_with_access(
        &self,
        request: Request<pb::ListSubjectsWithAccessRequest>,
    ) -> Reply<pb::ListSubjectsWithAccessResponse> {
        questions::list_subjects(self, request).await
    }

    async fn explain_access(&self, request: Request<pb::ExplainAccessRequest>) -> Reply<pb::ExplainAccessResponse> {
        let (asker, message) = asked(request)?;
        reply(
            async {
                let question = read::access::explain(message)?;
                let (answer, explanation) = decisions::explain(&self.0, &asker, &question).await?;
                let refused_axis = answer.refused.map_or(pb::Axis::Unspecified, show::axis).into();
                let answer = Some(show::answer(&answer));
                Ok::<_, Error>(pb::ExplainAccessResponse { answer, refused_axis, explanation })
            }
            .await,
        )
    }

    async fn preview_change(&self, request: Request<pb::PreviewChangeRequest>) -> Reply<pb::PreviewChangeResponse> {
        previews::preview_change(self, request).await
    }

    async fn revoke_and_wait(&self, request: Request<pb::RevokeAndWaitRequest>) -> Reply<pb::RevokeAndWaitResponse> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let (target, why) = read::access::revocation(message)?;
                let (revised, effective) = decisions::revoke_and_wait(&self.0, &who, target, why).await?;
                Ok::<_, Error>(pb::RevokeAndWaitResponse {
                    revision_token: revised.token,
                    effective_time: Some(time(effective.at)),
                    acknowledged: effective.acknowledged,
                })
            }
            .await,
        )
    }
}
