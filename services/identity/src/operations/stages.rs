//! Which stages a rule may name: those that ship, which shipped roles name, and those that the company has declared. A
//! misspelt one would give or bar nothing, and nobody would notice.

use revisit_bootstrap::database::Tx;
use revisit_core::{Failure, id::TenantId};
use revisit_event::{Envelope, EnvelopeExt};
use revisit_permission::{ActionSet, NameSet, Resource, STAGES, Template};
use revisit_proto::customer::v1::StagesChanged;

use crate::{domain::Error, store::stages};

/// Learns from customer which stages a company has. The consumer's inbox makes a repeat harmless.
pub async fn learn(tx: &Tx, event: &Envelope) -> Result<(), Failure> {
    let Some(told) = event.read::<StagesChanged>()? else { return Ok(()) };
    stages::keep(tx, event.tenant()?, &told.names, (event.stream()?.incarnation, told.version)).await
}

/// Refuses names of stages that no customer can be in. Rows of other systems have stages of their own.
pub async fn require_known(
    tx: &Tx,
    tenant: TenantId,
    field: &str,
    (actions, named): (ActionSet, Option<&NameSet>),
) -> Result<(), Error> {
    let Some(named) = named.filter(|_| actions.resource() != Some(Resource::External)) else { return Ok(()) };
    let declared = stages::names(tx, tenant).await?;
    let known = |name: &str| STAGES.contains(&name) || declared.contains(name);
    if named.iter().all(|name| known(name.as_str())) {
        return Ok(());
    }
    Err(Error::Broken { field: field.to_owned(), rule: "names a stage that the company does not have" })
}

/// The same for what a role is made of.
pub async fn require_known_in(tx: &Tx, tenant: TenantId, field: &str, templates: &[Template]) -> Result<(), Error> {
    for (index, template) in templates.iter().enumerate() {
        let field = format!("{field}[{index}].stages");
        require_known(tx, tenant, &field, (template.actions, template.stages.as_ref())).await?;
    }
    Ok(())
}
