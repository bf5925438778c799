//! What other services' events mean here: what we remember of them, and what somebody has to be told.

use revisit_bootstrap::Tx;
use revisit_core::{
    Failure, Id, Timestamp,
    id::{CustomerId, EventId, SubjectId, TaskId, TenantId},
};
use revisit_event::{Envelope, EnvelopeExt};
use revisit_permission::{Action, Reach, Row};
use revisit_proto::{
    customer::v1::{CustomerChanged, CustomerCreated, CustomerFacts, OwnerChanged},
    followup::v1::{OutcomeRecorded, ReminderDue, ReminderKind, TaskClosed, TaskOpened},
    identity::v1::{AlertRaised, AlertRule, PasswordLinkDrawn, SubjectState, UserChanged},
};

use super::{
    digest,
    intake::{self, NEWS_LIFE, Told},
};
use crate::{
    App,
    domain::{Fact, Locale, MessageKind, Value, Values, fact::facts, kind::NEVER},
    store::{
        people::{self, Customer, Person, Task},
        preferences, templates,
    },
};

/// Users that hear of one follow-up at the most.
const RELATED_MAX: usize = 200;
/// Users that hear of one alert at the most.
const ALERTED_MAX: usize = 50;

/// Applies one event in its transaction; types that we do not know are not for us.
pub async fn apply(app: &App, tx: &Tx, event: &Envelope) -> Result<(), Failure> {
    if let Some(message) = event.read::<UserChanged>()? {
        return user_changed(app, tx, event, &message).await;
    }
    if let Some(message) = event.read::<PasswordLinkDrawn>()? {
        return password_link_drawn(app, tx, event, &message).await;
    }
    if let Some(message) = event.read::<AlertRaised>()? {
        return alert_raised(app, tx, event, &message).await;
    }
    if let Some(message) = event.read::<ReminderDue>()? {
        return reminder_due(app, tx, event, &message).await;
    }
    if let Some(message) = event.read::<TaskOpened>()? {
        return task_opened(app, tx, event, &message).await;
    }
    if let Some(message) = event.read::<TaskClosed>()? {
        return task_closed(tx, event, &message).await;
    }
    if let Some(message) = event.read::<OutcomeRecorded>()? {
        return outcome_recorded(app, tx, event, &message).await;
    }
    if let Some(message) = event.read::<CustomerCreated>()? {
        return customer_created(app, tx, event, message.facts.as_ref()).await;
    }
    if let Some(message) = event.read::<CustomerChanged>()? {
        return customer_changed(tx, event, message.facts.as_ref()).await;
    }
    if let Some(message) = event.read::<OwnerChanged>()? {
        return owner_changed(app, tx, event, &message).await;
    }
    Ok(())
}

/// A message of this event; its expiry is a week from now unless said otherwise.
fn told(event: &Envelope, kind: MessageKind, facts: Values) -> Result<Told, Failure> {
    Ok(Told {
        tenant: event.tenant()?,
        source: event.source.clone(),
        event: event.id()?,
        kind,
        occurrence: String::new(),
        customer: None,
        task: None,
        facts,
        expires_at: Timestamp::from_micros(event.time_micros) + NEWS_LIFE,
        traceparent: event.traceparent.clone(),
    })
}

/// An id of a message; an empty or malformed one is none.
fn id<K>(text: &str) -> Option<Id<K>> {
    text.parse().ok()
}

/// An id without which the event means nothing.
pub fn required<K>(text: &str, what: &str) -> Result<Id<K>, Failure> {
    text.parse().map_err(|_| Failure::internal(format!("the event's {what} is no UUID")))
}

/// Takes in what is known of a user; older news changes nothing.
pub async fn learn_user(app: &App, tx: &Tx, tenant: TenantId, message: &UserChanged) -> Result<(), Failure> {
    let person = Person {
        user: required(&message.user_id, "user_id")?,
        version: message.version,
        active: message.state() == SubjectState::Active,
        name: message.display_name.clone(),
        email: people::address(message.email.clone()),
        zone: message.time_zone.parse().unwrap_or(chrono_tz::Asia::Shanghai),
        locale: Locale::parse(&message.locale).unwrap_or(Locale::Chinese),
        manager: id(&message.manager_id),
        department: id(&message.department_id),
    };
    let before = people::find(tx, tenant, person.user).await?;
    if !people::keep(tx, tenant, &person).await? {
        return Ok(());
    }
    templates::seed(tx, tenant, crate::store::now(tx).await?).await?;
    let moved = before.as_ref().is_none_or(|before| (before.zone, before.active) != (person.zone, person.active));
    if moved {
        digest::set_timer(app, tx, tenant, &person).await?;
    }
    Ok(())
}

