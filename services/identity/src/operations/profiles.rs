//! Users as others see them: who is shown, and how much of their contact values.

use revisit_bootstrap::{
    audit::{self, Deed},
    auth::Principal,
};
use revisit_core::{
    Failure,
    id::{DepartmentId, SubjectId},
};
use revisit_permission::{Action, Clarity, Layer, Levels, Purpose, Shown, SubjectKind, SubjectState, Veiled};

use crate::{
    App,
    domain::{Account, Error},
    store::{
        accounts::{self, Wanted},
        seen::{BATCH, Filling, Seen},
    },
};

/// Which contact values are wanted clear.
#[derive(Clone, Copy, Debug)]
pub struct Clear {
    pub email: Clarity,
    pub phone: Clarity,
}

impl Clear {
    /// None by name.
    pub const NONE: Self = Self { email: Clarity::Usual, phone: Clarity::Usual };
    /// Both.
    pub const ALL: Self = Self { email: Clarity::Clear, phone: Clarity::Clear };
}

/// A user under the levels of one reader: its facts are veiled as a whole, its addresses each for itself.
pub struct Profile {
    account: Veiled<Account>,
    levels: Levels,
    clear: Clear,
    pub manager: Option<SubjectId>,
}

impl Profile {
    pub const fn new(account: Account, levels: Levels, clear: Clear, manager: Option<SubjectId>) -> Self {
        Self { account: Veiled::new(Layer::Basic, account), levels, clear, manager }
    }

    /// Who sees the row at all has its id.
    pub fn id(&self) -> SubjectId {
        self.account.lift(Purpose::Part).id
    }

    /// The version on the wire.
    pub fn etag(&self) -> String {
        self.account.lift(Purpose::Part).version.to_string()
    }

    /// The facts of the basic layer.
    pub fn basic(&self) -> Shown<'_, Account> {
        self.levels.show(&self.account, Clarity::Usual)
    }

    /// What is shown of the mail address.
    pub fn email(&self) -> Option<String> {
        let email = self.account.lift(Purpose::Part).email.as_ref()?;
        self.levels.show(email, self.clear.email).text()
    }

    /// What is shown of the telephone number.
    pub fn phone(&self) -> Option<String> {
        let phone = self.account.lift(Purpose::Part).phone.as_ref()?;
        self.levels.show(phone, self.clear.phone).text()
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

pub async fn get(app: &App, who: &Principal, id: SubjectId, clear: Clear) -> Result<Profile, Error> {
    let (account, mut levels) = seen(app, who, id).await?;
    let asked = [("email", clear.email), ("phone", clear.phone)];
    let asked = asked.iter().filter(|(_, asked)| *asked == Clarity::Clear);
    let fields: Vec<String> = asked.map(|(field, _)| (*field).to_owned()).collect();
    if levels.reads(Layer::Sensitive) && !fields.is_empty() {
        // The entry is committed before the answer leaves, or there is no answer. What is shown is what is confirmed then.
        let permit = who.decide(Action::UserView, &account.row(who.tenant()))?;
        levels = permit.levels();
        let entry = Deed::on("user", [id.uuid()]).fields(fields).by(&permit);
        app.store.write(&permit, async |tx| Ok(audit::record(tx, &app.ids, entry).await?)).await?;
    }
    Ok(Profile::new(account, levels, clear, manager(who, id)))
}

pub async fn batch(app: &App, who: &Principal, ids: &[SubjectId]) -> Result<Vec<Profile>, Error> {
    let scope = who.scope(Action::UserView)?;
    let tenant = who.tenant();
    let found = app.store.read(&scope, async |tx| Ok(accounts::by_ids(tx, tenant, ids).await?)).await?;
    let users = found.into_iter().filter(|it| it.kind == SubjectKind::User);
    let show = |account: Account| {
        let levels = scope.levels(&account.row(tenant))?;
        let manager = manager(who, account.id);
        Some(Profile::new(account, levels, Clear::NONE, manager))
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
) -> Result<Seen<Profile>, Error> {
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
        Profile::new(account, levels, Clear::NONE, manager)
    };
    Ok(Seen { rows: seen.rows.into_iter().map(show).collect(), next: seen.next })
}

/// The caller's own record, clear.
pub async fn own(app: &App, who: &Principal) -> Result<Profile, Error> {
    let permit = who.caller.own(&who.leases).map_err(Failure::from)?;
    let tenant = who.tenant();
    let found = app.store.read(&permit, async |tx| Ok(accounts::by_id(tx, tenant, who.subject()).await?)).await?;
    let account = found.ok_or(Error::NoSuchUser)?.account;
    let manager = manager(who, account.id);
    Ok(Profile::new(account, Levels::READ, Clear::ALL, manager))
}
