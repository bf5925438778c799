//! The calls of Directory about departments and positions.

use revisit_bootstrap::{Reply, authenticated, reply};
use revisit_core::Input;
use revisit_proto::identity::v1 as pb;
use tonic::Request;

use super::{
    Served,
    read::{self, page},
    show,
};
use crate::{
    domain::Error,
    operations::{book::Once, departments, merge},
};

pub async fn create_department(
    served: &Served,
    request: Request<pb::CreateDepartmentRequest>,
) -> Reply<pb::Department> {
    let (who, message) = authenticated(request)?;
    reply(
        async {
            let (input, repeat) = read::directory::create_department(message)?;
            departments::create(&served.0, &who, input, Once { repeat, answer: show::revised_department }).await
        }
        .await,
    )
}

pub async fn get_department(served: &Served, request: Request<pb::GetDepartmentRequest>) -> Reply<pb::Department> {
    let (who, message) = authenticated(request)?;
    reply(
        async {
            let id = read::id("department_id", &message.department_id)?;
            Ok::<_, Error>(show::department(departments::get(&served.0, &who, id).await?))
        }
        .await,
    )
}

pub async fn list_departments(
    served: &Served,
    request: Request<pb::ListDepartmentsRequest>,
) -> Reply<pb::ListDepartmentsResponse> {
    let (who, message) = authenticated(request)?;
    reply(
        async {
            let mut input = Input::default();
            let shape = ["departments", &message.parent_id];
            let paged = page(&mut input, message.page_size, &message.page_token, &shape)?;
            let parent = input.id_optional("parent_id", &message.parent_id);
            input.finish()?;
            let seen = departments::list(&served.0, &who, parent, paged.after, paged.page.size).await?;
            let next_page_token = paged.token(seen.next);
            let departments = seen.rows.into_iter().map(show::department).collect();
            Ok::<_, Error>(pb::ListDepartmentsResponse { departments, next_page_token })
        }
        .await,
    )
}

pub async fn update_department(
    served: &Served,
    request: Request<pb::UpdateDepartmentRequest>,
) -> Reply<pb::Department> {
    let (who, message) = authenticated(request)?;
    reply(
        async {
            let (id, edit) = read::directory::update_department(message)?;
            Ok::<_, Error>(show::revised_department(departments::change(&served.0, &who, id, edit).await?))
        }
        .await,
    )
}

pub async fn move_department(served: &Served, request: Request<pb::MoveDepartmentRequest>) -> Reply<pb::Department> {
    let (who, message) = authenticated(request)?;
    reply(
        async {
            let (id, edit) = read::directory::move_department(message)?;
            Ok::<_, Error>(show::revised_department(departments::change(&served.0, &who, id, edit).await?))
        }
        .await,
    )
}

pub async fn merge_department(served: &Served, request: Request<pb::MergeDepartmentRequest>) -> Reply<pb::Department> {
    let (who, message) = authenticated(request)?;
    reply(
        async {
            let (merger, seen) = read::directory::merge_department(message)?;
            Ok::<_, Error>(show::revised_department(merge::merge(&served.0, &who, merger, seen).await?))
        }
        .await,
    )
}

pub async fn set_department_disabled(
    served: &Served,
    request: Request<pb::SetDepartmentDisabledRequest>,
) -> Reply<pb::Department> {
    let (who, message) = authenticated(request)?;
    reply(
        async {
            let (id, edit) = read::directory::disable_department(message)?;
            Ok::<_, Error>(show::revised_department(departments::change(&served.0, &who, id, edit).await?))
        }
        .await,
    )
}

pub async fn create_position(served: &Served, request: Request<pb::CreatePositionRequest>) -> Reply<pb::Position> {
    let (who, message) = authenticated(request)?;
    reply(
        async {
            let (input, repeat) = read::directory::create_position(message)?;
            departments::create_position(&served.0, &who, input, Once { repeat, answer: show::revised_position }).await
        }
        .await,
    )
}

pub async fn get_position(served: &Served, request: Request<pb::GetPositionRequest>) -> Reply<pb::Position> {
    let (who, message) = authenticated(request)?;
    reply(
        async {
            let id = read::id("position_id", &message.position_id)?;
            Ok::<_, Error>(show::position(departments::get_position(&served.0, &who, id).await?))
        }
        .await,
    )
}

pub async fn list_positions(
    served: &Served,
    request: Request<pb::ListPositionsRequest>,
) -> Reply<pb::ListPositionsResponse> {
    let (who, message) = authenticated(request)?;
    reply(
        async {
            let mut input = Input::default();
            let shape = ["positions", &message.department_id];
            let paged = page(&mut input, message.page_size, &message.page_token, &shape)?;
            let at = input.id_optional("department_id", &message.department_id);
            input.finish()?;
            let seen = departments::list_positions(&served.0, &who, at, paged.after, paged.page.size).await?;
            let next_page_token = paged.token(seen.next);
            let positions = seen.rows.into_iter().map(show::position).collect();
            Ok::<_, Error>(pb::ListPositionsResponse { positions, next_page_token })
        }
        .await,
    )
}

pub async fn update_position(served: &Served, request: Request<pb::UpdatePositionRequest>) -> Reply<pb::Position> {
    let (who, message) = authenticated(request)?;
    reply(
        async {
            let (id, edit) = read::directory::update_position(message)?;
            Ok::<_, Error>(show::revised_position(departments::change_position(&served.0, &who, id, edit).await?))
        }
        .await,
    )
}

pub async fn delete_position(
    served: &Served,
    request: Request<pb::DeletePositionRequest>,
) -> Reply<pb::DeletePositionResponse> {
    let (who, message) = authenticated(request)?;
    reply(
        async {
            let (id, edit) = read::directory::delete_position(message)?;
            let deleted = departments::delete_position(&served.0, &who, id, edit).await?;
            Ok::<_, Error>(pb::DeletePositionResponse { revision_token: deleted.token })
        }
        .await,
    )
}
