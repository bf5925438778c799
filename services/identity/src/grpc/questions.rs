//! The calls of Access that ask about fields, lists and subjects.

use revisit_bootstrap::{
    Reply, reply,
    wire::{time, time_optional},
};
use revisit_permission::{Effect, Filter, FilterAccount, FilterClause, FilterDelegation, FilterGuard, Reach, Reading};
use revisit_proto::identity::v1 as pb;
use tonic::Request;

use super::{Served, access::asked, read, show};
use crate::{
    domain::Error,
    operations::{
        decisions::{self, FieldAnswer, Writable, grant_name},
        subjects::{self, Able},
    },
};

pub async fn check_fields(served: &Served, request: Request<pb::CheckFieldsRequest>) -> Reply<pb::CheckFieldsResponse> {
    let (asker, message) = asked(request)?;
    reply(
        async {
            let (question, fields) = read::access::fields(message)?;
            let (answer, fields) = decisions::fields(&served.0, &asker, &question, fields).await?;
            let (answer, fields) = (Some(show::answer(&answer)), fields.into_iter().map(field).collect());
            Ok::<_, Error>(pb::CheckFieldsResponse { answer, fields })
        }
        .await,
    )
}

fn field(it: FieldAnswer) -> pb::FieldAnswer {
    let write = match it.write {
        Writable::Yes => pb::WriteAnswer::Accepted,
        Writable::Denied => pb::WriteAnswer::Denied,
        Writable::Below => pb::WriteAnswer::BelowWrite,
        Writable::ReadsOnly => pb::WriteAnswer::ReadsOnly,
    };
    let (layer, level) = (it.layer.name().to_owned(), show::level(it.level).into());
    pb::FieldAnswer { field: it.field, layer, level, write: write.into() }
}

pub async fn list_filter(served: &Served, request: Request<pb::ListFilterRequest>) -> Reply<pb::ListFilterResponse> {
    let (asker, message) = asked(request)?;
    reply(
        async {
            let (whose, external) = read::access::filter(&message)?;
            let what = (message.action.as_str(), external.as_ref());
            let (filter, reading) = decisions::filter(&served.0, &asker, whose, what).await?;
            Ok::<_, Error>(shown_filter(filter, &reading))
        }
        .await,
    )
}

fn shown_filter(it: Filter, reading: &Reading) -> pb::ListFilterResponse {
    pb::ListFilterResponse {
        tenant_id: it.tenant.to_string(),
        subject_id: it.subject.to_string(),
        action: it.action.name().to_owned(),
        external_type: it.external.map(String::from).unwrap_or_default(),
        revision: it.revision,
        decide_time: Some(time(reading.now)),
        valid_until_time: Some(time(it.edge.min(reading.until))),
        accounts: it.accounts.into_iter().map(account).collect(),
        guards: it.guards.into_iter().map(guard).collect(),
    }
}

fn account(it: FilterAccount) -> pb::FilterAccount {
    pb::FilterAccount { subject_ids: show::ids(&it.who), clauses: it.clauses.into_iter().map(clause).collect() }
}

fn clause(it: FilterClause) -> pb::FilterClause {
    use pb::ExtentKind as Kind;
    let (mut team_id, mut row_ids) = (String::new(), Vec::new());
    let kind = match &it.reach {
        Reach::Own => Kind::Own,
        Reach::Task => Kind::Task,
        Reach::Department(_) => Kind::Department,
        Reach::Subtree(_) => Kind::Subtree,
        Reach::Pooled(_) => Kind::PooledDepartment,
        Reach::PooledSubtree(_) => Kind::PooledSubtree,
        Reach::Tenant => Kind::Tenant,
        Reach::Team(team) => {
            team_id = team.to_string();
            Kind::Team
        }
        Reach::Ids(ids) => {
            row_ids = ids.iter().map(ToString::to_string).collect();
            Kind::Ids
        }
    };
    pb::FilterClause {
        witness: grant_name(it.grant),
        kind: kind.into(),
        department_ids: show::ids(&it.departments),
        team_id,
        row_ids,
        stages: show::names(it.stages.as_ref()),
        grades: show::names(it.grades.as_ref()),
        levels: Some(show::levels(it.levels)),
        start_time: time_optional(Some(it.from)),
        end_time: time_optional(Some(it.until)),
        delegation: it.delegation.map(|giver| delegation(*giver)),
    }
}

fn delegation(it: FilterDelegation) -> pb::FilterDelegation {
    pb::FilterDelegation {
        delegator_id: it.subject.to_string(),
        accounts: it.accounts.into_iter().map(account).collect(),
        guards: it.guards.into_iter().map(guard).collect(),
    }
}

pub fn guard(it: FilterGuard) -> pb::FilterGuard {
    pb::FilterGuard {
        guard_id: it.guard.to_string(),
        cap: match it.effect {
            Effect::Deny => None,
            Effect::Cap(ceiling) => Some(show::levels(ceiling)),
        },
        except_owner_ids: show::ids(&it.except_owners),
        vip: it.vip,
        pooled: it.pooled,
        stages: show::names(it.stages.as_ref()),
        grades: show::names(it.grades.as_ref()),
        department_ids: show::ids(&it.departments.unwrap_or_default()),
        row_ids: it.ids.iter().flat_map(|ids| ids.iter()).map(ToString::to_string).collect(),
        start_time: time_optional(Some(it.from)),
        end_time: time_optional(Some(it.until)),
    }
}

pub async fn list_subjects(
    served: &Served,
    request: Request<pb::ListSubjectsWithAccessRequest>,
) -> Reply<pb::ListSubjectsWithAccessResponse> {
    let (asker, message) = asked(request)?;
    reply(
        async {
            let (question, paged) = read::access::who_may(message)?;
            let answer = subjects::list(&served.0, &asker, &question).await?;
            Ok::<_, Error>(pb::ListSubjectsWithAccessResponse {
                subjects: answer.found.into_iter().map(able).collect(),
                next_page_token: paged.token(answer.next.map(revisit_core::Id::uuid)),
                revision: answer.revision,
                decide_time: Some(time(answer.at)),
            })
        }
        .await,
    )
}

fn able(it: Able) -> pb::SubjectWithAccess {
    let (subject_id, levels) = (it.subject.to_string(), Some(show::levels(it.levels)));
    pb::SubjectWithAccess { subject_id, levels, witness: it.witness }
}
