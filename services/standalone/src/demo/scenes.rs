//! Scenes of the ninety days: what three people see of a customer, a sale that ends a seller's rights, and a leaver.

use std::time::Duration;

use revisit_bootstrap::status::answer;
use revisit_core::{Failure, Kind};
use revisit_proto::{customer::v1 as customer, followup::v1 as followup, identity::v1 as identity};

use super::{company::Company, files::customers, local, story::Story};
use crate::{
    Running,
    client::{Person, patiently},
};

/// Who leaves.
pub const LEAVER: &str = "jun";
/// How long a shared view lasts.
const VIEW: Duration = Duration::from_hours(2);
/// Steps of clock time that a hand-over may take, and their length.
const HAND_OVER_STEPS: u32 = 60;
const HAND_OVER_STEP: Duration = Duration::from_secs(5);

/// The first customer that somebody owns and that has a telephone number.
async fn customer_of(who: &Person) -> Result<customer::Customer, Failure> {
    let phone = customer::ContactType::Phone as i32;
    let own = customers(who, "").await?;
    let found = own
        .into_iter()
        .find(|row| *row.owner_id == *who.id && row.contact_points.iter().any(|point| point.r#type == phone));
    found.ok_or_else(|| Failure::internal(format!("{} owns nobody with a telephone", who.username)))
}

/// What somebody gets who asks for a customer's clear contact values.
pub async fn ask(who: &Person, customer_id: &str) -> Result<customer::Customer, Failure> {
    who.fresh().await?;
    let request = customer::GetCustomerRequest {
        customer_id: customer_id.to_owned(),
        read_mask: Some(prost_types::FieldMask { paths: vec!["contact_points".to_owned()] }),
    };
    answer(who.customers().get_customer(request).await)
}

fn phone_of(row: &customer::Customer) -> String {
    let phone = customer::ContactType::Phone as i32;
    row.contact_points
        .iter()
        .find(|point| point.r#type == phone)
        .map_or_else(|| "(none)".to_owned(), |p| p.value.clone())
}

fn told(answer: &Result<customer::Customer, Failure>) -> String {
    match answer {
        Ok(row) => format!("{} {}", row.name, phone_of(row)),
        Err(failure) => failure.reason.to_owned(),
    }
}

/// One representative sees one customer clear, one masked and one not at all.
pub async fn three_eyes(running: &Running, company: &Company, story: &mut Story) -> Result<(), Failure> {
    let (mei, jun, lei) = (company.person("mei"), company.person(LEAVER), company.person("lei"));
    for person in [mei, jun, lei, &company.admin] {
        person.fresh().await?;
    }
    let (own, colleague, far) = (customer_of(mei).await?, customer_of(jun).await?, customer_of(lei).await?);
    story.chapter("One representative, three customers (梅芳, 上海徐汇店)")?;
    let clear = ask(mei, &own.customer_id).await;
    story.tell(format!("her own customer: {}", told(&clear)))?;
    story.must(clear.is_ok_and(|row| !phone_of(&row).contains('*')), "mei does not see her own customer clear");
    let before = ask(mei, &colleague.customer_id).await;
    share_masked(&company.admin, mei, &colleague.customer_id).await?;
    running.settle().await?;
    let masked = ask(mei, &colleague.customer_id).await;
    story.tell(format!("her colleague's, before it is shared: {}", told(&before)))?;
    story.tell(format!("her colleague's, shared with her for two hours with masked contacts: {}", told(&masked)))?;
    story.must(masked.is_ok_and(|row| phone_of(&row).contains('*')), "mei does not see the shared customer masked");
    let none = ask(mei, &far.customer_id).await;
    story.tell(format!("another store's: {}", told(&none)))?;
    story.must(none.is_err_and(|failure| failure.kind == Kind::NotFound), "mei sees another store's customer");
    running.advance_to(running.now() + VIEW + Duration::from_secs(1)).await?;
    let after = ask(mei, &colleague.customer_id).await;
    story.tell(format!("her colleague's, two hours later: {}", told(&after)))?;
    story.must(after.is_err_and(|failure| failure.kind == Kind::NotFound), "the shared view did not end");
    Ok(())
}

async fn share_masked(admin: &Person, with: &Person, customer_id: &str) -> Result<(), Failure> {
    let levels = identity::LayerLevels {
        basic: identity::Level::Read as i32,
        sensitive: identity::Level::Masked as i32,
        ..Default::default()
    };
    let extent = identity::Extent {
        kind: identity::ExtentKind::Ids as i32,
        row_ids: vec![customer_id.to_owned()],
        ..Default::default()
    };
    let right = identity::GrantTemplate {
        actions: vec!["customer.view".to_owned()],
        extent: Some(extent),
        levels: Some(levels),
        ..Default::default()
    };
    let request = identity::CreateGrantRequest {
        holder_id: with.id.to_string(),
        right: Some(right),
        end_time: Some(local::wire(admin.now() + VIEW)),
        reason: "临时代接电话".to_owned(),
        ..Default::default()
    };
    answer(admin.access().create_grant(request).await).map(|_| ())
}

/// A sale: the seller wins the customer and hands it to service, and the seller's rights have ended.
pub async fn sale(running: &Running, company: &Company, desk: &Person, story: &mut Story) -> Result<(), Failure> {
    let (seller, service) = (company.person("na"), company.person("wen"));
    for person in [seller, service, desk] {
        person.fresh().await?;
    }
    let row = customer_of(seller).await?;
    let mut stages = vec!["contacted", "qualified", "negotiating", "won"];
    stages.drain(..stages.iter().position(|stage| *stage == row.stage).map_or(0, |at| at + 1));
    for stage in stages {
        move_stage(seller, &row.customer_id, stage, "").await?;
    }
    record_contract(desk, &row.customer_id).await?;
    let before = ask(seller, &row.customer_id).await;
    let kept = move_stage(seller, &row.customer_id, "service", "").await;
    move_stage(seller, &row.customer_id, "service", &service.id).await?;
    let after = ask(seller, &row.customer_id).await;
    let served = ask(service, &row.customer_id).await;
    story.chapter("A sale moves a customer to service (倪娜, 杭州西湖店 → 温柔, 华东客服)")?;
    story.tell(format!("the seller before: {}", told(&before)))?;
    let refusal = kept.as_ref().err().map_or("allowed", |failure| failure.reason);
    story.tell(format!("the seller moves it to service and names nobody there: {refusal}"))?;
    story.tell(format!("the seller after, at the same commit: {}", told(&after)))?;
    story.tell(format!("service after: {}", told(&served)))?;
    story.must(before.is_ok(), "the seller did not see the customer before the sale");
    story.must(refusal == "NEW_OWNER_REQUIRED", "the customer could be moved to where nobody responsible sees it");
    story.must(after.is_err_and(|failure| failure.kind == Kind::NotFound), "the seller's rights did not end");
    story.must(served.is_ok_and(|row| *row.owner_id == *service.id), "service did not get the customer");
    running.settle().await
}

async fn move_stage(who: &Person, customer_id: &str, stage: &str, owner: &str) -> Result<(), Failure> {
    let request = customer::MoveStageRequest {
        customer_id: customer_id.to_owned(),
        stage: stage.to_owned(),
        new_owner_id: owner.to_owned(),
        ..Default::default()
    };
    answer(who.customers().move_stage(request).await).map(|_| ())
}

async fn record_contract(desk: &Person, customer_id: &str) -> Result<(), Failure> {
    let order = customer::Order {
        customer_id: customer_id.to_owned(),
        external_id: "contract/1".to_owned(),
        amount: Some(customer::Money { minor_units: 2_680_000, currency: "CNY".to_owned() }),
        place_time: Some(local::wire(desk.now())),
        description: "签约".to_owned(),
        ..Default::default()
    };
    let request = customer::RecordOrderRequest { order: Some(order), ..Default::default() };
    answer(desk.orders().record_order(request).await).map(|_| ())
}

/// A representative leaves: rights end at once, work goes to the colleagues, and nothing is left.
pub async fn leaver(running: &Running, company: &Company, story: &mut Story) -> Result<i64, Failure> {
    let (admin, jun) = (&company.admin, company.person(LEAVER));
    admin.fresh().await?;
    jun.fresh().await?;
    let order = |dry_run| identity::StartHandOverRequest {
        user_id: jun.id.to_string(),
        kind: identity::HandOverKind::Leave as i32,
        successor: Some(identity::SuccessorRule {
            rule: Some(identity::successor_rule::Rule::RoundRobinDepartmentId(
                company.departments.get("上海徐汇店").cloned().unwrap_or_default(),
            )),
        }),
        dry_run,
        reason: "离职".to_owned(),
        ..Default::default()
    };
    let preview = answer(admin.hand_overs().start_hand_over(order(true)).await)?;
    let started = answer(admin.hand_overs().start_hand_over(order(false)).await)?;
    let done = handed_over(running, admin, &started.hand_over_id).await?;
    let part = |hand_over: &identity::HandOver, part: identity::HandOverPart| {
        hand_over.parts.iter().find(|found| found.part == part as i32).copied().unwrap_or_default()
    };
    let (customers, tasks) = (identity::HandOverPart::Customers, identity::HandOverPart::Tasks);
    let moved = part(&done, customers).moved + part(&done, tasks).moved;
    story.chapter("A representative leaves (军伟, 上海徐汇店)")?;
    story.tell(format!(
        "asked first, nothing changed: {} customers and {} tasks of his own would move",
        part(&preview, customers).remaining,
        part(&preview, tasks).remaining
    ))?;
    story.tell(format!(
        "done: {} customers and {} tasks moved, {} refused; {} sessions ended with it",
        part(&done, customers).moved,
        part(&done, tasks).moved,
        part(&done, customers).refused + part(&done, tasks).refused,
        done.revoked_session_count
    ))?;
    let his = answer(jun.customers().list_customers(customer::ListCustomersRequest::default()).await);
    story.must(his.is_err(), "the leaver can still list customers");
    story.must_equal("customers of the leaver", part(&done, customers).moved, part(&preview, customers).remaining);
    let left = left_behind(company, jun).await?;
    story.tell(format!("left in his name: {left}"))?;
    story.must_equal("work left in the leaver's name", left, 0);
    Ok(moved)
}

async fn handed_over(running: &Running, admin: &Person, hand_over_id: &str) -> Result<identity::HandOver, Failure> {
    for _ in 0..HAND_OVER_STEPS {
        running.advance_to(running.now() + HAND_OVER_STEP).await?;
        admin.fresh().await?;
        let request = identity::GetHandOverRequest { hand_over_id: hand_over_id.to_owned() };
        let hand_over = answer(admin.hand_overs().get_hand_over(request).await)?;
        if hand_over.state == identity::HandOverState::Done as i32 {
            return Ok(hand_over);
        }
    }
    Err(Failure::internal("the hand-over does not end"))
}

/// Live tasks and customers in somebody's name, as the executive sees them.
async fn left_behind(company: &Company, leaver: &Person) -> Result<i64, Failure> {
    let executive = company.person("zhao").fresh().await?;
    let request = followup::ListTasksRequest {
        page_size: 1_000,
        assignee_id: leaver.id.to_string(),
        states: vec![followup::TaskState::Open as i32, followup::TaskState::Scheduled as i32],
        ..Default::default()
    };
    let tasks = patiently(request, |it| async move { executive.tasks().list_tasks(it).await }).await?.tasks.len();
    let owned = customers(executive, "").await?.iter().filter(|row| *row.owner_id == *leaver.id).count();
    Ok(i64::try_from(tasks + owned).unwrap_or(i64::MAX))
}
