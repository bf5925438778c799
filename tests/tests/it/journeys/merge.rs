//! Two departments become one, and nothing that hung at the first is lost.

use revisit_bootstrap::status::answer;
use revisit_core::{Failure, Kind};
use revisit_proto::{customer::v1 as customer, identity::v1 as identity};
use revisit_standalone::client::Person;
use revisit_tests::world::{World, in_each_world};

async fn merge(world: &World, ends: &str, into: &str) -> Result<identity::Department, Failure> {
    let admin = world.admin.fresh().await.expect("a session");
    let request = identity::MergeDepartmentRequest {
        department_id: ends.to_owned(),
        into_department_id: into.to_owned(),
        reason: "one store closes".to_owned(),
        ..Default::default()
    };
    let merged = answer(admin.directory().merge_department(request).await);
    world.running.advance_to(world.now()).await.expect("it comes to rest");
    merged
}

async fn department(world: &World, id: &str) -> identity::Department {
    let admin = world.admin.fresh().await.expect("a session");
    let request = identity::GetDepartmentRequest { department_id: id.to_owned() };
    answer(admin.directory().get_department(request).await).expect("it is there")
}

/// Names of the customers that somebody finds.
async fn found(who: &Person) -> Vec<String> {
    let request = customer::ListCustomersRequest { page_size: 100, ..Default::default() };
    let rows = answer(who.fresh().await.expect("a session").customers().list_customers(request).await);
    let mut names: Vec<_> = rows.expect("a list").customers.into_iter().map(|row| row.name).collect();
    names.sort();
    names
}

