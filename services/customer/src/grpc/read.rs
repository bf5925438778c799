//! From the wire: every rule of a message is checked and all violations are told at once.

use revisit_bootstrap::{idempotency::Repeatable, wire::read_time};
use revisit_core::{Failure, Input, page::Page};
use revisit_permission::{Action, Resource};
use revisit_proto::customer::v1 as pb;

use crate::{
    domain::{
        contact::{CONTACT_POINTS_MAX, ContactDraft, ContactType},
        customer::{CustomerKind, Draft},
        field::{self, Value},
        filter,
        normal::Region,
    },
    operations::{
        Clear,
        access::{WhoMay, Why},
        change::{Asked, Mask},
        customers::List,
    },
    store::load::{Order, Place, SortKey},
};

pub fn kind(input: &mut Input, field: &str, number: i32) -> Option<CustomerKind> {
    match pb::CustomerKind::try_from(number) {
        Ok(pb::CustomerKind::Person) => Some(CustomerKind::Person),
        Ok(pb::CustomerKind::Company) => Some(CustomerKind::Company),
        Ok(pb::CustomerKind::Unspecified) => None,
        Err(_) => {
            input.refuse(field, "is not a known value");
            None
        }
    }
}

fn contact_type(input: &mut Input, field: &str, number: i32) -> ContactType {
    match pb::ContactType::try_from(number) {
        Ok(pb::ContactType::Phone) => ContactType::Phone,
        Ok(pb::ContactType::Wechat) => ContactType::Wechat,
        Ok(pb::ContactType::Email) => ContactType::Email,
        Ok(pb::ContactType::Company) => ContactType::Company,
        Ok(pb::ContactType::RegistrationCode) => ContactType::RegistrationCode,
        Ok(pb::ContactType::Unspecified) => {
            input.refuse(field, "is required");
            ContactType::Company
        }
        Err(_) => {
            input.refuse(field, "is not a known value");
            ContactType::Company
        }
    }
}

