"""The stores whose laws are tested, with what the laws look at beside the store itself."""

import atexit
import sqlite3
from collections.abc import Mapping
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import psycopg

from tests.postgres.blocking import BlockingStore
from tests.postgres.database import NUMBER, Database
from tests.stores.dump import world_in
from wfadapters.postgres import AsyncPostgresStore, PostgresStore
from wfadapters.sqlite import SqliteStore
from wfcore.evolve import Rows
from wfcore.plan import Applied, Conflict, Plan
from wfcore.testing.conformance.loop import Loop

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Subject(Protocol):
    """A store under test, empty at first."""

    store: Any

    def apply_within(self, plan: Plan) -> Applied | Conflict:
        """Apply in a transaction of the caller's, and commit it."""

    def world(self) -> Mapping[str, Rows]:
        """Every row, read without the store."""

    def numbers(self) -> list[object]:
        """What was written, in order."""

    def close(self) -> None: ...


class SqliteUnderTest:
    def __init__(self) -> None:
        self._cleanup = ExitStack()
        path = Path(self._cleanup.enter_context(TemporaryDirectory())) / "laws.db"
        store = SqliteStore(path, clock=lambda: NOW, synchronous="OFF", writers={int: _write_sqlite})
        self.store = self._cleanup.enter_context(store)
        self._connection = self._cleanup.enter_context(closing(sqlite3.connect(path, isolation_level=None)))
        self._connection.execute("CREATE TABLE numbers (number INTEGER)")

    def apply_within(self, plan: Plan) -> Applied | Conflict:
        self._connection.execute("BEGIN IMMEDIATE")
        answer = self.store.within(self._connection).apply(plan)
        self._connection.execute("COMMIT")
        return answer

    def world(self) -> Mapping[str, Rows]:
        return world_in(self._connection)

    def numbers(self) -> list[object]:
        return [number for (number,) in self._connection.execute("SELECT number FROM numbers ORDER BY rowid")]

    def close(self) -> None:
        self._cleanup.close()


class PostgresUnderTest:
    """One store for all examples: to open one takes longer than an example."""

    def __init__(self) -> None:
        self._database = Database.shared()
        self._database.clear()
        self.store: PostgresStore | BlockingStore = self._open()

    def _open(self) -> PostgresStore | BlockingStore:
        return _postgres()

    def apply_within(self, plan: Plan) -> Applied | Conflict:
        with self._database.connection.transaction():
            return _postgres().within(self._database.connection).apply(plan)

    def world(self) -> Mapping[str, Rows]:
        return world_in(self._database)

    def numbers(self) -> list[object]:
        return [number for (number,) in self._database.rows("SELECT number FROM numbers ORDER BY place")]

    def close(self) -> None:
        """Others go on with it."""


class AsyncPostgresUnderTest(PostgresUnderTest):
    def _open(self) -> PostgresStore | BlockingStore:
        return _async_postgres()[0]

    def apply_within(self, plan: Plan) -> Applied | Conflict:
        store, loop = _async_postgres()

        async def apply() -> Applied | Conflict:
            async with await psycopg.AsyncConnection.connect(self._database.url) as connection:
                answer: Applied | Conflict = await store.native.within(connection).apply(plan)
                return answer

        return loop.run(apply())


@cache
def _postgres() -> PostgresStore:
    database = Database.shared()
    store = PostgresStore(database.url, schema=database.schema, clock=lambda: NOW, writers={int: _write_postgres})
    atexit.register(store.close)
    return store


@cache
def _async_postgres() -> tuple[BlockingStore, Loop]:
    database, loop = Database.shared(), Loop()
    opened = AsyncPostgresStore(database.url, schema=database.schema, clock=lambda: NOW, writers={int: _write_async})
    store = BlockingStore(loop, opened)
    atexit.register(loop.close)
    atexit.register(store.close)
    return store, loop


def _write_sqlite(connection: sqlite3.Connection, number: int) -> None:
    connection.execute("INSERT INTO numbers VALUES (?)", (number,))


def _write_postgres(connection: psycopg.Connection[Any], number: int) -> None:
    connection.execute(NUMBER, (number,))


async def _write_async(connection: psycopg.AsyncConnection[Any], number: int) -> None:
    await connection.execute(NUMBER, (number,))
