//! How far people see: a newcomer, a representative, the manager of a store, the one of a region, the executive. It is
//! the same whatever they ask with.

use std::{collections::BTreeSet, time::Duration};

use revisit_bootstrap::{status, status::answer, wire};
use revisit_core::Kind;
use revisit_proto::{customer::v1 as pb, followup::v1 as followup, identity::v1 as identity};
use revisit_standalone::client::Person;
use revisit_tests::world::{World, in_each_world};

/// Customers by name, one of each representative: two in one store of the east, one in another, one in the north.
const NAMES: [&str; 4] = ["甲", "乙", "丙", "丁"];

struct Company {
    reps: [Person; 4],
    /// Somebody, whether exporting is part of the work, and the customers in reach.
    seen: Vec<(Person, bool, &'static [&'static str])>,
    ids: Vec<(&'static str, String)>,
    tasks: Vec<(&'static str, String)>,
    stores: [String; 3],
}

async fn company(world: &World) -> Company {
    let east = world.department("华东", &world.root).await;
    let north = world.department("华北", &world.root).await;
    let stores = [
        world.department("徐汇店", &east).await,
        world.department("静安店", &east).await,
        world.department("海淀店", &north).await,
    ];
    let reps = [
        world.hire("mei", "sales_rep", &stores[0]).await,
        world.hire("jun", "sales_rep", &stores[0]).await,
        world.hire("lan", "sales_rep", &stores[1]).await,
        world.hire("lei", "sales_rep", &stores[2]).await,
    ];
    let newcomer = world.hire("xin", "sales_rep", &stores[0]).await;
    let manager = world.hire("hui", "sales_manager", &stores[0]).await;
    let region = world.hire("han", "regional_manager", &east).await;
    let boss = world.hire("bo", "executive", &world.root).await;
    let (mut ids, mut tasks) = (Vec::new(), Vec::new());
    for (number, (name, rep)) in NAMES.into_iter().zip(&reps).enumerate() {
        let row = world.customer(rep, name, &format!("1380000100{number}")).await;
        let request = followup::CreateTaskRequest {
            kind: followup::TaskKind::NextContact.into(),
            title: name.to_owned(),
            customer_id: row.customer_id.clone(),
            due_time: Some(wire::time(world.now() + Duration::from_hours(2))),
            channel: followup::Channel::Phone.into(),
            ..Default::default()
        };
        let task = answer(rep.fresh().await.expect("a session").tasks().create_task(request).await).expect("a task");
        ids.push((name, row.customer_id));
        tasks.push((name, task.task_id));
    }
    world.settle().await;
    let seen: Vec<(Person, bool, &'static [&'static str])> = vec![
        (newcomer, false, &[]),
        (reps[0].clone(), false, &NAMES[..1]),
        (manager, true, &NAMES[..2]),
        (region, true, &NAMES[..3]),
        (boss, false, &NAMES),
    ];
    Company { reps, seen, ids, tasks, stores }
}

async fn listed(who: &Person, filter: &str, order_by: &str) -> Vec<String> {
    let (filter, order_by) = (filter.to_owned(), order_by.to_owned());
    let request = pb::ListCustomersRequest { page_size: 1_000, filter, order_by, ..Default::default() };
    let page = answer(who.customers().list_customers(request).await).expect("a list");
    page.customers.into_iter().map(|row| row.name).collect()
}

async fn counted(who: &Person, filter: &str) -> i64 {
    let request = pb::CountCustomersRequest { filter: filter.to_owned() };
    answer(who.customers().count_customers(request).await).expect("a number").count
}

async fn exported(who: &Person) -> String {
    let request = pb::ExportCustomersRequest { reason: "to compare".to_owned(), ..Default::default() };
    let mut chunks = answer(who.exports().export_customers(request).await).expect("a file");
    let mut file = Vec::new();
    while let Some(chunk) = chunks.message().await.map_err(|status| status::failure(&status)).expect("a chunk") {
        file.extend(chunk.data);
    }
    String::from_utf8(file).expect("UTF-8")
}

