//! `tests/bench permission`: what a decision costs in process, beside cedar-policy and casbin and beside a floor, on the
//! same questions in the same run. Every engine has to give the reference's answer to every question.
#![expect(clippy::expect_used, reason = "a measurement that cannot go on ends, and says why")]

use std::{
    hint::black_box,
    process::ExitCode,
    time::{Duration, Instant},
};

use revisit_measure::{
    Asked as CommandLine, Line, Size, Table, figure, machine, median, per_second, percentile, resident_mib, say,
};
use revisit_permission::Snapshot;

mod casbin;
mod cedar;
mod company;
mod floor;
mod ours;

use company::{Company, Question};

/// Rounds whose median is quoted; the engines take turns within each.
const ROUNDS: usize = 5;

fn main() -> ExitCode {
    let Some(asked) = CommandLine::read(std::env::args()).filter(|asked| asked.name == "permission") else {
        say("usage: tests/bench permission [--quick | --full]\n");
        return ExitCode::FAILURE;
    };
    say(&format!("bench permission: {}; {}, {}\n", machine(), cedar::VERSION, casbin::VERSION));
    let mut company = Company::found(asked.size);
    let mut compiled =
        Table::new(&["grants", "from changes ms", "compile ms", "every policy ms", "move ms", "one more ms"]);
    let mut table = Table::new(&HEAD);
    let sizes: &[usize] = asked.size.pick(&[100, 1_000], &[1_000, 100_000, 1_000_000], &[1_000, 100_000, 1_000_000]);
    let mut figures = Vec::new();
    if let Some(most) = sizes.last() {
        weigh(asked.size, *most);
    }
    for grants in sizes {
        company.grow(*grants);
        figures.push(at_size(&company, asked.size, &mut table, &mut compiled));
    }
    compiled.print();
    table.print();
    summary(sizes, &figures);
    ExitCode::SUCCESS
}

const HEAD: [&str; 6] = ["engine", "grants", "checks/s", "p50 ns", "p99 ns", "denied/allowed"];

/// What one engine has shown.
#[derive(Default)]
struct Shown {
    per_second: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
    negative: Vec<f64>,
}

/// The medians at one number of grants.
struct Figures {
    ours: [f64; 4],
    cedar: f64,
    casbin: f64,
    floor: f64,
}

fn at_size(company: &Company, size: Size, table: &mut Table, compiled: &mut Table) -> Figures {
    let questions = company.questions(size.pick(2_000, 400_000, 1_000_000));
    let rows = ours::rows(company);
    let snapshot = compile(company, compiled);
    let (own, bare) = (ours::asked(&rows, &questions), floor::asked(company, &rows, &questions));
    let floor = floor::Floor::new(company);
    let cedar = cedar::Cedar::new(company);
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be made");
    let casbin = runtime.block_on(casbin::Casbin::new(company));
    let few = |count: usize| &questions[..count.min(questions.len())];
    let (for_cedar, for_casbin) = (few(size.pick(200, 10_000, 50_000)), few(size.pick(200, 5_000, 20_000)));
    let mut shown: [Shown; 5] = Default::default();
    // Once without being measured: predicates are compiled when they are first asked for.
    assert!(own.iter().all(|it| ours::decide(&snapshot, it) == it.allowed), "we answer otherwise than the reference");
    for _ in 0..ROUNDS {
        round(&mut shown[0], &own, |it| ours::decide(&snapshot, it), |it| it.allowed);
        // The floor knows no grants, so its answers are not compared.
        round(&mut shown[1], &bare, |it| floor.decide(it), |it| floor.decide(it));
        round(&mut shown[4], &bare, |it| floor.decide_small(it), |it| floor.decide_small(it));
        round(&mut shown[2], for_cedar, |it: &Question| cedar.decide(it), |it| it.allowed);
        round(&mut shown[3], for_casbin, |it: &Question| casbin.decide(it), |it| it.allowed);
    }
    let names = ["revisit", "floor", cedar::VERSION, casbin::VERSION, "floor on small rows"];
    let medians = shown.map(|it| [&it.per_second, &it.p50, &it.p99, &it.negative].map(|figures| median(figures)));
    for (name, [per_second, p50, p99, negative]) in names.iter().zip(medians) {
        table.row(&[
            name,
            &company.grants.len().to_string(),
            &format!("{per_second:.0}"),
            &format!("{p50:.0}"),
            &format!("{p99:.0}"),
            &format!("{negative:.2}"),
        ]);
    }
    Figures { ours: medians[0], floor: medians[1][0], cedar: medians[2][0], casbin: medians[3][0] }
}

