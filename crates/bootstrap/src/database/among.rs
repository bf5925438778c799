//! How a statement asks for many keys at once.

use sea_orm::{
    IntoSimpleExpr, Value,
    sea_query::{Expr, ExprTrait, ValueType, extension::postgres::PgFunc},
};

use super::Tx;

impl Tx {
    /// That a column is among `values`.
    ///
    /// PostgreSQL is given them as one array: one text whatever their number, planned as for few values. A list of
    /// parameters has a text for every length, which fills the statement cache of each connection.
    pub fn among<V>(&self, column: impl IntoSimpleExpr, values: impl IntoIterator<Item = V>) -> Expr
    where
        V: Into<Value> + ValueType,
    {
        let column = column.into_simple_expr();
        if !self.is_postgres() {
            return column.is_in(values);
        }
        let values = values.into_iter().map(Into::into).collect();
        column.eq(PgFunc::any(Expr::val(Value::Array(V::array_type(), Some(Box::new(values))))))
    }
}
