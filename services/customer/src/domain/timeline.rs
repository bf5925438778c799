//! The timeline: which entries there are and which layer each belongs to.

use revisit_core::{
    Timestamp,
    id::{CustomerId, SubjectId, TenantId, TimelineEntryId},
};
use revisit_permission::Layer;
use uuid::Uuid;

/// Characters of a note at the most.
pub const NOTE_MAX: usize = 5_000;

/// The number is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EntryKind {
    Note = 1,
    Touch = 2,
    FollowUp = 3,
    Order = 4,
    Stage = 5,
    Owner = 6,
    Grade = 7,
    Record = 8,
}

impl EntryKind {
    pub fn from_stored(number: i16) -> Option<Self> {
        [Self::Note, Self::Touch, Self::FollowUp, Self::Order, Self::Stage, Self::Owner, Self::Grade, Self::Record]
            .into_iter()
            .find(|kind| *kind as i16 == number)
    }

    /// The layer of an entry that is not marked sensitive.
    pub const fn layer(self) -> Layer {
        match self {
            Self::Note | Self::Touch | Self::FollowUp => Layer::History,
            Self::Order => Layer::Financial,
            Self::Stage | Self::Owner | Self::Grade | Self::Record => Layer::Basic,
        }
    }
}

/// The number is stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    Inbound = 1,
    Outbound = 2,
}

impl Direction {
    pub fn from_stored(number: i16) -> Option<Self> {
        [Self::Inbound, Self::Outbound].into_iter().find(|direction| *direction as i16 == number)
    }
}

/// Ways to reach a customer.
pub const CHANNELS: [&str; 7] = ["phone", "wechat", "email", "sms", "meeting", "visit", "other"];

/// One entry. Its text is in clear in memory only.
#[derive(Clone)]
pub struct Entry {
    pub tenant: TenantId,
    pub id: TimelineEntryId,
    pub customer: CustomerId,
    pub kind: EntryKind,
    pub layer: Layer,
    pub happened_at: Timestamp,
    pub actor: Option<SubjectId>,
    pub channel: Option<String>,
    pub direction: Option<Direction>,
    pub text: Option<String>,
    pub from: Option<String>,
    pub to: Option<String>,
    pub reference: Option<Uuid>,
}

impl Entry {
    /// An entry of a kind with nothing but who and when.
    pub fn new(kind: EntryKind, tenant: TenantId, customer: CustomerId, id: TimelineEntryId, at: Timestamp) -> Self {
        Self {
            tenant,
            id,
            customer,
            kind,
            layer: kind.layer(),
            happened_at: at,
            actor: None,
            channel: None,
            direction: None,
            text: None,
            from: None,
            to: None,
            reference: None,
        }
    }

    pub fn by(mut self, actor: SubjectId) -> Self {
        self.actor = Some(actor);
        self
    }

    pub fn change(mut self, from: impl Into<Option<String>>, to: impl Into<Option<String>>) -> Self {
        self.from = from.into();
        self.to = to.into();
        self
    }

    pub fn about(mut self, reference: impl Into<Uuid>) -> Self {
        self.reference = Some(reference.into());
        self
    }
}
