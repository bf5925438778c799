//! Revocation between real processes: whatever is stopped, killed or cut off, nobody allows what was told to be revoked,
//! and everything comes back by itself.

use revisit_core::{Clock, Ids};
use revisit_tests::world::{Ground, World};

mod fleet;
mod people;
mod round;
mod watch;

use fleet::Fleet;
use people::People;
use round::Round;

const SEED: u64 = 20_261_122;
/// Rounds of a run that names no number: each fault at least once.
const ROUNDS: usize = 8;

/// How many rounds: more of them than a run of all tests has time for, when the environment says so.
#[expect(clippy::disallowed_methods, reason = "whoever runs the test says how long")]
fn rounds() -> usize {
    std::env::var("REVISIT_TEST_ROUNDS").ok().and_then(|said| said.parse().ok()).unwrap_or(ROUNDS)
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_stopped_killed_or_cut_off_nobody_allows_what_was_told_to_be_revoked() {
    let world = World::on(Ground::default()).await;
    let people = People::hire(&world).await;
    let (databases, folder) = (world.database_settings().to_owned(), world.folder().to_owned());
    // The folder with the keys stays with what is left of the world.
    world.running.stop().await.expect("it stops without a fault");
    let mut fleet = Fleet::start(&databases, &folder).await;
    let mut people = people.come(&fleet).await;
    let dice = Ids::seeded(SEED);
    println!("seed {SEED}");
    let clock = Clock::system();
    let (mut told, mut acknowledged, mut queued) = (0, 0, 0);
    for number in 0..rounds() {
        let began = clock.steady();
        let round = Round::draw(number, &dice);
        let report = Box::pin(round.play(&mut fleet, &mut people)).await;
        println!("round {number}: {round:?}: {report:?} in {:?}", clock.steady().since(began));
        told += report.told;
        acknowledged += report.acknowledged;
        queued += report.queued;
    }
    people.watches().for_each(|watch| println!("{}: {:?}", watch.name, watch.heard()));
    assert!(told >= rounds() * 2, "hardly any revocation was told effective: {told}");
    assert!(queued > 0, "no call has waited in a holder that was stopped while a revocation was told");
    assert!(acknowledged < told, "no fault has kept anybody from acknowledging");
}
