//! What makes the demo's follow-up happen: orders that give grades, segments of them, and the shipped plans on these.

use std::{collections::BTreeMap, time::Duration};

use revisit_bootstrap::status::answer;
use revisit_core::{Failure, Timestamp};
use revisit_proto::{customer::v1 as customer, followup::v1 as pb, identity::v1 as identity};

use super::{
    company::{Company, Door},
    files::{Imported, customers},
    local,
    people::Model,
};
use crate::client::{Credentials, Person};

/// Customers who have bought twice and much, and once: what the shipped rules call A and B.
const BOUGHT_OFTEN: usize = 30;
const BOUGHT_ONCE: usize = 90;
/// Tag of those whose birthday is kept.
const BIRTHDAY_TAG: &str = "生日关怀";

/// Name of a segment, and its filter.
const SEGMENTS: [(&str, &str); 6] = [
    ("A类客户", "grade == \"A\""),
    ("B类客户", "grade == \"B\""),
    ("C类高意向", "grade == \"C\" && \"高意向\" in tags"),
    ("生日关怀", "\"生日关怀\" in tags"),
    ("合同续签", "contract_end != null && \"续费\" in tags"),
    ("已成交", "stage == \"won\" || stage == \"service\""),
];

/// Name of a plan, its segment, and the shipped template.
const PLANS: [(&str, &str, &str); 6] = [
    ("A类每周回访", "A类客户", "grade_a_weekly"),
    ("B类每月回访", "B类客户", "grade_b_monthly"),
    ("C类转化", "C类高意向", "grade_c_conversion"),
    ("生日祝福", "生日关怀", "birthday"),
    ("久未联系", "A类客户", "silence_nudge"),
    ("售后关怀", "已成交", "after_sales"),
];
/// The plan that the company writes itself: thirty days before a contract ends.
const CONTRACT_PLAN: (&str, &str) = ("合同到期提醒", "合同续签");
const CONTRACT_LEAD_DAYS: i32 = -30;

/// Opens an account for the cash desks, which may record orders and nothing else, and logs it in.
pub async fn cash_desk(door: &Door, company: &Company) -> Result<Person, Failure> {
    let admin = &company.admin;
    let levels = identity::LayerLevels {
        basic: identity::Level::Write as i32,
        financial: identity::Level::Write as i32,
        ..Default::default()
    };
    let template = identity::GrantTemplate {
        actions: vec!["customer.order_record".to_owned()],
        extent: Some(identity::Extent { kind: identity::ExtentKind::Tenant as i32, ..Default::default() }),
        levels: Some(levels),
        ..Default::default()
    };
    let role = identity::CreateRoleRequest {
        key: "cash_desk".to_owned(),
        display_name: "收银系统".to_owned(),
        templates: vec![template],
        ..Default::default()
    };
    let role = answer(admin.access().create_role(role).await)?;
    let account = identity::CreateServiceAccountRequest {
        display_name: "收银系统".to_owned(),
        department_id: company.departments.get("").cloned().unwrap_or_default(),
        role_ids: vec![role.role_id],
        ..Default::default()
    };
    let account = answer(admin.directory().create_service_account(account).await)?;
    let id = account.service_account.unwrap_or_default().service_account_id;
    let who = Credentials::account(&id, &account.secret);
    Person::log_in(door.channel.clone(), door.clock.clone(), &who).await
}

/// Records orders of the last months for some customers: their grades follow.
pub async fn record_orders(
    desk: &Person,
    imported: &Imported,
    model: &Model,
    now: Timestamp,
) -> Result<usize, Failure> {
    let mut ranked: Vec<(&str, &str)> =
        imported.origin.iter().map(|(id, origin)| (origin.as_str(), id.as_str())).collect();
    ranked.sort_by(|one, other| model.coin(&["buys", one.0]).total_cmp(&model.coin(&["buys", other.0])));
    let mut orders = Vec::new();
    for (index, (origin, id)) in ranked.into_iter().take(BOUGHT_OFTEN + BOUGHT_ONCE).enumerate() {
        let often = index < BOUGHT_OFTEN;
        for turn in 0..if often { 2 } else { 1 } {
            let coin = model.coin(&["order", origin, &turn.to_string()]);
            orders.push(order(id, origin, (turn, often, coin), now));
        }
    }
    let count = orders.len();
    for batch in orders.chunks(16) {
        let recorded = batch.iter().map(async |order| {
            let request = customer::RecordOrderRequest { order: Some(order.clone()), ..Default::default() };
            answer(desk.orders().record_order(request).await)
        });
        futures::future::try_join_all(recorded).await?;
    }
    Ok(count)
}

fn order(id: &str, origin: &str, (turn, often, coin): (i32, bool, f64), now: Timestamp) -> customer::Order {
    // 12,000 to 30,000 yuan each for who buys often, 300 to 3,000 for who has bought once; 10 to 160 days ago.
    #[expect(clippy::cast_possible_truncation, reason = "an amount below 3,000,000 fen")]
    let minor_units = if often { 1_200_000 + (coin * 1_800_000.0) as i64 } else { 30_000 + (coin * 270_000.0) as i64 };
    let ago = Duration::from_secs_f64((10.0 + coin * 150.0) * 86_400.0);
    customer::Order {
        customer_id: id.to_owned(),
        external_id: format!("{origin}/{turn}"),
        amount: Some(customer::Money { minor_units, currency: "CNY".to_owned() }),
        place_time: Some(local::wire(now - ago)),
        description: "门店消费".to_owned(),
        ..Default::default()
    }
}

