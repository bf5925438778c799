//! What departments see of one customer: by roles that a company makes itself, layer by layer, and nothing beside them.

use std::time::Duration;

use revisit_bootstrap::{status::answer, wire};
use revisit_core::{Failure, Kind};
use revisit_proto::{customer::v1 as customer, followup::v1 as followup, identity::v1 as identity};
use revisit_standalone::client::Person;
use revisit_tests::world::{World, in_each_world, mask};

use identity::{ExtentKind, GrantTemplate, LayerLevels};

const READ: i32 = identity::Level::Read as i32;
const WRITE: i32 = identity::Level::Write as i32;
const PHONE: &str = "13800001001";

/// A part of a role: actions on what is the holder's own, or everybody's.
fn part(actions: &[&str], kind: ExtentKind, levels: LayerLevels) -> GrantTemplate {
    GrantTemplate {
        actions: actions.iter().map(|action| (*action).to_owned()).collect(),
        extent: Some(identity::Extent { kind: kind.into(), ..Default::default() }),
        levels: Some(levels),
        ..Default::default()
    }
}

/// Somebody who holds a role that the company has made, and no other.
async fn hire(world: &World, name: &str, templates: Vec<GrantTemplate>) -> Person {
    let person = world.roleless(name).await;
    let role = identity::CreateRoleRequest {
        key: format!("role_of_{name}"),
        display_name: name.to_owned(),
        templates,
        ..Default::default()
    };
    let admin = world.admin.fresh().await.expect("a session");
    let role_id = answer(admin.access().create_role(role).await).expect("a role").role_id;
    let give = identity::SetRoleOverrideRequest {
        user_id: person.id.to_string(),
        role_id,
        source: identity::RoleSource::Added.into(),
        ..Default::default()
    };
    answer(admin.access().set_role_override(give).await).expect("it is given");
    world.settle().await;
    person
}

/// Who takes money, and nothing else.
async fn cashier(world: &World) -> Person {
    let amounts = LayerLevels { basic: WRITE, financial: WRITE, ..Default::default() };
    let actions = ["customer.view", "customer.order_view", "customer.order_record"];
    hire(world, "cai", vec![part(&actions, ExtentKind::Tenant, amounts)]).await
}

async fn field(world: &World, (key, layer): (&str, &str)) {
    let field = customer::Field {
        key: key.to_owned(),
        title: key.to_owned(),
        layer: layer.to_owned(),
        r#type: customer::FieldType::Text.into(),
        ..Default::default()
    };
    let request = customer::CreateFieldRequest { field: Some(field), ..Default::default() };
    answer(world.admin.fresh().await.expect("a session").catalogue().create_field(request).await).expect("a field");
}

/// A customer with a telephone number, from a fair, with these values.
fn from_the_fair(values: &[(&str, &str)]) -> customer::Customer {
    let value = |(key, text): &(&str, &str)| customer::FieldValue {
        key: (*key).to_owned(),
        value: Some(customer::field_value::Value::Text((*text).to_owned())),
    };
    customer::Customer {
        kind: customer::CustomerKind::Person.into(),
        name: "王芳".to_owned(),
        source: "spring fair".to_owned(),
        contact_points: vec![customer::ContactPoint {
            r#type: customer::ContactType::Phone.into(),
            value: PHONE.to_owned(),
            ..Default::default()
        }],
        fields: values.iter().map(value).collect(),
        ..Default::default()
    }
}

async fn create(who: &Person, row: customer::Customer) -> String {
    let request = customer::CreateCustomerRequest { customer: Some(row), ..Default::default() };
    answer(who.customers().create_customer(request).await).expect("a customer").customer_id
}

async fn note(who: &Person, customer_id: &str, text: &str) {
    let (customer_id, text) = (customer_id.to_owned(), text.to_owned());
    let request = customer::AddNoteRequest { customer_id, text, ..Default::default() };
    answer(who.timeline().add_note(request).await).expect("theirs to note");
}

async fn order(who: &Person, customer_id: &str) {
    let order = customer::Order {
        customer_id: customer_id.to_owned(),
        amount: Some(customer::Money { minor_units: 1_500_000, currency: "CNY".to_owned() }),
        place_time: Some(wire::time(who.now())),
        description: "a kitchen".to_owned(),
        ..Default::default()
    };
    let request = customer::RecordOrderRequest { order: Some(order), ..Default::default() };
    answer(who.orders().record_order(request).await).expect("theirs to record");
}

