//! `revisit.customer.v1.Orders`.

use std::sync::Arc;

use revisit_bootstrap::{Principal, Reply, authenticated, idempotency::Repeatable, reply, wire};
use revisit_core::{Input, page::Page};
use revisit_permission::{Clarity, Layer, Levels};
use revisit_proto::customer::v1::{self as pb, orders_server::Orders};
use tonic::Request;

use crate::{
    App,
    domain::{
        Error,
        order::{Amount, Order},
    },
    operations::orders,
    store::timeline::{place_bytes, read_place},
};

/// The greatest amount, so that sums stay far from the end of the numbers.
const AMOUNT_MAX: i64 = 100_000_000_000_000;

pub struct Served(pub Arc<App>);

#[tonic::async_trait]
impl Orders for Served {
    async fn record_order(&self, request: Request<pb::RecordOrderRequest>) -> Reply<pb::Order> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let mut input = Input::default();
                let repeat = Repeatable::read(&mut input, &message.request_id, "RecordOrder", &message);
                let order = read(&self.0, &who, &mut input, message.order);
                input.finish()?;
                orders::record(&self.0, &who, order, repeat)
                    .await
                    .map(|(order, levels)| show(&order, &levels, Clarity::Usual))
            }
            .await,
        )
    }

    async fn cancel_order(&self, request: Request<pb::CancelOrderRequest>) -> Reply<pb::Order> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let mut input = Input::default();
                let repeat = Repeatable::read(&mut input, &message.request_id, "CancelOrder", &message);
                let order = input.id("order_id", &message.order_id);
                let customer = input.id("customer_id", &message.customer_id);
                input.finish()?;
                orders::cancel(&self.0, &who, (customer, order), repeat)
                    .await
                    .map(|(order, levels)| show(&order, &levels, Clarity::Usual))
            }
            .await,
        )
    }

    async fn list_orders(&self, request: Request<pb::ListOrdersRequest>) -> Reply<pb::ListOrdersResponse> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let mut input = Input::default();
                let customer = input.id("customer_id", &message.customer_id);
                let shape = [message.customer_id.as_str()];
                let page = Page::read(&mut input, message.page_size, &message.page_token, &shape);
                let after = page.after.as_deref().map(read_place);
                input.require(after != Some(None), "page_token", "was not made by this list");
                let paths = message.read_mask.map(|mask| mask.paths).unwrap_or_default();
                input.require(
                    paths.iter().all(|path| path == "description"),
                    "read_mask",
                    "may name description alone",
                );
                let clarity = if paths.is_empty() { Clarity::Usual } else { Clarity::Clear };
                input.finish()?;
                let size = page.size as usize;
                let (orders, levels, more) =
                    orders::list(&self.0, &who, customer, (after.flatten(), size), clarity).await?;
                let next = orders.last().filter(|_| more).map(|last| (last.placed_at.micros(), last.id.uuid()));
                Ok::<_, Error>(pb::ListOrdersResponse {
                    orders: orders.iter().map(|order| show(order, &levels, clarity)).collect(),
                    next_page_token: next.map(|next| page.token(&place_bytes(next))).unwrap_or_default(),
                })
            }
            .await,
        )
    }
}

fn read(app: &App, who: &Principal, outer: &mut Input, sent: Option<pb::Order>) -> Order {
    let sent = outer.required("order", sent).unwrap_or_default();
    let mut input = Input::default();
    let amount = input.required("amount", sent.amount).unwrap_or_default();
    let money = wire::Money::read(&mut input, "amount", amount.minor_units, &amount.currency);
    input.number("amount.minor_units", amount.minor_units, 0..=AMOUNT_MAX);
    let placed_at = wire::read_time_required(&mut input, "place_time", sent.place_time);
    input.require(placed_at <= app.clock.wall(), "place_time", "must not lie in the future");
    let external = input.text("external_id", &sent.external_id, 0..=100);
    let order = Order {
        id: app.ids.next(app.clock.wall()),
        customer: input.id("customer_id", &sent.customer_id),
        external_id: (!external.is_empty()).then_some(external),
        amount: Amount::veiled(amount.minor_units, money.map(|money| money.currency().to_owned()).unwrap_or_default()),
        placed_at,
        description: Order::described(input.lines("description", &sent.description, 0..=500)),
        cancelled_at: None,
        recorded_by: who.subject(),
    };
    outer.nest("order", input);
    order
}

/// An order: its facts for who reads the basic layer, amount and description for who reads the financial one.
fn show(order: &Order, levels: &Levels, clarity: Clarity) -> pb::Order {
    let money = |amount: &Amount| pb::Money { minor_units: amount.minor_units, currency: amount.currency.clone() };
    let facts = levels.reads(Layer::Basic).then_some(order);
    let description = levels.reads(Layer::Financial).then(|| levels.show_prose(&order.description, clarity));
    let description = description.unwrap_or_default();
    pb::Order {
        order_id: order.id.to_string(),
        customer_id: order.customer.to_string(),
        external_id: facts.and_then(|order| order.external_id.clone()).unwrap_or_default(),
        amount: levels.show(&order.amount, Clarity::Usual).clear().map(money),
        place_time: facts.map(|order| wire::time(order.placed_at)),
        sensitive_kinds: description.numbers(),
        description: description.text.unwrap_or_default(),
        cancel_time: wire::time_optional(facts.and_then(|order| order.cancelled_at)),
        recorded_by_id: facts.map(|order| order.recorded_by.to_string()).unwrap_or_default(),
    }
}
