//! The calls of Directory from which other services rebuild their projections.

use revisit_bootstrap::{Reply, internal, reply, settings::SERVICES};
use revisit_core::{Failure, Id, Input, id::TenantId, page::Page};
use revisit_proto::identity::v1 as pb;
use tonic::Request;
use uuid::Uuid;

use super::Served;
use crate::{domain::Error, operations::facts};

/// The key of the last row of a page: tenant and id.
fn after<K>(page: &Page) -> Result<Option<(TenantId, Id<K>)>, Failure> {
    let Some(bytes) = page.after.as_deref() else { return Ok(None) };
    let (tenant, id) = bytes.split_at_checked(16).ok_or_else(Page::unreadable)?;
    let read = |bytes| Uuid::from_slice(bytes).map_err(|_| Page::unreadable());
    Ok(Some((Id::from_uuid(read(tenant)?), Id::from_uuid(read(id)?))))
}

/// The token of the next page; a page that is not full is the last.
fn next(page: &Page, found: usize, last: Option<(&str, &str)>) -> String {
    let full = u32::try_from(found).is_ok_and(|found| found == page.size);
    let key = last.filter(|_| full).and_then(|(tenant, id)| {
        Some([tenant.parse::<Uuid>().ok()?.into_bytes(), id.parse::<Uuid>().ok()?.into_bytes()].concat())
    });
    key.map(|key| page.token(&key)).unwrap_or_default()
}

pub async fn list_user_facts(
    served: &Served,
    request: Request<pb::ListUserFactsRequest>,
) -> Reply<pb::ListUserFactsResponse> {
    let (_, message) = internal(request, &SERVICES)?;
    reply(
        async {
            let mut input = Input::default();
            let tenant = input.id_optional("tenant_id", &message.tenant_id);
            let shape = ["user facts", &message.tenant_id];
            let page = Page::read(&mut input, message.page_size, &message.page_token, &shape);
            input.finish()?;
            let users = facts::users(&served.0, tenant, after(&page)?, page.size).await?;
            let last = users.last().and_then(|it| Some((it.tenant_id.as_str(), it.user.as_ref()?.user_id.as_str())));
            let next_page_token = next(&page, users.len(), last);
            Ok::<_, Error>(pb::ListUserFactsResponse { users, next_page_token })
        }
        .await,
    )
}

pub async fn list_department_facts(
    served: &Served,
    request: Request<pb::ListDepartmentFactsRequest>,
) -> Reply<pb::ListDepartmentFactsResponse> {
    let (_, message) = internal(request, &SERVICES)?;
    reply(
        async {
            let mut input = Input::default();
            let tenant = input.id_optional("tenant_id", &message.tenant_id);
            let shape = ["department facts", &message.tenant_id];
            let page = Page::read(&mut input, message.page_size, &message.page_token, &shape);
            input.finish()?;
            let departments = facts::departments(&served.0, tenant, after(&page)?, page.size).await?;
            let last = departments
                .last()
                .and_then(|it| Some((it.tenant_id.as_str(), it.department.as_ref()?.department_id.as_str())));
            let next_page_token = next(&page, departments.len(), last);
            Ok::<_, Error>(pb::ListDepartmentFactsResponse { departments, next_page_token })
        }
        .await,
    )
}
