//! The process that is killed: the product itself, on the data of a folder.

use std::{io, net::SocketAddr, path::Path, process::Child, time::Duration};

use hyper_util::rt::TokioIo;
use revisit_standalone::Setup;
use tokio::{
    net::TcpStream,
    sync::{oneshot, watch},
};
use tonic::transport::{Channel, Endpoint, Uri};

use crate::program::{self, Log, Program};

/// What is said over the settings of every test: writes that wait for the disk, as shipped; no mail; reminders at every
/// hour; claims of a killed worker that end soon, as short as the provider's time allows.
pub const SETTINGS: &str = "database.durable = true\nnotification.claim_seconds = 10\n\
    notification.quiet_start = \"\"\nnotification.quiet_end = \"\"\nnotification.mail.host = \"\"\n\
    notification.mail.timeout_seconds = 1\nnotification.webhook.timeout_seconds = 1\n";
/// Waits that are long: the machine runs other tests beside this one.
const WAITS: &str = "database.acquire_millis_max = 20000\nidentity.lease_ttl_millis = 10000\n";

const START_MAX: Duration = Duration::from_secs(60);
/// Time for one call: a killed server answers nothing, and an overloaded machine slowly.
const CALL_MAX: Duration = Duration::from_secs(20);

fn settings(folder: &Path) -> String {
    program::settings(folder) + SETTINGS + WAITS
}

/// The same in this process.
pub fn setup(folder: &Path) -> Setup {
    Setup::from_manuals().and_then(|setup| setup.with(&settings(folder))).expect("the settings are valid")
}

/// A server that is started and killed again and again on the same data.
pub struct Server {
    program: Program,
    address: watch::Sender<Option<SocketAddr>>,
    process: Option<Process>,
}

struct Process {
    child: Child,
    ready: Option<oneshot::Receiver<SocketAddr>>,
}

impl Server {
    /// On the data of a folder; nothing runs yet.
    pub fn new(folder: &Path) -> Self {
        let program = Program::new(folder, &settings(folder));
        Self { program, address: watch::Sender::new(None), process: None }
    }

    /// Starts the process; it is not ready yet.
    pub fn spawn(&mut self) {
        let mut child = self.program.start(&["serve"], &[]);
        let mut log = Log::of(&mut child);
        let (sender, ready) = oneshot::channel();
        std::thread::spawn(move || {
            if let Some(address) = log.ready() {
                // Nobody waits when it was killed in that moment.
                let _ = sender.send(address);
            }
            log.drain();
        });
        self.process = Some(Process { child, ready: Some(ready) });
    }

    /// Waits until it is ready.
    pub async fn ready(&mut self) {
        let ready = self.process.as_mut().and_then(|process| process.ready.take()).expect("it was started, once");
        let address = tokio::time::timeout(START_MAX, ready).await.expect("it starts in time").expect("it starts");
        self.moved(address);
    }

    /// From here on calls go to that address.
    pub fn moved(&self, address: SocketAddr) {
        self.address.send_replace(Some(address));
    }

    /// Kills the process as it is, without a word.
    pub fn kill(&mut self) {
        self.address.send_replace(None);
        if let Some(mut process) = self.process.take() {
            process.child.kill().expect("it runs still");
            process.child.wait().expect("it has ended");
        }
    }

    /// Where it is, or nothing while it is not ready.
    pub fn address(&self) -> watch::Receiver<Option<SocketAddr>> {
        self.address.subscribe()
    }

    /// A connection that follows it from process to process.
    pub fn channel(&self) -> Channel {
        let address = self.address();
        let follow = tower::service_fn(move |_: Uri| {
            let address = *address.borrow();
            async move {
                let address = address.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected))?;
                TcpStream::connect(address).await.map(TokioIo::new)
            }
        });
        Endpoint::from_static("http://server.test").timeout(CALL_MAX).connect_with_connector_lazy(follow)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
