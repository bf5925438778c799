//! `tests/bench detection`: precision and recall of what is found in free text, on the labelled texts of
//! `tests/fixture/detection`, which are the same on every machine; and how long a long text takes.

use std::{collections::BTreeMap, hint::black_box};

use revisit_core::Clock;
use revisit_permission::detection::{SensitiveKind, find, kinds};
use revisit_tests::measure::{Line, Size, Table, figure, machine, median, millis, say};

const TEXTS: &str = include_str!("../../../fixture/detection/texts.tsv");
/// Characters of the longest note.
const LONG: usize = 5_000;

#[derive(Clone, Copy, Default)]
struct Counts {
    right: u64,
    wrong: u64,
    missed: u64,
}

impl Counts {
    fn precision(self) -> f64 {
        share(self.right, self.right + self.wrong)
    }

    fn recall(self) -> f64 {
        share(self.right, self.right + self.missed)
    }
}

/// All of none.
fn share(part: u64, of: u64) -> f64 {
    if of == 0 { 1.0 } else { figure(part) / figure(of) }
}

/// Judges, measures and prints.
pub fn measure(size: Size) {
    let mut counts: BTreeMap<SensitiveKind, Counts> = BTreeMap::new();
    let mut texts = 0;
    for line in TEXTS.lines() {
        let (labels, text) = line.split_once('\t').expect("labels, a tab and a text");
        texts += 1;
        let found = kinds(text);
        for kind in SensitiveKind::ALL {
            let it = counts.entry(kind).or_default();
            match (labels.split(',').any(|label| label == kind.name()), found.contains(&kind)) {
                (true, true) => it.right += 1,
                (true, false) => it.missed += 1,
                (false, true) => it.wrong += 1,
                (false, false) => (),
            }
        }
    }
    let mut table = Table::new(&["kind", "right", "wrong", "missed", "precision", "recall"]);
    let mut all = Counts::default();
    for (kind, it) in &counts {
        row(&mut table, kind.name(), *it);
        all.right += it.right;
        all.wrong += it.wrong;
        all.missed += it.missed;
    }
    row(&mut table, "all", all);
    table.print();
    let took = long_note(size.pick(20, 200, 1_000));
    say(&format!("{texts} texts; a note of {LONG} characters takes {took:.3} ms ({})\n\n", machine()));
    Line::default()
        .with("texts", texts)
        .with("precision", format!("{:.3}", all.precision()))
        .with("recall", format!("{:.3}", all.recall()))
        .with("note_ms", format!("{took:.3}"))
        .print();
}

fn row(table: &mut Table, name: &str, it: Counts) {
    let (precision, recall) = (format!("{:.3}", it.precision()), format!("{:.3}", it.recall()));
    table.row(&[name, &it.right.to_string(), &it.wrong.to_string(), &it.missed.to_string(), &precision, &recall]);
}

/// The median of so many readings of a longest note, in milliseconds.
fn long_note(rounds: usize) -> f64 {
    let all: String = TEXTS.lines().filter_map(|line| line.split_once('\t')).map(|(_, text)| text).collect();
    let note: String = all.chars().take(LONG).collect();
    let clock = Clock::system();
    let spans: Vec<f64> = (0..rounds)
        .map(|_| {
            let began = clock.steady();
            black_box(find(black_box(&note)));
            millis(clock.steady().since(began))
        })
        .collect();
    median(&spans)
}
