//! What a proposed change of rights would give and take. It is staged as its write stages it and never saved.

use std::collections::BTreeSet;

use revisit_bootstrap::{auth::Principal, database::Tx};
use revisit_core::{
    Failure, Kind, Timestamp,
    id::{DepartmentId, GrantId, GuardId, PositionId, RoleId, SubjectId},
};
use revisit_permission::{
    Action, Asked, Compared, Comparison, GuardChange, Levels, Module, Name, Permit, Predicate, RightChange, Row, Scope,
    Snapshot,
};
use uuid::Uuid;

use super::{
    asking::Explains,
    book::{Book, Rehearsed},
    departments,
    external_types::{self, NewType, TypeEdit},
    grants::{self, NewGrant, NewGuard},
    merge::{self, Merger},
    modules,
    roles::{self, RoleEdit, Source},
    users::{self, Turn, UserEdit},
};
use crate::{App, domain::Error};

/// Subjects of one page at the most.
pub const SUBJECTS_MAX: u32 = 100;
/// Changed rows, and ids in changed rights and guards, after which a page ends: what one subject adds is bounded by the
/// request and by what it holds.
const ROWS_TOLD_MAX: usize = 8_000;
const IDS_TOLD_MAX: usize = 20_000;
/// Subjects that are looked at in one go; then others have their turn.
const SLICE: usize = 16;

/// A proposed change.
pub enum Proposal {
    Grant(NewGrant),
    Revocation(GrantId),
    Role(RoleId, RoleEdit),
    /// Without a source the override ends.
    Override(SubjectId, RoleId, Option<Source>),
    User(SubjectId, UserEdit),
    /// With the version that the caller has seen.
    Turn(SubjectId, Turn, String),
    Position(PositionId, departments::PositionEdit),
    Department(DepartmentId, departments::DepartmentEdit),
    /// With the version that the caller has seen.
    Merger(Merger, String),
    Switch((Module, Option<DepartmentId>), modules::Turn),
    Guard(NewGuard),
    GuardRemoval(GuardId),
    Type(NewType),
    TypeChange(Name, TypeEdit),
    TypeRemoval(Name, TypeEdit),
}

/// A question about one.
pub struct Preview {
    pub proposal: Proposal,
    /// Where in the request it is.
    pub field: &'static str,
    pub rows: Vec<Row>,
    /// What is decided about the rows.
    pub actions: Vec<Action>,
    pub after: Option<SubjectId>,
    pub size: u32,
}

/// A row that would be answered otherwise; nothing is a denial.
pub struct RowChange {
    pub row: Uuid,
    pub subject: SubjectId,
    pub action: Action,
    pub before: Option<Levels>,
    pub after: Option<Levels>,
}

/// One page of what would change.
#[derive(Default)]
pub struct Previewed {
    pub rights: Vec<RightChange>,
    pub guards: Vec<GuardChange>,
    pub rows: Vec<RowChange>,
    /// With what the write would be refused.
    pub refusal: Option<Failure>,
    pub next: Option<SubjectId>,
    pub revision: i64,
}

pub async fn preview(app: &App, who: &Principal, input: Preview) -> Result<Previewed, Error> {
    let Preview { proposal, field, rows, actions, after, size } = input;
    let scope = Box::new(who.scope(Action::AccessExplain)?);
    // What a write would refuse of its own fields lies deeper in this request.
    let rehearsed = rehearse(app, who, &scope, proposal).await;
    let (rehearsed, now) = rehearsed.map_err(|error| Failure::from(error).within(field))?;
    let explains = Explains::Within(scope.clone());
    let policies_max = app.config.preview_policies_max;
    let question = Question { comparison: &rehearsed.comparison, rows: &rows, actions: &actions, policies_max, now };
    let mut told = Previewed {
        refusal: rehearsed.refusal,
        revision: rehearsed.comparison.before.revision,
        ..question.page(&explains, after, usize::try_from(size).unwrap_or(usize::MAX)).await
    };
    told.rows.sort_by_key(|change| (change.subject, change.row, change.action));
    scope.confirm().map_err(Failure::from)?;
    Ok(told)
}

