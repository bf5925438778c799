//! What people do at their desks: look at the own list, heed reminders, call customers, write down what came of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};

use chrono::NaiveDate;
use revisit_bootstrap::status::answer;
use revisit_core::{Failure, Kind};
use revisit_proto::{customer::v1 as customer, followup::v1 as pb, notification::v1 as notification};

use super::{
    company::Company,
    local,
    people::{Answer, Model, Occasion},
};
use crate::client::{Person, patiently};

/// Messages that one glance at the inbox takes in.
const GLANCE: i32 = 500;
/// Working minutes in which an issue must be settled.
const ISSUE_MINUTES: i32 = 900;
/// What a decision that was won brings in, in fen.
const SALE: i64 = 168_000;

/// Everybody who follows customers up, and what they did.
pub struct Desks<'a> {
    /// The company.
    pub company: &'a Company,
    /// The cash desk, which records what was sold.
    pub cash_desk: &'a Person,
    /// How people behave.
    pub model: Model,
    /// A name of each customer that is the same in every run.
    pub origin: &'a BTreeMap<String, String>,
    /// What happened.
    pub tally: Tally,
    closed: Mutex<BTreeSet<String>>,
    reviews: Mutex<Vec<String>>,
}

/// Counts of what people did, to be told in the story.
#[derive(Default)]
pub struct Tally {
    /// Tasks that they completed.
    pub completed: AtomicI64,
    /// Of these, upon a reminder.
    pub upon_reminder: AtomicI64,
    /// Escalations that managers acted upon.
    pub managed: AtomicI64,
    /// Sales that the cash desk recorded.
    pub sales: AtomicI64,
    /// Issues that customers raised.
    pub issues: AtomicI64,
    /// Outcomes that a supervisor approved.
    pub reviewed: AtomicI64,
    /// Calls that found the task ended or moved meanwhile.
    pub too_late: AtomicI64,
}

