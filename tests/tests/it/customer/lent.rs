//! What an open task lends of a customer, to whom, and how it ends: by an event, by a call, and by itself.

use std::time::Duration;

use revisit_bootstrap::{status::answer, wire};
use revisit_core::{Kind, Timestamp, id::TaskId};
use revisit_permission::{Action, Levels};
use revisit_proto::{
    customer::v1::{self as pb, projections_client::ProjectionsClient},
    followup::v1 as followup,
};

use super::{
    person,
    support::{Office, Seat, everywhere, in_each_office, in_each_office_with},
};

const HOUR: Duration = Duration::from_hours(1);
/// Openings and closings that come at once.
const RACES: i64 = 25;

/// A task as followup tells of it.
struct Task<'a> {
    office: &'a Office,
    id: TaskId,
    customer: &'a str,
}

impl Task<'_> {
    async fn open(&self, generation: i64, assignee: &str, layers: &[&str], until: Timestamp) {
        let opened = followup::TaskOpened {
            task_id: self.id.to_string(),
            customer_id: self.customer.to_owned(),
            assignee_id: self.office.who(assignee).to_string(),
            generation,
            layers: layers.iter().map(|layer| (*layer).to_owned()).collect(),
            until_micros: until.micros(),
            ..Default::default()
        };
        self.office.event("followup", self.customer.parse().expect("an id"), &opened).await;
    }

    async fn close(&self, generation: i64) {
        let closed = followup::TaskClosed {
            task_id: self.id.to_string(),
            customer_id: self.customer.to_owned(),
            generation,
            done: true,
            ..Default::default()
        };
        self.office.event("followup", self.customer.parse().expect("an id"), &closed).await;
    }

    /// The direct call that comes before the event.
    async fn call_off(&self, generation: i64) {
        let request = pb::CloseTaskAccessRequest {
            tenant_id: self.office.identity.tenant.to_string(),
            customer_id: self.customer.to_owned(),
            task_id: self.id.to_string(),
            generation,
        };
        let mut client = ProjectionsClient::new(self.office.inside());
        client.close_task_access(Office::by("followup", request)).await.expect("it is closed");
    }
}

