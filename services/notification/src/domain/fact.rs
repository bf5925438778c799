//! What messages are told beside ids: the closed list of facts, and the layer of each.

use revisit_permission::Layer;

use super::template::{Value, Values};

/// A fact of a message. Its name is stored with the message, and is what webhooks call it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fact {
    /// Who did it.
    Actor,
    /// Whose task it is.
    Assignee,
    /// Whose customer it is.
    Owner,
    PlanName,
    DueMicros,
    ContactChannel,
    /// What came of a follow-up.
    Result,
    Date,
    DueCount,
    OverdueCount,
    /// Which rule of the audit was broken.
    Rule,
    Counted,
    Minutes,
}

impl Fact {
    pub const ALL: [Self; 13] = [
        Self::Actor,
        Self::Assignee,
        Self::Owner,
        Self::PlanName,
        Self::DueMicros,
        Self::ContactChannel,
        Self::Result,
        Self::Date,
        Self::DueCount,
        Self::OverdueCount,
        Self::Rule,
        Self::Counted,
        Self::Minutes,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Actor => "actor_id",
            Self::Assignee => "assignee_id",
            Self::Owner => "owner_id",
            Self::PlanName => "plan_name",
            Self::DueMicros => "due_micros",
            Self::ContactChannel => "contact_channel",
            Self::Result => "result",
            Self::Date => "date",
            Self::DueCount => "due_count",
            Self::OverdueCount => "overdue_count",
            Self::Rule => "rule",
            Self::Counted => "counted",
            Self::Minutes => "minutes",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fact| fact.name() == name)
    }

    /// Its layer: of the customer that the message is about, where it is about one.
    pub const fn layer(self) -> Layer {
        match self {
            Self::Result => Layer::History,
            Self::Actor
            | Self::Assignee
            | Self::Owner
            | Self::PlanName
            | Self::DueMicros
            | Self::ContactChannel
            | Self::Date
            | Self::DueCount
            | Self::OverdueCount
            | Self::Rule
            | Self::Counted
            | Self::Minutes => Layer::Basic,
        }
    }
}

/// The layer of a fact as it was stored. One that this version does not know is sensitive.
pub fn layer_of(name: &str) -> Layer {
    Fact::parse(name).map_or(Layer::Sensitive, Fact::layer)
}

/// Facts with their values.
pub fn facts<const N: usize>(told: [(Fact, Value); N]) -> Values {
    told.into_iter().map(|(fact, value)| (fact.name().to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::MessageKind;

    /// Variables that no fact has the name of: made of ids and instants for the one who reads them.
    const MADE: [&str; 6] =
        ["recipient_name", "customer_name", "due_time", "actor_name", "assignee_name", "owner_name"];

    #[test]
    fn a_fact_that_nobody_has_classified_is_sensitive() {
        for unknown in ["", "phone", "Result", "customer_name", "amount"] {
            assert_eq!(layer_of(unknown), Layer::Sensitive, "{unknown}");
        }
    }

    #[test]
    fn every_fact_that_a_kind_says_is_known_and_the_result_alone_is_of_the_history() {
        for fact in Fact::ALL {
            assert_eq!(Fact::parse(fact.name()), Some(fact));
            let layer = if fact == Fact::Result { Layer::History } else { Layer::Basic };
            assert_eq!(layer_of(fact.name()), layer, "{}", fact.name());
        }
        for kind in MessageKind::ALL {
            for (variable, _) in kind.variables() {
                let made = MADE.contains(variable);
                assert_eq!(Fact::parse(variable).is_none(), made, "{}: {variable}", kind.name());
            }
        }
    }
}
