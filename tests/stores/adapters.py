"""Our own stores, as the conformance suite wants to know them."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path

from wfadapters.memory import MemoryStore
from wfadapters.sqlite import BoundStore, Sql, SqliteStore
from wfcore.ports import AsyncStore, Catalog, HookFeed, Listenable
from wfcore.runner import to_async
from wfcore.testing.conformance import Adapter, Note
from wfcore.testing.conformance.adapter import noon
from wfcore.testing.conformance.processes import cannot_be_opened

Clock = Callable[[], datetime]
TABLES = """
    CREATE TABLE IF NOT EXISTS note (place INTEGER PRIMARY KEY, text TEXT CHECK (text <> ''));
    CREATE TABLE IF NOT EXISTS reply (place INTEGER REFERENCES note DEFERRABLE INITIALLY DEFERRED);
"""
REPLY_TO_NOTHING = Sql("INSERT INTO reply VALUES (0)")


def memory() -> Adapter:
    return Adapter(
        open=MemoryStore,
        durable=False,
        written=lambda store: [note.text for note in store.writes],
        skips={
            "test_a11_a_failing_write_is_named_and_leaves_no_trace": "the memory store has no writers that could fail",
            "test_a11_a_write_without_a_writer_is_named_and_leaves_no_trace": "the memory store takes every value",
            "test_a11_a_store_is_as_good_as_before_after_failing_writes": "the memory store has no failing writes",
            "test_b2_a_failing_write_keeps_the_plans_before_its_own_and_no_other": "the memory store has no writers",
        },
    )


def can_do(adapter: Adapter) -> list[bool]:
    """What a blocking adapter declares, and what is found in its store."""
    told = adapter.durable, adapter.fails_at_commit is not None, cannot_be_opened(adapter.open) is None
    with adapter.open(noon) as store:
        found = [isinstance(store, port) for port in (HookFeed, Catalog, Listenable)]
    return [*told, *map(callable, (adapter.written, adapter.within, adapter.faulty)), *found]


def sqlite(path: Path) -> Adapter:
    make_table(path)
    return Adapter(
        open=partial(open_sqlite, path),
        written=lambda store: notes(path),
        fails_at_commit=REPLY_TO_NOTHING,
        within=partial(transaction, path),
        faulty=partial(open_sqlite, path),
    )


def sqlite_for_asyncio(path: Path) -> Adapter:
    make_table(path)
    return Adapter(
        open=partial(open_for_asyncio, path),
        written=lambda store: notes(path),
        fails_at_commit=REPLY_TO_NOTHING,
        faulty=lambda clock, strikes: to_async(open_sqlite(path, clock, strikes)),
    )


def open_sqlite(path: Path, clock: Clock, strikes: Callable[[], bool] | None = None) -> SqliteStore:
    """SQLite asks after every second instruction of its own, and interrupts what it is doing: a commit has three."""

    def on_connect(connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.set_progress_handler(strikes, 2)

    return SqliteStore(path, clock=clock, synchronous="OFF", writers={Note: write_note}, on_connect=on_connect)


@contextmanager
def open_for_asyncio(path: Path, clock: Clock) -> Iterator[AsyncStore]:
    with open_sqlite(path, clock) as store:
        yield to_async(store)


@contextmanager
def transaction(path: Path, store: SqliteStore) -> Iterator[BoundStore]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield store.within(connection)
        connection.execute("COMMIT")


def make_table(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(TABLES)


def write_note(connection: sqlite3.Connection, note: Note) -> None:
    connection.execute("INSERT INTO note (text) VALUES (?)", (note.text,))


def notes(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        return [text for (text,) in connection.execute("SELECT text FROM note ORDER BY place")]
