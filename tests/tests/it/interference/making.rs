//! What is said of each customer of one of the two companies, and by which steps.

use std::time::Duration;

use revisit_bootstrap::{status::answer, wire};
use revisit_proto::{customer::v1 as customer, followup::v1 as followup};
use revisit_tests::world::mask;

use super::company::{Company, Side, VIEWERS, Viewer, is_masked};

/// Between steps, so that ids say in which order things were made.
const STEP: Duration = Duration::from_secs(1);

impl Company {
    pub async fn step(&self) {
        self.world.advance(STEP).await;
    }

    /// A customer with everything that there is to say of one.
    pub async fn customer(&mut self, viewer: &mut Viewer, department: &str, number: usize) {
        let name = viewer.name;
        let masked = is_masked(name);
        self.step().await;
        let row = self.created(name, department, number).await;
        let id = row.customer_id.clone();
        self.call(&id, &format!("{name}-{number}"));
        for point in &row.contact_points {
            self.call(&point.contact_point_id, "a contact point");
        }
        viewer.customers.push(id.clone());
        self.step().await;
        // As many writes in both: a version counts them, and everybody sees it.
        self.write(&id, Some("100"), number).await;
        let amounts = [self.side.or("7", "900"), "", self.side.or("9", "800")];
        let amount = if number == 2 || masked { self.side.or(None, Some("901")) } else { Some(amounts[number - 1]) };
        self.write(&id, amount, number).await;
        let order = self.order(viewer.name, &id, number).await;
        self.call(&order, &format!("order of {name}-{number}"));
        viewer.orders.push(order);
        if name != "told" {
            self.talk(&id, number).await;
        }
        let task = self.follow_up(viewer, &id, number).await;
        self.call(&task, &format!("task of {name}-{number}"));
        viewer.tasks.push(task);
    }

    async fn created(&self, name: &str, department: &str, number: usize) -> customer::Customer {
        let side = self.side;
        let base = place(name, number);
        let point = |kind: customer::ContactType, value: String| customer::ContactPoint {
            r#type: kind.into(),
            value,
            ..Default::default()
        };
        // Masked alike: the first three and the last four digits, the first character.
        let phone = format!("138{}{:04}", side.or("1111", "2222"), base);
        let mut points = vec![point(customer::ContactType::Phone, phone)];
        let text = |key: &str, value: String| customer::FieldValue {
            key: key.to_owned(),
            value: Some(customer::field_value::Value::Text(value)),
        };
        let mut fields = vec![
            text("hall", format!("hall {number}")),
            text("id_card", format!("3{}", side.or("10104199001011", "20105198512314"))),
        ];
        if name != "told" {
            fields.push(text("talk", side.or("他很满意", "他要退货").to_owned()));
        }
        if number == 2 && !is_masked(name) && side == Side::Other {
            points.push(point(customer::ContactType::Email, format!("a{base}@example.com")));
            points.push(point(customer::ContactType::Wechat, format!("wxid_{base}")));
        }
        if number == 3 && side == Side::Other && !is_masked(name) {
            points.clear();
            fields.retain(|field| field.key != "id_card");
        }
        let row = customer::Customer {
            kind: customer::CustomerKind::Person.into(),
            name: format!("{name} {number}"),
            department_id: department.to_owned(),
            contact_points: points,
            fields,
            external_id: format!("{name}-{number}"),
            ..Default::default()
        };
        let request = customer::CreateCustomerRequest { customer: Some(row), ..Default::default() };
        let keeper = self.keeper.fresh().await.expect("a session");
        answer(keeper.customers().create_customer(request).await).expect("a customer")
    }

    /// Writes amounts of a customer, or takes one away.
    async fn write(&self, id: &str, amount: Option<&str>, extra: usize) {
        let budget = amount.map(|amount| customer::FieldValue {
            key: "budget".to_owned(),
            value: Some(customer::field_value::Value::Number(amount.to_owned())),
        });
        let limit = customer::FieldValue {
            key: "limit".to_owned(),
            value: Some(customer::field_value::Value::Money(customer::Money {
                minor_units: self.side.or(5, 6) * i64::try_from(extra).expect("few"),
                currency: "CNY".to_owned(),
            })),
        };
        let row = customer::Customer {
            customer_id: id.to_owned(),
            fields: budget.into_iter().chain([limit]).collect(),
            ..Default::default()
        };
        let cashier = self.cashier.fresh().await.expect("a session");
        let request = customer::GetCustomerRequest { customer_id: id.to_owned(), read_mask: None };
        let request = customer::UpdateCustomerRequest {
            customer: Some(row),
            update_mask: mask(&["fields.budget", "fields.limit"]),
            etag: answer(cashier.customers().get_customer(request).await).expect("a customer").etag,
            ..Default::default()
        };
        answer(cashier.customers().update_customer(request).await).expect("written");
        self.world.settle().await;
    }

