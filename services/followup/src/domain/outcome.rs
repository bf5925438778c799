//! What came of a task: its result, and who may see it when it is sensitive.

use revisit_core::{
    Timestamp,
    id::{CustomerId, SubjectId, TaskId, TenantId},
};
use revisit_permission::{Layer, Maskable, Veiled};

use super::{Error, task::Channel};

/// Where the review of a sensitive outcome stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Review {
    NotNeeded,
    Pending,
    Approved,
    SentBack,
}

impl Review {
    /// As stored.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotNeeded => "not_needed",
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::SentBack => "sent_back",
        }
    }

    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::NotNeeded, Self::Pending, Self::Approved, Self::SentBack]
            .into_iter()
            .find(|review| review.name() == name)
    }
}

/// The outcome of one task. Its notes are stored beside it, sealed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outcome {
    pub tenant: TenantId,
    pub task: TaskId,
    pub customer: Option<CustomerId>,
    pub recorded_by: SubjectId,
    pub recorded_at: Timestamp,
    pub answer: Veiled<Answer>,
    pub channel: Option<Channel>,
    pub next_contact_at: Option<Timestamp>,
    pub review: Review,
    pub reviewed_by: Option<SubjectId>,
}

/// What the customer said.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// Key of the result.
    pub result: String,
    pub satisfaction: Option<i16>,
}

impl Maskable for Answer {
    /// A part of a key would be the key.
    type Masked = ();

    fn masked(&self) {}
}

impl Outcome {
    /// The layer of an answer: a sensitive one is for supervisors alone.
    #[must_use]
    pub const fn layer(sensitive: bool) -> Layer {
        if sensitive { Layer::Review } else { Layer::History }
    }

    /// Whether only supervisors see what was said.
    #[must_use]
    pub fn sensitive(&self) -> bool {
        self.answer.layer() == Layer::Review
    }

    /// A supervisor's word. Nobody reviews an outcome of their own.
    pub fn reviewed(mut self, by: SubjectId, approved: bool) -> Result<Self, Error> {
        if self.review == Review::NotNeeded {
            return Err(Error::NoReview);
        }
        if self.recorded_by == by {
            return Err(Error::OwnReview);
        }
        self.review = if approved { Review::Approved } else { Review::SentBack };
        self.reviewed_by = Some(by);
        Ok(self)
    }
}

/// A note as it is recorded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note {
    pub layer: Layer,
    pub text: String,
}

/// An issue as it is raised.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Issue {
    pub title: String,
    pub assignee: Option<SubjectId>,
    pub due_within_minutes: u32,
}
