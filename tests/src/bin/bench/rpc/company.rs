//! The company that is asked: customers from a real import, and for each representative tasks of today and of the days
//! behind it, made through the real calls.

use std::time::Duration;

use revisit_bootstrap::status::answer;
use revisit_core::Timestamp;
use revisit_proto::{customer::v1 as customer, followup::v1 as followup};
use revisit_standalone::client::{Person, patiently};
use revisit_tests::{
    databases::{connect_to, tidy},
    measure::Size,
    world::{Ground, World},
};
use tokio::{sync::watch, task::JoinSet};
use tonic::Code;
use uuid::Uuid;

use crate::{
    callers::Question,
    floor,
    rows::{self, mixed},
};

/// Tasks of each representative's today, of which every fifth is a to-do without a customer.
const TODAY: u64 = 50;
const TODO_EVERY: u64 = 5;
/// Days behind today on which the others are due: far enough from it that none opens today.
const LATER_DAYS: std::ops::Range<u64> = 2..30;
/// Questions that are drawn, and asked over and over.
const DRAWN: u64 = 2_000;

const DAY: Duration = Duration::from_hours(24);
const HOUR: Duration = Duration::from_hours(1);

const CHECK: &str = "/revisit.customer.v1.Customers/CheckDuplicates";
const CREATE: &str = "/revisit.customer.v1.Customers/CreateCustomer";
const TODAY_TASKS: &str = "/revisit.followup.v1.Tasks/ListTodayTasks";
const PREVIEW: &str = "/revisit.customer.v1.Segments/PreviewSegment";

/// A company at work, and what it was filled with.
pub struct Company {
    pub world: World,
    pub people: rows::Company,
    pub rows: u64,
    pub tasks: u64,
}

/// Whose customer has the number that is asked about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// The caller, who gets to see the match.
    Caller,
    /// A colleague: the caller learns of the match and of whose team it is, which is audited and costs of a budget.
    Colleague,
}

/// How a number is asked about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Capture {
    Check,
    Create,
}

impl Company {
    /// Founds and fills it.
    pub async fn open(size: Size) -> Self {
        let world = World::on(ground()).await;
        let people = rows::Company::found(&world, size == Size::Quick).await;
        let rows = size.pick(2_000, 100_000, 1_000_000);
        rows::import(&people, rows, &watch::Sender::new(0)).await;
        rows::settle(&world).await;
        let each = size.pick(TODAY + 10, 200, 1_000);
        let mut planning = JoinSet::new();
        for rep in &people.reps {
            let rep = rep.clone();
            planning.spawn(async move { plan(&rep, each).await });
        }
        while let Some(planned) = planning.join_next().await {
            planned.expect("it does not panic");
        }
        rows::settle(&world).await;
        for service in [revisit_customer::NAME, revisit_followup::NAME] {
            let database = connect_to(&world.database(service)).await;
            tidy(&database).await;
            database.close().await.expect("the connection closes");
        }
        let tasks = each * people.reps.len() as u64;
        let company = Self { world, people, rows, tasks };
        company.require_days().await;
        company
    }

    /// Each representative sees the day that was planned, all of it on the first page.
    async fn require_days(&self) {
        for rep in &self.people.reps {
            let request = followup::ListTodayTasksRequest::default();
            let rep = fresh(rep).await;
            let list = |request| async move { rep.tasks().list_today_tasks(request).await };
            let day = patiently(request, list).await.expect("a day");
            assert_eq!(day.tasks.len() as u64, TODAY, "tasks of {}", day.date);
        }
    }

    /// Nothing, by somebody who has logged in.
    pub async fn nothing(&self) -> Question {
        Question::new(floor::EMPTY, Code::Ok).of(fresh(&self.people.reps[0]).await, &())
    }

    /// Everybody's own day.
    pub async fn today(&self) -> Question {
        let mut question = Question::new(TODAY_TASKS, Code::Ok);
        for rep in &self.people.reps {
            question = question.of(fresh(rep).await, &followup::ListTodayTasksRequest::default());
        }
        question
    }

    /// The same number over another channel: asked about, or captured as a new customer and refused.
    pub async fn duplicates(&self, capture: Capture, holder: Holder, count: u64) -> Question {
        let mut question = match capture {
            Capture::Check => Question::new(CHECK, Code::Ok),
            Capture::Create => Question::new(CREATE, Code::AlreadyExists),
        };
        for rep in &self.people.reps {
            fresh(rep).await;
        }
        for number in 0..count {
            // Everybody asks equally often: each has a budget.
            let turn = usize::try_from(number).unwrap_or(0) % self.people.reps.len();
            let is_meant = |owner: usize| (owner == turn) == (holder == Holder::Caller);
            let phone = self.drawn(mixed(number ^ capture as u64), is_meant);
            let asking = &self.people.reps[turn];
            question = match capture {
                Capture::Check => question.of(asking, &asked(phone)),
                Capture::Create => question.of(asking, &captured(number, phone)),
            };
        }
        question
    }

