//! What the events of identity and customer cause here. Each is applied once, in one transaction with its inbox row.

use revisit_bootstrap::database::Tx;
use revisit_core::{
    Failure, Id, Timestamp,
    id::{CustomerId, SegmentId, TenantId},
};
use revisit_event::{Envelope, EnvelopeExt};
use revisit_proto::{customer::v1 as customer, identity::v1 as identity};
use uuid::Uuid;

use super::{customers, hand_over, planner};
use crate::{
    App,
    domain::{
        people::{Customer, Department, Person},
        plan::{Enrolment, EnrolmentState, Reason, TriggerEvent},
    },
    store::{enrolments, people, plans, projection},
};

/// Applies one event, whatever its type; types that concern nothing here are passed over.
pub async fn apply(app: &App, tx: &Tx, event: &Envelope) -> Result<(), Failure> {
    let tenant = event.tenant()?;
    match event.source.as_str() {
        "identity" => apply_identity(app, tx, tenant, event).await,
        "customer" => apply_customer(app, tx, tenant, event).await,
        _ => Ok(()),
    }
}

async fn apply_identity(app: &App, tx: &Tx, tenant: TenantId, event: &Envelope) -> Result<(), Failure> {
    if let Some(changed) = event.read::<identity::UserChanged>()? {
        return learn(app, tx, tenant, &changed).await;
    }
    if let Some(changed) = event.read::<identity::DepartmentChanged>()? {
        return people::save_department(tx, tenant, &department(&changed)?).await;
    }
    if let Some(started) = event.read::<identity::HandOverStarted>()? {
        return hand_over::begin(app, tx, tenant, &started).await;
    }
    Ok(())
}

/// Takes in what is known of a user. Of one who was suspended nothing stays open.
pub async fn learn(app: &App, tx: &Tx, tenant: TenantId, changed: &identity::UserChanged) -> Result<(), Failure> {
    let person = person(changed)?;
    let news = people::save_person(tx, tenant, &person).await?;
    if news && changed.state() == identity::SubjectState::Suspended {
        hand_over::stand_in(app, tx, tenant, &person).await?;
    }
    Ok(())
}

async fn apply_customer(app: &App, tx: &Tx, tenant: TenantId, event: &Envelope) -> Result<(), Failure> {
    let facts = if let Some(created) = event.read::<customer::CustomerCreated>()? {
        created.facts
    } else if let Some(changed) = event.read::<customer::CustomerChanged>()? {
        changed.facts
    } else if let Some(changed) = event.read::<customer::OwnerChanged>()? {
        changed.facts
    } else {
        return apply_other(app, tx, tenant, event).await;
    };
    if let Some(facts) = facts {
        customers::take_in(app, tx, facts_of(tenant, &facts)?, &event.id).await?;
    }
    Ok(())
}

async fn apply_other(app: &App, tx: &Tx, tenant: TenantId, event: &Envelope) -> Result<(), Failure> {
    if let Some(entered) = event.read::<customer::SegmentEntered>()? {
        return enter(app, tx, tenant, entered, &event.id).await;
    }
    if let Some(left) = event.read::<customer::SegmentLeft>()? {
        return leave(app, tx, tenant, left).await;
    }
    if let Some(changed) = event.read::<customer::FactChanged>()? {
        return date(app, tx, tenant, changed).await;
    }
    if let Some(heard) = event.read::<customer::InboundReceived>()? {
        let at = Timestamp::from_micros(heard.time_micros);
        return inbound(app, tx, tenant, required(&heard.customer_id)?, at).await;
    }
    if let Some(order) = event.read::<customer::OrderRecorded>()? {
        let (customer, known) =
            customer_and_plans(tx, tenant, required(&order.customer_id)?).await?.ok_or_else(early)?;
        return planner::trigger(app, tx, &customer, &known, (&TriggerEvent::OrderRecorded, &event.id)).await;
    }
    Ok(())
}

async fn enter(
    app: &App,
    tx: &Tx,
    tenant: TenantId,
    entered: customer::SegmentEntered,
    event: &str,
) -> Result<(), Failure> {
    let (segment, id): (SegmentId, CustomerId) = (required(&entered.segment_id)?, required(&entered.customer_id)?);
    let customer = match &entered.facts {
        Some(facts) => Some(customers::take_in(app, tx, facts_of(tenant, facts)?, event).await?),
        None => projection::customer(tx, tenant, id, projection::Hold::Change).await?,
    };
    let news = projection::cross(tx, tenant, (segment, id), (entered.crossing, true)).await?;
    let (Some(customer), true) = (customer, news) else { return Ok(()) };
    let now = app.now(tx).await?;
    for plan in plans::of_segment(tx, tenant, segment).await? {
        planner::enrol(app, tx, &plan, &customer, now).await?;
    }
    Ok(())
}

