//! A filter's meaning in SQL: the same three values as `domain::filter::evaluate` gives, on both databases.
//!
//! SQL's NULL is UNKNOWN, also for what the reader may not read. Only what a task lends is not told apart here: with its
//! values known a filter is true of at least the rows that evaluation in memory keeps.

use revisit_permission::{Layer, Scope};
use sea_orm::sea_query::{Condition, Expr, ExprTrait, Func, Query, SelectStatement};
use uuid::Uuid;

use crate::domain::filter::{
    Atom, Builtin, Column, Comparison, Expr as Filter, FieldRef, Literal, Test, TextTest, Type,
};

/// The condition of a reader's filter over the table `customer`: a layer counts on the rows on which the reader reads it,
/// so that the database and not a walk finds the rows of a filter that few can answer.
pub fn condition_for(filter: &Filter, scope: &Scope, postgres: bool) -> Condition {
    let mut partly = filter.layers();
    partly.retain(|layer| !scope.reads(*layer));
    narrowed(filter, &partly, scope, postgres)
}

/// Either a layer is readable and the filter holds, or the filter holds without it; one layer after another. There are
/// five layers, one is never filtered by and one nearly always read: what doubles with each stays small.
fn narrowed(filter: &Filter, partly: &[Layer], scope: &Scope, postgres: bool) -> Condition {
    let Some((layer, rest)) = partly.split_first() else { return Condition::all().add(condition(filter, postgres)) };
    let without = narrowed(&filter.without(*layer), rest, scope, postgres);
    match scope.readable(*layer, &super::reach::columns()) {
        Some(readable) => {
            let with = Condition::all().add(readable).add(narrowed(filter, rest, scope, postgres));
            Condition::any().add(with).add(without)
        }
        None => without,
    }
}

/// The condition of a filter over the table `customer`.
pub fn condition(filter: &Filter, postgres: bool) -> Expr {
    match filter {
        Filter::And(parts) => joined(parts, postgres, true),
        Filter::Or(parts) => joined(parts, postgres, false),
        Filter::Not(part) => condition(part, postgres).not(),
        Filter::Always(truth) => constant(*truth),
        Filter::Unknown => Expr::cust("NULL"),
        Filter::Atom(atom) => test(atom, postgres),
    }
}

fn constant(truth: bool) -> Expr {
    Expr::cust(if truth { "(1 = 1)" } else { "(1 = 0)" })
}

fn joined(parts: &[Filter], postgres: bool, all: bool) -> Expr {
    let mut parts = parts.iter().map(|part| condition(part, postgres));
    let first = parts.next().unwrap_or_else(|| constant(all));
    parts.fold(first, |so_far, part| if all { so_far.and(part) } else { so_far.or(part) })
}

fn test(atom: &Atom, postgres: bool) -> Expr {
    let field = &atom.field;
    match &atom.test {
        Test::Has => has(field),
        Test::Contains(wanted) => Expr::exists(entries(field, Some(wanted))),
        Test::Compare(comparison, literal) => {
            let (value, literal) = (value(field), bound(field, literal));
            match comparison {
                Comparison::Equal => value.eq(literal),
                Comparison::NotEqual => value.ne(literal),
                Comparison::Less => value.lt(literal),
                Comparison::LessOrEqual => value.lte(literal),
                Comparison::Greater => value.gt(literal),
                Comparison::GreaterOrEqual => value.gte(literal),
            }
        }
        // An empty list is false for a present value and unknown for a missing one, which `IN ()` cannot say.
        Test::OneOf(literals) if literals.is_empty() => value(field).ne(value(field)),
        Test::OneOf(literals) => value(field).is_in(literals.iter().map(|literal| bound(field, literal))),
        Test::Text(_, wanted) if wanted.is_empty() => value(field).eq(value(field)),
        Test::Text(test, wanted) => text_test(*test, value(field), wanted, postgres),
    }
}

fn has(field: &FieldRef) -> Expr {
    match field {
        FieldRef::Builtin(Builtin::Tags) | FieldRef::Custom { column: Column::Choices, .. } => {
            Expr::exists(entries(field, None))
        }
        FieldRef::Builtin(_) | FieldRef::Custom { .. } => value(field).is_not_null(),
    }
}

