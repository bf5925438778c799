//! Two departments become one: everything that hangs at the first goes to the second in one revision.
//!
//! Rows of the other services keep the first one's id, and so do roles, grants and guards that name it: permission reads
//! it as another name of the second, so nothing outside the tree has to be written again.

use revisit_bootstrap::{auth::Principal, database::Tx};
use revisit_core::{
    Failure,
    id::{DepartmentId, SubjectId},
};
use revisit_permission::{Action, Change, Decided, Refusal};

use super::{
    book::{Book, Cause, Revised, require_decided},
    departments, users,
};
use crate::{
    App,
    domain::{
        Department, Error, Position,
        directory::{check_etag, department_row},
    },
    store::{
        accounts::{self, Kept},
        organisation,
    },
};

/// People, positions and departments that go in one revision, each. All are written under the company's lock.
const MOVED_MAX: u64 = 500;

/// Which department becomes part of which.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Merger {
    pub ends: DepartmentId,
    pub into: DepartmentId,
}

pub async fn merge(
    app: &App,
    who: &Principal,
    merger: Merger,
    (etag, reason): (String, String),
) -> Result<Revised<Department>, Error> {
    let tenant = who.tenant();
    let permit = merging(app, who, merger).await?;
    let cause = Cause::new(who, Action::DepartmentManage.name(), reason);
    app.revise(&permit, tenant, cause, async |tx, book| {
        let parent = book.facts().department(merger.ends).and_then(|ends| ends.parent);
        require_decided(&permit, parent.map(|parent| department_row(tenant, parent)))?;
        let merged = stage(tx, book, merger, &etag).await?;
        keep(tx, book, &merged).await?;
        organisation::department_by_id(tx, tenant, merger.into).await?.ok_or(Error::NoSuchDepartment)
    })
    .await
}

/// The right to merge. As with a move: what leaves one branch must be wanted in the other.
pub async fn merging(app: &App, who: &Principal, merger: Merger) -> Result<Decided, Error> {
    let tenant = who.tenant();
    let ends = departments::get(app, who, merger.ends).await?;
    departments::get(app, who, merger.into).await?;
    let places = [Some(merger.ends), Some(merger.into), ends.parent];
    let rows: Vec<_> = places.into_iter().flatten().map(|id| department_row(tenant, id)).collect();
    let permit = who.caller.decide_all(&who.leases, Action::DepartmentManage, &rows);
    Ok(permit.map_err(Failure::from)?)
}

/// What changes with a merger.
#[derive(Default)]
pub struct Merged {
    departments: Vec<Department>,
    positions: Vec<Position>,
    people: Vec<Kept>,
}

/// Puts a merger into a revision.
pub async fn stage(tx: &Tx, book: &mut Book, merger: Merger, etag: &str) -> Result<Merged, Error> {
    if merger.ends == merger.into {
        return Err(Error::Refused { field: "into_department_id", rule: "must be another department" });
    }
    let ends = organisation::department_by_id(tx, book.tenant.id, merger.ends).await?.ok_or(Error::NoSuchDepartment)?;
    check_etag(etag, ends.version)?;
    if ends.merged_into.is_some() {
        return Err(Refusal::DepartmentMerged(merger.ends).into());
    }
    if ends.parent.is_none() {
        return Err(Error::RootDepartment);
    }
    let mut merged = Merged::default();
    move_departments(tx, book, merger, &mut merged).await?;
    // Before their holders: a position must hold in a department of whoever has it.
    move_positions(tx, book, merger, &mut merged).await?;
    move_people(tx, book, merger, &mut merged).await?;
    close(book, ends, merger.into, &mut merged)?;
    Ok(merged)
}

/// The rows of a merger that is staged.
async fn keep(tx: &Tx, book: &Book, merged: &Merged) -> Result<(), Error> {
    for it in &merged.departments {
        organisation::save_department(tx, book.tenant.id, it).await?;
    }
    for it in &merged.positions {
        organisation::save_position(tx, book.tenant.id, it).await?;
    }
    for it in &merged.people {
        users::keep(tx, book, it).await?;
    }
    Ok(())
}

/// The ended department stays as a name under the living one.
fn close(book: &mut Book, ends: Department, into: DepartmentId, merged: &mut Merged) -> Result<(), Error> {
    let closed = Department {
        parent: Some(into),
        head: None,
        disabled: true,
        merged_into: Some(into),
        modules_off: Vec::new(),
        ..ends
    };
    merged.put(book, closed)
}

impl Merged {
    fn put(&mut self, book: &mut Book, mut it: Department) -> Result<(), Error> {
        if departments::put(book, &mut it)? {
            self.departments.push(it);
        }
        Ok(())
    }
}

/// What lies below goes along, and so do the names of what was merged into it before.
async fn move_departments(tx: &Tx, book: &mut Book, merger: Merger, merged: &mut Merged) -> Result<(), Error> {
    let below = organisation::departments_below(tx, book.tenant.id, merger.ends, MOVED_MAX + 1).await?;
    bounded(below.len())?;
    for it in below {
        let merged_into = it.merged_into.map(|_| merger.into);
        merged.put(book, Department { parent: Some(merger.into), merged_into, ..it })?;
    }
    Ok(())
}

async fn move_positions(tx: &Tx, book: &mut Book, merger: Merger, merged: &mut Merged) -> Result<(), Error> {
    let declared = organisation::positions_at(tx, book.tenant.id, merger.ends, MOVED_MAX + 1).await?;
    bounded(declared.len())?;
    for mut it in declared {
        it.department = merger.into;
        it.version += 1;
        book.add(Change::Position(it.facts()))?;
        merged.positions.push(it);
    }
    Ok(())
}

async fn move_people(tx: &Tx, book: &mut Book, merger: Merger, merged: &mut Merged) -> Result<(), Error> {
    let here = |id: &SubjectId| {
        book.facts().subject(*id).is_some_and(|subject| subject.departments().any(|it| it == merger.ends))
    };
    let people: Vec<_> = book.snapshot().subjects().into_iter().filter(here).collect();
    bounded(people.len())?;
    for id in people {
        let mut kept = accounts::by_id(tx, book.tenant.id, id).await?.ok_or(Error::NoSuchUser)?;
        let account = &mut kept.account;
        // The primary department first, as the model has them; who was in both is in one now.
        let mut departments = Vec::new();
        for id in std::iter::once(account.department).chain(account.further.iter().copied()) {
            let living = if id == merger.ends { merger.into } else { id };
            if !departments.contains(&living) {
                departments.push(living);
            }
        }
        account.further = departments.split_off(1);
        account.department = departments.first().copied().unwrap_or(merger.into);
        users::stage(book, &mut kept)?;
        merged.people.push(kept);
    }
    Ok(())
}

fn bounded(count: usize) -> Result<(), Error> {
    if u64::try_from(count).is_ok_and(|count| count <= MOVED_MAX) { Ok(()) } else { Err(Error::TooMany) }
}
