//! `revisit.customer.v1.Ownership`.

use std::sync::Arc;

use revisit_bootstrap::{Reply, authenticated, idempotency::Repeatable, reply, wire};
use revisit_core::{
    Input,
    id::{CustomerId, DepartmentId, SubjectId},
    page::Page,
};
use revisit_permission::Action;
use revisit_proto::customer::v1::{self as pb, ownership_server::Ownership};
use tonic::Request;
use uuid::Uuid;

use super::{read, show};
use crate::{
    App,
    domain::Error,
    operations::{
        change::Asked,
        lifecycle,
        transfers::{self, Order},
    },
    store::{
        save::Handover,
        transfers::{Job, RowResult, State, Target},
    },
};

const REASON_MAX: usize = 500;

pub struct Served(pub Arc<App>);

#[tonic::async_trait]
impl Ownership for Served {
    async fn assign_customer(&self, request: Request<pb::AssignCustomerRequest>) -> Reply<pb::Customer> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let mut input = Input::default();
                let repeat = Repeatable::read(&mut input, &message.request_id, "AssignCustomer", &message);
                let id = input.id("customer_id", &message.customer_id);
                let to = to(&mut input, &message.owner_id, &message.department_id);
                let because = handover(&mut input, &message.reason);
                let asked = Asked { etag: read::etag(&mut input, &message.etag), repeat };
                input.finish()?;
                let view = lifecycle::transfer(&self.0, &who, (id, Action::CustomerAssign), to, (because, asked)).await;
                view.map(|view| show::customer(&view))
            }
            .await,
        )
    }

    async fn transfer_customer(&self, request: Request<pb::TransferCustomerRequest>) -> Reply<pb::Customer> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let mut input = Input::default();
                let repeat = Repeatable::read(&mut input, &message.request_id, "TransferCustomer", &message);
                let id = input.id("customer_id", &message.customer_id);
                let to = to(&mut input, &message.owner_id, &message.department_id);
                let because = handover(&mut input, &message.reason);
                let asked = Asked { etag: read::etag(&mut input, &message.etag), repeat };
                input.finish()?;
                let view =
                    lifecycle::transfer(&self.0, &who, (id, Action::CustomerTransfer), to, (because, asked)).await;
                view.map(|view| show::customer(&view))
            }
            .await,
        )
    }

    async fn create_bulk_transfer(&self, request: Request<pb::CreateBulkTransferRequest>) -> Reply<pb::BulkTransfer> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let mut input = Input::default();
                let repeat = Repeatable::read(&mut input, &message.request_id, "CreateBulkTransfer", &message);
                let ids: Vec<CustomerId> = input.ids("customer_ids", &message.customer_ids, transfers::ROWS_MAX);
                let from: Option<SubjectId> = input.id_optional("from_owner_id", &message.from_owner_id);
                input.require(
                    ids.is_empty() == from.is_some(),
                    "customer_ids",
                    "name either customers or from_owner_id",
                );
                let to = to(&mut input, &message.owner_id, &message.department_id);
                let reason = handover(&mut input, &message.reason).reason;
                input.finish()?;
                let order = Order { ids, from, owner: to.0, department: to.1, reason };
                transfers::create(&self.0, &who, order, repeat).await.map(|job| show_job(&job))
            }
            .await,
        )
    }

    async fn undo_bulk_transfer(&self, request: Request<pb::UndoBulkTransferRequest>) -> Reply<pb::BulkTransfer> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let mut input = Input::default();
                let repeat = Repeatable::read(&mut input, &message.request_id, "UndoBulkTransfer", &message);
                let id = input.id("job_id", &message.job_id);
                let reason = handover(&mut input, &message.reason).reason;
                input.finish()?;
                transfers::undo(&self.0, &who, id, reason, repeat).await.map(|job| show_job(&job))
            }
            .await,
        )
    }

    async fn get_bulk_transfer(&self, request: Request<pb::GetBulkTransferRequest>) -> Reply<pb::BulkTransfer> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let mut input = Input::default();
                let id = input.id("job_id", &message.job_id);
                input.finish()?;
                transfers::get(&self.0, &who, id).await.map(|job| show_job(&job))
            }
            .await,
        )
    }

    async fn list_bulk_transfer_rows(
        &self,
        request: Request<pb::ListBulkTransferRowsRequest>,
    ) -> Reply<pb::ListBulkTransferRowsResponse> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let mut input = Input::default();
                let id = input.id("job_id", &message.job_id);
                let shape = [message.job_id.as_str()];
                let page = Page::read(&mut input, message.page_size, &message.page_token, &shape);
                let after = page.after.as_deref().map(|bytes| Uuid::from_slice(bytes).ok());
                input.require(after != Some(None), "page_token", "was not made by this list");
                input.finish()?;
                let size = page.size as usize;
                let (rows, more) = transfers::rows(&self.0, &who, id, after.flatten(), size).await?;
                let next = rows.last().filter(|_| more).map(|row| page.token(row.customer.uuid().as_bytes()));
                Ok::<_, Error>(pb::ListBulkTransferRowsResponse {
                    rows: rows
                        .into_iter()
                        .map(|row| pb::BulkTransferRow {
                            customer_id: row.customer.to_string(),
                            result: result(row.result).to_owned(),
                            reason: row.reason,
                        })
                        .collect(),
                    next_page_token: next.unwrap_or_default(),
                })
            }
            .await,
        )
    }

    async fn get_orphan_report(&self, request: Request<pb::GetOrphanReportRequest>) -> Reply<pb::OrphanReport> {
        let (who, _) = authenticated(request)?;
        let report = transfers::orphans(&self.0, &who).await;
        reply(report.map(|report| match report {
            None => pb::OrphanReport::default(),
            Some(report) => pb::OrphanReport {
                orphan_count: report.count,
                customer_ids: report.customers.iter().map(ToString::to_string).collect(),
                patrol_time: Some(wire::time(report.at)),
            },
        }))
    }
}

fn to(input: &mut Input, owner: &str, department: &str) -> (SubjectId, Option<DepartmentId>) {
    (input.id("owner_id", owner), input.id_optional("department_id", department))
}

fn handover(input: &mut Input, reason: &str) -> Handover {
    Handover { reason: input.text("reason", reason, 0..=REASON_MAX), audit_group: None }
}

fn show_job(job: &Job) -> pb::BulkTransfer {
    let (owner, undone) = match job.to {
        Target::To(owner, _) => (owner.to_string(), String::new()),
        Target::BackFrom(undone) => (String::new(), undone.to_string()),
    };
    pb::BulkTransfer {
        job_id: job.id.to_string(),
        state: match job.state {
            State::Running => pb::JobState::Running,
            State::Done => pb::JobState::Done,
            State::Stopped => pb::JobState::Stopped,
        }
        .into(),
        total_count: job.total,
        moved_count: job.moved,
        refused_count: job.refused,
        owner_id: owner,
        undone_job_id: undone,
        create_time: Some(wire::time(job.created_at)),
        end_time: wire::time_optional(job.ended_at),
        stop_reason: job.stop_reason.clone(),
    }
}

const fn result(result: RowResult) -> &'static str {
    match result {
        RowResult::Pending => "pending",
        RowResult::Moved => "moved",
        RowResult::Refused => "refused",
    }
}
