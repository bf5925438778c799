//! Which rights given are rights to oneself: whoever drew an account's secret or password link can come in as it, and who
//! comes in as an account can give rights to the one who drew its secret.

use std::collections::{BTreeMap, BTreeSet};

use revisit_bootstrap::database::Tx;
use revisit_core::{
    Failure,
    id::{SubjectId, TenantId},
};
use revisit_permission::{Change, Facts, SubjectKind};

use crate::store::accounts;

type Drawers = BTreeMap<SubjectId, BTreeSet<SubjectId>>;

/// Of the accounts that a revision gives rights, those that are the actor's own by a secret or link that is in use.
pub async fn given(
    tx: &Tx,
    (tenant, facts): (TenantId, &Facts),
    actor: Option<SubjectId>,
    changes: &[(Option<Change>, &Change)],
) -> Result<BTreeSet<SubjectId>, Failure> {
    let before: Vec<Change> = changes.iter().filter_map(|(before, _)| before.clone()).collect();
    let holders: BTreeSet<_> =
        changes.iter().filter_map(|(_, change)| super::alerts::holder(change, &before)).collect();
    let Some(actor) = actor.filter(|_| !holders.is_empty()) else { return Ok(BTreeSet::new()) };
    let asked: Vec<SubjectId> = holders.iter().copied().chain([actor]).collect();
    let drawers = accounts::drawers(tx, tenant, &asked).await?;
    let is_program = facts.subject(actor).is_some_and(|it| it.kind == SubjectKind::ServiceAccount);
    Ok(holders.into_iter().filter(|holder| is_own((actor, is_program), *holder, &drawers)).collect())
}

/// A program acts for who knows its secret; a person who was invited acts for oneself.
fn is_own((actor, is_program): (SubjectId, bool), holder: SubjectId, drawers: &Drawers) -> bool {
    let of = |id: SubjectId| drawers.get(&id).into_iter().flatten();
    let drew_the_actors = || of(actor).any(|by| *by == holder);
    let behind = || of(actor).filter(|_| is_program).copied().chain([actor]);
    holder != actor && (drew_the_actors() || of(holder).any(|by| behind().any(|it| it == *by)))
}
