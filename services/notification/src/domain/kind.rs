//! What messages can be about: the closed list of kinds, and what the templates of each may say.

use revisit_core::Timestamp;

/// What a message is about. The number is the one of the wire and never changes its meaning.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum MessageKind {
    Welcome = 1,
    TaskOpened = 2,
    TaskBefore = 3,
    TaskDue = 4,
    TaskOverdue = 5,
    TaskEscalated = 6,
    TaskMoved = 7,
    OutcomeRecorded = 8,
    CustomerAssigned = 9,
    CustomersHandedOver = 10,
    Digest = 11,
    CustomerWelcome = 12,
    PasswordLinkDrawn = 13,
    AlertRaised = 14,
}

/// A way to reach a recipient. The number is the one of the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Channel {
    Inbox = 1,
    Email = 2,
    Webhook = 3,
}

/// What to do with a message when its recipient may not see the customer that it is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WhenHidden {
    /// Say it without the name: there is work to do all the same.
    Unnamed,
    /// Say nothing: the message is only about that customer.
    Suppress,
}

/// A variable of a kind, with the value that templates are tried with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sample {
    Text(&'static str),
    Number(i64),
}

impl MessageKind {
    pub const ALL: [Self; 14] = [
        Self::Welcome,
        Self::TaskOpened,
        Self::TaskBefore,
        Self::TaskDue,
        Self::TaskOverdue,
        Self::TaskEscalated,
        Self::TaskMoved,
        Self::OutcomeRecorded,
        Self::CustomerAssigned,
        Self::CustomersHandedOver,
        Self::Digest,
        Self::CustomerWelcome,
        Self::PasswordLinkDrawn,
        Self::AlertRaised,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Welcome => "welcome",
            Self::TaskOpened => "task_opened",
            Self::TaskBefore => "task_before",
            Self::TaskDue => "task_due",
            Self::TaskOverdue => "task_overdue",
            Self::TaskEscalated => "task_escalated",
            Self::TaskMoved => "task_moved",
            Self::OutcomeRecorded => "outcome_recorded",
            Self::CustomerAssigned => "customer_assigned",
            Self::CustomersHandedOver => "customers_handed_over",
            Self::Digest => "digest",
            Self::CustomerWelcome => "customer_welcome",
            Self::PasswordLinkDrawn => "password_link_drawn",
            Self::AlertRaised => "alert_raised",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    pub fn numbered(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as i32 == number)
    }

    /// Critical kinds may break through quiet hours when the tenant allows it.
    pub const fn is_critical(self) -> bool {
        matches!(self, Self::TaskEscalated | Self::AlertRaised)
    }

    /// Whether it warns of what somebody else may do in the recipient's name: no preference holds its mail back.
    pub const fn is_warning(self) -> bool {
        matches!(self, Self::PasswordLinkDrawn)
    }

    /// Whether the texts name a customer, so that the recipient's right to it is decided before sending.
    pub const fn names_customer(self) -> bool {
        match self {
            Self::TaskOpened
            | Self::TaskBefore
            | Self::TaskDue
            | Self::TaskOverdue
            | Self::TaskEscalated
            | Self::TaskMoved
            | Self::OutcomeRecorded
            | Self::CustomerAssigned => true,
            // A customer's own greeting takes name and address in one question when it is sent.
            Self::Welcome
            | Self::CustomersHandedOver
            | Self::Digest
            | Self::CustomerWelcome
            | Self::PasswordLinkDrawn
            | Self::AlertRaised => false,
        }
    }

    pub const fn when_hidden(self) -> WhenHidden {
        match self {
            Self::OutcomeRecorded | Self::CustomerAssigned => WhenHidden::Suppress,
            Self::Welcome
            | Self::TaskOpened
            | Self::TaskBefore
            | Self::TaskDue
            | Self::TaskOverdue
            | Self::TaskEscalated
            | Self::TaskMoved
            | Self::CustomersHandedOver
            | Self::Digest
            | Self::CustomerWelcome
            | Self::PasswordLinkDrawn
            | Self::AlertRaised => WhenHidden::Unnamed,
        }
    }

    /// Whether mail is on for a user who has set nothing.
    pub const fn mailed_by_default(self) -> bool {
        match self {
            Self::Welcome
            | Self::TaskBefore
            | Self::TaskDue
            | Self::TaskOverdue
            | Self::TaskEscalated
            | Self::CustomersHandedOver
            | Self::Digest
            | Self::CustomerWelcome
            | Self::PasswordLinkDrawn
            | Self::AlertRaised => true,
            Self::TaskOpened | Self::TaskMoved | Self::OutcomeRecorded | Self::CustomerAssigned => false,
        }
    }

