//! Positions give roles: a new one gives its set and takes the former one's in one revision, and overrides are listed.

use revisit_proto::identity::v1 as pb;

use super::support::{World, on_each};

async fn roles(world: &World, user_id: &str) -> Vec<(String, pb::RoleSource)> {
    let request = pb::ListRoleAssignmentsRequest { user_id: user_id.to_owned() };
    let listed = world.admin.access().list_role_assignments(request).await.expect("they are listed").into_inner();
    listed.assignments.into_iter().map(|it| (it.role_id.clone(), it.source())).collect()
}

#[tokio::test]
async fn a_new_position_gives_its_roles_and_takes_the_former_ones_and_overrides_are_listed() {
    on_each(async |world| {
        let mei = world.user("mei", &world.tenant.root_department_id, "Sales representative").await;
        let (rep, service) = (world.role("sales_rep").await, world.role("service").await);
        let marketing = world.role("marketing").await;
        assert_eq!(roles(world, &mei.user_id).await, [(rep, pb::RoleSource::Position)]);
        let position_ids = vec![world.position("Customer service").await];
        let user = pb::User { user_id: mei.user_id.clone(), position_ids, ..pb::User::default() };
        let update_mask = Some(prost_types::FieldMask { paths: vec!["position_ids".to_owned()] });
        let request = pb::UpdateUserRequest { user: Some(user), update_mask, reason: "moves".to_owned() };
        world.admin.directory().update_user(request).await.expect("another job");
        assert_eq!(roles(world, &mei.user_id).await, [(service.clone(), pb::RoleSource::Position)]);
        for (role_id, source) in [(&service, pb::RoleSource::Removed), (&marketing, pb::RoleSource::Added)] {
            let request = pb::SetRoleOverrideRequest {
                user_id: mei.user_id.clone(),
                role_id: role_id.clone(),
                source: source.into(),
                ..pb::SetRoleOverrideRequest::default()
            };
            world.admin.access().set_role_override(request).await.expect("an override");
        }
        let listed = roles(world, &mei.user_id).await;
        assert_eq!(listed, [(service, pb::RoleSource::Removed), (marketing, pb::RoleSource::Added)]);
    })
    .await;
}

#[tokio::test]
async fn the_roles_that_ship_are_versioned_and_stay_as_they_are() {
    on_each(async |world| {
        let listed = world.admin.access().list_roles(pb::ListRolesRequest::default()).await.expect("they are listed");
        let roles = listed.into_inner().roles;
        let mut keys: Vec<_> = roles.iter().map(|it| it.key.as_str()).collect();
        keys.sort_unstable();
        let shipped = [
            "admin",
            "auditor",
            "executive",
            "finance",
            "marketing",
            "regional_manager",
            "sales_manager",
            "sales_rep",
            "service",
        ];
        assert_eq!(keys, shipped);
        assert!(roles.iter().all(|it| it.shipped && it.catalogue_version > 0 && !it.templates.is_empty()));
    })
    .await;
}
