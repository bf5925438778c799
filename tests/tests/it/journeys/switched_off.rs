//! Every call of the contract while a module is switched off: those of the module answer the one refusal, no other does.

use std::collections::BTreeSet;

use revisit_bootstrap::status;
use revisit_core::Kind;
use revisit_standalone::client::Person;
use revisit_tests::world::{TENANT, World, in_each_world};

use super::modules::switch;
use crate::bad_input::{
    PUBLIC,
    raw::{From, call},
    upload,
    wire::{Contract, Rpc},
};

const SALES: Option<&str> = Some("sales");
const MARKETING: Option<&str> = Some("marketing");
const SERVICE: Option<&str> = Some("service");

/// Which module a call belongs to, if any: by its group, or one by one where a group has calls of several.
const CALLS: [(&str, Option<&str>); 55] = [
    ("customer.v1.Catalogue/", None),
    ("customer.v1.Customers/BatchDeleteCustomers", None),
    ("customer.v1.Customers/BatchGetCustomers", None),
    ("customer.v1.Customers/CheckDuplicates", None),
    ("customer.v1.Customers/CountCustomers", MARKETING),
    ("customer.v1.Customers/CreateCustomer", None),
    ("customer.v1.Customers/DeleteCustomer", None),
    ("customer.v1.Customers/ExplainAccess", None),
    ("customer.v1.Customers/GetCustomer", None),
    ("customer.v1.Customers/ListCustomers", None),
    ("customer.v1.Customers/ListSubjectsWithAccess", None),
    ("customer.v1.Customers/MoveStage", SALES),
    ("customer.v1.Customers/RestoreCustomer", None),
    ("customer.v1.Customers/TagCustomer", MARKETING),
    ("customer.v1.Customers/UpdateCustomer", None),
    ("customer.v1.Customers/UpsertCustomer", None),
    ("customer.v1.Export/", None),
    ("customer.v1.Import/", None),
    ("customer.v1.Orders/", SALES),
    ("customer.v1.Ownership/AssignCustomer", SALES),
    ("customer.v1.Ownership/CreateBulkTransfer", SALES),
    ("customer.v1.Ownership/GetBulkTransfer", SALES),
    ("customer.v1.Ownership/GetOrphanReport", MARKETING),
    ("customer.v1.Ownership/ListBulkTransferRows", SALES),
    ("customer.v1.Ownership/TransferCustomer", SALES),
    ("customer.v1.Ownership/UndoBulkTransfer", SALES),
    ("customer.v1.Projections/", None),
    ("customer.v1.Segments/", MARKETING),
    ("customer.v1.Timeline/", None),
    ("event.v1.Checkpoints/", None),
    ("event.v1.Events/", None),
    ("followup.v1.Calendars/CreateCalendar", SERVICE),
    ("followup.v1.Calendars/GetCalendar", None),
    ("followup.v1.Calendars/ListCalendarDays", None),
    ("followup.v1.Calendars/ListCalendars", None),
    ("followup.v1.Calendars/ResolveTime", None),
    ("followup.v1.Calendars/UpdateCalendar", SERVICE),
    ("followup.v1.Metrics/", SERVICE),
    ("followup.v1.Plans/", SERVICE),
    ("followup.v1.Projections/", None),
    ("followup.v1.Tasks/", SERVICE),
    ("followup.v1.Today/", None),
    ("identity.v1.", None),
    ("notification.v1.Deliveries/", None),
    ("notification.v1.Endpoints/", None),
    ("notification.v1.Inbox/", None),
    ("notification.v1.Preferences/GetPolicy", None),
    ("notification.v1.Preferences/GetPreferences", None),
    ("notification.v1.Preferences/UpdatePolicy", MARKETING),
    ("notification.v1.Preferences/UpdatePreferences", None),
    ("notification.v1.Templates/GetTemplate", None),
    ("notification.v1.Templates/ListKinds", None),
    ("notification.v1.Templates/ListTemplates", None),
    ("notification.v1.Templates/PreviewTemplate", None),
    ("notification.v1.Templates/UpdateTemplate", MARKETING),
];

fn name(rpc: &Rpc) -> &str {
    rpc.path.trim_start_matches("/revisit.")
}

/// The calls of a module, or of none.
fn calls_of<'a>(rpcs: &'a [Rpc], module: Option<&str>) -> BTreeSet<&'a str> {
    let of = |rpc: &Rpc| {
        let said: Vec<_> = CALLS.iter().filter(|(call, _)| name(rpc).starts_with(call)).map(|(_, of)| *of).collect();
        assert_eq!(said.len(), 1, "which module {} is of is to be said once: {said:?}", name(rpc));
        said[0]
    };
    rpcs.iter().filter(|rpc| of(rpc) == module).map(name).collect()
}

/// Makes every call as somebody and answers those that are refused because a module is switched off.
async fn refused<'a>(world: &World, who: &Person, contract: &'a Contract) -> BTreeSet<&'a str> {
    let (channel, mut who) = (world.running.channel(), who.clone());
    let mut refused = BTreeSet::new();
    for rpc in contract.rpcs.iter().filter(|rpc| !PUBLIC.contains(&rpc.path.as_str())) {
        if rpc.path.starts_with("/revisit.identity.v1.Auth/") {
            // Some of what is one's own ends the session.
            who = world.log_in(TENANT, &who.username).await.expect("a session");
        }
        let messages = upload(rpc, contract.make(&rpc.request, None).bytes);
        let from = From::Person(who.fresh().await.expect("a session").token());
        let Err(answered) = call(&channel, &rpc.path, &from, messages).await else { continue };
        let failure = status::failure(&answered);
        if failure.details.get("axis").is_some_and(|axis| axis == "module") {
            let told = (failure.kind, failure.reason, failure.message.as_str());
            assert_eq!(told, (Kind::Denied, "PERMISSION_DENIED", "permission denied"), "{}", name(rpc));
            refused.insert(name(rpc));
        }
    }
    refused
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_of_a_module_that_is_off_answers_the_one_refusal_and_no_other_call_does() {
    in_each_world(async |world: &World| {
        let contract = Contract::read();
        let who = world.hire("han", "regional_manager", &world.root).await;
        assert_eq!(refused(world, &who, &contract).await, BTreeSet::new());
        for module in [SALES, MARKETING, SERVICE] {
            let calls = calls_of(&contract.rpcs, module);
            assert!(!calls.is_empty());
            switch(world, module.expect("a name"), "", true).await;
            assert_eq!(refused(world, &who, &contract).await, calls, "{module:?} is off");
            switch(world, module.expect("a name"), "", false).await;
        }
        assert_eq!(refused(world, &who, &contract).await, BTreeSet::new());
    })
    .await;
}
