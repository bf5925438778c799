//! What a question means: the action that a name stands for in this company, and the row, as it was sent or as it is kept.

use std::collections::{BTreeMap, HashMap};

use revisit_core::Failure;
use revisit_permission::{Action, Attribute, ExternalType, Keeping, Name, Row, Snapshot};
use uuid::Uuid;

use super::asking::Hearing;
use crate::{App, domain::Error, store::external_rows};

/// What a question names.
#[derive(Clone, Debug)]
pub struct Named {
    /// An action of the registry or of a registered type; nothing when it is known that there is none of this name.
    pub action: Option<String>,
    /// The row, with what was sent of it. Its tenant is put in where it is decided.
    pub row: Row,
    /// Where in the request the row was sent: what is wrong with it is told there.
    pub at: &'static str,
}

/// What it means.
#[derive(Clone, Debug)]
pub struct Meant {
    /// Nothing for a name that nobody knows, or that is not of the row's type.
    pub action: Option<Action>,
    pub row: Row,
    pub there: There,
}

impl Meant {
    /// A row of which nothing is known but its type and id. Whoever must not hear that a row is kept hears of it what
    /// everybody hears of one that is not.
    pub fn unseen(self) -> Self {
        let row = Row::new(self.row.tenant, self.row.id).with_external(self.row.external);
        Self { row, there: There::No, ..self }
    }
}

/// Whether there is such a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum There {
    /// The asker says so, and what it looks like.
    Said,
    /// It is kept.
    Kept,
    /// Identity keeps the rows of its type, and none with this id.
    No,
}

/// Rows that identity keeps, by type and id.
#[derive(Debug, Default)]
pub struct KeptRows(HashMap<(Name, Uuid), Row>);

impl KeptRows {
    /// Reads those that questions name, all of a type at once, and waits until decisions are new enough for them.
    pub async fn read<'q>(
        app: &App,
        hearing: &mut Hearing<'_>,
        questions: impl Iterator<Item = &'q Named>,
    ) -> Result<Self, Error> {
        let facts = hearing.reading.snapshot.facts();
        let mut wanted: BTreeMap<Name, Vec<Uuid>> = BTreeMap::new();
        for question in questions {
            let name = type_of(&hearing.reading.snapshot, question);
            let kept = name.filter(|name| facts.external_type(name).is_some_and(|it| it.keeping == Keeping::Kept));
            if let Some(name) = kept {
                wanted.entry(name).or_default().push(question.row.id);
            }
        }
        let mut rows = HashMap::new();
        if wanted.is_empty() {
            return Ok(Self(rows));
        }
        let tenant = hearing.tenant;
        hearing
            .read(app, async |tx| {
                for (name, ids) in &wanted {
                    let found = external_rows::by_ids(tx, tenant, name, ids).await?;
                    rows.extend(found.into_iter().map(|it| ((name.clone(), it.row.id), it.row)));
                }
                Ok::<_, Error>(())
            })
            .await?;
        let revisions: Vec<i64> = rows.values().map(|row: &Row| row.auth_rev).collect();
        hearing.reach(app, &revisions).await?;
        hearing.settle(app)?;
        Ok(Self(rows))
    }
}

/// What a question means. An attribute that would not be looked at is refused: it might be one that a guard is about.
pub fn mean(snapshot: &Snapshot, question: &Named, kept: &KeptRows) -> Result<Meant, Error> {
    let action = action_of(snapshot, question);
    let sent = Row { tenant: snapshot.tenant, ..question.row.clone() };
    let name = type_of(snapshot, question);
    let row = Row { external: name.clone(), ..sent };
    let registered = name.as_ref().and_then(|name| snapshot.facts().external_type(name));
    let Some((name, registered)) = name.zip(registered) else { return Ok(Meant { action, row, there: There::Said }) };
    if registered.keeping == Keeping::Sent {
        refuse_others(registered, &row, question.at)?;
        return Ok(Meant { action, row, there: There::Said });
    }
    if let Some((field, _)) = attributes(&row).next() {
        return Err(refused(question.at, field, "identity keeps the rows of this type: name the row by its id alone"));
    }
    match kept.0.get(&(name, row.id)) {
        Some(kept) => Ok(Meant { action, row: kept.clone(), there: There::Kept }),
        None => Ok(Meant { action, row, there: There::No }.unseen()),
    }
}

/// What a question about a row of the past means: what it looked like then, the asker has to know.
pub fn mean_then(snapshot: &Snapshot, question: &Named) -> Meant {
    let external = type_of(snapshot, question);
    let row = Row { tenant: snapshot.tenant, external, ..question.row.clone() };
    Meant { action: action_of(snapshot, question), row, there: There::Said }
}

fn action_of(snapshot: &Snapshot, question: &Named) -> Option<Action> {
    let named = snapshot.facts().action_named(question.action.as_deref()?, question.row.external.as_ref());
    named.map(|(action, _)| action)
}

/// The type that was sent, or that the name of the action begins with.
fn type_of(snapshot: &Snapshot, question: &Named) -> Option<Name> {
    let sent = &question.row.external;
    let named = || snapshot.facts().action_named(question.action.as_deref()?, None)?.1;
    sent.clone().or_else(named)
}

/// Refuses attributes that rows of a type do not have; `at` is where in the request the row was sent.
pub fn refuse_others(registered: &ExternalType, row: &Row, at: &str) -> Result<(), Error> {
    match attributes(row).find(|(_, attribute)| !registered.has(*attribute)) {
        Some((field, _)) => Err(refused(at, field, "rows of this type have no such attribute")),
        None => Ok(()),
    }
}

/// A violation in a row that was sent.
pub fn refused(at: &str, field: &str, rule: &str) -> Error {
    Failure::invalid_field(format!("{at}.{field}"), rule).into()
}

/// The attributes that a row has, each with where it was sent.
fn attributes(row: &Row) -> impl Iterator<Item = (&'static str, Attribute)> {
    [
        (row.owner.is_some(), "owner_id", Attribute::Owner),
        (row.department.is_some(), "department_id", Attribute::Department),
        (!row.teams.is_empty(), "team_ids", Attribute::Teams),
        (row.stage.is_some(), "stage", Attribute::Stage),
        (row.grade.is_some(), "grade", Attribute::Grade),
        (row.flags.vip, "vip", Attribute::Flags),
        (row.flags.pooled, "pooled", Attribute::Flags),
        (!row.task_holders.is_empty(), "task_holders", Attribute::TaskHolders),
    ]
    .into_iter()
    .filter(|(has, ..)| *has)
    .map(|(_, field, attribute)| (field, attribute))
}
