//! From CEL text to the filter's tree. What is outside the subset is refused with its column.

use cel::{
    common::ast::{CallExpr, Expr as Cel, IdedExpr, LiteralValue, SourceInfo, operators},
    parser::Parser,
};

use super::{
    Atom, Builtin, Column, Comparison, DEPTH_MAX, Expr, FieldRef, LENGTH_MAX, LIST_MAX, Literal, Test, TextTest, Type,
    depth::too_deep,
};
use crate::domain::{
    field::{Field, FieldType, decimal},
    normal,
};

/// Why a filter was refused, and where.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal {
    /// From 1, counted in characters.
    pub column: usize,
    pub rule: String,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "column {}: {}", self.column, self.rule)
    }
}

/// Reads a filter; an empty one always holds.
pub fn parse(source: &str, fields: &[Field]) -> Result<Expr, Refusal> {
    let refuse = |column, rule: &str| Err(Refusal { column, rule: rule.to_owned() });
    if source.trim().is_empty() {
        return Ok(Expr::Always(true));
    }
    if source.chars().nth(LENGTH_MAX).is_some() {
        return refuse(LENGTH_MAX + 1, "the expression has more than 4,000 characters");
    }
    if let Some(position) = source.chars().position(|c| c.is_control() && !c.is_whitespace()) {
        return refuse(position + 1, "control characters are not allowed");
    }
    if let Some(column) = too_deep(source) {
        return refuse(column, "is nested too deeply");
    }
    let parsed = Parser::new().max_recursion_depth(DEPTH_MAX).error_recovery_limit(0).parse_with_source_info(source);
    let (root, info) = parsed.map_err(|errors| {
        let column = errors.errors.first().map_or(1, |error| usize::try_from(error.pos.1).unwrap_or(0).max(1));
        Refusal { column, rule: "is not a CEL expression, or is nested too deeply".to_owned() }
    })?;
    Reader { fields, info: &info }.expr(&root)
}

struct Reader<'a> {
    fields: &'a [Field],
    info: &'a SourceInfo,
}

