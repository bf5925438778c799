//! How people behave in the demo: a stated, seeded model. Whether somebody acts is a coin whose sides depend on the
//! seed, the person, the task and the occasion only, so both runs throw the same coins.

use std::fmt;

/// The model. Every number is a probability between 0 and 1.
#[derive(Clone, Copy, Debug)]
pub struct Model {
    /// What all coins are thrown with.
    pub seed: u64,
    /// To look at the own list on a workday, unasked.
    pub look: f64,
    /// To act, at such a look, on a task that is open.
    pub act_on_look: f64,
    /// To act upon a reminder that a task has opened.
    pub act_on_opened: f64,
    /// To act upon a reminder before or at due.
    pub act_on_due: f64,
    /// To act upon a reminder that a task is overdue.
    pub act_on_overdue: f64,
    /// Of a manager, to act upon an escalation.
    pub act_on_escalation: f64,
    /// Of a customer, to be reached when called.
    pub reached: f64,
    /// Of a reached customer, to say yes.
    pub agrees: f64,
    /// Of a reached customer, to raise an issue that somebody must settle.
    pub issue: f64,
    /// Of an outcome, to be for supervisors only.
    pub sensitive: f64,
    /// Of a reached customer, to write back within the day.
    pub writes_back: f64,
}

/// The model of the demo. The numbers are assumptions, chosen before the first run and printed with every one.
pub const MODEL: Model = Model {
    seed: 20_270_104,
    look: 0.70,
    act_on_look: 0.45,
    act_on_opened: 0.30,
    act_on_due: 0.75,
    act_on_overdue: 0.80,
    act_on_escalation: 0.90,
    reached: 0.80,
    agrees: 0.55,
    issue: 0.04,
    sensitive: 0.02,
    writes_back: 0.25,
};

/// What moved somebody to think of a task.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Occasion {
    /// An own look at the list.
    Look,
    /// A reminder that it has opened.
    Opened,
    /// A reminder before or at due.
    Due,
    /// A reminder that it is overdue.
    Overdue,
    /// An escalation, to the manager.
    Escalation,
}

impl Occasion {
    const fn name(self) -> &'static str {
        match self {
            Self::Look => "look",
            Self::Opened => "opened",
            Self::Due => "due",
            Self::Overdue => "overdue",
            Self::Escalation => "escalation",
        }
    }
}

/// What a customer answers to a contact.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answer {
    /// Whether somebody was reached.
    pub reached: bool,
    /// Whether they said yes.
    pub agrees: bool,
    /// Satisfaction, 1 to 5, when they were asked and answered.
    pub satisfaction: i32,
    /// Whether there is something to settle.
    pub issue: bool,
    /// Whether the result is for supervisors only.
    pub sensitive: bool,
    /// Whether they write back on the same day.
    pub writes_back: bool,
}

impl Model {
    /// Whether a person looks at the own list on a day.
    #[must_use]
    pub fn looks(&self, person: &str, day: &str) -> bool {
        self.coin(&["look", person, day]) < self.look
    }

    /// Whether a person acts on a task upon an occasion of a day.
    #[must_use]
    pub fn acts(&self, person: &str, task: &str, occasion: Occasion, day: &str) -> bool {
        let chance = match occasion {
            Occasion::Look => self.act_on_look,
            Occasion::Opened => self.act_on_opened,
            Occasion::Due => self.act_on_due,
            Occasion::Overdue => self.act_on_overdue,
            Occasion::Escalation => self.act_on_escalation,
        };
        self.coin(&["act", person, task, occasion.name(), day]) < chance
    }

    /// What the customer of a task answers.
    #[must_use]
    pub fn answer(&self, task: &str) -> Answer {
        let coin = |what| self.coin(&["answer", what, task]);
        let reached = coin("reached") < self.reached;
        let stars = [1, 2, 3, 3, 4, 4, 4, 5, 5, 5];
        // The coin lies below 1, so the index lies below the length.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it lies between 0 and 10")]
        let star = (coin("stars") * 10.0) as usize;
        Answer {
            reached,
            agrees: reached && coin("agrees") < self.agrees,
            satisfaction: stars.get(star).copied().unwrap_or(5),
            issue: reached && coin("issue") < self.issue,
            sensitive: reached && coin("sensitive") < self.sensitive,
            writes_back: reached && coin("writes back") < self.writes_back,
        }
    }

    /// A number between 0 and 1 (exclusive) that depends on the seed and the parts only.
    #[must_use]
    pub fn coin(&self, parts: &[&str]) -> f64 {
        // FNV-1a over the parts with a stop after each, then the finaliser of SplitMix64: not for secrets.
        let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ self.seed;
        for part in parts {
            for byte in part.bytes().chain([0xff]) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
        }
        hash = hash.wrapping_add(0x9e37_79b9_7f4a_7c15);
        hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
        let fraction = ((hash ^ (hash >> 31)) >> 11) as f64 / (1_u64 << 53) as f64;
        fraction
    }
}

impl fmt::Display for Model {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "seed {}; looks at the own list on a workday {}; then acts on an open task {}; acts upon a reminder: opened \
             {}, before or at due {}, overdue {}; a manager upon an escalation {}; a customer is reached {}, agrees {}, \
             raises an issue {}, writes back {}; \
             an outcome is for supervisors only {}; satisfaction 1 to 5 comes 10, 10, 20, 30 and 30 times in a hundred",
            self.seed,
            self.look,
            self.act_on_look,
            self.act_on_opened,
            self.act_on_due,
            self.act_on_overdue,
            self.act_on_escalation,
            self.reached,
            self.agrees,
            self.issue,
            self.writes_back,
            self.sensitive,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_occasion_throws_the_same_coin_and_another_seed_another() {
        let other = Model { seed: 1, ..MODEL };
        assert_eq!(MODEL.coin(&["a", "b"]).to_bits(), MODEL.coin(&["a", "b"]).to_bits());
        assert_ne!(MODEL.coin(&["a", "b"]).to_bits(), other.coin(&["a", "b"]).to_bits());
        assert_ne!(MODEL.coin(&["ab", "c"]).to_bits(), MODEL.coin(&["a", "bc"]).to_bits());
    }

    #[test]
    fn as_many_coins_fall_as_the_model_says() {
        let acted = (0..10_000).filter(|n| MODEL.acts("mei", &n.to_string(), Occasion::Due, "2027-01-04")).count();
        assert!((7_300..7_700).contains(&acted), "{acted} of 10,000 at {}", MODEL.act_on_due);
    }

    #[test]
    fn nobody_agrees_who_was_not_reached() {
        assert!((0..1_000).map(|n| MODEL.answer(&n.to_string())).all(|answer| answer.reached || !answer.agrees));
    }
}
