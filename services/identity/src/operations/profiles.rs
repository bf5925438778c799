//! Users as others see them: who is shown, and how much of their contact values.

use revisit_bootstrap::auth::Principal;
use revisit_core::{
    Failure,
    id::{DepartmentId, SubjectId},
};
use revisit_permission::{Action, Layer, Level, Levels, Mask, SubjectKind, SubjectState};

use super::audit::{self, Act, Actor};
use crate::{
    App,
    domain::{Account, Error},
    store::{
        accounts::{self, Wanted},
        seen::{BATCH, Filling, Seen},
    },
};

/// Which contact values are wanted clear.
#[derive(Clone, Copy, Default, Debug)]
pub struct Clear {
    pub email: bool,
    pub phone: bool,
}

/// A user as the caller may see it.
pub struct Shown {
    pub account: Account,
    pub email: String,
    pub phone: String,
    pub manager: Option<SubjectId>,
}

impl Shown {
    pub fn new(account: Account, levels: Levels, clear: Clear, manager: Option<SubjectId>) -> Self {
        let level = levels.get(Layer::Sensitive);
        let show = |value: &Option<String>, clear: bool, mask: Mask| match (value, level) {
            (None, _) | (_, Level::Hidden) => String::new(),
            (Some(value), Level::Read | Level::Write) if clear => value.clone(),
            (Some(value), _) => mask.apply(value),
        };
        let email = show(&account.email, clear.email, Mask::Email);
        let phone = show(&account.phone, clear.phone, Mask::Phone);
        Self { account, email, phone, manager }
    }
}

pub fn manager(who: &Principal, id: SubjectId) -> Option<SubjectId> {
    let reading = who.leases.read(who.tenant()).ok()?;
    reading.snapshot.subject(id).and_then(|facts| facts.manager).filter(|manager| *manager != id)
}

/// A user whom the caller may see, and how much of it.
pub async fn seen(app: &App, who: &Principal, id: SubjectId) -> Result<(Account, Levels), Error> {
    let scope = who.scope(Action::UserView)?;
    let tenant = who.tenant();
    let found = app.store.read(&scope, async |tx| Ok(accounts::by_id(tx, tenant, id).await?)).await?;
    let account = found.map(|kept| kept.account).filter(|it| it.kind == SubjectKind::User).ok_or(Error::NoSuchUser)?;
    let levels = scope.levels(&account.row(tenant)).ok_or(Error::NoSuchUser)?;
    Ok((account, levels))
}

pub async fn get(app: &App, who: &Principal, id: SubjectId, clear: Clear) -> Result<Shown, Error> {
    let (account, levels) = seen(app, who, id).await?;
    let mut fields = Vec::new();
    if levels.reads(Layer::Sensitive) {
        fields.extend(clear.email.then(|| "email".to_owned()));
        fields.extend(clear.phone.then(|| "phone".to_owned()));
    }
    if !fields.is_empty() {
        // The entry is committed before the answer leaves, or there is no answer.
        let permit = who.decide(Action::UserView, &account.row(who.tenant()))?;
        let entry = Act { fields, ..Act::done(Actor::of(who), Action::UserView.name(), "user", id.uuid()) };
        app.store.write(&permit, async |tx| audit::act(app, tx, who.tenant(), entry).await).await?;
    }
    Ok(Shown::new(account, levels, clear, manager(who, id)))
}

pub async fn batch(app: &App, who: &Principal, ids: &[SubjectId]) -> Result<Vec<Shown>, Error> {
    let scope = who.scope(Action::UserView)?;
    let tenant = who.tenant();
    let found = app.store.read(&scope, async |tx| Ok(accounts::by_ids(tx, tenant, ids).await?)).await?;
    let users = found.into_iter().filter(|it| it.kind == SubjectKind::User);
    let show = |account: Account| {
        let levels = scope.levels(&account.row(tenant))?;
        let manager = manager(who, account.id);
        Some(Shown::new(account, levels, Clear::default(), manager))
    };
    Ok(users.filter_map(show).collect())
}

/// Which users a list shows.
pub struct Filter {
    pub department: Option<DepartmentId>,
    pub state: Option<SubjectState>,
}

pub async fn list(
    app: &App,
    who: &Principal,
    filter: Filter,
    after: Option<SubjectId>,
    size: u32,
) -> Result<Seen<Shown>, Error> {
    let scope = who.scope(Action::UserView)?;
    let tenant = who.tenant();
    let seen = app
        .store
        .read(&scope, async |tx| {
            let (revision, facts) = app.ledgers.read(tx, tenant).await?;
            let snapshot = revisit_permission::Snapshot::compile(&facts, revision);
            let below = |at: DepartmentId| filter.department.is_none_or(|top| snapshot.org().within(at, top));
            let member = |it: &Account| below(it.department) || it.further.iter().any(|at| below(*at));
            let mut filling = Filling::new(size, after.map(SubjectId::uuid));
            while let Some(after) = filling.wants() {
                let after = after.map(SubjectId::from_uuid);
                let wanted = Wanted { kind: Some(SubjectKind::User), state: filter.state, after, limit: BATCH };
                let batch = accounts::page(tx, &scope, wanted).await?;
                // Further departments are a list inside the row, which only memory can look into.
                filling.take(batch, |it| it.id.uuid(), member);
            }
            Ok(filling.page(|it| it.id.uuid()))
        })
        .await?;
    let show = |account: Account| {
        let levels = scope.levels(&account.row(tenant)).unwrap_or_default();
        let manager = manager(who, account.id);
        Shown::new(account, levels, Clear::default(), manager)
    };
    Ok(Seen { rows: seen.rows.into_iter().map(show).collect(), next: seen.next })
}

/// The caller's own record, clear.
pub async fn own(app: &App, who: &Principal) -> Result<Shown, Error> {
    let permit = who.caller.own(&who.leases).map_err(Failure::from)?;
    let tenant = who.tenant();
    let found = app.store.read(&permit, async |tx| Ok(accounts::by_id(tx, tenant, who.subject()).await?)).await?;
    let account = found.ok_or(Error::NoSuchUser)?.account;
    let manager = manager(who, account.id);
    Ok(Shown::new(account, Levels::READ, Clear { email: true, phone: true }, manager))
}
