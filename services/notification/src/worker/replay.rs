//! Replays: dead letters of a filter are planned anew, a chunk per transaction, under their first tokens.

use crate::{
    App,
    domain::{Error, State},
    operations::intake::replan,
    store::{claims, ledger::Ledger, now, replays},
};

/// One step of the oldest replay that is open; answers whether there was one.
pub async fn step(app: &App) -> Result<bool, Error> {
    // Asked by reading first: an idle look must not take SQLite's only writer.
    if !app.store.read(&app.workers.replay, async |tx| Ok(replays::any_open(tx).await?)).await? {
        return Ok(false);
    }
    let worked = app
        .store
        .write(&app.workers.replay, async |tx| {
            let Some(mut replay) = replays::open(tx).await? else { return Ok(false) };
            let ledger = Ledger::open(tx, now(tx).await?);
            let dead = claims::dead_after(tx, replay.tenant, &replay.filter, replay.cursor).await?;
            replay.done = dead.is_empty();
            for mut delivery in dead {
                replay.cursor = delivery.id.uuid();
                replan(app, tx, &ledger, &mut delivery).await?;
                replay.replayed += i64::from(delivery.progress.state != State::Dead);
            }
            ledger.close().await?;
            replays::save(tx, &replay).await?;
            Ok(true)
        })
        .await?;
    if worked {
        app.planned.notify_one();
    }
    Ok(worked)
}
