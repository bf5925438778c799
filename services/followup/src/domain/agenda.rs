//! The reminders of a task as a list of moments, and what a timer does when one comes.

use revisit_core::Timestamp;

/// What a timer does when it fires. The order is the order at one instant.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum TimerKind {
    /// The window begins.
    Open,
    /// The lent access is renewed for another day.
    Extend,
    /// A reminder before due; the number tells several apart.
    Before(u8),
    Due,
    Overdue,
    Escalate,
}

impl TimerKind {
    /// As stored; never reuse a number.
    #[must_use]
    pub const fn code(self) -> i16 {
        match self {
            Self::Open => 0,
            Self::Extend => 1,
            Self::Before(number) => 10 + number as i16,
            Self::Due => 300,
            Self::Overdue => 310,
            Self::Escalate => 320,
        }
    }

    #[must_use]
    pub fn parse(code: i16) -> Option<Self> {
        match code {
            0 => Some(Self::Open),
            1 => Some(Self::Extend),
            300 => Some(Self::Due),
            310 => Some(Self::Overdue),
            320 => Some(Self::Escalate),
            10..300 => u8::try_from(code - 10).ok().map(Self::Before),
            _ => None,
        }
    }
}

/// An instant and what happens at it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Moment {
    pub at: Timestamp,
    pub kind: TimerKind,
}

/// The reminders of a task, in order. Fixed when the task is planned, so that firing needs no calendar.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Agenda(Vec<Moment>);

impl Agenda {
    #[must_use]
    pub fn of(mut moments: Vec<Moment>) -> Self {
        moments.sort();
        moments.dedup();
        Self(moments)
    }

    /// As stored: `code@micros`, separated by spaces.
    #[must_use]
    pub fn text(&self) -> String {
        let parts: Vec<_> = self.0.iter().map(|m| format!("{}@{}", m.kind.code(), m.at.micros())).collect();
        parts.join(" ")
    }

    /// None when the text is not of this form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let moment = |part: &str| {
            let (code, at) = part.split_once('@')?;
            Some(Moment { at: Timestamp::from_micros(at.parse().ok()?), kind: TimerKind::parse(code.parse().ok()?)? })
        };
        text.split_whitespace().map(moment).collect::<Option<_>>().map(Self)
    }

    /// The first that comes after a moment.
    #[must_use]
    pub fn after(&self, moment: Moment) -> Option<Moment> {
        self.0.iter().copied().find(|later| *later > moment)
    }

    #[cfg(test)]
    pub fn moments(&self) -> &[Moment] {
        &self.0
    }
}
