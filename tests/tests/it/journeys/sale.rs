//! A customer goes from sales to service: it always has somebody who sees it there, and the seller keeps nothing.

use std::time::Duration;

use revisit_bootstrap::{status::answer, wire};
use revisit_core::{Failure, Kind};
use revisit_proto::{customer::v1 as pb, followup::v1 as followup};
use revisit_standalone::client::Person;
use revisit_tests::world::{World, in_each_world};

/// Moves a customer, to a new owner where one is named.
async fn move_stage(who: &Person, customer_id: &str, stage: &str, owner: &str) -> Result<pb::Customer, Failure> {
    let request = pb::MoveStageRequest {
        customer_id: customer_id.to_owned(),
        stage: stage.to_owned(),
        new_owner_id: owner.to_owned(),
        ..Default::default()
    };
    answer(who.fresh().await.expect("a session").customers().move_stage(request).await)
}

/// A region with a store and, beside it, a service desk; and another region with a desk of its own.
struct Region {
    manager: Person,
    leader: Person,
    seller: Person,
    colleague: Person,
    service: Person,
    /// A customer that the seller has won.
    won: String,
}

impl Region {
    async fn found(world: &World) -> Self {
        let east = world.department("华东大区", &world.root).await;
        let store = world.department("杭州西湖店", &east).await;
        let desk = world.department("华东客服", &east).await;
        let seller = world.hire("na", "sales_rep", &store).await;
        let won = world.customer(&seller, "王芳", "13800001001").await.customer_id;
        let note = pb::AddNoteRequest { customer_id: won.clone(), text: "likes tea".to_owned(), ..Default::default() };
        answer(seller.timeline().add_note(note).await).expect("her own customer");
        for stage in ["contacted", "qualified", "negotiating", "won"] {
            move_stage(&seller, &won, stage, "").await.expect("a step on");
        }
        Self {
            manager: world.hire("han", "regional_manager", &east).await,
            leader: world.hire("hui", "sales_manager", &store).await,
            colleague: world.hire("mei", "sales_rep", &store).await,
            service: world.hire("wen", "service", &desk).await,
            seller,
            won,
        }
    }

    /// Nothing has changed: the seller has the customer, where it was.
    async fn is_as_it_was(&self, world: &World) {
        let seen = world.ask(&self.seller, &self.won).await.expect("still hers");
        assert_eq!((seen.stage.as_str(), seen.owner_id.as_str()), ("won", &*self.seller.id));
    }
}

/// The reason of a refusal, and what it says of the new owner.
fn told(refused: Result<pb::Customer, Failure>) -> (Kind, &'static str, Vec<String>) {
    let refused = refused.expect_err("it is refused");
    let fields = refused.violations.into_iter().map(|it| it.field).collect();
    (refused.kind, refused.reason, fields)
}

