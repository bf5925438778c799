//! Places in a list: where the next page begins, under each of the orders.

use sea_orm::sea_query::{Expr, ExprTrait};
use uuid::Uuid;

use super::{Order, SortKey};
use crate::domain::customer::Customer;

/// Place in an order: where the next page begins.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    sort: Sort,
    id: Uuid,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Sort {
    None,
    Number(i64),
    Text(String),
}

impl Place {
    pub fn of(customer: &Customer, key: SortKey) -> Self {
        let sort = match key {
            SortKey::CreateTime => Sort::None,
            SortKey::UpdateTime => Sort::Number(customer.updated_at.micros()),
            SortKey::Name => Sort::Text(customer.name.clone()),
        };
        Self { sort, id: customer.id.uuid() }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.id.as_bytes().to_vec();
        match &self.sort {
            Sort::None => {}
            Sort::Number(number) => bytes.extend_from_slice(&number.to_be_bytes()),
            Sort::Text(text) => bytes.extend_from_slice(text.as_bytes()),
        }
        bytes
    }

    /// Reads what `bytes` wrote; none when it was not made for this key.
    pub fn read(bytes: &[u8], key: SortKey) -> Option<Self> {
        let (id, rest) = bytes.split_at_checked(16)?;
        let sort = match key {
            SortKey::CreateTime => rest.is_empty().then_some(Sort::None)?,
            SortKey::UpdateTime => Sort::Number(i64::from_be_bytes(rest.try_into().ok()?)),
            SortKey::Name => Sort::Text(String::from_utf8(rest.to_vec()).ok()?),
        };
        Some(Self { sort, id: Uuid::from_slice(id).ok()? })
    }

    pub(super) fn beyond(&self, order: Order) -> Expr {
        let past = |column: Expr, value: Expr| if order.descending { column.lt(value) } else { column.gt(value) };
        let id = past(Expr::col(("customer", "customer_id")), Expr::val(self.id));
        let (column, value) = match &self.sort {
            Sort::None => return id,
            Sort::Number(number) => (Expr::col(("customer", "updated_at")), Expr::val(*number)),
            Sort::Text(text) => (Expr::col(("customer", "name")), Expr::val(text.as_str())),
        };
        past(column.clone(), value.clone()).or(column.eq(value).and(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_reads_back_for_its_own_sort_key_only() {
        let place = Place { sort: Sort::Number(-7), id: Uuid::from_u128(1) };
        assert_eq!(Place::read(&place.bytes(), SortKey::UpdateTime), Some(place.clone()));
        assert_eq!(Place::read(&place.bytes(), SortKey::CreateTime), None);
        assert_eq!(Place::read(b"short", SortKey::Name), None);
    }
}
