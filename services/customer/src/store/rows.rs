//! Between rows and the domain: every column is named once on the way in and once on the way out.

use revisit_core::{
    Timestamp,
    id::{CustomerId, DepartmentId, FieldId, JobId, SubjectId, TaskId, TeamId, TenantId},
};
use revisit_permission::{Layer, Level, Levels, Purpose, TaskHolder, Veiled};

use super::entity::{customer, field_value, task_holder};
use crate::domain::{
    customer::{Customer, CustomerKind},
    field::{Field, FieldType, Value},
};

pub fn customer(row: customer::Model) -> Customer {
    Customer {
        tenant: TenantId::from_uuid(row.tenant_id),
        id: CustomerId::from_uuid(row.customer_id),
        kind: CustomerKind::from_stored(row.kind),
        name: row.name,
        contact_points: Vec::new(),
        owner: row.owner_id.map(SubjectId::from_uuid),
        department: row.department_id.map(DepartmentId::from_uuid),
        teams: Vec::new(),
        task_holders: Vec::new(),
        ownership_epoch: row.ownership_epoch,
        stage: row.stage,
        grade: row.grade,
        grade_reason: row.grade_reason.map(|reason| Veiled::new(Layer::Financial, reason)),
        graded_at: Timestamp::from_micros(row.graded_at),
        vip: row.vip,
        pooled: row.pooled,
        tags: Vec::new(),
        fields: Vec::new(),
        city: row.city,
        source: row.source,
        birthday: row.birthday,
        contract_end: row.contract_end,
        external_id: row.external_id,
        created_at: Timestamp::from_micros(row.created_at),
        updated_at: Timestamp::from_micros(row.updated_at),
        deleted_at: row.deleted_at.map(Timestamp::from_micros),
        version: row.version,
        auth_rev: row.auth_rev,
        import_job: row.import_job_id.map(JobId::from_uuid),
        import_version: row.import_version,
    }
}

pub fn customer_row(customer: &Customer) -> customer::Model {
    customer::Model {
        tenant_id: customer.tenant.uuid(),
        customer_id: customer.id.uuid(),
        kind: customer.kind as i16,
        name: customer.name.clone(),
        owner_id: customer.owner.map(SubjectId::uuid),
        department_id: customer.department.map(DepartmentId::uuid),
        ownership_epoch: customer.ownership_epoch,
        stage: customer.stage.clone(),
        grade: customer.grade.clone(),
        grade_reason: customer.grade_reason.as_ref().map(|reason| reason.lift(Purpose::Store).clone()),
        graded_at: customer.graded_at.micros(),
        vip: customer.vip,
        pooled: customer.pooled,
        city: customer.city.clone(),
        source: customer.source.clone(),
        birthday: customer.birthday.clone(),
        contract_end: customer.contract_end.clone(),
        external_id: customer.external_id.clone(),
        created_at: customer.created_at.micros(),
        updated_at: customer.updated_at.micros(),
        deleted_at: customer.deleted_at.map(Timestamp::micros),
        version: customer.version,
        auth_rev: customer.auth_rev,
        import_job_id: customer.import_job.map(JobId::uuid),
        import_version: customer.import_version,
    }
}

/// Names of layers, separated by blanks: what a task lends to read.
pub fn layers_text(layers: &Levels) -> String {
    let lent = Layer::ALL.iter().filter(|layer| layers.reads(**layer)).map(|layer| layer.name());
    lent.collect::<Vec<_>>().join(" ")
}

pub fn layers(text: &str) -> Levels {
    let lent = text.split_ascii_whitespace().filter_map(Layer::parse);
    lent.fold(Levels::HIDDEN, |levels, layer| levels.with(layer, Level::Read))
}

pub fn task_holder(row: &task_holder::Model) -> TaskHolder {
    TaskHolder {
        task: TaskId::from_uuid(row.task_id),
        generation: row.generation,
        subject: row.subject_id.map(SubjectId::from_uuid),
        layers: layers(&row.layers),
        until: Timestamp::from_micros(row.until_at),
    }
}

pub fn team(id: uuid::Uuid) -> TeamId {
    TeamId::from_uuid(id)
}

/// A value that does not lie sealed. A several-choices value has one row per choice.
pub fn value(rows: &[field_value::Model], kind: FieldType) -> Option<Value> {
    let first = rows.first()?;
    match kind {
        FieldType::Text => first.text_value.clone().map(Value::Text),
        FieldType::Number => first.number_value.map(Value::Number),
        FieldType::Date => first.date_value.clone().map(Value::Date),
        FieldType::Choice | FieldType::Choices => {
            Some(Value::Choices(rows.iter().filter_map(|row| row.text_value.clone()).collect()))
        }
        FieldType::Truth => first.truth_value.map(Value::Truth),
        FieldType::Money => first
            .minor_value
            .zip(first.currency_value.clone())
            .map(|(minor_units, currency)| Value::Money { minor_units, currency }),
    }
}

/// The rows of a value; what a sealed one contains is put into the first row by the caller.
pub fn value_rows(customer: &Customer, field: FieldId, value: Option<&Value>) -> Vec<field_value::Model> {
    let row = |ordinal: usize| field_value::Model {
        tenant_id: customer.tenant.uuid(),
        customer_id: customer.id.uuid(),
        field_id: field.uuid(),
        ordinal: i32::try_from(ordinal).unwrap_or(i32::MAX),
        text_value: None,
        number_value: None,
        date_value: None,
        truth_value: None,
        minor_value: None,
        currency_value: None,
        sealed: None,
    };
    let mut first = row(0);
    match value {
        None => {}
        Some(Value::Text(text)) => first.text_value = Some(text.clone()),
        Some(Value::Number(number)) => first.number_value = Some(*number),
        Some(Value::Date(date)) => first.date_value = Some(date.clone()),
        Some(Value::Truth(truth)) => first.truth_value = Some(*truth),
        Some(Value::Money { minor_units, currency }) => {
            first.minor_value = Some(*minor_units);
            first.currency_value = Some(currency.clone());
        }
        Some(Value::Choices(keys)) => {
            let rows = keys.iter().enumerate();
            return rows
                .map(|(ordinal, key)| field_value::Model { text_value: Some(key.clone()), ..row(ordinal) })
                .collect();
        }
    }
    vec![first]
}

/// A value as it is sealed: its type is the field's, so it needs no mark.
pub fn sealed_text(value: &Value) -> String {
    match value {
        Value::Text(text) | Value::Date(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Truth(truth) => truth.to_string(),
        Value::Choices(keys) => keys.join("\u{1f}"),
        Value::Money { minor_units, currency } => format!("{minor_units}\u{1f}{currency}"),
    }
}

pub fn from_sealed(field: &Field, text: &str) -> Option<Value> {
    match field.kind {
        FieldType::Text => Some(Value::Text(text.to_owned())),
        FieldType::Date => Some(Value::Date(text.to_owned())),
        FieldType::Number => text.parse().ok().map(Value::Number),
        FieldType::Truth => text.parse().ok().map(Value::Truth),
        FieldType::Choice | FieldType::Choices => {
            Some(Value::Choices(text.split('\u{1f}').map(str::to_owned).collect()))
        }
        FieldType::Money => {
            let (minor_units, currency) = text.split_once('\u{1f}')?;
            Some(Value::Money { minor_units: minor_units.parse().ok()?, currency: currency.to_owned() })
        }
    }
}