impl Reader<'_> {
    fn refuse<T>(&self, at: &IdedExpr, rule: impl Into<String>) -> Result<T, Refusal> {
        let start = self.info.offset_for(at.id).map_or(0, |(start, _)| start as usize);
        // The parser counts bytes, people count characters.
        let column = self.info.source.get(..start).map_or(1, |before| before.chars().count() + 1);
        Err(Refusal { column, rule: rule.into() })
    }

    fn expr(&self, node: &IdedExpr) -> Result<Expr, Refusal> {
        match &node.expr {
            Cel::Call(call) => self.call(node, call),
            Cel::Literal(LiteralValue::Boolean(truth)) => Ok(Expr::Always(*truth.inner())),
            Cel::Select(select) if select.test => {
                let field = self.named(node, &select.operand, &select.field)?;
                Ok(Expr::Atom(Atom { field, test: Test::Has }))
            }
            Cel::Ident(_) | Cel::Select(_) => {
                let field = self.field(node)?;
                if field.kind() != Type::Truth {
                    return self.refuse(node, "is not a yes-or-no field: compare it with something");
                }
                Ok(Expr::Atom(Atom { field, test: Test::Compare(Comparison::Equal, Literal::Truth(true)) }))
            }
            Cel::Unspecified
            | Cel::Comprehension(_)
            | Cel::List(_)
            | Cel::Literal(_)
            | Cel::Map(_)
            | Cel::Struct(_) => self.refuse(node, "is outside the filter language"),
        }
    }

    fn call(&self, node: &IdedExpr, call: &CallExpr) -> Result<Expr, Refusal> {
        match (call.func_name.as_str(), call.target.as_deref(), call.args.as_slice()) {
            (operators::LOGICAL_AND, None, parts) => Ok(Expr::And(self.all(parts)?)),
            (operators::LOGICAL_OR, None, parts) => Ok(Expr::Or(self.all(parts)?)),
            (operators::LOGICAL_NOT, None, [part]) => Ok(Expr::Not(Box::new(self.expr(part)?))),
            (operators::IN, None, [left, right]) => self.membership(node, left, right),
            ("startsWith", Some(target), [literal]) => self.text_test(TextTest::StartsWith, target, literal),
            ("endsWith", Some(target), [literal]) => self.text_test(TextTest::EndsWith, target, literal),
            ("contains", Some(target), [literal]) => self.text_test(TextTest::Contains, target, literal),
            (name, None, [left, right]) => match comparison(name) {
                Some(comparison) => self.comparison(comparison, left, right),
                None => self.refuse(node, "is outside the filter language"),
            },
            _ => self.refuse(node, "is outside the filter language"),
        }
    }

    fn all(&self, parts: &[IdedExpr]) -> Result<Vec<Expr>, Refusal> {
        parts.iter().map(|part| self.expr(part)).collect()
    }

    fn comparison(&self, comparison: Comparison, left: &IdedExpr, right: &IdedExpr) -> Result<Expr, Refusal> {
        let (comparison, name, literal) = match (is_name(left), is_name(right)) {
            (true, false) => (comparison, left, right),
            (false, true) => (turned(comparison), right, left),
            (true, true) => return self.refuse(right, "compare a field with a literal, not with another field"),
            (false, false) => return self.refuse(left, "one side of a comparison must be a field"),
        };
        let field = self.field(name)?;
        // CEL's `has()` takes `fields.<key>` only; comparing with null says the same of every field.
        if matches!(literal.expr, Cel::Literal(LiteralValue::Null)) {
            let has = Expr::Atom(Atom { field, test: Test::Has });
            return match comparison {
                Comparison::NotEqual => Ok(has),
                Comparison::Equal => Ok(Expr::Not(Box::new(has))),
                Comparison::Less | Comparison::LessOrEqual | Comparison::Greater | Comparison::GreaterOrEqual => {
                    self.refuse(literal, "null has no order: use == or !=")
                }
            };
        }
        let equality = matches!(comparison, Comparison::Equal | Comparison::NotEqual);
        match field.kind() {
            Type::List => return self.refuse(name, "is a list: ask with `\"x\" in …`"),
            Type::Truth | Type::Uuid if !equality => return self.refuse(name, "has no order: use == or !="),
            Type::Text | Type::Number | Type::Minor | Type::Date | Type::Instant | Type::Truth | Type::Uuid => {}
        }
        let literal = self.literal(literal, field.kind())?;
        Ok(Expr::Atom(Atom { field, test: Test::Compare(comparison, literal) }))
    }

    fn membership(&self, node: &IdedExpr, left: &IdedExpr, right: &IdedExpr) -> Result<Expr, Refusal> {
        if let Cel::List(list) = &right.expr {
            let field = self.field(left)?;
            if field.kind() == Type::List {
                return self.refuse(left, "is a list: ask with `\"x\" in …`");
            }
            if list.elements.len() > LIST_MAX {
                return self.refuse(right, "the list has more than 200 entries");
            }
            let literals: Result<_, _> =
                list.elements.iter().map(|element| self.literal(element, field.kind())).collect();
            return Ok(Expr::Atom(Atom { field, test: Test::OneOf(literals?) }));
        }
        let field = self.field(right)?;
        if field.kind() != Type::List {
            return self.refuse(node, "the right side of `in` must be a list");
        }
        match self.literal(left, Type::Text)? {
            Literal::Text(wanted) => Ok(Expr::Atom(Atom { field, test: Test::Contains(wanted) })),
            Literal::Number(_) | Literal::Truth(_) => self.refuse(left, "must be a text"),
        }
    }

    fn text_test(&self, test: TextTest, target: &IdedExpr, literal: &IdedExpr) -> Result<Expr, Refusal> {
        let field = self.field(target)?;
        if !matches!(field.kind(), Type::Text | Type::Date) {
            return self.refuse(target, "is not a text field");
        }
        match self.literal(literal, Type::Text)? {
            Literal::Text(wanted) => Ok(Expr::Atom(Atom { field, test: Test::Text(test, wanted) })),
            Literal::Number(_) | Literal::Truth(_) => self.refuse(literal, "must be a text"),
        }
    }

    /// A name: `stage`, `fields.budget`, `fields.price.minor_units`, `fields.price.currency`.
    #[expect(clippy::wildcard_enum_match_arm, reason = "whatever CEL has beside names is no field")]
    fn field(&self, node: &IdedExpr) -> Result<FieldRef, Refusal> {
        match &node.expr {
            Cel::Ident(name) => match Builtin::ALL.iter().find(|(known, _)| known == name) {
                Some((_, builtin)) => Ok(FieldRef::Builtin(*builtin)),
                None => self.refuse(node, "is not a field"),
            },
            Cel::Select(select) if !select.test => self.named(node, &select.operand, &select.field),
            _ => self.refuse(node, "must be a field"),
        }
    }

    #[expect(clippy::wildcard_enum_match_arm, reason = "whatever CEL has beside names is no field")]
    fn named(&self, node: &IdedExpr, operand: &IdedExpr, name: &str) -> Result<FieldRef, Refusal> {
        match &operand.expr {
            Cel::Ident(root) if root == "fields" => self.custom(node, name, None),
            Cel::Select(select)
                if !select.test && matches!(&select.operand.expr, Cel::Ident(root) if root == "fields") =>
            {
                self.custom(node, &select.field, Some(name))
            }
            _ => self.refuse(node, "is not a field: only `fields.<key>` has parts"),
        }
    }

    fn custom(&self, node: &IdedExpr, key: &str, part: Option<&str>) -> Result<FieldRef, Refusal> {
        let Some(field) = self.fields.iter().find(|field| field.key == key) else {
            return self.refuse(node, "is not a custom field");
        };
        if field.is_sealed() {
            return self.refuse(node, "is sealed: it cannot be filtered by");
        }
        let column = match (field.kind, part) {
            (FieldType::Text, None) => Column::Text,
            (FieldType::Number, None) => Column::Number,
            (FieldType::Date, None) => Column::Date,
            (FieldType::Choice | FieldType::Choices, None) => Column::Choices,
            (FieldType::Truth, None) => Column::Truth,
            (FieldType::Money, None | Some("minor_units")) => Column::Minor,
            (FieldType::Money, Some("currency")) => Column::Currency,
            (
                FieldType::Text
                | FieldType::Number
                | FieldType::Date
                | FieldType::Choice
                | FieldType::Choices
                | FieldType::Truth
                | FieldType::Money,
                Some(_),
            ) => return self.refuse(node, "the field has no such part"),
        };
        // A single choice reads as one text, several as a list.
        let column = if field.kind == FieldType::Choice { Column::Text } else { column };
        Ok(FieldRef::Custom { id: field.id, layer: field.layer, column })
    }

    fn literal(&self, node: &IdedExpr, kind: Type) -> Result<Literal, Refusal> {
        let (mut negative, mut node) = (false, node);
        if let Cel::Call(call) = &node.expr
            && let (operators::NEGATE, [negated]) = (call.func_name.as_str(), call.args.as_slice())
        {
            (negative, node) = (true, negated);
        }
        let sign = if negative { "-" } else { "" };
        match (&node.expr, kind) {
            // No text that is stored has one, and PostgreSQL cannot even compare with NUL.
            (Cel::Literal(LiteralValue::String(text)), Type::Text) if text.inner().chars().any(char::is_control) => {
                self.refuse(node, "must not contain control characters")
            }
            (Cel::Literal(LiteralValue::String(text)), Type::Text) => Ok(Literal::Text(text.inner().to_owned())),
            (Cel::Literal(LiteralValue::String(text)), Type::Date) => match normal::date(text.inner()) {
                Ok(date) if date == text.inner() => Ok(Literal::Text(date)),
                _ => self.refuse(node, "must be a date: \"YYYY-MM-DD\""),
            },
            (Cel::Literal(LiteralValue::String(text)), Type::Uuid) => match uuid::Uuid::try_parse(text.inner()) {
                Ok(id) => Ok(Literal::Text(id.to_string())),
                Err(_) => self.refuse(node, "must be a UUID"),
            },
            (Cel::Literal(LiteralValue::Boolean(truth)), Type::Truth) => Ok(Literal::Truth(*truth.inner())),
            (Cel::Literal(LiteralValue::Int(number)), Type::Minor) if !negative => Ok(Literal::Number(*number.inner())),
            (Cel::Literal(LiteralValue::Int(number)), Type::Number) => {
                self.number(node, &format!("{sign}{}", number.inner()))
            }
            (Cel::Literal(LiteralValue::Double(number)), Type::Number) => {
                self.number(node, &format!("{sign}{}", number.inner()))
            }
            (Cel::Call(call), Type::Instant) if call.func_name == "timestamp" => match call.args.as_slice() {
                [IdedExpr { expr: Cel::Literal(LiteralValue::String(text)), .. }] => {
                    match chrono::DateTime::parse_from_rfc3339(text.inner()) {
                        Ok(time) => Ok(Literal::Number(time.timestamp_micros())),
                        Err(_) => self.refuse(node, "must be an RFC 3339 time"),
                    }
                }
                _ => self.refuse(node, "must be timestamp(\"…\")"),
            },
            _ => self.refuse(node, "is not a literal of the field's type"),
        }
    }

    fn number(&self, node: &IdedExpr, text: &str) -> Result<Literal, Refusal> {
        match decimal(text) {
            Ok(micros) => Ok(Literal::Number(micros)),
            Err(rule) => self.refuse(node, rule),
        }
    }
}

