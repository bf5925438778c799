//! `tests/bench rpc`: calls whose speed people wait for, through the real gRPC, beside an empty call and beside the bare
//! SQL that a read needs, in turns.

use std::{sync::Arc, time::Duration};

use revisit_tests::measure::{Line, Size, Table, figure, machine, median, millis, per_second, percentile, say};

use crate::{
    callers::{Callers, Question, Run, Until, Width},
    rows::{CITIES, TAGS},
};

mod company;
mod select;
mod transfer;

use company::{Capture, Company, Holder};
use select::Select;
use transfer::Transfer;

/// Calls under way at once, each on a connection of its own; a preview is asked for one at a time.
const MANY: Width = Width { connections: 4, streams: 1 };
const ONE: Width = Width { connections: 1, streams: 1 };
/// Answers about customers of others that a person has in an hour, shared by the two ways to get one.
const BUDGET: u64 = 28;

/// What is measured in rounds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Call {
    Empty,
    Today,
    Check,
    Create,
    Tag,
    TagsAndCity,
    TagOfRegion,
}

/// The previews, of which the last line tells the slowest.
const PREVIEWS: [Call; 3] = [Call::Tag, Call::TagsAndCity, Call::TagOfRegion];
const CALLS: [Call; 7] =
    [Call::Empty, Call::Today, Call::Check, Call::Create, Call::Tag, Call::TagsAndCity, Call::TagOfRegion];

impl Call {
    const fn described(self) -> &'static str {
        match self {
            Self::Empty => "empty call",
            Self::Today => "today's tasks, a page of 50",
            Self::Check => "check of a number, the caller's own customer",
            Self::Create => "create with a number of the caller's own customer",
            Self::Tag => "preview of a tag, whole company",
            Self::TagsAndCity => "preview of two tags or one in two cities, whole company",
            Self::TagOfRegion => "preview of a tag, a region's manager",
        }
    }

    const fn width(self) -> Width {
        match self {
            Self::Empty | Self::Today | Self::Check | Self::Create => MANY,
            Self::Tag | Self::TagsAndCity | Self::TagOfRegion => ONE,
        }
    }

    async fn question(self, company: &Company) -> Question {
        let people = &company.people;
        let tag = format!("\"{}\" in tags", TAGS[0]);
        match self {
            Self::Empty => company.nothing().await,
            Self::Today => company.today().await,
            Self::Check => company.own_duplicates(Capture::Check).await,
            Self::Create => company.own_duplicates(Capture::Create).await,
            Self::Tag => company.preview(&people.boss, &tag).await,
            Self::TagsAndCity => {
                let cities = format!("city in [\"{}\", \"{}\"]", CITIES[0], CITIES[1]);
                let filter = format!("{tag} || \"{}\" in tags && {cities}", TAGS[1]);
                company.preview(&people.boss, &filter).await
            }
            Self::TagOfRegion => company.preview(&people.manager, &tag).await,
        }
    }
}

/// What the rounds of one call have shown.
#[derive(Default)]
struct Shown {
    per_second: Vec<f64>,
    select_per_second: Vec<f64>,
    millis: Vec<f64>,
}

impl Shown {
    fn add(&mut self, run: &Run) {
        self.per_second.push(per_second(run.calls.len() as u64, run.took));
        self.millis.extend(run.calls.iter().map(|call| millis(*call)));
    }

    fn rate(&self) -> f64 {
        median(&self.per_second)
    }

    fn at(&self, percent: usize) -> f64 {
        percentile(&self.millis, percent)
    }

    fn select(&self) -> Option<f64> {
        (!self.select_per_second.is_empty()).then(|| median(&self.select_per_second))
    }

    fn ratio(&self) -> Option<f64> {
        let pairs = self.per_second.iter().zip(&self.select_per_second);
        self.select().map(|_| median(&pairs.map(|(call, select)| call / select).collect::<Vec<_>>()))
    }
}

/// Measures and prints.
pub async fn measure(size: Size) {
    say(&format!("bench rpc: {}\n", machine()));
    let company = Box::pin(Company::open(size)).await;
    say(&format!("{} customers, {} tasks; loaded with {}\n\n", company.rows, company.tasks, machine()));
    let callers = Callers::of(&format!("http://{}", company.world.running.address()));
    let shown = Box::pin(rounds(&company, &callers, size)).await;
    let hidden = Box::pin(hidden(&company, &callers)).await;
    let transfer = Box::pin(transfer::measure(&company, size)).await;
    drop(callers);
    told(&company, &shown, &hidden, &transfer);
    company.world.running.stop().await.expect("it stops without a fault");
}

