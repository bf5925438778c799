//! That the seeds of the corpus still mean the worlds that they were kept for.

use proptest::{
    prelude::{ProptestConfig, Strategy},
    strategy::ValueTree,
    test_runner::{RngAlgorithm, TestRng, TestRunner},
};
use revisit_laws::world;

const CORPUS: &str = include_str!("../../proptest-regressions/cases.txt");
/// Begins the line of the corpus that says of which generators its seeds are.
const MARK: &str = "# generators ";
/// Worlds that are drawn to tell generators apart: few things are in none of so many.
const WORLDS: u8 = 64;

/// A number that follows from everything that the generators make of fixed seeds, by FNV-1a: the same wherever it is taken.
fn fingerprint() -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for seed in 0..WORLDS {
        let dice = TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]);
        let mut runner = TestRunner::new_with_rng(ProptestConfig::default(), dice);
        let cases = (world::case(), world::grant(5), world::guard(), world::right());
        let drawn = cases.new_tree(&mut runner).expect("nothing is filtered").current();
        for byte in format!("{drawn:?}").bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
    }
    format!("{hash:016x}")
}

#[test]
fn the_seeds_of_the_corpus_are_of_the_generators_of_today() {
    let kept = CORPUS.lines().find_map(|line| line.strip_prefix(MARK)).unwrap_or_default();
    let today = fingerprint();
    assert!(
        kept == today,
        "the generators (or proptest) have changed, and the seeds of cases.txt mean other worlds than those that caught \
         what is named beside them: `tests/mutate corpus` puts worlds of today in their place and writes `{MARK}{today}`"
    );
}