/// All that somebody is shown of a customer beyond what everybody knows who sees it.
#[derive(PartialEq, Eq, Debug, Default)]
struct Seen {
    /// Layers of which anything is shown, `basic` not among them.
    layers: Vec<String>,
    contacts: Vec<String>,
    fields: Vec<String>,
    /// Texts of the timeline, and the layers of what has none.
    talk: Vec<String>,
    tasks: Vec<String>,
    orders: Vec<String>,
}

/// What a call answers, nothing when it is refused as not allowed.
fn allowed<T>(answer: Result<Vec<T>, Failure>) -> Vec<T> {
    answer.unwrap_or_else(|refused| {
        assert_eq!(refused.kind, Kind::Denied, "{refused}");
        Vec::new()
    })
}

async fn look(who: &Person, customer_id: &str) -> Seen {
    let who = who.fresh().await.expect("a session");
    let request = customer::GetCustomerRequest {
        customer_id: customer_id.to_owned(),
        read_mask: mask(&["contact_points", "fields"]),
    };
    let row = answer(who.customers().get_customer(request).await).expect("the name is everybody's");
    assert_eq!((row.name.as_str(), row.source.as_str()), ("王芳", "spring fair"));
    let list = customer::ListCustomersRequest { read_mask: mask(&["contact_points", "fields"]), ..Default::default() };
    let listed = answer(who.customers().list_customers(list).await).expect("a list").customers;
    assert_eq!(listed, std::slice::from_ref(&row), "a list shows the same");
    let layers = row.levels.into_iter().filter(|it| it.layer != "basic" && it.level != "hidden");
    let fields = row.fields.into_iter().map(|it| match it.value {
        Some(customer::field_value::Value::Text(text)) => text,
        other => format!("{other:?}"),
    });
    let (customer_id, page_size) = (customer_id.to_owned(), 1_000);
    let request = customer::ListTimelineRequest { customer_id: customer_id.clone(), page_size, ..Default::default() };
    let talk = answer(who.timeline().list_timeline(request).await).expect("its history").entries;
    let talk = talk.into_iter().filter(|it| it.layer != "basic");
    let request = followup::ListTasksRequest { page_size, ..Default::default() };
    let tasks = answer(who.tasks().list_tasks(request).await).map(|page| page.tasks);
    let request = customer::ListOrdersRequest { customer_id, page_size, ..Default::default() };
    let orders = answer(who.orders().list_orders(request).await).map(|page| page.orders);
    Seen {
        layers: layers.map(|it| format!("{} {}", it.layer, it.level)).collect(),
        contacts: row.contact_points.into_iter().map(|it| it.value).collect(),
        fields: fields.chain(Some(row.grade_reason).filter(|it| !it.is_empty())).collect(),
        talk: talk.map(|it| if it.text.is_empty() { it.layer } else { it.text }).collect(),
        tasks: allowed(tasks).into_iter().map(|it| it.title).collect(),
        orders: allowed(orders).into_iter().map(|it| it.description).collect(),
    }
}

