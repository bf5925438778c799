//! Off-boarding and transfer: one revision takes the rights, then a saga hands the work over until nothing is left.
//!
//! Every step is a row that the next step starts from, so a kill at any point costs time and nothing else: the order is
//! committed with the revision, the start of the parts with its event, each report with its progress.

use std::collections::HashMap;

use prost::Message;
use revisit_bootstrap::{auth::Principal, database::Tx, status};
use revisit_core::{
    Failure, Timestamp, Tried,
    id::{DepartmentId, GrantId, JobId, PositionId, SubjectId, TenantId, kind},
};
use revisit_event::Draft;
use revisit_permission::{Action, Change, Decided, Facts, Refusal, Removed, STAGES, Scope, Snapshot, SubjectState};
use revisit_proto::identity::v1::{
    self as pb, customer_hand_over_client::CustomerHandOverClient, task_hand_over_client::TaskHandOverClient,
};

use super::{
    book::{Book, Cause, Once, Revised},
    grants, leases, sessions, users,
};
use crate::{
    App,
    domain::{
        Account, Error,
        directory::department_row,
        hand_over::{HandOver, Kind, Parts, Plan, Progress, Report, State, Successor},
    },
    store::{
        self,
        accounts::{self, Kept},
        external_rows, hand_overs, organisation,
        seen::{BATCH, Filling, Seen},
        sessions as session_rows,
    },
};

const MANAGE: &str = Action::HandOverManage.name();
/// Hand-overs that one round of the saga drives.
const ROUND_MAX: u64 = 64;

/// What is ordered, or only counted.
pub struct Order {
    pub user: SubjectId,
    /// Where to, with which positions, when the user stays in the company.
    pub transfer: Option<(DepartmentId, Vec<PositionId>)>,
    pub successor: Successor,
    pub reason: String,
}

/// What a dry run counts.
pub struct Preview {
    pub plan: Plan,
    pub parts: Parts,
}

/// The right to hand somebody's work over; a transfer needs it over the new place too.
async fn ordered(app: &App, who: &Principal, order: &Order) -> Result<Decided, Error> {
    let permit = users::managed(app, who, order.user, Action::HandOverManage).await?;
    let Some((to, _)) = &order.transfer else { return Ok(permit) };
    let mut rows = permit.rows().to_vec();
    rows.push(department_row(who.tenant(), *to).with_owner(order.user));
    Ok(who.caller.decide_all(&who.leases, Action::HandOverManage, &rows).map_err(Failure::from)?)
}

fn kind(order: &Order, account: &Account) -> Kind {
    match &order.transfer {
        None => Kind::Leave,
        Some((to, positions)) => Kind::Transfer { from: account.department, to: *to, positions: positions.clone() },
    }
}

/// Revokes in one revision and plants the saga.
pub async fn start<M: Message + Default>(
    app: &App,
    who: &Principal,
    order: Order,
    once: Once<HandOver, M>,
) -> Result<M, Error> {
    let permit = ordered(app, who, &order).await?;
    let tenant = who.tenant();
    let cause = Cause::new(who, MANAGE, order.reason.clone());
    let started = app.revise_once(&permit, cause, once, async |tx, book| {
        let mut kept = users::find(tx, book, order.user).await?;
        if hand_overs::running(tx, tenant, order.user).await?.is_some() {
            return Err(Error::HandOverRunning);
        }
        check((book.tenant.administrator, book.facts()), &order, &kept.account)?;
        refuse_taking(&book.snapshot(), who, (&order, &kept.account), book.now)?;
        let kind = kind(&order, &kept.account);
        let revoked_grants = take_rights(tx, book, &mut kept.account).await?;
        let ended = sessions::end_all(tx, book, order.user, None).await?;
        place(tx, book, &mut kept, &order).await?;
        if order.transfer.is_some() {
            users::may_hold(book, who, &kept.account)?;
        }
        let revoked_sessions = i32::try_from(ended).unwrap_or(i32::MAX);
        let external_rows = external_rows::owned(tx, tenant, order.user, kind.department_left()).await?;
        let (successor, ordered_by, reason) = (order.successor, who.subject(), order.reason);
        let plan = Plan { kind, successor, ordered_by, reason, revoked_grants, revoked_sessions, external_rows };
        let hand_over = planted(app, book, order.user, plan);
        hand_overs::add(tx, tenant, &hand_over).await?;
        Ok(hand_over)
    });
    let (answer, _) = started.await?;
    app.hand_overs.notify_one();
    Ok(answer)
}

