//! Counting: what each rule has counted lately for whom, how that is taken back, and how it is known again from a log.

use std::collections::{BTreeSet, HashMap, VecDeque};

use revisit_core::Timestamp;
use uuid::Uuid;

use super::{Alert, Limit, Limits, Reaction, Rule, Seen, weigh};

/// Parts that a window is counted in: what leaves it leaves it a part at a time.
const PARTS: u32 = 16;
/// People and rules of one company that are counted at once; of more, those are forgotten whose last entry is oldest.
const WINDOWS_MAX: usize = 20_000;
/// The same for names that nobody has: whoever makes names up makes nobody else forgotten.
const NAMES_MAX: usize = 2_000;

type Key = (Rule, Uuid);

/// What somebody did lately, for one rule.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Window {
    /// Beginning and weight of each part, oldest first; never more than [`PARTS`] and one.
    parts: VecDeque<(i64, u64)>,
    told_at: Option<Timestamp>,
    /// The last entry that it counted.
    last: i64,
}

impl Window {
    /// Adds a weight; answers the sum, and whether it is to be told.
    ///
    /// An entry that claims a time far ahead moves the window there; the caller clamps it.
    fn add(&mut self, at: Timestamp, weight: u64, limit: Limit) -> (u64, bool) {
        let window = i64::try_from(limit.window.as_micros()).unwrap_or(i64::MAX);
        let part = (window / i64::from(PARTS)).max(1);
        let begin = at.micros().div_euclid(part) * part;
        match self.parts.iter_mut().find(|(known, _)| *known == begin) {
            Some((_, sum)) => *sum = sum.saturating_add(weight),
            None => {
                let place = self.parts.partition_point(|(known, _)| *known < begin);
                self.parts.insert(place, (begin, weight));
            }
        }
        let newest = self.parts.back().map_or(begin, |(newest, _)| *newest);
        while self.parts.front().is_some_and(|(oldest, _)| *oldest <= newest - window) {
            self.parts.pop_front();
        }
        let sum = self.parts.iter().fold(0_u64, |sum, (_, weight)| sum.saturating_add(*weight));
        let silent = self.told_at.is_some_and(|told| at < told + limit.window);
        (sum, sum >= limit.count && !silent)
    }

    fn tell(&mut self, at: Timestamp, reaction: Reaction) {
        match reaction {
            Reaction::Tell => self.told_at = Some(at),
            // The sessions have ended: what comes now is another attempt.
            Reaction::Freeze => self.parts.clear(),
        }
    }
}

/// Windows up to a bound, beyond which the one whose last entry is oldest goes: which ones are there depends on the last
/// entries alone, and not on where the reading of a log began.
#[derive(Clone, Debug)]
struct Windows {
    most: usize,
    of: HashMap<Key, Window>,
    by_last: BTreeSet<(i64, Key)>,
}

impl Windows {
    fn up_to(most: usize) -> Self {
        Self { most, of: HashMap::new(), by_last: BTreeSet::new() }
    }

    /// Puts a window, or none, in the place of what was there; answers that.
    fn put(&mut self, key: Key, window: Option<Window>) -> Option<Window> {
        let last = window.as_ref().map(|it| it.last);
        let before = match window {
            Some(window) => self.of.insert(key, window),
            None => self.of.remove(&key),
        };
        if let Some(before) = &before {
            self.by_last.remove(&(before.last, key));
        }
        if let Some(last) = last {
            self.by_last.insert((last, key));
        }
        before
    }

    /// The window that goes, if there is one too many.
    fn one_too_many(&self) -> Option<Key> {
        self.by_last.first().filter(|_| self.of.len() > self.most).map(|(_, key)| *key)
    }
}

/// Whose windows: of people, or of names that nobody has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Whose {
    People,
    Names,
}

/// How to get back to where one was.
#[derive(Clone, Debug)]
struct Undo {
    number: i64,
    hash: Vec<u8>,
    /// Windows as they were, in the order in which they were changed.
    windows: Vec<(Whose, Key, Option<Window>)>,
}

