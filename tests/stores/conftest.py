"""The stores under test. Each has its own clock, which tests move by hand."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import psycopg
import pytest

from tests.postgres.blocking import BlockingStore
from tests.postgres.database import PAID, Database
from tests.stores.build import NOW, Paid
from wfadapters.memory import MemoryStore
from wfadapters.postgres import AsyncPostgresStore, PostgresStore
from wfadapters.sqlite import SqliteStore
from wfcore.testing.conformance.loop import Loop

AnyStore = MemoryStore | SqliteStore | PostgresStore | BlockingStore
OpenSqlite = Callable[..., SqliteStore]
OpenPostgres = Callable[..., PostgresStore]


@attrs.define
class Clock:
    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now

    def advance(self, by: timedelta) -> None:
        self.now += by


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "workflows.db"


@pytest.fixture
def open_sqlite(path: Path, clock: Clock) -> Iterator[OpenSqlite]:
    """Opens a store on the file of this test, with a writer of ``Paid`` and a table for it; closes it at the end."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS paid (order_id TEXT PRIMARY KEY, cents INTEGER CHECK (cents >= 0))"
        )
        connection.commit()
    with ExitStack() as stores:

        def open_store(**options: Any) -> SqliteStore:
            options = {"clock": clock, "synchronous": "OFF", "writers": {Paid: write_paid}, **options}
            return stores.enter_context(SqliteStore(options.pop("path", path), **options))

        yield open_store


@pytest.fixture
def sqlite_store(open_sqlite: OpenSqlite) -> SqliteStore:
    return open_sqlite()


@pytest.fixture
def database() -> Database:
    """A database of PostgreSQL: empty tables, and one for ``Paid``."""
    database = Database.shared()
    database.clear()
    return database


@pytest.fixture
def open_postgres(database: Database, clock: Clock) -> Iterator[OpenPostgres]:
    """Opens a store on the database, with a writer of ``Paid``; closes it at the end."""
    with ExitStack() as stores:

        def open_store(**options: Any) -> PostgresStore:
            options = {"schema": database.schema, "clock": clock, "writers": {Paid: write_paid_too}, **options}
            return stores.enter_context(PostgresStore(options.pop("conninfo", database.url), **options))

        yield open_store


@pytest.fixture
def postgres_store(open_postgres: OpenPostgres) -> PostgresStore:
    return open_postgres()


@pytest.fixture(scope="session")
def loop() -> Iterator[Loop]:
    with closing(Loop()) as loop:
        yield loop


@pytest.fixture
def async_store(database: Database, clock: Clock, loop: Loop) -> Iterator[BlockingStore]:
    store = AsyncPostgresStore(
        database.url, schema=database.schema, clock=clock, writers={Paid: write_paid_async}, pool_size=4
    )
    with closing(BlockingStore(loop, store)) as blocking:
        yield blocking


@pytest.fixture(
    params=[
        "memory",
        "sqlite",
        pytest.param("postgres", marks=pytest.mark.postgres),
        pytest.param("async", marks=pytest.mark.postgres),
    ]
)
def store(request: pytest.FixtureRequest, clock: Clock) -> AnyStore:
    if request.param == "memory":
        return MemoryStore(clock)
    opened = request.getfixturevalue(f"{request.param}_store")
    assert isinstance(opened, AnyStore)
    return opened


@pytest.fixture
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection of the test's own to the same file."""
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as connection:
        yield connection


@pytest.fixture
def unprivileged(tmp_path: Path) -> Iterator[None]:
    """Permissions of files count, also where the tests are run by root."""
    if os.geteuid() != 0:
        yield
        return
    nobody = 65534
    for folder in [tmp_path, *tmp_path.parents][:3]:
        folder.chmod(0o755)
    for file in [tmp_path, *tmp_path.rglob("*")]:
        os.chown(file, nobody, nobody)
    os.seteuid(nobody)
    try:
        yield
    finally:
        os.seteuid(0)


def write_paid(connection: sqlite3.Connection, value: Paid) -> None:
    connection.execute("INSERT INTO paid VALUES (?, ?)", (value.order, value.cents))


def write_paid_too(connection: psycopg.Connection[Any], value: Paid) -> None:
    connection.execute(PAID, (value.order, value.cents))


async def write_paid_async(connection: psycopg.AsyncConnection[Any], value: Paid) -> None:
    await connection.execute(PAID, (value.order, value.cents))
