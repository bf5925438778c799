//! `tests/bench list`: a page of 50 through the service's own gRPC call, as a representative, a manager and the boss,
//! beside the same page without permission (see `floor`), call by call in turns.

use std::time::Duration;

use futures::{StreamExt as _, stream};
use revisit_bootstrap::status::answer;
use revisit_core::Clock;
use revisit_proto::customer::v1 as pb;
use revisit_standalone::client::Person;
use revisit_tests::{
    databases::{connect_to, texts, tidy},
    measure::{Line, Size, Table, machine, median, millis, percentile, say},
    world::World,
};
use tokio::sync::watch;
use tonic::{Request, client::Grpc, codegen::http::uri::PathAndQuery};
use tonic_prost::ProstCodec;

use crate::{
    floor,
    rows::{self, Company},
};

const PAGE: i32 = 50;
/// Copies that are made at a time: one for each processor of the machine that the figures are of.
const COPYING: usize = 2;
/// The sorts that are measured; the first is what a list has by default, and what the last line tells.
const SORTS: [&str; 2] = ["", "name"];

/// Who asks.
const ASKING: [&str; 4] = ["rep", "manager", "boss", "plain"];
const PLAIN: usize = 3;

/// Latencies in milliseconds of each who asks, round by round.
type Rounds = [Vec<Vec<f64>>; 4];

/// Measures and prints.
pub async fn measure(size: Size) {
    say(&format!("bench list: {}\n", machine()));
    let (imported, copies) = (size.pick(1_000, 1_000_000, 1_000_000), size.pick(1, 0, 9));
    let rows = imported * (1 + copies);
    let world = World::on(rows::alone(revisit_identity::NAME, vec![floor::service()])).await;
    let company = Company::found(&world, size == Size::Quick).await;
    rows::import(&company, imported, &watch::Sender::new(0)).await;
    rows::settle(&world).await;
    let database = connect_to(&world.database(revisit_customer::NAME)).await;
    copy(&company.boss, &texts(&database, "SELECT customer_id::text FROM customer ORDER BY 1").await, copies).await;
    tidy(&database).await;
    let (rounds, calls) = (size.pick(1, 7, 15), size.pick(5, 100, 200));
    let mut table = Table::new(&["sort", "who", "rows in reach", "p50 ms", "p99 ms", "p50 / plain"]);
    let mut first = None;
    for sort in SORTS {
        let measured = Box::pin(pages(&company, sort, rounds, calls)).await;
        let shown = show(&company, sort, &measured, &mut table).await;
        first.get_or_insert(shown);
    }
    table.print();
    say(&format!("{rows} rows, {rounds} rounds of {calls} calls each in turns; ended with {}\n\n", machine()));
    world.running.stop().await.expect("it stops without a fault");
    let first = first.expect("there is a sort");
    Line::default()
        .with("rows", rows)
        .with("page_p50_ms", format!("{:.2}", first.p50))
        .with("page_p99_ms", format!("{:.2}", first.p99))
        .with("plain_p50_ms", format!("{:.2}", first.plain_p50))
        .with("plain_p99_ms", format!("{:.2}", first.plain_p99))
        .with("ratio_p50", format!("{:.3}", first.ratio))
        .print();
}

/// Asks in turns: everybody once, then everybody once more.
async fn pages(company: &Company, sort: &str, rounds: usize, calls: usize) -> Rounds {
    let mut measured: Rounds = std::array::from_fn(|_| vec![Vec::with_capacity(calls); rounds]);
    let people = [&company.reps[0], &company.manager, &company.boss, &company.boss];
    // The first round of each only warms up.
    for round in 0..=rounds {
        for person in people {
            person.fresh().await.expect("a session");
        }
        for _ in 0..calls {
            for (who, person) in people.into_iter().enumerate() {
                let took = page(person, sort, if who == PLAIN { floor::LIST } else { LIST }).await;
                if round > 0 {
                    measured[who][round - 1].push(millis(took));
                }
            }
        }
    }
    measured
}

/// So many copies of each customer.
async fn copy(who: &Person, customers: &[String], copies: u64) {
    let parts = (0..copies).flat_map(|_| customers.chunks(floor::AT_ONCE));
    stream::iter(parts)
        .for_each_concurrent(COPYING, async |ids| {
            let request = pb::BatchGetCustomersRequest { customer_ids: ids.to_vec() };
            call::<_, ()>(who.fresh().await.expect("a session"), request, floor::COPY).await;
        })
        .await;
}

async fn page(person: &Person, sort: &str, path: &'static str) -> Duration {
    let request = pb::ListCustomersRequest { page_size: PAGE, order_by: sort.to_owned(), ..Default::default() };
    let (page, took): (pb::ListCustomersResponse, _) = call(person, request, path).await;
    assert!(!page.customers.is_empty(), "an empty page measures nothing");
    took
}

/// The answer of a call, and how long it took once the line was free.
async fn call<Q: prost::Message + 'static, A: prost::Message + Default + 'static>(
    person: &Person,
    request: Q,
    path: &'static str,
) -> (A, Duration) {
    let clock = Clock::system();
    let mut grpc = Grpc::new(person.line());
    grpc.ready().await.expect("the server is there");
    let codec: ProstCodec<Q, A> = ProstCodec::default();
    let began = clock.steady();
    let answered = answer(grpc.unary(Request::new(request), PathAndQuery::from_static(path), codec).await);
    (answered.expect("an answer"), clock.steady().since(began))
}

const LIST: &str = "/revisit.customer.v1.Customers/ListCustomers";

/// The worst of the three who have rights, and plain.
struct Shown {
    p50: f64,
    p99: f64,
    plain_p50: f64,
    plain_p99: f64,
    ratio: f64,
}

async fn show(company: &Company, sort: &str, measured: &Rounds, table: &mut Table) -> Shown {
    let of_rounds =
        |who: usize, percent| median(&measured[who].iter().map(|round| percentile(round, percent)).collect::<Vec<_>>());
    let ratio = |who: usize| {
        let pairs = measured[who].iter().zip(&measured[PLAIN]);
        median(&pairs.map(|(page, plain)| percentile(page, 50) / percentile(plain, 50)).collect::<Vec<_>>())
    };
    for (who, name) in ASKING.into_iter().enumerate() {
        let person = [&company.reps[0], &company.manager, &company.boss, &company.boss][who];
        let count = answer(person.customers().count_customers(pb::CountCustomersRequest::default()).await);
        table.row(&[
            if sort.is_empty() { "newest first" } else { sort },
            name,
            &count.expect("a count").count.to_string(),
            &format!("{:.2}", of_rounds(who, 50)),
            &format!("{:.2}", of_rounds(who, 99)),
            &format!("{:.2}", ratio(who)),
        ]);
    }
    let worst = |read: &dyn Fn(usize) -> f64| (0..PLAIN).map(read).fold(0.0, f64::max);
    Shown {
        p50: worst(&|who| of_rounds(who, 50)),
        p99: worst(&|who| of_rounds(who, 99)),
        plain_p50: of_rounds(PLAIN, 50),
        plain_p99: of_rounds(PLAIN, 99),
        ratio: worst(&ratio),
    }
}
