//! The calls of `Templates`.

use revisit_bootstrap::{Reply, authenticated, reply};
use revisit_proto::notification::v1::{self as pb, templates_server::Templates};
use tonic::Request;

use super::{Served, read, show};
use crate::{
    domain::{Error, MessageKind},
    operations::templates,
};

#[tonic::async_trait]
impl Templates for Served {
    async fn list_kinds(&self, request: Request<pb::ListKindsRequest>) -> Reply<pb::ListKindsResponse> {
        let _ = authenticated(request)?;
        let kinds = MessageKind::ALL.into_iter().map(show::kind_rules).collect();
        reply(Ok::<_, Error>(pb::ListKindsResponse { kinds }))
    }

    async fn list_templates(&self, request: Request<pb::ListTemplatesRequest>) -> Reply<pb::ListTemplatesResponse> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let (which, page) = read::list_templates(&message)?;
                let (rows, next_page_token) = templates::list(&self.app, &who, which, page).await?;
                let templates = rows.into_iter().map(show::template).collect();
                Ok::<_, Error>(pb::ListTemplatesResponse { templates, next_page_token })
            }
            .await,
        )
    }

    async fn get_template(&self, request: Request<pb::GetTemplateRequest>) -> Reply<pb::Template> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let id = read::template_id(&message)?;
                Ok::<_, Error>(show::template(templates::get(&self.app, &who, id).await?))
            }
            .await,
        )
    }

    async fn update_template(&self, request: Request<pb::UpdateTemplateRequest>) -> Reply<pb::Template> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let change = read::update_template(message)?;
                Ok::<_, Error>(show::template(templates::update(&self.app, &who, change).await?))
            }
            .await,
        )
    }

    async fn preview_template(
        &self,
        request: Request<pb::PreviewTemplateRequest>,
    ) -> Reply<pb::PreviewTemplateResponse> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let key = read::preview(&message)?;
                let words = templates::preview_for(&who, key, &message.text, &message.layout)?;
                Ok::<_, Error>(pb::PreviewTemplateResponse { title: words.title, body: words.body })
            }
            .await,
        )
    }
}
