//! The calls of ExternalTypes and ExternalResources.

use revisit_bootstrap::{Reply, authenticated, reply, wire::time};
use revisit_core::{Failure, Input, id::kind, page::Page};
use revisit_permission::{Action, Keeping, Layer, Levels, Name};
use revisit_proto::identity::v1::{
    self as pb, external_resources_server::ExternalResources, external_types_server::ExternalTypes,
};
use tonic::{Request, async_trait};

use super::{
    Served,
    read::{external, page},
    show,
};
use crate::{
    domain::{
        Error,
        external::{KeptRow, Registered},
    },
    operations::{
        book::{Once, Revised},
        external_rows::{self, Put},
        external_types,
        searches::Rows,
    },
};

#[async_trait]
impl ExternalTypes for Served {
    async fn create_external_type(&self, request: Request<pb::CreateExternalTypeRequest>) -> Reply<pb::ExternalType> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let (input, repeat) = external::create_type(message)?;
                external_types::create(&self.0, &who, input, Once { repeat, answer: revised_type }).await
            }
            .await,
        )
    }

    async fn get_external_type(&self, request: Request<pb::GetExternalTypeRequest>) -> Reply<pb::ExternalType> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let name = named(&message.name)?;
                Ok::<_, Error>(shown_type(external_types::get(&self.0, &who, &name).await?))
            }
            .await,
        )
    }

    async fn list_external_types(
        &self,
        request: Request<pb::ListExternalTypesRequest>,
    ) -> Reply<pb::ListExternalTypesResponse> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let mut input = Input::default();
                let page = Page::read(&mut input, message.page_size, &message.page_token, &["external types"]);
                let after = page.after.as_deref().map(std::str::from_utf8).transpose();
                let after = after.map_err(|_| Page::unreadable())?.map(ToOwned::to_owned);
                input.finish()?;
                let (found, more) = external_types::list(&self.0, &who, after.as_deref(), page.size).await?;
                let last = found.last().filter(|_| more);
                let next_page_token =
                    last.map(|last| page.token(last.facts.name.as_str().as_bytes())).unwrap_or_default();
                let external_types = found.into_iter().map(shown_type).collect();
                Ok::<_, Error>(pb::ListExternalTypesResponse { external_types, next_page_token })
            }
            .await,
        )
    }

    async fn update_external_type(&self, request: Request<pb::UpdateExternalTypeRequest>) -> Reply<pb::ExternalType> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let (name, edit) = external::update_type(message)?;
                Ok::<_, Error>(revised_type(external_types::change(&self.0, &who, &name, edit).await?))
            }
            .await,
        )
    }

    async fn delete_external_type(
        &self,
        request: Request<pb::DeleteExternalTypeRequest>,
    ) -> Reply<pb::DeleteExternalTypeResponse> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let (name, edit) = external::delete_type(message)?;
                let deleted = external_types::delete(&self.0, &who, &name, edit).await?;
                Ok::<_, Error>(pb::DeleteExternalTypeResponse { revision_token: deleted.token })
            }
            .await,
        )
    }
}

