//! Field non-interference (law L12): two companies that differ only in what somebody may not read answer that person
//! alike, whatever is called and whatever is sent.
//!
//! The two are made by the same steps on a clock that stands still; they differ in contact values, notes, results,
//! amounts and reviewed answers, in whether there are any, and in nothing of the basic layer. Each viewer makes every
//! call of the contract that says anything about customers, and the answers are compared as text.

mod book;
mod changes;
mod company;
mod fields;
mod files;
mod lifts;
mod making;
mod reads;
mod told;

use std::collections::{BTreeMap, BTreeSet};

use prost::Message as _;
use prost_types::FileDescriptorSet;
use revisit_tests::databases::Backend;

use book::Book;
use company::{Company, Side};

/// Calls that nobody makes here, and why that hides nothing.
const LEFT_OUT: [(&str, &str); 36] = [
    ("customer.v1.Catalogue/CreateField", "says what a company notes of its customers, and reads none"),
    ("customer.v1.Catalogue/RetireField", "says what a company notes of its customers, and reads none"),
    ("customer.v1.Catalogue/SetGrades", "answers the rules that it was sent"),
    ("customer.v1.Catalogue/SetStages", "answers the stages that it was sent, or which are in use, a basic fact"),
    ("customer.v1.Catalogue/UpdateField", "says what a company notes of its customers, and reads none"),
    ("customer.v1.Customers/CheckDuplicates", "the named exception: a budgeted answer about the whole company"),
    ("customer.v1.Projections/CloseTaskAccess", "answers nothing"),
    ("followup.v1.Calendars/CreateCalendar", "reads no customer"),
    ("followup.v1.Calendars/GetCalendar", "reads no customer"),
    ("followup.v1.Calendars/ListCalendarDays", "reads no customer"),
    ("followup.v1.Calendars/ListCalendars", "reads no customer"),
    ("followup.v1.Calendars/ResolveTime", "reads no customer"),
    ("followup.v1.Calendars/UpdateCalendar", "reads no customer"),
    ("followup.v1.Plans/CreatePlan", "answers the plan that it was sent"),
    ("followup.v1.Plans/GetPlanVersion", "reads no customer"),
    ("followup.v1.Plans/ListPlanTemplates", "reads no customer"),
    ("followup.v1.Plans/ListPlanVersions", "reads no customer"),
    ("followup.v1.Plans/PublishPlan", "answers the plan that it was sent"),
    ("followup.v1.Plans/RetirePlan", "answers a plan"),
    ("followup.v1.Plans/UpdatePlan", "answers the plan that it was sent"),
    ("notification.v1.Endpoints/AddEndpointKey", "reads no customer"),
    ("notification.v1.Endpoints/CreateEndpoint", "reads no customer"),
    ("notification.v1.Endpoints/DeleteEndpoint", "reads no customer"),
    ("notification.v1.Endpoints/GetEndpoint", "reads no customer"),
    ("notification.v1.Endpoints/ListEndpoints", "reads no customer"),
    ("notification.v1.Endpoints/RemoveEndpointKey", "reads no customer"),
    ("notification.v1.Endpoints/UpdateEndpoint", "reads no customer"),
    ("notification.v1.Preferences/GetPolicy", "reads no customer"),
    ("notification.v1.Preferences/GetPreferences", "reads no customer"),
    ("notification.v1.Preferences/UpdatePolicy", "reads no customer"),
    ("notification.v1.Preferences/UpdatePreferences", "reads no customer"),
    ("notification.v1.Templates/GetTemplate", "reads no customer"),
    ("notification.v1.Templates/ListKinds", "reads no customer"),
    ("notification.v1.Templates/ListTemplates", "reads no customer"),
    ("notification.v1.Templates/PreviewTemplate", "is filled with samples"),
    ("notification.v1.Templates/UpdateTemplate", "answers the text that it was sent"),
];
/// Services whose answers are about customers.
const PACKAGES: [&str; 3] = ["revisit.customer.v1", "revisit.followup.v1", "revisit.notification.v1"];

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
    }
    reads::between_services(&mut book, &company).await;
    reads::audit(&mut book, &company).await;
    for viewer in company.viewers() {
        book.opened_by(viewer);
        changes::attempts(&mut book, &company, viewer).await;
    }
    files::brought_in(&mut book, &company).await;
    company.world.settle().await;
    reads::audit(&mut book, &company).await;
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