fn text_test(test: TextTest, value: Expr, wanted: &str, postgres: bool) -> Expr {
    let length = i32::try_from(wanted.chars().count()).unwrap_or(i32::MAX);
    match test {
        TextTest::StartsWith => Func::cust("substr").args([value, Expr::val(1), Expr::val(length)]).eq(wanted),
        TextTest::EndsWith if postgres => Func::cust("right").args([value, Expr::val(length)]).eq(wanted),
        TextTest::EndsWith => Func::cust("substr").args([value, Expr::val(-length)]).eq(wanted),
        TextTest::Contains => {
            let name = if postgres { "strpos" } else { "instr" };
            Func::cust(name).args([value, Expr::val(wanted)]).gt(0)
        }
    }
}

fn bound(field: &FieldRef, literal: &Literal) -> Expr {
    match literal {
        Literal::Text(text) if field.kind() == Type::Uuid => Expr::val(Uuid::try_parse(text).unwrap_or_default()),
        Literal::Text(text) => Expr::val(text.as_str()),
        Literal::Number(number) => Expr::val(*number),
        Literal::Truth(truth) => Expr::val(*truth),
    }
}

fn column(name: &'static str) -> Expr {
    Expr::col(("customer", name))
}

/// The value of a field that is no list.
fn value(field: &FieldRef) -> Expr {
    match field {
        FieldRef::Builtin(builtin) => match builtin {
            Builtin::Name => column("name"),
            Builtin::Kind => Expr::cust("(CASE customer.kind WHEN 2 THEN 'company' ELSE 'person' END)"),
            Builtin::Stage => column("stage"),
            Builtin::Grade => column("grade"),
            Builtin::Vip => column("vip"),
            Builtin::Pooled => column("pooled"),
            // A list is asked by `entries`; the parser lets nothing else through.
            Builtin::Tags => Expr::cust("NULL"),
            Builtin::City => column("city"),
            Builtin::Source => column("source"),
            Builtin::Birthday => column("birthday"),
            Builtin::ContractEnd => column("contract_end"),
            Builtin::ExternalId => column("external_id"),
            Builtin::OwnerId => column("owner_id"),
            Builtin::DepartmentId => column("department_id"),
            Builtin::CreateTime => column("created_at"),
            Builtin::UpdateTime => column("updated_at"),
        },
        FieldRef::Custom { id, column, .. } => {
            let mut select = side(*id);
            select.column(stored(*column)).and_where(Expr::col(("field_value", "ordinal")).eq(0));
            Expr::from(select)
        }
    }
}

fn stored(column: Column) -> &'static str {
    match column {
        Column::Text | Column::Choices => "text_value",
        Column::Number => "number_value",
        Column::Date => "date_value",
        Column::Truth => "truth_value",
        Column::Minor => "minor_value",
        Column::Currency => "currency_value",
    }
}

fn side(field: revisit_core::id::FieldId) -> SelectStatement {
    let mut select = Query::select();
    select
        .from("field_value")
        .and_where(Expr::col(("field_value", "tenant_id")).eq(column("tenant_id")))
        .and_where(Expr::col(("field_value", "customer_id")).eq(column("customer_id")))
        .and_where(Expr::col(("field_value", "field_id")).eq(field.uuid()));
    select
}

/// The entries of a list, or those that equal `wanted`.
fn entries(field: &FieldRef, wanted: Option<&String>) -> SelectStatement {
    let (mut select, entry) = match field {
        FieldRef::Builtin(_) => {
            let mut select = Query::select();
            select
                .from("customer_tag")
                .and_where(Expr::col(("customer_tag", "tenant_id")).eq(column("tenant_id")))
                .and_where(Expr::col(("customer_tag", "customer_id")).eq(column("customer_id")));
            (select, Expr::col(("customer_tag", "tag")))
        }
        FieldRef::Custom { id, .. } => (side(*id), Expr::col(("field_value", "text_value"))),
    };
    select.expr(Expr::cust("1"));
    if let Some(wanted) = wanted {
        select.and_where(entry.eq(wanted.as_str()));
    }
    select
}