pub fn contact_points(input: &mut Input, points: &[pb::ContactPoint], region: Region) -> Vec<ContactDraft> {
    if points.len() > CONTACT_POINTS_MAX {
        input.refuse("contact_points", format!("must have at most {CONTACT_POINTS_MAX} entries"));
        return Vec::new();
    }
    let read = points.iter().enumerate().map(|(index, point)| ContactDraft {
        id: input.id_optional(&format!("contact_points[{index}].contact_point_id"), &point.contact_point_id),
        kind: contact_type(input, &format!("contact_points[{index}].type"), point.r#type),
        input: point.value.clone(),
        region,
        verified: point.verified,
        primary: point.primary,
    });
    read.collect()
}

fn value(input: &mut Input, path: &str, sent: &pb::FieldValue) -> Option<Value> {
    use pb::field_value::Value as Sent;
    match sent.value.as_ref()? {
        Sent::Text(text) => Some(Value::Text(text.clone())),
        Sent::Number(text) => match field::decimal(text) {
            Ok(number) => Some(Value::Number(number)),
            Err(rule) => {
                input.refuse(path, rule);
                None
            }
        },
        Sent::Date(date) => Some(Value::Date(date.clone())),
        Sent::Choices(choices) => Some(Value::Choices(choices.keys.clone())),
        Sent::Truth(truth) => Some(Value::Truth(*truth)),
        Sent::Money(money) => Some(Value::Money { minor_units: money.minor_units, currency: money.currency.clone() }),
        Sent::Masked(_) => {
            input.refuse(path, "is output only");
            None
        }
    }
}

/// A customer as sent, cleaned; violations stand under `customer`.
pub fn draft(outer: &mut Input, customer: Option<pb::Customer>, region: Region) -> Draft {
    let Some(sent) = outer.required("customer", customer) else { return Draft::default() };
    let mut input = Input::default();
    let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let mut draft = Draft {
        kind: kind(&mut input, "kind", sent.kind),
        name: sent.name.clone(),
        contact_points: contact_points(&mut input, &sent.contact_points, region),
        owner: input.id_optional("owner_id", &sent.owner_id),
        department: input.id_optional("department_id", &sent.department_id),
        stage: text(&sent.stage),
        vip: sent.vip,
        tags: sent.tags.clone(),
        city: text(&sent.city),
        source: text(&sent.source),
        birthday: text(&sent.birthday),
        contract_end: text(&sent.contract_end),
        external_id: text(&sent.external_id),
        fields: Vec::new(),
    };
    if sent.fields.len() > field::FIELDS_MAX {
        input.refuse("fields", "has more entries than there can be fields");
    } else {
        for sent in &sent.fields {
            let path = format!("fields.{}", sent.key);
            if draft.fields.iter().any(|(key, _)| *key == sent.key) {
                input.refuse(path.clone(), "occurs twice");
            }
            let value = value(&mut input, &path, sent);
            draft.fields.push((sent.key.clone(), value));
        }
    }
    draft.clean(&mut input);
    outer.nest("customer", input);
    draft
}

pub fn create(message: pb::CreateCustomerRequest, region: Region) -> Result<(Draft, Option<Repeatable>), Failure> {
    let mut input = Input::default();
    let repeat = Repeatable::read(&mut input, &message.request_id, "CreateCustomer", &message);
    if let Some(customer) = &message.customer {
        let known = kind(&mut Input::default(), "", customer.kind).is_some();
        let unknown = pb::CustomerKind::try_from(customer.kind).is_err();
        input.require(known || unknown, "customer.kind", "is required");
    }
    let draft = draft(&mut input, message.customer, region);
    input.finish()?;
    Ok((draft, repeat))
}

pub fn upsert(message: pb::UpsertCustomerRequest, region: Region) -> Result<(Draft, Option<Repeatable>), Failure> {
    let mut input = Input::default();
    let repeat = Repeatable::read(&mut input, &message.request_id, "UpsertCustomer", &message);
    let external = message.customer.as_ref().is_some_and(|customer| !customer.external_id.is_empty());
    input.require(external, "customer.external_id", "is required");
    let draft = draft(&mut input, message.customer, region);
    input.finish()?;
    Ok((draft, repeat))
}

/// The version that an etag names; an empty one names none.
pub fn etag(input: &mut Input, etag: &str) -> Option<i64> {
    if etag.is_empty() {
        return None;
    }
    let version = etag.parse().ok().filter(|version: &i64| *version >= 0);
    input.require(version.is_some(), "etag", "was not made by this service");
    version
}

pub fn etag_required(input: &mut Input, text: &str) -> Option<i64> {
    input.require(!text.is_empty(), "etag", "is required");
    etag(input, text)
}

/// Which clear values a read mask asks for. Other paths are allowed and change nothing: all fields are answered.
pub fn clear(input: &mut Input, mask: Option<prost_types::FieldMask>) -> Clear {
    let mut clear = Clear::default();
    let paths = mask.map(|mask| mask.paths).unwrap_or_default();
    if paths.len() > field::FIELDS_MAX {
        input.refuse("read_mask", "has too many paths");
    }
    for path in paths {
        match path.as_str() {
            "contact_points" => clear.contact_points = true,
            "fields" => clear.all_fields = true,
            other => match other.strip_prefix("fields.") {
                Some(key) if field::is_key(key) => clear.fields.push(key.to_owned()),
                Some(_) => input.refuse("read_mask", "names a field that cannot be"),
                None => input.require(is_path(other), "read_mask", "names an unknown path"),
            },
        }
    }
    clear
}

fn is_path(path: &str) -> bool {
    filter::Builtin::ALL.iter().any(|(known, _)| *known == path)
        || matches!(path, "*" | "customer_id" | "grade_reason" | "team_ids" | "delete_time" | "etag" | "levels")
}

pub type Update = (revisit_core::id::CustomerId, Draft, Mask, Asked);

pub fn update(message: pb::UpdateCustomerRequest, region: Region) -> Result<Update, Failure> {
    let mut input = Input::default();
    let repeat = Repeatable::read(&mut input, &message.request_id, "UpdateCustomer", &message);
    let etag = etag_required(&mut input, &message.etag);
    let sent = message.customer.clone().unwrap_or_default();
    let id = input.id("customer.customer_id", &sent.customer_id);
    let paths = message.update_mask.map(|mask| mask.paths).unwrap_or_default();
    input.require(!paths.is_empty(), "update_mask", "is required");
    let (mask, keys) = mask(&mut input, &paths);
    // What the mask leaves out is neither checked nor written.
    let kept = masked(sent, &mask, &keys);
    input.require(!mask.kind || kept.kind != 0, "customer.kind", "is required");
    let named = mask.name;
    let kept = if named { kept } else { pb::Customer { name: "-".to_owned(), ..kept } };
    let mut draft = draft(&mut input, Some(kept), region);
    for key in keys.iter().filter(|key| !draft.fields.iter().any(|(sent, _)| sent == *key)).cloned().collect::<Vec<_>>()
    {
        draft.fields.push((key, None));
    }
    input.finish()?;
    Ok((id, draft, mask, Asked { etag, repeat }))
}

fn mask(input: &mut Input, paths: &[String]) -> (Mask, Vec<String>) {
    let (mut mask, mut keys) = (Mask::default(), Vec::new());
    for path in paths {
        match path.as_str() {
            "kind" => mask.kind = true,
            "name" => mask.name = true,
            "contact_points" => mask.contact_points = true,
            "vip" => mask.vip = true,
            "city" => mask.city = true,
            "source" => mask.source = true,
            "birthday" => mask.birthday = true,
            "contract_end" => mask.contract_end = true,
            "external_id" => mask.external_id = true,
            "fields" => mask.all_fields = true,
            other => match other.strip_prefix("fields.") {
                Some(key) if field::is_key(key) && keys.len() < field::FIELDS_MAX => keys.push(key.to_owned()),
                Some(_) | None => input.refuse("update_mask", "names a path that cannot be written"),
            },
        }
    }
    (mask, keys)
}

fn masked(sent: pb::Customer, mask: &Mask, keys: &[String]) -> pb::Customer {
    let text = |masked: bool, text: String| if masked { text } else { String::new() };
    let named = |value: &pb::FieldValue| mask.all_fields || keys.contains(&value.key);
    pb::Customer {
        kind: if mask.kind { sent.kind } else { 0 },
        name: text(mask.name, sent.name),
        contact_points: if mask.contact_points { sent.contact_points } else { Vec::new() },
        vip: mask.vip && sent.vip,
        city: text(mask.city, sent.city),
        source: text(mask.source, sent.source),
        birthday: text(mask.birthday, sent.birthday),
        contract_end: text(mask.contract_end, sent.contract_end),
        external_id: text(mask.external_id, sent.external_id),
        fields: sent.fields.into_iter().filter(named).collect(),
        ..pb::Customer::default()
    }
}

/// Reads a list; also answers the page, which writes the next token.
pub fn list(message: pb::ListCustomersRequest) -> Result<(List, Page), Failure> {
    let mut input = Input::default();
    let order = order(&mut input, &message.order_by);
    let deleted = if message.deleted { "deleted" } else { "" };
    let shape = [message.filter.as_str(), message.order_by.as_str(), deleted];
    let page = Page::read(&mut input, message.page_size, &message.page_token, &shape);
    let after = page.after.as_deref().map(|bytes| Place::read(bytes, order.key));
    if after == Some(None) {
        input.refuse("page_token", "was not made by this list");
    }
    let clear = clear(&mut input, message.read_mask);
    input.finish()?;
    let size = page.size as usize;
    let list = List { filter: message.filter, order, deleted: message.deleted, after: after.flatten(), size, clear };
    Ok((list, page))
}

fn order(input: &mut Input, text: &str) -> Order {
    let (key, descending) = text.strip_suffix(" desc").map_or((text, false), |key| (key, true));
    let key = match key {
        "" => return Order::NEWEST_FIRST,
        "create_time" => SortKey::CreateTime,
        "update_time" => SortKey::UpdateTime,
        "name" => SortKey::Name,
        _ => {
            input.refuse("order_by", "must be create_time, update_time or name, with ` desc` for descending");
            SortKey::CreateTime
        }
    };
    Order { key, descending }
}

/// Who may see a customer, unless something else is asked.
pub fn who_may(message: pb::ListSubjectsWithAccessRequest) -> Result<WhoMay, Failure> {
    let mut input = Input::default();
    let customer = input.id("customer_id", &message.customer_id);
    let action = action(&mut input, &message.action);
    let at = read_time(&mut input, "at_time", message.at_time);
    input.finish()?;
    Ok(WhoMay { customer, action, at, page_size: message.page_size, page_token: message.page_token })
}

/// Why somebody may see a customer, unless something else is asked.
pub fn why(message: &pb::ExplainAccessRequest) -> Result<Why, Failure> {
    let mut input = Input::default();
    let why = Why {
        customer: input.id("customer_id", &message.customer_id),
        subject: input.id_optional("subject_id", &message.subject_id),
        action: action(&mut input, &message.action),
    };
    input.finish()?;
    Ok(why)
}

/// An action on customers; to see one when none is named.
fn action(input: &mut Input, text: &str) -> Action {
    let named = if text.is_empty() { Some(Action::CustomerView) } else { Action::parse(text) };
    let action = named.filter(|action| action.resource() == Resource::Customer);
    input.require(action.is_some(), "action", "is not a known action on customers");
    action.unwrap_or(Action::CustomerView)
}
