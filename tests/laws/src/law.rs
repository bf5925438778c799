//! How a law is held against generated cases: how many a run decides, where one that breaks it is kept, and that the
//! run did what it promised.

use std::{cell::Cell, fmt::Debug};

use proptest::{
    prelude::{ProptestConfig, Strategy},
    test_runner::{FailurePersistence, FileFailurePersistence, TestCaseError, TestRunner},
};

/// Cases that once broke a law, beside the manifest of this package; they run before any new one is drawn.
const CORPUS: &str = "proptest-regressions/cases.txt";
/// A full run is this many times the usual one.
const FULL: u32 = 10;

/// A law and how much of it a usual run decides.
#[derive(Clone, Copy, Debug)]
pub struct Law {
    name: &'static str,
    worlds: u32,
    cases: u32,
    corpus: &'static str,
}

impl Law {
    /// A law that draws `worlds` and promises to decide at least so many `cases` in them: a case is one request, held
    /// against one world.
    #[must_use]
    pub const fn new(name: &'static str, worlds: u32, cases: u32) -> Self {
        Self { name, worlds, cases, corpus: CORPUS }
    }

    /// With the corpus at another place: paths are relative to the package whose test it is.
    #[must_use]
    pub const fn with_corpus(mut self, corpus: &'static str) -> Self {
        self.corpus = corpus;
        self
    }

    /// Holds the law against generated cases, those of the corpus first.
    ///
    /// # Panics
    /// With the smallest case that breaks it, or when fewer cases were decided than promised.
    pub fn holds<S: Strategy<Value: Debug>>(
        self,
        cases: &S,
        law: impl Fn(S::Value, &Tally) -> Result<(), TestCaseError>,
    ) {
        let times = if full() { FULL } else { 1 };
        let usual = ProptestConfig::default();
        // Unless the environment says that nothing is kept and nothing replayed.
        let kept = |_: &_| Box::new(FileFailurePersistence::Direct(self.corpus)) as Box<dyn FailurePersistence>;
        let failure_persistence = usual.failure_persistence.as_ref().map(kept);
        let config = ProptestConfig { cases: self.worlds * times, failure_persistence, ..usual };
        let tally = Tally::default();
        if let Err(broken) = TestRunner::new(config).run(cases, |case| law(case, &tally)) {
            panic!("{} is broken: {broken}", self.name);
        }
        report(self.name, tally.decided(), u64::from(self.cases) * u64::from(times));
    }
}

/// Counts decided cases.
#[derive(Default, Debug)]
pub struct Tally(Cell<u64>);

impl Tally {
    /// One more was decided.
    pub fn count(&self) {
        self.0.set(self.0.get() + 1);
    }

    /// How many were.
    #[must_use]
    pub const fn decided(&self) -> u64 {
        self.0.get()
    }
}

#[expect(clippy::disallowed_methods, reason = "the size of a run is asked for here and nowhere else")]
fn full() -> bool {
    std::env::var("LAWS").is_ok_and(|size| size == "full")
}

#[expect(clippy::print_stdout, reason = "a run says what it decided")]
fn report(law: &str, decided: u64, promised: u64) {
    println!("law={law} cases={decided} promised={promised}");
    assert!(decided >= promised, "{law} was held against {decided} cases, and {promised} were promised");
}
