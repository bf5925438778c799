//! The whole product in one process: four services, one listener, SQLite files and the in-process bus.

use std::{net::SocketAddr, time::Duration};

use revisit_core::{Clock, Failure, ManualClock, Timestamp};
use tonic::transport::{Channel, Endpoint};

pub mod client;
pub mod demo;
pub mod mail_sink;
pub mod program;
mod setup;
pub mod webhook_receiver;

pub use revisit_identity::FirstLink;
pub use setup::{DEFAULTS, FirstLogIns, ScratchFolder, Setup, services};

/// How long the services may take to come to rest, in real time.
const SETTLE_MAX: Duration = Duration::from_secs(120);
/// How often they are asked. Nobody tells when all four are at rest together, so it is asked again and again.
const SETTLE_EVERY: Duration = Duration::from_millis(1);
/// How often a simulated clock that goes on in real time is moved.
const TICK: Duration = Duration::from_millis(100);

/// All four services, running. The demo and the tests step its clock.
pub struct Running {
    process: revisit_bootstrap::Running,
    manual: Option<ManualClock>,
    log_ins: Option<FirstLogIns>,
    renewed: Vec<FirstLink>,
    channel: Channel,
}

impl Running {
    fn new(
        process: revisit_bootstrap::Running,
        manual: Option<ManualClock>,
        (log_ins, renewed): (Option<FirstLogIns>, Vec<FirstLink>),
    ) -> Result<Self, Failure> {
        let endpoint = Endpoint::from_shared(format!("http://{}", process.address)).map_err(Failure::internal)?;
        let channel = endpoint.tcp_nodelay(true).connect_lazy();
        Ok(Self { process, manual, log_ins, renewed, channel })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.process.address
    }

    /// A connection to it. Clones share it.
    #[must_use]
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Its clock.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.process.runtime.clock.clone()
    }

    /// The instant of now by its clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.process.runtime.clock.wall()
    }

    /// The log-ins that this start made; none when the data was there before.
    #[must_use]
    pub const fn first_log_ins(&self) -> Option<&FirstLogIns> {
        self.log_ins.as_ref()
    }

    /// New links of those whom an earlier start made and who have not set a password yet.
    #[must_use]
    pub fn renewed_first_links(&self) -> &[FirstLink] {
        &self.renewed
    }

    /// The earliest instant at which any service has work.
    pub async fn next_due(&self) -> Option<Timestamp> {
        self.process.next_due().await
    }

    /// Waits until nothing is left to do at the instant of now.
    pub async fn settle(&self) -> Result<(), Failure> {
        let resting = async {
            // Twice: a service that was asked early may have got work from one that was asked late.
            let mut rests = 0;
            while rests < 2 {
                if self.process.settled().await? {
                    rests += 1;
                } else {
                    rests = 0;
                    tokio::time::sleep(SETTLE_EVERY).await;
                }
            }
            Ok(())
        };
        match tokio::time::timeout(SETTLE_MAX, resting).await {
            Ok(rested) => rested,
            Err(_) => Err(self.restless().await),
        }
    }

    /// Who does not come to rest.
    async fn restless(&self) -> Failure {
        let mut names = Vec::new();
        for rest in &self.process.rest {
            if !rest.settled().await {
                names.push(rest.name);
            }
        }
        // An outbox is at rest when all its consumers have applied it; each consumer logs what it cannot apply.
        let who = if names.is_empty() { "an outbox".to_owned() } else { names.join(", ") };
        Failure::unavailable("NOT_SETTLED", format!("the services do not come to rest: {who}"))
    }

    /// Moves the simulated wall, and waits until everything that became due is done and nothing decides by old time.
    /// On the machine's own clock it only waits for the rest.
    pub async fn advance_to(&self, at: Timestamp) -> Result<(), Failure> {
        if let Some(manual) = &self.manual
            && at > self.now()
        {
            manual.set_wall(at);
        }
        self.process.renew().await?;
        self.settle().await
    }

    /// Lets a simulated wall go on at the pace of the machine's, until the process is told to end.
    pub async fn go_on_in_real_time(&self) -> Result<(), Failure> {
        let shutdown = &self.process.runtime.shutdown;
        shutdown.on_signals()?;
        let machine = Clock::system();
        let (from, began) = (self.now(), machine.steady());
        while !shutdown.is_draining() {
            if let Some(manual) = &self.manual {
                manual.set_wall(from + machine.steady().since(began));
            }
            shutdown.or_draining(tokio::time::sleep(TICK)).await;
        }
        Ok(())
    }

    /// Waits until it has ended by itself or by a signal.
    pub async fn ended(self) -> Result<(), Failure> {
        self.process.ended().await
    }

    /// Drains and waits for the end.
    pub async fn stop(self) -> Result<(), Failure> {
        self.process.stop().await
    }
}
