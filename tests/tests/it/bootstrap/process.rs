//! A real process and its signals.

use std::{
    io::{BufRead, BufReader, Read},
    net::TcpListener,
    process::{Child, Command, ExitCode, Stdio},
};

use revisit_bootstrap::{command::Program, shutdown::EXIT_ABORTED};
use revisit_proto::customer::v1::timeline_client::TimelineClient;
use revisit_tests::fake_identity::FakeIdentity;
use tonic::{Code, transport::Endpoint};

use super::support::{note, services};

/// Not a test: what the tests below start as a process of its own.
#[test]
#[ignore = "it is the process that other tests start"]
fn the_process() {
    let services = services(&FakeIdentity::new(), std::sync::mpsc::channel().0);
    let words: Vec<String> = std::env::args().skip_while(|word| word != "--").skip(1).collect();
    let code = Program::new("test", services).run_with(words);
    assert_eq!(code, ExitCode::SUCCESS);
}

fn process(words: &[&str], variables: &[(&str, &str)]) -> Child {
    let program = std::env::current_exe().expect("this test's own file");
    let mut command = Command::new(program);
    command.args(["bootstrap::process::the_process", "--exact", "--ignored", "--nocapture", "--"]).args(words);
    command.envs(variables.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("it starts")
}

fn signal(child: &Child) {
    let killed = Command::new("kill").arg(child.id().to_string()).status().expect("kill is there");
    assert!(killed.success());
}

/// Reads the log until a line holds the words.
fn until(log: &mut impl BufRead, words: &str) {
    let found = log.lines().any(|line| line.expect("the log is text").contains(words));
    assert!(found, "the log ended without: {words}");
}

fn free_port() -> String {
    let probe = TcpListener::bind("127.0.0.1:0").expect("a free port");
    probe.local_addr().expect("an address").to_string()
}

#[tokio::test]
async fn a_first_signal_drains_and_a_second_one_aborts() {
    let listen = free_port();
    let mut child = process(&["serve"], &[("REVISIT_SERVER__LISTEN", &listen)]);
    let mut log = BufReader::new(child.stderr.take().expect("it is piped"));
    until(&mut log, "ready");
    let channel = Endpoint::from_shared(format!("http://{listen}")).expect("an address").connect_lazy();
    let status = TimelineClient::new(channel).add_note(note("")).await.expect_err("it has no token");
    assert_eq!(status.code(), Code::Unauthenticated);
    signal(&child);
    // Not on this thread, which the client's connection needs to say goodbye.
    let status = tokio::task::spawn_blocking(move || child.wait()).await.expect("no panic").expect("it ends");
    assert!(status.success(), "{status:?}");

    // With time to notice, the drain lasts long enough for the second signal.
    let listen = free_port();
    let mut child =
        process(&["serve"], &[("REVISIT_SERVER__LISTEN", &listen), ("REVISIT_SERVER__NOTICE_SECONDS", "60")]);
    let mut log = BufReader::new(child.stderr.take().expect("it is piped"));
    until(&mut log, "ready");
    signal(&child);
    until(&mut log, "draining");
    signal(&child);
    assert_eq!(child.wait().expect("it ends").code(), Some(EXIT_ABORTED));
}

#[test]
fn config_prints_what_holds_and_no_secret() {
    let mut child = process(&["config"], &[("REVISIT_CALLERS__CUSTOMER__TOKEN", "hush-hush")]);
    let mut shown = String::new();
    child.stdout.take().expect("it is piped").read_to_string(&mut shown).expect("text");
    assert!(child.wait().expect("it ends").success());
    assert!(shown.contains("concurrency_max = 512") && shown.contains("(redacted)"), "{shown}");
    assert!(!shown.contains("hush-hush"));
}

#[test]
fn an_unknown_variable_ends_the_start_with_its_key() {
    let mut child = process(&["serve"], &[("REVISIT_LIMITS__CONCURENCY_MAX", "1")]);
    let mut told = String::new();
    child.stderr.take().expect("it is piped").read_to_string(&mut told).expect("text");
    assert!(!child.wait().expect("it ends").success());
    assert!(told.contains("limits.concurency_max: is not a known key"), "{told}");
}

#[test]
fn telemetry_leaves_only_when_an_endpoint_is_set_and_holds_up_no_end() {
    let collector = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let endpoint = format!("http://{}", collector.local_addr().expect("an address"));
    let (arrived, arrival) = std::sync::mpsc::channel();
    // It takes connections and never answers: the worst collector there is.
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for connection in collector.incoming() {
            let mut preface = [0; 14];
            let mut connection = connection.expect("a connection");
            connection.read_exact(&mut preface).expect("a preface");
            held.push(connection);
            // The test may have ended.
            let _ = arrived.send(preface);
        }
    });
    let listen = free_port();
    let mut child = process(
        &["serve"],
        &[
            ("REVISIT_SERVER__LISTEN", &listen),
            ("REVISIT_TELEMETRY__ENDPOINT", &endpoint),
            ("REVISIT_TELEMETRY__FLUSH_MILLIS_MAX", "200"),
        ],
    );
    let mut log = BufReader::new(child.stderr.take().expect("it is piped"));
    until(&mut log, "ready");
    signal(&child);
    assert!(child.wait().expect("it ends").success());
    assert_eq!(&arrival.recv().expect("something left"), b"PRI * HTTP/2.0");
}
