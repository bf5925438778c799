//! Users: made by invitation, changed under permission, stopped at once.

use prost::Message;
use revisit_bootstrap::{auth::Principal, database::Tx};
use revisit_core::{
    Failure, Timestamp,
    id::{DepartmentId, PositionId, SubjectId, kind},
};
use revisit_permission::{Action, Address, Change, Decided, Levels, Resource, Row, SubjectKind, SubjectState, Veiled};

use super::{
    book::{Book, Cause, Once, Revised, require_decided},
    departments, grants,
    links::PasswordLink,
    profiles::{Clear, Profile, seen},
    sessions,
};
use crate::{
    App,
    domain::{
        Account, Error,
        directory::check_etag,
        log_in::{draw_secret, hash_secret},
    },
    store::accounts::{self, Kept, NewLink, Taken},
};

const MANAGE: &str = Action::UserManage.name();
/// Accounts of one company.
const ACCOUNTS_MAX: u64 = 100_000;

/// A new user.
pub struct NewUser {
    pub username: String,
    pub display_name: String,
    pub email: Option<Veiled<Address>>,
    pub phone: Option<Veiled<Address>>,
    pub department: DepartmentId,
    pub further: Vec<DepartmentId>,
    pub positions: Vec<PositionId>,
    pub manager: Option<SubjectId>,
    pub parent: Option<SubjectId>,
    pub time_zone: String,
    pub locale: String,
    pub reason: String,
}

/// What may be changed of a user; nothing stays as it is.
#[derive(Default)]
pub struct UserEdit {
    pub display_name: Option<String>,
    pub email: Option<Option<Veiled<Address>>>,
    pub phone: Option<Option<Veiled<Address>>>,
    pub further: Option<Vec<DepartmentId>>,
    pub positions: Option<Vec<PositionId>>,
    pub manager: Option<Option<SubjectId>>,
    pub time_zone: Option<String>,
    pub locale: Option<String>,
    pub etag: String,
    pub reason: String,
}

