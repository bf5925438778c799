//! Who does what is alarming: auditors and the administrator are told, and sessions end where that is configured.

use std::{collections::BTreeSet, time::Duration};

use revisit_bootstrap::status::answer;
use revisit_core::Kind;
use revisit_proto::{customer::v1 as customer, identity::v1 as identity, notification::v1 as notification};
use revisit_standalone::client::Person;
use revisit_tests::{
    databases::Backend,
    world::{Fate, TENANT, World, in_each_world},
};

use identity::{AlertReaction as Reaction, AlertRule as Rule};

use super::audit::try_everything;

/// Limits that a few calls reach. The world stands at eight in the morning.
const LIMITS: &str = "[identity.alerts]\nworking_hours = [9, 10]\n\
    burst_reads = { count = 3, window_seconds = 600, freeze = false }\n\
    bulk_export = { count = 1, window_seconds = 600, freeze = false }\n\
    off_hours = { count = 2, window_seconds = 600, freeze = false }\n\
    mass_grant = { count = 2, window_seconds = 600, freeze = true }\n\
    denied_burst = { count = 3, window_seconds = 600, freeze = true }\n\
    failed_log_ins = { count = 3, window_seconds = 600, freeze = false }\n";
/// How long a session may take to end.
const PATIENCE: Duration = Duration::from_secs(30);

async fn on_each(test: impl AsyncFn(&World)) {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let world = World::start_with(backend, LIMITS).await;
        test(&world).await;
        world.running.stop().await.expect("it stops without a fault");
    }
}

async fn alerts(auditor: &Person) -> Vec<(Rule, String, Reaction)> {
    let auditor = auditor.fresh().await.expect("a session");
    let request = identity::ListAlertsRequest::default();
    let alerts = answer(auditor.audit().list_alerts(request).await).expect("an auditor sees them").alerts;
    alerts
        .into_iter()
        .map(|it| {
            let (reaction, raised) = (it.reaction(), it.raised.expect("as it was raised"));
            assert!(raised.counted >= raised.threshold && raised.entry_number > 0, "{raised:?}");
            (raised.rule(), raised.user_id, reaction)
        })
        .collect()
}

fn about(alerts: &[(Rule, String, Reaction)], who: &Person) -> BTreeSet<Rule> {
    alerts.iter().filter(|(_, user, _)| *user == who.id.to_string()).map(|(rule, ..)| *rule).collect()
}

pub(super) async fn told(who: &Person) -> usize {
    let who = who.fresh().await.expect("a session");
    let request = notification::ListMessagesRequest { page_size: 1_000, ..Default::default() };
    let messages = answer(who.inbox().list_messages(request).await).expect("an inbox").messages;
    messages.iter().filter(|it| it.kind() == notification::MessageKind::AlertRaised).count()
}