/// Who begins to work here is welcomed. That the change makes them begin is told by the event: what is remembered of
/// them may have been read from a snapshot, before the event or long after their welcome.
async fn user_changed(app: &App, tx: &Tx, event: &Envelope, message: &UserChanged) -> Result<(), Failure> {
    let tenant = event.tenant()?;
    let user: SubjectId = required(&message.user_id, "user_id")?;
    let before = people::find(tx, tenant, user).await?;
    learn_user(app, tx, tenant, message).await?;
    let reached = before.is_some_and(|before| before.email.is_none());
    let begins = matches!(message.former_state(), SubjectState::Unspecified | SubjectState::Invited);
    if message.state() != SubjectState::Active || message.email.is_empty() || !(begins || reached) {
        return Ok(());
    }
    // The user's id instead of the event's: whatever happens to an account, it is welcomed once.
    let welcome = Told {
        event: EventId::from_uuid(user.uuid()),
        expires_at: NEVER,
        ..told(event, MessageKind::Welcome, Values::new())?
    };
    intake::tell(app, tx, &welcome, user).await
}

async fn password_link_drawn(app: &App, tx: &Tx, event: &Envelope, message: &PasswordLinkDrawn) -> Result<(), Failure> {
    let by: SubjectId = required(&message.drawn_by_id, "drawn_by_id")?;
    let warning = told(event, MessageKind::PasswordLinkDrawn, facts([(Fact::Actor, Value::Text(by.to_string()))]))?;
    intake::tell(app, tx, &warning, required(&message.user_id, "user_id")?).await
}

/// Who reads the audit log is told, and the administrator; not whom it is about, unless there is nobody else.
async fn alert_raised(app: &App, tx: &Tx, event: &Envelope, message: &AlertRaised) -> Result<(), Failure> {
    let tenant = event.tenant()?;
    let about: Option<SubjectId> = id(&message.user_id);
    let rule = message.rule();
    if rule == AlertRule::Unspecified {
        return Ok(());
    }
    let rule = rule.as_str_name().trim_start_matches("ALERT_RULE_").to_lowercase();
    let facts = facts([
        (Fact::Actor, Value::Text(about.map(|about| about.to_string()).unwrap_or_default())),
        (Fact::Rule, Value::Text(rule)),
        (Fact::Counted, Value::Number(message.counted)),
        (Fact::Minutes, Value::Number(message.window_seconds / 60)),
    ]);
    let alert = told(event, MessageKind::AlertRaised, facts)?;
    let stale = |_| Failure::unavailable("LEASE_EXPIRED", "the permission state is not known yet");
    let reading = app.leases.read(tenant).map_err(stale)?;
    // The administrator first: whoever is beyond the most that are told, it is not that one.
    let administrator = reading.snapshot.facts().settings().administrator;
    let mut readers = reading.snapshot.who(Action::AuditView, &Row::of_tenant(tenant), reading.now);
    readers.retain(|reader| Some(*reader) != administrator);
    let mut recipients: Vec<SubjectId> = administrator.into_iter().chain(readers).collect();
    if recipients.len() > 1 {
        recipients.retain(|recipient| Some(*recipient) != about);
    }
    for recipient in recipients.into_iter().take(ALERTED_MAX) {
        intake::tell(app, tx, &alert, recipient).await?;
    }
    Ok(())
}

async fn reminder_due(app: &App, tx: &Tx, event: &Envelope, message: &ReminderDue) -> Result<(), Failure> {
    let kind = match message.kind() {
        ReminderKind::Unspecified => return Ok(()),
        ReminderKind::Opened => MessageKind::TaskOpened,
        ReminderKind::Before => MessageKind::TaskBefore,
        ReminderKind::Due => MessageKind::TaskDue,
        ReminderKind::Overdue => MessageKind::TaskOverdue,
        ReminderKind::Escalated => MessageKind::TaskEscalated,
    };
    let (tenant, task) = (event.tenant()?, required(&message.task_id, "task_id")?);
    if people::task(tx, tenant, task).await?.is_some_and(|known| known.closed) {
        return Ok(());
    }
    let named: SubjectId = required(&message.recipient_id, "recipient_id")?;
    let mut facts = facts([
        (Fact::PlanName, Value::Text(message.plan_name.clone())),
        (Fact::DueMicros, Value::Number(message.due_time_micros)),
    ]);
    let recipient = if kind == MessageKind::TaskEscalated {
        facts.insert(Fact::Assignee.name().to_owned(), Value::Text(named.to_string()));
        manager_of(app, tx, tenant, named).await?
    } else {
        named
    };
    let reminder = Told {
        occurrence: format!("{}/{}", message.generation, message.ordinal),
        customer: id(&message.customer_id),
        task: Some(task),
        expires_at: expiry(message.expire_time_micros),
        ..told(event, kind, facts)?
    };
    intake::tell(app, tx, &reminder, recipient).await
}