/// Each call and the SQL beside it, in turns.
async fn rounds(company: &Company, callers: &Callers, size: Size) -> [Shown; CALLS.len()] {
    let (rounds, span) = (size.pick(1, 5, 5), Duration::from_millis(size.pick(200, 1_000, 3_000)));
    let today = Select::today(company, callers, MANY.connections).await;
    let duplicates = Select::duplicates(company, callers, MANY.connections).await;
    let preview = Select::preview(company, callers, ONE.connections).await;
    let mut shown: [Shown; CALLS.len()] = std::array::from_fn(|_| Shown::default());
    // The first round of each only warms up.
    for round in 0..=rounds {
        for (call, shown) in CALLS.into_iter().zip(&mut shown) {
            let question = call.question(company).await;
            let run = callers.run(question, call.width(), Until::Span(span), || ()).await;
            let select: Option<&Arc<Select>> = match call {
                Call::Today => Some(&today),
                Call::Check | Call::Create => Some(&duplicates),
                Call::Tag => Some(&preview),
                Call::Empty | Call::TagsAndCity | Call::TagOfRegion => None,
            };
            let select = match select {
                Some(select) => Some(select.rate(callers, span).await),
                None => None,
            };
            if round > 0 {
                shown.add(&run);
                shown.select_per_second.extend(select);
            }
        }
    }
    shown
}

/// Numbers of colleagues' customers: checked, and captured. Each person's budget is what bounds the calls.
async fn hidden(company: &Company, callers: &Callers) -> [(&'static str, Shown); 2] {
    let count = company.people.reps.len() as u64 * BUDGET / 2;
    let mut shown = [
        ("check of a number, a colleague's customer", Shown::default()),
        ("create with a number of a colleague's customer", Shown::default()),
    ];
    for (capture, (_, shown)) in [Capture::Check, Capture::Create].into_iter().zip(&mut shown) {
        let question = company.duplicates(capture, Holder::Colleague, count).await;
        shown.add(&callers.run(question, MANY, Until::Sent, || ()).await);
    }
    shown
}

fn told(company: &Company, shown: &[Shown], hidden: &[(&'static str, Shown)], transfer: &Transfer) {
    let mut table =
        Table::new(&["call", "at once", "calls", "calls/s", "p50 ms", "p95 ms", "p99 ms", "SQL/s", "ratio"]);
    let rows = CALLS.iter().map(|call| (call.described(), call.width())).zip(shown);
    for ((described, width), shown) in rows.chain(hidden.iter().map(|(named, shown)| ((*named, MANY), shown))) {
        let optional = |value: Option<f64>, digits| value.map_or(String::new(), |value| format!("{value:.digits$}"));
        table.row(&[
            described,
            &(width.connections * width.streams).to_string(),
            &shown.millis.len().to_string(),
            &format!("{:.0}", shown.rate()),
            &format!("{:.2}", shown.at(50)),
            &format!("{:.2}", shown.at(95)),
            &format!("{:.2}", shown.at(99)),
            &optional(shown.select(), 0),
            &optional(shown.ratio(), 3),
        ]);
    }
    table.print();
    say(&format!(
        "\n{} customers moved in one job at {:.0} rows/s ({:.1} s), taken back at {:.0} rows/s ({:.1} s); ended with {}\n\n",
        transfer.rows,
        transfer.rows_per_second,
        figure(transfer.rows as u64) / transfer.rows_per_second,
        transfer.undo_rows_per_second,
        figure(transfer.rows as u64) / transfer.undo_rows_per_second,
        machine()
    ));
    line(company, shown, hidden, transfer);
}

fn line(company: &Company, shown: &[Shown], hidden: &[(&'static str, Shown)], transfer: &Transfer) {
    let of = |call: Call| CALLS.iter().zip(shown).find(|(known, _)| **known == call).expect("each is measured").1;
    let previews = PREVIEWS.into_iter().map(of);
    let slowest = previews.max_by(|one, other| one.at(95).total_cmp(&other.at(95))).expect("there are some");
    let mut line = Line::default().with("rows", company.rows).with("tasks", company.tasks);
    for (name, shown) in [
        ("today", of(Call::Today)),
        ("check", of(Call::Check)),
        ("create", of(Call::Create)),
        ("check_hidden", &hidden[0].1),
        ("create_hidden", &hidden[1].1),
        ("preview", slowest),
    ] {
        // A preview of a million rows is seldom answered twice a second.
        line = line
            .with(&format!("{name}_per_s"), format!("{:.1}", shown.rate()))
            .with(&format!("{name}_p95_ms"), format!("{:.2}", shown.at(95)))
            .with(&format!("{name}_p99_ms"), format!("{:.2}", shown.at(99)));
    }
    let reads = [Call::Today, Call::Check, Call::Tag].map(of);
    let ratio = |shown: &Shown| shown.ratio().unwrap_or_default();
    let select = |call: Call| format!("{:.1}", of(call).select().unwrap_or_default());
    line.with("transfer_rows", transfer.rows)
        .with("transfer_rows_per_s", format!("{:.0}", transfer.rows_per_second))
        .with("undo_rows_per_s", format!("{:.0}", transfer.undo_rows_per_second))
        .with("empty_per_s", format!("{:.0}", of(Call::Empty).rate()))
        .with("select_per_s", select(Call::Today))
        .with("check_select_per_s", select(Call::Check))
        .with("preview_select_per_s", select(Call::Tag))
        .with("worst_ratio", format!("{:.3}", reads.into_iter().map(ratio).fold(f64::MAX, f64::min)))
        .print();
}