    /// The same, as often as questions were drawn, about who is the caller's.
    pub async fn own_duplicates(&self, capture: Capture) -> Question {
        self.duplicates(capture, Holder::Caller, DRAWN).await
    }

    /// How many customers a filter finds.
    pub async fn preview(&self, who: &Person, filter: &str) -> Question {
        let request = customer::PreviewSegmentRequest { filter: filter.to_owned() };
        Question::new(PREVIEW, Code::Ok).of(fresh(who).await, &request)
    }

    /// The number of an imported customer that is no planted duplicate, of one of the owners who are meant.
    fn drawn(&self, seed: u64, is_meant: impl Fn(usize) -> bool) -> String {
        let drawn = (0..self.rows).find_map(|next| {
            let (owner, phone) = self.people.known(mixed(seed.wrapping_add(next)) % self.rows)?;
            is_meant(owner).then_some(phone)
        });
        drawn.expect("everybody has customers")
    }
}

/// identity, customer and followup, of whose events nobody else is to hear.
fn ground() -> Ground {
    let settings = "[identity]\nlease_ttl_millis = 10000\n\
         [consumers]\nidentity = [\"identity\", \"customer\", \"followup\"]\n\
         customer = [\"identity\", \"followup\"]\nfollowup = [\"identity\", \"customer\"]\n";
    Ground {
        settings: settings.to_owned(),
        only: vec![revisit_identity::NAME, revisit_customer::NAME, revisit_followup::NAME],
        beside: vec![floor::service()],
    }
}

/// The person, with a token that outlasts a round.
pub async fn fresh(who: &Person) -> &Person {
    who.fresh().await.expect("a session")
}

fn asked(phone: String) -> customer::CheckDuplicatesRequest {
    customer::CheckDuplicatesRequest { contact_points: vec![point(phone)], ..Default::default() }
}

fn captured(number: u64, phone: String) -> customer::CreateCustomerRequest {
    let customer = customer::Customer {
        kind: customer::CustomerKind::Person.into(),
        name: format!("来客{number}"),
        city: "上海".to_owned(),
        source: "官网".to_owned(),
        contact_points: vec![point(phone)],
        ..Default::default()
    };
    customer::CreateCustomerRequest { customer: Some(customer), ..Default::default() }
}

fn point(phone: String) -> customer::ContactPoint {
    customer::ContactPoint { r#type: customer::ContactType::Phone.into(), value: phone, ..Default::default() }
}

/// Plans so many tasks of a representative: today's, then those of the days behind it.
async fn plan(rep: &Person, each: u64) {
    let request = customer::ListCustomersRequest { page_size: 1_000, ..Default::default() };
    let own = answer(fresh(rep).await.customers().list_customers(request).await).expect("customers").customers;
    for number in 0..each {
        let is_today = number < TODAY;
        let minute = Duration::from_secs(60 * number);
        let due = match is_today {
            true => rep.now() + 8 * HOUR + minute,
            false => {
                let days = LATER_DAYS.start + mixed(number) % (LATER_DAYS.end - LATER_DAYS.start);
                rep.now() + DAY * u32::try_from(days).unwrap_or(0) + minute
            }
        };
        let is_todo = is_today && number % TODO_EVERY == 0;
        let place = usize::try_from(number).unwrap_or(0) % own.len();
        let request = followup::CreateTaskRequest {
            kind: if is_todo { followup::TaskKind::Todo } else { followup::TaskKind::NextContact }.into(),
            title: format!("再联系一次，问问样品看得怎么样{number}"),
            customer_id: if is_todo { String::new() } else { own[place].customer_id.clone() },
            due_time: Some(stamp(due)),
            channel: if is_todo { 0 } else { followup::Channel::Phone.into() },
            request_id: Uuid::from_u128(u128::from(number) + 1).to_string(),
            ..Default::default()
        };
        let rep = fresh(rep).await;
        let create = |request| async move { rep.tasks().create_task(request).await };
        patiently(request, create).await.expect("a task");
    }
}

fn stamp(at: Timestamp) -> prost_types::Timestamp {
    revisit_bootstrap::wire::time(at)
}
