//! What happens to a delivery whose time has come: it may go out, waits, or does not go out at all.
//!
//! Asked when a delivery is planned and again when it is claimed, so that a late change of mind wins.

use chrono_tz::Tz;
use revisit_core::Timestamp;

use super::{
    kind::{Channel, MessageKind},
    quiet::QuietHours,
    state::{State, Terms},
};

/// What is known at this moment about recipient, tenant and receiver.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Standing {
    /// Whether the recipient may still be told anything.
    pub recipient: Recipient,
    /// Whether the recipient has mail of this kind switched on.
    pub mails: bool,
    /// When the recipient does not want to be disturbed.
    pub quiet: Option<QuietHours>,
    /// The recipient's zone.
    pub zone: Tz,
    /// Whether the tenant lets critical kinds break through quiet hours.
    pub critical_breaks_quiet: bool,
    /// Whether the endpoint is there and takes calls.
    pub endpoint_takes: bool,
    /// Whether the task that it is about is over.
    pub task_closed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Recipient {
    Reachable,
    /// Active, but there is no address for mail.
    WithoutAddress,
    /// Suspended, left, not yet active.
    Inactive,
}

/// Where a delivery goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Gate {
    /// It may go out now.
    Open,
    /// To another state, with the reason and the instant at which to look again.
    Turned(State, &'static str, Option<Timestamp>),
}

/// Decides. Nothing is dropped silently: what does not go out has a state and a reason, and the inbox has the message.
pub fn gate(terms: Terms, kind: MessageKind, standing: &Standing, now: Timestamp) -> Gate {
    if now >= terms.expires_at {
        return Gate::Turned(State::Expired, "expired", None);
    }
    if standing.task_closed && kind.ends_with_task() {
        return Gate::Turned(State::Cancelled, "task_closed", None);
    }
    if standing.recipient == Recipient::Inactive {
        return Gate::Turned(State::Suppressed, "recipient_inactive", None);
    }
    match terms.channel {
        Channel::Inbox => Gate::Open,
        Channel::Webhook if standing.endpoint_takes => Gate::Open,
        Channel::Webhook => Gate::Turned(State::Cancelled, "endpoint_disabled", None),
        Channel::Email if standing.recipient == Recipient::WithoutAddress => {
            Gate::Turned(State::Suppressed, "no_address", None)
        }
        Channel::Email if !standing.mails && !kind.is_warning() => Gate::Turned(State::Suppressed, "preference", None),
        Channel::Email => quiet(terms, kind, standing, now),
    }
}

