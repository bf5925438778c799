//! What may be done to a customer: each verb is a right of its own, and gives the calls that it names and no others.

use std::{collections::BTreeSet, time::Duration};

use revisit_bootstrap::{status::answer, wire};
use revisit_core::{Failure, Kind};
use revisit_proto::{customer::v1 as pb, identity::v1 as identity};
use revisit_standalone::client::Person;
use revisit_tests::world::{World, in_each_world, mask};

/// The verbs, each with the call that needs it.
const VERBS: [&str; 9] = [
    "customer.create",
    "customer.update",
    "customer.note",
    "customer.tag",
    "customer.stage",
    "customer.order_record",
    "customer.export",
    "customer.transfer",
    // Last: what is deleted can be nothing else any more.
    "customer.delete",
];

/// Gives one action on every customer of the company, every layer to write; answers the grant's id. Amounts are for the
/// one verb that records them: to write those excludes selling.
async fn grant(world: &World, holder: &Person, action: &str) -> String {
    let write = identity::Level::Write.into();
    let financial = if action == "customer.order_record" { write } else { identity::Level::Read.into() };
    let levels = identity::LayerLevels { basic: write, sensitive: write, history: write, financial, review: write };
    grant_at(world, holder, action, levels).await
}

async fn grant_at(world: &World, holder: &Person, action: &str, levels: identity::LayerLevels) -> String {
    let right = identity::GrantTemplate {
        actions: vec![action.to_owned()],
        extent: Some(identity::Extent { kind: identity::ExtentKind::Tenant.into(), ..Default::default() }),
        levels: Some(levels),
        ..Default::default()
    };
    let request = identity::CreateGrantRequest {
        holder_id: holder.id.to_string(),
        right: Some(right),
        reason: "one verb".to_owned(),
        ..Default::default()
    };
    let admin = world.admin.fresh().await.expect("a session");
    let granted = answer(admin.access().create_grant(request).await).expect("a grant").grant_id;
    world.settle().await;
    world.advance(Duration::from_secs(1)).await;
    granted
}

async fn revoke(world: &World, grant_id: String) {
    let admin = world.admin.fresh().await.expect("a session");
    let request = identity::RevokeGrantRequest { grant_id, ..Default::default() };
    answer(admin.access().revoke_grant(request).await).expect("it is taken back");
    world.advance(Duration::from_secs(1)).await;
}

/// Tries every verb on a customer; answers those that were allowed.
async fn allowed(world: &World, who: &Person, customer_id: &str, to: &Person) -> BTreeSet<&'static str> {
    let mut allowed = BTreeSet::new();
    for verb in VERBS {
        match attempt(world, who, verb, (customer_id, to)).await {
            Ok(()) => {
                allowed.insert(verb);
            }
            Err(failure) => assert_eq!((failure.kind, failure.reason), (Kind::Denied, "PERMISSION_DENIED"), "{verb}"),
        }
    }
    allowed
}

