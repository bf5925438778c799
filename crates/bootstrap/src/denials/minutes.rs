//! What was denied in the running minute: which denials are written in full, and which are only counted.

use std::{
    collections::{HashMap, hash_map::Entry as Slot},
    hash::BuildHasher,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use revisit_core::{
    Timestamp, Tried,
    id::{SubjectId, TenantId},
};

use crate::audit::Entry;

/// Different denials that are remembered at once. Beyond it each one is written in full: more entries, never fewer.
const KEYS_MAX: usize = 4_096;
/// Denials of one minute that differ only in what was tried, for whom or which right, and are told apart. What is tried
/// beyond them is counted together: whoever goes through a whole directory fills neither the log nor the book.
const TRIED_MAX: usize = 32;
/// How long equal denials are counted together.
const MINUTE: Duration = Duration::from_secs(60);
/// So many counted ones are written at once, as one entry: who tries everything is seen while it goes on.
const PART: i64 = 8;
/// Parts of a minute that are written at once; what comes after them waits for its end.
const PARTS_MAX: u8 = 8;

/// A minute of the wall.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Minute(i64);

impl Minute {
    /// The minute of an instant.
    pub const fn of(at: Timestamp) -> Self {
        Self(at.seconds().div_euclid(60))
    }

    /// The instant at which it is over.
    pub fn end(self) -> Timestamp {
        Timestamp::from_seconds(self.0.saturating_mul(60)) + MINUTE
    }
}

/// What makes two denials equal.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Key {
    pub tenant: TenantId,
    pub subject: SubjectId,
    pub action: String,
    pub reason: &'static str,
    /// What was tried; nothing where the refusal does not say so, and for all that is beyond [`TRIED_MAX`].
    pub tried: Option<u64>,
}

impl Key {
    /// Whether two differ at most in what was tried.
    fn is_like(&self, other: &Self) -> bool {
        (self.tenant, self.subject, self.reason) == (other.tenant, other.subject, other.reason)
            && self.action == other.action
    }
}

/// A denial that was written in full, and how many more came after it that are not written yet.
pub struct Counted {
    pub entry: Entry,
    pub more: i64,
    parts: u8,
}

impl Counted {
    /// The entry for those that came after it.
    pub fn rest(&self) -> Entry {
        self.entry.clone().with(|message| message.count = self.more)
    }
}

/// What is to be written of a denial.
pub enum Due {
    /// Itself, in full.
    Full,
    /// Those that were counted, it among them.
    Part(Box<Counted>),
    /// Nothing yet.
    Later,
}

/// The denials of the running minute, and of earlier ones until they are taken.
#[derive(Default)]
pub struct Minutes(Mutex<HashMap<(Minute, Key), Counted>>);

impl Minutes {
    /// What was tried, in the few bytes of a key. The hash is keyed at random: nobody finds two that are alike.
    pub fn fingerprint(&self, tried: &Tried) -> u64 {
        self.lock().hasher().hash_one(tried)
    }

    /// Under which key a denial is counted.
    pub fn counted_as(&self, minute: Minute, key: Key) -> Key {
        let held = self.lock();
        if key.tried.is_none() || held.contains_key(&(minute, key.clone())) {
            return key;
        }
        // The whole book is looked through: a small part of what the entry costs that is written otherwise.
        let alike = held.keys().filter(|(at, other)| *at == minute && other.is_like(&key)).count();
        if alike < TRIED_MAX { key } else { Key { tried: None, ..key } }
    }

    /// Counts a denial if its minute has an equal one in full.
    pub fn count(&self, minute: Minute, key: &Key) -> Due {
        // A key is small beside the call that it came with.
        let mut held = self.lock();
        let Some(known) = held.get_mut(&(minute, key.clone())) else { return Due::Full };
        known.more += 1;
        if known.more < PART || known.parts == PARTS_MAX {
            return Due::Later;
        }
        known.parts += 1;
        let more = std::mem::take(&mut known.more);
        Due::Part(Box::new(Counted { entry: known.entry.clone(), more, parts: known.parts }))
    }

    /// Remembers that a denial was written in full. When two were written at the same moment, the first stays.
    pub fn written(&self, minute: Minute, key: Key, entry: Entry) {
        let mut held = self.lock();
        if held.len() < KEYS_MAX {
            held.entry((minute, key)).or_insert(Counted { entry, more: 0, parts: 0 });
        }
    }

    /// Takes at most `max` counts of the minutes that are over at `now`, or of all; what nothing was added to is
    /// forgotten.
    pub fn take(&self, now: Option<Minute>, max: usize) -> Vec<((Minute, Key), Counted)> {
        let mut held = self.lock();
        // A minute that lies ahead is one of before the wall was set back.
        let over = |minute: Minute| now.is_none_or(|now| minute != now);
        held.retain(|(minute, _), counted| !over(*minute) || counted.more > 0);
        held.extract_if(|(minute, _), _| over(*minute)).take(max).collect()
    }

    /// Takes back what could not be written.
    pub fn give_back(&self, counted: Vec<((Minute, Key), Counted)>) {
        let mut held = self.lock();
        for (key, counted) in counted {
            match held.entry(key) {
                Slot::Occupied(mut slot) => slot.get_mut().more += counted.more,
                Slot::Vacant(slot) => drop(slot.insert(counted)),
            }
        }
    }

