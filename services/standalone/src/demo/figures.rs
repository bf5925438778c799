//! The figures of one run: what each number is, how they are told, and the last line for programs.

use std::{collections::BTreeMap, fmt::Write};

/// A line of the table: what it says, and how its number is had.
type Row = (&'static str, fn(&Figures) -> i64);

/// Everything that is counted. Each number comes from an answer of an API or from what sink and receiver got.
#[derive(Clone, Default, Debug)]
pub struct Figures {
    /// Rows of the files.
    pub rows: i64,
    /// Rows that made a customer.
    pub imported: i64,
    /// Rows that were a customer of an earlier row: merged or left out.
    pub duplicates: i64,
    /// Rows that broke a rule.
    pub rejected: i64,
    /// Tasks that were planned.
    pub tasks: i64,
    /// Tasks that were done.
    pub done: i64,
    /// Tasks whose due time came.
    pub due: i64,
    /// Of these, done by then.
    pub on_time: i64,
    /// Messages that arrived, by channel.
    pub messages: BTreeMap<&'static str, i64>,
    /// Of these, reminders of tasks.
    pub reminders: BTreeMap<&'static str, i64>,
    /// Escalations to managers.
    pub escalations: i64,
    /// Of these, acted upon.
    pub managed: i64,
    /// Hand-overs, and rows that they moved.
    pub hand_overs: i64,
    /// Rows that the hand-overs moved.
    pub handed_over: i64,
    /// Attempts that were made and refused.
    pub attempts: i64,
    /// Of these, refused as not allowed; the others were told that there is no such row.
    pub denied: i64,
    /// Denials in the audit log.
    pub audited: i64,
    /// Reminders or messages that should be somewhere and are not.
    pub lost: i64,
    /// Those that are somewhere twice.
    pub doubled: i64,
    /// Customers and tasks without a person responsible.
    pub orphans: i64,
}

impl Figures {
    /// Share of the tasks that came due and were done by then, in per cent.
    #[must_use]
    pub fn on_time_percent(&self) -> f64 {
        percent(self.on_time, self.due)
    }

    fn channel(map: &BTreeMap<&'static str, i64>, name: &str) -> i64 {
        map.get(name).copied().unwrap_or_default()
    }

    /// Lines for people: with reminders beside without.
    #[must_use]
    pub fn table(&self, without: &Self) -> String {
        let mut text = String::new();
        let mut row = |what: &str, one: String, other: String| {
            // Writing to a text cannot fail.
            let _ = writeln!(text, "  {what:<44}{one:>16}{other:>18}");
        };
        let count = |of: fn(&Self) -> i64| (of(self).to_string(), of(without).to_string());
        row("", "with reminders".to_owned(), "without".to_owned());
        let rows: [Row; 13] = [
            ("rows in the files", |it| it.rows),
            ("imported", |it| it.imported),
            ("duplicates found", |it| it.duplicates),
            ("rejected with a reason", |it| it.rejected),
            ("tasks planned", |it| it.tasks),
            ("tasks done", |it| it.done),
            ("tasks that came due", |it| it.due),
            ("  of these done by then", |it| it.on_time),
            ("reminders into inboxes", |it| Self::channel(&it.reminders, "inbox")),
            ("reminders by mail", |it| Self::channel(&it.reminders, "email")),
            ("reminders to the webhook", |it| Self::channel(&it.reminders, "webhook")),
            ("escalations to managers", |it| it.escalations),
            ("  of these acted upon", |it| it.managed),
        ];
        for (what, of) in rows {
            let (one, other) = count(of);
            row(what, one, other);
        }
        let rate = |figures: &Self| format!("{:.1} %", figures.on_time_percent());
        row("ON-TIME RATE", rate(self), rate(without));
        let rows: [Row; 9] = [
            ("messages of all kinds", |it| it.messages.values().sum()),
            ("hand-overs", |it| it.hand_overs),
            ("  rows handed over", |it| it.handed_over),
            ("attempts of people who may not", |it| it.attempts),
            ("  refused as not allowed", |it| it.denied),
            ("denials in the audit log", |it| it.audited),
            ("lost", |it| it.lost),
            ("doubled", |it| it.doubled),
            ("orphans", |it| it.orphans),
        ];
        for (what, of) in rows {
            let (one, other) = count(of);
            row(what, one, other);
        }
        text
    }

    /// The last line: figures of both runs, what must be zero summed over both.
    #[must_use]
    pub fn last_line(&self, without: &Self, seconds: f64) -> String {
        let reminders = |name| Self::channel(&self.reminders, name);
        format!(
            "rows={} imported={} duplicates={} rejected={} tasks={} done={} reminders_inbox={} reminders_email={} \
             reminders_webhook={} escalations={} on_time_percent={:.1} on_time_percent_without_reminders={:.1} \
             hand_overs={} handed_over={} denied_attempts={} seconds={seconds:.1} lost={} doubled={} orphans={}",
            self.rows,
            self.imported,
            self.duplicates,
            self.rejected,
            self.tasks,
            self.done,
            reminders("inbox"),
            reminders("email"),
            reminders("webhook"),
            self.escalations,
            self.on_time_percent(),
            without.on_time_percent(),
            self.hand_overs,
            self.handed_over,
            self.attempts,
            self.lost + without.lost,
            self.doubled + without.doubled,
            self.orphans + without.orphans,
        )
    }
}

/// A share in per cent; 100 when there is nothing.
#[must_use]
pub fn percent(part: i64, whole: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts of a demo")]
    let share = if whole == 0 { 1.0 } else { part as f64 / whole as f64 };
    share * 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_be_zero_is_summed_over_both_runs() {
        let one = Figures { lost: 1, ..Figures::default() };
        let other = Figures { lost: 2, orphans: 3, ..Figures::default() };
        assert!(one.last_line(&other, 1.0).ends_with("lost=3 doubled=0 orphans=3"));
    }
}
