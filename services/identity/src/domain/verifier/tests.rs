//! Ten thousand manipulations of a chain, each drawn from a seed: every one is found, at the first entry that it touched.

use revisit_core::Timestamp;
use uuid::Uuid;

use super::*;
use crate::domain::checkpoint::Reach;

/// Manipulations of each kind; together more than ten thousand.
const CASES: usize = 800;
/// Entries of the chain.
const ENTRIES: i64 = 48;
/// Where checkpoints were made. Behind the last one only the mark of the end stands guard.
const MARKS: [i64; 5] = [7, 8, 20, 33, 44];
const KEY: &str = "our key";
const STOLEN: &str = "a key of somebody else";
const PEERS: [&str; 3] = ["customer", "followup", "notification"];

/// A small generator of numbers: what a case does follows from its seed.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Between two numbers, both included.
    fn between(&mut self, low: i64, high: i64) -> i64 {
        low + i64::try_from(self.next() % u64::try_from(high - low + 1).expect("in order")).expect("small")
    }
}

fn tenant(number: u128) -> TenantId {
    TenantId::from_uuid(Uuid::from_u128(number))
}

fn ours() -> TenantId {
    tenant(1)
}

/// Stands for a signature: who lacks the key cannot make it.
fn sign(key: &str, bytes: &[u8]) -> Vec<u8> {
    blake3::keyed_hash(blake3::hash(key.as_bytes()).as_bytes(), bytes).as_bytes().to_vec()
}

fn verifies(kid: Option<&str>, bytes: &[u8], signature: &[u8]) -> bool {
    kid.is_none_or(|kid| kid == KEY) && signature == sign(KEY, bytes)
}

/// What an entry of these tests is found by: its bytes say it.
fn index(entry: &[u8]) -> Index {
    let byte = |place: usize| entry.get(place).copied().unwrap_or_default();
    Index {
        subject: Some(Uuid::from_u128(u128::from(byte(0)))),
        action: format!("action {}", byte(1)),
        outcome: i32::from(byte(2) % 3) + 1,
        time: Timestamp::from_seconds(i64::from(byte(3))),
        rows: [Uuid::from_u128(u128::from(byte(4)))].into(),
        fields: [format!("field {}", byte(5))].into(),
    }
}

/// What the databases hold.
#[derive(Clone, Default)]
struct World {
    links: Vec<Link>,
    end: Option<End>,
    /// identity's, then those of the others.
    own: Vec<Checkpoint>,
    peers: Vec<Checkpoint>,
}

fn origin(number: i64) -> Origin {
    let source = ["identity", "customer"][usize::from(number % 3 == 0)].to_owned();
    Origin { source, incarnation: Uuid::from_u128(9), shard: u32::try_from(number % 5).expect("small") }
}

impl World {
    fn whole() -> Self {
        let mut world = Self::default();
        (1..=ENTRIES).for_each(|number| world.append(&[u8::try_from(number).expect("small"); 6], &MARKS));
        world
    }

    /// What identity does.
    fn append(&mut self, entry: &[u8], marks: &[i64]) {
        let head = self.links.last().map(Link::head).unwrap_or_default();
        let number = head.number + 1;
        let (origin, position) = (origin(number), number * 10);
        let hash = head.hash_next(ours(), (&origin, position), entry);
        let signature = sign(KEY, &entry_bytes(ours(), number, &hash));
        let mark = sign(KEY, &end_bytes(ours(), number, &hash));
        self.end = Some(End { number, kid: KEY.to_owned(), signature: mark });
        let (entry, index) = (entry.to_vec(), index(entry));
        self.links.push(Link { number, origin, position, entry, index, hash, signature });
        if marks.contains(&number) {
            let made = self.mark();
            self.own.push(made.clone());
            self.peers.push(made);
        }
    }

