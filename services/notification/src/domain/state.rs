//! The life of a delivery: which states follow each other, and what a call's outcome leads to.
//!
//! Every change goes through [`Progress::to`], which refuses an edge that the graph does not have. The store writes a
//! change by compare-and-set on (state, version) and adds one history row.

use std::{borrow::Cow, time::Duration};

use revisit_core::Timestamp;
use uuid::Uuid;

use super::{Error, kind::Channel, retry};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum State {
    Planned = 1,
    Held = 2,
    Ready = 3,
    Claimed = 4,
    Calling = 5,
    Accepted = 6,
    Delivered = 7,
    Read = 8,
    Suppressed = 9,
    Cancelled = 10,
    Expired = 11,
    Rejected = 12,
    Dead = 13,
    Unknown = 14,
}

impl State {
    pub const ALL: [Self; 14] = [
        Self::Planned,
        Self::Held,
        Self::Ready,
        Self::Claimed,
        Self::Calling,
        Self::Accepted,
        Self::Delivered,
        Self::Read,
        Self::Suppressed,
        Self::Cancelled,
        Self::Expired,
        Self::Rejected,
        Self::Dead,
        Self::Unknown,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Held => "held",
            Self::Ready => "ready",
            Self::Claimed => "claimed",
            Self::Calling => "calling",
            Self::Accepted => "accepted",
            Self::Delivered => "delivered",
            Self::Read => "read",
            Self::Suppressed => "suppressed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
            Self::Rejected => "rejected",
            Self::Dead => "dead",
            Self::Unknown => "unknown",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    pub fn numbered(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|state| *state as i32 == number)
    }

    /// The states that may follow. `Unknown` never leads back to `Ready`: whether the provider took the message is not
    /// known, so only a repeat under the same token may follow. Broadcasts will add the recall states here.
    pub const fn next(self) -> &'static [Self] {
        match self {
            Self::Planned => &[Self::Held, Self::Ready, Self::Suppressed, Self::Cancelled, Self::Expired],
            Self::Held => &[Self::Ready, Self::Held, Self::Suppressed, Self::Cancelled, Self::Expired],
            Self::Ready => &[Self::Claimed, Self::Held, Self::Suppressed, Self::Cancelled, Self::Expired],
            // The inbox needs no call: it is our own database, so a claimed message is delivered at once.
            Self::Claimed => &[
                Self::Calling,
                Self::Ready,
                Self::Held,
                Self::Delivered,
                Self::Suppressed,
                Self::Cancelled,
                Self::Expired,
                Self::Dead,
                Self::Unknown,
            ],
            Self::Calling => &[Self::Accepted, Self::Ready, Self::Rejected, Self::Expired, Self::Dead, Self::Unknown],
            Self::Unknown => &[Self::Claimed, Self::Accepted, Self::Rejected, Self::Dead],
            Self::Accepted => &[Self::Delivered, Self::Read],
            Self::Delivered => &[Self::Read],
            // A replay plans a dead letter anew.
            Self::Dead => &[Self::Planned],
            Self::Read | Self::Suppressed | Self::Cancelled | Self::Expired | Self::Rejected => &[],
        }
    }

    /// Whether no worker will touch it any more.
    pub const fn is_settled(self) -> bool {
        match self {
            Self::Planned | Self::Held | Self::Ready | Self::Claimed | Self::Calling => false,
            Self::Accepted
            | Self::Delivered
            | Self::Read
            | Self::Suppressed
            | Self::Cancelled
            | Self::Expired
            | Self::Rejected
            | Self::Dead
            | Self::Unknown => true,
        }
    }
}

/// What a call came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The provider took it.
    Accepted,
    /// Not called after all.
    NotCalled,
    /// Failed, and the provider cannot have taken it.
    Transient,
    /// The provider asks to come back at an instant.
    Throttled(Timestamp),
    /// The provider does not accept our credential.
    Credential,
    /// Refused for good.
    Permanent,
    /// The answer was lost: the provider may have taken it.
    Ambiguous,
}

impl Outcome {
    /// The number of the wire; 1 is a call that is under way.
    pub const fn number(self) -> i32 {
        match self {
            Self::Accepted => 2,
            Self::NotCalled => 3,
            Self::Transient => 4,
            Self::Throttled(_) => 5,
            Self::Credential => 6,
            Self::Permanent => 7,
            Self::Ambiguous => 8,
        }
    }
}

/// Which call an outcome is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Call {
    /// No call before it may have been taken.
    First,
    /// The answer to a call before it was lost: that one may have been taken, whatever becomes of this one.
    Repeat,
}

/// The part of a delivery that changes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Progress {
    pub state: State,
    /// A stable word; empty when there is nothing to say.
    pub reason: Cow<'static, str>,
    pub version: i64,
    /// Calls made.
    pub tries: u32,
    /// When a worker has to look at it again: the end of a hold, the next try, the end of a claim. None: never.
    pub due_at: Option<Timestamp>,
}

