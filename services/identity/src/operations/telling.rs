//! Telling the other services what a revision changed of users and departments. A revision that touches more users than
//! one transaction should tell of leaves the rest to a worker, which tells of all users of the company.

use std::collections::BTreeSet;

use revisit_bootstrap::database::Tx;
use revisit_core::id::{DepartmentId, SubjectId};
use revisit_event::Draft;
use revisit_permission::{Change, Snapshot};
use revisit_proto::identity::v1 as pb;

use super::{book::Book, facts};
use crate::{
    App,
    domain::Error,
    store::{accounts, tellings},
};

/// Users that the worker tells of in one transaction.
const CHUNK: usize = 1_000;

/// What the other services have to hear of.
struct Told {
    /// Whose own record was changed.
    changed: BTreeSet<SubjectId>,
    /// Whom somebody else leads now.
    led: BTreeSet<SubjectId>,
    departments: BTreeSet<DepartmentId>,
}

/// Emits what the other services project: everybody whose record or resolved manager changed, and departments.
pub async fn tell(tx: &Tx, book: &Book, after: &Snapshot) -> Result<(), Error> {
    let Told { mut changed, led, departments } = told(book, after);
    if changed.len() + led.len() > book.users_told_max {
        tellings::begin(tx, book.tenant.id, after.revision).await?;
    } else {
        changed.extend(led);
    }
    for account in accounts::by_ids(tx, book.tenant.id, &changed.into_iter().collect::<Vec<_>>()).await? {
        let was = book.facts_before().subject(account.id).map(|was| facts::state(was.state));
        let former_state = was.unwrap_or(pb::SubjectState::Unspecified).into();
        let event = pb::UserChanged { former_state, ..facts::user(&account, after) };
        tx.emit(Draft::new(book.tenant.id, account.id.uuid(), after.revision, &event));
    }
    for department in departments.into_iter().filter_map(|id| book.facts().department(id)) {
        let event = pb::DepartmentChanged {
            department_id: department.id.to_string(),
            version: after.revision,
            parent_id: department.parent.map(|it| it.to_string()).unwrap_or_default(),
            name: department.name.clone(),
            head_id: department.head.map(|it| it.to_string()).unwrap_or_default(),
            disabled: department.disabled,
        };
        tx.emit(Draft::new(book.tenant.id, department.id.uuid(), after.revision, &event));
    }
    Ok(())
}

fn told(book: &Book, after: &Snapshot) -> Told {
    let (mut changed, mut departments, mut managers) = (BTreeSet::new(), BTreeSet::new(), false);
    for change in book.changes() {
        match change {
            Change::Subject(subject) => {
                changed.insert(subject.id);
                // Who stops or starts may be the manager of others.
                let was = book.facts_before().subject(subject.id);
                managers |= was.is_some_and(|was| was.state != subject.state);
            }
            Change::Department(department) => {
                departments.insert(department.id);
                managers = true;
            }
            Change::Tenant(_) => managers = true,
            Change::Position(_)
            | Change::Role(_)
            | Change::RoleAssignment(_)
            | Change::Team(_)
            | Change::Grant(_)
            | Change::Guard(_)
            | Change::ExternalType(_)
            | Change::SessionRevoked { .. }
            | Change::Removed(_) => (),
        }
    }
    let mut led = BTreeSet::new();
    if managers {
        let before = Snapshot::compile(book.facts_before(), book.tenant.revision);
        let manager = |snapshot: &Snapshot, id| snapshot.subject(id).and_then(|facts| facts.manager);
        let moved = |id: &SubjectId| manager(&before, *id) != manager(after, *id);
        led.extend(after.subjects().into_iter().filter(|id| !changed.contains(id)).filter(moved));
    }
    Told { changed, led, departments }
}

/// One round of the worker: tells of the next users of a company. Answers whether there was anything to do.
pub async fn go_on(app: &App) -> Result<bool, Error> {
    let worker = &app.workers.project;
    let Some(telling) = app.store.read(worker, async |tx| Ok(tellings::next(tx).await?)).await? else {
        return Ok(false);
    };
    let tenant = telling.tenant;
    let size = app.config.users_told_max.min(CHUNK);
    app.store
        .write(worker, async |tx| {
            let (revision, known) = app.ledgers.read(tx, tenant).await?;
            let snapshot = Snapshot::compile(&known, revision);
            let after = telling.after.map(|after| (tenant, after));
            let users = accounts::all(tx, Some(tenant), after, u64::try_from(size).unwrap_or(u64::MAX)).await?;
            let last = users.last().filter(|_| users.len() == size).map(|(_, account)| account.id);
            if !tellings::advance(tx, &telling, last).await? {
                // Somebody has begun anew: nothing of this round is told.
                return Ok(());
            }
            for (_, account) in users {
                tx.emit(Draft::new(tenant, account.id.uuid(), revision, &facts::user(&account, &snapshot)));
            }
            Ok(())
        })
        .await?;
    Ok(true)
}

/// Whether nobody waits to be told of.
pub async fn is_settled(app: &App) -> bool {
    let next = app.store.read(&app.workers.project, async |tx| Ok(tellings::next(tx).await?)).await;
    next.is_ok_and(|next| next.is_none())
}