    fn mark(&self) -> Checkpoint {
        let former = self.own.last().map_or(0, |last| last.entry_number);
        let mut counts: BTreeMap<Origin, (i64, i64)> = BTreeMap::new();
        for link in self.links.iter().filter(|link| link.number > former) {
            let count = counts.entry(link.origin.clone()).or_default();
            *count = (link.position, count.1 + 1);
        }
        let reach = |(origin, (position, entries))| Reach { origin, position, entries };
        let last = self.links.last().expect("there are links");
        let mut made = Checkpoint {
            number: self.own.last().map_or(0, |last| last.number) + 1,
            entry_number: last.number,
            hash: last.hash.clone(),
            time: Timestamp::from_seconds(last.number),
            reaches: counts.into_iter().map(reach).collect(),
            kid: KEY.to_owned(),
            signature: Vec::new(),
        };
        made.signature = sign(KEY, &made.bytes(ours()));
        made
    }

    /// Recomputes all hashes from a place on, as somebody can who knows the rules.
    fn rehash(&mut self, from: usize) {
        for place in from..self.links.len() {
            let head = if place == 0 { Head::default() } else { self.links[place - 1].head() };
            let link = &mut self.links[place];
            link.number = head.number + 1;
            link.hash = head.hash_next(ours(), (&link.origin, link.position), &link.entry);
        }
    }

    fn verify(&self, of: TenantId) -> (Result<(), Broken>, Vec<Doubt>) {
        let mut verifier = Verifier::new(Rules { tenant: of, index: &index, verifies: &verifies });
        for checkpoint in &self.own {
            verifier.expect(OWN, checkpoint.clone());
        }
        for peer in PEERS {
            for checkpoint in &self.peers {
                verifier.expect(peer, checkpoint.clone());
            }
        }
        let mut links: Vec<&Link> = self.links.iter().collect();
        links.sort_by_key(|link| link.number);
        let followed = links.into_iter().try_for_each(|link| verifier.follow(link));
        (followed.and_then(|()| verifier.finish(self.end.as_ref())), verifier.doubts().to_vec())
    }
}

fn place(number: i64) -> usize {
    usize::try_from(number - 1).expect("from one on")
}

/// Something to do to a chain; answers the first entry that it touched.
type Manipulation = fn(&mut World, &mut Dice) -> i64;

/// Each way to tamper, by what somebody can who writes to the database and has not the key.
const MANIPULATIONS: [(&str, Manipulation); 13] = [
    ("any column of an entry edited", edit),
    ("what an entry is found by edited", mislead),
    ("a number edited", renumber),
    ("an entry removed", |world, dice| {
        let number = dice.between(1, ENTRIES);
        world.links.remove(place(number));
        number
    }),
    ("an entry removed and the gap closed", |world, dice| {
        let number = dice.between(1, ENTRIES);
        world.links.remove(place(number));
        world.links.iter_mut().skip(place(number)).for_each(|link| link.number -= 1);
        number
    }),
    ("two entries in each other's place", |world, dice| {
        let one = dice.between(1, ENTRIES - 1);
        let other = dice.between(one + 1, ENTRIES);
        world.links.swap(place(one), place(other));
        world.links[place(one)].number = one;
        world.links[place(other)].number = other;
        one
    }),
    ("the end cut off, with an older mark of the end", |world, dice| {
        let kept = dice.between(0, ENTRIES - 1);
        world.links.truncate(usize::try_from(kept).expect("small"));
        // Any mark but the one of exactly this length: that one is a copy of the database, which is tried below.
        let other = dice.between(1, ENTRIES);
        let known = Some(other).filter(|other| *other != kept || kept <= MARKS[4]);
        world.end = known.and_then(end_of).or_else(|| world.end.clone());
        kept + 1
    }),
    ("an older copy of the whole database", |world, dice| {
        let kept = dice.between(0, MARKS[4] - 1);
        restore(world, kept);
        kept + 1
    }),
    ("an older copy of the log with the checkpoints left", |world, dice| {
        let kept = dice.between(0, MARKS[4] - 1);
        let own = world.own.clone();
        restore(world, kept);
        world.own = own;
        kept + 1
    }),
    ("an entry forged and all hashes after it recomputed", |world, dice| {
        let number = dice.between(1, ENTRIES);
        world.links[place(number)].entry[0] ^= 0x80;
        let entry = world.links[place(number)].entry.clone();
        world.links[place(number)].index = index(&entry);
        world.rehash(place(number));
        forge_marks(world, number);
        number
    }),
    ("everything signed anew with another key", |world, dice| {
        let number = dice.between(1, ENTRIES);
        world.links[place(number)].position += 1;
        for at in place(number)..world.links.len() {
            world.rehash(at);
            let Link { number, hash, .. } = &world.links[at];
            world.links[at].signature = sign(STOLEN, &entry_bytes(ours(), *number, hash));
        }
        forge_marks(world, number);
        number
    }),
    ("an entry put in and all hashes after it recomputed", |world, dice| {
        let number = dice.between(1, ENTRIES);
        // Its own copy would be the same entry still.
        let copy = world.links[place(1 + (number + dice.between(0, ENTRIES - 2)) % ENTRIES)].clone();
        world.links.insert(place(number), copy);
        world.rehash(place(number));
        forge_marks(world, number);
        number
    }),
    ("the log brought back from a backup, and gone on", |world, dice| {
        let kept = dice.between(0, MARKS[4] - 1);
        restore(world, kept);
        let peers = std::mem::take(&mut world.peers);
        while i64::try_from(world.links.len()).expect("small") < ENTRIES {
            world.append(&[0xf0; 6], &[kept + 3, 47]);
        }
        world.peers = peers;
        // From there on all is signed: how far the others agree is all that can be told.
        MARKS.into_iter().filter(|mark| *mark <= kept).max().unwrap_or(0) + 1
    }),
];