fn expiry(micros: i64) -> Timestamp {
    if micros > 0 { Timestamp::from_micros(micros) } else { NEVER }
}

/// Whom an escalation goes to. Who has no manager is told itself: an escalation never goes to nobody.
async fn manager_of(app: &App, tx: &Tx, tenant: TenantId, assignee: SubjectId) -> Result<SubjectId, Failure> {
    if let Some(person) = people::find(tx, tenant, assignee).await? {
        return Ok(person.manager.unwrap_or(assignee));
    }
    // identity's event about the assignee has not arrived; its permission state may already be here.
    let reading = app.leases.read(tenant);
    let manager = reading.ok().and_then(|reading| reading.snapshot.subject(assignee)?.manager);
    manager.ok_or_else(|| Failure::unavailable("MANAGER_UNKNOWN", "the assignee is not known here yet"))
}

fn open_task(message: &TaskOpened) -> Result<Task, Failure> {
    Ok(Task {
        id: required(&message.task_id, "task_id")?,
        customer: id(&message.customer_id),
        assignee: required(&message.assignee_id, "assignee_id")?,
        generation: message.generation,
        closed: false,
    })
}

/// Takes in what is known of an open task; older news changes nothing.
pub async fn learn_task(tx: &Tx, tenant: TenantId, message: &TaskOpened) -> Result<(), Failure> {
    people::keep_task(tx, tenant, &open_task(message)?).await?;
    Ok(())
}

async fn task_opened(app: &App, tx: &Tx, event: &Envelope, message: &TaskOpened) -> Result<(), Failure> {
    let tenant = event.tenant()?;
    let task = open_task(message)?;
    let before = people::task(tx, tenant, task.id).await?;
    if !people::keep_task(tx, tenant, &task).await? {
        return Ok(());
    }
    // The first opening is told by its reminder; a longer window is no news. Another assignee is.
    let Some(former) = before.map(|before| before.assignee).filter(|former| *former != task.assignee) else {
        return Ok(());
    };
    intake::cancel(tx, (tenant, task.id), "task_moved", |delivery| delivery.recipient == former.uuid()).await?;
    let moved =
        Told { customer: task.customer, task: Some(task.id), ..told(event, MessageKind::TaskMoved, Values::new())? };
    intake::tell(app, tx, &moved, task.assignee).await
}

async fn task_closed(tx: &Tx, event: &Envelope, message: &TaskClosed) -> Result<(), Failure> {
    let tenant = event.tenant()?;
    let id_of_task: TaskId = required(&message.task_id, "task_id")?;
    let known = people::task(tx, tenant, id_of_task).await?;
    let task = Task {
        id: id_of_task,
        customer: id(&message.customer_id),
        assignee: known.map_or(SubjectId::from_uuid(uuid::Uuid::nil()), |known| known.assignee),
        generation: message.generation,
        closed: true,
    };
    close_task(tx, tenant, &task).await
}

/// Takes in that a task is over, and takes back what is still to be told of it.
pub async fn close_task(tx: &Tx, tenant: TenantId, task: &Task) -> Result<(), Failure> {
    people::keep_task(tx, tenant, &Task { closed: true, ..*task }).await?;
    intake::cancel(tx, (tenant, task.id), "task_closed", |delivery| delivery.kind.ends_with_task()).await
}

