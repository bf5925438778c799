//! Showing what operations give, as the protos say it.

use revisit_bootstrap::wire::{time, time_optional};
use revisit_core::{Id, Timestamp};
use revisit_proto::notification::v1 as pb;

use crate::{
    domain::{Channel, MessageKind, QuietHours},
    operations::{
        deliveries::Told,
        endpoints::{Shown, Told as TheKey},
        inbox::Opened,
    },
    store::{
        deliveries::{Attempt, Count, Delivery, StateChange},
        preferences::{Policy, Preference},
        replays::Replay,
        templates::Template,
    },
};

fn id<K>(id: Option<Id<K>>) -> String {
    id.map(|id| id.to_string()).unwrap_or_default()
}

pub fn delivery(delivery: &Delivery) -> pb::Delivery {
    pb::Delivery {
        delivery_id: delivery.id.to_string(),
        intent_id: delivery.intent.to_string(),
        recipient_id: delivery.recipient.to_string(),
        kind: delivery.kind as i32,
        channel: delivery.channel as i32,
        endpoint_id: id(delivery.endpoint),
        state: delivery.progress.state as i32,
        reason: delivery.progress.reason.clone().into_owned(),
        customer_id: id(delivery.customer),
        task_id: id(delivery.task),
        tries: i32::try_from(delivery.progress.tries).unwrap_or(i32::MAX),
        last_code: delivery.last_code.clone(),
        token: delivery.token.clone(),
        next_time: time_optional(delivery.progress.due_at),
        expire_time: time_optional(Some(delivery.expires_at)),
        create_time: Some(time(delivery.created_at)),
        accept_time: time_optional(delivery.accepted_at),
        read_time: time_optional(delivery.read_at),
        etag: delivery.progress.version.to_string(),
        attempts: Vec::new(),
        history: Vec::new(),
    }
}

pub fn told(told: &Told) -> pb::Delivery {
    let attempts = (1..).zip(&told.attempts).map(|(number, one)| attempt(number, one)).collect();
    pb::Delivery { attempts, history: told.history.iter().map(change).collect(), ..delivery(&told.delivery) }
}

fn attempt(number: i32, attempt: &Attempt) -> pb::Attempt {
    pb::Attempt {
        attempt_id: attempt.id.to_string(),
        number,
        outcome: attempt.outcome,
        code: attempt.code.clone(),
        request_hash: attempt.request_hash.iter().map(|byte| format!("{byte:02x}")).collect(),
        start_time: Some(time(attempt.started_at)),
        latency_millis: attempt.latency_micros / 1_000,
    }
}

fn change(change: &StateChange) -> pb::StateChange {
    pb::StateChange {
        version: change.version,
        from: change.from as i32,
        to: change.to as i32,
        reason: change.reason.clone(),
        change_time: Some(time(change.at)),
    }
}

pub fn count(count: &Count) -> pb::DeliveryCount {
    pb::DeliveryCount {
        kind: count.kind as i32,
        channel: count.channel as i32,
        state: count.state as i32,
        count: count.count,
    }
}

pub fn replay(replay: &Replay) -> pb::Replay {
    pb::Replay {
        replay_id: replay.id.to_string(),
        done: replay.done,
        replayed_count: replay.replayed,
        create_time: Some(time(replay.created_at)),
    }
}

pub fn message(opened: Opened) -> pb::Message {
    let Opened { message, words } = opened;
    pb::Message {
        message_id: message.id.to_string(),
        sequence: message.sequence,
        kind: message.kind as i32,
        title: words.title,
        body: words.body,
        customer_id: id(message.customer),
        task_id: id(message.task),
        create_time: Some(time(message.created_at)),
        read_time: time_optional(message.read_at),
    }
}

pub fn template(template: Template) -> pb::Template {
    pb::Template {
        template_id: template.id.to_string(),
        kind: template.kind as i32,
        channel: template.channel as i32,
        locale: template.locale.name().to_owned(),
        text: template.text,
        layout: template.layout,
        shipped: template.shipped,
        update_time: Some(time(template.updated_at)),
        etag: template.version.to_string(),
    }
}

pub fn kind_rules(kind: MessageKind) -> pb::KindRules {
    let mut channels = vec![Channel::Inbox as i32];
    if kind.mailed_by_default() {
        channels.push(Channel::Email as i32);
    }
    pb::KindRules {
        kind: kind as i32,
        variables: kind.variables().iter().map(|(name, _)| (*name).to_owned()).collect(),
        critical: kind.is_critical(),
        default_channels: channels,
    }
}

pub fn preference(preference: &Preference) -> pb::UserPreferences {
    let kind = |(kind, mail): (&MessageKind, &bool)| {
        let mut channels = vec![Channel::Inbox as i32];
        if *mail {
            channels.push(Channel::Email as i32);
        }
        pb::KindPreference { kind: *kind as i32, channels }
    };
    pb::UserPreferences {
        kinds: preference.mail.iter().map(kind).collect(),
        quiet_hours: preference.quiet.map(QuietHours::texts).map(|(start, end)| pb::QuietHours { start, end }),
        update_time: time_optional(preference.updated_at.filter(|at| *at > Timestamp::default())),
        etag: preference.version.to_string(),
    }
}

pub fn policy(policy: Policy) -> pb::Policy {
    pb::Policy {
        critical_breaks_quiet: policy.critical_breaks_quiet,
        customer_welcome: policy.customer_welcome,
        digest: policy.digest,
        etag: policy.version.to_string(),
    }
}

pub fn endpoint(shown: &Shown) -> pb::Endpoint {
    let endpoint = &shown.endpoint;
    let state = if endpoint.enabled { pb::EndpointState::Enabled } else { pb::EndpointState::Disabled };
    let key = |key: &crate::store::endpoints::SealedKey| pb::EndpointKey {
        key_id: key.id.to_string(),
        algorithm: key.algorithm as i32,
        create_time: Some(time(key.created_at)),
    };
    pb::Endpoint {
        endpoint_id: endpoint.id.to_string(),
        url: endpoint.url.clone(),
        kinds: endpoint.kinds.iter().map(|kind| *kind as i32).collect(),
        state: state.into(),
        reason: endpoint.reason.clone(),
        keys: shown.keys.iter().map(key).collect(),
        create_time: Some(time(endpoint.created_at)),
        etag: endpoint.version.to_string(),
    }
}

pub fn created(told: &TheKey) -> pb::CreateEndpointResponse {
    pb::CreateEndpointResponse { endpoint: Some(endpoint(&told.shown)), verification_key: told.verification.clone() }
}

pub fn added(told: &TheKey) -> pb::AddEndpointKeyResponse {
    pb::AddEndpointKeyResponse { endpoint: Some(endpoint(&told.shown)), verification_key: told.verification.clone() }
}