/// One column of one entry.
fn edit(world: &mut World, dice: &mut Dice) -> i64 {
    let number = dice.between(1, ENTRIES);
    let link = &mut world.links[place(number)];
    let flip = |bytes: &mut Vec<u8>, dice: &mut Dice| {
        let at = usize::try_from(dice.next() % u64::try_from(bytes.len()).expect("small")).expect("small");
        bytes[at] ^= 1 << (dice.next() % 8);
    };
    match dice.between(0, 6) {
        0 => link.origin.source = "followup".to_owned(),
        1 => link.origin.incarnation = Uuid::from_u128(u128::from(dice.next()) << 8),
        2 => link.origin.shard += 1 + u32::try_from(dice.between(0, 50)).expect("small"),
        3 => link.position += dice.between(1, 1_000),
        4 => flip(&mut link.entry, dice),
        5 => flip(&mut link.hash, dice),
        _ => flip(&mut link.signature, dice),
    }
    number
}

/// One column that entries are searched by.
fn mislead(world: &mut World, dice: &mut Dice) -> i64 {
    let number = dice.between(1, ENTRIES);
    let index = &mut world.links[place(number)].index;
    let other = Uuid::from_u128(u128::from(dice.next()) << 8);
    match dice.between(0, 8) {
        0 => index.subject = None,
        1 => index.subject = Some(other),
        2 => index.action.push('x'),
        3 => index.outcome += 1,
        4 => index.time = index.time + std::time::Duration::from_micros(1),
        5 => index.rows.clear(),
        6 => assert!(index.rows.insert(other)),
        7 => index.fields.clear(),
        _ => assert!(index.fields.insert("another".to_owned())),
    }
    number
}

/// The number of an entry: it goes to where none is.
fn renumber(world: &mut World, dice: &mut Dice) -> i64 {
    let number = dice.between(1, ENTRIES);
    let free = [-dice.between(0, 100), ENTRIES + dice.between(2, 100)];
    let to = free[usize::from(dice.next().is_multiple_of(2))];
    world.links[place(number)].number = to;
    if to < 1 { 1 } else { number }
}

/// The mark as it stood at an entry: somebody may have copied it then.
fn end_of(number: i64) -> Option<End> {
    let whole = World::whole();
    let link = whole.links.get(place(number))?;
    let signature = sign(KEY, &end_bytes(ours(), number, &link.hash));
    Some(End { number, kid: KEY.to_owned(), signature })
}