const fn is_name(node: &IdedExpr) -> bool {
    matches!(&node.expr, Cel::Ident(_) | Cel::Select(_))
}

fn comparison(name: &str) -> Option<Comparison> {
    match name {
        operators::EQUALS => Some(Comparison::Equal),
        operators::NOT_EQUALS => Some(Comparison::NotEqual),
        operators::LESS => Some(Comparison::Less),
        operators::LESS_EQUALS => Some(Comparison::LessOrEqual),
        operators::GREATER => Some(Comparison::Greater),
        operators::GREATER_EQUALS => Some(Comparison::GreaterOrEqual),
        _ => None,
    }
}

/// The comparison with its sides exchanged.
const fn turned(comparison: Comparison) -> Comparison {
    match comparison {
        Comparison::Equal => Comparison::Equal,
        Comparison::NotEqual => Comparison::NotEqual,
        Comparison::Less => Comparison::Greater,
        Comparison::LessOrEqual => Comparison::GreaterOrEqual,
        Comparison::Greater => Comparison::Less,
        Comparison::GreaterOrEqual => Comparison::LessOrEqual,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_subset_is_read_and_the_rest_refused_with_its_column() {
        for source in [
            "",
            "true",
            "vip",
            "stage == \"lead\"",
            "\"lead\" == stage && !vip",
            "stage in [\"lead\", \"won\"]",
            "\"x\" in tags",
            "city.startsWith(\"上海\") || grade != null",
            "create_time > timestamp(\"2026-01-01T00:00:00Z\")",
            "birthday < \"1990-01-01\"",
        ] {
            assert!(parse(source, &[]).is_ok(), "{source}: {:?}", parse(source, &[]));
        }
        for (source, column) in [
            ("stagee == \"lead\"", 1),
            ("vip && size(tags) > 1", 12),
            ("city == \"上海\" && phone == \"138\"", 17),
            ("name + \"x\" == \"y\"", 6),
            ("tags.exists(t, t == \"x\")", 12),
            ("stage == city", 10),
            ("birthday < \"1990-02-30\"", 12),
            ("vip > false", 1),
        ] {
            assert_eq!(parse(source, &[]).map_err(|refusal| refusal.column), Err(column), "{source}");
        }
        assert!(parse("stage ==", &[]).is_err());
        assert!(parse(&"(".repeat(3_000), &[]).is_err());
        assert!(parse(&"!".repeat(3_999), &[]).is_err());
    }
}
