//! Accounts for programs: a secret instead of a password, roles instead of positions.

use prost::Message;
use revisit_bootstrap::{auth::Principal, database::Tx};
use revisit_core::Timestamp;
use revisit_core::id::{DepartmentId, RoleId, SubjectId, kind};
use revisit_permission::{Action, Assigned, Change, Decided, RoleAssignment, Row, SubjectKind, SubjectState};

use super::{
    book::{Book, Cause, Once, Revised},
    departments, hand_overs, links, sessions, users,
};
use crate::{
    App,
    domain::{
        Account, Error,
        log_in::draw_secret,
        profile::{LOCALE, TIME_ZONE},
    },
    store::{
        accounts::{self, Kept, Wanted},
        seen::{BATCH, Filling, Seen},
    },
};

const MANAGE: &str = Action::ServiceAccountManage.name();

/// A new service account.
pub struct NewServiceAccount {
    pub display_name: String,
    pub department: DepartmentId,
    pub roles: Vec<RoleId>,
    pub reason: String,
}

/// Makes a service account; the secret is there for the first of equal requests only.
pub async fn create<M: Message + Default>(
    app: &App,
    who: &Principal,
    input: NewServiceAccount,
    once: Once<Account, M>,
) -> Result<(M, Option<String>), Error> {
    departments::get(app, who, input.department).await?;
    let tenant = who.tenant();
    let row = Row::new(tenant, tenant).with_department(input.department);
    let permit = who.decide(Action::ServiceAccountManage, &row)?;
    let secret = draw_secret(&app.secrets);
    let hash = app.passwords.hash(secret.clone()).await?;
    let cause = Cause::new(who, MANAGE, input.reason.clone());
    let (answer, fresh) = app
        .revise_once(&permit, cause, once, async |tx, book| {
            let account = new(app, book, input);
            users::refuse_taken(tx, book, &account).await?;
            book.add(Change::Subject(account.facts()))?;
            for role in &account.added_roles {
                book.add(Change::RoleAssignment(given(account.id, *role, book.now)))?;
            }
            users::may_hold(book, who, &account)?;
            accounts::add(tx, tenant, &account, Some((hash, who.subject()))).await?;
            Ok(account)
        })
        .await?;
    Ok((answer, fresh.then_some(secret)))
}

fn new(app: &App, book: &Book, input: NewServiceAccount) -> Account {
    Account {
        id: app.ids.next::<kind::Subject>(book.now),
        kind: SubjectKind::ServiceAccount,
        state: SubjectState::Active,
        // A colon, which no username may contain, keeps the names of programs apart from those of people.
        username: format!(":{}", input.display_name.to_lowercase()),
        display_name: input.display_name,
        email: None,
        phone: None,
        department: input.department,
        further: Vec::new(),
        positions: Vec::new(),
        added_roles: input.roles,
        removed_roles: Vec::new(),
        manager: None,
        parent: None,
        time_zone: TIME_ZONE.to_owned(),
        locale: LOCALE.to_owned(),
        version: 1,
        created_at: book.now,
        updated_at: book.now,
    }
}

/// A role given beside the positions, without end.
pub const fn given(subject: SubjectId, role: RoleId, from: Timestamp) -> RoleAssignment {
    RoleAssignment { subject, role, assigned: Assigned::Added { from, until: Timestamp::MAX } }
}

pub async fn list(app: &App, who: &Principal, after: Option<SubjectId>, size: u32) -> Result<Seen<Account>, Error> {
    let scope = who.scope(Action::ServiceAccountManage)?;
    app.store
        .read(&scope, async |tx| {
            let mut filling = Filling::new(size, after.map(SubjectId::uuid));
            while let Some(after) = filling.wants() {
                let after = after.map(SubjectId::from_uuid);
                let wanted = Wanted { kind: Some(SubjectKind::ServiceAccount), state: None, after, limit: BATCH };
                let batch = accounts::page(tx, &scope, wanted).await?;
                filling.take(batch, |it| it.id.uuid(), |_| true);
            }
            Ok(filling.page(|it| it.id.uuid()))
        })
        .await
}

async fn managed(app: &App, who: &Principal, id: SubjectId) -> Result<Decided, Error> {
    let scope = who.scope(Action::ServiceAccountManage)?;
    let tenant = who.tenant();
    let found = app.store.read(&scope, async |tx| Ok(accounts::by_id(tx, tenant, id).await?)).await?;
    let account = found.map(|kept| kept.account).filter(|it| it.kind == SubjectKind::ServiceAccount);
    let row = account.map(|it| it.row(tenant)).filter(|row| scope.levels(row).is_some());
    Ok(who.decide(Action::ServiceAccountManage, &row.ok_or(Error::NoSuchServiceAccount)?)?)
}

async fn find(tx: &Tx, book: &Book, id: SubjectId) -> Result<Kept, Error> {
    let kept = accounts::by_id(tx, book.tenant.id, id).await?.ok_or(Error::NoSuchServiceAccount)?;
    if kept.account.state == SubjectState::Left { Err(Error::UserState) } else { Ok(kept) }
}

/// Draws a new secret and ends what the old one opened.
pub async fn rotate(app: &App, who: &Principal, id: SubjectId, why: String) -> Result<Revised<String>, Error> {
    let permit = managed(app, who, id).await?;
    let secret = draw_secret(&app.secrets);
    let hash = app.passwords.hash(secret.clone()).await?;
    app.revise(&permit, who.tenant(), Cause::new(who, MANAGE, why), async |tx, book| {
        let mut kept = find(tx, book, id).await?;
        links::refuse_taking_over(&book.snapshot(), who, &kept.account, book.now)?;
        (kept.secret_hash, kept.secret_by) = (Some(hash), Some(who.subject()));
        sessions::end_all(tx, book, id, None).await?;
        users::save(tx, book, &mut kept).await?;
        Ok(secret)
    })
    .await
}

/// Ends a service account for good; what it owned is handed over.
pub async fn delete(app: &App, who: &Principal, id: SubjectId, why: String) -> Result<Revised<()>, Error> {
    let permit = managed(app, who, id).await?;
    let ended = app.revise(&permit, who.tenant(), Cause::new(who, MANAGE, why.clone()), async |tx, book| {
        let mut kept = find(tx, book, id).await?;
        kept.secret_hash = None;
        kept.account.state = SubjectState::Left;
        hand_overs::leave(app, tx, book, &mut kept.account, (who.subject(), why)).await?;
        users::save(tx, book, &mut kept).await
    });
    let ended = ended.await?;
    app.hand_overs.notify_one();
    Ok(ended)
}
