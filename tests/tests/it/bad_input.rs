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

mod raw;
mod wire;

use raw::{From, call};
use wire::{Contract, EVILS, Evil, Place, Rpc};

/// Calls that answer whoever asks.
const PUBLIC: [&str; 5] = [
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
/// Why a check is not answered whose row is newer than the permission state.
const BEHIND: &str = "LEASE_EXPIRED";
/// Time for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(20);
/// Wrong answers that are printed.
const SHOWN_MAX: usize = 100;

/// Everything that is tried on one world.
struct Sweep<'a> {
    world: &'a World,
    contract: Contract,
    admin: Person,
    counts: BTreeMap<String, usize>,
    wrong: Vec<String>,
}

impl Sweep<'_> {
    /// Makes one call and notes a wrong answer.
    async fn attempt(&mut self, rpc: &Rpc, from: &From, message: Vec<u8>, what: &str) -> Option<Status> {
        let channel = self.world.running.channel();
        let Ok(answer) = tokio::time::timeout(ANSWER_MAX, call(&channel, &rpc.path, from, message)).await else {
            self.wrong.push(format!("{} {what}: no answer", rpc.path));
            return None;
        };
        let code = answer.as_ref().err().map_or(Code::Ok, Status::code);
        *self.counts.entry(format!("{code:?}")).or_default() += 1;
        let status = answer.err()?;
        if let Some(why) = self.fault(rpc, &status) {
            self.wrong.push(format!("{} {what}: {why}: {code:?} {}", rpc.path, status.message()));
        }
        Some(status)
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
            // A row of a revision that lies ahead is waited for, as after a write at another replica, and then given up.
            Code::Unavailable if reason(status).is_some_and(|reason| reason == BEHIND) => None,
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
        if !is_internal(self.attempt(rpc, &person, Vec::new(), "empty").await.as_ref()) {
            return person;
        }
        for service in SERVICES.map(From::Service) {
            if !is_internal(self.attempt(rpc, &service, Vec::new(), "empty, by a service").await.as_ref()) {
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
                let Some(path) = made.spoilt else { continue };
                let from = self.again(rpc, caller).await;
                self.attempt(rpc, &from, made.bytes, &format!("{path} {evil:?}")).await;
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

fn is_internal(status: Option<&Status>) -> bool {
    status.and_then(reason).is_some_and(|reason| reason == "INTERNAL_CALL")
}

#[expect(clippy::print_stdout, reason = "a failed test shows on what it ran, a passed one how much it tried")]
async fn sweep(backend: Backend) {
    let world = World::start_with(backend, CALLERS).await;
    let contract = Contract::read();
    let mut sweep =
        Sweep { admin: world.admin.clone(), world: &world, contract, counts: BTreeMap::new(), wrong: Vec::new() };
    let rpcs = std::mem::take(&mut sweep.contract.rpcs);
    for rpc in rpcs.iter().filter(|rpc| rpc.unary) {
        let caller = sweep.caller(rpc).await;
        sweep.spoil_all_fields(rpc, &caller).await;
        sweep.spoil_each_field(rpc, &caller).await;
    }
    println!("{backend:?}: {} unary calls, answers {:?}", rpcs.iter().filter(|rpc| rpc.unary).count(), sweep.counts);
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
            call(&channel, &rpc.path, &From::Nobody, Vec::new()).await.map_or_else(|it| it.code(), |()| Code::Ok);
        if code != Code::Unauthenticated {
            open.insert(rpc.path.clone());
        }
    }
    // An empty log-in is refused by its fields, and so not by the lack of a token.
    let public: BTreeSet<_> = PUBLIC.iter().map(|path| (*path).to_owned()).collect();
    assert_eq!(open, public);
}
