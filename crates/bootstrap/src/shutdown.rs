//! The two steps of an ordered end: *draining* (nothing new begins) and *cancelled* (what still runs is dropped).

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use revisit_core::Failure;

/// Exit code after a second signal: the end was not an ordered one.
pub const EXIT_ABORTED: i32 = 130;

/// Tells everything in a process how far its end has come. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    draining: CancellationToken,
    cancelled: CancellationToken,
}

impl Shutdown {
    /// A process that is not ending.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins to drain; repeats change nothing.
    pub fn drain(&self) {
        self.draining.cancel();
    }

    /// Drops what still runs; repeats change nothing.
    pub fn cancel(&self) {
        self.draining.cancel();
        self.cancelled.cancel();
    }

    /// Waits until draining begins: a worker ends its loop here.
    pub async fn draining(&self) {
        self.draining.cancelled().await;
    }

    /// Waits until what still runs must be dropped.
    pub async fn cancelled(&self) {
        self.cancelled.cancelled().await;
    }

    /// Whether the end has begun.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Waits for `work`, but no longer than until draining begins.
    pub async fn or_draining<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.draining() => None,
            value = work => Some(value),
        }
    }

    /// Listens for SIGTERM and SIGINT: the first begins to drain, a second ends the process at once.
    pub fn on_signals(&self) -> Result<(), Failure> {
        let mut terminate = signal(SignalKind::terminate()).map_err(Failure::internal)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::internal)?;
        let shutdown = self.clone();
        tokio::spawn(async move {
            let mut next = async || tokio::select! { _ = terminate.recv() => (), _ = interrupt.recv() => () };
            next().await;
            tracing::info!("draining; a second signal aborts");
            shutdown.drain();
            next().await;
            tracing::warn!("aborted by a second signal");
            std::process::exit(EXIT_ABORTED);
        });
        Ok(())
    }
}
