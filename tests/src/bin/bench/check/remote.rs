//! The same question over gRPC: `Access.Check` beside an empty call that passes the same layers, in turns.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use prost::{
    Message,
    bytes::{Buf, BufMut, Bytes},
};
use revisit_bootstrap::status::answer;
use revisit_core::Clock;
use revisit_proto::identity::v1 as pb;
use revisit_standalone::client::Person;
use revisit_tests::{
    measure::{Size, Table, median, per_second, processor_time, say},
    world::World,
};
use tokio::runtime::{Builder, Runtime};
use tonic::{
    Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    codegen::http::uri::PathAndQuery,
    metadata::{Ascii, MetadataValue},
    service::interceptor::InterceptedService,
    transport::{Channel, Endpoint},
};

use crate::{floor, rows};

/// How the threads of the server are called.
pub const SERVER: &str = "server";
/// Connections, and calls that are under way on each.
const CONNECTIONS: usize = 4;
const STREAMS: usize = 16;
const CHECK: &str = "/revisit.identity.v1.Access/Check";

/// What the rounds have shown.
pub struct Remote {
    pub check_per_second: f64,
    pub empty_per_second: f64,
    pub ratio: f64,
}

/// One round of one call: how many a second, and what the server has used for each.
#[derive(Clone, Copy)]
struct Rate {
    per_second: f64,
    server_micros: f64,
}

/// Measures both calls in turns.
pub async fn measure(size: Size) -> Remote {
    let world = World::on(rows::alone(revisit_identity::NAME, vec![floor::service()])).await;
    let store = world.department("store", &world.root).await;
    let rep = world.hire("mei", "sales_rep", &store).await;
    let question = pb::CheckRequest {
        action: "customer.view".to_owned(),
        row: Some(pb::RowAttributes {
            row_id: "0190a0a0-0000-7000-8000-000000000001".to_owned(),
            owner_id: rep.id.to_string(),
            department_id: store,
            stage: "lead".to_owned(),
            grade: "C".to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    };
    // Callers have threads of their own, so that the server's time can be told apart.
    let callers = Builder::new_multi_thread().thread_name("caller").enable_all().build().expect("threads can be made");
    let address = format!("http://{}", world.running.address());
    let (rounds, span) = (size.pick(2, 15, 31), Duration::from_millis(size.pick(200, 1_000, 2_000)));
    let (mut checks, mut empties) = (Vec::new(), Vec::new());
    let asked = answer(rep.access().check(question.clone()).await).expect("an answer");
    assert!(asked.allowed, "a denial is another question: {asked:?}");
    let question = Bytes::from(question.encode_to_vec());
    let ask = async |path: &'static str| {
        let rep = rep.fresh().await.expect("a session");
        let message = if path == CHECK { question.clone() } else { Bytes::new() };
        rate(&callers, (&address, rep), (path, message), span).await
    };
    // The first round of each only warms up.
    for round in 0..=rounds {
        let (empty, check) = match round % 2 {
            0 => (ask(floor::EMPTY).await, ask(CHECK).await),
            _ => {
                let check = ask(CHECK).await;
                (ask(floor::EMPTY).await, check)
            }
        };
        if round > 0 {
            empties.push(empty);
            checks.push(check);
        }
    }
    callers.shutdown_background();
    world.running.stop().await.expect("it stops without a fault");
    told(&checks, &empties)
}

fn told(checks: &[Rate], empties: &[Rate]) -> Remote {
    let middle = |rates: &[Rate], read: fn(&Rate) -> f64| median(&rates.iter().map(read).collect::<Vec<_>>());
    let pairs = checks.iter().zip(empties);
    let ratio = median(&pairs.clone().map(|(check, empty)| check.per_second / empty.per_second).collect::<Vec<_>>());
    let server = median(&pairs.map(|(check, empty)| empty.server_micros / check.server_micros).collect::<Vec<_>>());
    let mut table = Table::new(&["over gRPC", "rounds", "calls/s", "server µs a call"]);
    for (name, rates) in [("Access.Check", checks), ("empty call", empties)] {
        table.row(&[
            name,
            &rates.len().to_string(),
            &format!("{:.0}", middle(rates, |rate| rate.per_second)),
            &format!("{:.1}", middle(rates, |rate| rate.server_micros)),
        ]);
    }
    say("\n");
    table.print();
    say(&format!("ratio of calls/s {ratio:.3}; of the server's processor time {server:.3}\n\n"));
    Remote {
        check_per_second: middle(checks, |rate| rate.per_second),
        empty_per_second: middle(empties, |rate| rate.per_second),
        ratio,
    }
}

type Line = InterceptedService<Channel, Bearer>;

/// Puts the same token on every call.
#[derive(Clone)]
struct Bearer(MetadataValue<Ascii>);

impl tonic::service::Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

/// Sends bytes that were encoded once and does not look at the answer: what a caller does with messages of its own is
/// not part of the comparison.
#[derive(Default)]
struct Encoded;

impl Codec for Encoded {
    type Encode = Bytes;
    type Decode = ();
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Encoded {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(message);
        Ok(())
    }
}

impl Decoder for Encoded {
    type Item = ();
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<()>, Status> {
        from.advance(from.remaining());
        Ok(Some(()))
    }
}

/// Calls as fast as the answers come, for a span.
async fn rate(
    callers: &Runtime,
    (address, who): (&str, &Person),
    (path, message): (&'static str, Bytes),
    span: Duration,
) -> Rate {
    let bearer = Bearer(format!("Bearer {}", who.token()).parse().expect("a token is ASCII"));
    let stop = Arc::new(AtomicBool::new(false));
    let clock = Clock::system();
    let mut lines = Vec::new();
    for _ in 0..CONNECTIONS {
        let endpoint = Endpoint::from_shared(address.to_owned()).expect("an address").tcp_nodelay(true);
        let channel = callers.spawn(async move { endpoint.connect().await }).await.expect("it does not panic");
        lines.push(InterceptedService::new(channel.expect("the server is there"), bearer.clone()));
    }
    let used = processor_time(SERVER);
    let began = clock.steady();
    let streams = lines.iter().flat_map(|line| std::iter::repeat_n(line, STREAMS));
    let calls: Vec<_> =
        streams.map(|line| callers.spawn(call(line.clone(), path, message.clone(), Arc::clone(&stop)))).collect();
    tokio::time::sleep(span).await;
    stop.store(true, Ordering::Relaxed);
    let mut count = 0;
    for call in calls {
        count += call.await.expect("it does not panic");
    }
    let (took, used) = (clock.steady().since(began), processor_time(SERVER).saturating_sub(used));
    Rate { per_second: per_second(count, took), server_micros: 1e6 / per_second(count, used) }
}

async fn call(line: Line, path: &'static str, message: Bytes, stop: Arc<AtomicBool>) -> u64 {
    let mut grpc = Grpc::new(line);
    let mut count = 0;
    while !stop.load(Ordering::Relaxed) {
        grpc.ready().await.expect("the server is there");
        let path = PathAndQuery::from_static(path);
        grpc.unary(Request::new(message.clone()), path, Encoded).await.expect("it is answered");
        count += 1;
    }
    count
}
