//! The shape of the conditions; that they mean what memory means is law L3 in the behaviour tests.

use sea_query::{IntoColumnRef, PostgresQueryBuilder};

use super::*;
use crate::{
    Action, Caller,
    fixture::{BOSS, NEWCOMER, NOW, REP_ONE, SALES_LEAD, company_with, id, leased, tenant},
};

fn columns() -> Columns {
    let column = |name: &'static str| Some(name.into_column_ref());
    Columns {
        owner: column("owner"),
        department: column("department"),
        stage: column("stage"),
        pooled: column("pooled"),
        ..Columns::new("tenant", "id")
    }
}

fn sql(condition: Condition) -> String {
    Query::select().column("id").from("t").cond_where(condition).to_string(PostgresQueryBuilder)
}

#[test]
fn nothing_in_reach_is_a_condition_that_no_row_meets() {
    let snapshot = company_with(&[]);
    let nothing = snapshot.predicate(id(NEWCOMER), Action::CustomerView);
    assert!(nothing.conditions(&columns(), NOW).is_empty());
    assert!(sql(any(Vec::new())).ends_with("WHERE 0 = 1"));
}

#[test]
fn every_condition_names_the_tenant_and_no_condition_spans_two_extent_columns() {
    let snapshot = company_with(&[]);
    for who in [REP_ONE, SALES_LEAD, BOSS] {
        for condition in snapshot.predicate(id(who), Action::CustomerView).conditions(&columns(), NOW) {
            let sql = sql(condition);
            assert!(sql.contains(r#""tenant" = "#) && !sql.contains(" OR "), "{sql}");
        }
    }
}

#[test]
fn a_clause_whose_rows_another_one_lists_costs_no_query() {
    let snapshot = company_with(&[crate::fixture::assign(BOSS, "sales_manager")]);
    assert!(snapshot.predicate(id(BOSS), Action::CustomerView).clauses().count() > 2);
    assert_eq!(snapshot.predicate(id(BOSS), Action::CustomerView).conditions(&columns(), NOW).len(), 1);
}

#[test]
fn an_attribute_without_a_column_matches_nothing() {
    let (leases, _clock) = leased(company_with(&[]));
    let scope =
        Caller::named(tenant(), id(REP_ONE)).scope(&leases, Action::CustomerView).expect("a rep sees customers");
    let bare = sql(scope.condition(&Columns::new("tenant", "id")));
    assert!(!bare.contains("owner") && bare.contains("1 = 2"), "{bare}");
}