/// A field, and whether a write names it.
type Named = (&'static str, bool);

impl NewUser {
    /// Whoever makes a user writes a name, and the addresses that are given.
    const fn named(&self) -> [Named; 3] {
        [("display_name", true), ("email", self.email.is_some()), ("phone", self.phone.is_some())]
    }
}

impl UserEdit {
    const fn named(&self) -> [Named; 8] {
        [
            ("display_name", self.display_name.is_some()),
            ("email", self.email.is_some()),
            ("phone", self.phone.is_some()),
            ("further_department_ids", self.further.is_some()),
            ("position_ids", self.positions.is_some()),
            ("manager_id", self.manager.is_some()),
            ("time_zone", self.time_zone.is_some()),
            ("locale", self.locale.is_some()),
        ]
    }
}

/// The right to do something to a user; one that may not be seen does not exist.
pub async fn managed(app: &App, who: &Principal, id: SubjectId, action: Action) -> Result<Decided, Error> {
    let (account, _) = seen(app, who, id).await?;
    Ok(who.decide(action, &account.row(who.tenant()))?)
}

/// The right to stop somebody, and how much is seen of the user: the right of whoever manages the user, and of the
/// accounts above a sub-account.
pub async fn stoppable(app: &App, who: &Principal, id: SubjectId) -> Result<(Decided, Levels), Error> {
    let (account, levels) = seen(app, who, id).await?;
    let tenant = who.tenant();
    let reading = who.leases.read(tenant).map_err(|_| grants::lease_expired())?;
    let permit = if reading.snapshot.facts().is_sub_account(id, who.subject()) {
        who.caller.own(&who.leases).map_err(Failure::from)?
    } else {
        who.decide(Action::UserManage, &account.row(tenant))?
    };
    Ok((permit, levels))
}

/// Asks again inside a revision whether the account is below the caller's, when that was the reason.
pub fn require_still_above(book: &Book, who: &Principal, permit: &Decided, id: SubjectId) -> Result<(), Error> {
    let by_policy = permit.action().is_some();
    if by_policy || book.facts().is_sub_account(id, who.subject()) { Ok(()) } else { Err(Error::NoSuchUser) }
}

/// Makes a user; the link is there for the first of equal requests only, because what is kept for repeats is no secret.
pub async fn create<M: Message + Default>(
    app: &App,
    who: &Principal,
    input: NewUser,
    once: Once<Profile, M>,
) -> Result<(M, Option<PasswordLink>), Error> {
    departments::get(app, who, input.department).await?;
    let tenant = who.tenant();
    let row = Row::new(tenant, tenant).with_department(input.department);
    let permit = who.decide(Action::UserManage, &row)?;
    // Before anything is compared: else the refusal of an address would tell who may not read addresses that somebody has it.
    refuse_unwritable(&permit.levels(), &input.named())?;
    let token = draw_secret(&app.secrets);
    let cause = Cause::new(who, MANAGE, input.reason.clone());
    let mut expires_at = Timestamp::MIN;
    let (answer, fresh) = app
        .revise_once(&permit, cause, once, async |tx, book| {
            if accounts::count(tx, tenant).await? >= ACCOUNTS_MAX {
                return Err(Error::TooMany);
            }
            let account = invited(app, book, input);
            refuse_taken(tx, book, &account).await?;
            book.add(Change::Subject(account.facts()))?;
            may_hold(book, who, &account)?;
            accounts::add(tx, tenant, &account, None).await?;
            expires_at = book.now + app.config.password_link();
            let link = NewLink { hash: hash_secret(&token), drawn_by: Some(who.subject()), expires_at };
            accounts::set_link(tx, tenant, account.id, link).await?;
            Ok(shown(book, account, permit.levels()))
        })
        .await?;
    Ok((answer, fresh.then_some(PasswordLink { token, expires_at })))
}

fn invited(app: &App, book: &Book, input: NewUser) -> Account {
    Account {
        id: app.ids.next::<kind::Subject>(book.now),
        kind: SubjectKind::User,
        state: SubjectState::Invited,
        username: input.username,
        display_name: input.display_name,
        email: input.email,
        phone: input.phone,
        department: input.department,
        further: input.further,
        positions: input.positions,
        added_roles: Vec::new(),
        removed_roles: Vec::new(),
        manager: input.manager,
        parent: input.parent,
        time_zone: input.time_zone,
        locale: input.locale,
        version: 1,
        created_at: book.now,
        updated_at: book.now,
    }
}

pub async fn refuse_taken(tx: &Tx, book: &Book, account: &Account) -> Result<(), Error> {
    match accounts::taken(tx, book.tenant.id, account).await? {
        None => Ok(()),
        Some(Taken::Username) => Err(Error::UsernameTaken),
        Some(Taken::Email) => Err(Error::EmailTaken),
        Some(Taken::Phone) => Err(Error::PhoneTaken),
    }
}

/// Nobody gives, by a position or beside it, what they do not hold the right to grant.
pub fn may_hold(book: &Book, who: &Principal, account: &Account) -> Result<(), Error> {
    let snapshot = book.snapshot();
    let positions = account.positions.iter().filter_map(|id| book.facts().position(*id));
    let roles = positions.flat_map(|position| position.roles.iter()).chain(&account.added_roles);
    // Who is not made has no id that anybody could look for.
    let known = book.facts_before().subject(account.id).map(|it| it.id.uuid());
    for role in roles {
        let right = snapshot.may_assign(who.subject(), account.id, *role, book.now);
        right.map_err(Error::beyond("user", known.into_iter().chain([role.uuid()])))?;
    }
    Ok(())
}

pub async fn change(app: &App, who: &Principal, id: SubjectId, edit: UserEdit) -> Result<Revised<Profile>, Error> {
    let permit = changing(app, who, id, &edit).await?;
    let levels = permit.levels();
    let cause = Cause::new(who, MANAGE, edit.reason.clone());
    app.revise(&permit, who.tenant(), cause, async |tx, book| {
        let kept = stage_change(tx, book, who, (id, edit)).await?;
        require_decided(&permit, [kept.account.row(who.tenant())])?;
        keep(tx, book, &kept).await?;
        Ok(shown(book, kept.account, levels))
    })
    .await
}

/// The right to change what an edit names.
pub async fn changing(app: &App, who: &Principal, id: SubjectId, edit: &UserEdit) -> Result<Decided, Error> {
    let permit = managed(app, who, id, Action::UserManage).await?;
    refuse_unwritable(&permit.levels(), &edit.named())?;
    Ok(permit)
}

/// Puts a changed user into a revision.
pub async fn stage_change(
    tx: &Tx,
    book: &mut Book,
    who: &Principal,
    (id, edit): (SubjectId, UserEdit),
) -> Result<Kept, Error> {
    let mut kept = find(tx, book, id).await?;
    check_etag(&edit.etag, kept.account.version)?;
    let gives = edit.positions.is_some() || edit.further.is_some();
    apply(&mut kept.account, edit)?;
    refuse_taken(tx, book, &kept.account).await?;
    stage(book, &mut kept)?;
    if gives {
        let right = may_hold(book, who, &kept.account);
        book.require_right(right)?;
    }
    Ok(kept)
}

/// A write that names any field below write is refused whole.
fn refuse_unwritable(levels: &Levels, fields: &[Named]) -> Result<(), Error> {
    for (field, is_named) in fields {
        if *is_named && !levels.writes(Resource::User.layer_of(field)) {
            let message = format!("the field {field} may not be changed");
            return Err(Failure::new(revisit_core::Kind::Denied, "FIELD_NOT_WRITABLE", message).into());
        }
    }
    Ok(())
}

fn apply(account: &mut Account, edit: UserEdit) -> Result<(), Error> {
    if account.state == SubjectState::Left {
        return Err(Error::UserState);
    }
    fn set<T>(place: &mut T, new: Option<T>) {
        if let Some(new) = new {
            *place = new;
        }
    }
    set(&mut account.display_name, edit.display_name);
    set(&mut account.email, edit.email);
    set(&mut account.phone, edit.phone);
    set(&mut account.further, edit.further);
    set(&mut account.positions, edit.positions);
    set(&mut account.manager, edit.manager);
    set(&mut account.time_zone, edit.time_zone);
    set(&mut account.locale, edit.locale);
    if account.email.is_none() && account.phone.is_none() {
        return Err(Error::Refused { field: "user.email", rule: "or a telephone number is required" });
    }
    Ok(())
}

/// A user inside a revision.
pub async fn find(tx: &Tx, book: &Book, id: SubjectId) -> Result<Kept, Error> {
    let kept = accounts::by_id(tx, book.tenant.id, id).await?.ok_or(Error::NoSuchUser)?;
    if kept.account.kind == SubjectKind::User { Ok(kept) } else { Err(Error::NoSuchUser) }
}

/// Saves a changed account: its row, and what permission is told of it.
pub async fn save(tx: &Tx, book: &mut Book, kept: &mut Kept) -> Result<(), Error> {
    stage(book, kept)?;
    keep(tx, book, kept).await
}

/// What permission is told of a changed account.
pub fn stage(book: &mut Book, kept: &mut Kept) -> Result<(), Error> {
    kept.account.version += 1;
    kept.account.updated_at = book.now;
    book.touch(kept.account.facts())
}

/// The row of an account that is staged.
pub async fn keep(tx: &Tx, book: &Book, kept: &Kept) -> Result<(), Error> {
    Ok(accounts::save(tx, book.tenant.id, kept).await?)
}

fn shown(book: &Book, account: Account, levels: Levels) -> Profile {
    let manager = book.snapshot().subject(account.id).and_then(|facts| facts.manager).filter(|it| *it != account.id);
    Profile::new(account, levels, Clear::NONE, manager)
}

/// Which way a user is turned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Turn {
    Suspend,
    Reactivate,
}

