"""A bound store is a store: what it applies commits with the caller's own rows, or not at all."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from typing import Any

import pytest

from tests.stores.build import (
    NOW,
    REF,
    Paid,
    busy_tick,
    create,
    event,
    hook,
    instance,
    message,
    must,
    refused,
    send,
    step,
    tick,
)
from wfadapters.sqlite import SqliteStore
from wfcore.errors import StoreError, StoreUnavailableError, WriteFailedError
from wfcore.model import Snapshot
from wfcore.plan import AddEvent, Applied, Conflict, PutStep, Write

ORDER = "INSERT INTO paid VALUES ('order-1', 100)"


def orders(connection: sqlite3.Connection) -> list[str]:
    return [order for (order,) in connection.execute("SELECT order_id FROM paid ORDER BY rowid")]


def test_a4_it_commits_with_the_callers_rows(sqlite_store: SqliteStore, connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(ORDER)
    assert must(sqlite_store.within(connection).apply(create())).pending_hooks == {hook().id}
    assert sqlite_store.retrieve(REF).instance is None
    connection.execute("COMMIT")
    assert sqlite_store.retrieve(REF) == Snapshot(instance=instance(), hooks=(hook(),), now=NOW)
    assert orders(connection) == ["order-1"]


def test_a1_it_is_rolled_back_with_the_callers_rows(sqlite_store: SqliteStore, connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(ORDER)
    sqlite_store.within(connection).apply(create())
    connection.execute("ROLLBACK")
    assert (sqlite_store.retrieve(REF).instance, orders(connection)) == (None, [])


def test_a9_it_reads_what_the_caller_has_not_committed(
    sqlite_store: SqliteStore, connection: sqlite3.Connection
) -> None:
    connection.execute("BEGIN IMMEDIATE")
    bound = sqlite_store.within(connection)
    bound.apply(create())
    bound.apply(busy_tick())
    assert bound.retrieve(REF).instance == instance(version=2)
    connection.execute("COMMIT")


def test_a2_a_conflict_leaves_the_transaction_usable(sqlite_store: SqliteStore, connection: sqlite3.Connection) -> None:
    sqlite_store.apply(create())
    connection.execute("BEGIN IMMEDIATE")
    bound = sqlite_store.within(connection)
    assert bound.apply(create()) == Conflict(REF, 1, "e1")
    connection.execute(ORDER)
    assert isinstance(bound.apply(tick(1)), Applied)
    connection.execute("COMMIT")
    assert (sqlite_store.retrieve(REF).instance, orders(connection)) == (instance(version=2), ["order-1"])


@pytest.mark.parametrize("value", [Paid("order-2", -1), object()])
def test_a11_a_failed_write_undoes_its_plan_and_nothing_else(
    sqlite_store: SqliteStore, connection: sqlite3.Connection, value: object
) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(ORDER)
    bound = sqlite_store.within(connection)
    bound.apply(create())
    failing = tick(1, PutStep(step()), AddEvent(event()), Write(Paid("order-3", 1)), Write(value))
    assert isinstance(refused_by(bound.apply, failing), WriteFailedError)
    assert isinstance(bound.apply(send()), Applied)
    connection.execute("COMMIT")
    found = sqlite_store.retrieve(REF)
    assert found == Snapshot(instance=instance(), events=(event(),), hooks=(hook(), message()), now=NOW)
    assert orders(connection) == ["order-1"]


def test_a12_a_fault_ends_the_callers_transaction_or_leaves_it_usable(
    sqlite_store: SqliteStore, connection: sqlite3.Connection
) -> None:
    sqlite_store.apply(create())
    before = sqlite_store.retrieve(REF)
    connection.execute("BEGIN IMMEDIATE")
    sqlite_store.within(connection).apply(busy_tick())
    after = sqlite_store.within(connection).retrieve(REF)
    connection.execute("ROLLBACK")
    for place in range(1, 5_000):
        countdown = iter(range(place, -1, -1))
        connection.execute("BEGIN IMMEDIATE")
        bound = sqlite_store.within(connection)
        connection.set_progress_handler(partial(reaches_zero, countdown), 1)
        try:
            bound.apply(busy_tick())
        except StoreUnavailableError:
            connection.set_progress_handler(None, 1)
            if connection.in_transaction:
                assert bound.retrieve(REF) in (before, after)  # after: it was told of the fault too late
                connection.execute("ROLLBACK")
        else:
            connection.set_progress_handler(None, 1)
            connection.execute("ROLLBACK")
            break
        assert sqlite_store.retrieve(REF) == before
    else:
        pytest.fail("the plan was never applied")
    assert place > 5


def test_without_a_transaction_it_is_refused(sqlite_store: SqliteStore, connection: sqlite3.Connection) -> None:
    bound = sqlite_store.within(connection)
    for error in (refused(bound, create()), refused_by(bound.retrieve, REF)):
        assert isinstance(error, StoreUnavailableError)
        assert error.reason == "the connection has no open transaction"
        assert "BEGIN IMMEDIATE" in error.advice


def test_a_transaction_that_reads_old_rows_is_refused(
    sqlite_store: SqliteStore, connection: sqlite3.Connection
) -> None:
    connection.execute("BEGIN")
    orders(connection)
    sqlite_store.apply(create())
    bound = sqlite_store.within(connection)
    for error in (refused(bound, create()), refused_by(bound.retrieve, REF)):
        assert isinstance(error, StoreUnavailableError)
        assert "BEGIN IMMEDIATE" in error.advice
    connection.execute("ROLLBACK")


def test_a_transaction_that_cannot_become_the_writer_is_refused(
    sqlite_store: SqliteStore, connection: sqlite3.Connection
) -> None:
    with closing(sqlite3.connect(file_of(connection))) as other:
        other.execute(ORDER)  # holds the database
        connection.execute("BEGIN")
        error = refused_by(sqlite_store.within(connection).retrieve, REF)
        assert isinstance(error, StoreUnavailableError)
        other.rollback()
    connection.execute("ROLLBACK")


def test_a_plain_begin_becomes_a_write_transaction_before_anything_is_read(
    sqlite_store: SqliteStore, connection: sqlite3.Connection
) -> None:
    connection.execute("BEGIN")
    sqlite_store.within(connection).retrieve(REF)
    with closing(sqlite3.connect(file_of(connection), timeout=0)) as other, pytest.raises(sqlite3.OperationalError):
        other.execute(ORDER)
    connection.execute("ROLLBACK")


def test_the_callers_row_factory_does_not_matter(sqlite_store: SqliteStore, connection: sqlite3.Connection) -> None:
    connection.row_factory = lambda cursor, row: {"row": row}
    connection.execute("BEGIN IMMEDIATE")
    bound = sqlite_store.within(connection)
    bound.apply(create())
    assert bound.retrieve(REF).instance == instance()
    connection.execute("COMMIT")


def test_pythons_implicit_transactions_will_do(sqlite_store: SqliteStore, connection: sqlite3.Connection) -> None:
    with closing(sqlite3.connect(file_of(connection))) as implicit:
        with implicit:
            implicit.execute(ORDER)
            sqlite_store.within(implicit).apply(create())
        assert sqlite_store.retrieve(REF).instance == instance()


def test_a_connection_to_another_file_is_refused(sqlite_store: SqliteStore) -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as elsewhere:
        elsewhere.execute("BEGIN IMMEDIATE")
        assert "no such table: wfcore_meta" in str(refused(sqlite_store.within(elsewhere), create()))


def test_a_closed_connection_is_a_store_error(sqlite_store: SqliteStore) -> None:
    with closing(sqlite3.connect(":memory:")) as gone:
        pass
    assert "closed database" in str(refused(sqlite_store.within(gone), create()))


def reaches_zero(countdown: Iterator[int]) -> bool:
    return next(countdown, 1) == 0


def file_of(connection: sqlite3.Connection) -> str:
    return str(connection.execute("PRAGMA database_list").fetchone()[2])


def refused_by(call: Callable[[Any], object], argument: object) -> StoreError:
    with pytest.raises(StoreError) as caught:
        call(argument)
    return caught.value
