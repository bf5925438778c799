//! Modules that a company or one of its departments switches off.

use std::collections::BTreeMap;

use revisit_bootstrap::status::answer;
use revisit_core::{Failure, Ids, Kind, id::kind};
use revisit_proto::{
    customer::v1 as customer, followup::v1 as followup, identity::v1 as identity, notification::v1 as notification,
};
use revisit_standalone::client::Person;
use revisit_tests::world::{World, in_each_world};

/// Switches a module and waits until everybody knows.
pub async fn switch(world: &World, name: &str, department_id: &str, off: bool) -> identity::Module {
    let admin = world.admin.fresh().await.expect("a session");
    let request = identity::SwitchModuleRequest {
        name: name.to_owned(),
        department_id: department_id.to_owned(),
        off,
        reason: "not bought".to_owned(),
    };
    let module = answer(admin.access().switch_module(request).await).expect("it is switched");
    world.running.advance_to(world.now()).await.expect("it comes to rest");
    module
}

/// One call of each module, and what it answered.
async fn try_each(who: &Person, customer_id: &str) -> BTreeMap<&'static str, Result<(), Failure>> {
    let who = who.fresh().await.expect("a session");
    let claim = customer::TransferCustomerRequest {
        customer_id: customer_id.to_owned(),
        owner_id: who.id.to_string(),
        ..Default::default()
    };
    let segment = customer::Segment {
        name: Ids::random().next::<kind::Segment>(who.now()).to_string(),
        filter: "stage == \"lead\"".to_owned(),
        ..Default::default()
    };
    let segment = customer::CreateSegmentRequest { segment: Some(segment), ..Default::default() };
    let tasks = followup::ListTasksRequest::default();
    BTreeMap::from([
        ("sales", answer(who.ownership().transfer_customer(claim).await).map(drop)),
        ("marketing", answer(who.segments().create_segment(segment).await).map(drop)),
        ("service", answer(who.tasks().list_tasks(tasks).await).map(drop)),
    ])
}

