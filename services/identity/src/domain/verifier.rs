//! Follows one company's audit chain link by link, and holds it against the checkpoints that every service keeps: what
//! was edited, removed, reordered, cut off, written anew or brought back from a backup shows, with the first bad entry.

use std::collections::{BTreeMap, VecDeque};

use revisit_core::id::TenantId;

use super::{
    chain::{End, Head, Index, Link, Origin, end_bytes, entry_bytes},
    checkpoint::Checkpoint,
};

/// Links since the last checkpoint that agreed, kept to find the first one whose signature is wrong. Of more than that
/// the oldest are looked at as they leave.
const SUSPECTS_MAX: usize = 2_048;
/// Doubts of one company that are told.
const DOUBTS_MAX: usize = 100;

/// How a chain is broken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Broken {
    /// An entry was removed or moved: the numbers do not follow each other.
    Missing(i64),
    /// This entry is not what was chained and signed, or is not found by what it says.
    Edited(i64),
    /// An entry from a place that had been passed: it had been left out, or was slipped in.
    Late(i64),
    /// The chain ends after this entry, and was longer when it was signed.
    Cut(i64),
    /// All entries are signed, and these are not those that a service remembers: the log was brought back from a backup
    /// and has gone on, or somebody has the key.
    Another { from: i64, until: i64, keeper: String },
    /// identity does not know the company any more, of which this service keeps checkpoints.
    Gone { keeper: String },
    /// The checkpoint at this entry counts other places than the chain has.
    Miscounted(i64),
}

impl Broken {
    /// The first entry that cannot be trusted.
    #[must_use]
    pub const fn first(&self) -> i64 {
        match self {
            Self::Missing(number) | Self::Edited(number) | Self::Late(number) | Self::Miscounted(number) => *number,
            Self::Cut(number) => *number + 1,
            Self::Another { from, .. } => *from,
            Self::Gone { .. } => 1,
        }
    }
}

/// What is wrong with the checkpoints of a service, and not with the chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Doubt {
    /// No key of ours has signed it.
    Forged { keeper: String, number: i64 },
    /// identity does not have it any more.
    Lost { number: i64 },
    /// It comes after one that covers more.
    Disordered { keeper: String, number: i64 },
}

/// What is believed.
#[derive(Clone, Copy)]
pub struct Rules<'a> {
    pub tenant: TenantId,
    /// What an entry is found by.
    pub index: &'a (dyn Fn(&[u8]) -> Index + Sync),
    pub verifies: &'a Verifies<'a>,
}

/// Whether a key of ours, this one if it is named, has signed these bytes.
pub type Verifies<'a> = dyn Fn(Option<&str>, &[u8], &[u8]) -> bool + Sync + 'a;

/// The service whose own checkpoints have no gap.
pub const OWN: &str = "identity";

/// Follows one company's chain.
pub struct Verifier<'a> {
    rules: Rules<'a>,
    head: Head,
    /// Checkpoints that are to be met, by the entry that they stand at.
    ahead: BTreeMap<i64, Vec<(String, Checkpoint)>>,
    /// Number of the last checkpoint of each keeper.
    numbers: BTreeMap<String, i64>,
    /// The last entry at which each keeper agreed.
    agreed: BTreeMap<String, i64>,
    /// Number of the last checkpoint that agreed.
    believed: Option<i64>,
    suspects: VecDeque<Head>,
    counted: BTreeMap<Origin, i64>,
    passed: BTreeMap<Origin, i64>,
    doubts: Vec<Doubt>,
}

impl<'a> Verifier<'a> {
    #[must_use]
    pub fn new(rules: Rules<'a>) -> Self {
        Self {
            rules,
            head: Head::default(),
            ahead: BTreeMap::new(),
            numbers: BTreeMap::new(),
            agreed: BTreeMap::new(),
            believed: None,
            suspects: VecDeque::new(),
            counted: BTreeMap::new(),
            passed: BTreeMap::new(),
            doubts: Vec::new(),
        }
    }

    /// What was doubtful of the checkpoints.
    #[must_use]
    pub fn doubts(&self) -> &[Doubt] {
        &self.doubts
    }

    /// Takes the next checkpoint of a keeper, before the links that it covers. They come in the order of their numbers.
    pub fn expect(&mut self, keeper: &str, checkpoint: Checkpoint) {
        let number = checkpoint.number;
        let last = self.numbers.insert(keeper.to_owned(), number).unwrap_or(0);
        if keeper == OWN && number > last + 1 {
            self.doubt(Doubt::Lost { number: last + 1 });
        }
        if !(self.rules.verifies)(Some(&checkpoint.kid), &checkpoint.bytes(self.rules.tenant), &checkpoint.signature) {
            self.doubt(Doubt::Forged { keeper: keeper.to_owned(), number });
        } else if checkpoint.entry_number <= self.head.number {
            self.doubt(Doubt::Disordered { keeper: keeper.to_owned(), number });
        } else {
            self.ahead.entry(checkpoint.entry_number).or_default().push((keeper.to_owned(), checkpoint));
        }
    }