/// Marks whose birthday is kept: buyers, and everybody born on 29 February. Answers how many of the latter.
pub async fn mark_birthdays(marketing: &Person) -> Result<usize, Failure> {
    let everybody = customers(marketing, "birthday != null").await?;
    let leap = |row: &customer::Customer| row.birthday.ends_with("-02-29");
    let marked: Vec<_> = everybody.iter().filter(|row| leap(row) || matches!(row.grade.as_str(), "A" | "B")).collect();
    for batch in marked.chunks(16) {
        let tagged = batch.iter().map(async |row| {
            let request = customer::TagCustomerRequest {
                customer_id: row.customer_id.clone(),
                add: vec![BIRTHDAY_TAG.to_owned()],
                ..Default::default()
            };
            answer(marketing.customers().tag_customer(request).await)
        });
        futures::future::try_join_all(tagged).await?;
    }
    Ok(marked.iter().filter(|row| leap(row)).count())
}

/// Saves the segments; answers their UUIDs by name.
pub async fn segments(marketing: &Person) -> Result<BTreeMap<&'static str, String>, Failure> {
    let mut segments = BTreeMap::new();
    for (name, filter) in SEGMENTS {
        let segment = customer::Segment { name: name.to_owned(), filter: filter.to_owned(), ..Default::default() };
        let request = customer::CreateSegmentRequest { segment: Some(segment), ..Default::default() };
        segments.insert(name, answer(marketing.segments().create_segment(request).await)?.segment_id);
    }
    Ok(segments)
}

/// Makes the company's work calendar from China's statutory one: the default of all plans.
pub async fn calendar(admin: &Person) -> Result<String, Failure> {
    let hours = |weekday, start: &str, end: &str| pb::WorkingInterval {
        weekday,
        start_time: start.to_owned(),
        end_time: end.to_owned(),
    };
    let week = (1..=5).flat_map(|weekday| [hours(weekday, "09:00", "12:00"), hours(weekday, "13:30", "18:00")]);
    let calendar = pb::Calendar {
        name: "门店工作日".to_owned(),
        base: "CN".to_owned(),
        intervals: week.collect(),
        is_default: true,
        ..Default::default()
    };
    let request = pb::CreateCalendarRequest { calendar: Some(calendar), ..Default::default() };
    Ok(answer(admin.calendars().create_calendar(request).await)?.calendar_id)
}

/// Creates and publishes the plans, from the shipped templates, with their reminders or without any.
pub async fn publish(
    admin: &Person,
    segments: &BTreeMap<&'static str, String>,
    calendar_id: &str,
    reminders: bool,
) -> Result<Vec<pb::Plan>, Failure> {
    let shipped = answer(admin.plans().list_plan_templates(pb::ListPlanTemplatesRequest {}).await)?.templates;
    let template = |key: &str| {
        let found =
            shipped.iter().find(|template| template.key == key).and_then(|template| template.definition.clone());
        found.ok_or_else(|| Failure::internal(format!("the shipped plan {key} is missing")))
    };
    let mut definitions = Vec::new();
    for (name, segment, key) in PLANS {
        definitions.push((name, segment, template(key)?));
    }
    let (name, segment) = CONTRACT_PLAN;
    definitions.push((name, segment, contract_end(template("birthday")?)));
    let mut plans = Vec::new();
    for (name, segment, mut definition) in definitions {
        definition.segment_id = segments.get(segment).cloned().unwrap_or_default();
        definition.calendar_id = calendar_id.to_owned();
        definition.time_zone = local::ZONE.to_owned();
        if !reminders {
            definition.steps.iter_mut().for_each(|step| step.reminders = None);
            definition.follow_on_reminders = Some(pb::Reminders::default());
        }
        let request =
            pb::CreatePlanRequest { name: name.to_owned(), definition: Some(definition), ..Default::default() };
        let plan = answer(admin.plans().create_plan(request).await)?;
        let request = pb::PublishPlanRequest { plan_id: plan.plan_id, ..Default::default() };
        plans.push(answer(admin.plans().publish_plan(request).await)?);
    }
    Ok(plans)
}

/// The same contact as on a birthday, once, some days before the contract ends.
fn contract_end(mut definition: pb::PlanDefinition) -> pb::PlanDefinition {
    for step in &mut definition.steps {
        step.key = "renewal".to_owned();
        step.name = "合同到期前联系".to_owned();
        step.channel = pb::Channel::Phone as i32;
        let date =
            pb::DateTrigger { field: "contract_end".to_owned(), offset_days: CONTRACT_LEAD_DAYS, ..Default::default() };
        step.trigger = Some(pb::Trigger { kind: Some(pb::trigger::Kind::Date(date)) });
        step.roll = pb::Roll::Forward as i32;
    }
    definition
}
