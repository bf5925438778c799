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
        let order = identity::StartHandOverRequest {
            user_id: jun.id.to_string(),
            kind: identity::HandOverKind::Leave as i32,
            successor: Some(identity::SuccessorRule {
                rule: Some(identity::successor_rule::Rule::UserId(mei.id.to_string())),
            }),
            reason: "leaves".to_owned(),
            ..Default::default()
        };
        let admin = world.admin.fresh().await.expect("a session");
        let started = answer(admin.hand_overs().start_hand_over(order).await).expect("it begins");
        let mut done = false;
        for _ in 0..STEPS {
            world.advance(Duration::from_secs(5)).await;
            let request = identity::GetHandOverRequest { hand_over_id: started.hand_over_id.clone() };
            let now = answer(admin.hand_overs().get_hand_over(request).await).expect("it is there");
            done = now.state == identity::HandOverState::Done as i32;
            if done {
                break;
            }
        }
        assert!(done, "the hand-over ends");
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
