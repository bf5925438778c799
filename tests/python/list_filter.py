"""How a service in another language lists the rows of its own table that somebody may see.

`translate` turns the answer of `Access.ListFilter` into one condition of SQL. It is written for sqlite3 and uses nothing
that another database does not have. What it relies on is told by the comments of `filters.proto`:

- An attribute that a row lacks (null) fails every test that reads it. SQL calls such a test neither true nor false, and
  NOT of it too; so each test begins with IS NOT NULL wherever it may end up under a NOT.
- Every account must match by some clause; a guard without a cap takes rows away.
- A filter is good until `valid_until_time`: a few seconds. Ask again for each list.

The tables that it reads, one row of `document` for each row that is protected:

    document(id, tenant_id, owner_id, department_id, stage, grade, vip, pooled, auth_rev)
    document_team(document_id, team_id)
    document_task(document_id, subject_id, until_micros, ...)
"""

from revisit.identity.v1 import rights_pb2

IN_POOL = "(document.pooled AND document.owner_id IS NULL)"
NEVER = "0 = 1"


class Condition:
    """A piece of SQL and the values of its placeholders."""

    def __init__(self, sql, values=()):
        self.sql, self.values = sql, list(values)

    def __and__(self, other):
        return Condition(f"({self.sql} AND {other.sql})", self.values + other.values)

    def __or__(self, other):
        return Condition(f"({self.sql} OR {other.sql})", self.values + other.values)

    def __invert__(self):
        return Condition(f"(NOT {self.sql})", self.values)


def one_of(column, values):
    """True or false, and never null."""
    marks = ", ".join("?" for _ in values)
    return Condition(f"({column} IS NOT NULL AND {column} IN ({marks}))", values) if values else Condition(NEVER)


def micros(timestamp):
    return timestamp.seconds * 1_000_000 + timestamp.nanos // 1_000


def translate_clause(account, clause, decide_time):
    """The rows that one grant gives: reach, stages and grades belong together."""
    kinds, subjects = rights_pb2.ExtentKind, list(account.subject_ids)
    placed = one_of("document.department_id", list(clause.department_ids))
    marks = ", ".join("?" for _ in subjects)
    reaches = {
        kinds.EXTENT_KIND_OWN: lambda: one_of("document.owner_id", subjects),
        kinds.EXTENT_KIND_TASK: lambda: Condition(
            "(document.id IN (SELECT document_id FROM document_task"
            f" WHERE subject_id IN ({marks}) AND until_micros > ?))", subjects + [micros(decide_time)]),
        kinds.EXTENT_KIND_DEPARTMENT: lambda: placed & ~Condition(IN_POOL),
        kinds.EXTENT_KIND_SUBTREE: lambda: placed & ~Condition(IN_POOL),
        kinds.EXTENT_KIND_POOLED_DEPARTMENT: lambda: placed & Condition(IN_POOL),
        kinds.EXTENT_KIND_POOLED_SUBTREE: lambda: placed & Condition(IN_POOL),
        kinds.EXTENT_KIND_TEAM: lambda: Condition(
            "(document.id IN (SELECT document_id FROM document_team WHERE team_id = ?))", [clause.team_id]),
        kinds.EXTENT_KIND_IDS: lambda: one_of("document.id", list(clause.row_ids)),
        kinds.EXTENT_KIND_TENANT: lambda: Condition("1 = 1"),
    }
    condition = reaches[clause.kind]()
    if clause.stages:
        condition &= one_of("document.stage", list(clause.stages))
    if clause.grades:
        condition &= one_of("document.grade", list(clause.grades))
    if clause.HasField("delegation"):
        condition &= translate_rights(clause.delegation, decide_time)
    return condition


def translate_rights(rights, decide_time):
    """Some clause of every account matches, and no denying guard covers the row."""
    condition = Condition("1 = 1")
    for account in rights.accounts:
        some = Condition(NEVER)
        for clause in account.clauses:
            some |= translate_clause(account, clause, decide_time)
        condition &= some
    for guard in rights.guards:
        if not guard.HasField("cap"):
            condition &= ~translate_guard(guard)
    return condition


def translate_guard(guard):
    """The rows that one guard covers."""
    condition = Condition("1 = 1")
    if guard.except_owner_ids:
        condition &= ~one_of("document.owner_id", list(guard.except_owner_ids))
    if guard.vip:
        condition &= Condition("document.vip")
    if guard.pooled:
        condition &= Condition("document.pooled")
    for column, values in [("stage", guard.stages), ("grade", guard.grades),
                           ("department_id", guard.department_ids), ("id", guard.row_ids)]:
        if values:
            condition &= one_of(f"document.{column}", list(values))
    return condition


def translate(answer):
    """The whole filter, as a condition over `document`."""
    condition = Condition("document.tenant_id = ?", [answer.tenant_id])
    condition &= Condition("document.auth_rev <= ?", [answer.revision])
    return condition & translate_rights(answer, answer.decide_time)


def listed(connection, answer):
    """The ids of the rows that the subject may see."""
    condition = translate(answer)
    return {row for (row,) in connection.execute(f"SELECT id FROM document WHERE {condition.sql}", condition.values)}
