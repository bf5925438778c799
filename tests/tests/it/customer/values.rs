//! Fields of every type, amounts that are somebody else's business, grades that time alone changes, and very important
//! people.

use std::time::Duration;

use revisit_bootstrap::{status::answer, wire};
use revisit_core::{Kind, Timestamp};
use revisit_permission::{Action, Change, Effect, Exceptions, Guard, Layer, Level, Levels, RowCondition, Whom};
use revisit_proto::customer::v1::{self as pb, field_value::Value};
use revisit_tests::rights::guard;

use super::{
    fields, person,
    support::{Office, Seat, everywhere, in_each_office},
};

fn value(key: &str, value: Value) -> pb::FieldValue {
    pb::FieldValue { key: key.to_owned(), value: Some(value) }
}

fn choices(keys: &[&str]) -> Value {
    Value::Choices(pb::Choices { keys: keys.iter().map(|key| (*key).to_owned()).collect() })
}

/// One value of each type, what is no value of it, and a filter that the value meets.
fn every_type() -> [(&'static str, pb::FieldType, Value, Value, &'static str); 7] {
    use pb::FieldType as Type;
    let money = |currency: &str| Value::Money(pb::Money { minor_units: 123_450, currency: currency.to_owned() });
    [
        ("motto", Type::Text, Value::Text("慢慢来".to_owned()), Value::Truth(true), "fields.motto == \"慢慢来\""),
        ("size", Type::Number, Value::Number("88.5".to_owned()), Value::Number("1e9".to_owned()), "fields.size > 88"),
        (
            "moved",
            Type::Date,
            Value::Date("2026-12-01".to_owned()),
            Value::Date("2026-13-01".to_owned()),
            "fields.moved < \"2027-01-01\"",
        ),
        ("taste", Type::Choice, choices(&["red"]), choices(&["red", "blue"]), "fields.taste == \"red\""),
        ("rooms", Type::Choices, choices(&["blue", "red"]), choices(&["green"]), "\"blue\" in fields.rooms"),
        ("owns", Type::Truth, Value::Truth(true), Value::Text("yes".to_owned()), "fields.owns"),
        ("budget", Type::Money, money("CNY"), money("yuan"), ""),
    ]
}

