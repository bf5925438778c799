//! Switching modules: what a company or a department does not use is denied to everybody there.
//!
//! A switch needs no second person, even when its author regains something by it: it gives back to all what was granted
//! before, and takes from all alike.

use revisit_bootstrap::{auth::Principal, database::Tx};
use revisit_core::id::DepartmentId;
use revisit_permission::{Action, Change, Decided, Facts, Module, Refusal, Row};

use super::{
    book::{Book, Cause, Revised},
    departments,
};
use crate::{
    App,
    domain::{Department, Error},
    store::organisation,
};

/// Whether a module shall be on or off.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Turn {
    On,
    Off,
}

/// A module as it stands for the company or a department.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Switch {
    pub module: Module,
    pub department: Option<DepartmentId>,
    /// Right there.
    pub off: bool,
    /// Right there, above, or for the company.
    pub off_in_effect: bool,
}

impl Switch {
    fn of(facts: &Facts, module: Module, department: Option<DepartmentId>) -> Self {
        let off_at = |id: DepartmentId| facts.department(id).is_some_and(|it| it.modules_off.contains(&module));
        let company = facts.settings().modules_off.contains(&module);
        let off = department.map_or(company, off_at);
        let upwards = std::iter::successors(department, |id| facts.department(*id)?.parent);
        let off_in_effect = company || upwards.take(DEPTH_MAX).any(off_at);
        Self { module, department, off, off_in_effect }
    }
}

/// Departments above one another that are looked at. The tree has no cycles, so this is never reached.
const DEPTH_MAX: usize = 10_000;

pub async fn list(app: &App, who: &Principal, department: Option<DepartmentId>) -> Result<Vec<Switch>, Error> {
    if let Some(department) = department {
        departments::get(app, who, department).await?;
    }
    let scope = who.scope(Action::DepartmentView)?;
    app.store
        .read(&scope, async |tx| {
            let (_, facts) = app.ledgers.read(tx, who.tenant()).await?;
            Ok(Module::ALL.iter().map(|module| Switch::of(&facts, *module, department)).collect())
        })
        .await
}

pub async fn switch(
    app: &App,
    who: &Principal,
    (module, department): (Module, Option<DepartmentId>),
    turn: Turn,
    reason: String,
) -> Result<Revised<Switch>, Error> {
    let tenant = who.tenant();
    let permit = switching(who)?;
    let cause = Cause::new(who, Action::TenantManage.name(), reason);
    app.revise(&permit, tenant, cause, async |tx, book| {
        if let Some(it) = stage(tx, book, (module, department), turn).await? {
            organisation::save_department(tx, tenant, &it).await?;
        }
        Ok(Switch::of(book.facts(), module, department))
    })
    .await
}

/// The right to switch, whatever it is.
pub fn switching(who: &Principal) -> Result<Decided, Error> {
    Ok(who.decide(Action::TenantManage, &Row::of_tenant(who.tenant()))?)
}

/// Puts a switch into a revision; answers the department whose row changes with it.
pub async fn stage(
    tx: &Tx,
    book: &mut Book,
    (module, department): (Module, Option<DepartmentId>),
    turn: Turn,
) -> Result<Option<Department>, Error> {
    let Some(id) = department else {
        let mut settings = book.facts().settings().clone();
        turned(&mut settings.modules_off, module, turn);
        book.add(Change::Tenant(settings))?;
        return Ok(None);
    };
    let found = organisation::department_by_id(tx, book.tenant.id, id).await?;
    let mut it = found.ok_or(Error::NoSuchDepartment)?;
    if it.merged_into.is_some() {
        return Err(Refusal::DepartmentMerged(id).into());
    }
    turned(&mut it.modules_off, module, turn);
    Ok(departments::put(book, &mut it)?.then_some(it))
}

/// The list stays in one order, so that equal sets are equal.
fn turned(off: &mut Vec<Module>, module: Module, turn: Turn) {
    off.retain(|it| *it != module);
    if turn == Turn::Off {
        off.push(module);
    }
    off.sort_unstable_by_key(|it| it.name());
}