fn planted(app: &App, book: &Book, user: SubjectId, plan: Plan) -> HandOver {
    HandOver {
        id: app.ids.next::<kind::Job>(book.now),
        user,
        state: State::Revoked,
        plan,
        parts: Parts::default(),
        revision: book.next_revision(),
        created_at: book.now,
        effective_at: None,
        done_at: None,
    }
}

fn check((administrator, facts): (SubjectId, &Facts), order: &Order, account: &Account) -> Result<(), Error> {
    if administrator == account.id {
        return Err(Error::Administrator);
    }
    match (account.state, &order.transfer) {
        (SubjectState::Left, _) | (SubjectState::Invited, Some(_)) => return Err(Error::UserState),
        (SubjectState::Invited | SubjectState::Active | SubjectState::Suspended, _) => (),
    }
    match order.successor {
        Successor::DepartmentHead => Ok(()),
        Successor::User(successor) => {
            let subject = facts.subject(successor).ok_or(Refusal::UnknownSubject(successor))?;
            if subject.state != SubjectState::Active || successor == account.id {
                return Err(Error::SuccessorInactive { successor });
            }
            Ok(())
        }
        Successor::HeadOf(department) | Successor::RoundRobin(department) => {
            facts.department(department).ok_or(Refusal::UnknownDepartment(department))?;
            Ok(())
        }
    }
}

/// Refuses an order that makes its author the owner of what the author could not have transferred: to own is a right.
/// Without a rule the work goes to the head of its department, whoever orders it.
fn refuse_taking(
    snapshot: &Snapshot,
    who: &Principal,
    (order, account): (&Order, &Account),
    now: Timestamp,
) -> Result<(), Error> {
    let author = who.subject();
    let works_in = |id| snapshot.subject(author).is_some_and(|it| it.subject.department == Some(id));
    let takes = match order.successor {
        Successor::DepartmentHead => false,
        Successor::User(successor) => successor == author,
        Successor::HeadOf(department) => snapshot.head(department) == Some(author),
        Successor::RoundRobin(department) => works_in(department),
    };
    // A customer of the leaver in any stage.
    let may = |stage: &str| {
        let row = account.row(who.tenant()).with_stage(Some(stage.into()));
        snapshot.decide(author, Action::CustomerTransfer, &row, now).allowed
    };
    if !takes || STAGES.into_iter().any(may) {
        return Ok(());
    }
    let (ids, fields) = (vec![account.id.uuid()], vec![Action::CustomerTransfer.name().to_owned()]);
    Err(Error::OwnRights(Tried { resource: "user", ids, fields }))
}

/// Plants the saga of a program that ends with this revision, and takes its rights: what it owned goes to the heads of
/// the departments.
pub async fn leave(
    app: &App,
    tx: &Tx,
    book: &mut Book,
    account: &mut Account,
    (ordered_by, reason): (SubjectId, String),
) -> Result<(), Error> {
    let revoked_grants = take_rights(tx, book, account).await?;
    let ended = sessions::end_all(tx, book, account.id, None).await?;
    let revoked_sessions = i32::try_from(ended).unwrap_or(i32::MAX);
    let (kind, successor) = (Kind::Leave, Successor::DepartmentHead);
    let external_rows = external_rows::owned(tx, book.tenant.id, account.id, None).await?;
    let plan = Plan { kind, successor, ordered_by, reason, revoked_grants, revoked_sessions, external_rows };
    Ok(hand_overs::add(tx, book.tenant.id, &planted(app, book, account.id, plan)).await?)
}

