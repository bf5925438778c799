//! The timeline: which entries there are and which layer each belongs to.

use revisit_core::{
    Timestamp,
    id::{CustomerId, SubjectId, TenantId, TimelineEntryId},
};
use revisit_permission::{
    Clarity, Layer, Levels, Mask, Maskable, Purpose, Veiled,
    detection::{SensitiveKind, kinds, masked},
};
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

/// What an entry says.
#[derive(Clone, Default)]
pub struct Words {
    pub text: Option<String>,
    pub from: Option<String>,
    pub to: Option<String>,
}

impl Words {
    /// What somebody gets who reads their layer: sensitive values in the text belong to the sensitive one, and are clear
    /// only when they may be read and were asked for.
    pub fn within(&self, levels: &Levels, clarity: Clarity) -> Self {
        let clear = levels.discloses(clarity);
        let text = self.text.as_deref().map(|text| if clear { text.to_owned() } else { masked(text) });
        Self { text, ..self.clone() }
    }
}

impl Maskable for Words {
    type Masked = Self;

    /// Who reads a layer masked learns that something happened, when and by whom.
    fn masked(&self) -> Self {
        let whole = |value: &String| Mask::Whole.apply(value);
        Self {
            text: self.text.as_deref().map(|text| Mask::Text.apply(text)),
            from: self.from.as_ref().map(whole),
            to: self.to.as_ref().map(whole),
        }
    }
}

/// One entry. What it says is in clear in memory only, and veiled there under the entry's layer.
#[derive(Clone)]
pub struct Entry {
    pub tenant: TenantId,
    pub id: TimelineEntryId,
    pub customer: CustomerId,
    pub kind: EntryKind,
    pub words: Veiled<Words>,
    pub happened_at: Timestamp,
    pub actor: Option<SubjectId>,
    pub channel: Option<String>,
    pub direction: Option<Direction>,
    pub reference: Option<Uuid>,
}

impl Entry {
    /// Kinds of sensitive values in the text, as far as somebody reads it.
    pub fn sensitive_kinds(&self, levels: &Levels) -> Vec<SensitiveKind> {
        let words = levels.show(&self.words, Clarity::Usual).clear();
        words.and_then(|words| words.text.as_deref()).map(kinds).unwrap_or_default()
    }

    /// An entry of a kind with nothing but who and when.
    pub fn new(kind: EntryKind, tenant: TenantId, customer: CustomerId, id: TimelineEntryId, at: Timestamp) -> Self {
        Self {
            tenant,
            id,
            customer,
            kind,
            words: Veiled::new(kind.layer(), Words::default()),
            happened_at: at,
            actor: None,
            channel: None,
            direction: None,
            reference: None,
        }
    }

    pub fn by(mut self, actor: SubjectId) -> Self {
        self.actor = Some(actor);
        self
    }

    pub fn change(self, from: impl Into<Option<String>>, to: impl Into<Option<String>>) -> Self {
        let (layer, words) = (self.words.layer(), Words { text: None, from: from.into(), to: to.into() });
        Self { words: Veiled::new(layer, words), ..self }
    }

    pub fn text(self, text: Option<String>) -> Self {
        let layer = self.words.layer();
        Self { words: Veiled::new(layer, Words { text, ..Words::default() }), ..self }
    }

    /// The same for supervisors alone.
    pub fn reviewed(self) -> Self {
        Self { words: Veiled::new(Layer::Review, self.words.lift(Purpose::Entrust).clone()), ..self }
    }

    pub fn about(mut self, reference: impl Into<Uuid>) -> Self {
        self.reference = Some(reference.into());
        self
    }
}
