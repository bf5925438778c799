//! Types of rows that other systems keep and a company registers: what they call our verbs, in which layer each of their
//! fields lies, and which attributes their rows have.
//!
//! No code knows such a type. A rule on the actions of [`Resource::External`] is about every registered type, or about
//! those that it names; for one type it is compiled into a policy of its own, so that the rules of two types never meet in
//! one decision and our own types pay nothing for it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    action::{Action, ActionSet},
    facts::Facts,
    level::Layer,
    named::named,
    registry::{Attribute, Resource},
    row::{Name, NameSet},
    rule::Guard,
};

named! {
    /// Where the rows of a type are.
    Keeping {
        /// Elsewhere: their attributes come with every question, and there are no lists of them.
        Sent = "sent",
        /// In identity: questions name them by their id, and lists and searches hold all of them.
        Kept = "kept",
    }
}

/// A registered type. Its name is its identity.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExternalType {
    /// As rows and rules name it; never that of a type of ours.
    pub name: Name,
    /// What it calls our verbs: `sign` may be `external.approve`. Beside these names every verb is asked by its own.
    pub actions: BTreeMap<String, Action>,
    /// The layer of each field. One that is not among them is sensitive.
    pub fields: BTreeMap<String, Layer>,
    /// What policy may look at on its rows.
    pub attributes: Vec<Attribute>,
    /// Where its rows are.
    pub keeping: Keeping,
}

impl ExternalType {
    /// The layer of a field.
    #[must_use]
    pub fn layer_of(&self, field: &str) -> Layer {
        self.fields.get(field).copied().unwrap_or(Layer::Sensitive)
    }

    /// Whether its rows have an attribute.
    #[must_use]
    pub fn has(&self, attribute: Attribute) -> bool {
        self.attributes.contains(&attribute)
    }

    /// Names under which its actions are asked: those of its own, and for a verb that has none the verb's.
    pub fn names(&self) -> impl Iterator<Item = (String, Action)> {
        let own = self.actions.iter().map(|(own, verb)| (format!("{}.{own}", self.name), *verb));
        let bare = Action::of_external().filter(|verb| !self.actions.values().any(|mapped| mapped == verb));
        own.chain(bare.map(|verb| (verb.name().to_owned(), verb)))
    }
}

/// What is asked about: an action, and for the rows of other systems of which registered type they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Asked<'a> {
    /// To do what.
    pub action: Action,
    /// On which registered type; none for our own types.
    pub external: Option<&'a Name>,
}

impl From<Action> for Asked<'_> {
    fn from(action: Action) -> Self {
        Self { action, external: None }
    }
}

impl<'a> Asked<'a> {
    /// An action on the rows of a registered type.
    #[must_use]
    pub const fn on(action: Action, external: Option<&'a Name>) -> Self {
        Self { action, external }
    }

    /// The rows that are asked about.
    pub(crate) fn about(self) -> About<'a> {
        match (self.action.resource(), self.external) {
            (Resource::External, Some(name)) => About::External(name),
            (Resource::External, None) | (_, Some(_)) => About::Nothing,
            (resource, None) => About::Ours(resource),
        }
    }
}

/// The rows that a policy is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum About<'a> {
    /// Those of a type of ours.
    Ours(Resource),
    /// Those of a registered type; of one that is not registered there are none.
    External(&'a Name),
    /// Those of a type that might be registered next: only rules that name no type are about them. Nothing is decided
    /// on it; it says what somebody may do whatever the type.
    AnyExternal,
    /// An action on rows that it is not about.
    Nothing,
}

impl About<'_> {
    /// Whether a right that names these types, or none, is about the rows.
    pub(crate) fn has_right(self, named: Option<&NameSet>) -> bool {
        match self {
            Self::Ours(_) | Self::AnyExternal => named.is_none(),
            Self::External(name) => named.is_none_or(|named| named.contains(Some(name))),
            Self::Nothing => false,
        }
    }

    /// Whether a guard is about something that is done to the rows.
    pub(crate) fn has_guard(self, guard: &Guard) -> bool {
        let named = guard.condition.external.as_ref();
        let of_type = match self {
            Self::AnyExternal => true,
            Self::Ours(_) | Self::External(_) | Self::Nothing => self.has_right(named),
        };
        of_type && self.bits(guard.actions) != 0
    }

    /// The actions on the rows, as [`Action::bit`]s.
    pub(crate) fn bits(self, actions: ActionSet) -> u32 {
        actions.bits(self.resource())
    }

    /// The type whose actions count.
    const fn resource(self) -> Resource {
        match self {
            Self::Ours(resource) => resource,
            Self::External(_) | Self::AnyExternal | Self::Nothing => Resource::External,
        }
    }
}

impl Action {
    /// The verbs of registered types.
    pub fn of_external() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(|action| action.resource() == Resource::External)
    }
}

impl Facts {
    /// A registered type.
    #[must_use]
    pub fn external_type(&self, name: &Name) -> Option<&ExternalType> {
        self.external.get(name).map(|it| &**it)
    }

    /// The registered types, in the order of their names.
    pub fn external_types(&self) -> impl Iterator<Item = &ExternalType> {
        self.external.values().map(|it| &**it)
    }

    /// What a name of an action means, of the registry or of a registered type, on rows of `external` or of the type
    /// that the name begins with. Nothing when there is no such action, or not on those rows.
    #[must_use]
    pub fn action_named(&self, text: &str, external: Option<&Name>) -> Option<(Action, Option<Name>)> {
        if let Some(action) = Action::parse(text) {
            let fits = (action.resource() == Resource::External) == external.is_some();
            return fits.then(|| (action, external.cloned()));
        }
        let (name, own) = text.split_once('.')?;
        let it =
            self.external_type(&Name::from(name)).filter(|it| external.is_none_or(|external| *external == it.name))?;
        Some((*it.actions.get(own)?, Some(it.name.clone())))
    }
}
