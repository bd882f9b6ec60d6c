"""Many plans at once in SQLite: one transaction, unless somebody's write fails (B2)."""

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from tests.stores.build import OTHER, REF, create, step, tick
from tests.stores.conftest import OpenSqlite
from wfadapters.sqlite import Sql, SqliteStore
from wfcore.errors import StoreUnavailableError, WriteFailedError
from wfcore.plan import Applied, Conflict, PutStep, Write

THIRD = "checkout#order-3"
REFUND = "CREATE TABLE refund (order_id TEXT REFERENCES paid (order_id) DEFERRABLE INITIALLY DEFERRED)"


def versions(store: SqliteStore) -> list[int | None]:
    rows = [store.retrieve(ref).instance for ref in (REF, OTHER, THIRD)]
    return [None if row is None else row.version for row in rows]


def test_b2_many_plans_are_one_transaction(open_sqlite: OpenSqlite) -> None:
    statements: list[str] = []
    store = open_sqlite(on_connect=lambda connection: connection.set_trace_callback(statements.append))
    statements.clear()
    answers = store.apply_many([create(), create(OTHER), create(), tick(1)])
    assert [type(each) for each in answers] == [Applied, Applied, Conflict, Applied]
    assert [each for each in statements if each.startswith(("BEGIN", "COMMIT"))] == ["BEGIN IMMEDIATE", "COMMIT"]


def test_b2_no_plan_is_no_transaction(open_sqlite: OpenSqlite, connection: sqlite3.Connection) -> None:
    store = open_sqlite()
    connection.execute("BEGIN IMMEDIATE")
    assert store.apply_many([]) == []


def test_b2_a_constraint_that_is_checked_at_commit_fails_the_plan_that_broke_it(
    open_sqlite: OpenSqlite, path: Path
) -> None:
    store = open_sqlite(on_connect=lambda connection: connection.execute("PRAGMA foreign_keys = ON"))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(REFUND)
    broken = tick(1, PutStep(step()), Write(Sql("INSERT INTO refund VALUES ('order-1')")))
    whole = tick(1, Write(Sql("INSERT INTO paid VALUES ('order-2', 1)")), ref=OTHER)
    with pytest.raises(WriteFailedError, match="at commit: FOREIGN KEY") as caught:
        store.apply_many([create(), create(OTHER), broken, whole, create(THIRD)])
    assert (caught.value.index, versions(store)) == (2, [1, 1, None])


def test_b2_a_busy_database_leaves_no_trace_of_any(open_sqlite: OpenSqlite, connection: sqlite3.Connection) -> None:
    store = open_sqlite(timeout=timedelta(0))
    connection.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailableError):
        store.apply_many([create(), create(OTHER)])
    assert versions(store) == [None, None, None]