fn about_owner(reason: &'static str) -> (Kind, &'static str, Vec<String>) {
    (Kind::Precondition, reason, vec!["new_owner_id".to_owned()])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seller_hands_over_to_service_beside_the_store_and_keeps_nothing() {
    in_each_world(async |world: &World| {
        let region = Region::found(world).await;
        let Region { seller, leader, service, won, .. } = &region;
        // The desk has a customer of its own, which nobody of the store may see before or after.
        let other = world.customer(&region.colleague, "李强", "13800001002").await.customer_id;
        for stage in ["contacted", "qualified", "negotiating", "won"] {
            move_stage(&region.colleague, &other, stage, "").await.expect("a step on");
        }
        move_stage(leader, &other, "service", &service.id).await.expect("the head of the store may too");
        let answered = move_stage(seller, won, "service", &service.id).await.expect("it is hers to give");
        assert_eq!(answered.owner_id, service.id.to_string());
        assert!(answered.contact_points.is_empty(), "what is handed away is answered by its name: {answered:?}");
        for who in [seller, leader, &region.colleague] {
            for customer in [won, &other] {
                let gone = world.ask(who, customer).await.expect_err("no longer of the store");
                assert_eq!(gone.kind, Kind::NotFound, "{}", who.username);
                let back = move_stage(who, customer, "negotiating", "").await;
                assert_eq!(told(back).0, Kind::NotFound, "{}", who.username);
            }
            let session = who.fresh().await.expect("a session");
            let rows = answer(session.customers().list_customers(pb::ListCustomersRequest::default()).await);
            assert_eq!(rows.expect("their own").customers, [], "{}", who.username);
            let talk = pb::ListTimelineRequest { customer_id: won.clone(), ..Default::default() };
            assert_eq!(answer(session.timeline().list_timeline(talk).await).expect_err("gone").kind, Kind::NotFound);
        }
        let served = world.ask(service, won).await.expect("his now");
        assert_eq!((served.stage.as_str(), served.owner_id), ("service", service.id.to_string()));
        let talk = pb::ListTimelineRequest { customer_id: won.clone(), ..Default::default() };
        let session = service.fresh().await.expect("a session");
        let talk = answer(session.timeline().list_timeline(talk).await).expect("the talk before the sale").entries;
        assert!(talk.iter().any(|entry| entry.text == "likes tea"), "{talk:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_without_somebody_who_could_see_the_customer_in_service_is_refused() {
    in_each_world(async |world: &World| {
        let region = Region::found(world).await;
        let Region { seller, leader, manager, won, .. } = &region;
        for who in [seller, leader, manager] {
            let lost = move_stage(who, won, "service", "").await;
            assert_eq!(told(lost), about_owner("NEW_OWNER_REQUIRED"), "{}", who.username);
        }
        let kept = move_stage(seller, won, "service", &seller.id).await;
        assert_eq!(told(kept), about_owner("NEW_OWNER_REQUIRED"));
        // What a task lends ends with it, and is no right to keep a customer by.
        let lent = followup::CreateTaskRequest {
            kind: followup::TaskKind::Todo.into(),
            title: "bring the samples".to_owned(),
            customer_id: won.clone(),
            assignee_id: seller.id.to_string(),
            due_time: Some(wire::time(world.now() + Duration::from_hours(48))),
            ..Default::default()
        };
        answer(leader.fresh().await.expect("a session").tasks().create_task(lent).await).expect("it is given");
        world.settle().await;
        let kept = move_stage(seller, won, "service", "").await;
        assert_eq!(told(kept), about_owner("NEW_OWNER_REQUIRED"));
        region.is_as_it_was(world).await;
        let row = move_stage(manager, won, "service", &region.service.id).await.expect("who may transfer");
        // From here on the one who has it sees it in every stage that it may move to, or nobody is to work on it.
        assert_eq!(move_stage(&region.service, &row.customer_id, "churned", "").await.expect("lost").stage, "churned");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_could_not_work_on_the_customer_in_service_is_not_given_it() {
    in_each_world(async |world: &World| {
        let region = Region::found(world).await;
        let boss = world.hire("zhao", "executive", &world.root).await;
        let finance = world.hire("cai", "finance", &world.root).await;
        // A colleague does not see it there; the executive and finance do, and may change nothing.
        for unfit in [&region.colleague, &region.leader, &boss, &finance] {
            for who in [&region.seller, &region.manager] {
                let refused = move_stage(who, &region.won, "service", &unfit.id).await;
                assert_eq!(told(refused), about_owner("NEW_OWNER_UNFIT"), "{} for {}", unfit.username, who.username);
            }
        }
        // Who may not move it at all hears nothing about who could work on it.
        let refused = move_stage(&boss, &region.won, "service", &finance.id).await;
        assert_eq!(told(refused).0, Kind::Denied);
        region.is_as_it_was(world).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_that_is_lost_needs_no_new_owner() {
    in_each_world(async |world: &World| {
        let region = Region::found(world).await;
        let churned = move_stage(&region.seller, &region.won, "churned", "").await.expect("nobody is to work on it");
        assert_eq!((churned.stage.as_str(), churned.owner_id), ("churned", region.seller.id.to_string()));
        let gone = world.ask(&region.seller, &region.won).await.expect_err("not to be seen by sales");
        assert_eq!(gone.kind, Kind::NotFound);
        let fresh = world.customer(&region.seller, "张敏", "13800001003").await.customer_id;
        move_stage(&region.leader, &fresh, "churned", "").await.expect("the head of the store may too");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_owner_is_a_transfer_wherever_the_owner_would_keep_the_customer_in_sight() {
    in_each_world(async |world: &World| {
        let region = Region::found(world).await;
        let Region { seller, leader, service, won, .. } = &region;
        let service = &service.id;
        // No change of stage; and a stage in which nobody is to work on it.
        for (who, stage) in [(seller, "won"), (leader, "won"), (seller, "churned"), (leader, "churned")] {
            let pushed = move_stage(who, won, stage, service).await;
            assert_eq!(told(pushed).0, Kind::Denied, "{} to {stage}", who.username);
        }
        region.is_as_it_was(world).await;
        // A step within sales.
        let lead = world.customer(seller, "张敏", "13800001003").await.customer_id;
        let pushed = move_stage(seller, &lead, "contacted", &region.colleague.id).await;
        assert_eq!(told(pushed).0, Kind::Denied);
        // Nor does a refusal tell who could work on it: somebody of service could not.
        assert_eq!(told(move_stage(seller, &lead, "contacted", service).await).0, Kind::Denied);
        let given = move_stage(leader, &lead, "contacted", &region.colleague.id).await;
        assert_eq!(given.expect("a leader transfers below").owner_id, region.colleague.id.to_string());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_moves_stages_and_transfers_nothing_names_nobody_where_the_owner_stays_in_sight() {
    in_each_world(async |world: &World| {
        let region = Region::found(world).await;
        // Service of the whole company sees the row before and after, and may move its stage.
        let desk = world.hire("an", "service", &world.root).await;
        let pushed = move_stage(&desk, &region.won, "won", &region.service.id).await;
        assert_eq!(told(pushed).0, Kind::Denied);
        region.is_as_it_was(world).await;
        let taken = move_stage(&desk, &region.won, "service", &desk.id).await.expect("in service it works");
        assert_eq!(taken.owner_id, desk.id.to_string());
    })
    .await;
}