/// Stages the change; answers what it would do, and when that was.
async fn rehearse(
    app: &App,
    who: &Principal,
    scope: &Scope,
    proposal: Proposal,
) -> Result<(Rehearsed, Timestamp), Error> {
    let explains = Explains::Within(Box::new(scope.clone()));
    require_explained(who, &explains, &proposal)?;
    let unmet = unmet(app, who, &proposal).await?;
    app.store
        .read(scope, async |tx| {
            let mut book = Book::rehearse(app, tx, who.tenant()).await?;
            book.require_right(unmet.map_or(Ok(()), Err))?;
            let now = book.now;
            stage(app, tx, &mut book, (who, &explains), proposal).await?;
            Ok((book.rehearsed(who.subject())?, now))
        })
        .await
}

/// Nobody previews what they may not explain: the subject of the change, or the whole company.
fn require_explained(who: &Principal, explains: &Explains, proposal: &Proposal) -> Result<(), Error> {
    let subject = match proposal {
        Proposal::Grant(input) => input.holder,
        Proposal::Override(user, ..) | Proposal::User(user, _) | Proposal::Turn(user, ..) => *user,
        // Whose it is stands in its row; see `stage`.
        Proposal::Revocation(_) => return Ok(()),
        Proposal::Role(..)
        | Proposal::Position(..)
        | Proposal::Department(..)
        | Proposal::Merger(..)
        | Proposal::Switch(..)
        | Proposal::Guard(_)
        | Proposal::GuardRemoval(_)
        | Proposal::Type(_)
        | Proposal::TypeChange(..)
        | Proposal::TypeRemoval(..) => {
            who.decide(Action::AccessExplain, &Row::of_tenant(who.tenant()))?;
            return Ok(());
        }
    };
    let reading = who.leases.read(who.tenant()).map_err(|_| grants::lease_expired())?;
    let known = reading.snapshot.subject(subject).is_some_and(|facts| explains.reaches(facts));
    if known { Ok(()) } else { Err(Error::NoSuchUser) }
}

/// With what the caller would be refused before the write is begun; a fault is none.
async fn unmet(app: &App, who: &Principal, proposal: &Proposal) -> Result<Option<Error>, Error> {
    let permit = match proposal {
        Proposal::Grant(input) => grants::giving(who, input.holder),
        Proposal::Revocation(id) => grants::revocable(app, who, *id).await,
        Proposal::Role(..) => roles::may(who, Action::RoleManage),
        Proposal::Override(user, _, wanted) => roles::overriding(app, who, *user, *wanted).await,
        Proposal::User(user, edit) => users::changing(app, who, *user, edit).await,
        Proposal::Turn(user, ..) => users::stoppable(app, who, *user).await.map(|(permit, _)| permit),
        Proposal::Position(id, _) => departments::changing_position(app, who, *id).await,
        Proposal::Department(id, edit) => departments::changing(app, who, *id, edit.parent).await,
        Proposal::Merger(merger, _) => merge::merging(app, who, *merger).await,
        Proposal::Switch(..) => modules::switching(who),
        Proposal::Guard(_) | Proposal::GuardRemoval(_) => grants::over_guards(who, Action::GuardManage),
        Proposal::Type(_) | Proposal::TypeChange(..) | Proposal::TypeRemoval(..) => {
            roles::may(who, Action::ExternalTypeManage)
        }
    };
    let Err(refusal) = permit else { return Ok(None) };
    let failure = Failure::from(refusal);
    let lacks = matches!(failure.kind, Kind::Denied | Kind::NotFound);
    if lacks { Ok(Some(failure.into())) } else { Err(failure.into()) }
}

/// Puts the change into a revision that is not written.
async fn stage(
    app: &App,
    tx: &Tx,
    book: &mut Book,
    (who, explains): (&Principal, &Explains),
    proposal: Proposal,
) -> Result<(), Error> {
    match proposal {
        Proposal::Grant(input) => grants::stage((app, tx), who, book, input).await.map(drop),
        Proposal::Revocation(id) => {
            let held = grants::stage_removal(tx, book, id).await?;
            let holder = Snapshot::compile(book.facts(), book.tenant.revision);
            let known = holder.subject(held.grant.holder).is_some_and(|facts| explains.reaches(facts));
            if known { Ok(()) } else { Err(Error::NoSuchGrant) }
        }
        Proposal::Role(id, edit) => roles::stage(tx, book, who, (id, edit)).await.map(drop),
        Proposal::Override(user, role, wanted) => {
            roles::stage_override(tx, book, who, (user, role), wanted).await.map(drop)
        }
        Proposal::User(user, edit) => {
            // Whether an address is taken is for who may write it, and changes no right.
            let edit = UserEdit { email: None, phone: None, ..edit };
            users::stage_change(tx, book, who, (user, edit)).await.map(drop)
        }
        Proposal::Turn(user, turn, etag) => users::stage_turn(tx, book, (user, turn), &etag).await,
        Proposal::Position(id, edit) => departments::stage_position(tx, book, who, (id, edit)).await.map(drop),
        Proposal::Department(id, edit) => departments::stage(tx, book, id, edit).await,
        Proposal::Merger(merger, etag) => merge::stage(tx, book, merger, &etag).await.map(drop),
        Proposal::Switch(what, turn) => modules::stage(tx, book, what, turn).await.map(drop),
        Proposal::Guard(input) => grants::stage_guard(app, tx, book, input).await.map(drop),
        Proposal::GuardRemoval(id) => grants::stage_guard_removal(tx, book, id).await,
        Proposal::Type(input) => external_types::stage(book, input).map(drop),
        Proposal::TypeChange(name, edit) => external_types::stage_change(tx, book, &name, edit).await.map(drop),
        Proposal::TypeRemoval(name, edit) => external_types::stage_removal(tx, book, &name, &edit.etag).await,
    }
}

