//! What other services project of users and departments, in events and for a rebuild.

use revisit_core::id::{DepartmentId, SubjectId, TenantId};
use revisit_permission::{Purpose, Snapshot, SubjectState};
use revisit_proto::identity::v1 as pb;

use crate::{
    App,
    domain::{Account, Error},
    store::{accounts, organisation},
};

/// The whole state of a user, as told to others. Its version is the revision of the snapshot, which rises with every
/// change of the tenant: so it also orders changes that only moved the resolved manager.
pub fn user(account: &Account, snapshot: &Snapshot) -> pb::UserChanged {
    let manager = snapshot.subject(account.id).and_then(|facts| facts.manager).filter(|manager| *manager != account.id);
    pb::UserChanged {
        user_id: account.id.to_string(),
        version: snapshot.revision,
        state: state(account.state).into(),
        display_name: account.display_name.clone(),
        email: account.email.as_ref().map(|it| it.lift(Purpose::Entrust).as_str().to_owned()).unwrap_or_default(),
        time_zone: account.time_zone.clone(),
        locale: account.locale.clone(),
        manager_id: manager.map(|manager| manager.to_string()).unwrap_or_default(),
        department_id: account.department.to_string(),
        revision: snapshot.revision,
        // Told without a change: nobody begins or stops by it.
        former_state: state(account.state).into(),
    }
}

pub const fn state(state: SubjectState) -> pb::SubjectState {
    match state {
        SubjectState::Invited => pb::SubjectState::Invited,
        SubjectState::Active => pb::SubjectState::Active,
        SubjectState::Suspended => pb::SubjectState::Suspended,
        SubjectState::Left => pb::SubjectState::Left,
    }
}

/// Users of one tenant or of all, in the order of tenant and id.
pub async fn users(
    app: &App,
    tenant: Option<TenantId>,
    after: Option<(TenantId, SubjectId)>,
    size: u32,
) -> Result<Vec<pb::UserFact>, Error> {
    app.store
        .read(&app.workers.project, async |tx| {
            let mut snapshot: Option<Snapshot> = None;
            let mut found = Vec::new();
            for (tenant, account) in accounts::all(tx, tenant, after, u64::from(size)).await? {
                if snapshot.as_ref().is_none_or(|known| known.tenant != tenant) {
                    let (revision, facts) = app.ledgers.read(tx, tenant).await?;
                    snapshot = Some(Snapshot::compile(&facts, revision));
                }
                let user = snapshot.as_ref().map(|snapshot| user(&account, snapshot));
                found.push(pb::UserFact { tenant_id: tenant.to_string(), user });
            }
            Ok(found)
        })
        .await
}

/// Departments of one tenant or of all, in the order of tenant and id.
pub async fn departments(
    app: &App,
    tenant: Option<TenantId>,
    after: Option<(TenantId, DepartmentId)>,
    size: u32,
) -> Result<Vec<pb::DepartmentFact>, Error> {
    app.store
        .read(&app.workers.project, async |tx| {
            let mut revision: Option<(TenantId, i64)> = None;
            let mut found = Vec::new();
            for (tenant, department) in organisation::all_departments(tx, tenant, after, u64::from(size)).await? {
                let version = match revision {
                    Some((known, revision)) if known == tenant => revision,
                    Some(_) | None => app.ledgers.read(tx, tenant).await?.0,
                };
                revision = Some((tenant, version));
                let department = Some(pb::DepartmentChanged {
                    department_id: department.id.to_string(),
                    version,
                    parent_id: department.parent.map(|it| it.to_string()).unwrap_or_default(),
                    name: department.name,
                    head_id: department.head.map(|it| it.to_string()).unwrap_or_default(),
                    disabled: department.disabled,
                });
                found.push(pb::DepartmentFact { tenant_id: tenant.to_string(), department });
            }
            Ok(found)
        })
        .await
}
