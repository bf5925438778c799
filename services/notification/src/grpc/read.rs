//! Reading requests: every rule is checked here, all violations are told at once, and nothing a caller sends can panic.

use std::collections::BTreeMap;

use prost_types::FieldMask;
use revisit_bootstrap::{idempotency::Repeatable, wire};
use revisit_core::{
    Failure, Id, Input,
    id::{DeliveryId, EndpointId, TemplateId},
    page::Page,
};
use revisit_proto::notification::v1 as pb;
use uuid::Uuid;

use crate::{
    domain::{Channel, Locale, MessageKind, QuietHours, State, outbound::Outbound, signature::Algorithm},
    operations::{
        endpoints::{Change as EndpointChange, New},
        preferences::{Change as PreferenceChange, PolicyChange},
        templates::Change as TemplateChange,
    },
    store::{deliveries::Filter, templates::Key},
};

/// Entries of one list of a filter at the most.
const LIST_MAX: usize = 20;
/// Messages of one mark at the most.
const MARK_MAX: usize = 1_000;

/// A result, unless a rule is broken.
fn finish<T>(input: Input, value: T) -> Result<T, Failure> {
    input.finish().map(|()| value)
}

fn kind(input: &mut Input, field: &str, number: i32) -> MessageKind {
    MessageKind::numbered(number).unwrap_or_else(|| {
        input.refuse(field, if number == 0 { "is required" } else { "is not a known message kind" });
        MessageKind::Welcome
    })
}