    /// The oldest minute with a count.
    pub fn oldest(&self) -> Option<Minute> {
        self.lock().iter().filter(|(_, counted)| counted.more > 0).map(|((minute, _), _)| *minute).min()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(Minute, Key), Counted>> {
        // Each change is whole in itself: a panic elsewhere leaves nothing half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use revisit_core::{Id, id::kind};
    use revisit_permission::Caller;
    use uuid::Uuid;

    use super::*;

    fn key(subject: u128, action: &str) -> (Key, Entry) {
        let tenant = Id::<kind::Tenant>::from_uuid(Uuid::from_u128(1));
        let subject = Id::<kind::Subject>::from_uuid(Uuid::from_u128(subject));
        let entry = Entry::new(&Caller::named(tenant, subject), action, "customer");
        (Key { tenant, subject, action: action.to_owned(), reason: "PERMISSION_DENIED", tried: None }, entry)
    }

    /// Somebody tries to give a right to somebody.
    fn given(minutes: &Minutes, subject: u128, (holder, right): (u128, &str)) -> (Key, Entry) {
        let (ids, fields) = (vec![Uuid::from_u128(holder)], vec![right.to_owned()]);
        let tried = minutes.fingerprint(&Tried { resource: "user", ids, fields });
        let (key, entry) = key(subject, "Access/CreateGrant");
        (Key { tried: Some(tried), ..key }, entry)
    }

    /// Whether a denial is written in full.
    fn full(minutes: &Minutes, at: Minute, (key, entry): (Key, Entry)) -> bool {
        let key = minutes.counted_as(at, key);
        let full = matches!(minutes.count(at, &key), Due::Full);
        if full {
            minutes.written(at, key, entry);
        }
        full
    }

    #[test]
    fn the_first_of_a_minute_is_in_full_and_the_rest_is_counted() {
        let (minutes, now) = (Minutes::default(), Minute(7));
        assert!(full(&minutes, now, key(2, "customer.view")));
        assert!(!full(&minutes, now, key(2, "customer.view")));
        assert!(!full(&minutes, now, key(2, "customer.view")));
        assert!(full(&minutes, now, key(2, "customer.export")), "another action");
        assert!(full(&minutes, now, key(3, "customer.view")), "another subject");
        assert!(full(&minutes, Minute(8), key(2, "customer.view")), "another minute");
        assert!(minutes.take(Some(now), 10).is_empty(), "the minute still runs");
        let taken = minutes.take(Some(Minute(8)), 10);
        assert_eq!(taken.iter().map(|(_, counted)| counted.more).collect::<Vec<_>>(), [2]);
        assert!(minutes.take(Some(Minute(8)), 10).is_empty(), "taken once");
    }

    #[test]
    fn a_burst_is_due_in_parts_while_it_goes_on_and_a_flood_at_the_end_of_its_minute() {
        let (minutes, now) = (Minutes::default(), Minute(7));
        assert!(full(&minutes, now, key(2, "customer.view")));
        let parts = (0..100).filter_map(|_| match minutes.count(now, &key(2, "customer.view").0) {
            Due::Part(counted) => Some(counted.more),
            Due::Full | Due::Later => None,
        });
        assert_eq!(parts.collect::<Vec<_>>(), [8; 8]);
        let taken = minutes.take(None, 10);
        assert_eq!(taken.iter().map(|(_, counted)| counted.more).collect::<Vec<_>>(), [100 - 64]);
    }

    #[test]
    fn what_is_tried_for_another_or_is_another_right_is_in_full_up_to_a_maximum() {
        let (minutes, now) = (Minutes::default(), Minute(7));
        let tried = |holder, right| full(&minutes, now, given(&minutes, 2, (holder, right)));
        assert!(tried(0, "customer.view"));
        assert!(tried(0, "audit.view"), "another right");
        for holder in 1..TRIED_MAX as u128 - 1 {
            assert!(tried(holder, "customer.view"), "another holder");
            assert!(!tried(holder, "customer.view"), "the same");
        }
        assert!(tried(1_000, "customer.view"), "the first of the rest");
        assert!(!tried(1_001, "customer.view"), "the rest is counted");
        assert!(!tried(0, "customer.view"), "who was told apart still is");
        assert!(full(&minutes, now, given(&minutes, 3, (1_001, "customer.view"))), "somebody else tries");
        assert!(full(&minutes, Minute(8), given(&minutes, 2, (1_001, "customer.view"))), "another minute");
        let counted: i64 = minutes.take(None, 100).iter().map(|(_, counted)| counted.more).sum();
        assert_eq!(counted, 32, "each that was not in full");
    }

    #[test]
    fn what_could_not_be_written_is_taken_again() {
        let (minutes, now) = (Minutes::default(), Minute(7));
        for _ in 0..3 {
            full(&minutes, now, key(2, "customer.view"));
        }
        let taken = minutes.take(None, 10);
        minutes.give_back(taken);
        assert_eq!(minutes.oldest(), Some(now));
        assert_eq!(minutes.take(None, 10).first().map(|(_, counted)| counted.more), Some(2));
    }

    #[test]
    fn a_full_book_writes_everything_else_in_full() {
        let (minutes, now) = (Minutes::default(), Minute(7));
        for subject in 0..KEYS_MAX {
            assert!(full(&minutes, now, key(subject as u128, "customer.view")));
        }
        for _ in 0..2 {
            assert!(full(&minutes, now, key(u128::MAX, "customer.view")));
        }
        assert!(!full(&minutes, now, key(0, "customer.view")), "who is in the book is counted");
    }
}