async fn leave(app: &App, tx: &Tx, tenant: TenantId, left: customer::SegmentLeft) -> Result<(), Failure> {
    let (segment, id): (SegmentId, CustomerId) = (required(&left.segment_id)?, required(&left.customer_id)?);
    projection::customer(tx, tenant, id, projection::Hold::Change).await?;
    if !projection::cross(tx, tenant, (segment, id), (left.crossing, false)).await? {
        return Ok(());
    }
    let now = app.now(tx).await?;
    for plan in plans::of_segment(tx, tenant, segment).await? {
        let known = enrolments::lock(tx, tenant, Enrolment::id_of(tenant, plan.id, id)).await?;
        if let Some(enrolment) = known.filter(|known| known.state != EnrolmentState::Released) {
            planner::suspend(tx, enrolment, EnrolmentState::Released, Reason::Left, now).await?;
        }
    }
    Ok(())
}

async fn date(app: &App, tx: &Tx, tenant: TenantId, changed: customer::FactChanged) -> Result<(), Failure> {
    let id: CustomerId = required(&changed.customer_id)?;
    let known = customer_and_plans(tx, tenant, id).await?;
    let value = (changed.field.as_str(), changed.value.as_str());
    if !projection::save_date(tx, tenant, id, value, changed.version).await? {
        return Ok(());
    }
    let Some((customer, known)) = known else { return Ok(()) };
    for enrolment in known.into_iter().filter(|known| known.state == EnrolmentState::Active) {
        let version = planner::version(app, tx, (tenant, enrolment.plan, enrolment.plan_version)).await?;
        if version.is_some_and(|version| version.definition.watched_fields().contains(changed.field.as_str())) {
            planner::replan(app, tx, enrolment, &customer, Reason::DateChanged).await?;
        }
    }
    Ok(())
}

async fn inbound(app: &App, tx: &Tx, tenant: TenantId, id: CustomerId, at: Timestamp) -> Result<(), Failure> {
    let (customer, known) = customer_and_plans(tx, tenant, id).await?.ok_or_else(early)?;
    if customer.last_inbound_at.is_some_and(|last| last >= at) {
        return Ok(());
    }
    let customer = Customer { last_inbound_at: Some(at), ..customer };
    projection::save_customer(tx, &customer).await?;
    planner::heard(app, tx, &customer, &known).await
}

/// An event has overtaken the one that tells of its customer: it is applied again later.
fn early() -> Failure {
    Failure::unavailable("CUSTOMER_UNKNOWN", "the customer of the event is not known here yet")
}

/// A customer held for change and its enrolments; nothing when the customer is not known.
async fn customer_and_plans(
    tx: &Tx,
    tenant: TenantId,
    id: CustomerId,
) -> Result<Option<(Customer, Vec<Enrolment>)>, Failure> {
    let Some(customer) = projection::customer(tx, tenant, id, projection::Hold::Change).await? else { return Ok(None) };
    let known = enrolments::lock_of_customer(tx, tenant, id).await?;
    Ok(Some((customer, known)))
}

/// The customer that facts tell of. What is not part of them is left empty.
pub fn facts_of(tenant: TenantId, facts: &customer::CustomerFacts) -> Result<Customer, Failure> {
    let named = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Ok(Customer {
        tenant,
        id: required(&facts.customer_id)?,
        version: facts.version,
        owner: optional(&facts.owner_id)?,
        epoch: facts.ownership_epoch,
        department: optional(&facts.department_id)?,
        teams: facts.team_ids.iter().map(|team| required(team)).collect::<Result<_, _>>()?,
        stage: named(&facts.stage),
        grade: named(&facts.grade),
        vip: facts.vip,
        pooled: facts.pooled,
        deleted: facts.deleted,
        tags: facts.tags.clone(),
        auth_rev: facts.auth_rev,
        last_inbound_at: None,
    })
}

/// The person that a change tells of.
fn person(changed: &identity::UserChanged) -> Result<Person, Failure> {
    Ok(Person {
        id: required(&changed.user_id)?,
        version: changed.version,
        active: changed.state() == identity::SubjectState::Active,
        manager: optional(&changed.manager_id)?,
        department: optional(&changed.department_id)?,
        zone: changed.time_zone.clone(),
    })
}

/// The department that a change tells of.
pub fn department(changed: &identity::DepartmentChanged) -> Result<Department, Failure> {
    Ok(Department {
        id: required(&changed.department_id)?,
        version: changed.version,
        parent: optional(&changed.parent_id)?,
        head: optional(&changed.head_id)?,
    })
}

/// An id that a producer must have sent.
pub fn required<K>(text: &str) -> Result<Id<K>, Failure> {
    Uuid::try_parse(text).map(Id::from_uuid).map_err(Failure::internal)
}

/// An id that a producer may leave empty.
pub fn optional<K>(text: &str) -> Result<Option<Id<K>>, Failure> {
    if text.is_empty() { Ok(None) } else { required(text).map(Some) }
}
