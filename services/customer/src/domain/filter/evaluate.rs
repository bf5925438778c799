//! A filter's meaning in memory: Kleene's three-valued logic over one customer and what the reader may read of it.

use revisit_permission::{Level, Levels, Purpose};

use super::{Atom, Builtin, Column, Comparison, Expr, FieldRef, Literal, Test, TextTest};
use crate::domain::{
    customer::{Customer, CustomerKind},
    field::Value,
};

/// True, false or not to be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Truth {
    True,
    False,
    Unknown,
}

impl From<bool> for Truth {
    fn from(truth: bool) -> Self {
        if truth { Self::True } else { Self::False }
    }
}

/// Evaluates a filter on a customer as a reader with these levels sees it.
pub fn evaluate(expr: &Expr, customer: &Customer, levels: &Levels) -> Truth {
    match expr {
        Expr::And(parts) => {
            parts.iter().fold(Truth::True, |so_far, part| match (so_far, evaluate(part, customer, levels)) {
                (Truth::False, _) | (_, Truth::False) => Truth::False,
                (Truth::Unknown, _) | (_, Truth::Unknown) => Truth::Unknown,
                (Truth::True, Truth::True) => Truth::True,
            })
        }
        Expr::Or(parts) => {
            parts.iter().fold(Truth::False, |so_far, part| match (so_far, evaluate(part, customer, levels)) {
                (Truth::True, _) | (_, Truth::True) => Truth::True,
                (Truth::Unknown, _) | (_, Truth::Unknown) => Truth::Unknown,
                (Truth::False, Truth::False) => Truth::False,
            })
        }
        Expr::Not(part) => match evaluate(part, customer, levels) {
            Truth::True => Truth::False,
            Truth::False => Truth::True,
            Truth::Unknown => Truth::Unknown,
        },
        Expr::Always(truth) => Truth::from(*truth),
        Expr::Unknown => Truth::Unknown,
        Expr::Atom(atom) if levels.get(atom.field.layer()) < Level::Read => Truth::Unknown,
        Expr::Atom(atom) => answer(atom, customer),
    }
}

fn answer(atom: &Atom, customer: &Customer) -> Truth {
    if let Test::Contains(wanted) = &atom.test {
        return Truth::from(list(&atom.field, customer).iter().any(|entry| entry == wanted));
    }
    if atom.test == Test::Has {
        let present = match &atom.field {
            FieldRef::Builtin(Builtin::Tags) => !customer.tags.is_empty(),
            FieldRef::Custom { column: Column::Choices, .. } => !list(&atom.field, customer).is_empty(),
            FieldRef::Builtin(_) | FieldRef::Custom { .. } => value(&atom.field, customer).is_some(),
        };
        return Truth::from(present);
    }
    let Some(value) = value(&atom.field, customer) else { return Truth::Unknown };
    match &atom.test {
        Test::Compare(comparison, literal) => Truth::from(compare(*comparison, &value, literal)),
        Test::OneOf(literals) => Truth::from(literals.contains(&value)),
        Test::Text(test, wanted) => match &value {
            Literal::Text(text) => Truth::from(match test {
                TextTest::StartsWith => text.starts_with(wanted.as_str()),
                TextTest::EndsWith => text.ends_with(wanted.as_str()),
                TextTest::Contains => text.contains(wanted.as_str()),
            }),
            Literal::Number(_) | Literal::Truth(_) => Truth::Unknown,
        },
        Test::Has | Test::Contains(_) => Truth::Unknown,
    }
}

fn compare(comparison: Comparison, value: &Literal, literal: &Literal) -> bool {
    match comparison {
        Comparison::Equal => value == literal,
        Comparison::NotEqual => value != literal,
        Comparison::Less => value < literal,
        Comparison::LessOrEqual => value <= literal,
        Comparison::Greater => value > literal,
        Comparison::GreaterOrEqual => value >= literal,
    }
}

fn list<'a>(field: &FieldRef, customer: &'a Customer) -> &'a [String] {
    match field {
        FieldRef::Builtin(_) => &customer.tags,
        FieldRef::Custom { id, .. } => match customer.field(*id).map(|value| value.lift(Purpose::Judge)) {
            Some(Value::Choices(keys)) => keys,
            _ => &[],
        },
    }
}

/// The value of a field that is no list.
fn value(field: &FieldRef, customer: &Customer) -> Option<Literal> {
    let text = |text: &Option<String>| text.clone().map(Literal::Text);
    match field {
        FieldRef::Custom { id, column, .. } => match (customer.field(*id)?.lift(Purpose::Judge), column) {
            (Value::Text(text), _) | (Value::Date(text), _) => Some(Literal::Text(text.clone())),
            (Value::Number(number), _) => Some(Literal::Number(*number)),
            (Value::Truth(truth), _) => Some(Literal::Truth(*truth)),
            (Value::Money { currency, .. }, Column::Currency) => Some(Literal::Text(currency.clone())),
            (Value::Money { minor_units, .. }, _) => Some(Literal::Number(*minor_units)),
            (Value::Choices(keys), Column::Text) => keys.first().cloned().map(Literal::Text),
            (Value::Choices(_), _) => None,
        },
        FieldRef::Builtin(builtin) => match builtin {
            Builtin::Name => Some(Literal::Text(customer.name.clone())),
            Builtin::Kind => Some(Literal::Text(
                match customer.kind {
                    CustomerKind::Person => "person",
                    CustomerKind::Company => "company",
                }
                .to_owned(),
            )),
            Builtin::Stage => Some(Literal::Text(customer.stage.clone())),
            Builtin::Grade => text(&customer.grade),
            Builtin::Vip => Some(Literal::Truth(customer.vip)),
            Builtin::Pooled => Some(Literal::Truth(customer.pooled)),
            Builtin::Tags => None,
            Builtin::City => text(&customer.city),
            Builtin::Source => text(&customer.source),
            Builtin::Birthday => text(&customer.birthday),
            Builtin::ContractEnd => text(&customer.contract_end),
            Builtin::ExternalId => text(&customer.external_id),
            Builtin::OwnerId => customer.owner.map(|owner| Literal::Text(owner.to_string())),
            Builtin::DepartmentId => customer.department.map(|department| Literal::Text(department.to_string())),
            Builtin::CreateTime => Some(Literal::Number(customer.created_at.micros())),
            Builtin::UpdateTime => Some(Literal::Number(customer.updated_at.micros())),
        },
    }
}
