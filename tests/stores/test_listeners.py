"""Listening in one process: a hint after the commit, and only then."""

import logging
import sqlite3

import pytest

from tests.postgres.blocking import BlockingStore
from tests.stores.build import OTHER, REF, Paid, create, hook, instance, plan, refused, send, tick
from tests.stores.conftest import AnyStore, OpenSqlite
from wfadapters.sqlite import SqliteStore
from wfcore.plan import AddHook, AddInstance, AtVersion, Write


def hearing(store: AnyStore) -> list[str]:
    """The refs that a listener hears from now on; not that it may have missed some, which PostgreSQL says at first."""
    heard: list[str] = []
    store.listen(lambda ref: heard.append(ref) if ref else None)
    return heard


def test_a_listener_hears_every_ref_that_a_plan_touches(store: AnyStore) -> None:
    heard = hearing(store)
    store.apply(create())
    assert heard == [REF]
    store.apply(tick(1, AddInstance(instance(OTHER)), AddHook(hook(OTHER)), Write(Paid("order-1", 1))))
    assert heard == [REF, REF, OTHER]


@pytest.fixture
def other(request: pytest.FixtureRequest, store: AnyStore) -> AnyStore:
    """What a listener may call: this store, or, if it would wait for the event loop that it is on, another."""
    if not isinstance(store, BlockingStore):
        return store
    opened: AnyStore = request.getfixturevalue("postgres_store")
    return opened


def test_a_listener_is_called_after_the_commit(store: AnyStore, other: AnyStore) -> None:
    found: list[object] = []
    store.listen(lambda ref: found.append(other.retrieve(ref).instance) if ref else None)
    store.apply(create())
    assert found == [instance()]


def test_a_listener_may_apply(store: AnyStore, other: AnyStore) -> None:
    def listen(_ref: str) -> None:
        other.apply(create(OTHER))  # a conflict, the second time

    store.listen(listen)
    store.apply(create())
    assert store.retrieve(OTHER).instance == instance(OTHER)


def test_nobody_hears_of_a_conflict_or_an_empty_plan(store: AnyStore) -> None:
    store.apply(create())
    heard = hearing(store)
    store.apply(create())
    store.apply(plan(given=(AtVersion(REF, 1, "e1"),)))
    assert heard == []


def test_nobody_hears_of_a_failed_write(open_sqlite: OpenSqlite) -> None:
    store, heard = open_sqlite(), list[str]()
    store.apply(create())
    store.listen(heard.append)
    refused(store, tick(1, Write(object())))
    assert heard == []


def test_a_listener_that_left_hears_nothing(store: AnyStore) -> None:
    first: list[str] = []
    stop = store.listen(lambda ref: first.append(ref) if ref else None)
    second = hearing(store)
    stop()
    stop()
    store.apply(create())
    assert (first, second) == ([], [REF])


def test_a_listener_that_fails_disturbs_nobody(store: AnyStore, caplog: pytest.LogCaptureFixture) -> None:
    def fail(ref: str) -> None:
        raise LookupError(ref)

    store.listen(fail)
    heard = hearing(store)
    with caplog.at_level(logging.ERROR, "wfcore.store"):
        store.apply(create())
    assert heard == [REF]
    assert "a listener failed for 'checkout#order-1'" in caplog.text


def test_a_bound_store_notifies_nobody(sqlite_store: SqliteStore, connection: sqlite3.Connection) -> None:
    heard: list[str] = []
    sqlite_store.listen(heard.append)
    connection.execute("BEGIN IMMEDIATE")
    sqlite_store.within(connection).apply(create())
    sqlite_store.within(connection).apply(send())
    connection.execute("COMMIT")
    assert heard == []
