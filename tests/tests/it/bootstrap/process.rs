//! A real process and its signals.

use std::{
    io::Read,
    net::TcpListener,
    process::{Child, Command},
};

use revisit_bootstrap::shutdown::EXIT_ABORTED;
use revisit_proto::customer::v1::timeline_client::TimelineClient;
use revisit_standalone::ScratchFolder;
use tonic::{Code, transport::Endpoint};

use super::support::note;
use crate::program::{Log, Program, settings};

/// A folder, and the product on the data in it.
fn product() -> (ScratchFolder, Program) {
    let folder = ScratchFolder::make().expect("a folder");
    let program = Program::new(folder.path(), &settings(folder.path()));
    (folder, program)
}

fn signal(child: &Child) {
    let killed = Command::new("kill").arg(child.id().to_string()).status().expect("kill is there");
    assert!(killed.success());
}

#[tokio::test]
async fn a_first_signal_drains_and_a_second_one_aborts() {
    let (_folder, program) = product();
    let mut child = program.start(&["serve"], &[]);
    let mut log = Log::of(&mut child);
    let address = log.ready().expect("it serves");
    let channel = Endpoint::from_shared(format!("http://{address}")).expect("an address").connect_lazy();
    let status = TimelineClient::new(channel).add_note(note("")).await.expect_err("it has no token");
    assert_eq!(status.code(), Code::Unauthenticated);
    signal(&child);
    // Not on this thread, which the client's connection needs to say goodbye.
    let status = tokio::task::spawn_blocking(move || child.wait()).await.expect("no panic").expect("it ends");
    assert!(status.success(), "{status:?}");

    // With time to notice, the drain lasts long enough for the second signal.
    let mut child = program.start(&["serve"], &[("REVISIT_SERVER__NOTICE_SECONDS", "60")]);
    let mut log = Log::of(&mut child);
    log.ready().expect("it serves");
    signal(&child);
    log.until("draining; a second signal aborts").expect("it says so");
    signal(&child);
    assert_eq!(child.wait().expect("it ends").code(), Some(EXIT_ABORTED));
}

#[test]
fn config_prints_what_holds_and_no_secret() {
    let (_folder, program) = product();
    let mut child = program.start(&["config"], &[("REVISIT_CALLERS__CUSTOMER__TOKEN", "hush-hush")]);
    let mut shown = String::new();
    child.stdout.take().expect("it is piped").read_to_string(&mut shown).expect("text");
    assert!(child.wait().expect("it ends").success());
    assert!(shown.contains("concurrency_max = 512") && shown.contains("(redacted)"), "{shown}");
    assert!(!shown.contains("hush-hush"));
}

#[test]
fn an_unknown_variable_ends_the_start_with_its_key() {
    let (_folder, program) = product();
    let mut child = program.start(&["serve"], &[("REVISIT_LIMITS__CONCURENCY_MAX", "1")]);
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
    let (_folder, program) = product();
    let variables = [("REVISIT_TELEMETRY__ENDPOINT", &*endpoint), ("REVISIT_TELEMETRY__FLUSH_MILLIS_MAX", "200")];
    let mut child = program.start(&["serve"], &variables);
    let mut log = Log::of(&mut child);
    log.ready().expect("it serves");
    signal(&child);
    assert!(child.wait().expect("it ends").success());
    assert_eq!(&arrival.recv().expect("something left"), b"PRI * HTTP/2.0");
}