/// What one company's people did lately.
#[derive(Clone, Debug)]
pub struct Engine {
    /// The last entry that was weighed.
    pub number: i64,
    /// Its hash: another replica may have chained another entry under the number.
    pub hash: Vec<u8>,
    people: Windows,
    names: Windows,
    undo: Option<Undo>,
}

impl Default for Engine {
    fn default() -> Self {
        Self::up_to(WINDOWS_MAX, NAMES_MAX)
    }
}

impl Engine {
    fn up_to(people: usize, names: usize) -> Self {
        let (people, names) = (Windows::up_to(people), Windows::up_to(names));
        Self { number: 0, hash: Vec::new(), people, names, undo: None }
    }

    /// Weighs the next entry; answers what is to be told, and counts it as told.
    pub fn take(&mut self, number: i64, seen: &Seen, limits: &Limits) -> Vec<Alert> {
        self.weigh(number, seen, limits, |_, reached| reached)
    }

    /// Weighs an entry that was chained before, by whomever; `told` is what was told of it then.
    pub fn recall(&mut self, number: i64, seen: &Seen, limits: &Limits, told: &BTreeSet<(Rule, Uuid)>) {
        self.weigh(number, seen, limits, |key, _| told.contains(&key));
    }

    fn weigh(&mut self, number: i64, seen: &Seen, limits: &Limits, tells: impl Fn(Key, bool) -> bool) -> Vec<Alert> {
        self.number = number;
        let mut alerts = Vec::new();
        for rule in Rule::ALL {
            let limit = limits.of(rule);
            let Some((about, weight)) = weigh(rule, seen, &limits.hours).filter(|_| limit.count > 0) else { continue };
            let is_name = rule == Rule::FailedLogIns && seen.names_nobody;
            let (whose, key) = (if is_name { Whose::Names } else { Whose::People }, (rule, about));
            let mut window = self.windows(whose).of.get(&key).cloned().unwrap_or_default();
            window.last = number;
            let (counted, reached) = window.add(seen.time, weight, limit);
            if tells(key, reached) {
                window.tell(seen.time, limit.reaction);
                alerts.push(Alert { rule, about, time: seen.time, counted, limit });
            }
            self.put(whose, key, Some(window));
            while let Some(key) = self.windows(whose).one_too_many() {
                self.put(whose, key, None);
            }
        }
        alerts
    }

    /// Says that what [`Engine::take`] has just answered had been told at an instant before, beyond what is remembered.
    pub fn was_told(&mut self, alert: &Alert, at: Timestamp) {
        for whose in [Whose::People, Whose::Names] {
            let key = (alert.rule, alert.about);
            let Some(mut window) = self.windows(whose).of.get(&key).cloned() else { continue };
            window.told_at = Some(at);
            self.put(whose, key, Some(window));
        }
    }

    /// What comes can be taken back from here on.
    pub fn open(&mut self) {
        self.undo = Some(Undo { number: self.number, hash: self.hash.clone(), windows: Vec::new() });
    }

    /// What came since it was opened stays.
    pub fn close(&mut self) {
        self.undo = None;
    }

    /// Takes back what came since it was opened.
    pub fn take_back(&mut self) {
        let Some(undo) = self.undo.take() else { return };
        (self.number, self.hash) = (undo.number, undo.hash);
        for (whose, key, window) in undo.windows.into_iter().rev() {
            self.put(whose, key, window);
        }
    }

    fn windows(&mut self, whose: Whose) -> &mut Windows {
        match whose {
            Whose::People => &mut self.people,
            Whose::Names => &mut self.names,
        }
    }

    fn put(&mut self, whose: Whose, key: Key, window: Option<Window>) {
        let before = self.windows(whose).put(key, window);
        if let Some(undo) = &mut self.undo {
            undo.windows.push((whose, key, before));
        }
    }
}

#[cfg(test)]
mod tests;
