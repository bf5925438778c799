//! Where a veil is lifted, and where levels are named that no decision has given: in no other places than people have
//! looked at, each with its reason. The compiler cannot ask for what a value was lifted; this can.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use super::fields::{services, sources};

const LISTED: &str = include_str!("lifts.txt");
/// What a veil is lifted for.
const PURPOSES: [&str; 6] = ["Store", "Match", "Judge", "Part", "Entrust", "Reach"];
/// Levels that somebody names. That nothing is read may be said everywhere.
const CONSTANTS: [&str; 4] = ["Levels::READ", "Levels::WRITE", "Levels::EVENT", "Levels::of"];
/// Ways to name a purpose without being found here.
const HIDING: [&str; 4] = ["Purpose::*", "Purpose::{", "Purpose as ", "Levels as "];
/// Where tests begin in a file.
const TESTS: &str = "#[cfg(test)]";

/// Each listed place with its reason.
fn listed() -> BTreeMap<String, String> {
    let lines = LISTED.lines().filter(|line| !line.starts_with('#'));
    let read = lines.map(|line| line.split_once(": ").expect("a place and a reason"));
    read.map(|(place, reason)| (place.to_owned(), reason.to_owned())).collect()
}

/// What a source does, without its tests.
fn source(file: &Path) -> String {
    let text = fs::read_to_string(file).expect("a source");
    text.split(TESTS).next().unwrap_or_default().to_owned()
}

#[test]
fn a_veil_is_lifted_only_where_somebody_has_said_why() {
    let root = services();
    let mut found = BTreeSet::new();
    let files = sources(&root).into_iter().filter(|file| {
        let is_code = file.extension().is_some_and(|end| end == "rs") && !file.ends_with("tests.rs");
        is_code && file.components().any(|part| part.as_os_str() == "src")
    });
    for file in files {
        let text = source(&file);
        let name = file.strip_prefix(&root).expect("below the services").display().to_string();
        let hiding: Vec<_> = HIDING.iter().filter(|way| text.contains(*way)).collect();
        assert!(hiding.is_empty(), "{name} hides what it does: {hiding:?}");
        let purposes = PURPOSES.iter().filter(|purpose| text.contains(&format!("Purpose::{purpose}")));
        let purposes: Vec<_> = purposes.map(|purpose| (*purpose).to_owned()).collect();
        assert!(!text.contains(".lift(") || !purposes.is_empty(), "{name} lifts a veil for what another file says");
        let constants = CONSTANTS.iter().filter(|levels| text.contains(*levels)).map(|levels| (*levels).to_owned());
        found.extend(purposes.into_iter().chain(constants).map(|what| format!("{name} {what}")));
    }
    let listed = listed();
    assert!(listed.values().all(|reason| !reason.is_empty()), "each has its reason");
    assert_eq!(found, listed.into_keys().collect(), "lifts.txt says of each place why a veil is lifted there");
}