async fn eventually(what: &str, holds: impl AsyncFn() -> bool) {
    let asking = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.expect(what);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_alarming_is_told_once_to_auditors_and_the_administrator_and_not_to_whom_it_is_about() {
    on_each(async |world: &World| {
        let shen = world.hire("shen", "auditor", &world.root).await;
        let mei = world.hire("mei", "sales_rep", &world.root).await;
        let lin = world.hire("lin", "sales_manager", &world.root).await;
        let ours = world.customer(&mei, "王芳", "13800001001").await.customer_id;
        assert_eq!(alerts(&shen).await, [], "nothing alarming so far");
        for _ in 0..5 {
            world.ask(&mei, &ours).await.expect("it is hers");
        }
        let export = customer::ExportCustomersRequest { reason: "对账".to_owned(), ..Default::default() };
        let mut file = answer(lin.exports().export_customers(export).await).expect("hers to export");
        while file.message().await.expect("a chunk").is_some() {}
        world.settle().await;
        let found = alerts(&shen).await;
        assert_eq!(about(&found, &mei), [Rule::BurstReads, Rule::OffHours].into(), "{found:?}");
        assert_eq!(about(&found, &lin), [Rule::BulkExport].into(), "{found:?}");
        assert_eq!(found.len(), 3, "each is told once: {found:?}");
        assert_eq!((told(&shen).await, told(&world.admin).await, told(&mei).await), (3, 3, 0));
        let one = identity::ListAlertsRequest { rule: Rule::BulkExport.into(), ..Default::default() };
        assert_eq!(answer(shen.audit().list_alerts(one).await).expect("one").alerts.len(), 1);
        let refused = answer(mei.audit().list_alerts(identity::ListAlertsRequest::default()).await);
        assert_eq!(refused.expect_err("not hers to see").kind, Kind::Denied);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clear_export_of_many_rows_is_a_burst_of_reads_and_a_masked_one_is_not() {
    on_each(async |world: &World| {
        let shen = world.hire("shen", "auditor", &world.root).await;
        let mei = world.hire("mei", "sales_rep", &world.root).await;
        let (lin, kai) = (
            world.hire("lin", "sales_manager", &world.root).await,
            world.hire("kai", "sales_manager", &world.root).await,
        );
        for number in 1..=3 {
            world.customer(&mei, "王芳", &format!("1380000100{number}")).await;
        }
        for (who, clear_values) in [(&lin, true), (&kai, false)] {
            let request =
                customer::ExportCustomersRequest { reason: "对账".to_owned(), clear_values, ..Default::default() };
            let mut file = answer(who.exports().export_customers(request).await).expect("theirs to export");
            while file.message().await.expect("a chunk").is_some() {}
        }
        world.settle().await;
        let found = alerts(&shen).await;
        assert_eq!(about(&found, &lin), [Rule::BurstReads, Rule::BulkExport].into(), "{found:?}");
        assert_eq!(about(&found, &kai), [Rule::BulkExport].into(), "{found:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_given_to_many_are_told() {
    on_each(async |world: &World| {
        let shen = world.hire("shen", "auditor", &world.root).await;
        let mei = world.hire("mei", "sales_rep", &world.root).await;
        let lin = world.hire("lin", "sales_rep", &world.root).await;
        give_marketing(world, &[&mei, &lin]).await;
        world.settle().await;
        let found = alerts(&shen).await;
        assert!(about(&found, &world.admin).contains(&Rule::MassGrant), "{found:?}");
        assert_eq!(told(&shen).await, found.len(), "each lies in the inbox");
    })
    .await;
}

/// Waits until it is told that somebody was refused too often, and sees that no minute had to end for that.
async fn denied_burst_is_told(world: &World, auditor: &Person, who: &Person) {
    let began = world.now();
    let is_told = async || {
        let found = alerts(auditor).await;
        about(&found, who) == [Rule::DeniedBurst].into() && told(auditor).await == found.len()
    };
    eventually("the alert lies in the inbox", is_told).await;
    assert_eq!(world.now(), began, "the clock stands still");
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_refusals_of_five_calls_none_of_them_tried_often_are_told_though_nothing_follows() {
    in_each_world(async |world: &World| {
        let shen = world.hire("shen", "auditor", &world.root).await;
        let mei = world.hire("mei", "sales_rep", &world.root).await;
        for _ in 0..6 {
            try_everything(&mei).await;
            let request = identity::ListAlertsRequest::default();
            answer(mei.audit().list_alerts(request).await).expect_err("not hers to see");
        }
        denied_burst_is_told(world, &shen, &mei).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_equal_refusals_are_told_though_nothing_follows_and_twenty_nine_are_not() {
    in_each_world(async |world: &World| {
        let shen = world.hire("shen", "auditor", &world.root).await;
        let mei = world.hire("mei", "sales_rep", &world.root).await;
        let export = async || {
            let request = customer::ExportCustomersRequest { reason: "to take along".to_owned(), ..Default::default() };
            answer(mei.exports().export_customers(request).await).map(drop).expect_err("not hers to export");
        };
        for _ in 0..29 {
            export().await;
        }
        world.settle().await;
        assert_eq!(alerts(&shen).await, []);
        export().await;
        denied_burst_is_told(world, &shen, &mei).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_about_customers_of_others_beyond_the_budget_of_the_hour_is_told_once() {
    in_each_world(async |world: &World| {
        let shen = world.hire("shen", "auditor", &world.root).await;
        let mei = world.hire("mei", "sales_rep", &world.root).await;
        let lin = world.hire("lin", "sales_rep", &world.root).await;
        world.customer(&mei, "王芳", "13800001001").await;
        let ask = async || {
            let request = customer::CheckDuplicatesRequest {
                contact_points: vec![customer::ContactPoint {
                    r#type: customer::ContactType::Phone.into(),
                    value: "13800001001".to_owned(),
                    ..Default::default()
                }],
                ..Default::default()
            };
            answer(lin.customers().check_duplicates(request).await)
        };
        for _ in 0..30 {
            assert_eq!(ask().await.expect("within the budget").matches.len(), 1);
        }
        world.settle().await;
        assert_eq!(alerts(&shen).await, [], "who stays within the budget");
        for _ in 0..2 {
            assert_eq!(ask().await.expect_err("thirty an hour").reason, "DUPLICATE_BUDGET");
        }
        world.settle().await;
        let found = alerts(&shen).await;
        assert_eq!(found, [(Rule::DuplicateBudget, lin.id.to_string(), Reaction::Told)]);
        assert_eq!((told(&shen).await, told(&world.admin).await, told(&lin).await), (1, 1, 0));
    })
    .await;
}

/// Gives people a role.
async fn give_marketing(world: &World, people: &[&Person]) {
    let admin = world.admin.fresh().await.expect("a session");
    let role = identity::ListRolesRequest { page_size: 1_000, ..Default::default() };
    let roles = answer(admin.access().list_roles(role).await).expect("roles").roles;
    let role = roles.iter().find(|it| it.key == "marketing").expect("it ships");
    for user in people {
        let request = identity::SetRoleOverrideRequest {
            user_id: user.id.to_string(),
            role_id: role.role_id.clone(),
            source: identity::RoleSource::Added.into(),
            ..Default::default()
        };
        answer(admin.access().set_role_override(request).await).expect("it is given");
    }
}

/// Tries what may not be hers until her session has ended.
async fn provoke(mei: &Person) {
    let tries = async || {
        let export = customer::ExportCustomersRequest { reason: "to take along".to_owned(), ..Default::default() };
        answer(mei.exports().export_customers(export).await).is_err_and(|it| it.kind == Kind::Unauthenticated)
    };
    eventually("her session ends", tries).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_end_where_that_is_configured_but_never_the_administrators() {
    on_each(async |world: &World| {
        let shen = world.hire("shen", "auditor", &world.root).await;
        let mei = world.hire("mei", "sales_rep", &world.root).await;
        provoke(&mei).await;
        let again = world.log_in(TENANT, "mei").await.expect("she may come in again");
        provoke(&again).await;
        let lin = world.hire("lin", "sales_rep", &world.root).await;
        give_marketing(world, &[&shen, &lin]).await;
        world.settle().await;
        let settled = async || {
            let found = alerts(&shen).await;
            found.iter().any(|(rule, _, reaction)| (*rule, *reaction) == (Rule::MassGrant, Reaction::Spared))
        };
        eventually("the administrator is spared", settled).await;
        let found = alerts(&shen).await;
        assert!(found.contains(&(Rule::DeniedBurst, mei.id.to_string(), Reaction::Frozen)), "{found:?}");
        answer(
            world
                .admin
                .fresh()
                .await
                .expect("a session")
                .directory()
                .list_users(identity::ListUsersRequest::default())
                .await,
        )
        .expect("the administrator's session goes on");
        let why = identity::ListEntriesRequest { action: "auth.alert_freeze".to_owned(), ..Default::default() };
        let why =
            answer(shen.fresh().await.expect("a session").audit().list_entries(why).await).expect("the log").entries;
        assert!(why.len() >= 2, "she was stopped again: {why:?}");
        let raised =
            answer(shen.audit().list_alerts(identity::ListAlertsRequest::default()).await).expect("the alerts");
        let raised: Vec<_> = raised.alerts.into_iter().filter_map(|it| it.raised).collect();
        for entry in why.iter().filter_map(|it| it.entry.as_ref()) {
            let from = raised.iter().find(|it| it.alert_id == entry.source_event_id).expect("what it follows from");
            assert_eq!((from.rule(), &*from.user_id), (Rule::DeniedBurst, &*mei.id), "{from:?}");
            assert!(entry.why.contains("denied_burst"), "{entry:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_counted_and_told_before_a_restart_is_known_after_it() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let mut world = World::start_with(backend, LIMITS).await;
        let mut shen = world.hire("shen", "auditor", &world.root).await;
        let mut mei = world.hire("mei", "sales_rep", &world.root).await;
        let ours = world.customer(&mei, "王芳", "13800001001").await.customer_id;
        // The limit is three: it is reached after the first restart, and twice over after the last.
        for told in [0, 1, 1] {
            for _ in 0..2 {
                world.ask(&mei, &ours).await.expect("it is hers");
            }
            world.settle().await;
            let found = alerts(&shen).await;
            assert_eq!(found.iter().filter(|(rule, ..)| *rule == Rule::BurstReads).count(), told, "{found:?}");
            world = world.restart("notification", Fate::Kept).await;
            shen = shen.over(world.running.channel()).await.expect("they log in again");
            mei = mei.over(world.running.channel()).await.expect("they log in again");
        }
        world.running.stop().await.expect("it stops without a fault");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn log_ins_that_fail_and_those_that_come_too_early_are_told_before_the_delay_ends() {
    let limits = "[identity.alerts]\nfailed_log_ins = { count = 8, window_seconds = 600, freeze = false }\n";
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let world = World::start_with(backend, limits).await;
        let shen = world.hire("shen", "auditor", &world.root).await;
        let mei = world.hire("mei", "sales_rep", &world.root).await;
        let began = world.running.clock().wall();
        let mut reasons = BTreeSet::new();
        for _ in 0..8 {
            let request = identity::LogInRequest {
                tenant_key: TENANT.to_owned(),
                username: "mei".to_owned(),
                password: "not the password".to_owned(),
                device: "a test".to_owned(),
            };
            let mut auth = identity::auth_client::AuthClient::new(world.running.channel());
            reasons.insert(answer(auth.log_in(request).await).expect_err("it fails").reason);
        }
        assert_eq!(reasons, BTreeSet::from(["LOG_IN_REFUSED", "LOG_IN_DELAYED"]));
        world.settle().await;
        assert_eq!(world.running.clock().wall(), began, "nobody has waited");
        assert_eq!(about(&alerts(&shen).await, &mei), [Rule::FailedLogIns].into());
        assert_eq!(told(&shen).await, 1, "and it lies in the inbox");
        world.running.stop().await.expect("it stops without a fault");
    }
}

/// Deliveries of alerts that somebody is shown, in a list and in a count.
async fn seen(who: &Person) -> (Vec<String>, i64) {
    let who = who.fresh().await.expect("a session");
    let kinds = vec![notification::MessageKind::AlertRaised.into()];
    let filter = Some(notification::DeliveryFilter { kinds, ..Default::default() });
    let list = notification::ListDeliveriesRequest { filter: filter.clone(), page_size: 1_000, ..Default::default() };
    let listed = answer(who.deliveries().list_deliveries(list).await).expect("a list").deliveries;
    let all = notification::ListDeliveriesRequest { page_size: 1_000, ..Default::default() };
    let all = answer(who.deliveries().list_deliveries(all).await).expect("a list").deliveries;
    let alerts = all.iter().filter(|it| it.kind() == notification::MessageKind::AlertRaised);
    assert_eq!(alerts.count(), listed.len(), "whatever is asked for");
    let count = notification::CountDeliveriesRequest { filter };
    let counts = answer(who.deliveries().count_deliveries(count).await).expect("counts").counts;
    (listed.into_iter().map(|it| it.delivery_id).collect(), counts.iter().map(|it| it.count).sum())
}

#[tokio::test(flavor = "multi_thread")]
async fn whom_an_alert_is_about_sees_none_of_its_deliveries() {
    on_each(async |world: &World| {
        let shen = world.hire("shen", "auditor", &world.root).await;
        // Both see deliveries; one of them sees alerts.
        let mark = world.hire("mark", "marketing", &world.root).await;
        let admin = world.admin.fresh().await.expect("a session");
        let roles = identity::ListRolesRequest { page_size: 1_000, ..Default::default() };
        let roles = answer(admin.access().list_roles(roles).await).expect("roles").roles;
        let role_id = roles.iter().find(|it| it.key == "marketing").expect("it ships").role_id.clone();
        let (user_id, source) = (shen.id.to_string(), identity::RoleSource::Added.into());
        let request = identity::SetRoleOverrideRequest { user_id, role_id, source, ..Default::default() };
        answer(admin.access().set_role_override(request).await).expect("it is given");
        provoke(&mark).await;
        world.settle().await;
        // What he tried while his sessions ended may have ended them once more.
        let done = async || alerts(&shen).await.iter().all(|(_, _, reaction)| *reaction != Reaction::Freezing);
        eventually("nothing is ended any more", done).await;
        assert!(!about(&alerts(&shen).await, &mark).is_empty(), "an alert is about him");
        let mark = world.log_in(TENANT, "mark").await.expect("he may come in again");
        let (shown, count) = seen(&shen).await;
        assert!(!shown.is_empty(), "who sees alerts sees what became of them");
        assert_eq!(i64::try_from(shown.len()).ok(), Some(count));
        assert_eq!(seen(&mark).await, (Vec::new(), 0));
        for delivery_id in shown {
            let request = notification::GetDeliveryRequest { delivery_id };
            let missing = answer(mark.deliveries().get_delivery(request).await).expect_err("not his to see");
            assert_eq!(missing.kind, Kind::NotFound);
        }
    })
    .await;
}