    fn doubt(&mut self, doubt: Doubt) {
        if self.doubts.len() < DOUBTS_MAX {
            self.doubts.push(doubt);
        }
    }

    /// Takes the next link; after a break nothing that follows proves anything.
    pub fn follow(&mut self, link: &Link) -> Result<(), Broken> {
        let number = self.head.number + 1;
        if link.number != number {
            // Whatever stands before may be the last that is true: its own signature tells.
            self.trust_head()?;
            return Err(Broken::Missing(number));
        }
        let place = (&link.origin, link.position);
        if self.head.hash_next(self.rules.tenant, place, &link.entry) != link.hash {
            self.trust_head()?;
            return Err(Broken::Edited(number));
        }
        if (self.rules.index)(&link.entry) != link.index {
            return Err(Broken::Edited(number));
        }
        if self.passed.get(&link.origin).is_some_and(|passed| link.position <= *passed) {
            return Err(Broken::Late(number));
        }
        *self.counted.entry(link.origin.clone()).or_default() += 1;
        self.head = link.head();
        self.suspect()?;
        let met = self.ahead.remove(&number).unwrap_or_default();
        self.meet(met)
    }

    /// The signature of an entry is covered by the next one only.
    fn trust_head(&self) -> Result<(), Broken> {
        match self.head.number == 0 || self.is_signed(&self.head) {
            true => Ok(()),
            false => Err(Broken::Edited(self.head.number)),
        }
    }

    fn is_signed(&self, head: &Head) -> bool {
        (self.rules.verifies)(None, &entry_bytes(self.rules.tenant, head.number, &head.hash), &head.signature)
    }

    fn suspect(&mut self) -> Result<(), Broken> {
        self.suspects.push_back(self.head.clone());
        if self.suspects.len() > SUSPECTS_MAX
            && let Some(oldest) = self.suspects.pop_front()
            && !self.is_signed(&oldest)
        {
            return Err(Broken::Edited(oldest.number));
        }
        Ok(())
    }

    /// The first entry since the last checkpoint that agreed which no key of ours has signed.
    fn unsigned(&self) -> Option<Broken> {
        self.suspects.iter().find(|head| !self.is_signed(head)).map(|head| Broken::Edited(head.number))
    }

    /// Holds the chain against what stands at this entry: all of it, before any of it is believed.
    fn meet(&mut self, met: Vec<(String, Checkpoint)>) -> Result<(), Broken> {
        if let Some((keeper, checkpoint)) = met.iter().find(|(_, checkpoint)| checkpoint.hash != self.head.hash) {
            let another = || Broken::Another {
                from: self.agreed.get(keeper).copied().unwrap_or(0) + 1,
                until: checkpoint.entry_number,
                keeper: keeper.clone(),
            };
            return Err(self.unsigned().unwrap_or_else(another));
        }
        for (keeper, checkpoint) in met {
            self.agreed.insert(keeper, checkpoint.entry_number);
            self.believe(&checkpoint)?;
        }
        Ok(())
    }

    fn believe(&mut self, checkpoint: &Checkpoint) -> Result<(), Broken> {
        let before = self.believed.replace(checkpoint.number).unwrap_or(0);
        // The same one from another keeper.
        if before == checkpoint.number {
            return Ok(());
        }
        let told: BTreeMap<Origin, i64> =
            checkpoint.reaches.iter().map(|reach| (reach.origin.clone(), reach.entries)).collect();
        // Of a checkpoint that nobody has any more, nobody knows where the next one began to count.
        if checkpoint.number == before + 1 && told != self.counted {
            return Err(Broken::Miscounted(checkpoint.entry_number));
        }
        for reach in &checkpoint.reaches {
            self.passed.insert(reach.origin.clone(), reach.position);
        }
        self.counted.clear();
        self.suspects.clear();
        Ok(())
    }

    /// Compares where the chain ends with what was signed and what others remember.
    pub fn finish(&self, end: Option<&End>) -> Result<(), Broken> {
        if let Some(broken) = self.unsigned() {
            return Err(broken);
        }
        // A checkpoint that has just agreed has cleared the suspects, and no entry covers the last one's signature.
        self.trust_head()?;
        if !self.ahead.is_empty() {
            return Err(Broken::Cut(self.head.number));
        }
        let Head { number, hash, .. } = &self.head;
        let bytes = end_bytes(self.rules.tenant, *number, hash);
        let signed = |end: &End| end.number == *number && (self.rules.verifies)(Some(&end.kid), &bytes, &end.signature);
        // A chain without an entry has no end.
        if end.map_or(*number == 0, signed) { Ok(()) } else { Err(Broken::Cut(*number)) }
    }
}

#[cfg(test)]
mod tests;
