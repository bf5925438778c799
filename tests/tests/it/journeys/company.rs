//! Customers change hands because somebody leaves, or a program ends.

use std::time::Duration;

use revisit_bootstrap::status::answer;
use revisit_core::Kind;
use revisit_proto::{customer::v1 as customer, followup::v1 as followup, identity::v1 as identity};
use revisit_standalone::client::{Credentials, Person};
use revisit_tests::world::{World, in_each_world};

/// Steps of the clock that a hand-over may take.
const STEPS: usize = 30;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_program_owned_goes_to_the_head_of_the_department_when_it_ends() {
    in_each_world(async |world: &World| {
        let store = world.department("上海徐汇店", &world.root).await;
        let manager = world.hire("hui", "sales_manager", &store).await;
        world.appoint(&manager, &store).await;
        let roles = answer(world.admin.access().list_roles(identity::ListRolesRequest::default()).await);
        let roles = roles.expect("the shipped ones").roles;
        let rep = roles.into_iter().find(|role| role.key == "sales_rep").expect("it ships").role_id;
        let request = identity::CreateServiceAccountRequest {
            display_name: "shop".to_owned(),
            department_id: store.clone(),
            role_ids: vec![rep],
            ..Default::default()
        };
        let made = answer(world.admin.directory().create_service_account(request).await).expect("an account");
        let id = made.service_account.expect("the account").service_account_id;
        world.settle().await;
        let who = Credentials::account(&id, &made.secret);
        let shop = Person::log_in(world.running.channel(), world.running.clock(), &who).await.expect("a session");
        let row = world.customer(&shop, "王芳", "13800001001").await;
        let request = identity::DeleteServiceAccountRequest { service_account_id: id, ..Default::default() };
        let admin = world.admin.fresh().await.expect("a session");
        answer(admin.directory().delete_service_account(request).await).expect("it ends");
        for _ in 0..STEPS {
            world.advance(Duration::from_secs(5)).await;
        }
        let seen = world.ask(&manager, &row.customer_id).await.expect("it is below her");
        assert_eq!(*seen.owner_id, *manager.id);
    })
    .await;
}

fn leaving(who: &Person, successor: &Person) -> identity::StartHandOverRequest {
    let rule = identity::successor_rule::Rule::UserId(successor.id.to_string());
    identity::StartHandOverRequest {
        user_id: who.id.to_string(),
        kind: identity::HandOverKind::Leave as i32,
        successor: Some(identity::SuccessorRule { rule: Some(rule) }),
        reason: "leaves".to_owned(),
        ..Default::default()
    }
}

/// Orders it and waits for its end.
async fn hand_over(world: &World, who: &Person, order: identity::StartHandOverRequest) {
    let session = who.fresh().await.expect("a session");
    let started = answer(session.hand_overs().start_hand_over(order).await).expect("it begins");
    for _ in 0..STEPS {
        world.advance(Duration::from_secs(5)).await;
        let request = identity::GetHandOverRequest { hand_over_id: started.hand_over_id.clone() };
        let session = world.admin.fresh().await.expect("a session");
        let now = answer(session.hand_overs().get_hand_over(request).await).expect("it is there");
        if now.state == identity::HandOverState::Done as i32 {
            return;
        }
    }
    unreachable!("the hand-over does not end")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_successor_gets_what_who_ordered_it_may_hand_over_and_the_head_of_a_place_what_lies_there() {
    in_each_world(async |world: &World| {
        let (near, far) =
            (world.department("徐汇店", &world.root).await, world.department("浦东店", &world.root).await);
        let hui = world.hire("hui", "sales_manager", &near).await;
        world.appoint(&hui, &near).await;
        let yi = world.hire("yi", "sales_manager", &far).await;
        world.appoint(&yi, &far).await;
        let (mei, jun) = (world.hire("mei", "sales_rep", &near).await, world.hire("jun", "sales_rep", &near).await);
        let zhao = world.hire("zhao", "sales_manager", &world.root).await;
        let (here, there) =
            (world.customer(&mei, "王芳", "13800001001").await, world.customer(&mei, "李强", "13800001002").await);
        let moves = customer::TransferCustomerRequest {
            customer_id: there.customer_id.clone(),
            owner_id: mei.id.to_string(),
            department_id: far.clone(),
            etag: there.etag.clone(),
            reason: "served there".to_owned(),
            ..Default::default()
        };
        answer(zhao.fresh().await.expect("a session").ownership().transfer_customer(moves).await)
            .expect("it lies there");
        hand_over(world, &hui, leaving(&mei, &jun)).await;
        for (row, owner) in [(&here, &jun), (&there, &yi)] {
            assert_eq!(world.ask(&zhao, &row.customer_id).await.expect("hers").owner_id, *owner.id);
        }
        assert!(world.ask(&jun, &there.customer_id).await.is_err_and(|it| it.kind == Kind::NotFound));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leavers_customers_and_tasks_go_to_colleagues_and_nothing_is_left_without_an_owner() {
    in_each_world(async |world: &World| {
        let store = world.department("上海徐汇店", &world.root).await;
        let manager = world.hire("hui", "sales_manager", &store).await;
        world.appoint(&manager, &store).await;
        let mei = world.hire("mei", "sales_rep", &store).await;
        let jun = world.hire("jun", "sales_rep", &store).await;
        for (name, phone) in [("王芳", "13800001001"), ("李强", "13800001002"), ("张敏", "13800001003")] {
            world.customer(&jun, name, phone).await;
        }
        world.plan("grade_c_conversion").await;
        world.advance(Duration::from_hours(2)).await;
        assert_eq!(world.tasks(&jun, followup::TaskState::Open).await.len(), 3);
        let order = leaving(&jun, &mei);
        hand_over(world, &world.admin, order).await;
        assert!(
            world.ask(&jun, "0190a0a0-0000-7000-8000-000000000001").await.is_err_and(|it| it.kind != Kind::NotFound)
        );
        let request = customer::ListCustomersRequest::default();
        let session = mei.fresh().await.expect("a session");
        let hers = answer(session.customers().list_customers(request).await).expect("hers").customers;
        assert_eq!(hers.iter().filter(|row| row.owner_id == *mei.id).count(), 3);
        let tasks = world.tasks(&mei, followup::TaskState::Open).await;
        assert_eq!(tasks.iter().filter(|task| task.assignee_id == *mei.id).count(), 3);
        let boss = world.hire("zhao", "executive", &world.root).await;
        let request = followup::CheckContinuityRequest { grades: vec!["C".to_owned()], ..Default::default() };
        let continuity = answer(boss.metrics().check_continuity(request).await).expect("figures");
        assert_eq!((continuity.ownerless_count, continuity.orphan_task_count), (0, 0));
    })
    .await;
}
