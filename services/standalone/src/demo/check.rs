//! The end of a run: reads everything back through the APIs, compares it with what sink and receiver got, and says
//! what is lost, doubled or without a person responsible.

use std::collections::{BTreeMap, BTreeSet};

use revisit_bootstrap::status::answer;
use revisit_core::{Failure, Timestamp};
use revisit_proto::{customer::v1 as customer, followup::v1 as followup, notification::v1 as pb};

use super::{
    company::Company,
    days,
    expect::Expected,
    figures::Figures,
    files::{Imported, Planted},
    local,
    scenes::LEAVER,
    story::Story,
};
use crate::{
    client::{Person, instant, patiently},
    mail_sink::MailSink,
    webhook_receiver::WebhookReceiver,
};

/// Rows of a page when everything is read.
const PAGE: i32 = 1_000;

/// What a run leaves to be looked at.
pub struct Remains<'a> {
    /// The company.
    pub company: &'a Company,
    /// The second one.
    pub second: &'a Company,
    /// Who runs the installation; gets mail like everybody.
    pub operator: &'a Person,
    /// What was imported.
    pub imported: &'a Imported,
    /// The plans.
    pub plans: &'a [followup::Plan],
    /// The company's calendar.
    pub calendar_id: &'a str,
    /// Where mail went.
    pub sink: &'a MailSink,
    /// Where webhooks went.
    pub receiver: &'a WebhookReceiver,
    /// What the receiver verifies with.
    pub hook_key: &'a str,
}

/// Compares the import with the generator's word and with the customers that there are.
pub async fn import(of: &Remains<'_>, figures: &mut Figures, story: &mut Story) -> Result<(), Failure> {
    let planted = Planted::read()?;
    figures.rows = of.imported.sum(|job| job.row_count);
    figures.imported = of.imported.sum(|job| job.created_count);
    figures.duplicates = of.imported.sum(|job| job.merged_count + job.duplicate_count);
    figures.rejected = of.imported.sum(|job| job.rejected_count);
    story.must_equal("rows of the files", figures.rows, planted.rows);
    let told = figures.imported + figures.duplicates + figures.rejected;
    story.must_equal("rows with a result", told, figures.rows);
    story.must_equal("duplicates found and planted", figures.duplicates, planted.duplicates);
    story.must_equal("rows rejected and broken on purpose", figures.rejected, planted.invalid);
    let executive = of.company.person("zhao").fresh().await?;
    let counted = answer(executive.customers().count_customers(customer::CountCustomersRequest::default()).await)?;
    story.must_equal("customers counted and imported", counted.count, figures.imported);
    Ok(())
}

/// All deliveries that somebody may see.
async fn deliveries(who: &Person) -> Result<Vec<pb::Delivery>, Failure> {
    let (mut all, mut page_token) = (Vec::new(), String::new());
    who.fresh().await?;
    loop {
        let request = pb::ListDeliveriesRequest { page_size: PAGE, page_token, ..Default::default() };
        let page = answer(who.deliveries().list_deliveries(request).await)?;
        all.extend(page.deliveries);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(all);
        }
    }
}

/// All tasks that somebody may see.
async fn tasks(who: &Person) -> Result<Vec<followup::Task>, Failure> {
    let (mut all, mut page_token) = (Vec::new(), String::new());
    who.fresh().await?;
    loop {
        let request = followup::ListTasksRequest { page_size: PAGE, page_token, ..Default::default() };
        let page = patiently(request, |it| async move { who.tasks().list_tasks(it).await }).await?;
        all.extend(page.tasks);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(all);
        }
    }
}

const fn arrived(state: pb::DeliveryState) -> bool {
    matches!(state, pb::DeliveryState::Accepted | pb::DeliveryState::Delivered | pb::DeliveryState::Read)
}

const fn failed(state: pb::DeliveryState) -> bool {
    matches!(state, pb::DeliveryState::Dead | pb::DeliveryState::Rejected | pb::DeliveryState::Unknown)
}

const fn is_reminder(kind: pb::MessageKind) -> bool {
    use pb::MessageKind as M;
    matches!(kind, M::TaskOpened | M::TaskBefore | M::TaskDue | M::TaskOverdue | M::TaskEscalated)
}

const fn channel_name(channel: pb::Channel) -> &'static str {
    match channel {
        pb::Channel::Inbox => "inbox",
        pb::Channel::Email => "email",
        pb::Channel::Webhook => "webhook",
        pb::Channel::Unspecified => "none",
    }
}