async fn outcome_recorded(app: &App, tx: &Tx, event: &Envelope, message: &OutcomeRecorded) -> Result<(), Failure> {
    let Some(customer) = id::<revisit_core::id::kind::Customer>(&message.customer_id) else { return Ok(()) };
    let actor: SubjectId = required(&message.recorded_by_id, "recorded_by_id")?;
    let facts = facts([
        (Fact::Actor, Value::Text(actor.to_string())),
        (Fact::ContactChannel, Value::Text(message.channel.clone())),
        // A sensitive result is not in the event, and must not be guessed from its absence either.
        (Fact::Result, Value::Text(if message.sensitive { String::new() } else { message.result.clone() })),
    ]);
    let news = Told {
        customer: Some(customer),
        task: id(&message.task_id),
        ..told(event, MessageKind::OutcomeRecorded, facts)?
    };
    for recipient in related(app, tx, news.tenant, customer).await?.into_iter().filter(|user| *user != actor) {
        intake::tell(app, tx, &news, recipient).await?;
    }
    Ok(())
}

/// Who works on a customer: its owner, the members of teams that share it, and who holds an open task on it. Whether
/// each of them may still see it is decided when the message is sent.
async fn related(app: &App, tx: &Tx, tenant: TenantId, customer: CustomerId) -> Result<Vec<SubjectId>, Failure> {
    let mut users = people::assignees(tx, tenant, customer, RELATED_MAX as u64).await?;
    let Some(known) = people::customer(tx, tenant, customer).await? else { return Ok(users) };
    users.extend(known.owner);
    if !known.teams.is_empty() {
        let stale = |_| Failure::unavailable("LEASE_EXPIRED", "the permission state is not known yet");
        let reading = app.leases.read(tenant).map_err(stale)?;
        let through_team = |user: &SubjectId| {
            let predicate = reading.snapshot.predicate(*user, Action::CustomerView);
            predicate.clauses().any(|clause| {
                clause.holds(reading.now) && matches!(&clause.reach, Reach::Team(team) if known.teams.contains(team))
            })
        };
        users.extend(reading.snapshot.subjects().into_iter().filter(through_team));
    }
    users.sort_unstable();
    users.dedup();
    users.truncate(RELATED_MAX);
    Ok(users)
}

fn customer_of(facts: &CustomerFacts) -> Result<Customer, Failure> {
    Ok(Customer {
        id: required(&facts.customer_id, "customer_id")?,
        version: facts.version,
        owner: id(&facts.owner_id),
        teams: facts.team_ids.iter().filter_map(|team| id(team)).collect(),
        deleted: facts.deleted,
    })
}

/// Takes in what is known of a customer; older news changes nothing.
pub async fn learn_customer(tx: &Tx, tenant: TenantId, facts: &CustomerFacts) -> Result<(), Failure> {
    people::keep_customer(tx, tenant, &customer_of(facts)?).await?;
    Ok(())
}

async fn customer_changed(tx: &Tx, event: &Envelope, facts: Option<&CustomerFacts>) -> Result<(), Failure> {
    match facts {
        Some(facts) => learn_customer(tx, event.tenant()?, facts).await,
        None => Ok(()),
    }
}

async fn customer_created(app: &App, tx: &Tx, event: &Envelope, facts: Option<&CustomerFacts>) -> Result<(), Failure> {
    customer_changed(tx, event, facts).await?;
    let Some(facts) = facts else { return Ok(()) };
    if !preferences::policy(tx, event.tenant()?).await?.customer_welcome || !app.mail.is_on() {
        return Ok(());
    }
    let customer = customer_of(facts)?;
    let welcome = Told {
        event: EventId::from_uuid(customer.id.uuid()),
        customer: Some(customer.id),
        ..told(event, MessageKind::CustomerWelcome, Values::new())?
    };
    intake::tell_customer(app, tx, &welcome, customer.id).await
}

async fn owner_changed(app: &App, tx: &Tx, event: &Envelope, message: &OwnerChanged) -> Result<(), Failure> {
    let Some(facts) = &message.facts else { return Ok(()) };
    customer_changed(tx, event, Some(facts)).await?;
    let customer = customer_of(facts)?;
    let Some(owner) = customer.owner else { return Ok(()) };
    let group: Option<EventId> = id(&message.audit_group_id);
    let news = match group {
        None => Told { customer: Some(customer.id), ..told(event, MessageKind::CustomerAssigned, Values::new())? },
        // One message for a whole hand-over: its id is the key, so that each further customer is a repeat. The expiry
        // is part of the body and must not differ from customer to customer.
        Some(group) => {
            Told { event: group, expires_at: NEVER, ..told(event, MessageKind::CustomersHandedOver, Values::new())? }
        }
    };
    intake::tell(app, tx, &news, owner).await
}
