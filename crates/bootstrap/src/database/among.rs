//! How a statement asks for many keys at once.

use sea_orm::{
    IntoSimpleExpr, Value,
    sea_query::{
        Asterisk, Expr, ExprTrait, Func, IntoColumnRef, JoinType, Query, SelectStatement, ValueType,
        extension::postgres::PgFunc,
    },
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
        column.eq(PgFunc::any(array(values)))
    }

    /// The rows of one table whose unique `column` (beside what `select` already asks for) is among `values`.
    ///
    /// PostgreSQL looks up each by itself, in one statement. Given hundreds of them as one condition, it takes reading
    /// the whole table for cheaper than as many descents of an index, until the table is large.
    pub fn look_up<V>(
        &self,
        select: SelectStatement,
        column: impl IntoColumnRef,
        values: impl IntoIterator<Item = V>,
    ) -> SelectStatement
    where
        V: Into<Value> + ValueType,
    {
        if !self.is_postgres() {
            let mut select = select;
            return select.and_where(Expr::col(column).is_in(values)).take();
        }
        self.look_up_each(select, column, (values, 1))
    }

    /// The same on PostgreSQL for a column that is not unique: of each value at most so many rows.
    pub fn look_up_each<V>(
        &self,
        mut select: SelectStatement,
        column: impl IntoColumnRef,
        (values, most): (impl IntoIterator<Item = V>, u64),
    ) -> SelectStatement
    where
        V: Into<Value> + ValueType,
    {
        // The limit also keeps the planner from making a join of it, which would bring the whole table back.
        select.and_where(Expr::col(column).eq(Expr::col(WANTED))).limit(most);
        Query::select()
            .column((FOUND, Asterisk))
            .from_function(Func::cust("unnest").arg(array(values)), WANTED)
            .join_lateral(JoinType::InnerJoin, select, FOUND, Expr::cust("TRUE"))
            .take()
    }
}

/// Names of the two sides of a look-up: what is wanted, what was found.
const WANTED: &str = "wanted";
const FOUND: &str = "found";

fn array<V: Into<Value> + ValueType>(values: impl IntoIterator<Item = V>) -> Expr {
    let values = values.into_iter().map(Into::into).collect();
    Expr::val(Value::Array(V::array_type(), Some(Box::new(values))))
}