    async fn order(&self, name: &str, id: &str, number: usize) -> String {
        let amount = customer::Money { minor_units: self.side.or(10_000, 25_000), currency: "CNY".to_owned() };
        let order = customer::Order {
            customer_id: id.to_owned(),
            external_id: format!("order {name}-{number}"),
            amount: Some(amount),
            place_time: Some(wire::time(self.world.now())),
            description: self.side.or("a sofa, call 13811110001", "two armchairs").to_owned(),
            ..Default::default()
        };
        let request = customer::RecordOrderRequest { order: Some(order), ..Default::default() };
        let cashier = self.cashier.fresh().await.expect("a session");
        answer(cashier.orders().record_order(request).await).expect("an order").order_id
    }

    /// What was said, and whether anything was.
    async fn talk(&self, id: &str, number: usize) {
        let keeper = self.keeper.fresh().await.expect("a session");
        let notes = if number == 2 { self.side.or(0, 2) } else { 1 };
        for _ in 0..notes {
            let text = self.side.or("喜欢蓝色", "不再来了").to_owned();
            let note = customer::AddNoteRequest { customer_id: id.to_owned(), text, ..Default::default() };
            answer(keeper.timeline().add_note(note).await).expect("a note");
        }
        let touch = customer::RecordTouchRequest {
            customer_id: id.to_owned(),
            channel: self.side.or("phone", "visit").to_owned(),
            direction: customer::Direction::Outbound.into(),
            text: self.side.or("called", "visited").to_owned(),
            ..Default::default()
        };
        answer(keeper.timeline().record_touch(touch).await).expect("a touch");
    }

    /// A task that stays open, and two that are done: what came of the first is history, of the second sensitive.
    async fn follow_up(&mut self, viewer: &mut Viewer, id: &str, number: usize) -> String {
        let (side, told) = (self.side, viewer.name == "told");
        let assignee = if viewer.name == "lent" { viewer.person.id.to_string() } else { self.keeper.id.to_string() };
        let open = self.task(id, &assignee, number).await;
        self.world.settle().await;
        let said = |one: &'static str, other: &'static str| if told { one } else { side.or(one, other) };
        let note = |layer: &str, text: &str| followup::Note {
            layer: layer.to_owned(),
            text: text.to_owned(),
            ..Default::default()
        };
        let mut heard = vec![note("sensitive", side.or("身份证已收到", "身上没带证件"))];
        if said("", "more").is_empty() {
            let number = side.or("1111", "2222");
            heard.push(note("history", &format!("他很满意，打138{number}0001")));
        }
        let keeper = self.keeper.id.to_string();
        for (kind, sensitive) in [("history", false), ("sensitive", true)] {
            let task = self.task(id, &keeper, number).await;
            self.call(&task, &format!("{kind} task of {}-{number}", viewer.name));
            viewer.tasks.push(task.clone());
            let result = if sensitive { side.or("reached", "refused") } else { said("reached", "no_answer") };
            let satisfaction = if sensitive {
                side.or(5, 1)
            } else if told {
                4
            } else {
                side.or(5, 2)
            };
            let request = followup::CompleteTaskRequest {
                task_id: task,
                result: result.to_owned(),
                channel: followup::Channel::Phone.into(),
                satisfaction: Some(satisfaction),
                notes: heard.clone(),
                sensitive,
                ..Default::default()
            };
            let keeper = self.keeper.fresh().await.expect("a session");
            answer(keeper.tasks().complete_task(request).await).expect("done");
            self.step().await;
        }
        open
    }

    async fn task(&self, customer: &str, assignee: &str, number: usize) -> String {
        let request = followup::CreateTaskRequest {
            kind: followup::TaskKind::NextContact.into(),
            // Masked alike, like the contact values.
            title: format!("call 138{}{number:04} again", self.side.or("1111", "2222")),
            customer_id: customer.to_owned(),
            assignee_id: assignee.to_owned(),
            due_time: Some(wire::time(self.world.now() + Duration::from_secs(12 * 3_600))),
            channel: followup::Channel::Phone.into(),
            ..Default::default()
        };
        self.step().await;
        let keeper = self.keeper.fresh().await.expect("a session");
        answer(keeper.tasks().create_task(request).await).expect("a task").task_id
    }
}

/// A number that no other customer or user has, by whose it is.
pub fn place(viewer: &str, number: usize) -> usize {
    10 * VIEWERS.iter().position(|(name, _)| *name == viewer).unwrap_or_default() + number
}
