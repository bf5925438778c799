//! The calls of HandOvers.

use revisit_bootstrap::{
    Reply, authenticated, internal, reply,
    wire::{read_time_required, time},
};
use revisit_core::{
    Failure, Input,
    id::{JobId, TenantId},
};
use revisit_permission::Name;
use revisit_proto::identity::v1::{self as pb, hand_overs_server::HandOvers};
use tonic::{Request, async_trait};

use super::{
    Served,
    read::{self, directory::Repeated, page},
    show,
};
use crate::{
    domain::{
        Error,
        hand_over::{HandOver, Kind, Part, Parts, Plan, Progress, Report, State, Successor},
        profile::{LIST_MAX, read_reason},
    },
    operations::{
        book::{Once, Revised},
        hand_overs::{self, Order},
    },
};
use revisit_bootstrap::idempotency::Repeatable;

/// The services that do a part.
const PARTS: [&str; 2] = ["customer", "followup"];

fn order(message: pb::StartHandOverRequest) -> Result<Repeated<Order>, Failure> {
    let mut input = Input::default();
    let repeat = Repeatable::read(&mut input, &message.request_id, "HandOvers.StartHandOver", &message);
    let user = input.id("user_id", &message.user_id);
    let transfer = match pb::HandOverKind::try_from(message.kind) {
        Ok(pb::HandOverKind::Leave) => None,
        Ok(pb::HandOverKind::Transfer) => {
            let to = input.id("to_department_id", &message.to_department_id);
            input.require(!message.to_position_ids.is_empty(), "to_position_ids", "is required");
            Some((to, input.ids("to_position_ids", &message.to_position_ids, LIST_MAX)))
        }
        Ok(pb::HandOverKind::Unspecified) => {
            input.refuse("kind", "is required");
            None
        }
        Err(_) => {
            input.refuse("kind", "is not a known kind");
            None
        }
    };
    let successor = successor(&mut input, message.successor);
    let reason = read_reason(&mut input, &message.reason);
    input.finish()?;
    Ok((Order { user, transfer, successor, reason }, repeat))
}

fn successor(input: &mut Input, rule: Option<pb::SuccessorRule>) -> Successor {
    use pb::successor_rule::Rule;
    match rule.and_then(|rule| rule.rule) {
        None => Successor::DepartmentHead,
        Some(Rule::UserId(id)) => Successor::User(input.id("successor.user_id", &id)),
        Some(Rule::DepartmentHeadId(id)) => Successor::HeadOf(input.id("successor.department_head_id", &id)),
        Some(Rule::RoundRobinDepartmentId(id)) => {
            Successor::RoundRobin(input.id("successor.round_robin_department_id", &id))
        }
    }
}

fn report(caller: &str, message: pb::ReportHandOverRequest) -> Result<(TenantId, JobId, Report), Failure> {
    let mut input = Input::default();
    let part = match (pb::HandOverPart::try_from(message.part), caller) {
        (Ok(pb::HandOverPart::Customers), "customer") => Part::Customers,
        (Ok(pb::HandOverPart::Tasks), "followup") => Part::Tasks,
        _ => {
            input.refuse("part", "must be the part that the caller does");
            Part::Customers
        }
    };
    let report = Report {
        part,
        pass: input.number("pass", message.pass, 1..=i64::MAX),
        began_at: read_time_required(&mut input, "pass_start_time", message.pass_start_time),
        moved: input.number("moved", message.moved, 0..=i64::MAX),
        refused: input.number("refused", message.refused, 0..=i64::MAX),
        remaining: input.number("remaining", message.remaining, 0..=i64::MAX),
    };
    let key = (input.id("tenant_id", &message.tenant_id), input.id("hand_over_id", &message.hand_over_id));
    input.finish()?;
    Ok((key.0, key.1, report))
}

fn progress(part: pb::HandOverPart, it: &Progress) -> pb::HandOverProgress {
    pb::HandOverProgress {
        part: part.into(),
        moved: it.moved,
        refused: it.refused,
        remaining: it.remaining,
        done: it.done,
        report_time: it.reported_at.map(time),
    }
}

