//! What only services of ours may call: `revisit.customer.v1.Projections` and this service's part of hand-overs.

use std::sync::Arc;

use revisit_bootstrap::{Principal, Reply, internal, reply};
use revisit_core::{
    Input,
    id::{CustomerId, DepartmentId, SegmentId, SubjectId, TenantId},
    page::Page,
};
use revisit_proto::{
    customer::v1::{self as pb, projections_server::Projections},
    identity::v1::{PreviewHandOverRequest, PreviewHandOverResponse, customer_hand_over_server::CustomerHandOver},
};
use tonic::Request;
use uuid::Uuid;

use super::{customers, read};
use crate::{
    App,
    domain::Error,
    operations::{consume, customers as operations, hand_over},
    store,
};

/// Who may ask for customers of a whole tenant.
const READERS: [&str; 2] = ["followup", "notification"];
const BATCH_MAX: usize = 100;

#[derive(Clone)]
pub struct Served(pub Arc<App>);

#[tonic::async_trait]
impl Projections for Served {
    async fn list_customer_facts(
        &self,
        request: Request<pb::ListCustomerFactsRequest>,
    ) -> Reply<pb::ListCustomerFactsResponse> {
        let (_, message) = internal(request, &READERS)?;
        reply(
            async {
                let mut input = Input::default();
                let tenant: Option<TenantId> = input.id_optional("tenant_id", &message.tenant_id);
                let shape = [message.tenant_id.as_str()];
                let page = Page::read(&mut input, message.page_size, &message.page_token, &shape);
                let after = page.after.as_deref().map(ids::<2>);
                input.require(after != Some(None), "page_token", "was not made by this list");
                input.finish()?;
                let after = after.flatten().map(|[tenant, id]| (tenant, id));
                let worker = &self.0.workers.project;
                let size = u64::from(page.size);
                let found =
                    self.0.store.database.read(worker, async |tx| {
                        store::segment_rows::facts_page(tx, worker, tenant, after, size).await
                    });
                let found = found.await?;
                let last = found.last().filter(|_| found.len() as u64 == size);
                Ok::<_, Error>(pb::ListCustomerFactsResponse {
                    next_page_token: last
                        .map(|last| page.token(&bytes([last.tenant.uuid(), last.id.uuid()])))
                        .unwrap_or_default(),
                    customers: found
                        .iter()
                        .map(|customer| pb::TenantFacts {
                            tenant_id: customer.tenant.to_string(),
                            facts: Some(store::facts(customer)),
                        })
                        .collect(),
                })
            }
            .await,
        )
    }

    async fn list_segment_members(
        &self,
        request: Request<pb::ListSegmentMembersRequest>,
    ) -> Reply<pb::ListSegmentMembersResponse> {
        let (_, message) = internal(request, &READERS)?;
        reply(
            async {
                let mut input = Input::default();
                let tenant: Option<TenantId> = input.id_optional("tenant_id", &message.tenant_id);
                let segment: Option<SegmentId> = input.id_optional("segment_id", &message.segment_id);
                let shape = [message.tenant_id.as_str(), message.segment_id.as_str()];
                let page = Page::read(&mut input, message.page_size, &message.page_token, &shape);
                let after = page.after.as_deref().map(ids::<3>);
                input.require(after != Some(None), "page_token", "was not made by this list");
                input.finish()?;
                let after = after.flatten().map(|[tenant, segment, customer]| (tenant, segment, customer));
                let worker = &self.0.workers.project;
                let size = u64::from(page.size);
                let found = self.0.store.database.read(worker, async |tx| {
                    store::segment_rows::members_page(tx, worker, (tenant, segment), after, size).await
                });
                let found = found.await?;
                let last = found.last().filter(|_| found.len() as u64 == size);
                Ok::<_, Error>(pb::ListSegmentMembersResponse {
                    next_page_token: last
                        .map(|(tenant, segment, customer, _)| page.token(&bytes([*tenant, *segment, *customer])))
                        .unwrap_or_default(),
                    members: found
                        .iter()
                        .map(|(tenant, segment, customer, crossing)| pb::SegmentMember {
                            tenant_id: tenant.to_string(),
                            segment_id: segment.to_string(),
                            customer_id: customer.to_string(),
                            crossing: *crossing,
                        })
                        .collect(),
                })
            }
            .await,
        )
    }

    async fn read_customers_as(
        &self,
        request: Request<pb::ReadCustomersAsRequest>,
    ) -> Reply<pb::BatchGetCustomersResponse> {
        let (_, message) = internal(request, &READERS)?;
        reply(
            async {
                let mut input = Input::default();
                let tenant: TenantId = input.id("tenant_id", &message.tenant_id);
                let subject: SubjectId = input.id("subject_id", &message.subject_id);
                input.require(!message.customer_ids.is_empty(), "customer_ids", "is required");
                let wanted: Vec<CustomerId> = input.ids("customer_ids", &message.customer_ids, BATCH_MAX);
                let clear = read::clear(&mut input, message.read_mask);
                input.finish()?;
                let who = Principal::named(&self.0.leases, tenant, subject);
                let views = operations::get_all(&self.0, &who, &wanted, &clear).await?;
                Ok::<_, Error>(customers::answers(&wanted, &views))
            }
            .await,
        )
    }

    async fn close_task_access(
        &self,
        request: Request<pb::CloseTaskAccessRequest>,
    ) -> Reply<pb::CloseTaskAccessResponse> {
        let (_, message) = internal(request, &["followup"])?;
        reply(
            async {
                let mut input = Input::default();
                let tenant: TenantId = input.id("tenant_id", &message.tenant_id);
                let customer: CustomerId = input.id("customer_id", &message.customer_id);
                let task = input.id("task_id", &message.task_id);
                input.require(message.generation > 0, "generation", "must be a version");
                input.finish()?;
                let app = &self.0;
                app.store
                    .database
                    .write(&app.workers.consume, async |tx| {
                        consume::close_task(app, tx, (tenant, customer), task, message.generation).await
                    })
                    .await?;
                Ok::<_, Error>(pb::CloseTaskAccessResponse {})
            }
            .await,
        )
    }
}

#[tonic::async_trait]
impl CustomerHandOver for Served {
    async fn preview_customer_hand_over(
        &self,
        request: Request<PreviewHandOverRequest>,
    ) -> Reply<PreviewHandOverResponse> {
        let (_, message) = internal(request, &["identity"])?;
        reply(
            async {
                let mut input = Input::default();
                let tenant: TenantId = input.id("tenant_id", &message.tenant_id);
                let user: SubjectId = input.id("user_id", &message.user_id);
                let department: Option<DepartmentId> =
                    input.id_optional("from_department_id", &message.from_department_id);
                input.finish()?;
                let (count, first) = hand_over::preview(&self.0, (tenant, user), department).await?;
                Ok::<_, Error>(PreviewHandOverResponse {
                    count,
                    row_ids: first.iter().map(ToString::to_string).collect(),
                })
            }
            .await,
        )
    }
}

fn bytes<const N: usize>(ids: [Uuid; N]) -> Vec<u8> {
    ids.iter().flat_map(|id| *id.as_bytes()).collect()
}

fn ids<const N: usize>(bytes: &[u8]) -> Option<[Uuid; N]> {
    let ids: Vec<Uuid> = bytes.chunks(16).map(Uuid::from_slice).collect::<Result<_, _>>().ok()?;
    ids.try_into().ok()
}
