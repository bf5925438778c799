//! Where a chain ends, or seems to: what no entry after it covers.

use super::*;

#[test]
fn a_signature_that_was_edited_before_a_gap_is_the_first_thing_that_is_told() {
    let mut world = World::whole();
    world.links[place(30)].signature[0] ^= 1;
    world.links.remove(place(31));
    assert_eq!(world.verify(ours()).0, Err(Broken::Edited(30)));
}

#[test]
fn the_last_signature_is_looked_at_although_a_checkpoint_stands_on_its_entry() {
    let mut world = World::whole();
    restore(&mut world, MARKS[4]);
    assert_eq!(world.verify(ours()).0, Ok(()));
    world.links[place(MARKS[4])].signature[0] ^= 1;
    assert_eq!(world.verify(ours()).0, Err(Broken::Edited(MARKS[4])));
}

#[test]
fn a_chain_without_its_mark_may_have_been_longer() {
    let mut world = World::whole();
    world.end = None;
    assert_eq!(world.verify(ours()).0, Err(Broken::Cut(ENTRIES)));
}

#[test]
fn a_signature_is_looked_at_although_no_checkpoint_was_ever_made() {
    let mut world = World::default();
    let entries = i64::try_from(SUSPECTS_MAX).expect("small") + 10;
    (1..=entries).for_each(|_| world.append(&[1; 6], &[]));
    // The entry, and every hash after it.
    world.links[2].entry[0] ^= 1;
    world.links[2].index = index(&world.links[2].entry);
    world.rehash(2);
    assert_eq!(world.verify(ours()).0, Err(Broken::Edited(3)));
}
