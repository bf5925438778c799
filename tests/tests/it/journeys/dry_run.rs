//! A hand-over that is only counted: it tells exactly what the real one does, and does nothing.

use std::time::Duration;

use revisit_bootstrap::status::answer;
use revisit_proto::{customer::v1 as customer, followup::v1 as followup, identity::v1 as identity};
use revisit_standalone::client::Person;
use revisit_tests::world::{World, in_each_world};

async fn order(world: &World, who: &Person, dry_run: bool) -> identity::HandOver {
    let request = identity::StartHandOverRequest {
        user_id: who.id.to_string(),
        kind: identity::HandOverKind::Leave as i32,
        dry_run,
        reason: "leaves".to_owned(),
        ..Default::default()
    };
    let admin = world.admin.fresh().await.expect("a session");
    answer(admin.hand_overs().start_hand_over(request).await).expect("it is answered")
}

/// Rows that are still to move: customers, then tasks.
fn remaining(of: &identity::HandOver) -> Vec<(identity::HandOverPart, i64)> {
    of.parts.iter().map(|part| (part.part(), part.remaining)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_refuses_what_the_order_would_refuse() {
    in_each_world(async |world: &World| {
        let jun = world.hire("jun", "sales_rep", &world.root).await;
        let mut reasons = Vec::new();
        for dry_run in [true, false] {
            let nobody = "0190a0a0-0000-7000-8000-000000000001".to_owned();
            let request = identity::StartHandOverRequest {
                user_id: jun.id.to_string(),
                kind: identity::HandOverKind::Leave as i32,
                successor: Some(identity::SuccessorRule { rule: Some(identity::successor_rule::Rule::UserId(nobody)) }),
                dry_run,
                reason: "leaves".to_owned(),
                ..Default::default()
            };
            let refused = answer(world.admin.hand_overs().start_hand_over(request).await);
            let refused = refused.expect_err("there is no such successor");
            reasons.push((refused.kind, refused.reason));
        }
        assert_eq!(reasons[0], reasons[1]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_tells_the_customers_tasks_grants_and_sessions_that_would_go_and_leaves_them() {
    in_each_world(async |world: &World| {
        let store = world.department("徐汇店", &world.root).await;
        let manager = world.hire("hui", "sales_manager", &store).await;
        world.appoint(&manager, &store).await;
        let jun = world.hire("jun", "sales_rep", &store).await;
        let mei = world.hire("mei", "sales_rep", &store).await;
        for (name, phone) in [("王芳", "13800001001"), ("李强", "13800001002")] {
            world.customer(&jun, name, phone).await;
        }
        world.customer(&mei, "张敏", "13800001003").await;
        let right = identity::GrantTemplate {
            actions: vec!["customer.view".to_owned()],
            extent: Some(identity::Extent { kind: identity::ExtentKind::Own as i32, ..Default::default() }),
            levels: Some(identity::LayerLevels { basic: identity::Level::Read as i32, ..Default::default() }),
            ..Default::default()
        };
        let grant = identity::CreateGrantRequest {
            holder_id: jun.id.to_string(),
            right: Some(right),
            reason: "helps out".to_owned(),
            ..Default::default()
        };
        let grant = answer(world.admin.access().create_grant(grant).await).expect("it is granted");
        world.plan("grade_c_conversion").await;
        world.advance(Duration::from_hours(2)).await;
        assert_eq!(world.tasks(&jun, followup::TaskState::Open).await.len(), 2);

        let counted = order(world, &jun, true).await;
        assert_eq!((counted.state(), counted.hand_over_id.as_str()), (identity::HandOverState::Preview, ""));
        let (customers, tasks) = (identity::HandOverPart::Customers, identity::HandOverPart::Tasks);
        assert_eq!(remaining(&counted), [(customers, 2), (tasks, 2)]);
        assert_eq!(counted.revoked_grant_ids, [grant.grant_id]);

        // Nothing has happened: she works as before, and no hand-over is listed.
        world.settle().await;
        assert_eq!(world.tasks(&jun, followup::TaskState::Open).await.len(), 2);
        let request = customer::ListCustomersRequest { page_size: 100, ..Default::default() };
        let fresh = jun.fresh().await.expect("her session goes on");
        let own = answer(fresh.customers().list_customers(request).await).expect("her own").customers;
        assert!(own.len() == 2 && own.iter().all(|row| row.owner_id == *jun.id));
        let admin = world.admin.fresh().await.expect("a session");
        let listed = identity::ListHandOversRequest::default();
        assert_eq!(answer(admin.hand_overs().list_hand_overs(listed).await).expect("a list").hand_overs, []);

        // The real one does what was told.
        let done = order(world, &jun, false).await;
        assert_eq!(done.revoked_grant_ids, counted.revoked_grant_ids);
        assert_eq!(done.revoked_session_count, counted.revoked_session_count);
        let request = followup::ListTasksRequest::default();
        let after = answer(jun.tasks().list_tasks(request).await);
        assert!(after.is_err(), "her session has ended");
    })
    .await;
}