/// What a grant weighs in a snapshot. First of all, while no memory that was given back can be used again.
fn weigh(size: Size, grants: usize) {
    let mut company = Company::found(size);
    company.grow(grants);
    let organisation = ours::organisation(&company);
    let mut facts = ours::facts(&organisation, &[]);
    let without = resident_mib();
    ours::grants(&company).for_each(|grant| facts.apply(&grant));
    let snapshot = Snapshot::compile(&facts, 1);
    let bytes = |mib: f64| mib * 1_048_576.0 / figure(grants as u64);
    let loaded = bytes(resident_mib() - without);
    for person in 0..company.people.len() {
        black_box(snapshot.predicate(ours::person(person), ours::action(0)));
    }
    let asked = bytes(resident_mib() - without);
    say(&format!("{grants} grants: {loaded:.0} bytes each, {asked:.0} once every holder has asked about customers\n"));
}

/// Compiles the company as a service does that has just been started, and says what it took.
fn compile(company: &Company, table: &mut Table) -> Snapshot {
    let (organisation, grants) = (ours::organisation(company), ours::grants(company).collect::<Vec<_>>());
    let began = Instant::now();
    let facts = ours::facts(&organisation, &grants);
    let applied = began.elapsed();
    let began = Instant::now();
    let snapshot = Snapshot::compile(&facts, 1);
    let whole = began.elapsed();
    // A policy is made when its holder first asks: this is what all of them would cost at once.
    let began = Instant::now();
    for person in 0..company.people.len() {
        black_box(snapshot.predicate(ours::person(person), ours::action(0)));
    }
    let policies = began.elapsed();
    let (moved, more) = (ours::moved(&facts, company), ours::one_more(&facts, company));
    table.row(&[
        &company.grants.len().to_string(),
        &millis(applied),
        &millis(whole),
        &millis(policies),
        &millis(moved),
        &millis(more),
    ]);
    snapshot
}

fn millis(span: Duration) -> String {
    format!("{:.2}", span.as_secs_f64() * 1_000.0)
}

/// A pass without a clock for the rate, one over each half of the answers, and one with a clock for the percentiles.
fn round<T>(shown: &mut Shown, asked: &[T], decide: impl Fn(&T) -> bool, allowed: impl Fn(&T) -> bool) {
    let time = |asked: &[&T]| {
        let began = Instant::now();
        let yes = asked.iter().filter(|it| black_box(decide(it))).count();
        (yes, began.elapsed())
    };
    let (yes, no): (Vec<&T>, Vec<&T>) = asked.iter().partition(|it| allowed(it));
    let all: Vec<&T> = asked.iter().collect();
    let (found, took) = time(&all);
    assert_eq!(found, yes.len(), "an answer differs from the reference's");
    shown.per_second.push(per_second(asked.len() as u64, took));
    let ((_, took_yes), (_, took_no)) = (time(&yes), time(&no));
    let each = |took: Duration, count: usize| took.as_secs_f64() / figure(count.max(1) as u64);
    shown.negative.push(each(took_no, no.len()) / each(took_yes, yes.len()));
    let clock = clock_cost();
    let nanos: Vec<f64> = asked
        .iter()
        .map(|it| {
            let began = Instant::now();
            black_box(decide(it));
            (nanos(began.elapsed()) - clock).max(0.0)
        })
        .collect();
    shown.p50.push(percentile(&nanos, 50));
    shown.p99.push(percentile(&nanos, 99));
}

/// What reading the clock twice costs by itself.
fn clock_cost() -> f64 {
    let once = |_| {
        let began = Instant::now();
        nanos(began.elapsed())
    };
    median(&(0..10_001).map(once).collect::<Vec<_>>())
}

fn nanos(span: Duration) -> f64 {
    figure(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX))
}

/// Of our own figures those with the most grants; of a ratio the worst.
fn summary(sizes: &[usize], figures: &[Figures]) {
    let (Some(first), Some(last), Some(grants)) = (figures.first(), figures.last(), sizes.last()) else { return };
    let worst = |ratio: fn(&Figures) -> f64| figures.iter().map(ratio).fold(f64::INFINITY, f64::min);
    Line::default()
        .with("grants", grants)
        .with("check_p50_ns", format!("{:.0}", last.ours[1]))
        .with("check_p99_ns", format!("{:.0}", last.ours[2]))
        .with("checks_per_s", format!("{:.0}", last.ours[0]))
        .with("negative_ratio", format!("{:.2}", last.ours[3]))
        .with("vs_cedar", format!("{:.0}", worst(|it| it.ours[0] / it.cedar)))
        .with("vs_casbin", format!("{:.0}", worst(|it| it.ours[0] / it.casbin)))
        .with("floor_ratio", format!("{:.2}", worst(|it| it.ours[0] / it.floor)))
        .with("flat_1m_over_1k", format!("{:.2}", first.ours[0] / last.ours[0]))
        .print();
}
