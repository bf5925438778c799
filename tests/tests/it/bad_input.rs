//! Bad input to every call of the contract: refused by the field, never by a fault, never with a hang.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use revisit_standalone::client::Person;
use revisit_tests::{
    databases::Backend,
    world::{TENANT, World},
};
use tonic::{Code, Status};
use tonic_types::StatusExt;

mod accepted;
mod bytes;
pub mod keys;
mod least;
pub mod raw;
pub mod wire;

use accepted::is_accepted;
use bytes::malformed;
use raw::{From, call};
use wire::{Contract, EVILS, Evil, Place, Rpc};

/// Calls that answer whoever asks.
pub const PUBLIC: [&str; 5] = [
    "/revisit.identity.v1.Auth/LogIn",
    "/revisit.identity.v1.Auth/LogInServiceAccount",
    "/revisit.identity.v1.Auth/Refresh",
    "/revisit.identity.v1.Auth/SetPassword",
    "/revisit.identity.v1.Leases/ListKeys",
];
/// Service tokens of this test.
const CALLERS: &str = "[callers]\nidentity.token = \"token-of-identity\"\ncustomer.token = \"token-of-customer\"\n\
    followup.token = \"token-of-followup\"\nnotification.token = \"token-of-notification\"\n";
const SERVICES: [&str; 4] = ["token-of-identity", "token-of-customer", "token-of-followup", "token-of-notification"];
/// The call in which a service names the tenant by itself, and the reason when that is not known here.
const BY_NAME: &str = "Projections/ReadCustomersAs";
const BEHIND: &str = "LEASE_EXPIRED";
/// How the answer to bytes begins that are no message.
const UNDECODABLE: &str = "failed to decode Protobuf message";
/// Time for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(20);
/// Wrong answers that are printed.
const SHOWN_MAX: usize = 300;

/// Everything that is tried on one world.
struct Sweep<'a> {
    world: &'a World,
    contract: Contract,
    admin: Person,
    counts: BTreeMap<String, usize>,
    wrong: Vec<String>,
}

impl Sweep<'_> {
    /// Makes one call; `None` when there is no answer, which is wrong always.
    async fn ask(&mut self, rpc: &Rpc, from: &From, messages: Vec<Vec<u8>>, what: &str) -> Option<Result<(), Status>> {
        let channel = self.world.running.channel();
        let Ok(answer) = tokio::time::timeout(ANSWER_MAX, call(&channel, &rpc.path, from, messages)).await else {
            self.wrong.push(format!("{} {what}: no answer", rpc.path));
            return None;
        };
        let code = answer.as_ref().err().map_or(Code::Ok, Status::code);
        *self.counts.entry(format!("{code:?}")).or_default() += 1;
        Some(answer)
    }

    /// Makes one call and notes a wrong refusal.
    async fn attempt(&mut self, rpc: &Rpc, from: &From, message: Vec<u8>, what: &str) -> Option<Result<(), Status>> {
        let answer = self.ask(rpc, from, upload(rpc, message), what).await?;
        if let Err(status) = &answer
            && let Some(why) = self.fault(rpc, status)
        {
            self.wrong.push(format!("{} {what}: {why}: {:?} {}", rpc.path, status.code(), status.message()));
        }
        Some(answer)
    }

    /// Sends what is no message at all.
    async fn garble(&mut self, rpc: &Rpc, caller: &From) {
        let plausible = self.contract.make(&rpc.request, None).bytes;
        for (what, bytes) in malformed(&plausible, &rpc.path) {
            let from = self.again(rpc, caller).await;
            let Some(Err(status)) = self.ask(rpc, &from, upload(rpc, bytes), &what).await else { continue };
            let undecodable = status.code() == Code::Internal && status.message().starts_with(UNDECODABLE);
            // Bytes may happen to be a message; then they are refused like one.
            if !undecodable && let Some(why) = self.fault(rpc, &status) {
                self.wrong.push(format!("{} {what}: {why}: {:?} {}", rpc.path, status.code(), status.message()));
            }
        }
    }

    /// What is wrong with a refusal.
    fn fault(&self, rpc: &Rpc, status: &Status) -> Option<&'static str> {
        let details = status.get_error_details();
        let named = details.bad_request().is_some_and(|bad| !bad.field_violations.is_empty());
        match status.code() {
            Code::InvalidArgument if named => None,
            // Rules that need more than the message: dates in the past, say. The reason tells which.
            Code::InvalidArgument if reason(status).is_some_and(|reason| reason != "INVALID_ARGUMENT") => None,
            Code::InvalidArgument => Some("names no field"),
            Code::NotFound
            | Code::PermissionDenied
            | Code::FailedPrecondition
            | Code::Aborted
            | Code::AlreadyExists => reason(status).is_none().then_some("gives no reason"),
            // A tenant that a service makes up looks to another like one whose permission state has not come yet.
            Code::Unavailable if rpc.path.ends_with(BY_NAME) && reason(status).is_some_and(|it| it == BEHIND) => None,
            // To log in wrongly is answered so, and too often too.
            Code::Unauthenticated | Code::ResourceExhausted if PUBLIC.contains(&rpc.path.as_str()) => None,
            Code::Ok
            | Code::Cancelled
            | Code::Unknown
            | Code::DeadlineExceeded
            | Code::ResourceExhausted
            | Code::OutOfRange
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
            | Code::Unauthenticated => Some("is no answer to bad input"),
        }
    }

    /// Who may make the call at all: a person, or for an internal one the service that it is for.
    async fn caller(&mut self, rpc: &Rpc) -> From {
        let person = self.person(rpc).await;
        if !is_internal(self.attempt(rpc, &person, Vec::new(), "empty").await) {
            return person;
        }
        for service in SERVICES.map(From::Service) {
            if !is_internal(self.attempt(rpc, &service, Vec::new(), "empty, by a service").await) {
                return service;
            }
        }
        self.wrong.push(format!("{}: nobody may call it", rpc.path));
        person
    }

    /// The same caller with a token that is good.
    async fn again(&mut self, rpc: &Rpc, caller: &From) -> From {
        match caller {
            From::Person(_) => self.person(rpc).await,
            From::Service(_) | From::Nobody => caller.clone(),
        }
    }

    /// The administrator, who may just have logged out by a plausible message.
    async fn person(&mut self, rpc: &Rpc) -> From {
        if rpc.path.starts_with("/revisit.identity.v1.Auth/") {
            self.admin = self.world.log_in(TENANT, &self.admin.username).await.expect("a session");
        }
        From::Person(self.admin.fresh().await.expect("a session").token())
    }

    async fn spoil_each_field(&mut self, rpc: &Rpc, caller: &From) {
        let plausible = self.contract.make(&rpc.request, None);
        let from = self.again(rpc, caller).await;
        self.attempt(rpc, &from, plausible.bytes, "plausible").await;
        for evil in EVILS {
            for field in 0..plausible.fields {
                let made = self.contract.make(&rpc.request, Some((evil, Place::Field(field))));
                let Some(spoilt) = made.spoilt else { continue };
                let from = self.again(rpc, caller).await;
                let what = format!("{} {evil:?}", spoilt.path);
                let answer = self.attempt(rpc, &from, made.bytes, &what).await;
                if matches!(answer, Some(Ok(()))) && !is_accepted(rpc, evil, &spoilt) {
                    self.wrong.push(format!("{} {what}: is accepted", rpc.path));
                }
            }
        }
    }

    async fn spoil_all_fields(&mut self, rpc: &Rpc, caller: &From) {
        for evil in [Evil::Malformed, Evil::Strange] {
            let made = self.contract.make(&rpc.request, Some((evil, Place::Everywhere)));
            let from = self.again(rpc, caller).await;
            self.attempt(rpc, &from, made.bytes, &format!("{evil:?} everywhere")).await;
        }
    }
}

