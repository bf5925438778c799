//! The call of Access that shows what a change would do.

use revisit_bootstrap::{Reply, authenticated, reply, wire::time_optional};
use revisit_permission::{Action, FilterClause, GuardChange, Levels, Name, Reach, RightChange};
use revisit_proto::identity::v1 as pb;
use tonic::Request;

use super::{Served, questions::guard, read, show};
use crate::{
    domain::Error,
    operations::{
        decisions::grant_name,
        previews::{self, RowChange},
    },
};

pub async fn preview_change(
    served: &Served,
    request: Request<pb::PreviewChangeRequest>,
) -> Reply<pb::PreviewChangeResponse> {
    let (who, message) = authenticated(request)?;
    reply(
        async {
            let (input, paged) = read::previews::preview(message)?;
            let told = previews::preview(&served.0, &who, input).await?;
            Ok::<_, Error>(pb::PreviewChangeResponse {
                rights: told.rights.into_iter().map(right).collect(),
                guards: told.guards.into_iter().map(guard_change).collect(),
                rows: told.rows.iter().map(row).collect(),
                refusal_reason: told.refusal.map(|refusal| refusal.reason.to_owned()).unwrap_or_default(),
                next_page_token: paged.token(told.next.map(revisit_core::Id::uuid)),
                revision: told.revision,
            })
        }
        .await,
    )
}

fn right(it: RightChange) -> pb::RightChange {
    pb::RightChange {
        subject_id: it.subject.to_string(),
        action: asked(it.action, it.external.as_ref(), it.named.as_deref()),
        external_type: it.external.as_ref().map(ToString::to_string).unwrap_or_default(),
        account_id: it.account.to_string(),
        gained_department_ids: show::ids(&it.gained()),
        lost_department_ids: show::ids(&it.lost()),
        before: it.before.as_ref().map(state),
        after: it.after.as_ref().map(state),
    }
}

/// The name of an action, or how a type names it.
fn asked(action: Action, external: Option<&Name>, named: Option<&str>) -> String {
    match (external, named) {
        (Some(external), Some(named)) => format!("{external}.{named}"),
        (_, None) | (None, _) => action.name().to_owned(),
    }
}

fn state(it: &FilterClause) -> pb::RightState {
    pb::RightState {
        witness: grant_name(it.grant),
        extent: Some(extent(&it.reach)),
        stages: show::names(it.stages.as_ref()),
        grades: show::names(it.grades.as_ref()),
        levels: Some(show::levels(it.levels)),
        start_time: time_optional(Some(it.from)),
        end_time: time_optional(Some(it.until)),
    }
}

/// A reach as the extent that it was made of, its place resolved.
fn extent(reach: &Reach) -> pb::Extent {
    use pb::ExtentKind as Kind;
    let kind = |kind: Kind| pb::Extent { kind: kind.into(), ..pb::Extent::default() };
    let at = |which: Kind, department: &revisit_core::id::DepartmentId| pb::Extent {
        department_id: department.to_string(),
        ..kind(which)
    };
    match reach {
        Reach::Own => kind(Kind::Own),
        Reach::Task => kind(Kind::Task),
        Reach::Department(place) => at(Kind::Department, place),
        Reach::Subtree(top) => at(Kind::Subtree, top),
        Reach::Team(team) => pb::Extent { team_id: team.to_string(), ..kind(Kind::Team) },
        Reach::Ids(rows) => pb::Extent { row_ids: rows.iter().map(ToString::to_string).collect(), ..kind(Kind::Ids) },
        Reach::Tenant => kind(Kind::Tenant),
        Reach::Pooled(place) => at(Kind::PooledDepartment, place),
        Reach::PooledSubtree(top) => at(Kind::PooledSubtree, top),
    }
}

fn guard_change(it: GuardChange) -> pb::GuardChange {
    pb::GuardChange {
        subject_id: it.subject.to_string(),
        action: asked(it.action, it.external.as_ref(), it.named.as_deref()),
        external_type: it.external.as_ref().map(ToString::to_string).unwrap_or_default(),
        before: it.before.map(guard),
        after: it.after.map(guard),
    }
}

fn row(it: &RowChange) -> pb::RowChange {
    let levels = |of: Option<Levels>| Some(show::levels(of.unwrap_or(Levels::HIDDEN)));
    pb::RowChange {
        row_id: it.row.to_string(),
        subject_id: it.subject.to_string(),
        action: it.action.name().to_owned(),
        allowed_before: it.before.is_some(),
        allowed_after: it.after.is_some(),
        levels_before: levels(it.before),
        levels_after: levels(it.after),
    }
}
