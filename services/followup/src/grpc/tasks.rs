//! `revisit.followup.v1.Tasks`.

use revisit_bootstrap::{Reply, authenticated, reply};
use revisit_core::Failure;
use revisit_proto::followup::v1::{self as pb, tasks_server::Tasks};
use tonic::Request;

use super::{Served, read, read_task};
use crate::{
    operations::{
        by_hand, complete, outcomes, script,
        tasks::{self, Act},
    },
    schedule,
    store::lists::Wish,
};

#[tonic::async_trait]
impl Tasks for Served {
    async fn create_task(&self, request: Request<pb::CreateTaskRequest>) -> Reply<pb::Task> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                by_hand::create(&self.app, &who, read_task::new_task(&message, self.app.clock.wall())?)
                    .await
                    .map_err(Failure::from)
            }
            .await,
        )
    }

    async fn get_task(&self, request: Request<pb::GetTaskRequest>) -> Reply<pb::Task> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let (id, asked) = read_task::task(&message)?;
                tasks::get(&self.app, &who, id, asked).await.map_err(Failure::from)
            }
            .await,
        )
    }

    async fn list_tasks(&self, request: Request<pb::ListTasksRequest>) -> Reply<pb::ListTasksResponse> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let (wish, page) = read_task::tasks(&message)?;
                let (tasks, next) = tasks::list(&self.app, &who, wish).await?;
                Ok::<_, Failure>(pb::ListTasksResponse { tasks, next_page_token: read_task::task_token(&page, next) })
            }
            .await,
        )
    }

    async fn list_today_tasks(&self, request: Request<pb::ListTodayTasksRequest>) -> Reply<pb::ListTodayTasksResponse> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let (wish, zone, page) = read_task::today(&message)?;
                let person = wish.assignee.unwrap_or(who.subject());
                let zone = match zone {
                    Some(zone) => zone,
                    None => tasks::zone_of(&self.app, &who, person).await?,
                };
                let date = schedule::local(self.app.clock.wall(), zone).date();
                let day = Some(schedule::day(date, zone));
                let (tasks, next) = tasks::list(&self.app, &who, Wish { assignee: Some(person), day, ..wish }).await?;
                let next_page_token = read_task::task_token(&page, next);
                Ok::<_, Failure>(pb::ListTodayTasksResponse { tasks, next_page_token, date: date.to_string() })
            }
            .await,
        )
    }

    async fn snooze_task(&self, request: Request<pb::SnoozeTaskRequest>) -> Reply<pb::Task> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let (change, due_at) = read_task::snooze(&message, self.app.clock.wall())?;
                tasks::change(&self.app, &who, change, Act::Snooze(due_at)).await.map_err(Failure::from)
            }
            .await,
        )
    }

    async fn reassign_task(&self, request: Request<pb::ReassignTaskRequest>) -> Reply<pb::Task> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let (change, assignee) = read_task::reassign(&message)?;
                tasks::change(&self.app, &who, change, Act::Reassign(assignee)).await.map_err(Failure::from)
            }
            .await,
        )
    }

    async fn cancel_task(&self, request: Request<pb::CancelTaskRequest>) -> Reply<pb::Task> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let change = read_task::cancel(&message)?;
                tasks::change(&self.app, &who, change, Act::Cancel).await.map_err(Failure::from)
            }
            .await,
        )
    }

    async fn skip_task(&self, request: Request<pb::SkipTaskRequest>) -> Reply<pb::Task> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let change = read_task::skip(&message)?;
                tasks::change(&self.app, &who, change, Act::Skip).await.map_err(Failure::from)
            }
            .await,
        )
    }

    async fn complete_task(&self, request: Request<pb::CompleteTaskRequest>) -> Reply<pb::CompleteTaskResponse> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let record = read_task::record(&message, self.app.clock.wall())?;
                Box::pin(complete::complete(&self.app, &who, record)).await.map_err(Failure::from)
            }
            .await,
        )
    }

    async fn get_outcome(&self, request: Request<pb::GetOutcomeRequest>) -> Reply<pb::Outcome> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let (id, clear) = read_task::outcome(&message)?;
                outcomes::get(&self.app, &who, id, clear).await.map_err(Failure::from)
            }
            .await,
        )
    }

    async fn list_outcomes(&self, request: Request<pb::ListOutcomesRequest>) -> Reply<pb::ListOutcomesResponse> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let (customer, page) = read_task::outcomes(&message)?;
                let before = read_task::task_key(&page)?;
                let (outcomes, next) = outcomes::list(&self.app, &who, customer, (before, page.size)).await?;
                Ok::<_, Failure>(pb::ListOutcomesResponse {
                    outcomes,
                    next_page_token: read_task::task_token(&page, next),
                })
            }
            .await,
        )
    }

    async fn review_outcome(&self, request: Request<pb::ReviewOutcomeRequest>) -> Reply<pb::Outcome> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let (id, repeat) = read_task::review(&message)?;
                outcomes::review(&self.app, &who, (id, message.approved), repeat).await.map_err(Failure::from)
            }
            .await,
        )
    }

    async fn get_script(&self, request: Request<pb::GetScriptRequest>) -> Reply<pb::GetScriptResponse> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let id = read::id("task_id", &message.task_id)?;
                script::get(&self.app, &who, id).await.map_err(Failure::from)
            }
            .await,
        )
    }
}
