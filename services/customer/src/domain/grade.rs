//! Grades: the first rule whose conditions hold gives the grade, and the reason says by which figures.

use std::time::Duration;

use revisit_core::{Input, Timestamp};
use revisit_permission::{Layer, Veiled};

use super::field::is_currency;

/// Rules of one tenant at the most.
pub const RULES_MAX: usize = 20;
/// Days of a window at the most.
pub const WINDOW_DAYS_MAX: i32 = 3_650;
const DAY: Duration = Duration::from_hours(24);

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    pub grade: String,
    pub amount_min: i64,
    pub orders_min: i32,
    /// 0 for any.
    pub recency_days_max: i32,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scheme {
    /// From the best grade to the worst.
    pub rules: Vec<Rule>,
    pub window_days: i32,
    pub currency: String,
    /// 0 for the shipped scheme of a tenant that has declared none.
    pub version: i64,
}

/// What orders of a customer in the window come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Spending {
    pub amount: i64,
    pub orders: i64,
    pub last: Option<Timestamp>,
}

/// A grade and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdict {
    pub grade: Option<String>,
    /// It tells of amounts.
    pub reason: Veiled<String>,
}

impl Scheme {
    /// A: at least 20,000 CNY over two orders within 180 days; B: one order; C: everybody else.
    pub fn shipped() -> Self {
        let rule = |grade: &str, amount_min, orders_min, recency_days_max| Rule {
            grade: grade.to_owned(),
            amount_min,
            orders_min,
            recency_days_max,
        };
        Self {
            rules: vec![rule("A", 2_000_000, 2, 180), rule("B", 1, 1, 0), rule("C", 0, 0, 0)],
            window_days: 365,
            currency: "CNY".to_owned(),
            version: 0,
        }
    }

    /// The instant before which orders do not count.
    pub fn window_start(&self, now: Timestamp) -> Timestamp {
        now - DAY * u32::try_from(self.window_days).unwrap_or(0)
    }

    pub fn judge(&self, spending: Spending, now: Timestamp) -> Verdict {
        let met = self.rules.iter().find(|rule| {
            let recent = rule.recency_days_max == 0
                || spending
                    .last
                    .is_some_and(|last| now.since(last) <= DAY * u32::try_from(rule.recency_days_max).unwrap_or(0));
            spending.amount >= rule.amount_min && spending.orders >= i64::from(rule.orders_min) && recent
        });
        let recency = spending
            .last
            .map_or_else(String::new, |last| format!(", last {} days ago", now.since(last).as_secs() / DAY.as_secs()));
        let figures = format!(
            "{} orders, {}.{:02} {} in {} days{recency}",
            spending.orders,
            spending.amount / 100,
            spending.amount % 100,
            self.currency,
            self.window_days,
        );
        Verdict {
            grade: met.map(|rule| rule.grade.clone()),
            reason: Veiled::new(
                Layer::Financial,
                met.map_or_else(
                    || format!("no rule holds: {figures}"),
                    |rule| {
                        let recency = match rule.recency_days_max {
                            0 => String::new(),
                            days => format!(", last within {days} days"),
                        };
                        format!(
                            "{figures}; {} needs {} orders and {}.{:02}{recency}",
                            rule.grade,
                            rule.orders_min,
                            rule.amount_min / 100,
                            rule.amount_min % 100
                        )
                    },
                ),
            ),
        }
    }

    /// Notes what is wrong with a scheme that somebody declares.
    pub fn check(&self, input: &mut Input) {
        input.require((1..=RULES_MAX).contains(&self.rules.len()), "scheme.rules", "must have 1 to 20 entries");
        input.number("scheme.window_days", self.window_days, 1..=WINDOW_DAYS_MAX);
        input.require(is_currency(&self.currency), "scheme.currency", "must be an ISO 4217 code");
        for (index, rule) in self.rules.iter().enumerate() {
            let path = format!("scheme.rules[{index}]");
            input.text(&format!("{path}.grade"), &rule.grade, 1..=20);
            input.number(&format!("{path}.amount_min"), rule.amount_min, 0..=i64::MAX / 4);
            input.number(&format!("{path}.orders_min"), rule.orders_min, 0..=1_000_000);
            input.number(&format!("{path}.recency_days_max"), rule.recency_days_max, 0..=WINDOW_DAYS_MAX);
            let repeated = self.rules[..index].iter().any(|before| before.grade == rule.grade);
            input.require(!repeated, &format!("{path}.grade"), "is declared twice");
        }
    }
}

#[cfg(test)]
mod tests {
    use revisit_permission::Purpose;

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn spent(amount: i64, orders: i64, days_ago: u32) -> Spending {
        Spending { amount, orders, last: Some(NOW - DAY * days_ago) }
    }

    #[test]
    fn the_best_rule_that_holds_gives_the_grade() {
        let grade = |spending| Scheme::shipped().judge(spending, NOW).grade;
        assert_eq!(grade(spent(2_000_000, 2, 10)).as_deref(), Some("A"));
        assert_eq!(grade(spent(1_999_999, 2, 10)).as_deref(), Some("B"), "one fen too little");
        assert_eq!(grade(spent(2_000_000, 1, 10)).as_deref(), Some("B"), "never came back");
        assert_eq!(grade(spent(2_000_000, 2, 181)).as_deref(), Some("B"), "too long ago");
        assert_eq!(grade(Spending::default()).as_deref(), Some("C"));
    }

    #[test]
    fn the_reason_names_the_figures_and_the_rule() {
        let verdict = Scheme::shipped().judge(spent(2_345_678, 3, 7), NOW);
        assert_eq!(
            verdict.reason.lift(Purpose::Judge),
            "3 orders, 23456.78 CNY in 365 days, last 7 days ago; A needs 2 orders and 20000.00, last within 180 days"
        );
    }
}
