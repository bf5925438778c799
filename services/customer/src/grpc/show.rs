//! To the wire: what of a customer the caller gets. This is the one place where levels become fields.
//!
//! A field of a hidden layer is left out; a masked one is what the mask leaves; a sensitive one is clear only when it
//! may be read and was asked for.

use revisit_bootstrap::wire;
use revisit_permission::{Layer, Level, Mask};
use revisit_proto::customer::v1 as pb;

use crate::{
    domain::{
        contact::{ContactPoint, ContactType},
        customer::CustomerKind,
        field::{Field, Value, decimal_text},
    },
    operations::View,
};

fn text<T: ToString>(value: Option<T>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

pub fn customer(view: &View) -> pb::Customer {
    let customer = &view.customer;
    let mut shown = pb::Customer {
        customer_id: customer.id.to_string(),
        contact_points: contact_points(view),
        fields: fields(view),
        etag: customer.etag(),
        levels: Layer::ALL
            .iter()
            .map(|layer| pb::LayerLevel {
                layer: layer.name().to_owned(),
                level: view.levels.get(*layer).name().to_owned(),
            })
            .collect(),
        ..pb::Customer::default()
    };
    if view.levels.reads(Layer::Financial) {
        shown.grade_reason = customer.grade_reason.clone().unwrap_or_default();
    }
    match view.levels.get(Layer::Basic) {
        Level::Hidden => {}
        Level::Masked => shown.name = Mask::Text.apply(&customer.name),
        Level::Read | Level::Write => basic(view, &mut shown),
    }
    shown
}

fn basic(view: &View, shown: &mut pb::Customer) {
    let customer = &view.customer;
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

fn contact_points(view: &View) -> Vec<pb::ContactPoint> {
    let level = view.levels.get(Layer::Sensitive);
    if level == Level::Hidden {
        return Vec::new();
    }
    let clear = level >= Level::Read && view.clear.contact_points;
    view.customer.contact_points.iter().map(|point| contact_point(point, clear)).collect()
}

fn contact_point(point: &ContactPoint, clear: bool) -> pb::ContactPoint {
    let kind = match point.kind {
        ContactType::Phone => pb::ContactType::Phone,
        ContactType::Wechat => pb::ContactType::Wechat,
        ContactType::Email => pb::ContactType::Email,
        ContactType::Company => pb::ContactType::Company,
        ContactType::RegistrationCode => pb::ContactType::RegistrationCode,
    };
    pb::ContactPoint {
        contact_point_id: point.id.to_string(),
        r#type: kind.into(),
        value: if clear { point.input.clone() } else { masked_contact(point) },
        normal_form: if clear { point.normal_form.clone() } else { String::new() },
        verified: point.verified,
        primary: point.primary,
    }
}

/// The masked form is that of the normal form, so that it does not tell how somebody typed.
pub fn masked_contact(point: &ContactPoint) -> String {
    let plain = if point.kind == ContactType::Company { &point.input } else { &point.normal_form };
    point.kind.mask().apply(plain)
}

fn fields(view: &View) -> Vec<pb::FieldValue> {
    let shown = view.fields.iter().filter_map(|field| {
        let value = view.customer.field(field.id)?;
        let value = match view.levels.get(field.layer) {
            Level::Hidden => return None,
            Level::Masked => masked(value),
            Level::Read | Level::Write if field.layer == Layer::Sensitive && !view.clear.field(&field.key) => {
                masked(value)
            }
            Level::Read | Level::Write => clear(value),
        };
        Some(pb::FieldValue { key: field.key.clone(), value: Some(value) })
    });
    shown.collect()
}

fn masked(value: &Value) -> pb::field_value::Value {
    let text = match value {
        Value::Text(text) => Mask::Text.apply(text),
        // Any part of a number or a date would narrow it down.
        Value::Number(_) | Value::Date(_) | Value::Choices(_) | Value::Truth(_) | Value::Money { .. } => {
            "****".to_owned()
        }
    };
    pb::field_value::Value::Masked(text)
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
    let Some(value) = view.customer.field(field.id) else { return String::new() };
    let level = view.levels.get(field.layer);
    let hide = level == Level::Masked || (field.layer == Layer::Sensitive && !view.clear.field(&field.key));
    if level == Level::Hidden {
        return String::new();
    }
    match if hide { masked(value) } else { clear(value) } {
        pb::field_value::Value::Text(text)
        | pb::field_value::Value::Number(text)
        | pb::field_value::Value::Date(text)
        | pb::field_value::Value::Masked(text) => text,
        pb::field_value::Value::Choices(choices) => choices.keys.join(";"),
        pb::field_value::Value::Truth(truth) => truth.to_string(),
        pb::field_value::Value::Money(money) => {
            let (whole, rest) = (money.minor_units / 100, (money.minor_units % 100).abs());
            format!("{whole}.{rest:02} {}", money.currency)
        }
    }
}
