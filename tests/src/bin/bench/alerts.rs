//! `tests/bench alerts`: precision and recall of each rule on the synthetic set of `tests/fixture/alerts`, with the limits
//! that ship, which is the same on every machine; and how soon an alert is told.

use revisit_bootstrap::Process;
use revisit_core::Timestamp;
use revisit_identity::alert::{Alert, Engine, Limits, Rule};
use revisit_tests::measure::{Line, Size, Table, figure, machine, percentile, say};

#[path = "../../../fixture/alerts/generator.rs"]
mod generator;
mod live;

use generator::{Incident, Set};

/// The set that is published.
const SEED: u64 = 20_260_601;

/// Judges, measures and prints. There is one set, whatever the size.
pub async fn measure(size: Size) {
    let live = live::measure(size).await;
    let limits = shipped();
    let set = generator::draw(SEED);
    let mut engine = Engine::default();
    let mut alerts = Vec::new();
    for (number, seen) in (1..).zip(&set.entries) {
        alerts.extend(engine.take(number, seen, &limits));
    }
    let mut table = Table::new(&["rule", "incidents", "found", "alerts", "right", "precision", "recall"]);
    let mut all = Counts::default();
    for rule in Rule::ALL {
        let counts = count(rule, &alerts, &set, &limits);
        counts.show(rule.name(), &mut table);
        all = all.plus(counts);
    }
    all.show("all", &mut table);
    table.print();
    say(&format!("{} entries of {} people, seed {SEED}\n", set.entries.len(), generator::PEOPLE));
    let span = |spans: &[f64], percent| format!("{:.0}", percentile(spans, percent));
    say(&format!(
        "after a refused call ({} rounds, {}): kept after {} ms, at the most {}; in an inbox after {} ms, at the most {}\n\n",
        live.told.len(),
        machine(),
        span(&live.kept, 50),
        span(&live.kept, 100),
        span(&live.told, 50),
        span(&live.told, 100),
    ));
    Line::default()
        .with("kept_p50_ms", span(&live.kept, 50))
        .with("kept_max_ms", span(&live.kept, 100))
        .with("told_p50_ms", span(&live.told, 50))
        .with("told_max_ms", span(&live.told, 100))
        .with("entries", set.entries.len())
        .with("incidents", all.incidents)
        .with("alerts", all.alerts)
        .with("precision", format!("{:.3}", all.precision()))
        .with("recall", format!("{:.3}", all.recall()))
        .print();
}

/// The limits of the manual.
fn shipped() -> Limits {
    let mut layers = Process::manuals(&[revisit_identity::service()], &[]).expect("the manual is TOML");
    let config: revisit_identity::Config = layers.take(revisit_identity::NAME).expect("the manual is valid");
    config.alerts.limits()
}

#[derive(Clone, Copy, Default)]
struct Counts {
    incidents: u64,
    found: u64,
    alerts: u64,
    right: u64,
}

impl Counts {
    const fn plus(self, other: Self) -> Self {
        Self {
            incidents: self.incidents + other.incidents,
            found: self.found + other.found,
            alerts: self.alerts + other.alerts,
            right: self.right + other.right,
        }
    }

    /// Of the alerts, those that were right; all of none.
    fn precision(self) -> f64 {
        if self.alerts == 0 { 1.0 } else { figure(self.right) / figure(self.alerts) }
    }

    /// Of the incidents, those that were found.
    fn recall(self) -> f64 {
        if self.incidents == 0 { 1.0 } else { figure(self.found) / figure(self.incidents) }
    }

    fn show(self, name: &str, table: &mut Table) {
        table.row(&[
            name,
            &self.incidents.to_string(),
            &self.found.to_string(),
            &self.alerts.to_string(),
            &self.right.to_string(),
            &format!("{:.2}", self.precision()),
            &format!("{:.2}", self.recall()),
        ]);
    }
}

fn count(rule: Rule, alerts: &[Alert], set: &Set, limits: &Limits) -> Counts {
    let window = limits.of(rule).window;
    let alerts: Vec<&Alert> = alerts.iter().filter(|alert| alert.rule == rule).collect();
    let incidents: Vec<&Incident> = set.incidents.iter().filter(|incident| incident.rule == rule).collect();
    let fits = |alert: &Alert, incident: &Incident| {
        let until: Timestamp = incident.end + window;
        alert.about == incident.about && (incident.begin..=until).contains(&alert.time)
    };
    let counted = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    Counts {
        incidents: counted(incidents.len()),
        found: counted(incidents.iter().filter(|incident| alerts.iter().any(|alert| fits(alert, incident))).count()),
        alerts: counted(alerts.len()),
        right: counted(alerts.iter().filter(|alert| incidents.iter().any(|incident| fits(alert, incident))).count()),
    }
}