/// Lets somebody see the rows of exactly one department.
async fn lend(world: &World, holder: &Person, department_id: &str) {
    let right = identity::GrantTemplate {
        actions: vec!["customer.view".to_owned()],
        extent: Some(identity::Extent {
            kind: identity::ExtentKind::Department as i32,
            department_id: department_id.to_owned(),
            ..Default::default()
        }),
        levels: Some(identity::LayerLevels { basic: identity::Level::Read as i32, ..Default::default() }),
        ..Default::default()
    };
    let request = identity::CreateGrantRequest {
        holder_id: holder.id.to_string(),
        right: Some(right),
        reason: "helps out".to_owned(),
        ..Default::default()
    };
    let admin = world.admin.fresh().await.expect("a session");
    answer(admin.access().create_grant(request).await).expect("it is granted");
    world.running.advance_to(world.now()).await.expect("it comes to rest");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_a_merged_department_are_rows_of_the_living_one_and_grants_on_either_reach_both() {
    in_each_world(async |world: &World| {
        let (old, new) =
            (world.department("徐汇一店", &world.root).await, world.department("徐汇二店", &world.root).await);
        let elsewhere = world.department("杭州店", &world.root).await;
        let (mei, jun) = (world.hire("mei", "sales_rep", &old).await, world.hire("jun", "sales_rep", &new).await);
        let lead = world.hire("hui", "sales_manager", &new).await;
        let (helps_old, helps_new) =
            (world.hire("an", "service", &elsewhere).await, world.hire("bo", "service", &elsewhere).await);
        world.customer(&mei, "王芳", "13800001001").await;
        lend(world, &helps_old, &old).await;
        lend(world, &helps_new, &new).await;
        assert_eq!(found(&lead).await, Vec::<String>::new());
        assert_eq!((found(&helps_old).await.len(), found(&helps_new).await.len()), (1, 0));
        let living = merge(world, &old, &new).await.expect("they become one");
        assert_eq!(living.department_id, new);
        world.customer(&jun, "李强", "13800001002").await;
        for who in [&lead, &helps_old, &helps_new] {
            assert_eq!(found(who).await, ["李强", "王芳"], "{}", who.username);
        }
        // Who moved goes on working; what she makes now is of the living department.
        let row = world.customer(&mei, "张敏", "13800001003").await;
        assert_eq!((row.department_id, found(&mei).await.len()), (new.clone(), 2));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_positions_and_what_lies_below_go_along_and_the_merged_department_stays_closed() {
    in_each_world(async |world: &World| {
        let (old, new) =
            (world.department("徐汇一店", &world.root).await, world.department("徐汇二店", &world.root).await);
        let corner = world.department("徐汇柜台", &old).await;
        let admin = world.admin.fresh().await.expect("a session");
        let roles = identity::ListRolesRequest { page_size: 100, ..Default::default() };
        let roles = answer(admin.access().list_roles(roles).await).expect("roles").roles;
        let rep = roles.into_iter().find(|role| role.key == "sales_rep").expect("it ships").role_id;
        let position = identity::CreatePositionRequest {
            department_id: old.clone(),
            name: "顾问".to_owned(),
            role_ids: vec![rep],
            ..Default::default()
        };
        let position = answer(admin.directory().create_position(position).await).expect("a position");
        let mei = world.hire("mei", "sales_rep", &old).await;
        let user = identity::User {
            user_id: mei.id.to_string(),
            further_department_ids: vec![new.clone(), corner.clone()],
            position_ids: vec![position.position_id.clone()],
            ..Default::default()
        };
        let request = identity::UpdateUserRequest {
            user: Some(user),
            update_mask: revisit_tests::world::mask(&["further_department_ids", "position_ids"]),
            ..Default::default()
        };
        answer(admin.directory().update_user(request).await).expect("she helps in both");
        merge(world, &old, &new).await.expect("they become one");

        let ended = department(world, &old).await;
        assert_eq!((&ended.merged_into_id, &ended.parent_id, ended.disabled), (&new, &new, true));
        assert_eq!(department(world, &corner).await.parent_id, new);
        let admin = world.admin.fresh().await.expect("a session");
        let request = identity::GetUserRequest { user_id: mei.id.to_string(), ..Default::default() };
        let moved = answer(admin.directory().get_user(request).await).expect("she is there");
        assert_eq!((&moved.department_id, &moved.further_department_ids), (&new, &vec![corner.clone()]));
        let request = identity::GetPositionRequest { position_id: position.position_id };
        assert_eq!(answer(admin.directory().get_position(request).await).expect("it is there").department_id, new);
        world.customer(&mei, "王芳", "13800001001").await;

        let reopened = identity::SetDepartmentDisabledRequest {
            department_id: old.clone(),
            disabled: false,
            ..Default::default()
        };
        let refused = answer(admin.directory().set_department_disabled(reopened).await).expect_err("it is merged");
        assert_eq!((refused.kind, refused.reason), (Kind::Precondition, "DEPARTMENT_MERGED"));
        let below = identity::CreateDepartmentRequest {
            parent_id: old.clone(),
            name: "新柜台".to_owned(),
            ..Default::default()
        };
        let refused = answer(admin.directory().create_department(below).await).expect_err("it is closed");
        assert_eq!(refused.reason, "DEPARTMENT_DISABLED");
        assert_eq!(merge(world, &old, &corner).await.expect_err("once").reason, "DEPARTMENT_MERGED");
        assert_eq!(merge(world, &corner, &old).await.expect_err("into nothing").reason, "DEPARTMENT_DISABLED");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_department_merges_neither_into_what_lies_below_it_nor_into_itself_nor_the_root_into_anything() {
    in_each_world(async |world: &World| {
        let store = world.department("徐汇店", &world.root).await;
        let corner = world.department("徐汇柜台", &store).await;
        let shelf = world.department("货架", &corner).await;
        for below in [&corner, &shelf] {
            assert_eq!(merge(world, &store, below).await.expect_err("below").reason, "DEPARTMENT_CYCLE");
        }
        assert_eq!(merge(world, &world.root, &store).await.expect_err("the root").reason, "ROOT_DEPARTMENT");
        let itself = merge(world, &store, &store).await.expect_err("itself");
        assert_eq!(itself.violations.first().map(|it| it.field.as_str()), Some("into_department_id"));
        assert_eq!(department(world, &store).await.merged_into_id, "", "a refusal leaves everything as it was");
        assert_eq!(department(world, &corner).await.parent_id, store);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_merged_before_goes_along_with_the_next_merger() {
    in_each_world(async |world: &World| {
        let one = world.department("一店", &world.root).await;
        let two = world.department("二店", &world.root).await;
        let three = world.department("三店", &world.root).await;
        let mei = world.hire("mei", "sales_rep", &one).await;
        let lead = world.hire("hui", "sales_manager", &three).await;
        world.customer(&mei, "王芳", "13800001001").await;
        merge(world, &one, &two).await.expect("one into two");
        merge(world, &two, &three).await.expect("two into three");
        assert_eq!(department(world, &one).await.merged_into_id, three);
        assert_eq!(found(&lead).await, ["王芳"]);
        assert_eq!(found(&mei).await, ["王芳"]);
    })
    .await;
}