    /// Whether registered endpoints are told, too. Personal matters (welcome, digest, password) stay personal, and who is
    /// suspected of what is told to those alone who look into it.
    pub const fn told_to_endpoints(self) -> bool {
        match self {
            Self::Welcome | Self::Digest | Self::CustomerWelcome | Self::PasswordLinkDrawn | Self::AlertRaised => false,
            Self::TaskOpened
            | Self::TaskBefore
            | Self::TaskDue
            | Self::TaskOverdue
            | Self::TaskEscalated
            | Self::TaskMoved
            | Self::OutcomeRecorded
            | Self::CustomerAssigned
            | Self::CustomersHandedOver => true,
        }
    }

    /// Whether the message is pointless once its task is closed.
    pub const fn ends_with_task(self) -> bool {
        match self {
            Self::TaskOpened
            | Self::TaskBefore
            | Self::TaskDue
            | Self::TaskOverdue
            | Self::TaskEscalated
            | Self::TaskMoved => true,
            Self::Welcome
            | Self::OutcomeRecorded
            | Self::CustomerAssigned
            | Self::CustomersHandedOver
            | Self::Digest
            | Self::CustomerWelcome
            | Self::PasswordLinkDrawn
            | Self::AlertRaised => false,
        }
    }

    /// Names and sample values of the variables that templates of this kind may use.
    pub const fn variables(self) -> &'static [(&'static str, Sample)] {
        const RECIPIENT: (&str, Sample) = ("recipient_name", Sample::Text("Mei"));
        const CUSTOMER: (&str, Sample) = ("customer_name", Sample::Text("Hangzhou Blue Tea"));
        const PLAN: (&str, Sample) = ("plan_name", Sample::Text("A weekly"));
        const DUE: (&str, Sample) = ("due_time", Sample::Text("2026-11-23 09:30"));
        const ACTOR: (&str, Sample) = ("actor_name", Sample::Text("Lin"));
        const ASSIGNEE: (&str, Sample) = ("assignee_name", Sample::Text("Lin"));
        match self {
            Self::Welcome | Self::CustomersHandedOver => &[RECIPIENT],
            Self::TaskOpened | Self::TaskBefore | Self::TaskDue | Self::TaskOverdue => {
                &[RECIPIENT, CUSTOMER, PLAN, DUE]
            }
            Self::TaskEscalated => &[RECIPIENT, CUSTOMER, PLAN, DUE, ASSIGNEE],
            Self::TaskMoved | Self::CustomerAssigned => &[RECIPIENT, CUSTOMER],
            Self::OutcomeRecorded => &[
                RECIPIENT,
                CUSTOMER,
                ACTOR,
                ("result", Sample::Text("reached")),
                ("contact_channel", Sample::Text("phone")),
            ],
            Self::Digest => &[
                RECIPIENT,
                ("date", Sample::Text("2026-11-23")),
                ("due_count", Sample::Number(3)),
                ("overdue_count", Sample::Number(1)),
            ],
            Self::PasswordLinkDrawn => &[RECIPIENT, ACTOR],
            Self::AlertRaised => &[
                RECIPIENT,
                ACTOR,
                ("rule", Sample::Text("burst_reads")),
                ("counted", Sample::Number(420)),
                ("minutes", Sample::Number(10)),
            ],
            Self::CustomerWelcome => &[RECIPIENT, ("owner_name", Sample::Text("Lin"))],
        }
    }
}

impl Channel {
    pub const ALL: [Self; 3] = [Self::Inbox, Self::Email, Self::Webhook];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Inbox => "inbox",
            Self::Email => "email",
            Self::Webhook => "webhook",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.name() == name)
    }

    pub fn numbered(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| *channel as i32 == number)
    }
}

/// An expiry that is left out means: never.
pub const NEVER: Timestamp = Timestamp::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_lead_back_to_their_kind() {
        for kind in MessageKind::ALL {
            assert_eq!(MessageKind::parse(kind.name()), Some(kind));
            assert_eq!(MessageKind::numbered(kind as i32), Some(kind));
        }
        for channel in Channel::ALL {
            assert_eq!(Channel::parse(channel.name()), Some(channel));
            assert_eq!(Channel::numbered(channel as i32), Some(channel));
        }
        assert_eq!(MessageKind::numbered(0), None);
        assert_eq!(MessageKind::numbered(99), None);
    }

    #[test]
    fn a_kind_that_names_a_customer_has_the_variable_for_it() {
        for kind in MessageKind::ALL {
            let has = kind.variables().iter().any(|(name, _)| *name == "customer_name");
            assert_eq!(has, kind.names_customer(), "{}", kind.name());
        }
    }
}
