//! Who can see a customer, and who could: what is told of an instant is what calls were answered at that instant.

use std::{collections::BTreeSet, time::Duration};

use revisit_bootstrap::{status::answer, wire};
use revisit_core::{Failure, Kind, Timestamp};
use revisit_proto::{customer::v1 as pb, followup::v1 as followup, identity::v1 as identity};
use revisit_standalone::client::Person;
use revisit_tests::world::{World, in_each_world};

use super::follow_up::{complete, store};

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

/// Everybody who might see the customer, and the instants at which they were asked to.
struct Witnesses<'a> {
    world: &'a World,
    people: Vec<Person>,
    customer_id: String,
    seen: Vec<(Timestamp, BTreeSet<String>)>,
}

impl Witnesses<'_> {
    /// Notes who sees the customer now, a minute after whatever was done and a minute before what comes.
    async fn note(&mut self) {
        self.world.settle().await;
        self.world.advance(MINUTE).await;
        let mut able = BTreeSet::new();
        for person in &self.people {
            let request = pb::GetCustomerRequest { customer_id: self.customer_id.clone(), read_mask: None };
            let Ok(person) = person.fresh().await else { continue };
            match answer(person.customers().get_customer(request).await) {
                Ok(_) => drop(able.insert(person.id.to_string())),
                Err(failure) => {
                    let hidden = matches!(failure.kind, Kind::NotFound | Kind::Denied | Kind::Unauthenticated);
                    assert!(hidden, "{failure:?}");
                }
            }
        }
        self.seen.push((self.world.now(), able));
        self.world.advance(MINUTE).await;
    }

    /// Of these people those of whom the call tells, in pages of two.
    async fn told(&self, by: &Person, at: Option<Timestamp>) -> Result<BTreeSet<String>, Failure> {
        let (mut told, mut page_token) = (BTreeSet::new(), String::new());
        let by = by.fresh().await.expect("a session");
        loop {
            let request = pb::ListSubjectsWithAccessRequest {
                customer_id: self.customer_id.clone(),
                at_time: at.map(wire::time),
                page_size: 2,
                page_token,
                ..Default::default()
            };
            let page = answer(by.customers().list_subjects_with_access(request).await)?;
            told.extend(page.subjects.into_iter().map(|subject| subject.subject_id));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                told.retain(|id| self.people.iter().any(|person| *person.id == **id));
                return Ok(told);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_could_see_a_customer_is_who_was_shown_it_then() {
    in_each_world(async |world: &World| {
        let before = world.now() - HOUR;
        let (manager, mei) = store(world).await;
        let profile = answer(manager.directory().get_own_profile(identity::GetOwnProfileRequest {}).await);
        let department = profile.expect("a profile").department_id;
        let lan = world.hire("lan", "sales_rep", &department).await;
        let other = world.department("杭州西湖店", &world.root).await;
        let wei = world.hire("wei", "sales_rep", &other).await;
        let shen = world.hire("shen", "auditor", &world.root).await;
        world.advance(2 * HOUR).await;
        let task = world.tasks(&mei, followup::TaskState::Open).await.remove(0);
        let people = vec![manager.clone(), mei.clone(), lan.clone(), wei.clone(), shen.clone()];
        let mut witnesses = Witnesses { world, people, customer_id: task.customer_id.clone(), seen: Vec::new() };
        witnesses.note().await;
        lend(&manager, &task, &lan).await;
        witnesses.note().await;
        complete(&lan, &task).await;
        witnesses.note().await;
        transfer(&manager, &task.customer_id, &lan).await;
        witnesses.note().await;
        let grant = give(world, &wei).await;
        witnesses.note().await;
        let revoke = identity::RevokeGrantRequest { grant_id: grant, reason: "a test".to_owned() };
        answer(world.admin.fresh().await.expect("a session").access().revoke_grant(revoke).await).expect("it is taken");
        witnesses.note().await;
        let distinct: BTreeSet<_> = witnesses.seen.iter().map(|(_, able)| able).collect();
        assert!(distinct.len() >= 4, "hardly anything has changed: {distinct:?}");
        for (at, able) in &witnesses.seen {
            assert_eq!(witnesses.told(&shen, Some(*at)).await.expect("an auditor may ask"), *able, "at {at:?}");
        }
        let (_, last) = witnesses.seen.last().expect("there are several");
        assert_eq!(witnesses.told(&shen, None).await.expect("an auditor may ask"), *last, "now");
        refused(&witnesses, (&mei, &manager, &shen), before).await;
    })
    .await;
}

/// What is asked by somebody who may not, about an instant that is none, or about a customer who is gone.
async fn refused(witnesses: &Witnesses<'_>, (rep, manager, auditor): (&Person, &Person, &Person), before: Timestamp) {
    assert_eq!(witnesses.told(rep, None).await.expect_err("not hers to ask").kind, Kind::Denied);
    let early = witnesses.told(auditor, Some(before)).await.expect_err("there was no such customer");
    assert_eq!(early.violations.iter().map(|it| it.field.as_str()).collect::<Vec<_>>(), ["at_time"]);
    let unknown = pb::ListSubjectsWithAccessRequest { action: "task.view".to_owned(), ..Default::default() };
    let by = auditor.fresh().await.expect("a session");
    let unknown = answer(by.customers().list_subjects_with_access(unknown).await).expect_err("nothing of it is right");
    let fields: Vec<&str> = unknown.violations.iter().map(|it| it.field.as_str()).collect();
    assert_eq!(fields, ["customer_id", "action"]);
    let nobody = pb::ListSubjectsWithAccessRequest { customer_id: auditor.id.to_string(), ..Default::default() };
    let nobody = answer(by.customers().list_subjects_with_access(nobody).await).expect_err("there is none");
    assert_eq!(nobody.reason, "CUSTOMER_NOT_FOUND");
    let manager = manager.fresh().await.expect("a session");
    let delete = pb::DeleteCustomerRequest { customer_id: witnesses.customer_id.clone(), ..Default::default() };
    answer(manager.customers().delete_customer(delete).await).expect("it is deleted");
    witnesses.world.advance(MINUTE).await;
    let gone = witnesses.told(auditor, None).await.expect_err("nobody can");
    assert_eq!((gone.kind, gone.reason), (Kind::Precondition, "CUSTOMER_DELETED"));
    let (at, able) = &witnesses.seen[0];
    assert_eq!(witnesses.told(auditor, Some(*at)).await.expect("it was there then"), *able);
}

pub async fn lend(manager: &Person, task: &followup::Task, to: &Person) {
    let request = followup::ReassignTaskRequest {
        task_id: task.task_id.clone(),
        assignee_id: to.id.to_string(),
        ..Default::default()
    };
    answer(manager.fresh().await.expect("a session").tasks().reassign_task(request).await).expect("it is given");
}

async fn transfer(manager: &Person, customer_id: &str, to: &Person) {
    let request = pb::TransferCustomerRequest {
        customer_id: customer_id.to_owned(),
        owner_id: to.id.to_string(),
        reason: "a test".to_owned(),
        ..Default::default()
    };
    answer(manager.fresh().await.expect("a session").ownership().transfer_customer(request).await).expect("it moves");
}

/// A grant on every customer of the company.
async fn give(world: &World, to: &Person) -> String {
    let request = identity::CreateGrantRequest {
        holder_id: to.id.to_string(),
        right: Some(identity::GrantTemplate {
            actions: vec!["customer.view".to_owned()],
            extent: Some(identity::Extent { kind: identity::ExtentKind::Tenant.into(), ..Default::default() }),
            levels: Some(identity::LayerLevels { basic: identity::Level::Read.into(), ..Default::default() }),
            ..Default::default()
        }),
        reason: "a test".to_owned(),
        ..Default::default()
    };
    let admin = world.admin.fresh().await.expect("a session");
    answer(admin.access().create_grant(request).await).expect("it is granted").grant_id
}
