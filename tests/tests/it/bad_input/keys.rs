//! Keys of writes: whoever adds a call that writes is told that a caller must be able to send it again.

use std::collections::BTreeSet;

use super::wire::{Contract, Rpc};

/// Packages in which every write has a key.
const KEYED: [&str; 2] = ["/revisit.customer.v1.", "/revisit.followup.v1."];
/// How names of calls begin that write nothing. Whatever begins otherwise counts as a write.
const READING: [&str; 12] = [
    "BatchGet", "Check", "Count", "Download", "Explain", "Export", "Get", "List", "Preview", "Read", "Resolve", "Watch",
];
/// Writes without a key: services make them, and what they say carries an order of its own.
const ORDERED: [&str; 1] = ["/revisit.customer.v1.Projections/CloseTaskAccess"];

fn writes(rpc: &Rpc) -> bool {
    let name = rpc.path.rsplit('/').next().unwrap_or_default();
    !READING.iter().any(|verb| name.starts_with(verb))
}

/// Calls of a package that write.
pub fn writing(package: &str) -> BTreeSet<String> {
    let contract = Contract::read();
    let written = contract.rpcs.iter().filter(|rpc| writes(rpc) && rpc.path.starts_with(package));
    written.map(|rpc| rpc.path.clone()).collect()
}

/// Calls of these packages that write and have a key.
pub fn keyed() -> BTreeSet<String> {
    let contract = Contract::read();
    let keyed = contract.rpcs.iter().filter(|rpc| writes(rpc) && contract.has_key(&rpc.request));
    keyed.map(|rpc| rpc.path.clone()).collect()
}

#[test]
fn every_call_that_writes_has_a_key_under_which_it_may_be_sent_again() {
    let contract = Contract::read();
    let of_keyed = |rpc: &&Rpc| KEYED.iter().any(|package| rpc.path.starts_with(package));
    let (writes, reads): (Vec<&Rpc>, Vec<&Rpc>) = contract.rpcs.iter().filter(of_keyed).partition(|rpc| writes(rpc));
    let without = writes.iter().filter(|rpc| !contract.has_key(&rpc.request)).map(|rpc| rpc.path.as_str());
    assert_eq!(without.collect::<BTreeSet<_>>(), BTreeSet::from(ORDERED));
    // A key on what only reads would promise an answer that is a day old.
    let with = reads.iter().filter(|rpc| contract.has_key(&rpc.request)).map(|rpc| rpc.path.as_str());
    assert_eq!(with.collect::<Vec<_>>(), Vec::<&str>::new());
}
