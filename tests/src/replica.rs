//! A replica that does nothing but answer from its lease, with identity behind a gate that can be shut.

use std::{net::SocketAddr, sync::Arc};

use revisit_bootstrap::{Process, Running, Runtime, Service, Shutdown, Sources, Started, runtime::Work};
use revisit_core::{
    Steady,
    id::{SubjectId, TenantId},
};
use revisit_permission::{Action, Caller, Row};
use serde::{Deserialize, Serialize};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};
use uuid::Uuid;

/// What replicas show to identity, and what identity's settings have to say for that.
const TOKEN: &str = "a-service-token-of-replicas-in-tests";
/// The service as which they come; identity knows no others.
const NAME: &str = "customer";
/// Settings of the identity that they come to.
#[must_use]
pub fn settings_of_identity() -> String {
    format!("[callers]\n{NAME}.token = \"{TOKEN}\"\n")
}

/// It has no configuration.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Nothing {}

/// A running replica.
pub struct Replica {
    running: Running,
}

impl Replica {
    /// Starts one that finds identity at this address.
    ///
    /// # Panics
    /// When it cannot start.
    pub async fn start(identity: SocketAddr) -> Self {
        let service = Service::new(
            NAME,
            "[customer]",
            |_: Nothing, runtime: Runtime| async move {
                let idle = Work::new("idle", async move { runtime.shutdown.draining().await });
                Ok(Started::new().work(idle))
            },
            |_: Nothing, _: Runtime| async { Ok(()) },
        );
        let services = [service];
        let mut layers = Process::manuals(&services, &[]).expect("the manuals are TOML");
        let said = format!(
            "server.listen = '127.0.0.1:0'\npeers.identity = 'http://{identity}'\ncallers.{NAME}.token = '{TOKEN}'\n"
        );
        layers.add("replica", &said).expect("it is TOML");
        let process = Process::new("replica", &services, layers).expect("the settings are valid");
        Self { running: process.start(Sources::default(), Shutdown::new()).await.expect("it starts") }
    }

    /// Whether it allows somebody to see a customer, and when it was asked; nothing when it cannot say.
    #[must_use]
    pub fn allows(&self, tenant: TenantId, subject: SubjectId) -> (Steady, Option<bool>) {
        let runtime = &self.running.runtime;
        let row = Row::new(tenant, Uuid::from_u128(7));
        let asked = runtime.clock.steady();
        let decided = Caller::named(tenant, subject).decide(&runtime.leases, Action::CustomerView, &row);
        let allowed = match decided {
            Ok(_) => Some(true),
            Err(denial) if denial.kind == revisit_permission::DenialKind::Stale => None,
            Err(_) => Some(false),
        };
        (asked, allowed)
    }

    /// The revision of a company that it has loaded.
    #[must_use]
    pub fn revision(&self, tenant: TenantId) -> watch::Receiver<i64> {
        self.running.runtime.leases.revision(tenant)
    }

    /// Waits until it answers so.
    pub async fn until(&self, tenant: TenantId, subject: SubjectId, answer: Option<bool>) {
        while self.allows(tenant, subject).1 != answer {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }
}

/// What connections to somewhere pass, and can be shut: then nothing passes, and nobody is told.
#[derive(Clone)]
pub struct Gate {
    /// Where to connect to.
    pub address: SocketAddr,
    open: Arc<watch::Sender<bool>>,
    target: Arc<watch::Sender<SocketAddr>>,
}

impl Gate {
    /// An open one before `target`.
    ///
    /// # Panics
    /// Without a free port.
    pub async fn before(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it listens");
        let gate =
            Self { address, open: Arc::new(watch::Sender::new(true)), target: Arc::new(watch::Sender::new(target)) };
        let passed = gate.clone();
        tokio::spawn(async move {
            while let Ok((inner, _)) = listener.accept().await {
                tokio::spawn(pass(inner, passed.target.subscribe(), passed.open.subscribe()));
            }
        });
        gate
    }

    /// Connections of from now on lead there: what is behind it was started anew.
    pub fn lead_to(&self, target: SocketAddr) {
        self.target.send_replace(target);
    }

    /// Shuts it, or opens it again; connections of before are lost then, as when a cable is pulled for long.
    pub fn set_open(&self, open: Open) {
        self.open.send_replace(open == Open::Yes);
    }
}

/// Whether a gate lets anything pass.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// Everything.
    Yes,
    /// Nothing.
    No,
}

async fn pass(mut inner: TcpStream, target: watch::Receiver<SocketAddr>, mut open: watch::Receiver<bool>) {
    if open.wait_for(|open| *open).await.is_err() {
        return;
    }
    let target = *target.borrow();
    let Ok(mut outer) = TcpStream::connect(target).await else { return };
    // Each end sends at once; one that collects here would wait for what the other acknowledges 40 ms later.
    if inner.set_nodelay(true).and_then(|()| outer.set_nodelay(true)).is_err() {
        return;
    }
    tokio::select! {
        // Either end has closed it: there is nothing left to pass.
        _ = copy_bidirectional(&mut inner, &mut outer) => return,
        _ = open.wait_for(|open| !*open) => {}
    }
    // Held open in silence until the gate opens.
    let _ = open.wait_for(|open| *open).await;
}
