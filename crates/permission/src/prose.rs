//! Free text on its way out: the sensitive values that people write into it belong to the sensitive layer, whatever layer
//! the text is of.

use crate::{
    detection::{SensitiveKind, kinds, masked},
    level::{Layer, Levels},
    veil::{Clarity, Shown, Veiled},
};

/// What a reader gets of a free text.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Prose {
    /// Nothing when it is hidden.
    pub text: Option<String>,
    /// Kinds of the sensitive values in it; none when the text itself is hidden or masked.
    pub kinds: Vec<SensitiveKind>,
}

impl Levels {
    /// What is shown of a free text. Its sensitive values are clear only to who reads the sensitive layer, too, and has
    /// asked for them.
    #[must_use]
    pub fn show_prose(&self, veiled: &Veiled<String>, asked: Clarity) -> Prose {
        match self.show(veiled, asked) {
            Shown::Hidden => Prose::default(),
            Shown::Masked(text) => Prose { text: Some(text), kinds: Vec::new() },
            Shown::Clear(text) => {
                let kinds = kinds(text);
                let whole = kinds.is_empty() || self.discloses(asked);
                Prose { text: Some(if whole { text.clone() } else { masked(text) }), kinds }
            }
        }
    }

    /// Whether the sensitive values of a text that is read are clear.
    #[must_use]
    pub fn discloses(&self, asked: Clarity) -> bool {
        asked == Clarity::Clear && self.reads(Layer::Sensitive)
    }
}

impl Prose {
    /// The kinds by their numbers on the wire.
    #[must_use]
    pub fn numbers(&self) -> Vec<i32> {
        self.kinds.iter().map(|kind| *kind as i32).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::Level;

    use super::*;

    fn shown(levels: Levels, asked: Clarity) -> Prose {
        levels.show_prose(&Veiled::new(Layer::History, "打13812345678找王姐".to_owned()), asked)
    }

    #[test]
    fn a_number_in_a_text_is_clear_only_to_who_reads_both_layers_and_has_asked() {
        let history = Levels::of(&[(Layer::History, Level::Read)]);
        let both = history.with(Layer::Sensitive, Level::Read);
        let clear = shown(both, Clarity::Clear);
        assert_eq!(clear.text.as_deref(), Some("打13812345678找王姐"));
        for (levels, asked) in [
            (both, Clarity::Usual),
            (history, Clarity::Clear),
            (history.with(Layer::Sensitive, Level::Masked), Clarity::Clear),
        ] {
            let masked = shown(levels, asked);
            assert_eq!(masked.text.as_deref(), Some("打138****5678找王姐"));
            assert_eq!(masked.kinds, [SensitiveKind::Phone], "it is flagged for everybody who reads the text");
        }
    }

    #[test]
    fn of_a_text_that_is_not_read_nothing_is_flagged() {
        assert_eq!(shown(Levels::HIDDEN, Clarity::Clear), Prose::default());
        let masked =
            shown(Levels::of(&[(Layer::History, Level::Masked), (Layer::Sensitive, Level::Read)]), Clarity::Clear);
        assert_eq!(masked, Prose { text: Some("打****".to_owned()), kinds: Vec::new() });
    }
}
