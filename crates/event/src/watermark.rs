//! How old a consumer's knowledge is: a producer says "at lease time T my newest positions were these", and who has
//! applied those positions knows everything up to T.

use std::collections::BTreeMap;

use revisit_core::Timestamp;
use uuid::Uuid;

use crate::SHARDS;

/// What a producer publishes beside its streams every half second; a value, not an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watermark {
    /// Incarnation of the producer's database.
    pub incarnation: Uuid,
    /// Lease time, read before the positions were.
    pub time: Timestamp,
    /// Newest position of each shard, by shard; 0 where there is none.
    pub positions: Vec<i64>,
}

/// Up to which lease time one consumer knows each shard of one producer.
///
/// A busy shard never catches up with the newest watermark, so the ones seen before are kept until passed.
#[derive(Clone, Debug, Default)]
pub struct Passage {
    /// Incarnation of the newest watermark; none before the first.
    incarnation: Option<Uuid>,
    shards: Vec<Shard>,
    /// Applied positions by shard, of every incarnation heard of: progress is read before the first watermark is
    /// seen, and rows of a former life of the producer may come first.
    applied: BTreeMap<Uuid, Vec<i64>>,
}

#[derive(Clone, Debug, Default)]
struct Shard {
    passed: Option<Timestamp>,
    /// Not passed yet, oldest first: (time, position).
    ahead: Vec<(Timestamp, i64)>,
}

/// Watermarks kept per shard while they are not passed: eight seconds of them, far beyond the bound on age. When full
/// the newest is replaced, so a stalled consumer loses precision and never truth.
const AHEAD_MAX: usize = 16;
/// Incarnations remembered. Their ids sort by age, and the oldest is forgotten first.
const INCARNATIONS_MAX: usize = 8;

impl Passage {
    /// Takes note of a watermark; one of a new incarnation starts anew from what has been applied of that.
    pub fn seen(&mut self, watermark: &Watermark) {
        if self.incarnation != Some(watermark.incarnation) {
            self.incarnation = Some(watermark.incarnation);
            self.shards = vec![Shard::default(); SHARDS as usize];
        }
        let applied = self.applied.get(&watermark.incarnation);
        for (at, (shard, position)) in self.shards.iter_mut().zip(&watermark.positions).enumerate() {
            shard.ahead.retain(|(time, _)| *time < watermark.time);
            shard.ahead.truncate(AHEAD_MAX - 1);
            shard.ahead.push((watermark.time, *position));
            shard.pass(applied.and_then(|applied| applied.get(at)).copied().unwrap_or(0));
        }
    }

    /// Takes note that every event of `shard` up to `position` has been applied.
    pub fn applied(&mut self, incarnation: Uuid, shard: u32, position: i64) {
        let positions = self.applied.entry(incarnation).or_insert_with(|| vec![0; SHARDS as usize]);
        let Some(applied) = positions.get_mut(shard as usize) else { return };
        *applied = position.max(*applied);
        if self.incarnation == Some(incarnation)
            && let Some(shard) = self.shards.get_mut(shard as usize)
        {
            shard.pass(*applied);
        }
        if self.applied.len() > INCARNATIONS_MAX {
            self.applied.pop_first();
        }
    }

    /// Whether some event that a watermark speaks of is not known to be applied.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        self.shards.iter().any(|shard| !shard.ahead.is_empty())
    }

    /// The lease time up to which everything of `shard` is known; none before the first watermark was passed.
    #[must_use]
    pub fn known_until(&self, shard: u32) -> Option<Timestamp> {
        self.shards.get(shard as usize).and_then(|shard| shard.passed)
    }

    /// The position up to which everything of `shard` has been applied, of the producer's present life.
    #[must_use]
    pub fn position(&self, shard: u32) -> i64 {
        let applied = self.incarnation.and_then(|incarnation| self.applied.get(&incarnation));
        applied.and_then(|applied| applied.get(shard as usize)).copied().unwrap_or(0)
    }

    /// The lease time up to which everything is known: the least of all shards.
    #[must_use]
    pub fn known_until_everywhere(&self) -> Option<Timestamp> {
        self.shards.iter().map(|shard| shard.passed).min().flatten()
    }
}

impl Shard {
    fn pass(&mut self, applied: i64) {
        let passed = self.ahead.iter().take_while(|(_, position)| *position <= applied).count();
        if let Some((time, _)) = self.ahead.drain(..passed).next_back() {
            self.passed = Some(self.passed.map_or(time, |before| before.max(time)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watermark(seconds: i64, position: i64) -> Watermark {
        let mut positions = vec![0; SHARDS as usize];
        positions[3] = position;
        Watermark { incarnation: Uuid::from_u128(1), time: Timestamp::from_seconds(seconds), positions }
    }

    fn known(passage: &Passage) -> Option<i64> {
        passage.known_until(3).map(Timestamp::seconds)
    }

    #[test]
    fn a_consumer_that_is_always_a_little_behind_still_grows_older_knowledge() {
        let mut passage = Passage::default();
        passage.seen(&watermark(10, 5));
        assert_eq!(known(&passage), None);
        passage.seen(&watermark(11, 9));
        passage.applied(Uuid::from_u128(1), 3, 5);
        assert_eq!(known(&passage), Some(10));
        assert_eq!(passage.known_until(4), Some(Timestamp::from_seconds(11)));
        assert_eq!(passage.known_until_everywhere(), Some(Timestamp::from_seconds(10)));
        passage.applied(Uuid::from_u128(1), 3, 9);
        assert_eq!(known(&passage), Some(11));
    }

    #[test]
    fn a_stalled_consumer_never_seems_to_know_more_than_it_has_applied() {
        let mut passage = Passage::default();
        for second in 0..100 {
            passage.seen(&watermark(second, second + 1));
        }
        assert_eq!(known(&passage), None);
        passage.applied(Uuid::from_u128(1), 3, 50);
        assert_eq!(known(&passage), Some(14));
        passage.applied(Uuid::from_u128(1), 3, 100);
        assert_eq!(known(&passage), Some(99));
    }

    #[test]
    fn a_new_incarnation_counts_only_what_was_applied_of_it() {
        let mut passage = Passage::default();
        passage.applied(Uuid::from_u128(1), 3, 50);
        passage.seen(&Watermark { incarnation: Uuid::from_u128(2), ..watermark(10, 5) });
        assert_eq!(known(&passage), None);
        passage.applied(Uuid::from_u128(1), 3, 60);
        assert_eq!(known(&passage), None);
        passage.applied(Uuid::from_u128(2), 3, 5);
        assert_eq!(known(&passage), Some(10));
    }

    #[test]
    fn progress_that_was_read_before_the_first_watermark_counts_also_beside_that_of_a_former_life() {
        let mut passage = Passage::default();
        passage.applied(Uuid::from_u128(0), 3, 900);
        passage.applied(Uuid::from_u128(1), 3, 5);
        assert_eq!(passage.known_until_everywhere(), None);
        passage.seen(&watermark(10, 5));
        assert_eq!(known(&passage), Some(10));
        assert_eq!(passage.known_until_everywhere(), Some(Timestamp::from_seconds(10)));
    }
}
