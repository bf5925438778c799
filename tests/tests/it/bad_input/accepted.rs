//! Which spoilt fields may be answered OK, and why any value of them is fine. Everything else that is accepted is a
//! validation that is missing.

use super::wire::{Evil, Rpc, Spoilt};

/// A field whose values are all good.
struct Accepted {
    /// The end of the call's path; empty for every call.
    call: &'static str,
    /// The end of the field's path.
    field: &'static str,
    /// What may be wrong with it.
    evils: &'static [Evil],
    /// Why nothing is wrong.
    #[expect(dead_code, reason = "for who reads the list")]
    because: &'static str,
}

const fn accepted(call: &'static str, field: &'static str, evils: &'static [Evil], because: &'static str) -> Accepted {
    Accepted { call, field, evils, because }
}

use Evil::{Long, Malformed, Missing, Strange};

const ACCEPTED: [Accepted; 16] = [
    accepted("", "page_size", &[Malformed], "a greater size than the maximum means the maximum"),
    accepted("Segments/CreateSegment", "name", &[Malformed], "a name has any characters that can be printed"),
    accepted("Endpoints/CreateEndpoint", "etag", &[Long, Malformed, Strange], "a new endpoint has no version yet"),
    accepted("Endpoints/CreateEndpoint", "state", &[Malformed, Strange], "a new endpoint is enabled"),
    accepted("Projections/CloseTaskAccess", "generation", &[Malformed], "versions have no greatest"),
    accepted("Metrics/CheckContinuity", "grades", &[Malformed], "a grade that nobody has finds nobody"),
    accepted("Today/CountToday", "from_micros", &[Missing], "0 is an instant of 1970"),
    accepted("Leases/RenewLease", "holder", &[Malformed], "a replica names itself"),
    accepted("Leases/RenewLease", "epoch", &[Malformed], "a replica names itself"),
    accepted("Leases/RenewLease", "number", &[Malformed], "a replica counts its own renewals"),
    accepted("Leases/RenewLease", "incarnation", &[Malformed], "what is no incarnation acknowledges nothing"),
    accepted("Leases/RenewLease", "tenants", &[Long], "a replica holds up to 10,000 tenants"),
    accepted("Leases/RenewLease", "tenants.revision", &[Malformed], "a service of ours is believed what it holds"),
    accepted("Leases/WatchChanges", "tenant_ids", &[Long], "a replica holds up to 10,000 tenants"),
    accepted("Leases/ListChanges", "after_revision", &[Malformed], "nothing lies behind it"),
    accepted("Inbox/WatchMessages", "after_sequence", &[Malformed], "nothing lies behind it"),
];

/// Calls whose parts have answers of their own, with what is wrong in them.
const EACH_ANSWERED: [(&str, &str); 1] = [("Access/BatchCheck", "checks.")];

/// Whether a request may succeed although this is wrong with it.
pub fn is_accepted(rpc: &Rpc, evil: Evil, spoilt: &Spoilt) -> bool {
    if EACH_ANSWERED.iter().any(|(call, part)| rpc.path.ends_with(call) && spoilt.path.starts_with(part)) {
        return true;
    }
    let listed =
        |it: &Accepted| rpc.path.ends_with(it.call) && ends_with(&spoilt.path, it.field) && it.evils.contains(&evil);
    // What is not required may be left out, and what the server fills in is not read.
    let free = if evil == Missing {
        !spoilt.comment.starts_with("Required")
    } else {
        ["Output only", "Immutable. Output only"].iter().any(|words| spoilt.comment.starts_with(words))
    };
    free || ACCEPTED.iter().any(listed)
}

/// Whether a path ends with these whole names.
fn ends_with(path: &str, end: &str) -> bool {
    path.strip_suffix(end).is_some_and(|before| before.is_empty() || before.ends_with('.'))
}
