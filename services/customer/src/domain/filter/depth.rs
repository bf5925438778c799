//! How deeply a filter may nest, told from its text before the parser sees it.
//!
//! CEL's parser recurses over brackets, signs and chains of operators before it counts its own depth, so a text of some
//! thousand of them would end the process. What stands inside quotes counts too: what is a quote is the parser's to
//! say, and a scanner that judged otherwise could be led past the bound.

/// Open brackets, conditions, or signs and operators of one comparison at the most: above what a filter of the subset
/// needs, far below what the stack bears.
const NESTED_MAX: usize = 64;

/// The first column, from 1, at which `source` nests too deeply.
pub fn too_deep(source: &str) -> Option<usize> {
    let (mut brackets, mut conditions, mut operators) = (0_usize, 0_usize, 0_usize);
    let mut before = ' ';
    source.chars().enumerate().find_map(|(place, c)| {
        match c {
            '(' | '{' => brackets += 1,
            ')' | ']' | '}' => brackets = brackets.saturating_sub(1),
            '[' => (brackets, operators) = (brackets + 1, operators + 1),
            '?' => conditions += 1,
            '!' | '-' | '+' | '*' | '/' | '%' | '.' | '=' | '<' | '>' => operators += 1,
            // The operator `in`, or any word that holds these letters.
            'n' if before == 'i' => operators += 1,
            // The next part of a list, of an AND or of an OR: those do not nest.
            ',' | '&' | '|' => operators = 0,
            _ => {}
        }
        before = c;
        (brackets.max(conditions).max(operators) > NESTED_MAX).then_some(place + 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::filter::{LENGTH_MAX, parse::parse};

    #[test]
    fn no_text_however_nested_ends_the_process() {
        for (opening, closing) in [
            ("(", ""),
            ("[", ""),
            ("{", ""),
            ("!", "vip"),
            ("- ", "1"),
            ("a(", ""),
            ("vip ? vip : ", "vip"),
            ("1+", "1"),
            ("1==", "1"),
            ("1 in ", "1"),
            ("a.", "a"),
            ("a[0]", ""),
        ] {
            let source = opening.repeat((LENGTH_MAX - closing.len()) / opening.len()) + closing;
            assert!(parse(&source, &[]).is_err(), "{opening}");
        }
    }

    #[test]
    fn a_long_row_of_comparisons_is_no_nesting() {
        for joint in ["vip && ", "vip || ", "city in [\"a\", \"b\"] && "] {
            let source = joint.repeat((LENGTH_MAX - 3) / joint.len()) + "vip";
            assert!(parse(&source, &[]).is_ok(), "{joint}");
        }
    }

    #[test]
    fn the_place_at_which_it_is_too_deep_is_told() {
        assert_eq!(too_deep(&"(".repeat(NESTED_MAX)), None);
        assert_eq!(too_deep(&"(".repeat(NESTED_MAX + 1)), Some(NESTED_MAX + 1));
    }
}
