//! What other services ask of this one: counts for the morning digest, what a hand-over would move, open tasks.

use revisit_bootstrap::{Reply, internal, reply};
use revisit_core::Failure;
use revisit_proto::{
    followup::v1::{self as pb, projections_server::Projections, today_server::Today},
    identity::v1::{self as identity, task_hand_over_server::TaskHandOver},
};
use tonic::Request;

use super::{Served, read};
use crate::{
    domain::task::Task,
    operations::{events, figures, hand_over},
    store::tasks,
};

#[tonic::async_trait]
impl Today for Served {
    async fn count_today(&self, request: Request<pb::CountTodayRequest>) -> Reply<pb::CountTodayResponse> {
        let (_, message) = internal(request, &["notification"])?;
        reply(
            async {
                let (tenant, days) = read::days(&message)?;
                figures::today(&self.app, &self.worker, tenant, &days).await.map_err(Failure::from)
            }
            .await,
        )
    }
}

#[tonic::async_trait]
impl Projections for Served {
    async fn list_open_tasks(&self, request: Request<pb::ListOpenTasksRequest>) -> Reply<pb::ListOpenTasksResponse> {
        let (_, message) = internal(request, &["customer", "notification"])?;
        reply(
            async {
                let wish = read::open_tasks(&message)?;
                let size = u64::from(wish.page.size);
                let (now, found) = self
                    .app
                    .database
                    .read(&self.worker, async |tx| {
                        let found = tasks::open_page(tx, (wish.tenant, &wish.ids), wish.after, size).await?;
                        Ok::<_, Failure>((self.app.now(tx).await?, found))
                    })
                    .await?;
                let last = found.last().filter(|_| found.len() as u64 == size);
                let next_page_token = last.map(|task| read::task_token(&wish.page, task)).unwrap_or_default();
                let open =
                    |task: &Task| pb::OpenTask { tenant_id: task.tenant.to_string(), task: events::opening(task, now) };
                Ok::<_, Failure>(pb::ListOpenTasksResponse { tasks: found.iter().map(open).collect(), next_page_token })
            }
            .await,
        )
    }
}

#[tonic::async_trait]
impl TaskHandOver for Served {
    async fn preview_task_hand_over(
        &self,
        request: Request<identity::PreviewHandOverRequest>,
    ) -> Reply<identity::PreviewHandOverResponse> {
        let (_, message) = internal(request, &["identity"])?;
        reply(
            async {
                let (whose, from) = read::hand_over(&message)?;
                let (count, ids) = hand_over::preview(&self.app, &self.worker, whose, from).await?;
                Ok::<_, Failure>(identity::PreviewHandOverResponse {
                    count: i64::try_from(count).unwrap_or(i64::MAX),
                    row_ids: ids.iter().map(ToString::to_string).collect(),
                })
            }
            .await,
        )
    }
}
