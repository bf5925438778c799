//! What a Fluent text may say and which variables it uses, in every branch of it, also in those that no sample reaches.

use std::collections::BTreeSet;

use fluent_bundle::FluentResource;
use fluent_syntax::ast;

use super::Flaw;

/// Placeables and arguments of a text at the most: the parser follows one into the other, and each may stand for a whole
/// message.
const PLACEABLES_MAX: usize = 100;
/// Characters of a number that a function is given at the most: `NUMBER` writes as many digits as it is told.
const OPTION_MAX: usize = 2;

/// Asked before a text is parsed.
pub(super) fn require_few_placeables(text: &str) -> Result<(), Flaw> {
    if text.matches(['{', '(']).count() > PLACEABLES_MAX {
        return Err(Flaw::text(format!("may have at most {PLACEABLES_MAX} placeables and parentheses")));
    }
    Ok(())
}

/// Functions are given small numbers only.
pub(super) fn require_small_options(resource: &FluentResource) -> Result<(), Flaw> {
    let mut small = true;
    each_expression(resource, &mut |inline| {
        if let ast::InlineExpression::FunctionReference { arguments, .. } = inline {
            small &= !arguments.named.iter().any(|option| {
                matches!(&option.value, ast::InlineExpression::NumberLiteral { value } if value.len() > OPTION_MAX)
            });
        }
    });
    if small { Ok(()) } else { Err(Flaw::text("may give a function numbers of at most two digits")) }
}

/// Variables that the kind does not have.
pub(super) fn unknown_in_text(resource: &FluentResource, known: &BTreeSet<&str>) -> Vec<Flaw> {
    let mut used = BTreeSet::new();
    each_expression(resource, &mut |inline| {
        if let ast::InlineExpression::VariableReference { id } = inline {
            used.insert(id.name.to_owned());
        }
    });
    used.into_iter()
        .filter(|name| !known.contains(name.as_str()))
        .map(|name| Flaw::text(format!("uses `${name}`, which this kind does not have")))
        .collect()
}

type See<'a> = dyn FnMut(&ast::InlineExpression<&str>) + 'a;

fn each_expression(resource: &FluentResource, see: &mut See<'_>) {
    for entry in resource.entries() {
        match entry {
            ast::Entry::Message(message) => {
                message.value.iter().for_each(|value| in_pattern(value, see));
                message.attributes.iter().for_each(|attribute| in_pattern(&attribute.value, see));
            }
            ast::Entry::Term(term) => {
                in_pattern(&term.value, see);
                term.attributes.iter().for_each(|attribute| in_pattern(&attribute.value, see));
            }
            ast::Entry::Comment(_)
            | ast::Entry::GroupComment(_)
            | ast::Entry::ResourceComment(_)
            | ast::Entry::Junk { .. } => {}
        }
    }
}

fn in_pattern(pattern: &ast::Pattern<&str>, see: &mut See<'_>) {
    for element in &pattern.elements {
        if let ast::PatternElement::Placeable { expression } = element {
            in_expression(expression, see);
        }
    }
}

fn in_expression(expression: &ast::Expression<&str>, see: &mut See<'_>) {
    match expression {
        ast::Expression::Inline(inline) => in_inline(inline, see),
        ast::Expression::Select { selector, variants } => {
            in_inline(selector, see);
            variants.iter().for_each(|variant| in_pattern(&variant.value, see));
        }
    }
}

fn in_inline(inline: &ast::InlineExpression<&str>, see: &mut See<'_>) {
    see(inline);
    let in_arguments = |arguments: &ast::CallArguments<&str>, see: &mut See<'_>| {
        arguments.positional.iter().for_each(|argument| in_inline(argument, see));
        arguments.named.iter().for_each(|argument| in_inline(&argument.value, see));
    };
    match inline {
        ast::InlineExpression::Placeable { expression } => in_expression(expression, see),
        ast::InlineExpression::FunctionReference { arguments, .. } => in_arguments(arguments, see),
        ast::InlineExpression::TermReference { arguments: Some(arguments), .. } => in_arguments(arguments, see),
        ast::InlineExpression::TermReference { arguments: None, .. }
        | ast::InlineExpression::VariableReference { .. }
        | ast::InlineExpression::StringLiteral { .. }
        | ast::InlineExpression::NumberLiteral { .. }
        | ast::InlineExpression::MessageReference { .. } => {}
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::template::parse;

    #[test]
    fn a_function_is_given_numbers_of_two_digits_at_the_most() {
        let told = |digits: &str| {
            let text = format!("title = Today\nbody = {{ NUMBER(1, minimumFractionDigits: {digits}) }}");
            parse(&text).map(drop).map_err(|flaw| flaw.rule)
        };
        assert_eq!(told("20"), Ok(()));
        for digits in ["100", "1000000000"] {
            assert_eq!(told(digits), Err("may give a function numbers of at most two digits".to_owned()), "{digits}");
        }
    }
}
