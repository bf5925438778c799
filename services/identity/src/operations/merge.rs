//! Two departments become one: everything that hangs at the first goes to the second in one revision.
//!
//! Rows of the other services keep the first one's id, and so do roles, grants and guards that name it: permission reads
//! it as another name of the second, so nothing outside the tree has to be written again.

use revisit_bootstrap::{auth::Principal, database::Tx};
use revisit_core::{
    Failure,
    id::{DepartmentId, SubjectId},
};
use revisit_permission::{Action, Change, Refusal};

use super::{
    book::{Book, Cause, Revised},
    departments, users,
};
use crate::{
    App,
    domain::{
        Department, Error,
        directory::{check_etag, department_row},
    },
    store::{accounts, organisation},
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
    let ends = departments::get(app, who, merger.ends).await?;
    departments::get(app, who, merger.into).await?;
    if merger.ends == merger.into {
        return Err(Error::Refused { field: "into_department_id", rule: "must be another department" });
    }
    // As with a move: what leaves one branch must be wanted in the other.
    let places = [Some(merger.ends), Some(merger.into), ends.parent];
    let rows: Vec<_> = places.into_iter().flatten().map(|id| department_row(tenant, id)).collect();
    let permit = who.caller.decide_all(&who.leases, Action::DepartmentManage, &rows).map_err(Failure::from)?;
    let cause = Cause::new(who, Action::DepartmentManage.name(), reason);
    app.revise(&permit, tenant, cause, async |tx, book| {
        let ends = organisation::department_by_id(tx, tenant, merger.ends).await?.ok_or(Error::NoSuchDepartment)?;
        check_etag(&etag, ends.version)?;
        if ends.merged_into.is_some() {
            return Err(Refusal::DepartmentMerged(merger.ends).into());
        }
        if ends.parent.is_none() {
            return Err(Error::RootDepartment);
        }
        move_departments(tx, book, merger).await?;
        // Before their holders: a position must hold in a department of whoever has it.
        move_positions(tx, book, merger).await?;
        move_people(tx, book, merger).await?;
        close(tx, book, ends, merger.into).await?;
        organisation::department_by_id(tx, tenant, merger.into).await?.ok_or(Error::NoSuchDepartment)
    })
    .await
}

/// The ended department stays as a name under the living one.
async fn close(tx: &Tx, book: &mut Book, ends: Department, into: DepartmentId) -> Result<(), Error> {
    let mut closed = Department {
        parent: Some(into),
        head: None,
        disabled: true,
        merged_into: Some(into),
        modules_off: Vec::new(),
        ..ends
    };
    departments::save(tx, book, &mut closed).await
}

/// What lies below goes along, and so do the names of what was merged into it before.
async fn move_departments(tx: &Tx, book: &mut Book, merger: Merger) -> Result<(), Error> {
    let below = organisation::departments_below(tx, book.tenant.id, merger.ends, MOVED_MAX + 1).await?;
    bounded(below.len())?;
    for mut it in below {
        it.parent = Some(merger.into);
        it.merged_into = it.merged_into.map(|_| merger.into);
        departments::save(tx, book, &mut it).await?;
    }
    Ok(())
}

async fn move_positions(tx: &Tx, book: &mut Book, merger: Merger) -> Result<(), Error> {
    let tenant = book.tenant.id;
    let declared = organisation::positions_at(tx, tenant, merger.ends, MOVED_MAX + 1).await?;
    bounded(declared.len())?;
    for mut it in declared {
        it.department = merger.into;
        it.version += 1;
        book.add(Change::Position(it.facts()))?;
        organisation::save_position(tx, tenant, &it).await?;
    }
    Ok(())
}

async fn move_people(tx: &Tx, book: &mut Book, merger: Merger) -> Result<(), Error> {
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
        users::save(tx, book, &mut kept).await?;
    }
    Ok(())
}

fn bounded(count: usize) -> Result<(), Error> {
    if u64::try_from(count).is_ok_and(|count| count <= MOVED_MAX) { Ok(()) } else { Err(Error::TooMany) }
}