async fn sees(who: &Seat, customer_id: &str) -> bool {
    let one = who.get(customer_id).await;
    let hidden = one.as_ref().is_err_and(|failure| failure.kind == Kind::NotFound);
    assert!(one.is_ok() || hidden, "{one:?}");
    let one = one.is_ok();
    let listed = who.list("").await.expect("a list").iter().any(|row| row.customer_id == customer_id);
    assert_eq!(one, listed, "a list has what a get gives");
    one
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_lends_its_layers_to_its_assignee_until_it_closes_by_whatever_way() {
    in_each_office(async |office: &Office| {
        let (rep, colleague, outsider) = (office.seat("rep"), office.seat("colleague"), office.seat("outsider"));
        let customer = rep.create(person("王芳", "13800001001")).await.expect("made").customer_id;
        let note =
            pb::AddNoteRequest {
                customer_id: customer.clone(), text: "周末看样板间".to_owned(), ..Default::default()
            };
        answer(rep.timeline().add_note(note).await).expect("noted");
        let task = Task { office, id: office.new_id(), customer: &customer };
        let until = office.now() + HOUR;
        assert!(!sees(&colleague, &customer).await);
        task.open(3, "colleague", &["sensitive"], until).await;
        assert!(sees(&colleague, &customer).await);
        let clear = colleague.ask(&customer).await.expect("lent");
        assert_eq!((clear.name.as_str(), clear.contact_points[0].normal_form.as_str()), ("王芳", "+8613800001001"));
        let entries = colleague.entries(&customer).await.expect("a timeline");
        assert!(entries.iter().all(|entry| entry.layer == "basic"), "the history is not lent: {entries:?}");
        let reads = office.audited("customer.view").await;
        let audited = reads
            .iter()
            .any(|entry| entry.subject_id == colleague.id.to_string() && entry.fields == ["contact_points"]);
        assert!(audited, "a clear read of what is lent is audited like any: {reads:?}");
        let change = pb::Customer { customer_id: customer.clone(), name: "别人".to_owned(), ..Default::default() };
        let refused = colleague.update(change, &["name"]).await.expect_err("lent to read");
        assert_eq!(refused.kind, Kind::Denied);
        // An older opening that comes late lends nothing to the assignee of then.
        task.open(2, "outsider", &["sensitive"], until).await;
        assert!(!sees(&outsider, &customer).await);
        assert!(sees(&colleague, &customer).await);
        task.call_off(3).await;
        assert!(!sees(&colleague, &customer).await, "the call closes at once");
        task.open(3, "colleague", &["sensitive"], until + HOUR).await;
        assert!(!sees(&colleague, &customer).await, "an extension that was overtaken opens nothing");
        let kept = format!(
            "SELECT count(*) AS n FROM task_holder WHERE subject_id IS NULL AND generation = 3 AND until_at = {}",
            (office.now() + HOUR * 24).micros()
        );
        assert_eq!(office.number(&kept).await, 1, "the close is remembered for a day");
        task.open(4, "outsider", &["history"], until).await;
        let lent = outsider.ask(&customer).await.expect("another assignee");
        assert!(lent.contact_points.is_empty(), "only the layers of this version: {lent:?}");
        let entries = outsider.entries(&customer).await.expect("a timeline");
        assert!(entries.iter().any(|entry| entry.text == "周末看样板间"), "{entries:?}");
        task.close(4).await;
        assert!(!sees(&outsider, &customer).await);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_lent_ends_by_itself_unless_it_is_extended_and_is_forgotten_in_the_end() {
    in_each_office(async |office: &Office| {
        let colleague = office.seat("colleague");
        let customer = office.seat("rep").create(person("王芳", "13800001001")).await.expect("made").customer_id;
        let task = Task { office, id: office.new_id(), customer: &customer };
        task.open(1, "colleague", &["sensitive"], office.now() + HOUR).await;
        assert!(sees(&colleague, &customer).await);
        office.advance(HOUR - Duration::from_secs(1)).await;
        assert!(sees(&colleague, &customer).await);
        office.advance(Duration::from_secs(1)).await;
        assert!(!sees(&colleague, &customer).await, "no message came, and it is over");
        task.open(1, "colleague", &["sensitive"], office.now() + HOUR).await;
        assert!(sees(&colleague, &customer).await, "the timer of a longer window extends it");
        task.open(1, "colleague", &["sensitive"], office.now() - HOUR).await;
        assert!(sees(&colleague, &customer).await, "an earlier end that comes late takes nothing away");
        task.close(1).await;
        assert!(!sees(&colleague, &customer).await);
        office.advance(Duration::from_hours(49)).await;
        office.until("SELECT count(*) AS n FROM task_holder", 0).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opening_and_the_call_that_closes_it_may_come_at_once_and_the_close_wins() {
    in_each_office(async |office: &Office| {
        let colleague = office.seat("colleague");
        let customer = office.seat("rep").create(person("王芳", "13800001001")).await.expect("made").customer_id;
        let until = office.now() + HOUR;
        for _ in 0..RACES {
            let task = Task { office, id: office.new_id(), customer: &customer };
            tokio::join!(task.open(1, "colleague", &["sensitive"], until), task.call_off(1));
        }
        assert!(!sees(&colleague, &customer).await);
        assert_eq!(office.number("SELECT count(*) AS n FROM task_holder").await, RACES, "each is remembered");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_services_close_tasks_and_read_as_somebody_and_then_by_that_persons_rights() {
    in_each_office(async |office: &Office| {
        let rep = office.seat("rep");
        let customer = rep.create(person("王芳", "13800001001")).await.expect("made").customer_id;
        let foreign = office.seat("outsider").create(person("李强", "13800001002")).await.expect("made").customer_id;
        let mut client = ProjectionsClient::new(office.inside());
        let ask = |clear: bool| pb::ReadCustomersAsRequest {
            tenant_id: office.identity.tenant.to_string(),
            subject_id: rep.id.to_string(),
            customer_ids: vec![customer.clone(), foreign.clone()],
            read_mask: clear.then(|| prost_types::FieldMask { paths: vec!["contact_points".to_owned()] }),
        };
        let nobody = answer(client.read_customers_as(ask(false)).await).expect_err("nobody");
        assert_eq!((nobody.kind, nobody.reason), (Kind::Unauthenticated, "TOKEN_REQUIRED"));
        let person = answer(rep.projections().read_customers_as(ask(false)).await).expect_err("a person");
        assert_eq!((person.kind, person.reason), (Kind::Denied, "INTERNAL_CALL"));
        let wrong = answer(client.read_customers_as(Office::by("identity", ask(false))).await).expect_err("not its");
        assert_eq!(wrong.reason, "INTERNAL_CALL");
        for (clear, expected) in [(false, "138****1001"), (true, "13800001001")] {
            let read = answer(client.read_customers_as(Office::by("followup", ask(clear))).await).expect("answers");
            let shown = |index: usize| read.answers[index].customer.as_ref();
            assert_eq!(shown(0).map(|row| row.contact_points[0].value.as_str()), Some(expected));
            assert_eq!((shown(1), read.answers[1].reason.as_str()), (None, "CUSTOMER_NOT_FOUND"));
        }
        let reads = office.audited("customer.view").await;
        assert_eq!(reads.len(), 1, "the clear read, in the name of who will see it: {reads:?}");
        assert_eq!((&reads[0].subject_id, &reads[0].resource_ids), (&rep.id.to_string(), &vec![customer.clone()]));
        office.leaves("rep").await;
        let gone = answer(client.read_customers_as(Office::by("followup", ask(true))).await);
        let shown = gone.map(|read| read.answers.iter().filter(|it| it.customer.is_some()).count());
        assert!(!matches!(shown, Ok(1..)), "who has left reads nothing: {shown:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_customers_were_and_tasks_lent_is_kept_for_as_long_as_is_asked_for_and_then_forgotten() {
    in_each_office_with("[customer]\npast_days = 2\n", async |office: &Office| {
        let (rep, outsider, manager) = (office.seat("rep"), office.seat("outsider"), office.seat("manager"));
        office.grant("manager", vec![everywhere(&[Action::AccessExplain], Levels::WRITE)]).await;
        let customer = rep.create(person("王芳", "13800001001")).await.expect("made").customer_id;
        let made = office.now();
        rep.move_stage(&customer, "contacted").await.expect("moved");
        let task = Task { office, id: office.new_id(), customer: &customer };
        task.open(1, "outsider", &["basic"], office.now() + 1_000 * HOUR).await;
        office.settle().await;
        assert!(sees(&outsider, &customer).await, "it is lent");
        let rows = "SELECT (SELECT count(*) FROM customer_past) + (SELECT count(*) FROM task_holder_past) AS n";
        assert_eq!(office.number(rows).await, 2);
        office.advance(25 * HOUR).await;
        assert!(!sees(&outsider, &customer).await, "nothing is lent for longer than a day");
        // Once the nightly run has been there.
        office.until("SELECT count(*) AS n FROM task_holder", 0).await;
        assert_eq!(office.number(rows).await, 2, "who could see it may still be asked");
        office.advance(50 * HOUR).await;
        office.until(rows, 0).await;
        let request = pb::ListSubjectsWithAccessRequest {
            customer_id: customer,
            at_time: Some(wire::time(made + HOUR)),
            ..Default::default()
        };
        let early = answer(manager.customers().list_subjects_with_access(request).await).expect_err("it is forgotten");
        assert_eq!(early.violations.iter().map(|it| it.field.as_str()).collect::<Vec<_>>(), ["at_time"], "{early:?}");
    })
    .await;
}
