//! Field non-interference (law L12): two companies that differ only in what somebody may not read answer that person
//! alike, whatever is called and whatever is sent.
//!
//! The two are made by the same steps on a clock that stands still; they differ in contact values, notes, results,
//! amounts and reviewed answers, in mail addresses and telephone numbers of users, in whether there are any, and in nothing
//! of the basic layer. Each viewer makes every call of the contract that says anything about customers or users, and the
//! answers are compared as text.

mod book;
mod changes;
mod company;
mod fields;
mod files;
mod left_out;
mod lifts;
mod making;
mod people;
mod reads;
mod searches;
mod told;
mod trail;

use std::collections::{BTreeMap, BTreeSet};

use prost::Message as _;
use prost_types::FileDescriptorSet;
use revisit_tests::databases::Backend;

use book::Book;
use company::{Company, Side};
use left_out::LEFT_OUT;

/// The four services: their answers are about customers, and about users.
const PACKAGES: [&str; 4] =
    ["revisit.customer.v1", "revisit.followup.v1", "revisit.identity.v1", "revisit.notification.v1"];

/// Every call of these services.
fn contract() -> BTreeSet<String> {
    let set = FileDescriptorSet::decode(revisit_proto::FILE_DESCRIPTOR_SET).expect("descriptors");
    let mut calls = BTreeSet::new();
    for file in set.file.iter().filter(|file| PACKAGES.contains(&file.package())) {
        let package = file.package().trim_start_matches("revisit.");
        for service in &file.service {
            calls.extend(service.method.iter().map(|method| format!("{package}.{}/{}", service.name(), method.name())));
        }
    }
    calls
}

/// What each viewer is answered in one of the two companies.
async fn answers(backend: Backend, side: Side) -> BTreeMap<String, String> {
    let company = Box::pin(Company::found(backend, side)).await;
    let mut book = Book::of(&company);
    for viewer in company.viewers() {
        book.opened_by(viewer);
        reads::customers(&mut book, &company, viewer).await;
        reads::follow_ups(&mut book, &company, viewer).await;
        reads::messages(&mut book, viewer).await;
        files::taken_out(&mut book, viewer).await;
        people::directory(&mut book, &company, viewer).await;
        people::questions(&mut book, viewer).await;
        searches::searches(&mut book, &company, viewer).await;
    }
    reads::between_services(&mut book, &company).await;
    trail::audit(&mut book, &company).await;
    for viewer in company.viewers() {
        book.opened_by(viewer);
        changes::attempts(&mut book, &company, viewer).await;
        people::attempts(&mut book, &company, viewer).await;
    }
    files::brought_in(&mut book, &company).await;
    company.world.settle().await;
    trail::audit(&mut book, &company).await;
    book.delivered(&company);
    company.heard.note(&mut book).await;
    let answers = book.pages;
    company.world.running.stop().await.expect("it stops without a fault");
    answers
}

/// Lines that only one of two texts has, of each at the most.
const LINES_MAX: usize = 3;

/// Some lines in which two texts differ.
fn difference(one: &str, other: &str) -> String {
    let only = |mark: char, these: &str, those: &str| {
        let mut left: Vec<&str> = those.lines().collect();
        let only = these.lines().filter(move |line| match left.iter().position(|it| it == line) {
            Some(place) => {
                left.swap_remove(place);
                false
            }
            None => true,
        });
        only.take(LINES_MAX).map(|line| format!("    {mark} {line}\n")).collect::<String>()
    };
    let lines = only('-', one, other) + &only('+', other, one);
    if lines.is_empty() { "    the same lines in another order".to_owned() } else { lines }
}

async fn compare(backend: Backend) {
    let (one, other) = (Box::pin(answers(backend, Side::One)).await, Box::pin(answers(backend, Side::Other)).await);
    let keys: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let made: BTreeSet<String> =
        keys.iter().filter_map(|key| key.split_whitespace().nth(1)).map(str::to_owned).collect();
    let left_out: BTreeSet<String> = LEFT_OUT.iter().map(|(call, _)| (*call).to_owned()).collect();
    let both: Vec<_> = made.intersection(&left_out).collect();
    assert!(both.is_empty(), "made, and said to be left out: {both:?}");
    let missing: Vec<_> =
        contract().into_iter().filter(|call| !made.contains(call) && !left_out.contains(call)).collect();
    assert!(missing.is_empty(), "nobody makes these calls: {missing:?}");
    let empty = String::new();
    let text = |book: &BTreeMap<String, String>, key: &str| book.get(key).unwrap_or(&empty).clone();
    let differ = keys.iter().filter(|key| text(&one, key) != text(&other, key));
    let differ: Vec<_> =
        differ.map(|key| format!("{key}\n{}", difference(&text(&one, key), &text(&other, key)))).collect();
    assert!(
        differ.is_empty(),
        "{} of {} answers tell of what is hidden:\n{}",
        differ.len(),
        keys.len(),
        differ.join("\n")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_hidden_changes_no_answer_on_sqlite() {
    Box::pin(compare(Backend::Sqlite)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_hidden_changes_no_answer_on_postgres() {
    Box::pin(compare(Backend::Postgres)).await;
}
