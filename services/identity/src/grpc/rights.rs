//! The calls of Access about roles, grants and guards.

use revisit_bootstrap::{Reply, authenticated, reply};
use revisit_core::Input;
use revisit_proto::identity::v1 as pb;
use tonic::Request;

use super::{
    Served,
    read::{self, id_and_reason, page},
    show,
};
use crate::{
    domain::Error,
    operations::{book::Once, grants, roles},
};

pub async fn create_role(served: &Served, request: Request<pb::CreateRoleRequest>) -> Reply<pb::Role> {
    let (who, message) = authenticated(request)?;
    reply(
        async {
            let (input, repeat) = read::rights::create_role(message)?;
            roles::create(&served.0, &who, input, Once { repeat, answer: show::revised_role }).await
        }
        .await,
    )
}

pub async fn get_role(served: &Served, request: Request<pb::GetRoleRequest>) -> Reply<pb::Role> {
    let (who, message) = authenticated(request)?;
    reply(
        async {
            let id = read::id("role_id", &message.role_id)?;
            Ok::<_, Error>(show::role(roles::get(&served.0, &who, id).await?))
        }
        .await,
    )
}

pub async fn list_roles(served: &Served, request: Request<pb::ListRolesRequest>) -> Reply<pb::ListRolesResponse> {
    let (who, message) = authenticated(request)?;
    reply(
        async {
            let mut input = Input::default();
            let paged = page(&mut input, message.page_size, &message.page_token, &["roles"])?;
            input.finish()?;
            let seen = roles::list(&served.0, &who, paged.after, paged.page.size).await?;
            let next_page_token = paged.token(seen.next);
            let roles = seen.rows.into_iter().map(show::role).collect();
            Ok::<_, Error>(pb::ListRolesResponse { roles, next_page_token })
        }
        .await,
    )
}

pub async fn update_role(served: &Served, request: Request<pb::UpdateRoleRequest>) -> Reply<pb::Role> {
    let (who, message) = authenticated(request)?;
    reply(
        async {
            let (id, edit) = read::rights::update_role(message)?;
            Ok::<_, Error>(show::revised_role(roles::change(&served.0, &who, id, edit).await?))
        }
        .await,
    )
}

pub async fn delete_role(served: &Served, request: Request<pb::DeleteRoleRequest>) -> Reply<pb::DeleteRoleResponse> {
    let (who, message) = authenticated(request)?;
    reply(
        async {
            let (id, edit) = read::rights::delete_role(message)?;
            let deleted = roles::delete(&served.0, &who, id, edit).await?;
            Ok::<_, Error>(pb::DeleteRoleResponse { revision_token: deleted.token })
        }
        .await,
    )
}

pub async fn set_override(served: &Served, request: Request<pb::SetRoleOverrideRequest>) -> Reply<pb::RoleAssignment> {
    let (who, message) = authenticated(request)?;
    reply(
        async {
            let (key, source, why) = read::rights::set_override(message)?;
            let set = roles::set_override(&served.0, &who, key, source, why).await?;
            let assignment = set.value.map(show::assignment).ok_or(Error::NoSuchOverride)?;
            Ok::<_, Error>(pb::RoleAssignment { revision_token: set.token, ..assignment })
        }
        .await,
    )
}

pub async fn clear_override(
    served: &Served,
    request: Request<pb::ClearRoleOverrideRequest>,
) -> Reply<pb::ClearRoleOverrideResponse> {
    let (who, message) = authenticated(request)?;
    reply(
        async {
            let (key, source, why) = read::rights::clear_override(message)?;
            let cleared = roles::set_override(&served.0, &who, key, source, why).await?;
            Ok::<_, Error>(pb::ClearRoleOverrideResponse { revision_token: cleared.token })
        }
        .await,
    )
}

pub async fn list_assignments(
    served: &Served,
    request: Request<pb::ListRoleAssignmentsRequest>,
) -> Reply<pb::ListRoleAssignmentsResponse> {
    let (who, message) = authenticated(request)?;
    reply(
        async {
            let user = read::id("user_id", &message.user_id)?;
            let found = roles::list_assignments(&served.0, &who, user).await?;
            let assignments = found.into_iter().map(show::assignment).collect();
            Ok::<_, Error>(pb::ListRoleAssignmentsResponse { assignments })
        }
        .await,
    )
}

