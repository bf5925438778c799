//! The calls of Directory about users.

use revisit_bootstrap::{Reply, authenticated, reply, wire::time};
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
    operations::{
        book::Once,
        links,
        profiles::{self, Filter},
        users::{self, Turn},
    },
};

/// Users of one batch.
const BATCH_MAX: usize = 1_000;

pub async fn create_user(served: &Served, request: Request<pb::CreateUserRequest>) -> Reply<pb::CreateUserResponse> {
    let (who, message) = authenticated(request)?;
    reply(
        async {
            let (input, repeat) = read::directory::create_user(message)?;
            let once = Once { repeat, answer: show::created_user };
            let (mut answer, link) = users::create(&served.0, &who, input, once).await?;
            if let Some(link) = link {
                answer.password_token = link.token;
                answer.password_token_expire_time = Some(time(link.expires_at));
            }
            Ok::<_, Error>(answer)
        }
        .await,
    )
}

pub async fn get_user(served: &Served, request: Request<pb::GetUserRequest>) -> Reply<pb::User> {
    let (who, message) = authenticated(request)?;
    reply(
        async {
            let mut input = Input::default();
            let id = input.id("user_id", &message.user_id);
            let clear = read::directory::clear(&mut input, message.read_mask);
            input.finish()?;
            Ok::<_, Error>(show::user(profiles::get(&served.0, &who, id, clear).await?))
        }
        .await,
    )
}

pub async fn batch_get_users(
    served: &Served,
    request: Request<pb::BatchGetUsersRequest>,
) -> Reply<pb::BatchGetUsersResponse> {
    let (who, message) = authenticated(request)?;
    reply(
        async {
            let mut input = Input::default();
            input.require(!message.user_ids.is_empty(), "user_ids", "is required");
            let ids = input.ids("user_ids", &message.user_ids, BATCH_MAX);
            input.finish()?;
            let found = profiles::batch(&served.0, &who, &ids).await?;
            Ok::<_, Error>(pb::BatchGetUsersResponse { users: found.into_iter().map(show::user).collect() })
        }
        .await,
    )
}

pub async fn list_users(served: &Served, request: Request<pb::ListUsersRequest>) -> Reply<pb::ListUsersResponse> {
    let (who, message) = authenticated(request)?;
    reply(
        async {
            let mut input = Input::default();
            let shape = ["users", &message.department_id, &message.state.to_string()];
            let paged = page(&mut input, message.page_size, &message.page_token, &shape)?;
            let department = input.id_optional("department_id", &message.department_id);
            let filter = Filter { department, state: read::directory::state(&mut input, message.state) };
            input.finish()?;
            let seen = profiles::list(&served.0, &who, filter, paged.after, paged.page.size).await?;
            let next_page_token = paged.token(seen.next);
            let users = seen.rows.into_iter().map(show::user).collect();
            Ok::<_, Error>(pb::ListUsersResponse { users, next_page_token })
        }
        .await,
    )
}

pub async fn update_user(served: &Served, request: Request<pb::UpdateUserRequest>) -> Reply<pb::User> {
    let (who, message) = authenticated(request)?;
    reply(
        async {
            let (id, edit) = read::directory::update_user(message)?;
            // Boxed: an edit and an account, twice each, outgrow the stack's share of one future.
            Ok::<_, Error>(show::revised_user(Box::pin(users::change(&served.0, &who, id, edit)).await?))
        }
        .await,
    )
}

pub async fn suspend_user(served: &Served, request: Request<pb::SuspendUserRequest>) -> Reply<pb::User> {
    let (who, message) = authenticated(request)?;
    reply(
        async {
            let (id, why) = id_and_reason("user_id", &message.user_id, &message.reason)?;
            let turned = users::turn(&served.0, &who, id, Turn::Suspend, (message.etag, why)).await?;
            Ok::<_, Error>(show::revised_user(turned))
        }
        .await,
    )
}

pub async fn reactivate_user(served: &Served, request: Request<pb::ReactivateUserRequest>) -> Reply<pb::User> {
    let (who, message) = authenticated(request)?;
    reply(
        async {
            let (id, why) = id_and_reason("user_id", &message.user_id, &message.reason)?;
            let turned = users::turn(&served.0, &who, id, Turn::Reactivate, (message.etag, why)).await?;
            Ok::<_, Error>(show::revised_user(turned))
        }
        .await,
    )
}

pub async fn create_password_link(
    served: &Served,
    request: Request<pb::CreatePasswordLinkRequest>,
) -> Reply<pb::CreatePasswordLinkResponse> {
    let (who, message) = authenticated(request)?;
    reply(
        async {
            let id = read::id("user_id", &message.user_id)?;
            let link = links::draw(&served.0, &who, id).await?;
            let expire_time = Some(time(link.expires_at));
            Ok::<_, Error>(pb::CreatePasswordLinkResponse { password_token: link.token, expire_time })
        }
        .await,
    )
}

pub async fn get_own_profile(served: &Served, request: Request<pb::GetOwnProfileRequest>) -> Reply<pb::User> {
    let (who, _) = authenticated(request)?;
    reply(profiles::own(&served.0, &who).await.map(show::user))
}

pub async fn update_own_profile(served: &Served, request: Request<pb::UpdateOwnProfileRequest>) -> Reply<pb::User> {
    let (who, message) = authenticated(request)?;
    reply(
        async {
            let edit = read::directory::update_own_profile(message)?;
            Ok::<_, Error>(show::revised_user(users::change_own(&served.0, &who, edit).await?))
        }
        .await,
    )
}
