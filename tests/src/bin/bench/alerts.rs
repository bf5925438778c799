//! `tests/bench alerts`: precision and recall of each rule on the synthetic set of `tests/fixture/alerts`, with the limits
//! that ship, which is the same on every machine; and how soon an alert of each rule is told.

use revisit_bootstrap::Process;
use revisit_core::Timestamp;
use revisit_identity::alert::{Alert, Engine, Limits, Rule};
use revisit_tests::measure::{Line, Size, Table, figure, machine, percentile, say};

mod bursts;
#[path = "../../../fixture/alerts/generator.rs"]
mod generator;
mod live;

use generator::{Incident, Set};
use live::Told;

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
    let line = soon(&live);
    line.with("entries", set.entries.len())
        .with("incidents", all.incidents)
        .with("alerts", all.alerts)
        .with("precision", format!("{:.3}", all.precision()))
        .with("recall", format!("{:.3}", all.recall()))
        .print();
}

/// Shows how soon alerts were told; answers the same as the first keys of the last line.
fn soon(live: &[Told]) -> Line {
    let span = |spans: &[f64], percent| format!("{:.0}", percentile(spans, percent));
    let mut table =
        Table::new(&["rule", "calls", "rounds", "kept p50 ms", "kept max ms", "told p50 ms", "told max ms"]);
    let mut line = Line::default();
    for of in live {
        let told = [(&of.kept, 50), (&of.kept, 100), (&of.told, 50), (&of.told, 100)];
        let [kept, kept_max, told, told_max] = told.map(|(spans, percent)| span(spans, percent));
        let (calls, rounds) = (bursts::calls(of.rule).to_string(), of.told.len().to_string());
        table.row(&[of.rule.name(), &calls, &rounds, &kept, &kept_max, &told, &told_max]);
        let key = |what: &str| format!("{}_{what}_ms", of.rule.name());
        line = line.with(&key("told_p50"), told).with(&key("told_max"), told_max);
    }
    table.print();
    say(&format!("from the call that reaches the limit; {}\n\n", machine()));
    let all = |of: fn(&Told) -> &Vec<f64>| live.iter().flat_map(of).copied().collect::<Vec<_>>();
    line.with("kept_max_ms", span(&all(|told| &told.kept), 100)).with("told_max_ms", span(&all(|told| &told.told), 100))
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
