"""The stores under test. Each has its own clock, which tests move by hand."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.stores.build import NOW, Paid
from wfadapters.memory import MemoryStore
from wfadapters.sqlite import SqliteStore

AnyStore = MemoryStore | SqliteStore
OpenSqlite = Callable[..., SqliteStore]


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


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, clock: Clock) -> AnyStore:
    if request.param == "memory":
        return MemoryStore(clock)
    opened = request.getfixturevalue("sqlite_store")
    assert isinstance(opened, SqliteStore)
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