/// The figures of tasks due these days, by the department of the customer.
async fn figures(world: &World, who: &Person) -> Vec<(String, i64)> {
    let request = followup::GetFiguresRequest {
        start_time: Some(wire::time(world.now() - Duration::from_hours(24))),
        end_time: Some(wire::time(world.now() + Duration::from_hours(24))),
        group_by: followup::FigureGroup::Team.into(),
        ..Default::default()
    };
    let groups = answer(who.metrics().get_figures(request).await).expect("figures").figures;
    groups.into_iter().map(|it| (it.group, it.due_count)).filter(|(_, count)| *count > 0).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn own_store_region_and_all_are_the_same_by_list_count_search_export_tasks_and_figures() {
    in_each_world(async |world: &World| {
        let Company { seen, ids, tasks, stores, .. } = company(world).await;
        // Due, so that figures count them.
        world.advance(Duration::from_hours(3)).await;
        for (who, exports, expected) in &seen {
            let who = &who.fresh().await.expect("a session");
            let name = &who.username;
            let set: BTreeSet<&str> = expected.iter().copied().collect();
            let all = listed(who, "", "").await;
            assert_eq!(all.iter().map(String::as_str).collect::<BTreeSet<_>>(), set, "{name} lists");
            assert_eq!(listed(who, "stage == \"lead\"", "name").await.len(), set.len(), "{name} filters and sorts");
            assert_eq!(counted(who, "").await, i64::try_from(set.len()).expect("few"), "{name} counts");
            for (other, id) in &ids {
                let found = i64::from(set.contains(other));
                assert_eq!(counted(who, &format!("name == \"{other}\"")).await, found, "{name} searches for {other}");
                let request = pb::GetCustomerRequest { customer_id: id.clone(), read_mask: None };
                let got = answer(who.customers().get_customer(request).await).map_err(|failure| failure.kind);
                assert_eq!(got.err(), (found == 0).then_some(Kind::NotFound), "{name} gets {other}");
            }
            let request = pb::BatchGetCustomersRequest { customer_ids: ids.iter().map(|(_, id)| id.clone()).collect() };
            let batch = answer(who.customers().batch_get_customers(request).await).expect("an answer for each").answers;
            let found = batch.iter().filter(|it| it.customer.is_some()).count();
            assert_eq!(found, set.len(), "{name} gets many");
            if *exports {
                let file = exported(who).await;
                let there: BTreeSet<&str> = NAMES.into_iter().filter(|name| file.contains(name)).collect();
                assert_eq!(there, set, "{name} exports");
            }
            let request = followup::ListTasksRequest { page_size: 1_000, ..Default::default() };
            let titles: BTreeSet<String> = answer(who.tasks().list_tasks(request).await)
                .expect("tasks")
                .tasks
                .into_iter()
                .filter(|task| tasks.iter().any(|(_, id)| *id == task.task_id))
                .map(|task| task.title)
                .collect();
            assert_eq!(titles.iter().map(String::as_str).collect::<BTreeSet<_>>(), set, "{name} lists tasks");
            let figures = figures(world, who).await;
            let due: i64 = figures.iter().map(|(_, count)| count).sum();
            assert_eq!(due, i64::try_from(set.len()).expect("few"), "{name} has figures of {figures:?}");
            let far = figures.iter().any(|(group, _)| *group == stores[2]);
            assert_eq!(far, set.contains("丁"), "{name} has figures of the north");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_of_one_store_find_nothing_of_another_by_any_call_about_a_customer() {
    in_each_world(async |world: &World| {
        let Company { seen, ids, tasks, reps, .. } = company(world).await;
        let (_, far) = ids.last().expect("four");
        let (_, task) = tasks.last().expect("four");
        let manager = &seen[2].0.fresh().await.expect("a session");
        let mei = &reps[0].fresh().await.expect("a session");
        for who in [manager, mei] {
            let customer_id = far.clone();
            let etag = "1".to_owned();
            let row = pb::Customer { customer_id: far.clone(), city: "北京".to_owned(), ..Default::default() };
            let update_mask = revisit_tests::world::mask(&["city"]);
            let update = pb::UpdateCustomerRequest {
                customer: Some(row),
                update_mask,
                etag: etag.clone(),
                ..Default::default()
            };
            let delete = pb::DeleteCustomerRequest {
                customer_id: customer_id.clone(),
                etag: etag.clone(),
                ..Default::default()
            };
            let note =
                pb::AddNoteRequest { customer_id: customer_id.clone(), text: "hm".to_owned(), ..Default::default() };
            let tag = pb::TagCustomerRequest {
                customer_id: customer_id.clone(),
                add: vec!["x".to_owned()],
                ..Default::default()
            };
            let stage = pb::MoveStageRequest {
                customer_id: customer_id.clone(),
                stage: "contacted".to_owned(),
                etag: etag.clone(),
                ..Default::default()
            };
            let timeline = pb::ListTimelineRequest { customer_id: customer_id.clone(), ..Default::default() };
            let orders = pb::ListOrdersRequest { customer_id: customer_id.clone(), ..Default::default() };
            let transfer = pb::TransferCustomerRequest {
                customer_id,
                owner_id: who.id.to_string(),
                reason: "mine".to_owned(),
                etag,
                ..Default::default()
            };
            let complete = followup::CompleteTaskRequest {
                task_id: task.clone(),
                result: "reached".to_owned(),
                channel: followup::Channel::Phone.into(),
                ..Default::default()
            };
            let refused = [
                ("update", answer(who.customers().update_customer(update).await).map(drop)),
                ("delete", answer(who.customers().delete_customer(delete).await).map(drop)),
                ("note", answer(who.timeline().add_note(note).await).map(drop)),
                ("tag", answer(who.customers().tag_customer(tag).await).map(drop)),
                ("stage", answer(who.customers().move_stage(stage).await).map(drop)),
                ("timeline", answer(who.timeline().list_timeline(timeline).await).map(drop)),
                ("orders", answer(who.orders().list_orders(orders).await).map(drop)),
                ("transfer", answer(who.ownership().transfer_customer(transfer).await).map(drop)),
                ("complete", answer(who.tasks().complete_task(complete).await).map(drop)),
            ];
            for (call, result) in refused {
                let kind = result.expect_err("it is another store's").kind;
                assert_eq!(kind, Kind::NotFound, "{} by {}", call, who.username);
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_page_has_lost_what_went_out_of_reach_meanwhile() {
    in_each_world(async |world: &World| {
        let Company { seen, stores, .. } = company(world).await;
        let region = &seen[3].0.fresh().await.expect("a session");
        let page = async |page_token: String| {
            let order_by = "name".to_owned();
            let request = pb::ListCustomersRequest { page_size: 1, page_token, order_by, ..Default::default() };
            answer(region.customers().list_customers(request).await).expect("a page")
        };
        let first = page(String::new()).await;
        assert_eq!(first.customers.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["丙"]);
        let parent_id = world.root.clone();
        let request =
            identity::MoveDepartmentRequest { department_id: stores[0].clone(), parent_id, ..Default::default() };
        let admin = world.admin.fresh().await.expect("a session");
        answer(admin.directory().move_department(request).await).expect("it leaves the region");
        world.running.advance_to(world.now()).await.expect("it comes to rest");
        let second = page(first.next_page_token).await;
        assert_eq!((second.customers, second.next_page_token), (Vec::new(), String::new()));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_joins_a_store_is_in_its_managers_reach_with_the_next_request() {
    in_each_world(async |world: &World| {
        let store = world.department("徐汇店", &world.root).await;
        let manager = world.hire("hui", "sales_manager", &store).await;
        assert_eq!(listed(&manager, "", "").await, Vec::<String>::new());
        let mei = world.hire("mei", "sales_rep", &store).await;
        world.customer(&mei, "甲", "13800001001").await;
        assert_eq!(listed(&manager, "", "").await, ["甲"], "on the clock that stands still");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn finance_reads_amounts_and_no_contact_talk_or_note() {
    in_each_world(async |world: &World| {
        let mei = world.hire("mei", "sales_rep", &world.root).await;
        let feng = world.hire("feng", "service", &world.root).await;
        let cai = world.hire("cai", "finance", &world.root).await;
        let row = world.customer(&mei, "王芳", "13800001001").await;
        let note = pb::AddNoteRequest {
            customer_id: row.customer_id.clone(),
            text: "likes tea".to_owned(),
            ..Default::default()
        };
        answer(mei.timeline().add_note(note).await).expect("her own customer");
        for stage in ["contacted", "qualified", "negotiating", "won"] {
            let request = pb::GetCustomerRequest { customer_id: row.customer_id.clone(), read_mask: None };
            let etag = answer(mei.customers().get_customer(request).await).expect("her own").etag;
            let (customer_id, stage) = (row.customer_id.clone(), stage.to_owned());
            let request = pb::MoveStageRequest { customer_id, stage, etag, ..Default::default() };
            answer(mei.customers().move_stage(request).await).expect("a step on");
        }
        let order = pb::Order {
            customer_id: row.customer_id.clone(),
            amount: Some(pb::Money { minor_units: 9_900, currency: "CNY".to_owned() }),
            place_time: Some(wire::time(world.now())),
            description: "a sofa".to_owned(),
            ..Default::default()
        };
        let request = pb::RecordOrderRequest { order: Some(order), ..Default::default() };
        answer(feng.orders().record_order(request).await).expect("service records it");
        world.settle().await;
        let seen = world.ask(&cai, &row.customer_id).await.expect("finance sees the name");
        assert_eq!((seen.name.as_str(), seen.contact_points.len()), ("王芳", 0));
        let request = pb::ListOrdersRequest { customer_id: row.customer_id.clone(), ..Default::default() };
        let orders = answer(cai.orders().list_orders(request).await).expect("orders").orders;
        let amounts: Vec<_> =
            orders.iter().filter_map(|order| order.amount.as_ref()).map(|it| it.minor_units).collect();
        assert_eq!(amounts, [9_900]);
        let request = pb::ListTimelineRequest { customer_id: row.customer_id.clone(), ..Default::default() };
        let talk = answer(cai.timeline().list_timeline(request).await).map(|page| page.entries).unwrap_or_default();
        assert!(talk.iter().all(|entry| entry.text.is_empty()), "{talk:?}");
        let tasks = answer(cai.tasks().list_tasks(followup::ListTasksRequest::default()).await);
        assert_eq!(tasks.expect_err("no follow-up").kind, Kind::Denied);
    })
    .await;
}