async fn attempt(world: &World, who: &Person, verb: &str, (id, to): (&str, &Person)) -> Result<(), Failure> {
    let who = who.fresh().await?;
    let customer_id = id.to_owned();
    let seen = pb::GetCustomerRequest { customer_id: customer_id.clone(), read_mask: None };
    let etag = answer(who.customers().get_customer(seen).await).expect("it is in view").etag;
    match verb {
        "customer.create" => {
            let kind = pb::CustomerKind::Person.into();
            let row = pb::Customer { kind, name: format!("made at {}", world.now().micros()), ..Default::default() };
            let request = pb::CreateCustomerRequest { customer: Some(row), ..Default::default() };
            answer(who.customers().create_customer(request).await).map(drop)
        }
        "customer.update" => {
            let row = pb::Customer { customer_id, city: "上海".to_owned(), ..Default::default() };
            let update_mask = mask(&["city"]);
            let request = pb::UpdateCustomerRequest { customer: Some(row), update_mask, etag, ..Default::default() };
            answer(who.customers().update_customer(request).await).map(drop)
        }
        "customer.note" => {
            let request = pb::AddNoteRequest { customer_id, text: "a note".to_owned(), ..Default::default() };
            answer(who.timeline().add_note(request).await).map(drop)
        }
        "customer.tag" => {
            let request = pb::TagCustomerRequest {
                customer_id,
                add: vec!["loyal".to_owned()],
                remove: Vec::new(),
                ..Default::default()
            };
            answer(who.customers().tag_customer(request).await).map(drop)
        }
        "customer.stage" => {
            let stage = "contacted".to_owned();
            let request = pb::MoveStageRequest { customer_id, stage, etag, ..Default::default() };
            answer(who.customers().move_stage(request).await).map(drop)
        }
        "customer.order_record" => {
            let amount = Some(pb::Money { minor_units: 9_900, currency: "CNY".to_owned() });
            let place_time = Some(wire::time(world.now()));
            let order = pb::Order { customer_id, amount, place_time, ..Default::default() };
            let request = pb::RecordOrderRequest { order: Some(order), ..Default::default() };
            answer(who.orders().record_order(request).await).map(drop)
        }
        "customer.export" => {
            let request = pb::ExportCustomersRequest { reason: "to count".to_owned(), ..Default::default() };
            answer(who.exports().export_customers(request).await).map(drop)
        }
        "customer.transfer" => {
            let (owner_id, reason) = (to.id.to_string(), "a test".to_owned());
            let request = pb::TransferCustomerRequest { customer_id, owner_id, etag, reason, ..Default::default() };
            answer(who.ownership().transfer_customer(request).await).map(drop)
        }
        _ => {
            let request = pb::DeleteCustomerRequest { customer_id, etag, ..Default::default() };
            answer(who.customers().delete_customer(request).await).map(drop)
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_verb_is_a_right_of_its_own_and_gives_the_calls_that_it_names() {
    in_each_world(async |world: &World| {
        let han = world.hire("han", "regional_manager", &world.root).await;
        let jun = world.hire("jun", "sales_rep", &world.root).await;
        let mei = world.roleless("mei").await;
        grant(world, &mei, "customer.view").await;
        let row = world.customer(&han, "王芳", "13800001001").await;
        assert_eq!(allowed(world, &mei, &row.customer_id, &jun).await, BTreeSet::new());
        for verb in VERBS {
            let granted = grant(world, &mei, verb).await;
            assert_eq!(allowed(world, &mei, &row.customer_id, &jun).await, BTreeSet::from([verb]));
            revoke(world, granted).await;
        }
        let gone = pb::GetCustomerRequest { customer_id: row.customer_id, read_mask: None };
        let gone = answer(mei.fresh().await.expect("a session").customers().get_customer(gone).await);
        assert_eq!(gone.expect_err("the last verb deleted it").kind, Kind::NotFound);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_read_a_layer_everywhere_sorts_by_nothing_of_it() {
    in_each_world(async |world: &World| {
        let mei = world.roleless("mei").await;
        let read = identity::Level::Read.into();
        let levels = identity::LayerLevels { sensitive: read, ..Default::default() };
        let unnamed = grant_at(world, &mei, "customer.view", levels).await;
        let list = async |order_by: &str| {
            let request = pb::ListCustomersRequest { order_by: order_by.to_owned(), ..Default::default() };
            answer(mei.fresh().await.expect("a session").customers().list_customers(request).await)
        };
        for hidden in ["name", "update_time desc"] {
            let refused = list(hidden).await.expect_err("it is hidden");
            assert_eq!((refused.kind, refused.reason), (Kind::Denied, "FIELD_NOT_SORTABLE"), "{hidden}");
        }
        for told_by_the_id in ["", "create_time"] {
            list(told_by_the_id).await.expect("whoever sees a row sees its id");
        }
        revoke(world, unnamed).await;
        let named = identity::LayerLevels { basic: read, ..Default::default() };
        grant_at(world, &mei, "customer.view", named).await;
        list("name").await.expect("names are read");
    })
    .await;
}
