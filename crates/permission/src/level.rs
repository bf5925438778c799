//! Layers and levels: which part of a row a field belongs to, and how much of that part somebody gets.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::named::named;

named! {
    /// Every field belongs to exactly one layer of its type.
    Layer {
        /// Names, owner, stage: what everybody who sees the row sees.
        Basic = "basic",
        /// Contact values and ids.
        Sensitive = "sensitive",
        /// Talk and follow-up.
        History = "history",
        /// Amounts.
        Financial = "financial",
        /// Results for supervisors only.
        Review = "review",
    }
}

named! {
    /// How much of a layer somebody gets: each includes the ones before.
    Level {
        /// Nothing, not even that there is a value.
        Hidden = "hidden",
        /// What the mask function leaves.
        Masked = "masked",
        /// The value.
        Read = "read",
        /// The value, and the right to change it.
        Write = "write",
    }
}

/// A level for each layer. Layers that nobody named are hidden.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Levels([Level; Layer::ALL.len()]);

impl Levels {
    /// Nothing of any layer.
    pub const HIDDEN: Self = Self([Level::Hidden; Layer::ALL.len()]);
    /// Everything: as a cap, no cap.
    pub const WRITE: Self = Self([Level::Write; Layer::ALL.len()]);
    /// Everything may be read.
    pub const READ: Self = Self([Level::Read; Layer::ALL.len()]);

    /// These layers at these levels, the others hidden.
    #[must_use]
    pub const fn of(listed: &[(Layer, Level)]) -> Self {
        let mut levels = Self::HIDDEN;
        let mut index = 0;
        while index < listed.len() {
            levels = levels.with(listed[index].0, listed[index].1);
            index += 1;
        }
        levels
    }

    /// The level of a layer.
    #[must_use]
    pub const fn get(&self, layer: Layer) -> Level {
        self.0[layer as usize]
    }

    /// The same with another level for one layer.
    #[must_use]
    pub const fn with(mut self, layer: Layer, level: Level) -> Self {
        self.0[layer as usize] = level;
        self
    }

    /// The higher of the two, layer by layer: what two grants give together.
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        Self(std::array::from_fn(|layer| self.0[layer].max(other.0[layer])))
    }

    /// The lower of the two, layer by layer: what a ceiling leaves.
    #[must_use]
    pub fn cap(self, ceiling: Self) -> Self {
        Self(std::array::from_fn(|layer| self.0[layer].min(ceiling.0[layer])))
    }

    /// Whether no layer is higher here than there.
    #[must_use]
    pub fn within(self, other: Self) -> bool {
        self.cap(other) == self
    }

    /// Whether the layer's values may be shown in clear.
    #[must_use]
    pub fn reads(&self, layer: Layer) -> bool {
        self.get(layer) >= Level::Read
    }

    /// Whether the layer's values may be changed.
    #[must_use]
    pub fn writes(&self, layer: Layer) -> bool {
        self.get(layer) >= Level::Write
    }
}

impl Default for Levels {
    fn default() -> Self {
        Self::HIDDEN
    }
}

impl fmt::Debug for Levels {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = Layer::ALL.iter().map(|layer| (layer.name(), self.get(*layer).name()));
        formatter.debug_map().entries(shown.filter(|(_, level)| *level != Level::Hidden.name())).finish()
    }
}

impl Serialize for Levels {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let shown = Layer::ALL.iter().filter(|layer| self.get(**layer) != Level::Hidden);
        serializer.collect_map(shown.map(|layer| (*layer, self.get(*layer))))
    }
}

impl<'de> Deserialize<'de> for Levels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let listed = std::collections::BTreeMap::<Layer, Level>::deserialize(deserializer)?;
        Ok(listed.into_iter().fold(Self::HIDDEN, |levels, (layer, level)| levels.with(layer, level)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joining_takes_the_higher_and_capping_the_lower_level_of_each_layer() {
        let one = Levels::of(&[(Layer::Basic, Level::Write), (Layer::Sensitive, Level::Masked)]);
        let other = Levels::of(&[(Layer::Basic, Level::Read), (Layer::Sensitive, Level::Read)]);
        assert_eq!(one.join(other), Levels::of(&[(Layer::Basic, Level::Write), (Layer::Sensitive, Level::Read)]));
        assert_eq!(one.cap(other), Levels::of(&[(Layer::Basic, Level::Read), (Layer::Sensitive, Level::Masked)]));
        assert!(one.cap(other).within(one) && !one.within(other));
    }

    #[test]
    fn a_layer_that_is_not_named_is_hidden_also_after_json() {
        let levels: Levels = serde_json::from_str(r#"{"basic":"read"}"#).expect("reads");
        assert_eq!(levels.get(Layer::Basic), Level::Read);
        assert_eq!(levels.get(Layer::Review), Level::Hidden);
        assert!(serde_json::from_str::<Levels>(r#"{"secret":"read"}"#).is_err());
    }
}
