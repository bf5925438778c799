//! Who calls: threads and connections of their own, as many calls under way as asked for, each as soon as the last one
//! has its answer; and how long each took.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use prost::{
    Message,
    bytes::{Buf, BufMut, Bytes},
};
use revisit_core::Clock;
use revisit_standalone::client::Person;
use tokio::{
    runtime::{Builder, Runtime},
    task::JoinHandle,
};
use tonic::{
    Code, Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    codegen::http::uri::PathAndQuery,
    metadata::{Ascii, MetadataValue},
    transport::{Channel, Endpoint},
};

/// How often a call is made again that the server puts off (UNAVAILABLE) because it is busier than it may be; what that
/// takes is part of the call's time.
const PUT_OFF_MAX: u32 = 50;
/// Pause before it is made again.
const PAUSE: Duration = Duration::from_millis(100);

/// Their threads; the server's have another name, so that its time can be told apart.
pub struct Callers {
    runtime: Option<Runtime>,
    address: String,
}

/// Connections, and calls that are under way on each.
#[derive(Clone, Copy)]
pub struct Width {
    pub connections: usize,
    pub streams: usize,
}

/// How long they go on.
#[derive(Clone, Copy)]
pub enum Until {
    /// From the first message again when all have been sent.
    Span(Duration),
    /// Each message once.
    Sent,
}

/// What is asked, over and over.
pub struct Question {
    path: &'static str,
    /// What must come: an answer, or the refusal that is measured.
    expected: Code,
    messages: Vec<(MetadataValue<Ascii>, Bytes)>,
}

impl Question {
    /// Without a message so far.
    pub const fn new(path: &'static str, expected: Code) -> Self {
        Self { path, expected, messages: Vec::new() }
    }

    /// Adds a message of somebody, encoded once: what a caller does with messages of its own is not measured.
    #[must_use]
    pub fn of(mut self, who: &Person, message: &impl Message) -> Self {
        let bearer = format!("Bearer {}", who.token()).parse().expect("a token is ASCII");
        self.messages.push((bearer, message.encode_to_vec().into()));
        self
    }
}

/// What was seen of one run.
pub struct Run {
    /// From the first call to the last answer.
    pub took: Duration,
    /// What each call took.
    pub calls: Vec<Duration>,
}

struct Shared {
    question: Question,
    next: AtomicUsize,
    stop: AtomicBool,
    until: Until,
}

impl Callers {
    /// Who calls the server at an address.
    pub fn of(address: &str) -> Self {
        let runtime = Builder::new_multi_thread().thread_name("caller").enable_all().build();
        Self { runtime: Some(runtime.expect("threads can be made")), address: address.to_owned() }
    }

    /// Starts work on their threads.
    pub fn spawn<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
        self.runtime.as_ref().expect("it is taken by dropping only").spawn(work)
    }

    /// Calls as fast as the answers come. `ready` is told right before the first call.
    pub async fn run(&self, question: Question, width: Width, until: Until, ready: impl FnOnce()) -> Run {
        let mut lines = Vec::new();
        for _ in 0..width.connections {
            let endpoint = Endpoint::from_shared(self.address.clone()).expect("an address").tcp_nodelay(true);
            let channel = self.spawn(async move { endpoint.connect().await }).await.expect("it does not panic");
            lines.push(channel.expect("the server is there"));
        }
        let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let shared = Arc::new(Shared { question, next, stop, until });
        let clock = Clock::system();
        ready();
        let began = clock.steady();
        let streams = lines.iter().flat_map(|line| std::iter::repeat_n(line, width.streams));
        let streams: Vec<_> = streams.map(|line| self.spawn(stream(line.clone(), Arc::clone(&shared)))).collect();
        if let Until::Span(span) = until {
            tokio::time::sleep(span).await;
            shared.stop.store(true, Ordering::Relaxed);
        }
        let mut calls = Vec::new();
        for stream in streams {
            calls.extend(stream.await.expect("it does not panic"));
        }
        Run { took: clock.steady().since(began), calls }
    }
}

impl Drop for Callers {
    fn drop(&mut self) {
        // A runtime that ends inside another one must not wait for its threads.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// One call after the other.
async fn stream(line: Channel, shared: Arc<Shared>) -> Vec<Duration> {
    let (clock, question) = (Clock::system(), &shared.question);
    let mut grpc = Grpc::new(line);
    let mut calls = Vec::new();
    while !shared.stop.load(Ordering::Relaxed) {
        let turn = shared.next.fetch_add(1, Ordering::Relaxed);
        if turn >= question.messages.len() && matches!(shared.until, Until::Sent) {
            break;
        }
        let (bearer, message) = &question.messages[turn % question.messages.len()];
        grpc.ready().await.expect("the server is there");
        let began = clock.steady();
        let mut put_off = 0;
        let answer = loop {
            let mut request = Request::new(message.clone());
            request.metadata_mut().insert("authorization", bearer.clone());
            let path = PathAndQuery::from_static(question.path);
            match grpc.unary(request, path, Encoded).await {
                Err(status) if status.code() == Code::Unavailable && put_off < PUT_OFF_MAX => put_off += 1,
                answer => break answer,
            }
            tokio::time::sleep(PAUSE).await;
            grpc.ready().await.expect("the server is there");
        };
        calls.push(clock.steady().since(began));
        let code = answer.as_ref().map_or_else(Status::code, |_| Code::Ok);
        assert_eq!(code, question.expected, "{}: {:?}", question.path, answer.err());
    }
    calls
}

/// Sends bytes that were encoded once and does not look at the answer.
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
