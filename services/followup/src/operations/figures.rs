//! Figures of the caller's reach, and the monitor of continuity.

use revisit_bootstrap::{Principal, database::Tx, wire};
use revisit_core::{
    Timestamp,
    id::{SubjectId, TenantId},
};
use revisit_permission::{Action, Row, Worker};
use revisit_proto::followup::v1 as pb;

use crate::{
    App,
    domain::Error,
    show,
    store::{figures, tasks},
};

/// Counts tasks of the caller's reach.
pub async fn count(app: &App, who: &Principal, wish: figures::Wish) -> Result<pb::GetFiguresResponse, Error> {
    let scope = who.scope(Action::MetricsView)?;
    app.freshness.require("customer")?;
    app.database
        .read(&scope, async |tx: &Tx| {
            let now = app.now(tx).await?;
            let rows = figures::count(tx, &scope, &wish, now).await?;
            let levels = scope.throughout();
            Ok(pb::GetFiguresResponse {
                figures: rows.iter().map(|row| show::figures(row, &levels)).collect(),
                as_of_time: Some(wire::time(now)),
            })
        })
        .await
}

/// Looks for customers without a person responsible or without a live task. It speaks of the whole company, so it
/// takes a right over all of it.
pub async fn continuity(
    app: &App,
    who: &Principal,
    (grades, gaps_max): (Vec<String>, u32),
) -> Result<pb::CheckContinuityResponse, Error> {
    let permit = who.decide(Action::MetricsView, &Row::of_tenant(who.tenant()))?;
    app.freshness.require("customer")?;
    app.database
        .read(&permit, async |tx: &Tx| {
            let found = figures::continuity(tx, permit.tenant(), &grades, gaps_max).await?;
            Ok(show::continuity(&found, app.continuity.last(permit.tenant())))
        })
        .await
}

/// One assignee's day, for the morning digest: counts only.
pub struct Day {
    pub assignee: SubjectId,
    pub from: Timestamp,
    pub until: Timestamp,
}

/// Counts the days of some assignees for the notifier.
pub async fn today(
    app: &App,
    worker: &Worker,
    tenant: TenantId,
    days: &[Day],
) -> Result<pb::CountTodayResponse, Error> {
    app.database
        .read(worker, async |tx: &Tx| {
            let mut counts = Vec::with_capacity(days.len());
            for day in days {
                let (due, overdue) = tasks::count_day(tx, tenant, day.assignee, (day.from, day.until)).await?;
                let small = |count: u64| i32::try_from(count).unwrap_or(i32::MAX);
                counts.push(pb::TodayCount { due_count: small(due), overdue_count: small(overdue) });
            }
            Ok(pb::CountTodayResponse { counts })
        })
        .await
}
