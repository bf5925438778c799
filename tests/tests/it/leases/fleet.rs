//! Two identities on one PostgreSQL and two customer services, each a process of its own that can be stopped, killed and
//! cut off.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::{Child, Command},
    time::Duration,
};

use revisit_tests::replica::{Gate, Open};
use tokio::sync::oneshot;
use tonic::transport::{Channel, Endpoint};

use crate::program::{Log, Program};

/// Time to live of a lease here, short so that a round is.
pub const LEASE: Duration = Duration::from_millis(1_500);
/// What the customer services show to identity.
const TOKEN: &str = "a-service-token-of-customer-in-tests";
const START_MAX: Duration = Duration::from_secs(60);
/// Replicas of each service.
pub const REPLICAS: usize = 2;

/// One process, and the gates that lead to it.
pub struct Member {
    name: &'static str,
    program: Program,
    process: Option<Child>,
    /// For people: it is never shut.
    front: Gate,
    /// For a service that calls this one.
    link: Gate,
}

/// What can be done to a process from outside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signal {
    Stop,
    Continue,
}

impl Member {
    async fn new(name: &'static str, program: Program) -> Self {
        let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let (front, link) = (Gate::before(nowhere).await, Gate::before(nowhere).await);
        Self { name, program, process: None, front, link }
    }

    /// Starts it, and waits until it serves.
    pub async fn start(&mut self) {
        let mut child = self.program.start_as(self.name, &["serve"], &[]);
        let mut log = Log::of(&mut child);
        let (sender, ready) = oneshot::channel();
        std::thread::spawn(move || {
            if let Some(address) = log.ready() {
                // Nobody waits when the test has failed in that moment.
                let _ = sender.send(address);
            }
            log.drain();
        });
        self.process = Some(child);
        let address = tokio::time::timeout(START_MAX, ready).await.expect("it starts in time").expect("it starts");
        self.front.lead_to(address);
        self.link.lead_to(address);
    }

    /// Ends it without a word.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.process.take() {
            child.kill().expect("it runs still");
            child.wait().expect("it has ended");
        }
    }

    /// Stops it where it is, or lets it go on: its clocks run meanwhile.
    pub fn signal(&self, signal: Signal) {
        let child = self.process.as_ref().expect("it runs");
        let word = match signal {
            Signal::Stop => "-STOP",
            Signal::Continue => "-CONT",
        };
        let sent = Command::new("kill").args([word, &child.id().to_string()]).status().expect("there is a kill");
        assert!(sent.success(), "{} is there to get {signal:?}", self.name);
    }

    /// Cuts the connections of the service that calls it, or lets them through again.
    pub fn set_link(&self, open: Open) {
        self.link.set_open(open);
    }

    /// A connection that follows it from process to process.
    pub fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.front.address)).expect("an address").connect_lazy()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.kill();
    }
}

/// All of them.
pub struct Fleet {
    pub identities: Vec<Member>,
    /// Each asks the identity of its own place.
    pub customers: Vec<Member>,
}

impl Fleet {
    /// Starts them on the data of a world that has ended.
    pub async fn start(databases: &str, folder: &Path) -> Self {
        let (mut identities, mut customers) = (Vec::new(), Vec::new());
        for place in 0..REPLICAS {
            let both = settings(databases, folder);
            let (folder_shown, lease) = (folder.display(), LEASE.as_millis());
            let own = format!("[identity]\nkeys_folder = \"{folder_shown}/keys\"\nlease_ttl_millis = {lease}\n");
            let program = Program::named(folder, &format!("identity-{place}"), &format!("{both}{own}"));
            let identity = Member::new("identity", program).await;
            let own = format!("[peers]\nidentity = \"http://{}\"\n", identity.link.address);
            let program = Program::named(folder, &format!("customer-{place}"), &format!("{both}{own}"));
            customers.push(Member::new("customer", program).await);
            identities.push(identity);
        }
        for member in identities.iter_mut().chain(&mut customers) {
            member.start().await;
        }
        Self { identities, customers }
    }
}

fn settings(databases: &str, folder: &Path) -> String {
    let key = |ring: &str| format!("\"file:{}/keys/seal-{ring}.key\"", folder.display());
    format!(
        "{databases}\n[server]\nlisten = \"127.0.0.1:0\"\n[telemetry]\nformat = \"json\"\n\
         [callers]\ncustomer.token = \"{TOKEN}\"\n\
         [seal]\ncurrent = \"local\"\nkeys.local = {}\nindex_current = \"local\"\nindex_keys.local = {}\n",
        key("keys"),
        key("index_keys")
    )
}