fn reason(status: &Status) -> Option<String> {
    status.get_error_details().error_info().map(|info| info.reason.clone())
}

fn is_internal(answer: Option<Result<(), Status>>) -> bool {
    answer.and_then(Result::err).as_ref().and_then(reason).is_some_and(|reason| reason == "INTERNAL_CALL")
}

/// The messages of a call: its first is the one that is tried. An upload goes on with a part that is good, as field 2.
pub fn upload(rpc: &Rpc, first: Vec<u8>) -> Vec<Vec<u8>> {
    let length = u8::try_from(FILE.len()).expect("one byte says how long the file is");
    if rpc.uploads { vec![first, [&[0x12, length][..], FILE].concat()] } else { vec![first] }
}

/// A file of one customer.
const FILE: &[u8] = b"name,phone\nAn,13800001001\n";

#[expect(clippy::print_stdout, reason = "a failed test shows on what it ran, a passed one how much it tried")]
async fn sweep(backend: Backend) {
    let world = World::start_with(backend, CALLERS).await;
    let contract = Contract::read();
    let mut sweep =
        Sweep { admin: world.admin.clone(), world: &world, contract, counts: BTreeMap::new(), wrong: Vec::new() };
    let rpcs = std::mem::take(&mut sweep.contract.rpcs);
    for rpc in &rpcs {
        let caller = sweep.caller(rpc).await;
        sweep.garble(rpc, &caller).await;
        sweep.spoil_all_fields(rpc, &caller).await;
        sweep.spoil_each_field(rpc, &caller).await;
    }
    let unary = rpcs.iter().filter(|rpc| rpc.unary).count();
    println!("{backend:?}: {} calls, {unary} of them unary, answers {:?}", rpcs.len(), sweep.counts);
    let wrong = &sweep.wrong;
    let shown: Vec<_> = wrong.iter().take(SHOWN_MAX).map(String::as_str).collect();
    assert!(wrong.is_empty(), "{} wrong answers:\n{}", wrong.len(), shown.join("\n"));
    // It lived through all of this.
    world.settle().await;
    world.running.stop().await.expect("it stops without a fault");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_refuses_bad_input_by_the_field_on_sqlite() {
    sweep(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_refuses_bad_input_by_the_field_on_postgres() {
    sweep(Backend::Postgres).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_but_the_public_ones_asks_for_a_token() {
    let world = World::start(Backend::Sqlite).await;
    let channel = world.running.channel();
    let mut open = BTreeSet::new();
    for rpc in &Contract::read().rpcs {
        let code =
            call(&channel, &rpc.path, &From::Nobody, vec![Vec::new()]).await.map_or_else(|it| it.code(), |()| Code::Ok);
        if code != Code::Unauthenticated {
            open.insert(rpc.path.clone());
        }
    }
    // An empty log-in is refused by its fields, and so not by the lack of a token.
    let public: BTreeSet<_> = PUBLIC.iter().map(|path| (*path).to_owned()).collect();
    assert_eq!(open, public);
}
