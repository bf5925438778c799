"""Lists a table of its own by `Access.ListFilter` and compares it with `Access.BatchCheck`, row by row.

Run by the tests with a JSON file that says where the server is, who logs in, and which ids exist:

    list_equals_check.py FILE

Rows and levels must be the same for every subject and action: what a filter lists is what a check allows.
"""

import collections
import json
import pathlib
import random
import sqlite3
import sys

import grpc

from client import stubs

LAYERS = ["basic", "sensitive", "history", "financial", "review"]
HIDDEN, READ, WRITE = 1, 3, 4

TABLES = """
CREATE TABLE document (id TEXT PRIMARY KEY, tenant_id TEXT NOT NULL, owner_id TEXT, department_id TEXT, stage TEXT,
  grade TEXT, vip BOOLEAN NOT NULL, pooled BOOLEAN NOT NULL, auth_rev INTEGER NOT NULL);
CREATE TABLE document_team (document_id TEXT NOT NULL, team_id TEXT NOT NULL);
CREATE TABLE document_task (document_id TEXT NOT NULL, subject_id TEXT, until_micros INTEGER NOT NULL, layer TEXT NOT NULL);
"""


def fill(connection, facts, chance):
    """A table in which everything meets everything, nulls and ids that nobody knows included."""
    some = lambda values: chance.choice(values + [None])
    for row_id in facts["row_ids"]:
        owner, pooled = some(facts["subjects"] + [facts["stranger"]]), chance.random() < 0.4
        connection.execute("INSERT INTO document VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (
            row_id, facts["tenant_id"], owner, some(facts["departments"] + [facts["stranger"]]),
            some(["lead", "won", "service"]), some(["A", "B", "C"]), chance.random() < 0.3, pooled,
            chance.choice([0, 1, 1, 1_000_000_000]) if chance.random() < 0.1 else 0))
        if chance.random() < 0.3:
            connection.execute("INSERT INTO document_team VALUES (?, ?)", (row_id, chance.choice([facts["team_id"], facts["stranger"]])))
        if chance.random() < 0.4:
            until = facts["now_micros"] + chance.choice([-60, 3_600]) * 1_000_000
            connection.execute("INSERT INTO document_task VALUES (?, ?, ?, ?)", (row_id, some(facts["subjects"]), until, chance.choice(LAYERS)))


def attributes(connection, decisions_pb2, facts):
    """Every row as a question shows it."""
    rows = connection.execute("SELECT id, owner_id, department_id, stage, grade, vip, pooled, auth_rev FROM document ORDER BY id")
    for row_id, owner, department, stage, grade, vip, pooled, auth_rev in rows.fetchall():
        row = decisions_pb2.RowAttributes(
            row_id=row_id, owner_id=owner or "", department_id=department or "", stage=stage or "", grade=grade or "",
            vip=bool(vip), pooled=bool(pooled), auth_rev=auth_rev)
        row.team_ids.extend(team for (team,) in connection.execute("SELECT team_id FROM document_team WHERE document_id = ?", [row_id]))
        for subject, until, layer in connection.execute("SELECT subject_id, until_micros, layer FROM document_task WHERE document_id = ?", [row_id]):
            holder = row.task_holders.add(task_id=facts["stranger"], generation=1, subject_id=subject or "")
            setattr(holder.layers, layer, READ)
            holder.until_time.FromMicroseconds(until)
        yield row


def levels(connection, filters, answer):
    """The levels of every listed row: per account the highest of its clauses, of all accounts the lowest, below the caps."""
    def rows(condition):
        return [row for (row,) in connection.execute(f"SELECT id FROM document WHERE {condition.sql}", condition.values)]

    def given(account, clause, row):
        named = {layer: getattr(clause.levels, layer) for layer in LAYERS}
        if clause.kind != filters.rights_pb2.EXTENT_KIND_TASK:
            return named
        lent = {"basic"} | {layer for (layer, subject, until) in connection.execute(
            "SELECT layer, subject_id, until_micros FROM document_task WHERE document_id = ?", [row])
            if subject in account.subject_ids and until > filters.micros(answer.decide_time)}
        return {layer: min(named[layer], READ) if layer in lent else HIDDEN for layer in LAYERS}

    found = collections.defaultdict(lambda: {layer: WRITE for layer in LAYERS})
    for account in answer.accounts:
        highest = collections.defaultdict(lambda: {layer: HIDDEN for layer in LAYERS})
        for clause in account.clauses:
            for row in rows(filters.translate_clause(account, clause, answer.decide_time)):
                one = given(account, clause, row)
                highest[row] = {layer: max(highest[row][layer], one[layer]) for layer in LAYERS}
        for row, its in highest.items():
            found[row] = {layer: min(found[row][layer], its[layer]) for layer in LAYERS}
    for guard in answer.guards:
        if guard.HasField("cap"):
            for row in rows(filters.translate_guard(guard)):
                found[row] = {layer: min(found[row][layer], getattr(guard.cap, layer)) for layer in LAYERS}
    return {row: tuple(found[row][layer] for layer in LAYERS) for row in filters.listed(connection, answer)}


def main():
    facts = json.loads(pathlib.Path(sys.argv[1]).read_text())
    stubs()
    import list_filter as filters
    from revisit.identity.v1 import access_pb2_grpc, auth_pb2, auth_pb2_grpc, decisions_pb2, filters_pb2

    connection = sqlite3.connect(":memory:")
    connection.executescript(TABLES)
    fill(connection, facts, random.Random(facts["seed"]))
    kinds, compared, listed = set(), 0, 0
    with grpc.insecure_channel(facts["address"]) as channel:
        tokens = auth_pb2_grpc.AuthStub(channel).LogIn(auth_pb2.LogInRequest(
            tenant_key=facts["tenant"], username=facts["username"], password=facts["password"], device="python"), timeout=30)
        session = {"metadata": [("authorization", "Bearer " + tokens.access_token)], "timeout": 60}
        access = access_pb2_grpc.AccessStub(channel)
        rows = list(attributes(connection, decisions_pb2, facts))
        for subject in facts["subjects"]:
            for action in facts["actions"]:
                answer = access.ListFilter(filters_pb2.ListFilterRequest(subject_id=subject, action=action), **session)
                kinds |= {clause.kind for account in answer.accounts for clause in account.clauses}
                checks = [decisions_pb2.CheckRequest(subject_id=subject, action=action, row=row) for row in rows]
                checked = access.BatchCheck(decisions_pb2.BatchCheckRequest(checks=checks), **session).results
                expected = {row.row_id: tuple(getattr(result.answer.levels, layer) for layer in LAYERS)
                            for row, result in zip(rows, checked) if result.answer.allowed}
                actual = levels(connection, filters, answer)
                assert actual.keys() == expected.keys(), (
                    f"{subject} {action}: only listed {actual.keys() - expected.keys()}, only allowed {expected.keys() - actual.keys()}\n{answer}")
                different = {row: (actual[row], expected[row]) for row in actual if actual[row] != expected[row]}
                assert not different, f"{subject} {action}: levels {different}\n{answer}"
                compared, listed = compared + len(rows), listed + len(actual)
    print(f"compared {compared} answers, {listed} listed, kinds of reach {len(kinds)}")


if __name__ == "__main__":
    main()
