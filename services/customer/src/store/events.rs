//! What this service says happened: basic-layer facts only, in the transaction that made them true.

use revisit_bootstrap::database::Tx;
use revisit_core::id::TenantId;
use revisit_event::Draft;
use revisit_proto::customer::v1 as pb;
use uuid::Uuid;

use super::save::Change;
use crate::domain::{customer::Customer, stage::Scheme};

fn text<T: Into<Uuid>>(id: Option<T>) -> String {
    id.map(|id| id.into().to_string()).unwrap_or_default()
}

/// What other services project of a customer.
pub fn facts(customer: &Customer) -> pb::CustomerFacts {
    pb::CustomerFacts {
        customer_id: customer.id.to_string(),
        version: customer.version,
        owner_id: text(customer.owner),
        ownership_epoch: customer.ownership_epoch,
        department_id: text(customer.department),
        team_ids: customer.teams.iter().map(ToString::to_string).collect(),
        stage: customer.stage.clone(),
        grade: customer.grade.clone().unwrap_or_default(),
        vip: customer.vip,
        pooled: customer.pooled,
        tags: customer.tags.clone(),
        auth_rev: customer.auth_rev,
        deleted: customer.deleted_at.is_some(),
    }
}

/// Says what a change was. A change of owner is told by `owner_changed`, anything else that is projected by
/// `customer_changed`; both when both happened, because consumers of the one do not read the other.
pub fn emit(tx: &Tx, change: &Change) {
    let after = &change.after;
    let facts = Some(facts(after));
    let Some(before) = &change.before else {
        tx.emit(draft(after, &pb::CustomerCreated { facts }));
        return;
    };
    if before.owner != after.owner
        || before.department != after.department
        || before.ownership_epoch != after.ownership_epoch
    {
        tx.emit(draft(
            after,
            &pb::OwnerChanged {
                facts: facts.clone(),
                former_owner_id: text(before.owner),
                reason: change.handover.reason.clone(),
                audit_group_id: text(change.handover.audit_group),
            },
        ));
    }
    let former = |before: &str, after: &str| if before == after { String::new() } else { before.to_owned() };
    let grade = |customer: &Customer| customer.grade.clone().unwrap_or_default();
    let projected = before.stage != after.stage
        || before.grade != after.grade
        || (before.vip, before.pooled) != (after.vip, after.pooled)
        || before.tags != after.tags
        || before.teams != after.teams
        || before.deleted_at.is_some() != after.deleted_at.is_some();
    if projected {
        tx.emit(draft(
            after,
            &pb::CustomerChanged {
                facts,
                former_stage: former(&before.stage, &after.stage),
                former_grade: former(&grade(before), &grade(after)),
                added_tags: after.tags.iter().filter(|tag| !before.tags.contains(tag)).cloned().collect(),
            },
        ));
    }
}

/// Says which stages there are: identity compares what rules name with them.
pub fn stages_changed(tx: &Tx, tenant: TenantId, scheme: &Scheme) {
    let names = scheme.stages.iter().map(|stage| stage.name.clone()).collect();
    let event = pb::StagesChanged { names, version: scheme.version };
    tx.emit(Draft::new(tenant, tenant.uuid(), scheme.version, &event));
}

/// An event about a customer.
pub fn draft<M: prost::Name>(customer: &Customer, message: &M) -> Draft {
    Draft::new(customer.tenant, customer.id.uuid(), customer.version, message)
}
