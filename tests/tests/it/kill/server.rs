//! The process that is killed: this very test binary, told to serve what `revisit-standalone serve` serves.
//!
//! Cargo gives a package no binary of another one, and a binary that lies about in the target folder may be an old one.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use hyper_util::rt::TokioIo;
use revisit_bootstrap::{Shutdown, command::print};
use revisit_standalone::Setup;
use tokio::{
    net::TcpStream,
    sync::{oneshot, watch},
};
use tonic::transport::{Channel, Endpoint, Uri};

/// What is said over the settings of every test: writes that wait for the disk, as shipped; no mail; reminders at every
/// hour; claims of a killed worker that end soon, as short as the provider's time allows.
pub const SETTINGS: &str = "[database]\ndurable = true\n[notification]\nclaim_seconds = 10\nquiet_start = \"\"\n\
    quiet_end = \"\"\n[notification.mail]\nhost = \"\"\ntimeout_seconds = 1\n[notification.webhook]\ntimeout_seconds = 1\n";

/// What the process says when it is ready, before its address.
const READY: &str = "ready at ";
const START_MAX: Duration = Duration::from_secs(60);
/// Time for one call: a killed server answers nothing, and an overloaded machine slowly.
const CALL_MAX: Duration = Duration::from_secs(20);

/// Everything on the data of a folder, in real time.
pub fn setup(folder: &Path) -> Setup {
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 9));
    Setup::from_manuals()
        .and_then(|setup| setup.throw_away(folder, nowhere))
        .and_then(|setup| setup.with(SETTINGS))
        .expect("the settings are valid")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it is what the kill test kills; by itself it has no data folder and ends at once"]
async fn serves_until_it_is_killed() {
    let mut folder = String::new();
    io::stdin().read_line(&mut folder).expect("a line, or the end");
    let folder = PathBuf::from(folder.trim_end());
    if folder.as_os_str().is_empty() {
        return;
    }
    let shutdown = Shutdown::new();
    let running = setup(&folder).start(None, shutdown.clone()).await.expect("it starts");
    print(&format!("\n{READY}{}\n", running.address())).expect("the parent listens");
    std::thread::spawn(move || {
        // The other end is held open by the parent: its end is ours, also when the parent itself was killed.
        let _ = io::stdin().read_to_end(&mut Vec::new());
        shutdown.drain();
    });
    running.ended().await.expect("it ends without a fault");
}

/// A server that is started and killed again and again on the same data.
pub struct Server {
    folder: PathBuf,
    address: watch::Sender<Option<SocketAddr>>,
    process: Option<Process>,
}

struct Process {
    child: Child,
    ready: Option<oneshot::Receiver<SocketAddr>>,
    _input: ChildStdin,
}

impl Server {
    /// On the data of a folder; nothing runs yet.
    pub fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), address: watch::Sender::new(None), process: None }
    }

    /// Starts the process; it is not ready yet.
    pub fn spawn(&mut self) {
        let this = std::env::current_exe().expect("a running program has a path");
        let mut child = Command::new(this)
            .args(["--ignored", "--exact", "--nocapture", "kill::server::serves_until_it_is_killed"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut input = child.stdin.take().expect("it was asked for");
        let output = child.stdout.take().expect("it was asked for");
        writeln!(input, "{}", self.folder.display()).expect("it reads");
        let (sender, ready) = oneshot::channel();
        std::thread::spawn(move || listen(output, sender));
        self.process = Some(Process { child, ready: Some(ready), _input: input });
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

/// Reads what the process says to its end: a full pipe would stop it.
fn listen(output: ChildStdout, ready: oneshot::Sender<SocketAddr>) {
    let mut ready = Some(ready);
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        let Some(address) = line.strip_prefix(READY).and_then(|address| address.parse().ok()) else { continue };
        if let Some(ready) = ready.take() {
            // Nobody waits when it was killed in that moment.
            let _ = ready.send(address);
        }
    }
}
