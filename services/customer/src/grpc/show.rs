//! To the wire: what of a customer the caller gets. This is the one place where levels become fields.
//!
//! A field of a hidden layer is left out; a masked one is what the mask leaves; a sensitive one is clear only when it
//! may be read and was asked for. Values come here veiled, so there is nothing else that could be put into an answer.

use revisit_bootstrap::wire;
use revisit_permission::{Layer, Shown, detection::kinds};
use revisit_proto::customer::v1 as pb;

use crate::{
    domain::{
        contact::{ContactPoint, ContactType, ContactValue},
        customer::{Customer, CustomerKind},
        field::{Field, Value, decimal_text},
    },
    operations::View,
};

fn text<T: ToString>(value: Option<T>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

pub fn customer(view: &View) -> pb::Customer {
    let mut shown = pb::Customer {
        customer_id: view.id().to_string(),
        contact_points: view.contact_points().filter_map(contact_point).collect(),
        fields: fields(view),
        etag: view.etag(),
        grade_reason: view.grade_reason().cloned().unwrap_or_default(),
        sensitive_findings: view.fields.iter().filter_map(|field| finding(view, field)).collect(),
        levels: Layer::ALL
            .iter()
            .map(|layer| pb::LayerLevel {
                layer: layer.name().to_owned(),
                level: view.levels.get(*layer).name().to_owned(),
            })
            .collect(),
        ..pb::Customer::default()
    };
    match view.basic() {
        Shown::Hidden => {}
        Shown::Masked(name) => shown.name = name,
        Shown::Clear(customer) => basic(customer, &mut shown),
    }
    shown
}

fn basic(customer: &Customer, shown: &mut pb::Customer) {
    shown.kind = match customer.kind {
        CustomerKind::Person => pb::CustomerKind::Person,
        CustomerKind::Company => pb::CustomerKind::Company,
    }
    .into();
    shown.name = customer.name.clone();
    shown.owner_id = text(customer.owner);
    shown.department_id = text(customer.department);
    shown.ownership_epoch = customer.ownership_epoch;
    shown.stage = customer.stage.clone();
    shown.grade = text(customer.grade.as_deref());
    shown.vip = customer.vip;
    shown.pooled = customer.pooled;
    shown.tags = customer.tags.clone();
    shown.city = text(customer.city.as_deref());
    shown.source = text(customer.source.as_deref());
    shown.birthday = text(customer.birthday.as_deref());
    shown.contract_end = text(customer.contract_end.as_deref());
    shown.external_id = text(customer.external_id.as_deref());
    shown.team_ids = customer.teams.iter().map(ToString::to_string).collect();
    shown.create_time = Some(wire::time(customer.created_at));
    shown.update_time = Some(wire::time(customer.updated_at));
    shown.delete_time = wire::time_optional(customer.deleted_at);
}

fn contact_point((point, value): (&ContactPoint, Shown<'_, ContactValue>)) -> Option<pb::ContactPoint> {
    let kind = match point.kind {
        ContactType::Phone => pb::ContactType::Phone,
        ContactType::Wechat => pb::ContactType::Wechat,
        ContactType::Email => pb::ContactType::Email,
        ContactType::Company => pb::ContactType::Company,
        ContactType::RegistrationCode => pb::ContactType::RegistrationCode,
    };
    let (value, normal_form) = match value {
        Shown::Hidden => return None,
        Shown::Masked(masked) => (masked, String::new()),
        Shown::Clear(clear) => (clear.input.clone(), clear.normal_form.clone()),
    };
    Some(pb::ContactPoint {
        contact_point_id: point.id.to_string(),
        r#type: kind.into(),
        value,
        normal_form,
        verified: point.verified,
        primary: point.primary,
    })
}

fn fields(view: &View) -> Vec<pb::FieldValue> {
    let shown = |field: &Field| Some(pb::FieldValue { key: field.key.clone(), value: Some(value(view, field)?) });
    view.fields.iter().filter_map(shown).collect()
}

/// What was found in a text that the reader gets in clear. A sensitive one is expected to be so.
fn finding(view: &View, field: &Field) -> Option<pb::SensitiveFinding> {
    let Value::Text(text) = view.value(field).clear().filter(|_| field.layer != Layer::Sensitive)? else { return None };
    let kinds: Vec<i32> = kinds(text).into_iter().map(|kind| kind as i32).collect();
    (!kinds.is_empty()).then(|| pb::SensitiveFinding { field: format!("fields.{}", field.key), kinds })
}

fn value(view: &View, field: &Field) -> Option<pb::field_value::Value> {
    match view.value(field) {
        Shown::Hidden => None,
        Shown::Masked(masked) => Some(pb::field_value::Value::Masked(masked)),
        Shown::Clear(value) => Some(clear(value)),
    }
}

fn clear(value: &Value) -> pb::field_value::Value {
    use pb::field_value::Value as Shown;
    match value {
        Value::Text(text) => Shown::Text(text.clone()),
        Value::Number(number) => Shown::Number(decimal_text(*number)),
        Value::Date(date) => Shown::Date(date.clone()),
        Value::Choices(keys) => Shown::Choices(pb::Choices { keys: keys.clone() }),
        Value::Truth(truth) => Shown::Truth(*truth),
        Value::Money { minor_units, currency } => {
            Shown::Money(pb::Money { minor_units: *minor_units, currency: currency.clone() })
        }
    }
}

/// A value as text, for an export: as far as the caller gets it.
pub fn field_text(view: &View, field: &Field) -> String {
    use pb::field_value::Value as Shown;
    match value(view, field) {
        None => String::new(),
        Some(Shown::Text(text) | Shown::Number(text) | Shown::Date(text) | Shown::Masked(text)) => text,
        Some(Shown::Choices(choices)) => choices.keys.join(";"),
        Some(Shown::Truth(truth)) => truth.to_string(),
        Some(Shown::Money(money)) => {
            let (whole, rest) = (money.minor_units / 100, (money.minor_units % 100).abs());
            format!("{whole}.{rest:02} {}", money.currency)
        }
    }
}
