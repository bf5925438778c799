//! Taking an import back: what it made and nobody has touched since is deleted, chunk by chunk.

use revisit_bootstrap::{Principal, audit};
use revisit_permission::{Action, Permits};

use super::{batch::ended, may_import};
use crate::{
    App,
    domain::{Error, timeline::EntryKind},
    operations::{customers, entries, rows_max},
    store::{
        self,
        imports::{Job, State},
        save::Change,
    },
};

/// Deletes the next chunk of what the job made and nobody has touched since.
pub async fn take_back(app: &App, who: &Principal, job: &Job) -> Result<(), Error> {
    let worker = &app.workers.import;
    let scope = may_import(who)?;
    let size = rows_max(app, job.tenant).await?;
    let read = app.store.database.read(worker, async |tx| {
        let (ids, kept) = store::imports::made_by(tx, worker, job, size).await?;
        Ok::<_, Error>((store::load::for_worker(tx, worker, job.tenant, &ids).await?, kept))
    });
    let (customers, kept) = read.await?;
    if customers.is_empty() {
        let done = Job { kept, ..ended(app, job, State::Reverted, "") };
        return app.store.database.write(&scope, async |tx| store::imports::update(tx, &scope, job, &done).await).await;
    }
    let now = app.clock.wall();
    let (mut changes, mut permits) = (Vec::new(), Vec::new());
    for customer in customers {
        let mut after = customer.clone();
        after.deleted_at = Some(now);
        let decided = who.caller.decide_change(&who.leases, Action::CustomerImport, &customer.row(), &after.row())?;
        let entry = customers::entry(app, EntryKind::Record, &after, now)
            .by(who.subject())
            .change(None, Some("import reverted".to_owned()))
            .about(job.id);
        after.auth_rev = decided.revision();
        changes.push(Change::update(customer, after).with_contents().entry(entry));
        permits.push(decided);
    }
    let permits = Permits(permits);
    let write = app.store.database.write(&permits, async |tx| {
        for (decided, ids) in entries::by_right(&permits.0) {
            audit::record(tx, &app.ids, entries::changed(decided, ids, ["delete_time"])).await?;
        }
        store::save::save(tx, &app.store, &permits, changes).await?;
        Ok::<_, Error>(())
    });
    write.await
}