pub async fn turn(
    app: &App,
    who: &Principal,
    id: SubjectId,
    turn: Turn,
    (etag, reason): (String, String),
) -> Result<Revised<Profile>, Error> {
    let (permit, levels) = stoppable(app, who, id).await?;
    app.revise(&permit, who.tenant(), Cause::new(who, MANAGE, reason), async |tx, book| {
        require_still_above(book, who, &permit, id)?;
        let mut kept = turned(tx, book, (id, turn), &etag).await?;
        require_decided(&permit, [kept.account.row(who.tenant())])?;
        if turn == Turn::Suspend {
            // What leaked is worth nothing afterwards.
            sessions::end_all(tx, book, id, None).await?;
            accounts::drop_links(tx, book.tenant.id, id).await?;
        }
        save(tx, book, &mut kept).await?;
        Ok(shown(book, kept.account, levels))
    })
    .await
}

/// A user who is suspended, or is active again, and not yet part of a revision.
async fn turned(tx: &Tx, book: &Book, (id, turn): (SubjectId, Turn), etag: &str) -> Result<Kept, Error> {
    let mut kept = find(tx, book, id).await?;
    check_etag(etag, kept.account.version)?;
    match turn {
        Turn::Suspend if book.tenant.administrator == id => return Err(Error::Administrator),
        Turn::Suspend => kept.account.turn(SubjectState::Active, SubjectState::Suspended)?,
        Turn::Reactivate => kept.account.turn(SubjectState::Suspended, SubjectState::Active)?,
    }
    Ok(kept)
}

/// Puts such a user into a revision that is not written. The sessions that end with it give no right.
pub async fn stage_turn(tx: &Tx, book: &mut Book, of: (SubjectId, Turn), etag: &str) -> Result<(), Error> {
    let mut kept = turned(tx, book, of, etag).await?;
    stage(book, &mut kept)
}

/// Changes what a user may change about itself.
pub async fn change_own(app: &App, who: &Principal, edit: UserEdit) -> Result<Revised<Profile>, Error> {
    let permit = who.caller.own(&who.leases).map_err(Failure::from)?;
    app.revise(&permit, who.tenant(), Cause::new(who, "user.change_own", ""), async |tx, book| {
        let mut kept = find(tx, book, who.subject()).await?;
        check_etag(&edit.etag, kept.account.version)?;
        apply(&mut kept.account, edit)?;
        save(tx, book, &mut kept).await?;
        let clear = Clear::ALL;
        let manager = book.snapshot().subject(who.subject()).and_then(|facts| facts.manager);
        Ok(Profile::new(kept.account, Levels::READ, clear, manager))
    })
    .await
}