async fn named(who: &Seat, filter: &str) -> Vec<String> {
    let rows = who.list(filter).await.expect(filter);
    rows.into_iter().map(|row| row.name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_of_any_type_is_checked_kept_found_imported_and_outlives_its_retirement() {
    in_each_office(async |office: &Office| {
        let (admin, rep, manager) = (office.seat("admin"), office.seat("rep"), office.seat("manager"));
        for (key, kind, ..) in every_type() {
            admin.field(key, kind, "basic").await;
        }
        let all: Vec<_> = every_type().into_iter().map(|(key, _, good, ..)| value(key, good)).collect();
        let made = rep.create(pb::Customer { fields: all.clone(), ..person("王芳", "13800001001") }).await.expect("made");
        rep.create(person("李强", "13800001002")).await.expect("one without any");
        let sorted = |mut values: Vec<pb::FieldValue>| {
            values.sort_by(|one, other| one.key.cmp(&other.key));
            values
        };
        let got = rep.get(&made.customer_id).await.expect("hers");
        assert_eq!(sorted(got.fields), sorted(all.clone()));
        for (key, _, _, bad, filter) in every_type() {
            let row = pb::Customer { fields: vec![value(key, bad)], ..person("张敏", "13800001003") };
            let refused = rep.create(row).await.expect_err(key);
            assert!(fields(&refused)[0].contains(key) || fields(&refused)[0].starts_with("customer.fields"), "{refused:?}");
            if !filter.is_empty() {
                assert_eq!(named(&rep, filter).await, ["王芳"], "{filter}");
            }
        }
        let file = "姓名,motto,size,moved,taste,rooms,owns,budget\n赵磊,快,90,2026/12/02,blue title,red title;blue,是,\"¥1,234.50\"\n";
        let done = manager.import(office, file.as_bytes()).await;
        assert_eq!((done.created_count, done.rejected_count), (1, 0), "{done:?}");
        let imported = &manager.list("fields.size == 90").await.expect("a list")[0];
        let budget = imported.fields.iter().find(|value| value.key == "budget").and_then(|it| it.value.clone());
        assert_eq!(budget, every_type().into_iter().find(|(key, ..)| *key == "budget").map(|(_, _, good, ..)| good));
        for (key, _, good, _, filter) in every_type() {
            let retire = pb::RetireFieldRequest { key: key.to_owned(), ..Default::default() };
            answer(admin.catalogue().retire_field(retire).await).expect("retired");
            let row = pb::Customer { fields: vec![value(key, good)], ..person("孙丽", "13800001004") };
            let refused = rep.create(row).await.expect_err("a retired field is not written");
            assert!(matches!(refused.kind, Kind::Precondition | Kind::Invalid), "{refused:?}");
            if !filter.is_empty() {
                assert!(named(&rep, filter).await.contains(&"王芳".to_owned()), "the data stays: {filter}");
            }
        }
        let kept = rep.get(&made.customer_id).await.expect("hers");
        assert_eq!(sorted(kept.fields), sorted(all));
        let job = manager.upload("customers.csv", file.as_bytes()).await.expect("a job");
        let targets: Vec<_> = job.mapping.iter().map(|column| column.target.as_str()).collect();
        assert!(!targets.iter().any(|target| target.starts_with("fields.")), "{targets:?}");
    })
    .await;
}

async fn record(
    who: &Seat,
    customer_id: &str,
    number: &str,
    at: Timestamp,
) -> Result<pb::Order, revisit_core::Failure> {
    let order = pb::Order {
        customer_id: customer_id.to_owned(),
        external_id: number.to_owned(),
        amount: Some(pb::Money { minor_units: 1_500_000, currency: "CNY".to_owned() }),
        place_time: Some(wire::time(at)),
        ..Default::default()
    };
    answer(who.orders().record_order(pb::RecordOrderRequest { order: Some(order), ..Default::default() }).await)
}

async fn orders(who: &Seat, customer_id: &str) -> Result<Vec<pb::Order>, revisit_core::Failure> {
    let request = pb::ListOrdersRequest { customer_id: customer_id.to_owned(), ..Default::default() };
    Ok(answer(who.orders().list_orders(request).await)?.orders)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_in_what_was_bought_is_masked_until_who_reads_contact_values_asks() {
    const WRITTEN: &str = "沙发一套，送货前打13812345678";
    const MASKED: &str = "沙发一套，送货前打138****5678";
    in_each_office(async |office: &Office| {
        let customer_id = office.seat("rep").create(person("王芳", "13800001001")).await.expect("made").customer_id;
        let amounts = Levels::HIDDEN.with(Layer::Basic, Level::Write).with(Layer::Financial, Level::Write);
        office.grant("colleague", vec![everywhere(&[Action::CustomerOrderRecord], amounts)]).await;
        office.grant("outsider", vec![everywhere(&[Action::CustomerOrderView], amounts)]).await;
        let all = amounts.with(Layer::Sensitive, Level::Read);
        office.grant("finance", vec![everywhere(&[Action::CustomerOrderView], all)]).await;
        let order = pb::Order {
            customer_id: customer_id.clone(),
            amount: Some(pb::Money { minor_units: 1_500_000, currency: "CNY".to_owned() }),
            place_time: Some(wire::time(office.now())),
            description: WRITTEN.to_owned(),
            ..Default::default()
        };
        let request = pb::RecordOrderRequest { order: Some(order), ..Default::default() };
        let recorded = answer(office.seat("colleague").orders().record_order(request).await).expect("recorded");
        assert_eq!((recorded.description.as_str(), recorded.sensitive_kinds.len()), (MASKED, 1));
        let listed = async |who: &str, paths: &[&str]| {
            let read_mask = Some(prost_types::FieldMask { paths: paths.iter().map(|it| (*it).to_owned()).collect() });
            let request = pb::ListOrdersRequest { customer_id: customer_id.clone(), read_mask, ..Default::default() };
            let mut orders = answer(office.seat(who).orders().list_orders(request).await).expect("a list").orders;
            orders.remove(0).description
        };
        assert_eq!(listed("finance", &[]).await, MASKED);
        assert_eq!(listed("outsider", &["description"]).await, MASKED, "asking lifts no level");
        assert_eq!(listed("finance", &["description"]).await, WRITTEN);
        let read = office.audited("customer.order_view").await;
        let read: Vec<_> = read.iter().map(|it| (it.subject_id.clone(), it.fields.clone())).collect();
        let finance = office.seat("finance").id.to_string();
        assert_eq!(read, [(finance, vec!["orders.description".to_owned()])], "and is in the log");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_and_recording_orders_are_two_rights_and_a_grade_that_has_grown_old_falls_at_night() {
    in_each_office(async |office: &Office| {
        let customer = office.seat("rep").create(person("王芳", "13800001001")).await.expect("made").customer_id;
        let amounts = Levels::HIDDEN.with(Layer::Basic, Level::Write).with(Layer::Financial, Level::Write);
        let right = |action: Action| everywhere(&[action], amounts);
        office.grant("colleague", vec![right(Action::CustomerOrderRecord)]).await;
        office.grant("outsider", vec![right(Action::CustomerOrderView)]).await;
        let (records, reads) = (office.seat("colleague"), office.seat("outsider"));
        for number in ["S-1", "S-2"] {
            record(&records, &customer, number, office.now()).await.expect("he records");
        }
        assert_eq!(orders(&records, &customer).await.expect_err("and does not read").kind, Kind::Denied);
        assert_eq!(record(&reads, &customer, "S-3", office.now()).await.expect_err("reads only").kind, Kind::Denied);
        assert_eq!(orders(&reads, &customer).await.expect("amounts").len(), 2);
        let other = office.seat("rep").create(person("李强", "13800001002")).await.expect("made").customer_id;
        let twice = record(&records, &other, "S-1", office.now()).await.expect_err("another customer's order");
        assert_eq!((twice.kind, twice.reason), (Kind::Exists, "EXTERNAL_ID_TAKEN"));
        let boss = office.seat("boss");
        assert_eq!(boss.get(&customer).await.expect("there").grade, "A");
        office.advance(Duration::from_hours(24 * 179)).await;
        office.settle().await;
        office.advance(Duration::from_hours(24 * 2)).await;
        office.until("SELECT count(*) AS n FROM customer WHERE grade = 'B'", 1).await;
        let graded = boss.get(&customer).await.expect("there");
        assert!(graded.grade_reason.contains("last 181 days ago"), "{}", graded.grade_reason);
        let entries = boss.entries(&customer).await.expect("a timeline");
        let mut moves = entries.iter().filter(|entry| entry.kind == pb::EntryKind::Grade as i32);
        let night = moves.next().expect("newest first, or the only one");
        let told = moves.chain([night]).any(|entry| (entry.from.as_str(), entry.to.as_str()) == ("A", "B"));
        assert!(told, "{entries:?}");
        let changed = office.heard::<pb::CustomerChanged>().await;
        assert!(changed.iter().any(|it| it.former_grade == "A" && it.facts.as_ref().is_some_and(|it| it.grade == "B")));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vip_is_masked_for_all_but_the_owner_and_named_people_whose_clear_reads_are_audited() {
    in_each_office(async |office: &Office| {
        office.seat("admin").field("passport", pb::FieldType::Text, "sensitive").await;
        let passport = vec![value("passport", Value::Text("E12345678".to_owned()))];
        let vip = pb::Customer { vip: true, fields: passport, ..person("王芳", "13800001001") };
        let rep = office.seat("rep");
        let vip = rep.create(vip).await.expect("made").customer_id;
        let plain = rep.create(person("李强", "13800001002")).await.expect("made").customer_id;
        let masked = Effect::Cap(Levels::WRITE.with(Layer::Sensitive, Level::Masked));
        let guard = Guard {
            except: Exceptions { owner: true, managers: false, subjects: vec![office.who("boss")] },
            condition: RowCondition { vip: true, ..RowCondition::default() },
            ..guard(Whom::Everyone, &[Action::CustomerView, Action::CustomerUpdate], masked)
        };
        office.commit(vec![Change::Guard(guard)]).await;
        let phone = async |who: &str, id: &str| {
            let row = office.seat(who).ask(id).await.expect("in reach");
            row.contact_points[0].value.clone()
        };
        for (who, expected) in [("rep", "13800001001"), ("boss", "13800001001"), ("manager", "138****1001")] {
            assert_eq!(phone(who, &vip).await, expected, "{who}");
        }
        assert_eq!(phone("manager", &plain).await, "13800001002", "no VIP");
        let reads = office.audited("customer.view").await;
        let readers: Vec<_> = reads
            .iter()
            .filter(|entry| entry.resource_ids.contains(&vip))
            .map(|entry| (entry.subject_id.clone(), entry.fields.clone()))
            .collect();
        let expected = ["rep", "boss"].map(|who| (office.who(who).to_string(), vec!["contact_points".to_owned()]));
        assert_eq!(readers.len(), 2, "{readers:?}");
        assert!(expected.iter().all(|read| readers.contains(read)), "{readers:?}");
        // Masked is masked everywhere: in the custom field, and in a write that names it.
        let seen = office.seat("manager").get(&vip).await.expect("in reach");
        assert!(matches!(seen.fields[0].value, Some(Value::Masked(_))), "{:?}", seen.fields);
        let change = pb::Customer { contact_points: Vec::new(), customer_id: vip.clone(), ..Default::default() };
        let refused = office.seat("manager").update(change, &["contact_points"]).await.expect_err("below write");
        assert_eq!(refused.reason, "FIELD_NOT_WRITABLE");
        let before = office.audited("customer.view").await.len();
        assert_eq!(rep.get(&vip).await.expect("his").contact_points[0].value, "138****1001", "masked unless asked for");
        assert_eq!(office.audited("customer.view").await.len(), before, "and then nothing was disclosed");
    })
    .await;
}
