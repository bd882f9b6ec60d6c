"""Many plans at once in SQLite: one transaction, unless somebody's write fails (B2)."""

import sqlite3
from datetime import timedelta

import pytest

from tests.stores.build import OTHER, REF, create, tick
from tests.stores.conftest import OpenSqlite
from wfadapters.sqlite import SqliteStore
from wfcore.errors import StoreUnavailableError
from wfcore.plan import Applied, Conflict

THIRD = "checkout#order-3"


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


def test_b2_a_busy_database_leaves_no_trace_of_any(open_sqlite: OpenSqlite, connection: sqlite3.Connection) -> None:
    store = open_sqlite(timeout=timedelta(0))
    connection.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreUnavailableError):
        store.apply_many([create(), create(OTHER)])
    assert versions(store) == [None, None, None]