fn listed(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn sales_service_and_marketing_each_see_their_part_of_one_customer_and_nothing_else() {
    in_each_world(async |world: &World| {
        for declared in [("win_probability", "review"), ("complaint", "history"), ("campaign", "sensitive")] {
            field(world, declared).await;
        }
        let all_but_amounts =
            LayerLevels { basic: WRITE, sensitive: WRITE, history: WRITE, review: WRITE, ..Default::default() };
        let clerk = hire(world, "lei", vec![part(&["customer.create"], ExtentKind::Tenant, all_but_amounts)]).await;
        let everybody = ExtentKind::Tenant;
        let judged = LayerLevels { basic: READ, review: READ, ..Default::default() };
        let work = LayerLevels { basic: WRITE, history: WRITE, ..Default::default() };
        let sales =
            vec![part(&["customer.view"], everybody, judged), part(&["task.view", "task.create"], everybody, work)];
        let sales = hire(world, "na", sales).await;
        let talk = vec![
            part(&["customer.view"], everybody, LayerLevels { basic: READ, history: READ, ..Default::default() }),
            part(&["customer.note"], everybody, LayerLevels { history: WRITE, ..Default::default() }),
        ];
        let service = hire(world, "wen", talk).await;
        let profile = LayerLevels { basic: READ, sensitive: READ, ..Default::default() };
        let marketing = hire(world, "lin", vec![part(&["customer.view"], everybody, profile)]).await;
        let values = [("win_probability", "60 %"), ("complaint", "open"), ("campaign", "answered the letter")];
        let id = create(&clerk, from_the_fair(&values)).await;
        world.settle().await;
        note(&service, &id, "the hinge was replaced").await;
        order(&cashier(world).await, &id).await;
        let task = followup::CreateTaskRequest {
            kind: followup::TaskKind::NextContact.into(),
            title: "call about the kitchen".to_owned(),
            customer_id: id.clone(),
            due_time: Some(wire::time(world.now() + Duration::from_hours(2))),
            channel: followup::Channel::Phone.into(),
            ..Default::default()
        };
        answer(sales.tasks().create_task(task).await).expect("a follow-up");
        world.settle().await;
        let expected = Seen {
            layers: listed(&["review read"]),
            fields: listed(&["60 %"]),
            tasks: listed(&["call about the kitchen"]),
            ..Seen::default()
        };
        assert_eq!(look(&sales, &id).await, expected, "follow-ups, and how likely the sale is");
        let expected = Seen {
            layers: listed(&["history read"]),
            fields: listed(&["open"]),
            talk: listed(&["the hinge was replaced"]),
            ..Seen::default()
        };
        assert_eq!(look(&service, &id).await, expected, "what service did, and the complaint");
        let expected = Seen {
            layers: listed(&["sensitive read"]),
            contacts: listed(&[PHONE]),
            fields: listed(&["answered the letter"]),
            ..Seen::default()
        };
        assert_eq!(look(&marketing, &id).await, expected, "the profile, and the campaign");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rep_of_a_lead_from_marketing_sees_contact_and_talk_while_its_orders_are_absent() {
    in_each_world(async |world: &World| {
        let all = LayerLevels { basic: WRITE, sensitive: WRITE, history: WRITE, ..Default::default() };
        let finds =
            part(&["customer.create", "customer.assign", "customer.view", "customer.note"], ExtentKind::Tenant, all);
        let marketing = hire(world, "lin", vec![finds]).await;
        let cashier = cashier(world).await;
        let contact = LayerLevels { basic: READ, sensitive: READ, history: WRITE, ..Default::default() };
        let calls = part(&["customer.view", "customer.note"], ExtentKind::Own, contact);
        let rep = hire(world, "mei", vec![calls.clone()]).await;
        let other = hire(world, "jun", vec![calls]).await;
        let row = customer::Customer { owner_id: rep.id.to_string(), ..from_the_fair(&[]) };
        let id = create(&marketing, row).await;
        note(&marketing, &id, "asked for a catalogue").await;
        order(&cashier, &id).await;
        world.advance(Duration::from_mins(1)).await;
        let touch = customer::RecordTouchRequest {
            customer_id: id.clone(),
            channel: "phone".to_owned(),
            direction: customer::Direction::Outbound.into(),
            text: "will come on Saturday".to_owned(),
            ..Default::default()
        };
        answer(rep.timeline().record_touch(touch).await).expect("hers to call");
        let expected = Seen {
            layers: listed(&["sensitive read", "history write"]),
            contacts: listed(&[PHONE]),
            talk: listed(&["will come on Saturday", "asked for a catalogue"]),
            ..Seen::default()
        };
        assert_eq!(look(&rep, &id).await, expected);
        let request = customer::ListOrdersRequest { customer_id: id.clone(), ..Default::default() };
        assert_eq!(answer(rep.orders().list_orders(request).await).expect_err("absent").kind, Kind::Denied);
        let seen = look(&cashier, &id).await;
        assert_eq!((seen.orders, seen.talk), (listed(&["a kitchen"]), listed(&["financial"])), "it is there");
        let gone = world.ask(&other, &id).await.expect_err("whoever it was not given to");
        assert_eq!(gone.kind, Kind::NotFound);
    })
    .await;
}
