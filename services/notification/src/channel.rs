//! Channels: what a provider is asked and what its answer means. A channel decides nothing about retries.

pub mod email;
pub mod resolve;
pub mod webhook;

use crate::domain::Outcome;

/// What a call came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    pub outcome: Outcome,
    /// The provider's code, or a word of ours when there was none.
    pub code: String,
    /// The receiver says that it is gone for good: nothing more goes there.
    pub gone: bool,
}

impl Answer {
    pub fn new(outcome: Outcome, code: impl Into<String>) -> Self {
        Self { outcome, code: code.into(), gone: false }
    }
}
