//! `revisit.followup.v1.Plans`.

use revisit_bootstrap::{Reply, authenticated, idempotency::Repeatable, reply};
use revisit_core::{Failure, Input, page::Page};
use revisit_proto::followup::v1::{self as pb, plans_server::Plans};
use tonic::Request;

use super::{Served, after, etag, read, read_plan, token};
use crate::operations::{enrolments, plans};

#[tonic::async_trait]
impl Plans for Served {
    async fn create_plan(&self, request: Request<pb::CreatePlanRequest>) -> Reply<pb::Plan> {
        let (who, message) = authenticated(request)?;
        reply(async { plans::create(&self.app, &who, read_plan::create(message)?).await.map_err(Failure::from) }.await)
    }

    async fn get_plan(&self, request: Request<pb::GetPlanRequest>) -> Reply<pb::Plan> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let id = read::id("plan_id", &message.plan_id)?;
                plans::get(&self.app, &who, id).await.map_err(Failure::from)
            }
            .await,
        )
    }

    async fn list_plans(&self, request: Request<pb::ListPlansRequest>) -> Reply<pb::ListPlansResponse> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let mut input = Input::default();
                let state = read::plan_state(&mut input, message.state);
                let shape = [message.state.to_string()];
                let page = Page::read(&mut input, message.page_size, &message.page_token, &[&shape[0]]);
                input.finish()?;
                let (plans, next) = plans::list(&self.app, &who, state, (after(&page)?, page.size)).await?;
                Ok::<_, Failure>(pb::ListPlansResponse { plans, next_page_token: token(&page, next) })
            }
            .await,
        )
    }

    async fn update_plan(&self, request: Request<pb::UpdatePlanRequest>) -> Reply<pb::Plan> {
        let (who, message) = authenticated(request)?;
        reply(async { plans::update(&self.app, &who, read_plan::update(message)?).await.map_err(Failure::from) }.await)
    }

    async fn preview_plan(&self, request: Request<pb::PreviewPlanRequest>) -> Reply<pb::PreviewPlanResponse> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let id = read::id("plan_id", &message.plan_id)?;
                plans::preview(&self.app, &who, id).await.map_err(Failure::from)
            }
            .await,
        )
    }

    async fn publish_plan(&self, request: Request<pb::PublishPlanRequest>) -> Reply<pb::Plan> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let mut input = Input::default();
                let id = input.id("plan_id", &message.plan_id);
                let repeat = repeatable(&mut input, &message.request_id, "PublishPlan", &message);
                let tag = etag(&mut input, "etag", &message.etag);
                let migrates = read::migrates(&mut input, message.enrolments);
                input.finish()?;
                plans::publish(&self.app, &who, id, (tag, migrates), repeat).await.map_err(Failure::from)
            }
            .await,
        )
    }

    async fn retire_plan(&self, request: Request<pb::RetirePlanRequest>) -> Reply<pb::Plan> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let mut input = Input::default();
                let id = input.id("plan_id", &message.plan_id);
                let repeat = repeatable(&mut input, &message.request_id, "RetirePlan", &message);
                let tag = etag(&mut input, "etag", &message.etag);
                input.finish()?;
                plans::retire(&self.app, &who, (id, tag), repeat).await.map_err(Failure::from)
            }
            .await,
        )
    }

    async fn get_plan_version(&self, request: Request<pb::GetPlanVersionRequest>) -> Reply<pb::PlanVersion> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let mut input = Input::default();
                let id = input.id("plan_id", &message.plan_id);
                let version = input.number("version", message.version, 1..=i32::MAX);
                input.finish()?;
                plans::version(&self.app, &who, id, version).await.map_err(Failure::from)
            }
            .await,
        )
    }

    async fn list_plan_versions(
        &self,
        request: Request<pb::ListPlanVersionsRequest>,
    ) -> Reply<pb::ListPlanVersionsResponse> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let mut input = Input::default();
                let id = input.id("plan_id", &message.plan_id);
                let page = Page::read(&mut input, message.page_size, &message.page_token, &[&message.plan_id]);
                input.finish()?;
                let below = page.after.as_deref().map(read::number_key).transpose()?;
                let (versions, next) = plans::versions(&self.app, &who, id, (below, page.size)).await?;
                let next_page_token = next.map(|next| page.token(&next.to_be_bytes())).unwrap_or_default();
                Ok::<_, Failure>(pb::ListPlanVersionsResponse { versions, next_page_token })
            }
            .await,
        )
    }

    async fn list_plan_templates(
        &self,
        request: Request<pb::ListPlanTemplatesRequest>,
    ) -> Reply<pb::ListPlanTemplatesResponse> {
        let (who, _) = authenticated(request)?;
        reply(plans::templates(&who))
    }

    async fn list_enrolments(&self, request: Request<pb::ListEnrolmentsRequest>) -> Reply<pb::ListEnrolmentsResponse> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let (which, page) = read::enrolments(&message)?;
                let (enrolments, next) = enrolments::list(&self.app, &who, which, (after(&page)?, page.size)).await?;
                Ok::<_, Failure>(pb::ListEnrolmentsResponse { enrolments, next_page_token: token(&page, next) })
            }
            .await,
        )
    }

    async fn pause_enrolment(&self, request: Request<pb::PauseEnrolmentRequest>) -> Reply<pb::Enrolment> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let mut input = Input::default();
                let id = input.id("enrolment_id", &message.enrolment_id);
                let repeat = repeatable(&mut input, &message.request_id, "PauseEnrolment", &message);
                let etag = etag(&mut input, "etag", &message.etag);
                input.text("reason", &message.reason, 0..=200);
                input.finish()?;
                enrolments::pause(&self.app, &who, enrolments::Change { id, etag, repeat }).await.map_err(Failure::from)
            }
            .await,
        )
    }

    async fn resume_enrolment(&self, request: Request<pb::ResumeEnrolmentRequest>) -> Reply<pb::Enrolment> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let mut input = Input::default();
                let id = input.id("enrolment_id", &message.enrolment_id);
                let repeat = repeatable(&mut input, &message.request_id, "ResumeEnrolment", &message);
                let etag = etag(&mut input, "etag", &message.etag);
                input.finish()?;
                enrolments::resume(&self.app, &who, enrolments::Change { id, etag, repeat })
                    .await
                    .map_err(Failure::from)
            }
            .await,
        )
    }

    async fn migrate_enrolments(
        &self,
        request: Request<pb::MigrateEnrolmentsRequest>,
    ) -> Reply<pb::MigrateEnrolmentsResponse> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let mut input = Input::default();
                let repeat = repeatable(&mut input, &message.request_id, "MigrateEnrolments", &message);
                let id = input.id("plan_id", &message.plan_id);
                input.finish()?;
                enrolments::migrate(&self.app, &who, id, repeat).await.map_err(Failure::from)
            }
            .await,
        )
    }
}

/// What a write names to be safe to repeat.
pub(super) fn repeatable(
    input: &mut Input,
    request_id: &str,
    rpc: &'static str,
    message: &impl prost::Message,
) -> Option<Repeatable> {
    Repeatable::read(input, request_id, rpc, message)
}
