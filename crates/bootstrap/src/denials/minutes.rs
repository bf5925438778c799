//! What was denied in the running minute: which denials are written in full, which are only counted, and which counts are
//! written before the minute ends.

use std::{
    cmp::Reverse,
    collections::HashMap,
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
/// Counts of one subject that are written before their minute ends; what is counted after them waits for its end. Each is
/// one denial at least, so that an alert about so many never waits, and whoever floods does not fill the log.
const EARLY_MAX: usize = 64;

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

/// What came after a denial that was written in full.
struct Counted {
    /// What those that came after it have in common with it.
    entry: Entry,
    /// How many are not written yet.
    more: i64,
    /// How many counts of them were written.
    counts: usize,
}

/// A count that is due.
pub struct Count {
    at: (Minute, Key),
    more: i64,
    entry: Entry,
}

impl Count {
    /// The entry for those that it counts.
    pub fn entry(&self) -> Entry {
        self.entry.clone().with(|message| message.count = self.more)
    }

    fn of((at, counted): (&(Minute, Key), &Counted)) -> Self {
        Self { at: at.clone(), more: counted.more, entry: counted.entry.clone() }
    }
}

/// Whose counts are bounded together.
const fn whose((minute, key): &(Minute, Key)) -> (Minute, TenantId, SubjectId) {
    (*minute, key.tenant, key.subject)
}

/// The denials of the running minute, and of earlier ones until they are written.
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

    /// Counts a denial if its minute has an equal one in full; answers whether it has.
    pub fn count(&self, minute: Minute, key: &Key) -> bool {
        // A key is small beside the call that it came with.
        let mut held = self.lock();
        let known = held.get_mut(&(minute, key.clone()));
        known.map(|known| known.more += 1).is_some()
    }

    /// Remembers that a denial was written in full. When two were written at the same moment, the first stays.
    pub fn written(&self, minute: Minute, key: Key, entry: Entry) {
        // Nothing told apart what is counted under a key that does not say what was tried: the rows and fields of the first
        // would be told as if it had been tried again and again.
        let entry = match key.tried {
            Some(_) => entry,
            None => entry.with(|message| {
                message.resource_ids.clear();
                message.fields.clear();
            }),
        };
        let mut held = self.lock();
        if held.len() < KEYS_MAX {
            held.entry((minute, key)).or_insert(Counted { entry, more: 0, counts: 0 });
        }
    }

    /// At most `max` counts that are due before their minute ends, the largest first.
    pub fn early(&self, max: usize) -> Vec<Count> {
        let held = self.lock();
        let mut had: HashMap<_, usize> = HashMap::new();
        for (at, counted) in held.iter() {
            *had.entry(whose(at)).or_default() += counted.counts;
        }
        let mut pending: Vec<_> = held.iter().filter(|(_, counted)| counted.more > 0).collect();
        pending.sort_unstable_by_key(|(_, counted)| Reverse(counted.more));
        pending.retain(|(at, _)| {
            let had = had.entry(whose(at)).or_default();
            *had += 1;
            *had <= EARLY_MAX
        });
        pending.into_iter().take(max).map(Count::of).collect()
    }

    /// At most `max` counts of the minutes that are over at `now`, or of all; of these minutes, what nothing was added to
    /// is forgotten.
    pub fn ended(&self, now: Option<Minute>, max: usize) -> Vec<Count> {
        let mut held = self.lock();
        // A minute that lies ahead is one of before the wall was set back.
        let over = |minute: Minute| now.is_none_or(|now| minute != now);
        held.retain(|(minute, _), counted| !over(*minute) || counted.more > 0);
        held.iter().filter(|((minute, _), _)| over(*minute)).take(max).map(Count::of).collect()
    }

    /// Counts were written; until then they stay due.
    pub fn told(&self, counts: &[Count]) {
        let mut held = self.lock();
        for count in counts {
            if let Some(counted) = held.get_mut(&count.at) {
                counted.more -= count.more;
                counted.counts += 1;
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
        let (key, entry) = key(subject, "Access/CreateGrant");
        let entry = entry.about(ids.clone()).fields(fields.clone());
        let tried = minutes.fingerprint(&Tried { resource: "user", ids, fields });
        (Key { tried: Some(tried), ..key }, entry)
    }

    /// Whether a denial is written in full.
    fn full(minutes: &Minutes, at: Minute, (key, entry): (Key, Entry)) -> bool {
        let key = minutes.counted_as(at, key);
        let full = !minutes.count(at, &key);
        if full {
            minutes.written(at, key, entry);
        }
        full
    }

    /// What is written of these, and nothing is due any more.
    fn written(minutes: &Minutes, due: &[Count]) -> Vec<i64> {
        minutes.told(due);
        due.iter().map(|count| count.more).collect()
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
        assert!(minutes.ended(Some(now), 10).is_empty(), "the minute still runs");
        assert_eq!(written(&minutes, &minutes.ended(Some(Minute(8)), 10)), [2]);
        assert!(minutes.ended(Some(Minute(8)), 10).is_empty(), "written once");
    }

    #[test]
    fn what_is_counted_is_due_while_its_minute_runs_the_largest_count_first() {
        let (minutes, now) = (Minutes::default(), Minute(7));
        for (action, times) in [("customer.view", 3), ("customer.export", 6), ("plan.manage", 1)] {
            for _ in 0..times {
                full(&minutes, now, key(2, action));
            }
        }
        assert_eq!(written(&minutes, &minutes.early(10)), [5, 2]);
        assert!(minutes.early(10).is_empty(), "written once");
        assert!(!full(&minutes, now, key(2, "plan.manage")), "what was written is remembered");
        assert_eq!(written(&minutes, &minutes.early(10)), [1]);
        assert!(minutes.ended(None, 10).is_empty(), "nothing is left for the end");
    }

    #[test]
    fn who_had_so_many_counts_in_a_minute_waits_for_its_end_and_nobody_else_does() {
        let (minutes, now) = (Minutes::default(), Minute(7));
        let mut early = 0;
        for tried in 0..EARLY_MAX + 10 {
            for action in ["customer.view", "customer.export"] {
                full(&minutes, now, key(2, action));
            }
            early += if tried == 0 { 0 } else { written(&minutes, &minutes.early(10)).len() };
        }
        assert_eq!(early, EARLY_MAX, "of both together");
        full(&minutes, now, key(3, "customer.view"));
        full(&minutes, now, key(3, "customer.view"));
        assert_eq!(written(&minutes, &minutes.early(10)), [1], "somebody else");
        full(&minutes, Minute(8), key(2, "customer.view"));
        full(&minutes, Minute(8), key(2, "customer.view"));
        assert_eq!(written(&minutes, &minutes.early(10)), [1], "another minute");
        let rest = written(&minutes, &minutes.ended(Some(Minute(8)), 10));
        let counted = 2 * (EARLY_MAX + 10 - 1);
        assert_eq!(rest.iter().sum::<i64>(), i64::try_from(counted - EARLY_MAX).expect("a few"), "none is lost");
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
        assert_eq!(written(&minutes, &minutes.ended(None, 100)).iter().sum::<i64>(), 32, "each that was not in full");
    }

    #[test]
    fn a_count_names_for_whom_it_was_only_where_all_of_it_was_for_the_same() {
        let (minutes, now) = (Minutes::default(), Minute(7));
        for holder in 0..=TRIED_MAX as u128 {
            full(&minutes, now, given(&minutes, 2, (holder, "customer.view")));
        }
        full(&minutes, now, given(&minutes, 2, (5, "customer.view")));
        for holder in 1_000..1_003 {
            assert!(!full(&minutes, now, given(&minutes, 2, (holder, "customer.view"))));
        }
        let told = |count: &Count| {
            let mut told = (0, Vec::new(), Vec::new());
            drop(count.entry().with(|it| told = (it.count, it.resource_ids.clone(), it.fields.clone())));
            told
        };
        let told: Vec<_> = minutes.early(10).iter().map(told).collect();
        let same = (1, vec![Uuid::from_u128(5).to_string()], vec!["customer.view".to_owned()]);
        assert_eq!(told, [(3, Vec::new(), Vec::new()), same]);
    }

    #[test]
    fn what_could_not_be_written_stays_due() {
        let (minutes, now) = (Minutes::default(), Minute(7));
        for _ in 0..3 {
            full(&minutes, now, key(2, "customer.view"));
        }
        drop(minutes.early(10));
        assert_eq!(minutes.oldest(), Some(now));
        let due = minutes.early(10);
        full(&minutes, now, key(2, "customer.view"));
        assert_eq!(written(&minutes, &due), [2]);
        assert_eq!(written(&minutes, &minutes.ended(None, 10)), [1], "what came while it was written");
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