/// What stays the same over a delivery's life and decides about its retries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Terms {
    pub id: Uuid,
    pub channel: Channel,
    pub expires_at: Timestamp,
}

/// Where a call may still be repeated although its answer was lost.
const BLIND_REPEATS_MAX: u32 = 1;

impl Progress {
    pub const fn planned() -> Self {
        Self { state: State::Planned, reason: Cow::Borrowed(""), version: 1, tries: 0, due_at: None }
    }

    /// The one way to another state.
    pub fn to(&self, state: State, reason: &'static str, due_at: Option<Timestamp>) -> Result<Self, Error> {
        if !self.state.next().contains(&state) {
            return Err(Error::NoSuchEdge { from: self.state, to: state });
        }
        Ok(Self { state, reason: Cow::Borrowed(reason), version: self.version + 1, tries: self.tries, due_at })
    }

    /// The provider is about to be called; the claim ends at `until`.
    pub fn call(&self, until: Timestamp) -> Result<Self, Error> {
        let mut next = self.to(State::Calling, "", Some(until))?;
        next.tries = self.tries.saturating_add(1);
        Ok(next)
    }

    /// The outcome of the call that is under way, or of one whose answer comes late.
    pub fn settle(&self, terms: Terms, call: Call, outcome: Outcome, now: Timestamp) -> Result<Self, Error> {
        // A webhook carries its id, and its words do not depend on the hour: repeating it is trying it again.
        let call = if terms.channel == Channel::Email { call } else { Call::First };
        match outcome {
            Outcome::Accepted => self.to(State::Accepted, "", None),
            Outcome::Permanent => self.to(State::Rejected, "refused", None),
            // A late answer that settles nothing leaves it unknown.
            Outcome::NotCalled
            | Outcome::Transient
            | Outcome::Throttled(_)
            | Outcome::Credential
            | Outcome::Ambiguous
                if self.state == State::Unknown =>
            {
                Ok(self.clone())
            }
            Outcome::NotCalled => {
                let back = match call {
                    Call::First => State::Ready,
                    Call::Repeat => State::Unknown,
                };
                let mut next = self.to(back, "not_called", Some(now))?;
                next.tries = self.tries.saturating_sub(1);
                Ok(next)
            }
            Outcome::Transient => self.again((terms, call), "transient", now, now),
            Outcome::Credential => self.again((terms, call), "credential", now, now),
            Outcome::Throttled(until) => {
                self.again((terms, call), "throttled", until.min(now + retry::THROTTLE_MAX), now)
            }
            Outcome::Ambiguous => self.lost(terms, now),
        }
    }

    /// The claim's end has passed and nobody answered for it.
    pub fn reap(&self, terms: Terms, now: Timestamp) -> Result<Self, Error> {
        match self.state {
            State::Claimed => self.to(State::Ready, "claim_lost", Some(now)),
            State::Calling => self.lost(terms, now),
            State::Planned
            | State::Held
            | State::Ready
            | State::Accepted
            | State::Delivered
            | State::Read
            | State::Suppressed
            | State::Cancelled
            | State::Expired
            | State::Rejected
            | State::Dead
            | State::Unknown => Err(Error::NoSuchEdge { from: self.state, to: State::Ready }),
        }
    }

    /// The provider has not taken this call. Of a repeat that says nothing about the call that it repeats: what may
    /// have arrived stays unknown, with its words, and the next try says the same ones.
    fn again(
        &self,
        (terms, call): (Terms, Call),
        reason: &'static str,
        not_before: Timestamp,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let next = retry::next_try(terms.channel, terms.id, self.tries, now).map(|at| at.max(not_before));
        match (call, next) {
            (Call::Repeat, next) => self.to(State::Unknown, reason, next.filter(|at| *at < terms.expires_at)),
            (Call::First, None) => self.to(State::Dead, reason, None),
            (Call::First, Some(at)) if at >= terms.expires_at => self.to(State::Expired, reason, None),
            (Call::First, Some(at)) => self.to(State::Ready, reason, Some(at)),
        }
    }

    /// No answer is known. A webhook knows its id, so it may be repeated as often as its schedule says; SMTP is blind,
    /// so it is repeated once under the same Message-ID, which a mailbox folds, and then left as it is.
    fn lost(&self, terms: Terms, now: Timestamp) -> Result<Self, Error> {
        let repeats = match terms.channel {
            Channel::Webhook => true,
            Channel::Email => self.tries <= BLIND_REPEATS_MAX,
            Channel::Inbox => false,
        };
        let due =
            retry::next_try(terms.channel, terms.id, self.tries, now).filter(|at| repeats && *at < terms.expires_at);
        self.to(State::Unknown, "no_answer", due)
    }
}

/// How long a claim must last so that one provider call fits in with a margin on both sides.
pub const CLAIM_MARGIN: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;
