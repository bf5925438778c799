//! What a layout may say: names, comparisons and conditions.
//!
//! Nothing that computes. The engine counts instructions, not what one of them allocates (`x ~ x`, a filter, a repeated
//! text), and its parser follows a chain of signs until the stack ends: both would take the process and every company in
//! it. So each tag is read here first, and what is not on this short list never reaches the engine.

use super::Flaw;

/// Names, signs and literals of one tag at the most.
const TOKENS_MAX: usize = 64;
/// Conditions within each other at the most.
const DEPTH_MAX: usize = 16;
/// What may stand at the beginning of a `{% … %}`.
const STATEMENTS: [&str; 4] = ["if", "elif", "else", "endif"];
/// Signs that may stand in a tag, the longer ones first.
const SIGNS: [&str; 9] = ["==", "!=", "<=", ">=", "<", ">", "(", ")", "."];

/// The first thing in a layout that may not be there.
pub(super) fn forbidden(layout: &str) -> Result<(), Flaw> {
    let (mut rest, mut depth) = (layout, 0_usize);
    while let Some(at) = rest.find('{') {
        rest = &rest[at..];
        if let Some(comment) = rest.strip_prefix("{#") {
            rest = comment.split_once("#}").ok_or_else(|| Flaw::layout("has a comment without an end"))?.1;
        } else if let Some(inside) = rest.strip_prefix("{{") {
            rest = tag(inside, "}}")?.1;
        } else if let Some(inside) = rest.strip_prefix("{%") {
            let (first, after) = tag(inside, "%}")?;
            if !STATEMENTS.contains(&first) {
                return Err(Flaw::layout("may have no other statements than if, elif, else and endif"));
            }
            depth = match first {
                "if" => depth + 1,
                "endif" => depth.saturating_sub(1),
                _ => depth,
            };
            if depth > DEPTH_MAX {
                return Err(Flaw::layout(format!("may have at most {DEPTH_MAX} conditions within each other")));
            }
            rest = after;
        } else {
            rest = &rest[1..];
        }
    }
    Ok(())
}

/// Reads a tag up to its end; answers its first word and what follows the tag.
fn tag<'a>(inside: &'a str, end: &str) -> Result<(&'a str, &'a str), Flaw> {
    // A `-` or `+` at either end says what becomes of the white space around the tag.
    let mut rest = inside.strip_prefix(['-', '+']).unwrap_or(inside);
    let mut first = None;
    for _ in 0..=TOKENS_MAX {
        rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix(['-', '+']).unwrap_or(rest).strip_prefix(end) {
            return Ok((first.unwrap_or_default(), after));
        }
        let (token, after) = token(rest)?;
        first.get_or_insert(token);
        rest = after;
    }
    Err(Flaw::layout(format!("may have at most {TOKENS_MAX} names, signs and literals in a tag")))
}

fn token(rest: &str) -> Result<(&str, &str), Flaw> {
    let first = rest.chars().next().ok_or_else(|| Flaw::layout("has a tag without an end"))?;
    if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
        return Ok(rest.split_at(sign.len()));
    }
    if first == '"' || first == '\'' {
        let text = &rest[1..];
        let length = text.find(first).ok_or_else(|| Flaw::layout("has a text without an end"))?;
        // The engine would read an escape, or the end of the tag, where this reading sees a text.
        if text[..length].contains(['\\', '{', '}', '%', '#']) {
            return Err(Flaw::layout("may have none of \\ { } % # in a text within a tag"));
        }
        return Ok(rest.split_at(length + 2));
    }
    if first.is_alphanumeric() || first == '_' {
        let length = rest.find(|next: char| !next.is_alphanumeric() && next != '_').unwrap_or(rest.len());
        return Ok(rest.split_at(length));
    }
    Err(Flaw::layout(format!(
        "may have only names, numbers, texts, comparisons, and, or, not and parentheses in a tag, no `{first}`"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_has_all_that_it_needs() {
        for layout in [
            "",
            "{{ text.body }}",
            "{{- text.title -}}\n{# a note #}{ not a tag } {{text.body}}",
            "{% if due_count == 1 and not (overdue_count > 0) %}one{% elif name != 'x' %}more{% else %}none{% endif %}",
        ] {
            assert_eq!(forbidden(layout), Ok(()), "{layout}");
        }
    }

    #[test]
    fn what_could_take_memory_or_the_stack_is_refused() {
        let repeated = |piece: &str, times: usize, after: &str| format!("{{{{ {}{after} }}}}", piece.repeat(times));
        for layout in [
            "{% set x = 'a' %}",
            "{% for a in text.body %}{% endfor %}",
            "{%- macro m() %}{% endmacro %}",
            "{% raw %}{% endraw %}",
            "{{ x ~ x }}",
            "{{ 'x' * 9 }}",
            "{{ x + x }}",
            "{{ x|upper }}",
            "{{ [1] }}",
            "{{ x[1] }}",
            "{{ {} }}",
            "{{ f(a, b) }}",
            "{{ '\\u{41}' }}",
            "{{ '}}{% set x = 1 %}' }}",
            "{{ x",
            "{{ 'x",
            "{# x",
            &repeated("-", 8_000, "1"),
            &repeated("not ", 65, "x"),
            &repeated("(", 65, "x"),
            &repeated("x == ", 40, "x"),
            &"{% if x %}".repeat(DEPTH_MAX + 1),
        ] {
            assert!(forbidden(layout).is_err(), "{layout}");
        }
    }
}