#[async_trait]
impl ExternalResources for Served {
    async fn batch_put_external_resources(
        &self,
        request: Request<pb::BatchPutExternalResourcesRequest>,
    ) -> Reply<pb::BatchPutExternalResourcesResponse> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let (name, rows) = external::put_rows(message)?;
                let Put { rows, token } = external_rows::put(&self.0, &who, &name, rows).await?;
                let resources = rows.into_iter().map(|it| shown_row(it, Levels::WRITE)).collect();
                Ok::<_, Error>(pb::BatchPutExternalResourcesResponse { resources, revision_token: token })
            }
            .await,
        )
    }

    async fn get_external_resource(
        &self,
        request: Request<pb::GetExternalResourceRequest>,
    ) -> Reply<pb::ExternalResource> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let (name, id) = external::named_row(&message)?;
                let (row, levels) = external_rows::get(&self.0, &who, &name, id.uuid()).await?;
                Ok::<_, Error>(shown_row(row, levels))
            }
            .await,
        )
    }

    async fn batch_delete_external_resources(
        &self,
        request: Request<pb::BatchDeleteExternalResourcesRequest>,
    ) -> Reply<pb::BatchDeleteExternalResourcesResponse> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let (name, ids) = external::delete_rows(&message)?;
                let deleted = external_rows::delete(&self.0, &who, &name, &ids).await?;
                let deleted_count = i32::try_from(deleted).unwrap_or(i32::MAX);
                Ok::<_, Error>(pb::BatchDeleteExternalResourcesResponse { deleted_count })
            }
            .await,
        )
    }

    async fn list_external_resources(
        &self,
        request: Request<pb::ListExternalResourcesRequest>,
    ) -> Reply<pb::ListExternalResourcesResponse> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let mut input = Input::default();
                let name = external::name(&mut input, "external_type", &message.external_type);
                let subject = input.id_optional("subject_id", &message.subject_id);
                let view = Action::ExternalView.name();
                let action = if message.action.is_empty() { view } else { message.action.as_str() }.to_owned();
                let shape = ["external rows", &message.external_type, &action, &message.subject_id];
                let paged = page::<kind::ExternalRow>(&mut input, message.page_size, &message.page_token, &shape)?;
                input.finish()?;
                let (after, size) = (paged.after.map(|id| id.uuid()), paged.page.size);
                let wanted = Rows { subject, action, external: Some(name), after, size };
                let found = external_rows::list(&self.0, &who, &wanted).await?;
                // About somebody else's rows the caller is told that they are.
                let own = subject.is_none_or(|subject| subject == who.subject());
                let shown = |(row, levels)| if own { shown_row(row, levels) } else { named_row(&row, levels) };
                let resources = found.rows.into_iter().map(shown).collect();
                let next_page_token = paged.token(found.next);
                Ok::<_, Error>(pb::ListExternalResourcesResponse { resources, next_page_token })
            }
            .await,
        )
    }
}

fn named(text: &str) -> Result<Name, Failure> {
    let mut input = Input::default();
    let name = external::name(&mut input, "name", text);
    input.finish()?;
    Ok(name)
}

fn shown_type(it: Registered) -> pb::ExternalType {
    let Registered { facts, display_name, version } = it;
    let action = |(name, verb): (String, Action)| pb::ExternalAction { name, verb: verb.name().to_owned() };
    let field = |(name, layer): (String, Layer)| pb::ExternalField { name, layer: layer.name().to_owned() };
    let keeping = match facts.keeping {
        Keeping::Sent => pb::ExternalKeeping::Sent,
        Keeping::Kept => pb::ExternalKeeping::Kept,
    };
    pb::ExternalType {
        name: String::from(facts.name),
        display_name,
        actions: facts.actions.into_iter().map(action).collect(),
        fields: facts.fields.into_iter().map(field).collect(),
        attributes: facts.attributes.iter().map(|it| it.name().to_owned()).collect(),
        keeping: keeping.into(),
        etag: version.to_string(),
        revision_token: String::new(),
    }
}

fn revised_type(it: Revised<Registered>) -> pb::ExternalType {
    pb::ExternalType { revision_token: it.token, ..shown_type(it.value) }
}

/// A row's id, and how much of the rest there is.
fn named_row(it: &KeptRow, levels: Levels) -> pb::ExternalResource {
    let attributes = pb::RowAttributes {
        row_id: it.row.id.to_string(),
        external_type: it.row.external.as_ref().map(ToString::to_string).unwrap_or_default(),
        ..pb::RowAttributes::default()
    };
    let levels = Some(show::levels(levels));
    pb::ExternalResource { attributes: Some(attributes), levels, ..pb::ExternalResource::default() }
}

/// A row, as much of it as the levels show: what policy looks at is of the basic layer, like the name.
fn shown_row(it: KeptRow, levels: Levels) -> pb::ExternalResource {
    let bare = named_row(&it, levels);
    if !levels.reads(Layer::Basic) {
        return bare;
    }
    let KeptRow { row, display_name, version, updated_at } = it;
    let text = |name: Option<Name>| name.map(String::from).unwrap_or_default();
    let attributes = pb::RowAttributes {
        owner_id: row.owner.map(|id| id.to_string()).unwrap_or_default(),
        department_id: row.department.map(|id| id.to_string()).unwrap_or_default(),
        team_ids: row.teams.iter().map(ToString::to_string).collect(),
        stage: text(row.stage),
        grade: text(row.grade),
        vip: row.flags.vip,
        pooled: row.flags.pooled,
        auth_rev: row.auth_rev,
        ..bare.attributes.unwrap_or_default()
    };
    pb::ExternalResource {
        attributes: Some(attributes),
        display_name,
        etag: version.to_string(),
        update_time: Some(time(updated_at)),
        levels: bare.levels,
    }
}