/// Compares deliveries with what arrived outside: each that was taken is there once, and nothing is there besides.
pub async fn messages(
    of: &Remains<'_>,
    figures: &mut Figures,
    story: &mut Story,
) -> Result<Vec<pb::Delivery>, Failure> {
    let ours = deliveries(&of.company.admin).await?;
    let theirs = deliveries(&of.second.admin).await?;
    for delivery in ours.iter().filter(|delivery| arrived(delivery.state())) {
        let name = channel_name(delivery.channel());
        *figures.messages.entry(name).or_default() += 1;
        if is_reminder(delivery.kind()) {
            *figures.reminders.entry(name).or_default() += 1;
        }
    }
    let operators = deliveries(of.operator).await?;
    let all = || ours.iter().chain(&theirs).chain(&operators);
    let given_up: Vec<_> = all().filter(|delivery| failed(delivery.state())).collect();
    for delivery in &given_up {
        story.wrong.push(format!(
            "a delivery ended {:?}: {} {}",
            delivery.state(),
            delivery.reason,
            delivery.last_code
        ));
    }
    figures.lost += i64::try_from(given_up.len()).unwrap_or(i64::MAX);
    let tokens = |channel: pb::Channel| -> Vec<&str> {
        let taken = all().filter(move |delivery| delivery.channel() == channel && arrived(delivery.state()));
        taken.map(|delivery| delivery.token.trim_matches(['<', '>'])).collect()
    };
    let mails = of.sink.mails();
    let got: Vec<&str> = mails.iter().map(|mail| mail.message_id.as_str()).collect();
    same("mail", &tokens(pb::Channel::Email), &got, figures, story);
    let calls = of.receiver.calls();
    let got: Vec<&str> = calls.iter().map(|call| call.id.as_str()).collect();
    same("webhook", &tokens(pb::Channel::Webhook), &got, figures, story);
    let unsigned = calls.iter().filter(|call| !call.is_signed_with(of.hook_key)).count();
    story.must(unsigned == 0, format!("{unsigned} webhook calls carry no valid signature"));
    Ok(ours)
}

fn same(what: &str, sent: &[&str], got: &[&str], figures: &mut Figures, story: &mut Story) {
    let mut times: BTreeMap<&str, i64> = BTreeMap::new();
    for token in got {
        *times.entry(token).or_default() += 1;
    }
    let known: BTreeSet<&str> = sent.iter().copied().collect();
    let lost = known.iter().filter(|token| !times.contains_key(*token)).count();
    let doubled: i64 = times.values().map(|count| count - 1).sum();
    let strange = times.keys().filter(|token| !known.contains(*token)).count();
    story.must(lost == 0, format!("{what}: {lost} accepted deliveries are not where they were sent"));
    story.must(doubled == 0, format!("{what}: {doubled} arrived twice"));
    story.must(strange == 0, format!("{what}: {strange} arrived that no delivery knows"));
    story.must(known.len() == sent.len(), format!("{what}: two deliveries share a token"));
    figures.lost += i64::try_from(lost).unwrap_or(i64::MAX);
    figures.doubled += doubled;
}

/// Compares each inbox, as its owner reads it, with the deliveries into it.
pub async fn inboxes(
    of: &Remains<'_>,
    sent: &[pb::Delivery],
    figures: &mut Figures,
    story: &mut Story,
) -> Result<(), Failure> {
    for person in of.company.staff.values() {
        let mine = sent.iter().filter(|delivery| {
            delivery.channel() == pb::Channel::Inbox
                && *delivery.recipient_id == *person.id
                && arrived(delivery.state())
        });
        let expected: BTreeSet<&str> = mine.map(|delivery| delivery.delivery_id.as_str()).collect();
        // Who has left cannot look any more.
        let person = match person.fresh().await {
            Ok(person) => person,
            Err(_) if &*person.username == LEAVER => continue,
            Err(failure) => return Err(failure),
        };
        let (mut found, mut page_token) = (BTreeSet::new(), String::new());
        loop {
            let request = pb::ListMessagesRequest { page_size: PAGE, page_token, ..Default::default() };
            let page = match answer(person.inbox().list_messages(request).await) {
                Ok(page) => page,
                Err(_) if &*person.username == LEAVER => break,
                Err(failure) => return Err(failure),
            };
            found.extend(page.messages.into_iter().map(|message| message.message_id));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                let missing = expected.iter().filter(|id| !found.contains(**id)).count();
                story.must(missing == 0, format!("{} does not find {missing} messages in the inbox", person.username));
                figures.lost += i64::try_from(missing).unwrap_or(i64::MAX);
                break;
            }
        }
    }
    Ok(())
}