fn denied_modules(results: &BTreeMap<&'static str, Result<(), Failure>>) -> Vec<&'static str> {
    let mut denied = Vec::new();
    for (module, result) in results {
        let Err(failure) = result else { continue };
        assert_eq!((failure.kind, failure.reason), (Kind::Denied, "PERMISSION_DENIED"), "{module}: {failure}");
        assert_eq!(failure.details.get("axis").map(String::as_str), Some("module"), "{module}");
        denied.push(*module);
    }
    denied
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_switched_off_is_denied_to_everybody_whatever_their_roles_and_comes_back_as_it_was() {
    in_each_world(async |world: &World| {
        let manager = world.hire("han", "regional_manager", &world.root).await;
        let mei = world.hire("mei", "sales_rep", &world.root).await;
        let row = world.customer(&mei, "王芳", "13800001001").await;
        assert_eq!(denied_modules(&try_each(&manager, &row.customer_id).await), Vec::<&str>::new());
        for module in ["sales", "marketing", "service"] {
            let switched = switch(world, module, "", true).await;
            assert!(switched.off && switched.off_in_effect);
            assert_eq!(denied_modules(&try_each(&manager, &row.customer_id).await), [module]);
            every_action_of_is_denied(&manager, &switched, true).await;
            let back = switch(world, module, "", false).await;
            assert!(!back.off && !back.off_in_effect);
            every_action_of_is_denied(&manager, &back, false).await;
        }
        assert_eq!(denied_modules(&try_each(&manager, &row.customer_id).await), Vec::<&str>::new());
    })
    .await;
}

/// Asks about each action of a module on a row of one's own; off means that each is refused on that axis.
async fn every_action_of_is_denied(who: &Person, module: &identity::Module, off: bool) {
    assert!(!module.actions.is_empty());
    let who = who.fresh().await.expect("a session");
    for action in &module.actions {
        let row = identity::RowAttributes {
            row_id: who.id.to_string(),
            owner_id: who.id.to_string(),
            stage: "lead".to_owned(),
            ..Default::default()
        };
        let check = identity::CheckRequest { action: action.clone(), row: Some(row), ..Default::default() };
        let explained = identity::ExplainAccessRequest { check: Some(check) };
        let explained = answer(who.access().explain_access(explained).await).expect("about oneself");
        assert_eq!(explained.refused_axis() == identity::Axis::Module, off, "{action}: {}", explained.explanation);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_that_a_department_has_off_is_off_for_all_below_it_and_for_nobody_else() {
    in_each_world(async |world: &World| {
        let east = world.department("华东", &world.root).await;
        let store = world.department("徐汇店", &east).await;
        let north = world.department("华北", &world.root).await;
        let (hui, bei) =
            (world.hire("hui", "sales_manager", &store).await, world.hire("bei", "sales_manager", &north).await);
        let may = async |who: &Person| {
            let request = followup::ListTasksRequest::default();
            answer(who.fresh().await.expect("a session").tasks().list_tasks(request).await).map(drop)
        };
        switch(world, "service", &east, true).await;
        let refused = may(&hui).await.expect_err("off in the east");
        assert_eq!(refused.details.get("axis").map(String::as_str), Some("module"));
        may(&bei).await.expect("on in the north");
        let admin = world.admin.fresh().await.expect("a session");
        let request = identity::ListModulesRequest { department_id: store.clone() };
        let modules = answer(admin.access().list_modules(request).await).expect("they are listed").modules;
        let told: Vec<_> = modules.iter().map(|it| (it.name.as_str(), it.off, it.off_in_effect)).collect();
        assert_eq!(told, [("sales", false, false), ("marketing", false, false), ("service", false, true)]);
        // A change of the department's name leaves its switches alone.
        let department =
            identity::Department { department_id: east.clone(), name: "东".to_owned(), ..Default::default() };
        let request = identity::UpdateDepartmentRequest {
            department: Some(department),
            update_mask: revisit_tests::world::mask(&["name"]),
            ..Default::default()
        };
        answer(admin.directory().update_department(request).await).expect("it is renamed");
        assert!(may(&hui).await.is_err());
        switch(world, "service", &east, false).await;
        may(&hui).await.expect("on again");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_manages_the_company_switches_modules_and_the_audit_log_says_so() {
    in_each_world(async |world: &World| {
        let manager = world.hire("han", "regional_manager", &world.root).await;
        let shen = world.hire("shen", "auditor", &world.root).await;
        let request = identity::SwitchModuleRequest { name: "sales".to_owned(), off: true, ..Default::default() };
        let refused = answer(manager.access().switch_module(request.clone()).await).expect_err("not hers to switch");
        assert_eq!(refused.kind, Kind::Denied);
        let unknown = identity::SwitchModuleRequest { name: "teleport".to_owned(), ..request };
        let refused = answer(world.admin.access().switch_module(unknown).await).expect_err("there is no such module");
        assert_eq!(refused.violations.first().map(|it| it.field.as_str()), Some("name"));
        switch(world, "sales", "", true).await;
        world.settle().await;
        let request = identity::ListEntriesRequest { action: "tenant.manage".to_owned(), ..Default::default() };
        let entries = answer(shen.fresh().await.expect("a session").audit().list_entries(request).await);
        let entries = entries.expect("an auditor reads the log").entries;
        let done: Vec<_> = entries
            .into_iter()
            .filter_map(|chained| chained.entry)
            .filter(|entry| entry.outcome == identity::AuditOutcome::Done as i32)
            .collect();
        let entry = done.first().expect("the switch");
        assert_eq!((entry.resource.as_str(), entry.why.as_str()), ("tenant", "not bought"));
        assert!(!entry.before_json.contains("sales") && entry.after_json.contains("sales"), "{entry:?}");
        let deliveries = notification::ListDeliveriesRequest::default();
        answer(world.admin.deliveries().list_deliveries(deliveries).await).expect("no module has these");
    })
    .await;
}