pub async fn create_grant(served: &Served, request: Request<pb::CreateGrantRequest>) -> Reply<pb::Grant> {
    let (who, message) = authenticated(request)?;
    reply(
        async {
            let (input, repeat) = read::rights::create_grant(message)?;
            grants::create(&served.0, &who, input, Once { repeat, answer: show::revised_grant }).await
        }
        .await,
    )
}

pub async fn get_grant(served: &Served, request: Request<pb::GetGrantRequest>) -> Reply<pb::Grant> {
    let (who, message) = authenticated(request)?;
    reply(
        async {
            let id = read::id("grant_id", &message.grant_id)?;
            Ok::<_, Error>(show::grant(grants::get(&served.0, &who, id).await?))
        }
        .await,
    )
}

pub async fn list_grants(served: &Served, request: Request<pb::ListGrantsRequest>) -> Reply<pb::ListGrantsResponse> {
    let (who, message) = authenticated(request)?;
    reply(
        async {
            let mut input = Input::default();
            let shape = ["grants", &message.holder_id];
            let paged = page(&mut input, message.page_size, &message.page_token, &shape)?;
            let holder = input.id_optional("holder_id", &message.holder_id);
            input.finish()?;
            let seen = grants::list(&served.0, &who, holder, paged.after, paged.page.size).await?;
            let next_page_token = paged.token(seen.next);
            let grants = seen.rows.into_iter().map(show::grant).collect();
            Ok::<_, Error>(pb::ListGrantsResponse { grants, next_page_token })
        }
        .await,
    )
}

pub async fn revoke_grant(served: &Served, request: Request<pb::RevokeGrantRequest>) -> Reply<pb::RevokeGrantResponse> {
    let (who, message) = authenticated(request)?;
    reply(
        async {
            let (id, why) = id_and_reason("grant_id", &message.grant_id, &message.reason)?;
            let revoked = grants::revoke(&served.0, &who, id, why).await?;
            Ok::<_, Error>(pb::RevokeGrantResponse { revision_token: revoked.token })
        }
        .await,
    )
}

pub async fn create_guard(served: &Served, request: Request<pb::CreateGuardRequest>) -> Reply<pb::Guard> {
    let (who, message) = authenticated(request)?;
    reply(
        async {
            let (input, repeat) = read::rights::create_guard(message)?;
            grants::create_guard(&served.0, &who, input, Once { repeat, answer: show::revised_guard }).await
        }
        .await,
    )
}

pub async fn get_guard(served: &Served, request: Request<pb::GetGuardRequest>) -> Reply<pb::Guard> {
    let (who, message) = authenticated(request)?;
    reply(
        async {
            let id = read::id("guard_id", &message.guard_id)?;
            Ok::<_, Error>(show::guard(grants::get_guard(&served.0, &who, id).await?))
        }
        .await,
    )
}

pub async fn list_guards(served: &Served, request: Request<pb::ListGuardsRequest>) -> Reply<pb::ListGuardsResponse> {
    let (who, message) = authenticated(request)?;
    reply(
        async {
            let mut input = Input::default();
            let paged = page(&mut input, message.page_size, &message.page_token, &["guards"])?;
            input.finish()?;
            let seen = grants::list_guards(&served.0, &who, paged.after, paged.page.size).await?;
            let next_page_token = paged.token(seen.next);
            let guards = seen.rows.into_iter().map(show::guard).collect();
            Ok::<_, Error>(pb::ListGuardsResponse { guards, next_page_token })
        }
        .await,
    )
}

pub async fn delete_guard(served: &Served, request: Request<pb::DeleteGuardRequest>) -> Reply<pb::DeleteGuardResponse> {
    let (who, message) = authenticated(request)?;
    reply(
        async {
            let (id, why) = id_and_reason("guard_id", &message.guard_id, &message.reason)?;
            let deleted = grants::delete_guard(&served.0, &who, id, why).await?;
            Ok::<_, Error>(pb::DeleteGuardResponse { revision_token: deleted.token })
        }
        .await,
    )
}