fn owned((external_type, count): (Name, i64)) -> pb::OwnedExternalRows {
    pb::OwnedExternalRows { external_type: String::from(external_type), count }
}

fn show_plan(plan: Plan, parts: &Parts) -> pb::HandOver {
    let (kind, to) = match &plan.kind {
        Kind::Leave => (pb::HandOverKind::Leave, String::new()),
        Kind::Transfer { to, .. } => (pb::HandOverKind::Transfer, to.to_string()),
    };
    pb::HandOver {
        kind: kind.into(),
        to_department_id: to,
        successor: hand_overs::successor(plan.successor),
        state: pb::HandOverState::Preview.into(),
        parts: vec![
            progress(pb::HandOverPart::Customers, &parts.customers),
            progress(pb::HandOverPart::Tasks, &parts.tasks),
        ],
        revoked_grant_ids: show::ids(&plan.revoked_grants),
        revoked_session_count: plan.revoked_sessions,
        external_rows: plan.external_rows.into_iter().map(owned).collect(),
        ordered_by_id: plan.ordered_by.to_string(),
        reason: plan.reason,
        ..pb::HandOver::default()
    }
}

fn answer(it: HandOver) -> pb::HandOver {
    let state = match it.state {
        State::Revoked => pb::HandOverState::Revoked,
        State::Running => pb::HandOverState::Running,
        State::Done => pb::HandOverState::Done,
    };
    pb::HandOver {
        hand_over_id: it.id.to_string(),
        user_id: it.user.to_string(),
        state: state.into(),
        create_time: Some(time(it.created_at)),
        effective_time: it.effective_at.map(time),
        done_time: it.done_at.map(time),
        ..show_plan(it.plan, &it.parts)
    }
}

fn revised(it: Revised<HandOver>) -> pb::HandOver {
    pb::HandOver { revision_token: it.token, ..answer(it.value) }
}

#[async_trait]
impl HandOvers for Served {
    async fn start_hand_over(&self, request: Request<pb::StartHandOverRequest>) -> Reply<pb::HandOver> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let dry_run = message.dry_run;
                let (order, repeat) = order(message)?;
                if !dry_run {
                    return hand_overs::start(&self.0, &who, order, Once { repeat, answer: revised }).await;
                }
                let user_id = order.user.to_string();
                let counted = hand_overs::preview(&self.0, &who, order).await?;
                Ok(pb::HandOver { user_id, ..show_plan(counted.plan, &counted.parts) })
            }
            .await,
        )
    }

    async fn get_hand_over(&self, request: Request<pb::GetHandOverRequest>) -> Reply<pb::HandOver> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let id = read::id("hand_over_id", &message.hand_over_id)?;
                Ok::<_, Error>(revised(hand_overs::get(&self.0, &who, id).await?))
            }
            .await,
        )
    }

    async fn list_hand_overs(&self, request: Request<pb::ListHandOversRequest>) -> Reply<pb::ListHandOversResponse> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let mut input = Input::default();
                let paged = page(&mut input, message.page_size, &message.page_token, &["hand-overs"])?;
                input.finish()?;
                let seen = hand_overs::list(&self.0, &who, paged.after, paged.page.size).await?;
                let next_page_token = paged.token(seen.next);
                let hand_overs = seen.rows.into_iter().map(answer).collect();
                Ok::<_, Error>(pb::ListHandOversResponse { hand_overs, next_page_token })
            }
            .await,
        )
    }

    async fn report_hand_over(&self, request: Request<pb::ReportHandOverRequest>) -> Reply<pb::ReportHandOverResponse> {
        let (caller, message) = internal(request, &PARTS)?;
        reply(
            async {
                let (tenant, id, report) = report(caller.service, message)?;
                let done = hand_overs::report(&self.0, tenant, id, report).await?;
                Ok::<_, Error>(pb::ReportHandOverResponse { done })
            }
            .await,
        )
    }
}