fn kinds(input: &mut Input, field: &str, numbers: &[i32]) -> Vec<MessageKind> {
    input.require(numbers.len() <= LIST_MAX, field, "must have at most 20 entries");
    let mut kinds: Vec<_> = numbers
        .iter()
        .take(LIST_MAX)
        .enumerate()
        .map(|(index, number)| kind(input, &format!("{field}[{index}]"), *number))
        .collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

fn channel(input: &mut Input, field: &str, number: i32) -> Channel {
    Channel::numbered(number).unwrap_or_else(|| {
        input.refuse(field, if number == 0 { "is required" } else { "is not a known channel" });
        Channel::Inbox
    })
}

fn locale(input: &mut Input, field: &str, text: &str) -> Locale {
    Locale::parse(text).unwrap_or_else(|| {
        input.refuse(field, if text.is_empty() { "is required" } else { "must be zh-CN or en" });
        Locale::English
    })
}

/// An etag is the version; empty means that it is not compared.
fn version(input: &mut Input, field: &str, etag: &str) -> Option<i64> {
    if etag.is_empty() {
        return None;
    }
    let read = etag.parse().ok();
    input.require(read.is_some(), field, "is not an etag of this service");
    read
}

/// The paths of a mask, which must name at least one of the known fields and no other.
fn mask(input: &mut Input, mask: Option<FieldMask>, known: &[&str]) -> Vec<String> {
    let paths = mask.map(|mask| mask.paths).unwrap_or_default();
    input.require(!paths.is_empty(), "update_mask", "is required");
    for (index, path) in paths.iter().enumerate().take(LIST_MAX) {
        if !known.contains(&path.as_str()) {
            input.refuse(format!("update_mask.paths[{index}]"), format!("must be one of: {}", known.join(", ")));
        }
    }
    paths
}

fn filter(input: &mut Input, filter: Option<pb::DeliveryFilter>) -> Filter {
    let filter = filter.unwrap_or_default();
    let lists = [("states", filter.states.len()), ("kinds", filter.kinds.len()), ("channels", filter.channels.len())];
    for (list, length) in lists {
        input.require(length <= LIST_MAX, &format!("filter.{list}"), "must have at most 20 entries");
    }
    let mut states = Vec::new();
    for (index, number) in filter.states.iter().enumerate().take(LIST_MAX) {
        match State::numbered(*number) {
            Some(state) => states.push(state.name().to_owned()),
            None => input.refuse(format!("filter.states[{index}]"), "is not a known state"),
        }
    }
    let kinds = kinds(input, "filter.kinds", &filter.kinds);
    let channels: Vec<_> = filter
        .channels
        .iter()
        .enumerate()
        .take(LIST_MAX)
        .map(|(index, number)| channel(input, &format!("filter.channels[{index}]"), *number).name().to_owned())
        .collect();
    let recipient: Option<Id<revisit_core::id::kind::Subject>> =
        input.id_optional("filter.recipient_id", &filter.recipient_id);
    let task: Option<Id<revisit_core::id::kind::Task>> = input.id_optional("filter.task_id", &filter.task_id);
    let endpoint: Option<EndpointId> = input.id_optional("filter.endpoint_id", &filter.endpoint_id);
    let ends = (("filter.from_time", filter.from_time), ("filter.until_time", filter.until_time));
    let (from, until) = wire::read_window(input, ends.0, ends.1);
    Filter {
        states,
        kinds: kinds.into_iter().map(|kind| kind.name().to_owned()).collect(),
        channels,
        recipient: recipient.map(Id::uuid),
        task: task.map(Id::uuid),
        endpoint: endpoint.map(Id::uuid),
        unseen: Vec::new(),
        from_micros: from.map(|at| at.micros()),
        until_micros: until.map(|at| at.micros()),
    }
}

pub fn delivery_id(message: &pb::GetDeliveryRequest) -> Result<DeliveryId, Failure> {
    let mut input = Input::default();
    let id = input.id("delivery_id", &message.delivery_id);
    finish(input, id)
}

pub fn list_deliveries(message: pb::ListDeliveriesRequest) -> Result<(Filter, Page), Failure> {
    let mut input = Input::default();
    let filter = filter(&mut input, message.filter);
    let page = Page::read(&mut input, message.page_size, &message.page_token, &[&format!("{filter:?}")]);
    finish(input, (filter, page))
}

pub fn count_deliveries(message: pb::CountDeliveriesRequest) -> Result<Filter, Failure> {
    let mut input = Input::default();
    let filter = filter(&mut input, message.filter);
    finish(input, filter)
}

pub fn replay(message: pb::ReplayDeliveriesRequest) -> Result<(Filter, Option<Repeatable>), Failure> {
    let mut input = Input::default();
    let repeat = Repeatable::read(&mut input, &message.request_id, "ReplayDeliveries", &message);
    input.require(!message.request_id.is_empty(), "request_id", "is required");
    let filter = filter(&mut input, message.filter);
    let dead = filter.states.iter().all(|state| state == State::Dead.name());
    input.require(dead, "filter.states", "must be empty or DEAD");
    finish(input, (filter, repeat))
}

pub fn replay_id(message: &pb::GetReplayRequest) -> Result<Id<revisit_core::id::kind::Job>, Failure> {
    let mut input = Input::default();
    let id = input.id("replay_id", &message.replay_id);
    finish(input, id)
}

pub fn list_messages(message: &pb::ListMessagesRequest) -> Result<Page, Failure> {
    let mut input = Input::default();
    let shape = if message.unread_only { "unread" } else { "all" };
    let page = Page::read(&mut input, message.page_size, &message.page_token, &[shape]);
    finish(input, page)
}

pub fn mark_read(message: &pb::MarkReadRequest) -> Result<Vec<DeliveryId>, Failure> {
    let mut input = Input::default();
    input.require(!message.message_ids.is_empty(), "message_ids", "is required");
    let ids = input.ids("message_ids", &message.message_ids, MARK_MAX);
    finish(input, ids)
}

pub fn watch(message: &pb::WatchMessagesRequest) -> Result<i64, Failure> {
    let mut input = Input::default();
    let after = input.number("after_sequence", message.after_sequence, 0..=i64::MAX);
    finish(input, after)
}

pub fn template_id(message: &pb::GetTemplateRequest) -> Result<TemplateId, Failure> {
    let mut input = Input::default();
    let id = input.id("template_id", &message.template_id);
    finish(input, id)
}

/// Which templates are listed.
type Which = (Option<MessageKind>, Option<Locale>);

pub fn list_templates(message: &pb::ListTemplatesRequest) -> Result<(Which, Page), Failure> {
    let mut input = Input::default();
    let kind = (message.kind != 0).then(|| kind(&mut input, "kind", message.kind));
    let locale = (!message.locale.is_empty()).then(|| locale(&mut input, "locale", &message.locale));
    let shape = [kind.map_or("", MessageKind::name), locale.map_or("", Locale::name)];
    let page = Page::read(&mut input, message.page_size, &message.page_token, &shape);
    finish(input, ((kind, locale), page))
}

pub fn update_template(message: pb::UpdateTemplateRequest) -> Result<TemplateChange, Failure> {
    let mut input = Input::default();
    let template = input.required("template", message.template).unwrap_or_default();
    let paths = mask(&mut input, message.update_mask, &["text", "layout"]);
    let named = |path: &str| paths.iter().any(|one| one == path);
    let change = TemplateChange {
        id: input.id("template.template_id", &template.template_id),
        version: version(&mut input, "template.etag", &template.etag),
        text: named("text").then_some(template.text),
        layout: named("layout").then_some(template.layout),
    };
    finish(input, change)
}

pub fn preview(message: &pb::PreviewTemplateRequest) -> Result<Key, Failure> {
    let mut input = Input::default();
    let channel = channel(&mut input, "channel", message.channel);
    input.require(channel != Channel::Webhook, "channel", "has no templates");
    let key = (kind(&mut input, "kind", message.kind), channel, locale(&mut input, "locale", &message.locale));
    input.require(!message.text.is_empty(), "text", "is required");
    input.require(!message.layout.is_empty(), "layout", "is required");
    finish(input, key)
}

pub fn update_preferences(message: pb::UpdatePreferencesRequest) -> Result<PreferenceChange, Failure> {
    let mut input = Input::default();
    let new = input.required("preferences", message.preferences).unwrap_or_default();
    let paths = mask(&mut input, message.update_mask, &["kinds", "quiet_hours"]);
    let named = |path: &str| paths.iter().any(|one| one == path);
    let mut mail = BTreeMap::new();
    input.require(new.kinds.len() <= LIST_MAX, "preferences.kinds", "must have at most 20 entries");
    for (index, entry) in new.kinds.iter().enumerate().take(LIST_MAX) {
        let field = format!("preferences.kinds[{index}]");
        let kind = kind(&mut input, &format!("{field}.kind"), entry.kind);
        let mut on = false;
        for (place, number) in entry.channels.iter().enumerate().take(LIST_MAX) {
            let path = format!("{field}.channels[{place}]");
            let channel = channel(&mut input, &path, *number);
            input.require(channel != Channel::Webhook, &path, "is the tenant's and not a user's");
            on |= channel == Channel::Email;
        }
        if mail.insert(kind, on).is_some() {
            input.refuse(format!("{field}.kind"), "is named twice");
        }
    }
    let quiet = new.quiet_hours.map(|quiet| {
        let read = QuietHours::parse(&quiet.start, &quiet.end);
        let rule = "must be two different times as HH:MM";
        input.require(read.is_some(), "preferences.quiet_hours", rule);
        read
    });
    let change = PreferenceChange {
        mail: named("kinds").then_some(mail),
        quiet: named("quiet_hours").then_some(quiet.flatten()),
        version: version(&mut input, "preferences.etag", &new.etag),
    };
    finish(input, change)
}

pub fn update_policy(message: pb::UpdatePolicyRequest) -> Result<PolicyChange, Failure> {
    let mut input = Input::default();
    let new = input.required("policy", message.policy).unwrap_or_default();
    let known = ["critical_breaks_quiet", "customer_welcome", "digest"];
    let paths = mask(&mut input, message.update_mask, &known);
    let named = |path: &str| paths.iter().any(|one| one == path);
    let change = PolicyChange {
        critical_breaks_quiet: named("critical_breaks_quiet").then_some(new.critical_breaks_quiet),
        customer_welcome: named("customer_welcome").then_some(new.customer_welcome),
        digest: named("digest").then_some(new.digest),
        version: version(&mut input, "policy.etag", &new.etag),
    };
    finish(input, change)
}

fn url(input: &mut Input, outbound: &Outbound, text: &str) -> String {
    match outbound.read_url(text) {
        Ok(url) => url.into(),
        Err(rule) => {
            input.refuse("endpoint.url", rule);
            String::new()
        }
    }
}

fn algorithm(input: &mut Input, number: i32) -> Algorithm {
    if number == 0 {
        return Algorithm::Hmac;
    }
    Algorithm::numbered(number).unwrap_or_else(|| {
        input.refuse("algorithm", "is not a known algorithm");
        Algorithm::Hmac
    })
}

pub fn create_endpoint(
    message: &pb::CreateEndpointRequest,
    outbound: &Outbound,
) -> Result<(New, Option<Repeatable>), Failure> {
    let mut input = Input::default();
    let repeat = Repeatable::read(&mut input, &message.request_id, "CreateEndpoint", message);
    let endpoint = input.required("endpoint", message.endpoint.clone()).unwrap_or_default();
    let new = New {
        url: url(&mut input, outbound, &endpoint.url),
        kinds: kinds(&mut input, "endpoint.kinds", &endpoint.kinds),
        algorithm: algorithm(&mut input, message.algorithm),
    };
    finish(input, (new, repeat))
}

pub fn endpoint_id(text: &str) -> Result<EndpointId, Failure> {
    let mut input = Input::default();
    let id = input.id("endpoint_id", text);
    finish(input, id)
}

pub fn list_endpoints(message: &pb::ListEndpointsRequest) -> Result<Page, Failure> {
    let mut input = Input::default();
    let page = Page::read(&mut input, message.page_size, &message.page_token, &["endpoints"]);
    finish(input, page)
}

pub fn update_endpoint(message: pb::UpdateEndpointRequest, outbound: &Outbound) -> Result<EndpointChange, Failure> {
    let mut input = Input::default();
    let new = input.required("endpoint", message.endpoint).unwrap_or_default();
    let paths = mask(&mut input, message.update_mask, &["url", "kinds", "state"]);
    let named = |path: &str| paths.iter().any(|one| one == path);
    let enabled = named("state").then(|| match new.state() {
        pb::EndpointState::Enabled if new.state == pb::EndpointState::Enabled as i32 => true,
        pb::EndpointState::Disabled => false,
        pb::EndpointState::Enabled | pb::EndpointState::Unspecified => {
            input.refuse("endpoint.state", "must be ENABLED or DISABLED");
            false
        }
    });
    let change = EndpointChange {
        id: input.id("endpoint.endpoint_id", &new.endpoint_id),
        version: version(&mut input, "endpoint.etag", &new.etag),
        url: named("url").then(|| url(&mut input, outbound, &new.url)),
        kinds: named("kinds").then(|| kinds(&mut input, "endpoint.kinds", &new.kinds)),
        enabled,
    };
    finish(input, change)
}

pub fn delete_endpoint(message: &pb::DeleteEndpointRequest) -> Result<(EndpointId, Option<i64>), Failure> {
    let mut input = Input::default();
    let id = input.id("endpoint_id", &message.endpoint_id);
    let version = version(&mut input, "etag", &message.etag);
    finish(input, (id, version))
}

pub fn add_key(message: &pb::AddEndpointKeyRequest) -> Result<((EndpointId, Algorithm), Option<Repeatable>), Failure> {
    let mut input = Input::default();
    let repeat = Repeatable::read(&mut input, &message.request_id, "AddEndpointKey", message);
    let what = (input.id("endpoint_id", &message.endpoint_id), algorithm(&mut input, message.algorithm));
    finish(input, (what, repeat))
}

pub fn remove_key(message: &pb::RemoveEndpointKeyRequest) -> Result<(EndpointId, Uuid), Failure> {
    let mut input = Input::default();
    let id = input.id("endpoint_id", &message.endpoint_id);
    let key: Id<revisit_core::id::kind::Endpoint> = input.id("key_id", &message.key_id);
    finish(input, (id, key.uuid()))
}
