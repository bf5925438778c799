//! Which variables a Fluent text uses, in every branch of it.

use std::collections::BTreeSet;

use fluent_bundle::FluentResource;
use fluent_syntax::ast;

use super::Flaw;

/// Variables are looked for in the whole text, also in branches that the sample values do not reach.
pub(super) fn unknown_in_text(text: &str, known: &BTreeSet<&str>) -> Vec<Flaw> {
    let Ok(resource) = FluentResource::try_new(text.to_owned()) else { return Vec::new() };
    let mut used = BTreeSet::new();
    for entry in resource.entries() {
        match entry {
            ast::Entry::Message(message) => {
                message.value.iter().for_each(|pattern| pattern_variables(pattern, &mut used));
                message.attributes.iter().for_each(|attribute| pattern_variables(&attribute.value, &mut used));
            }
            ast::Entry::Term(term) => pattern_variables(&term.value, &mut used),
            ast::Entry::Comment(_)
            | ast::Entry::GroupComment(_)
            | ast::Entry::ResourceComment(_)
            | ast::Entry::Junk { .. } => {}
        }
    }
    used.into_iter()
        .filter(|name| !known.contains(name.as_str()))
        .map(|name| Flaw::text(format!("uses `${name}`, which this kind does not have")))
        .collect()
}

fn pattern_variables(pattern: &ast::Pattern<&str>, used: &mut BTreeSet<String>) {
    for element in &pattern.elements {
        if let ast::PatternElement::Placeable { expression } = element {
            expression_variables(expression, used);
        }
    }
}

fn expression_variables(expression: &ast::Expression<&str>, used: &mut BTreeSet<String>) {
    match expression {
        ast::Expression::Inline(inline) => inline_variables(inline, used),
        ast::Expression::Select { selector, variants } => {
            inline_variables(selector, used);
            variants.iter().for_each(|variant| pattern_variables(&variant.value, used));
        }
    }
}

fn inline_variables(inline: &ast::InlineExpression<&str>, used: &mut BTreeSet<String>) {
    match inline {
        ast::InlineExpression::VariableReference { id } => {
            used.insert(id.name.to_owned());
        }
        ast::InlineExpression::Placeable { expression } => expression_variables(expression, used),
        ast::InlineExpression::FunctionReference { arguments, .. } => {
            arguments.positional.iter().for_each(|argument| inline_variables(argument, used));
            arguments.named.iter().for_each(|argument| inline_variables(&argument.value, used));
        }
        ast::InlineExpression::StringLiteral { .. }
        | ast::InlineExpression::NumberLiteral { .. }
        | ast::InlineExpression::MessageReference { .. }
        | ast::InlineExpression::TermReference { .. } => {}
    }
}