fn one_more(count: &AtomicI64) {
    count.fetch_add(1, Ordering::Relaxed);
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Each change is one insertion or a swap, so what a panicking holder leaves is whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<'a> Desks<'a> {
    /// Before the first day.
    #[must_use]
    pub fn new(
        company: &'a Company,
        cash_desk: &'a Person,
        model: Model,
        origin: &'a BTreeMap<String, String>,
    ) -> Self {
        let (closed, reviews) = (Mutex::default(), Mutex::default());
        Self { company, cash_desk, model, origin, tally: Tally::default(), closed, reviews }
    }

    /// Looks at the own list of the day, if the model says so, and acts on some of it.
    pub async fn look(&self, who: &Person, day: NaiveDate) -> Result<(), Failure> {
        let day = day.to_string();
        if !self.model.looks(&who.username, &day) {
            return Ok(());
        }
        who.fresh().await?;
        let mut page_token = String::new();
        loop {
            let request = pb::ListTodayTasksRequest { page_size: 1_000, page_token, ..Default::default() };
            let page = patiently(request, |it| async move { who.tasks().list_today_tasks(it).await }).await?;
            for task in page.tasks.iter().filter(|task| task.state == pb::TaskState::Open as i32) {
                let key = self.key(task);
                if self.model.acts(&who.username, &key, Occasion::Look, &day) {
                    self.complete(who, task, &key).await?;
                }
            }
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(());
            }
        }
    }

    /// Reads what is new in the inbox and acts on some of it.
    pub async fn heed(&self, who: &Person, day: NaiveDate) -> Result<(), Failure> {
        who.fresh().await?;
        let request = notification::ListMessagesRequest { unread_only: true, page_size: GLANCE, ..Default::default() };
        let messages = answer(who.inbox().list_messages(request).await)?.messages;
        // Newest first as listed; people act on the oldest first.
        for message in messages.iter().rev() {
            let Some(occasion) = occasion(message.kind()) else { continue };
            if message.task_id.is_empty() || locked(&self.closed).contains(&message.task_id) {
                continue;
            }
            let request = pb::GetTaskRequest { task_id: message.task_id.clone(), read_mask: None };
            let Some(task) =
                self.still(patiently(request, |it| async move { who.tasks().get_task(it).await }).await)?
            else {
                continue;
            };
            let key = self.key(&task);
            let when = format!("{day}/{}", message.kind);
            if task.state != pb::TaskState::Open as i32 || !self.model.acts(&who.username, &key, occasion, &when) {
                continue;
            }
            let acted = if occasion == Occasion::Escalation {
                self.take_over(who, &task, &key).await?
            } else {
                self.complete(who, &task, &key).await?
            };
            if acted {
                one_more(&self.tally.upon_reminder);
            }
        }
        let message_ids: Vec<_> = messages.into_iter().map(|message| message.message_id).collect();
        if !message_ids.is_empty() {
            answer(who.inbox().mark_read(notification::MarkReadRequest { message_ids }).await)?;
        }
        Ok(())
    }

    /// A supervisor approves the outcomes that wait for it.
    pub async fn review(&self, supervisor: &Person) -> Result<(), Failure> {
        let waiting = std::mem::take(&mut *locked(&self.reviews));
        for task_id in waiting {
            supervisor.fresh().await?;
            let request = pb::ReviewOutcomeRequest { task_id, approved: true, ..Default::default() };
            if self
                .still(patiently(request, |it| async move { supervisor.tasks().review_outcome(it).await }).await)?
                .is_some()
            {
                one_more(&self.tally.reviewed);
            }
        }
        Ok(())
    }

    /// A manager takes an overdue task over and does it.
    async fn take_over(&self, who: &Person, task: &pb::Task, key: &str) -> Result<bool, Failure> {
        let request = pb::ReassignTaskRequest {
            task_id: task.task_id.clone(),
            assignee_id: who.id.to_string(),
            reason: "逾期，由主管处理".to_owned(),
            ..Default::default()
        };
        let Some(task) =
            self.still(patiently(request, |it| async move { who.tasks().reassign_task(it).await }).await)?
        else {
            return Ok(false);
        };
        let acted = self.complete(who, &task, key).await?;
        if acted {
            one_more(&self.tally.managed);
        }
        Ok(acted)
    }

    /// Calls the customer and records what came of it.
    async fn complete(&self, who: &Person, task: &pb::Task, key: &str) -> Result<bool, Failure> {
        let said = self.model.answer(key);
        let request = self.outcome(task, key, said);
        let (sensitive, raises) = (request.sensitive, !request.issues.is_empty());
        // Whose task a manager has taken over in the same moment may still see it and may not complete it any more.
        let completed = match patiently(request, |it| async move { who.tasks().complete_task(it).await }).await {
            Err(failure) if failure.kind == Kind::Denied => {
                one_more(&self.tally.too_late);
                None
            }
            other => self.still(other)?,
        };
        if completed.is_none() {
            return Ok(false);
        }
        locked(&self.closed).insert(task.task_id.clone());
        one_more(&self.tally.completed);
        if raises {
            one_more(&self.tally.issues);
        }
        if sensitive {
            locked(&self.reviews).push(task.task_id.clone());
        }
        if said.writes_back && !task.customer_id.is_empty() {
            self.write_back(who, task).await?;
        }
        if said.agrees && task.step_key == "decision" {
            self.sell(task, key).await?;
        }
        Ok(true)
    }

    fn outcome(&self, task: &pb::Task, key: &str, said: Answer) -> pb::CompleteTaskRequest {
        let decides = task.step_key == "decision";
        let planned = task.kind == pb::TaskKind::Plan as i32;
        let result = match (said.reached, said.agrees) {
            (false, _) => "no_answer",
            (true, true) if decides => "closed_won",
            (true, false) if decides => "refused",
            (true, _) => "reached",
        };
        let service = ["wen", "an", "ning"];
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it lies between 0 and 3")]
        let turn = (self.model.coin(&["dispatch", key]) * 3.0) as usize;
        let settles = service.get(turn).copied().unwrap_or("wen");
        let issue = pb::Issue {
            title: "客户反馈的问题".to_owned(),
            assignee_id: self.company.person(settles).id.to_string(),
            due_within_minutes: ISSUE_MINUTES,
            ..Default::default()
        };
        let note = pb::Note { layer: "history".to_owned(), text: "已电话沟通".to_owned(), ..pb::Note::default() };
        let channel =
            if task.channel == pb::Channel::Unspecified as i32 { pb::Channel::Phone as i32 } else { task.channel };
        pb::CompleteTaskRequest {
            task_id: task.task_id.clone(),
            result: result.to_owned(),
            channel,
            satisfaction: (said.reached && planned).then_some(said.satisfaction),
            notes: vec![note],
            issues: if said.issue && planned { vec![issue] } else { Vec::new() },
            sensitive: said.sensitive && !decides,
            ..Default::default()
        }
    }

    async fn write_back(&self, who: &Person, task: &pb::Task) -> Result<(), Failure> {
        let request = customer::RecordTouchRequest {
            customer_id: task.customer_id.clone(),
            channel: "wechat".to_owned(),
            direction: customer::Direction::Inbound as i32,
            text: "收到，谢谢".to_owned(),
            ..Default::default()
        };
        // Who only had a task on the customer may no longer write on it.
        let written = answer(who.timeline().record_touch(request).await);
        match written {
            Err(failure) if failure.kind == Kind::Denied => Ok(()),
            other => self.still(other).map(|_| ()),
        }
    }

    async fn sell(&self, task: &pb::Task, key: &str) -> Result<(), Failure> {
        let desk = self.cash_desk.fresh().await?;
        let order = customer::Order {
            customer_id: task.customer_id.clone(),
            external_id: format!("sale/{key}"),
            amount: Some(customer::Money { minor_units: SALE, currency: "CNY".to_owned() }),
            place_time: Some(local::wire(desk.now())),
            description: "成交".to_owned(),
            ..Default::default()
        };
        let request = customer::RecordOrderRequest { order: Some(order), ..Default::default() };
        answer(desk.orders().record_order(request).await)?;
        one_more(&self.tally.sales);
        Ok(())
    }

    /// The name of an occurrence that is the same in every run.
    fn key(&self, task: &pb::Task) -> String {
        let customer = self.origin.get(&task.customer_id).map_or("", String::as_str);
        format!("{customer}|{}{}|{}", task.kind, task.step_key, task.nominal_local_time)
    }

    /// Nothing when the task has ended or moved since it was seen: that happens to people, too.
    fn still<T>(&self, result: Result<T, Failure>) -> Result<Option<T>, Failure> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(failure) if matches!(failure.kind, Kind::NotFound | Kind::Conflict | Kind::Precondition) => {
                one_more(&self.tally.too_late);
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }
}

/// What a message moves its reader to think of; nothing for other messages.
const fn occasion(kind: notification::MessageKind) -> Option<Occasion> {
    use notification::MessageKind as M;
    match kind {
        M::TaskOpened => Some(Occasion::Opened),
        M::TaskBefore | M::TaskDue => Some(Occasion::Due),
        M::TaskOverdue => Some(Occasion::Overdue),
        M::TaskEscalated => Some(Occasion::Escalation),
        M::Unspecified
        | M::Welcome
        | M::TaskMoved
        | M::OutcomeRecorded
        | M::CustomerAssigned
        | M::CustomersHandedOver
        | M::Digest
        | M::CustomerWelcome
        | M::PasswordLinkDrawn
        | M::AlertRaised => None,
    }
}
