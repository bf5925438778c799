//! Who tried what in vain: the audit log knows, whichever service refused it.

use std::{collections::BTreeMap, time::Duration};

use revisit_bootstrap::status::answer;
use revisit_core::{Failure, Kind};
use revisit_proto::{
    customer::v1 as customer, followup::v1 as followup, identity::v1 as identity, notification::v1 as notification,
};
use revisit_standalone::client::Person;
use revisit_tests::world::{World, in_each_world};

/// One thing in each service that a representative may not do.
pub(super) async fn try_everything(who: &Person) -> Vec<Failure> {
    let who = who.fresh().await.expect("a session");
    let role = identity::CreateRoleRequest {
        key: "mine".to_owned(),
        display_name: "Mine".to_owned(),
        templates: vec![whole_company()],
        ..Default::default()
    };
    let plan = followup::CreatePlanRequest {
        name: "mine".to_owned(),
        template_key: "grade_c_conversion".to_owned(),
        definition: Some(followup::PlanDefinition { segment_id: who.id.to_string(), ..Default::default() }),
        ..Default::default()
    };
    let export = customer::ExportCustomersRequest { reason: "to take along".to_owned(), ..Default::default() };
    let deliveries = notification::ListDeliveriesRequest::default();
    let refused = [
        answer(who.access().create_role(role).await).map(drop),
        answer(who.exports().export_customers(export).await).map(drop),
        answer(who.plans().create_plan(plan).await).map(drop),
        answer(who.deliveries().list_deliveries(deliveries).await).map(drop),
    ];
    refused.into_iter().map(|result| result.expect_err("it is refused")).collect()
}

fn whole_company() -> identity::GrantTemplate {
    identity::GrantTemplate {
        actions: vec!["customer.view".to_owned()],
        extent: Some(identity::Extent { kind: identity::ExtentKind::Tenant as i32, ..Default::default() }),
        levels: Some(identity::LayerLevels { basic: identity::Level::Read as i32, ..Default::default() }),
        ..Default::default()
    }
}

/// Denials of somebody as the auditor reads them: source and action, with how many are in full and how many the other
/// entries count.
async fn denials(auditor: &Person, subject: &Person) -> BTreeMap<(String, String), (i64, i64)> {
    let request =
        identity::ListEntriesRequest { subject_id: subject.id.to_string(), page_size: 1_000, ..Default::default() };
    let auditor = auditor.fresh().await.expect("a session");
    let entries = answer(auditor.audit().list_entries(request).await).expect("an auditor reads the log").entries;
    let mut found: BTreeMap<_, (i64, i64)> = BTreeMap::new();
    for chained in entries {
        let entry = chained.entry.expect("an entry");
        if entry.outcome == identity::AuditOutcome::Denied as i32 {
            assert!(!entry.reason_code.is_empty(), "{entry:?}");
            let told = found.entry((chained.source, entry.action)).or_default();
            *told = (told.0 + i64::from(entry.count == 0), told.1 + entry.count);
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn each_service_writes_down_what_it_refused_once_in_full_and_the_rest_as_a_number_while_the_minute_runs() {
    in_each_world(async |world: &World| {
        let mei = world.hire("mei", "sales_rep", &world.root).await;
        let shen = world.hire("shen", "auditor", &world.root).await;
        for _ in 0..3 {
            for refused in try_everything(&mei).await {
                assert_eq!(refused.kind, Kind::Denied, "{refused}");
            }
        }
        world.settle().await;
        let expected: BTreeMap<_, _> = [
            ("identity", "role.manage"),
            ("customer", "customer.export"),
            ("followup", "plan.manage"),
            ("notification", "delivery.view"),
        ]
        .map(|(source, action)| ((source.to_owned(), action.to_owned()), (1, 2)))
        .into();
        assert_eq!(denials(&shen, &mei).await, expected);
        world.advance(Duration::from_mins(1)).await;
        assert_eq!(denials(&shen, &mei).await, expected, "the end of the minute adds nothing");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_a_second_person_and_what_a_batch_refuses_are_attempts_too() {
    in_each_world(async |world: &World| {
        let shen = world.hire("shen", "auditor", &world.root).await;
        let mei = world.hire("mei", "sales_rep", &world.root).await;
        let admin = world.admin.fresh().await.expect("a session");
        let request = identity::CreateGrantRequest {
            holder_id: admin.id.to_string(),
            right: Some(whole_company()),
            reason: "to see more".to_owned(),
            ..Default::default()
        };
        let alone = answer(admin.access().create_grant(request).await).expect_err("not for oneself");
        assert_eq!(alone.reason, "APPROVAL_REQUIRED");
        let about = |subject: &Person| identity::CheckRequest {
            subject_id: subject.id.to_string(),
            action: "customer.view".to_owned(),
            row: Some(identity::RowAttributes { row_id: mei.id.to_string(), ..Default::default() }),
            ..Default::default()
        };
        let checks = vec![about(&shen), about(&mei), about(&shen)];
        let request = identity::BatchCheckRequest { checks };
        answer(mei.access().batch_check(request).await).expect("each is answered by itself");
        world.settle().await;
        let made = BTreeMap::from([(("identity".to_owned(), "Access/CreateGrant".to_owned()), (1, 0))]);
        assert_eq!(denials(&shen, admin).await, made);
        // The first in full, the second as a number.
        let asked = BTreeMap::from([(("identity".to_owned(), "grant.explain".to_owned()), (1, 1))]);
        assert_eq!(denials(&shen, &mei).await, asked);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_about_access_is_no_attempt() {
    in_each_world(async |world: &World| {
        let mei = world.hire("mei", "sales_rep", &world.root).await;
        let shen = world.hire("shen", "auditor", &world.root).await;
        let check = identity::CheckRequest {
            action: "customer.export".to_owned(),
            row: Some(identity::RowAttributes { row_id: mei.id.to_string(), ..Default::default() }),
            ..Default::default()
        };
        let answered = answer(mei.access().check(check).await).expect("everybody may ask about themselves");
        assert!(!answered.allowed);
        world.settle().await;
        assert_eq!(denials(&shen, &mei).await, BTreeMap::new());
    })
    .await;
}
