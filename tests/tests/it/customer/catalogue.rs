//! What a tenant declares: fields, stages, grades, segments.

use revisit_bootstrap::{status::answer, wire};
use revisit_core::Kind;
use revisit_proto::customer::v1 as pb;
use revisit_tests::world::{World, in_each_world};

use super::{create, fields, get, list, person};

#[tokio::test(flavor = "multi_thread")]
async fn a_new_field_is_used_at_once_in_records_and_filters_and_a_retired_one_refuses_writes() {
    in_each_world(async |world: &World| {
        let store = world.department("上海徐汇店", &world.root).await;
        let jun = world.hire("jun", "sales_rep", &store).await;
        let field = pb::Field {
            key: "budget".to_owned(),
            title: "预算".to_owned(),
            r#type: pb::FieldType::Number as i32,
            layer: "basic".to_owned(),
            number_min: "0".to_owned(),
            ..Default::default()
        };
        let request = pb::CreateFieldRequest { field: Some(field), ..Default::default() };
        answer(world.admin.catalogue().create_field(request).await).expect("a field");
        let with = |name: &str, phone: &str, number: &str| {
            let value = pb::field_value::Value::Number(number.to_owned());
            let fields = vec![pb::FieldValue { key: "budget".to_owned(), value: Some(value) }];
            pb::Customer { fields, ..person(name, phone) }
        };
        create(&jun, with("王芳", "13800001001", "12000.5")).await.expect("made");
        create(&jun, with("李强", "13800001002", "900")).await.expect("made");
        let refused = create(&jun, with("张敏", "13800001003", "-1")).await.expect_err("below the minimum");
        assert_eq!(fields(&refused), ["fields.budget"]);
        let rich = list(&jun, "fields.budget > 1000", 10).await.expect("a list");
        assert_eq!(rich.iter().map(|customer| customer.name.as_str()).collect::<Vec<_>>(), ["王芳"]);
        let outside = list(&jun, "fields.budget + 1 > 2", 10).await.expect_err("outside the subset");
        assert!(outside.violations[0].rule.starts_with("column "), "{:?}", outside.violations);
        let retire = pb::RetireFieldRequest { key: "budget".to_owned(), ..Default::default() };
        answer(world.admin.catalogue().retire_field(retire).await).expect("retired");
        assert!(create(&jun, with("张敏", "13800001003", "1")).await.is_err());
        assert_eq!(list(&jun, "fields.budget > 1000", 10).await.expect("the data stays").len(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undeclared_move_of_stage_is_refused_by_name_and_tags_are_a_set() {
    in_each_world(async |world: &World| {
        let store = world.department("上海徐汇店", &world.root).await;
        let jun = world.hire("jun", "sales_rep", &store).await;
        let made = create(&jun, person("王芳", "13800001001")).await.expect("made");
        let go = |stage: &str| pb::MoveStageRequest {
            customer_id: made.customer_id.clone(),
            stage: stage.to_owned(),
            ..Default::default()
        };
        let refused = answer(jun.customers().move_stage(go("won")).await).expect_err("too far");
        assert_eq!((refused.kind, refused.reason), (Kind::Precondition, "STAGE_TRANSITION_ILLEGAL"));
        assert_eq!(answer(jun.customers().move_stage(go("contacted")).await).expect("moved").stage, "contacted");
        let tag = pb::TagCustomerRequest {
            customer_id: made.customer_id.clone(),
            add: vec!["团购".to_owned(), "试听".to_owned(), "团购".to_owned()],
            remove: vec!["试听".to_owned()],
            ..Default::default()
        };
        assert_eq!(answer(jun.customers().tag_customer(tag).await).expect("tagged").tags, ["团购"]);
        assert_eq!(list(&jun, "\"团购\" in tags && stage == \"contacted\"", 10).await.expect("a list").len(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_regrade_at_once_and_say_why_to_who_reads_amounts() {
    in_each_world(async |world: &World| {
        let store = world.department("上海徐汇店", &world.root).await;
        let jun = world.hire("jun", "sales_rep", &store).await;
        let boss = world.hire("zhao", "executive", &world.root).await;
        let finance = world.hire("qian", "finance", &world.root).await;
        let cashier = world.hire("wen", "service", &store).await;
        let made = create(&jun, person("王芳", "13800001001")).await.expect("made");
        for stage in ["contacted", "qualified", "negotiating", "won"] {
            let go = pb::MoveStageRequest {
                customer_id: made.customer_id.clone(),
                stage: stage.to_owned(),
                ..Default::default()
            };
            answer(jun.customers().move_stage(go).await).expect("moved");
        }
        let order = |number: &str| pb::RecordOrderRequest {
            order: Some(pb::Order {
                customer_id: made.customer_id.clone(),
                external_id: number.to_owned(),
                amount: Some(pb::Money { minor_units: 1_500_000, currency: "CNY".to_owned() }),
                place_time: Some(wire::time(world.now())),
                ..Default::default()
            }),
            ..Default::default()
        };
        let denied = answer(jun.orders().record_order(order("S-1")).await).expect_err("a seller writes no amounts");
        assert_eq!(denied.kind, Kind::Denied);
        let first = answer(cashier.orders().record_order(order("S-1")).await).expect("recorded");
        let again = answer(cashier.orders().record_order(order("S-1")).await).expect("the same");
        assert_eq!(first.order_id, again.order_id);
        assert_eq!(get(&boss, &made.customer_id).await.expect("hers").grade, "B");
        answer(cashier.orders().record_order(order("S-2")).await).expect("recorded");
        let graded = get(&boss, &made.customer_id).await.expect("hers");
        assert_eq!(graded.grade, "A");
        let amounts_only = get(&finance, &made.customer_id).await.expect("by name");
        assert_eq!((amounts_only.contact_points.len(), amounts_only.grade_reason), (0, graded.grade_reason.clone()));
        let orders = pb::ListOrdersRequest { customer_id: made.customer_id.clone(), ..Default::default() };
        let orders = answer(finance.orders().list_orders(orders).await).expect("amounts").orders;
        assert_eq!(orders.iter().filter_map(|order| order.amount.as_ref()).count(), 2);
        assert!(graded.grade_reason.starts_with("2 orders, 30000.00 CNY"), "{}", graded.grade_reason);
        let cancel = pb::CancelOrderRequest {
            order_id: first.order_id,
            customer_id: made.customer_id.clone(),
            ..Default::default()
        };
        answer(cashier.orders().cancel_order(cancel).await).expect("cancelled");
        assert_eq!(get(&boss, &made.customer_id).await.expect("hers").grade, "B");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_fills_by_sweep_and_follows_every_change() {
    in_each_world(async |world: &World| {
        let store = world.department("上海徐汇店", &world.root).await;
        let jun = world.hire("jun", "sales_rep", &store).await;
        let boss = world.hire("zhao", "executive", &world.root).await;
        let made = create(&jun, person("王芳", "13800001001")).await.expect("made");
        let segment =
            pb::Segment { name: "线索".to_owned(), filter: "stage == \"lead\"".to_owned(), ..Default::default() };
        let request = pb::CreateSegmentRequest { segment: Some(segment), ..Default::default() };
        let segment = answer(world.admin.segments().create_segment(request).await).expect("a segment");
        world.settle().await;
        let count = async || {
            let request = pb::GetSegmentRequest { segment_id: segment.segment_id.clone() };
            answer(boss.segments().get_segment(request).await).expect("the segment").member_count
        };
        assert_eq!(count().await, 1);
        create(&jun, person("李强", "13800001002")).await.expect("made");
        assert_eq!(count().await, 2);
        let go =
            pb::MoveStageRequest { customer_id: made.customer_id, stage: "contacted".to_owned(), ..Default::default() };
        answer(jun.customers().move_stage(go).await).expect("moved");
        assert_eq!(count().await, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_mask_that_names_a_field_which_the_company_does_not_have_is_refused() {
    in_each_world(async |world: &World| {
        let store = world.department("上海徐汇店", &world.root).await;
        let jun = world.hire("jun", "sales_rep", &store).await;
        let made = create(&jun, person("王芳", "13800001001")).await.expect("made");
        let read_mask = revisit_tests::world::mask(&["fields.nonsense"]);
        let one = pb::GetCustomerRequest { customer_id: made.customer_id, read_mask: read_mask.clone() };
        let refused = answer(jun.customers().get_customer(one).await).expect_err("no such field");
        assert_eq!(fields(&refused), ["read_mask"]);
        let several = pb::ListCustomersRequest { read_mask, ..Default::default() };
        let refused = answer(jun.customers().list_customers(several).await).expect_err("no such field");
        assert_eq!(fields(&refused), ["read_mask"]);
    })
    .await;
}