/// What is compared.
struct Question<'a> {
    comparison: &'a Comparison,
    rows: &'a [Row],
    actions: &'a [Action],
    /// Policies after which a page ends.
    policies_max: usize,
    now: Timestamp,
}

impl Question<'_> {
    /// The next subjects of whom something changes. The page also ends when enough was looked at: nothing may change of
    /// a hundred thousand of them, each with a policy for each type of rows.
    async fn page(&self, explains: &Explains, after: Option<SubjectId>, size: usize) -> Previewed {
        let mut told = Previewed::default();
        let (mut last, mut subjects, mut ids, mut policies) = (None, 0, 0, 0);
        let all = self.comparison.after.subjects();
        let from = after.map_or(0, |after| all.partition_point(|subject| *subject <= after));
        for (place, subject) in all[from..].iter().enumerate() {
            if place % SLICE == SLICE - 1 {
                tokio::task::yield_now().await;
            }
            let facts = self.comparison.after.subject(*subject);
            if !facts.is_some_and(|facts| explains.reaches(facts)) {
                continue;
            }
            if policies > self.policies_max {
                told.next = last;
                break;
            }
            let compared = self.comparison.of(*subject);
            let (rights, guards, rows) = self.of(&compared);
            policies += compared.compiled();
            if rights.is_empty() && guards.is_empty() && rows.is_empty() {
                last = Some(*subject);
                continue;
            }
            // A full page, and somebody else of whom something changes.
            if subjects == size || ids > IDS_TOLD_MAX || told.rows.len() > ROWS_TOLD_MAX {
                told.next = last;
                break;
            }
            ids += rights.iter().map(|change| change.ids() + 1).sum::<usize>();
            ids += guards.iter().map(|change| change.ids() + 1).sum::<usize>();
            told.rights.extend(rights);
            told.guards.extend(guards);
            told.rows.extend(rows);
            (last, subjects) = (Some(*subject), subjects + 1);
        }
        told
    }

    /// What changes for one subject.
    fn of(&self, compared: &Compared<'_>) -> (Vec<RightChange>, Vec<GuardChange>, Vec<RowChange>) {
        let differing = compared.differing();
        if differing.is_empty() {
            return Default::default();
        }
        let (mut rights, mut guards) = compared.renamed(self.now);
        let mut rows = Vec::new();
        for action in differing.iter() {
            let (of_rights, of_guards) = compared.changes(action, self.now);
            rights.extend(of_rights);
            guards.extend(of_guards);
        }
        for action in self.actions.iter().copied().filter(|action| differing.contains(*action)) {
            for external in self.rows.iter().map(|row| row.external.as_ref()).collect::<BTreeSet<_>>() {
                let (before, after) = compared.predicates(Asked::on(action, external));
                let of_type = self.rows.iter().filter(|row| row.external.as_ref() == external);
                rows.extend(of_type.filter_map(|row| self.on((&before, &after), row)));
            }
        }
        (rights, guards, rows)
    }

    fn on(&self, (before, after): (&Predicate, &Predicate), row: &Row) -> Option<RowChange> {
        let row = Row { tenant: self.comparison.before.tenant, ..row.clone() };
        let levels = |predicate: &Predicate| predicate.check(&row, self.now);
        let (one, two) = (levels(before), levels(after));
        let (subject, action) = (after.subject(), after.action());
        (one != two).then_some(RowChange { row: row.id, subject, action, before: one, after: two })
    }
}
