//! What operators see of the channels: how long the oldest delivery that is due has waited, and how many are in doubt.

use std::{sync::Arc, time::Duration};

use revisit_bootstrap::{Runtime, telemetry::Level};

use super::told;
use crate::{
    App,
    domain::{Channel, Error},
    store::{claims, now},
};

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(15);

/// Measures until draining begins.
pub async fn run(app: Arc<App>, runtime: Runtime) {
    let waits = Level::new("notification.oldest_due.millis", "channel");
    let doubts = Level::new("notification.unknown", "channel");
    let measuring = async {
        loop {
            told(look(&app, &waits, &doubts).await, "nothing is measured");
            app.clock.sleep_until(app.clock.wall() + EVERY).await;
        }
    };
    runtime.shutdown.or_draining(measuring).await;
}

async fn look(app: &App, waits: &Level, doubts: &Level) -> Result<(), Error> {
    let (now, due, unknown) = app
        .store
        .read(&app.workers.claim, async |tx| {
            let now = now(tx).await?;
            Ok((now, claims::oldest_due(tx, now).await?, claims::unknown(tx).await?))
        })
        .await?;
    for channel in Channel::ALL {
        let oldest = due.iter().find(|(name, _)| name == channel.name()).map(|(_, at)| now.since(*at).as_millis());
        waits.set(channel.name(), oldest.map_or(0, |age| i64::try_from(age).unwrap_or(i64::MAX)));
        let count = unknown.iter().find(|(name, _)| name == channel.name()).map_or(0, |(_, count)| *count);
        doubts.set(channel.name(), count);
    }
    Ok(())
}