/// Everything that the user holds beside the positions dies at once.
async fn take_rights(tx: &Tx, book: &mut Book, account: &mut Account) -> Result<Vec<GrantId>, Error> {
    let held: Vec<GrantId> = book.facts().grants_of(account.id).map(|grant| grant.id).collect();
    for grant in &held {
        grants::remove(tx, book, *grant).await?;
    }
    let overrides = std::mem::take(&mut account.added_roles).into_iter();
    for role in overrides.chain(std::mem::take(&mut account.removed_roles)) {
        book.add(Change::Removed(Removed::RoleAssignment { subject: account.id, role }))?;
    }
    Ok(held)
}

/// Puts the user where the order says: out of the company, or into the new department.
async fn place(tx: &Tx, book: &mut Book, kept: &mut Kept, order: &Order) -> Result<(), Error> {
    let account = &mut kept.account;
    account.further.clear();
    match &order.transfer {
        None => {
            account.state = SubjectState::Left;
            account.positions.clear();
            accounts::drop_links(tx, book.tenant.id, account.id).await?;
            kept.secret_hash = None;
        }
        Some((to, positions)) => {
            account.department = *to;
            account.positions.clone_from(positions);
            // The former manager led the former work.
            account.manager = None;
        }
    }
    users::save(tx, book, kept).await
}

/// Counts what an order would move and end, and changes nothing.
pub async fn preview(app: &App, who: &Principal, order: Order) -> Result<Preview, Error> {
    let permit = ordered(app, who, &order).await?;
    let (tenant, user) = (who.tenant(), order.user);
    let plan = app
        .store
        .read(&permit, async |tx| {
            let kept = accounts::by_id(tx, tenant, order.user).await?.ok_or(Error::NoSuchUser)?;
            let (revision, facts) = app.ledgers.read(tx, tenant).await?;
            let now = store::now(tx).await?;
            let company = organisation::tenant_by_id(tx, tenant).await?.ok_or(Error::NoSuchTenant)?;
            check((company.administrator, &facts), &order, &kept.account)?;
            refuse_taking(&Snapshot::compile(&facts, revision), who, (&order, &kept.account), now)?;
            let live = session_rows::live(tx, tenant, order.user, now, sessions::SESSIONS_MAX).await?;
            let kind = kind(&order, &kept.account);
            Ok(Plan {
                external_rows: external_rows::owned(tx, tenant, order.user, kind.department_left()).await?,
                kind,
                successor: order.successor,
                ordered_by: who.subject(),
                reason: order.reason,
                revoked_grants: facts.grants_of(order.user).map(|grant| grant.id).collect(),
                revoked_sessions: i32::try_from(live.len()).unwrap_or(i32::MAX),
            })
        })
        .await?;
    let from = plan.kind.department_left();
    let request = pb::PreviewHandOverRequest {
        tenant_id: tenant.to_string(),
        user_id: user.to_string(),
        from_department_id: from.map(|it| it.to_string()).unwrap_or_default(),
    };
    let mut customer = CustomerHandOverClient::new(app.peers.channel("customer"));
    let mut followup = TaskHandOverClient::new(app.peers.channel("followup"));
    let (customers, tasks) =
        tokio::join!(customer.preview_customer_hand_over(request.clone()), followup.preview_task_hand_over(request));
    let counted = |remaining| Progress { remaining, ..Progress::default() };
    let customers = counted(status::answer(customers)?.count);
    let tasks = counted(status::answer(tasks)?.count);
    Ok(Preview { plan, parts: Parts { customers, tasks } })
}

/// One round of the saga: every order whose revocation has become effective starts its parts. Answers whether there
/// was anything to do.
pub async fn drive(app: &App) -> Result<bool, Error> {
    let worker = &app.workers.hand_over;
    let revoked = app.store.read(worker, async |tx| Ok(hand_overs::revoked(tx, ROUND_MAX).await?)).await?;
    for (tenant, hand_over) in &revoked {
        leases::effective(app, *tenant, hand_over.revision).await?;
        app.store
            .write(worker, async |tx| {
                let Some(mut it) = hand_overs::lock(tx, *tenant, hand_over.id).await? else { return Ok(()) };
                // Another replica may have been first.
                if it.effective(store::now(tx).await?) {
                    hand_overs::save(tx, *tenant, &it).await?;
                    tx.emit(started(app, *tenant, &it)?);
                }
                Ok(())
            })
            .await?;
    }
    Ok(!revoked.is_empty())
}