/// identity's database as it was when the chain had so many entries.
fn restore(world: &mut World, kept: i64) {
    world.links.truncate(usize::try_from(kept).expect("small"));
    world.own.retain(|checkpoint| checkpoint.entry_number <= kept);
    world.end = if kept == 0 { None } else { end_of(kept) };
}

/// What somebody without the key makes of identity's own checkpoints and the mark: copies that name the new hashes.
fn forge_marks(world: &mut World, from: i64) {
    for checkpoint in world.own.iter_mut().filter(|checkpoint| checkpoint.entry_number >= from) {
        checkpoint.hash = world.links[place(checkpoint.entry_number)].hash.clone();
    }
    let last = world.links.last().expect("there are links");
    world.end = Some(End { number: last.number, kid: KEY.to_owned(), signature: sign(STOLEN, &last.hash) });
}

#[test]
fn an_untouched_chain_is_whole() {
    assert_eq!(World::whole().verify(ours()), (Ok(()), Vec::new()));
    assert_eq!(World::default().verify(ours()), (Ok(()), Vec::new()));
}

#[test]
fn each_of_ten_thousand_manipulations_is_found_at_the_first_entry_that_it_touched() {
    let whole = World::whole();
    let mut found = 0;
    for (what, manipulate) in MANIPULATIONS {
        for case in 0..CASES {
            let mut world = whole.clone();
            let first = manipulate(&mut world, &mut Dice(u64::try_from(case).expect("small")));
            let (verdict, _) = world.verify(ours());
            let broken = verdict.expect_err(&format!("{what}, case {case}: not found"));
            assert_eq!(broken.first(), first, "{what}, case {case}: {broken:?}");
            found += 1;
        }
    }
    assert!(found >= 10_000, "only {found} were tried");
}

#[test]
fn another_companys_log_is_not_this_ones() {
    let (verdict, _) = World::whole().verify(tenant(2));
    assert_eq!(verdict.map_err(|broken| broken.first()), Err(1));
}

#[test]
fn an_entry_from_a_place_that_a_checkpoint_had_passed_is_told() {
    let mut world = World::whole();
    // identity itself chains and signs it: the place is what is wrong.
    world.links.truncate(place(MARKS[4]) + 1);
    let passed = world.links[place(40)].clone();
    let head = world.links.last().expect("there are links").head();
    let number = head.number + 1;
    let hash = head.hash_next(ours(), (&passed.origin, passed.position), &passed.entry);
    let signature = sign(KEY, &entry_bytes(ours(), number, &hash));
    world.links.push(Link { number, hash, signature, ..passed });
    assert_eq!(world.verify(ours()).0, Err(Broken::Late(number)));
}

#[test]
fn a_checkpoint_that_counts_other_entries_is_told() {
    let mut world = World::whole();
    world.own[2].reaches[0].entries += 1;
    world.own[2].signature = sign(KEY, &world.own[2].bytes(ours()));
    assert_eq!(world.verify(ours()).0, Err(Broken::Miscounted(MARKS[2])));
}

#[test]
fn a_checkpoint_that_is_gone_forged_or_out_of_order_is_told_and_the_chain_is_whole() {
    let mut lost = World::whole();
    lost.own.remove(2);
    assert_eq!(lost.verify(ours()), (Ok(()), vec![Doubt::Lost { number: 3 }]));
    let mut forged = World::whole();
    forged.own[1].time = Timestamp::from_seconds(1);
    assert_eq!(forged.verify(ours()), (Ok(()), vec![Doubt::Forged { keeper: OWN.to_owned(), number: 2 }]));
    let mut world = World::whole();
    world.peers.clear();
    let mut verifier = Verifier::new(Rules { tenant: ours(), index: &index, verifies: &verifies });
    world.links[..8].iter().try_for_each(|link| verifier.follow(link)).expect("it is whole");
    verifier.expect("customer", world.own[0].clone());
    assert_eq!(verifier.doubts(), [Doubt::Disordered { keeper: "customer".to_owned(), number: 1 }]);
}

mod ends;
