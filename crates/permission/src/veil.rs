//! Veiled values: what belongs to a layer leaves a service as far as its reader's level lets it, or not at all.
//!
//! A value is veiled where it is read, from a table or from a request, with the layer that it belongs to. An answer is
//! made of what [`Levels::show`] leaves of it, and there is no other way from a veiled value to an answer: it can
//! neither be printed nor compared with a plain one nor dereferenced. Who needs it for anything else says for what, so
//! that all such places can be found and read.

use std::fmt;

use crate::{
    level::{Layer, Level, Levels},
    mask::Mask,
};

/// A value of a layer.
#[derive(Clone, PartialEq, Eq)]
pub struct Veiled<T> {
    layer: Layer,
    value: T,
}

/// For what a veil is lifted. None of them is an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// To write it into its own column, sealed where the column is.
    Store,
    /// To recognise a record by it.
    Match,
    /// To let a rule look at it, whose outcome depends on the same levels or is of a layer of its own.
    Judge,
    /// To come to its parts, each under a veil of its own.
    Part,
    /// To tell another service of ours, which keeps it under the same layer.
    Entrust,
    /// To write to the one whose address it is.
    Reach,
}

/// How clear the reader has asked for a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Clarity {
    /// None by name: what is sensitive comes masked.
    Usual,
    /// This one, in clear; the audit is told of it.
    Clear,
}

/// What a mask leaves of a value.
pub trait Maskable {
    /// The masked form.
    type Masked;

    /// Says no more of two values than that they are alike where it is alike.
    fn masked(&self) -> Self::Masked;
}

impl Maskable for String {
    type Masked = Self;

    fn masked(&self) -> Self {
        Mask::Text.apply(self)
    }
}

/// As much of a value as its reader gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shown<'a, T: Maskable> {
    /// Nothing, not even that it is there.
    Hidden,
    /// What the mask leaves.
    Masked(T::Masked),
    /// The value.
    Clear(&'a T),
}

impl<T> Veiled<T> {
    /// Veils a value.
    #[must_use]
    pub const fn new(layer: Layer, value: T) -> Self {
        Self { layer, value }
    }

    /// Its layer.
    #[must_use]
    pub const fn layer(&self) -> Layer {
        self.layer
    }

    /// The value, for something that is no answer.
    #[must_use]
    pub const fn lift(&self, _for: Purpose) -> &T {
        &self.value
    }
}

impl<T> fmt::Debug for Veiled<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

impl Levels {
    /// What every event may carry, whoever reads it.
    pub const EVENT: Self = Self::of(&[(Layer::Basic, Level::Read)]);

    /// The one way of a veiled value into an answer.
    #[must_use]
    pub fn show<'a, T: Maskable>(&self, veiled: &'a Veiled<T>, asked: Clarity) -> Shown<'a, T> {
        match (self.get(veiled.layer), veiled.layer, asked) {
            (Level::Hidden, ..) => Shown::Hidden,
            (Level::Masked, ..) | (Level::Read | Level::Write, Layer::Sensitive, Clarity::Usual) => {
                Shown::Masked(veiled.value.masked())
            }
            (Level::Read | Level::Write, ..) => Shown::Clear(&veiled.value),
        }
    }
}

impl<'a, T: Maskable> Shown<'a, T> {
    /// The value, when all of it is shown.
    #[must_use]
    pub fn clear(self) -> Option<&'a T> {
        match self {
            Self::Clear(value) => Some(value),
            Self::Hidden | Self::Masked(_) => None,
        }
    }
}

impl Shown<'_, String> {
    /// What is shown of a text; nothing when it is hidden.
    #[must_use]
    pub fn text(self) -> Option<String> {
        match self {
            Self::Hidden => None,
            Self::Masked(text) => Some(text),
            Self::Clear(text) => Some(text.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(layer: Layer, level: Level, asked: Clarity) -> Option<String> {
        let veiled = Veiled::new(layer, "王小明的备注".to_owned());
        Levels::HIDDEN.with(layer, level).show(&veiled, asked).text()
    }

    #[test]
    fn a_level_shows_nothing_the_mask_or_the_value_of_its_own_layer_alone() {
        for layer in Layer::ALL.iter().copied() {
            for asked in [Clarity::Usual, Clarity::Clear] {
                assert_eq!(shown(layer, Level::Hidden, asked), None);
                assert_eq!(shown(layer, Level::Masked, asked).as_deref(), Some("王****"), "asking lifts no level");
            }
            let veiled = Veiled::new(layer, "王小明".to_owned());
            let others = Levels::WRITE.with(layer, Level::Hidden);
            assert_eq!(others.show(&veiled, Clarity::Clear), Shown::Hidden);
        }
    }

    #[test]
    fn a_sensitive_value_is_clear_only_when_it_is_asked_for_and_others_always() {
        assert_eq!(shown(Layer::Sensitive, Level::Write, Clarity::Usual).as_deref(), Some("王****"));
        assert_eq!(shown(Layer::Sensitive, Level::Read, Clarity::Clear).as_deref(), Some("王小明的备注"));
        for layer in [Layer::Basic, Layer::History, Layer::Financial, Layer::Review] {
            assert_eq!(shown(layer, Level::Read, Clarity::Usual).as_deref(), Some("王小明的备注"));
        }
    }

    #[test]
    fn what_is_veiled_is_not_printed_and_events_show_the_basic_layer_alone() {
        let veiled = Veiled::new(Layer::Financial, "1,000".to_owned());
        assert_eq!(format!("{veiled:?}"), "***");
        for layer in Layer::ALL.iter().copied() {
            assert_eq!(Levels::EVENT.reads(layer), layer == Layer::Basic);
        }
    }
}