/// Compares the reminders that came with those that the tasks should have caused.
pub async fn reminders(
    of: &Remains<'_>,
    sent: &[pb::Delivery],
    (now, reminders): (Timestamp, bool),
    (figures, story): (&mut Figures, &mut Story),
) -> Result<(), Failure> {
    let all = tasks(of.company.person("zhao")).await?;
    let state = |wanted: followup::TaskState| all.iter().filter(|task| task.state == wanted as i32).count();
    figures.tasks = i64::try_from(all.len()).unwrap_or(i64::MAX);
    figures.done = i64::try_from(state(followup::TaskState::Done)).unwrap_or(i64::MAX);
    let told: i64 = figures.reminders.values().sum();
    story.must(reminders == (told > 0), format!("{told} reminders came"));
    let came: Vec<_> =
        sent.iter().filter(|one| one.channel() == pb::Channel::Inbox && is_reminder(one.kind())).collect();
    let escalated = came.iter().filter(|delivery| delivery.kind() == pb::MessageKind::TaskEscalated).count();
    figures.escalations = i64::try_from(escalated).unwrap_or(i64::MAX);
    let plans = of.plans.iter().filter_map(|plan| Some((plan.plan_id.as_str(), plan.definition.as_ref()?)));
    let working = days::working_days(of.company.admin.fresh().await?, of.calendar_id).await?;
    Expected::new(plans, &all, &working, now).compare(&came, figures, story);
    on_time(of, &all, now, (figures, story)).await
}

/// The service's own rate against one made from the tasks themselves.
async fn on_time(
    of: &Remains<'_>,
    all: &[followup::Task],
    now: Timestamp,
    (figures, story): (&mut Figures, &mut Story),
) -> Result<(), Failure> {
    let executive = of.company.person("zhao").fresh().await?;
    let request = followup::GetFiguresRequest {
        start_time: Some(local::wire(local::at(days::first_day(), 0, 0))),
        end_time: Some(local::wire(now)),
        ..Default::default()
    };
    let told = patiently(request, |it| async move { executive.metrics().get_figures(it).await }).await?.figures;
    figures.due = told.iter().map(|row| row.due_count).sum();
    figures.on_time = told.iter().map(|row| row.on_time_count).sum();
    let cancelled = followup::TaskState::Cancelled as i32;
    let due: Vec<_> = all
        .iter()
        .filter(|task| task.state != cancelled && task.due_time.is_some_and(|due| instant(due) < now))
        .collect();
    let done_by = |task: &&followup::Task| match (task.done_time, task.due_time) {
        (Some(done), Some(due)) => instant(done) <= instant(due),
        (Some(_) | None, _) => false,
    };
    let on_time = due.iter().filter(|task| done_by(task)).count();
    story.must_equal("tasks due, as told and as counted", figures.due, i64::try_from(due.len()).unwrap_or(i64::MAX));
    story.must_equal(
        "tasks on time, as told and as counted",
        figures.on_time,
        i64::try_from(on_time).unwrap_or(i64::MAX),
    );
    Ok(())
}

/// Customers and tasks without a person responsible, as both services tell.
pub async fn orphans(of: &Remains<'_>, figures: &mut Figures, story: &mut Story) -> Result<(), Failure> {
    let executive = of.company.person("zhao").fresh().await?;
    let report = answer(executive.ownership().get_orphan_report(customer::GetOrphanReportRequest {}).await)?;
    let request = followup::CheckContinuityRequest::default();
    let continuity = patiently(request, |it| async move { executive.metrics().check_continuity(it).await }).await?;
    figures.orphans = report.orphan_count + continuity.ownerless_count + continuity.orphan_task_count;
    story.must(report.patrol_time.is_some(), "the patrol for orphans never ran");
    story.must_equal("orphans", figures.orphans, 0);
    story.tell(format!(
        "{} customers of grade A or B, {} of them without a person responsible, {} without a task ahead",
        continuity.customer_count, continuity.ownerless_count, continuity.taskless_count
    ))
}