fn quiet(terms: Terms, kind: MessageKind, standing: &Standing, now: Timestamp) -> Gate {
    let breaks_through = kind.is_warning() || (kind.is_critical() && standing.critical_breaks_quiet);
    let Some(quiet) = standing.quiet.filter(|quiet| !breaks_through && quiet.covers(standing.zone, now)) else {
        return Gate::Open;
    };
    let release = quiet.release(standing.zone, now, terms.id);
    if release >= terms.expires_at {
        return Gate::Turned(State::Suppressed, "quiet_past_expiry", None);
    }
    Gate::Turned(State::Held, "quiet_hours", Some(release))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use uuid::Uuid;

    use super::*;

    /// 2026-11-21 23:00 in Shanghai.
    const NIGHT: Timestamp = Timestamp::from_seconds(1_795_273_200);

    fn terms(channel: Channel) -> Terms {
        Terms { id: Uuid::from_u128(1), channel, expires_at: NIGHT + Duration::from_secs(86_400) }
    }

    fn standing() -> Standing {
        Standing {
            recipient: Recipient::Reachable,
            mails: true,
            quiet: QuietHours::parse("22:00", "07:00"),
            zone: chrono_tz::Asia::Shanghai,
            critical_breaks_quiet: false,
            endpoint_takes: true,
            task_closed: false,
        }
    }

    #[test]
    fn a_reminder_of_a_task_that_is_over_does_not_go_out() {
        let over = Standing { task_closed: true, ..standing() };
        let cancelled = Gate::Turned(State::Cancelled, "task_closed", None);
        assert_eq!(gate(terms(Channel::Inbox), MessageKind::TaskDue, &over, NIGHT), cancelled);
        assert_eq!(gate(terms(Channel::Inbox), MessageKind::OutcomeRecorded, &over, NIGHT), Gate::Open);
    }

    #[test]
    fn mail_in_quiet_hours_is_held_and_the_inbox_is_not() {
        let Gate::Turned(State::Held, "quiet_hours", Some(until)) =
            gate(terms(Channel::Email), MessageKind::TaskDue, &standing(), NIGHT)
        else {
            panic!("mail goes out at night");
        };
        assert!(until >= NIGHT + Duration::from_secs(8 * 3_600), "{until:?}");
        assert_eq!(gate(terms(Channel::Email), MessageKind::TaskDue, &standing(), until), Gate::Open);
        assert_eq!(gate(terms(Channel::Inbox), MessageKind::TaskDue, &standing(), NIGHT), Gate::Open);
    }

    #[test]
    fn a_critical_kind_breaks_through_only_where_the_tenant_allows_it() {
        let allowed = Standing { critical_breaks_quiet: true, ..standing() };
        let kind = MessageKind::TaskEscalated;
        assert_eq!(gate(terms(Channel::Email), kind, &allowed, NIGHT), Gate::Open);
        assert_ne!(gate(terms(Channel::Email), kind, &standing(), NIGHT), Gate::Open);
        assert_ne!(gate(terms(Channel::Email), MessageKind::TaskDue, &allowed, NIGHT), Gate::Open);
    }

    #[test]
    fn a_warning_is_mailed_at_night_and_against_every_preference() {
        let off = Standing { mails: false, ..standing() };
        assert_eq!(gate(terms(Channel::Email), MessageKind::PasswordLinkDrawn, &off, NIGHT), Gate::Open);
    }

    #[test]
    fn a_hold_that_would_outlast_the_message_leaves_it_to_the_inbox() {
        let short = Terms { expires_at: NIGHT + Duration::from_secs(3_600), ..terms(Channel::Email) };
        let gate = gate(short, MessageKind::TaskDue, &standing(), NIGHT);
        assert_eq!(gate, Gate::Turned(State::Suppressed, "quiet_past_expiry", None));
    }

    #[test]
    fn every_other_obstacle_has_a_state_and_a_reason() {
        let off = Standing { mails: false, ..standing() };
        let gone = Standing { recipient: Recipient::Inactive, ..standing() };
        let homeless = Standing { recipient: Recipient::WithoutAddress, ..standing() };
        let closed = Standing { endpoint_takes: false, ..standing() };
        let late = terms(Channel::Inbox).expires_at;
        let kind = MessageKind::TaskDue;
        let turned = |gate| match gate {
            Gate::Turned(state, reason, _) => (state, reason),
            Gate::Open => panic!("it went out"),
        };
        assert_eq!(turned(gate(terms(Channel::Email), kind, &off, NIGHT)), (State::Suppressed, "preference"));
        assert_eq!(turned(gate(terms(Channel::Inbox), kind, &gone, NIGHT)), (State::Suppressed, "recipient_inactive"));
        assert_eq!(turned(gate(terms(Channel::Email), kind, &homeless, NIGHT)), (State::Suppressed, "no_address"));
        assert_eq!(
            turned(gate(terms(Channel::Webhook), kind, &closed, NIGHT)),
            (State::Cancelled, "endpoint_disabled")
        );
        assert_eq!(turned(gate(terms(Channel::Inbox), kind, &standing(), late)), (State::Expired, "expired"));
        assert_eq!(gate(terms(Channel::Inbox), kind, &homeless, NIGHT), Gate::Open);
    }
}