/// Whether every order has started its parts.
pub async fn is_settled(app: &App) -> bool {
    let worker = &app.workers.hand_over;
    let revoked = app.store.read(worker, async |tx| Ok(hand_overs::revoked(tx, 1).await?)).await;
    revoked.is_ok_and(|revoked| revoked.is_empty())
}

fn started(app: &App, tenant: TenantId, it: &HandOver) -> Result<Draft, Error> {
    let event = pb::HandOverStarted {
        hand_over_id: it.id.to_string(),
        user_id: it.user.to_string(),
        successor: successor(it.plan.successor),
        ordered_by_id: it.plan.ordered_by.to_string(),
        revision_token: app.token(tenant, it.revision)?,
        effective_time_micros: it.effective_at.map_or(0, Timestamp::micros),
        from_department_id: it.plan.kind.department_left().map(|from| from.to_string()).unwrap_or_default(),
    };
    Ok(Draft::new(tenant, it.id.uuid(), 1, &event).keyed(it.user.uuid()))
}

/// A rule as it is told; without one the head of the department takes over.
pub fn successor(it: Successor) -> Option<pb::SuccessorRule> {
    use pb::successor_rule::Rule;
    let rule = match it {
        Successor::DepartmentHead => return None,
        Successor::User(user) => Rule::UserId(user.to_string()),
        Successor::HeadOf(department) => Rule::DepartmentHeadId(department.to_string()),
        Successor::RoundRobin(department) => Rule::RoundRobinDepartmentId(department.to_string()),
    };
    Some(pb::SuccessorRule { rule: Some(rule) })
}

/// Takes the report of a part; answers whether that part has ended.
pub async fn report(app: &App, tenant: TenantId, id: JobId, report: Report) -> Result<bool, Error> {
    app.store
        .write(&app.workers.hand_over, async |tx| {
            let mut it = hand_overs::lock(tx, tenant, id).await?.ok_or(Error::NoSuchHandOver)?;
            it.report(&report, store::now(tx).await?);
            hand_overs::save(tx, tenant, &it).await?;
            Ok(it.parts.get(report.part).done)
        })
        .await
}

pub async fn get(app: &App, who: &Principal, id: JobId) -> Result<Revised<HandOver>, Error> {
    let scope = who.scope(Action::HandOverManage)?;
    let tenant = who.tenant();
    let found = app
        .store
        .read(&scope, async |tx| {
            let Some(it) = hand_overs::by_id(tx, tenant, id).await? else { return Ok(None) };
            Ok(accounts::by_id(tx, tenant, it.user).await?.map(|kept| (it, kept.account)))
        })
        .await?;
    let seen = found.filter(|(_, account)| scope.levels(&account.row(tenant)).is_some());
    let (value, _) = seen.ok_or(Error::NoSuchHandOver)?;
    let (revision, token) = (value.revision, app.token(tenant, value.revision)?);
    Ok(Revised { value, revision, token })
}

pub async fn list(app: &App, who: &Principal, before: Option<JobId>, size: u32) -> Result<Seen<HandOver>, Error> {
    let scope = who.scope(Action::HandOverManage)?;
    app.store.read(&scope, async |tx| page(tx, &scope, before, size).await).await
}

async fn page(tx: &Tx, scope: &Scope, before: Option<JobId>, size: u32) -> Result<Seen<HandOver>, Error> {
    let tenant = scope.tenant();
    let mut filling = Filling::new(size, before.map(JobId::uuid));
    while let Some(before) = filling.wants() {
        let batch = hand_overs::page(tx, tenant, before.map(JobId::from_uuid), BATCH).await?;
        let users: Vec<SubjectId> = batch.iter().map(|it| it.user).collect();
        let users = accounts::by_ids(tx, tenant, &users).await?;
        let users: HashMap<SubjectId, Account> = users.into_iter().map(|it| (it.id, it)).collect();
        let sees = |account: &Account| scope.levels(&account.row(tenant)).is_some();
        filling.take(batch, |it| it.id.uuid(), |it| users.get(&it.user).is_some_and(sees));
    }
    Ok(filling.page(|it| it.id.uuid()))
}
