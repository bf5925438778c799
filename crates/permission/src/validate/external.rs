//! What identity may write about registered types, and which rules may name them.

use super::Refusal;
use crate::{
    action::ActionSet,
    external::ExternalType,
    facts::Facts,
    registry::{Attribute, Resource},
    row::{Name, NameSet},
};

impl Facts {
    /// A type never loses what a rule may read: a guard that reads it would stop to cover its rows.
    pub(super) fn validate_external_type(&self, new: &ExternalType) -> Result<(), Refusal> {
        if Resource::parse(new.name.as_str()).is_some() {
            return Err(Refusal::ExternalTypeReserved);
        }
        if let Some(action) = new.actions.values().find(|action| action.resource() != Resource::External) {
            return Err(Refusal::NoExternalVerb(*action));
        }
        if !new.attributes.iter().all(|attribute| Resource::External.attributes().contains(attribute)) {
            return Err(Refusal::NoSuchAttribute);
        }
        let narrower = |old: &ExternalType| {
            old.keeping != new.keeping || !old.attributes.iter().all(|attribute| new.has(*attribute))
        };
        if self.external_type(&new.name).is_some_and(narrower) { Err(Refusal::ExternalTypeNarrowed) } else { Ok(()) }
    }

    /// That the rows which a rule is about have the attributes that it reads. A rule that names no registered type is about
    /// those too that lack one: it never matches their rows.
    pub(super) fn have_attributes(
        &self,
        (actions, external): (ActionSet, Option<&NameSet>),
        read: &[Option<Attribute>],
    ) -> Result<(), Refusal> {
        let resource = actions.resource().ok_or(Refusal::MixedTypes)?;
        let mut read = read.iter().flatten();
        let Some(named) = external else {
            let there = read.all(|attribute| resource.attributes().contains(attribute));
            return if there { Ok(()) } else { Err(Refusal::NoSuchAttribute) };
        };
        if resource != Resource::External {
            return Err(Refusal::NoExternalRows);
        }
        let types = named.iter().map(|name| self.external_type(name).ok_or(Refusal::UnknownExternalType));
        let types = types.collect::<Result<Vec<_>, Refusal>>()?;
        let there = read.all(|attribute| types.iter().all(|it| it.has(*attribute)));
        if there { Ok(()) } else { Err(Refusal::NoSuchAttribute) }
    }

    /// Whether a role, grant or guard names a registered type.
    pub(super) fn names_external_type(&self, name: &Name) -> bool {
        let names = |named: Option<&NameSet>| named.is_some_and(|named| named.contains(Some(name)));
        let roles =
            self.roles.values().flat_map(|role| &role.templates).any(|template| names(template.external.as_ref()));
        let grants = self.grants.all().any(|grant| names(grant.external));
        roles || grants || self.guards.values().any(|guard| names(guard.condition.external.as_ref()))
    }
}
