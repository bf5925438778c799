//! A process that is killed again and again, at any moment, while people write to it: what it answered stays, and every
//! reminder comes once.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use revisit_bootstrap::{Shutdown, status::answer};
use revisit_core::{Clock, Ids};
use revisit_proto::{customer::v1 as customer, followup::v1 as followup, notification::v1 as notification};
use revisit_standalone::client::Person;
use revisit_tests::world::{TENANT, World, credentials};
use tokio::sync::watch;

mod server;
mod writers;

use server::{SETTINGS, Server};
use writers::{Desk, Ledger};

const SEED: u64 = 20_261_121;
const KILLS: usize = 50;
const WRITERS: usize = 4;
/// Answers of one life at the most, and the time from the last of them to its end.
const ANSWERS_MAX: u8 = 8;
const THEN_MICROS_MAX: u16 = 30_000;
/// Time for the answers of one life.
const LIFE_MAX: Duration = Duration::from_secs(60);

/// When a life of the server ends.
enum End {
    /// This long after its start, before it is ready or right then.
    Starting(Duration),
    /// So many answers after it became ready, and a moment later, with calls under way.
    Serving(usize, Duration),
}

impl End {
    fn draw(dice: &Ids, start: Duration) -> Self {
        let [first, second, low, high] = dice.bytes();
        let share = u16::from_le_bytes([low, high]);
        if first % 5 == 0 {
            return Self::Starting(start * u32::from(share) / u32::from(u16::MAX));
        }
        let then = Duration::from_micros(u64::from(share % THEN_MICROS_MAX));
        Self::Serving(usize::from(second % ANSWERS_MAX), then)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_killed_fifty_times_keeps_what_it_answered_and_reminds_once() {
    let world = World::in_real_time(SETTINGS).await;
    world.hire("mei", "sales_rep", &world.root).await;
    let folder = world.folder().to_owned();
    // The folder stays with what is left of the world.
    world.running.stop().await.expect("it stops without a fault");
    let (clock, dice) = (Clock::system(), Ids::seeded(SEED));
    let mut server = Server::new(&folder);
    let began = clock.steady();
    server.spawn();
    server.ready().await;
    let start = clock.steady().since(began);
    println!("seed {SEED}; it starts in {start:?}");
    let desk = Desk {
        who: Person::log_in(server.channel(), clock.clone(), &credentials(TENANT, "mei")).await.expect("a session"),
        ids: Ids::random(),
        clock: clock.clone(),
        address: server.address(),
        answers: watch::Sender::new(0),
        closed: Arc::new(AtomicBool::new(false)),
    };
    let writers: Vec<_> = (0..WRITERS).map(|writer| tokio::spawn(desk.clone().write(writer))).collect();
    for kill in 0..=KILLS {
        // The first life has begun already, with the log-in.
        if kill > 0 {
            server.spawn();
            live(&mut server, &desk, End::draw(&dice, start)).await;
        }
        server.kill();
        println!("kill {kill} after {:?}, {} answers", clock.steady().since(began), *desk.answers.borrow());
    }
    let running = server::setup(&folder).start(None, Shutdown::new()).await.expect("it starts once more");
    server.moved(running.address());
    desk.closed.store(true, std::sync::atomic::Ordering::SeqCst);
    let mut ledger = Ledger::default();
    for writer in writers {
        ledger.merge(tokio::time::timeout(LIFE_MAX, writer).await.expect("it ends").expect("it does not panic"));
    }
    let last = ledger.last_due.expect("there were to-dos");
    clock.sleep_until(last).await;
    running.advance_to(last).await.expect("it comes to rest");
    assert_kept(&desk.who, &ledger).await;
    running.stop().await.expect("it stops without a fault");
}

/// One life, up to its end.
async fn live(server: &mut Server, desk: &Desk, end: End) {
    match end {
        End::Starting(after) => {
            // Too late is as good as in time: then it ends right when it is ready.
            let _ = tokio::time::timeout(after, server.ready()).await;
        }
        End::Serving(answers, then) => {
            server.ready().await;
            let enough = *desk.answers.borrow() + answers;
            let mut answered = desk.answers.subscribe();
            let answered = answered.wait_for(|count| *count >= enough);
            tokio::time::timeout(LIFE_MAX, answered).await.expect("it answers").expect("the writers write");
            tokio::time::sleep(then).await;
        }
    }
}

/// Everything that was answered is there, nothing else is, and every reminder came once.
#[expect(clippy::print_stdout, reason = "a passed test tells what it counted")]
async fn assert_kept(who: &Person, ledger: &Ledger) {
    let who = who.fresh().await.expect("the session has outlived the kills");
    println!("{} customers, {} to-dos, {} too late", ledger.customers.len(), ledger.tasks.len(), ledger.refused);
    assert!(ledger.customers.len() >= KILLS / 2 && ledger.tasks.len() >= KILLS / 2, "hardly anything was written");
    let request = customer::ListCustomersRequest { page_size: 1_000, ..Default::default() };
    let page = answer(who.customers().list_customers(request).await).expect("customers");
    assert!(page.next_page_token.is_empty(), "all fit on one page");
    let rows = page.customers.into_iter().map(|row| (row.name, row.customer_id)).collect();
    assert_same(rows, &ledger.customers, "customers");
    let request = followup::ListTasksRequest { page_size: 1_000, ..Default::default() };
    let page = answer(who.tasks().list_tasks(request).await).expect("tasks");
    assert!(page.next_page_token.is_empty(), "all fit on one page");
    let rows = page.tasks.into_iter().map(|task| (task.title, task.task_id)).collect();
    assert_same(rows, &ledger.tasks, "to-dos");
    let reminders = reminders(who).await;
    let titles: BTreeMap<_, _> = ledger.tasks.iter().map(|(title, id)| (id, title)).collect();
    let lost: Vec<_> = titles.iter().filter(|(id, _)| !reminders.contains_key(**id)).collect();
    let doubled: Vec<_> = reminders.iter().filter(|(_, count)| **count != 1).collect();
    assert!(lost.is_empty() && doubled.is_empty(), "reminders lost: {lost:?}; doubled: {doubled:?}");
    assert_eq!(reminders.len(), titles.len(), "reminders of tasks that nobody was told of");
}

fn assert_same(mut rows: Vec<(String, String)>, answered: &BTreeMap<String, String>, what: &str) {
    rows.sort();
    let answered: Vec<_> = answered.iter().map(|(name, id)| (name.clone(), id.clone())).collect();
    let lost: Vec<_> = answered.iter().filter(|row| !rows.contains(row)).collect();
    assert!(lost.is_empty(), "{what} that were answered and are not there: {lost:?}");
    // A call that broke off was repeated with its id until it was answered: one row each, and none that is unknown.
    assert_eq!(rows, answered, "{what} are there that were not answered, or twice");
}

/// How many reminders at due there are of each task.
async fn reminders(who: &Person) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    let mut page_token = String::new();
    loop {
        let request = notification::ListMessagesRequest { page_size: 1_000, page_token, ..Default::default() };
        let page = answer(who.inbox().list_messages(request).await).expect("an inbox");
        for message in page.messages.iter().filter(|message| message.kind() == notification::MessageKind::TaskDue) {
            *counts.entry(message.task_id.clone()).or_default() += 1;
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return counts;
        }
    }
}
