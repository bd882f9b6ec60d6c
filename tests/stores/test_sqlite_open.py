"""Opening, closing and reopening an SQLite file; its schema and its version."""

import sqlite3
from contextlib import closing
from datetime import timedelta
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.stores.build import NOW, REF, busy_tick, create, hook, instance, refused, tick
from tests.stores.conftest import OpenSqlite
from wfadapters import rows
from wfadapters.columns import Table
from wfadapters.sqlite import SqliteStore, schema
from wfcore.errors import CorruptRecordError, SchemaVersionError, StoreError, StoreUnavailableError
from wfcore.model import Snapshot
from wfcore.plan import Applied
from wfcore.ports import DueQuery


def opening_fails(path: Path | str) -> StoreError:
    with pytest.raises(StoreError) as caught:
        SqliteStore(path, timeout=timedelta(0))
    return caught.value


def test_a4_what_was_applied_is_there_after_reopening(open_sqlite: OpenSqlite) -> None:
    with open_sqlite() as store:
        store.apply(create())
    with open_sqlite() as store:
        assert store.retrieve(REF) == Snapshot(instance=instance(), hooks=(hook(),), now=NOW)
        assert isinstance(store.apply(tick(1)), Applied)


def test_a4_what_was_applied_is_in_the_file_before_apply_returns(
    sqlite_store: SqliteStore, path: Path, tmp_path: Path
) -> None:
    sqlite_store.apply(create())
    for suffix in ("", "-wal"):  # as a crash would leave them
        (tmp_path / f"copy.db{suffix}").write_bytes(Path(f"{path}{suffix}").read_bytes())
    with SqliteStore(tmp_path / "copy.db") as copy:
        assert copy.retrieve(REF).instance == instance()


@pytest.mark.parametrize(("synchronous", "number"), [("OFF", 0), ("NORMAL", 1), ("FULL", 2), ("EXTRA", 3)])
def test_a4_synchronous_is_set_on_every_connection(open_sqlite: OpenSqlite, synchronous: str, number: int) -> None:
    store = open_sqlite(synchronous=synchronous)
    with store._connections.cursor("test") as first, store._connections.cursor("test") as second:
        assert [cursor.execute("PRAGMA synchronous").fetchone() for cursor in (first, second)] == [(number,)] * 2


def test_a4_full_is_the_default(path: Path) -> None:
    with SqliteStore(path) as store, store._connections.cursor("test") as cursor:
        assert cursor.execute("PRAGMA synchronous").fetchone() == (2,)
        assert cursor.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_timedelta_max_waits_as_long_as_sqlite_can(open_sqlite: OpenSqlite) -> None:
    store = open_sqlite(timeout=timedelta.max)
    assert isinstance(store.apply(create()), Applied)
    with store._connections.cursor("test") as cursor:
        (milliseconds,) = cursor.execute("PRAGMA busy_timeout").fetchone()
    assert timedelta(milliseconds=milliseconds) > timedelta(days=20)


@pytest.mark.parametrize(
    "options",
    [
        {"path": ":memory:"},
        {"path": ""},
        {"path": "x.db", "synchronous": "full"},
        {"path": "x.db", "timeout": timedelta(seconds=-1)},
    ],
)
def test_arguments_out_of_range_are_refused(options: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="SqliteStore"):
        SqliteStore(**options)


def test_connections_are_reused(open_sqlite: OpenSqlite) -> None:
    opened: list[sqlite3.Connection] = []
    store = open_sqlite(on_connect=opened.append)
    store.apply(create())
    store.retrieve(REF)
    store.due(DueQuery())
    assert len(opened) == 1


def test_a_connection_is_not_used_again_after_an_error(open_sqlite: OpenSqlite) -> None:
    opened: list[sqlite3.Connection] = []
    store = open_sqlite(on_connect=opened.append, writers={})
    store.apply(create())
    refused(store, busy_tick())
    store.retrieve(REF)
    assert len(opened) == 2


def test_a_closed_store_says_so(sqlite_store: SqliteStore) -> None:
    sqlite_store.close()
    sqlite_store.close()
    assert str(refused(sqlite_store, create())) == "apply failed: the store is closed"


def test_a_connection_in_use_is_closed_when_it_comes_back(sqlite_store: SqliteStore) -> None:
    with sqlite_store._connections.cursor("test") as cursor:
        sqlite_store.close()
        assert cursor.execute("SELECT 1").fetchone() == (1,)
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        cursor.execute("SELECT 1")


def test_a_forked_child_is_told_to_open_its_own(sqlite_store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getpid", lambda: -1)
    error = refused(sqlite_store, create())
    assert isinstance(error, StoreUnavailableError)
    assert "forked" in error.reason
    assert "in every process" in error.advice


def test_an_on_connect_that_fails_leaves_no_connection_open(path: Path) -> None:
    with pytest.raises(StoreError, match="no such function"):
        SqliteStore(path, on_connect=lambda connection: connection.execute("SELECT nonsense()"))


# ---- schema


def test_the_tables_are_made_beside_those_of_the_user(
    sqlite_store: SqliteStore, connection: sqlite3.Connection
) -> None:
    tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
    ours = ["wfcore_events", "wfcore_hooks", "wfcore_instances", "wfcore_meta", "wfcore_steps"]
    assert [name for (name,) in tables] == ["paid", "sqlite_sequence", *ours]


@pytest.mark.parametrize("table", [rows.INSTANCES, rows.STEPS, rows.EVENTS, rows.HOOKS], ids=lambda table: table.name)
@pytest.mark.parametrize("strict", [True, False])
def test_the_tables_have_the_columns_of_the_rows(table: Table, strict: bool) -> None:
    with closing(sqlite3.connect(":memory:")) as database:
        for statement in schema.statements(strict=strict):
            database.execute(statement)
        columns = database.execute(f"PRAGMA table_info({table.name})").fetchall()
    found = {name: (kind.lower() + ("" if required else "?")) for _, name, kind, required, _, _ in columns}
    assert {name: kind for name, kind in found.items() if name != "arrival"} == table.columns


def test_queries_of_the_feed_use_the_index(sqlite_store: SqliteStore, connection: sqlite3.Connection) -> None:
    from wfadapters.sqlite import store

    for queries, notices in product((store._DUE, store._NEXT), (False, True)):
        query = queries[notices]
        steps = connection.execute(f"EXPLAIN QUERY PLAN {query}", (None,) * query.count("?")).fetchall()
        text = " ".join(step[3] for step in steps)
        assert "USING INDEX wfcore_hooks_due" in text
        assert notices == ("USING INDEX wfcore_hooks_notices" in text)
        assert "TEMP B-TREE" not in text


def test_pending_events_are_found_without_reading_consumed_ones(
    sqlite_store: SqliteStore, connection: sqlite3.Connection
) -> None:
    from wfadapters.sqlite import transaction

    steps = connection.execute(f"EXPLAIN QUERY PLAN {transaction._READ_EVENTS}", (REF,)).fetchall()
    assert [step[3] for step in steps] == ["SEARCH wfcore_events USING INDEX wfcore_events_pending (instance_ref=?)"]


@pytest.mark.parametrize(
    ("version", "advice"), [(2, "a newer wfcore has written it"), (0, "no release has written it")]
)
def test_another_schema_version_is_refused(open_sqlite: OpenSqlite, path: Path, version: int, advice: str) -> None:
    open_sqlite().close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE wfcore_meta SET value = ?", (version,))
        connection.commit()
    error = opening_fails(path)
    assert isinstance(error, SchemaVersionError)
    assert (error.found, error.supported) == (version, 1)
    assert advice in error.advice


def test_a_missing_schema_version_is_a_corrupt_record(open_sqlite: OpenSqlite, path: Path) -> None:
    open_sqlite().close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM wfcore_meta")
        connection.commit()
    assert isinstance(opening_fails(path), CorruptRecordError)


def test_a_file_that_is_no_database_is_refused(path: Path) -> None:
    path.write_text("These are the orders of today. " * 100)
    error = opening_fails(path)
    assert "not an SQLite database" in str(error)
    assert path.read_text().startswith("These")


def test_a_damaged_database_is_a_store_error(open_sqlite: OpenSqlite, path: Path) -> None:
    open_sqlite().close()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))
    assert "restore it from a backup" in str(opening_fails(path))


def test_a_directory_that_does_not_exist_is_unavailable(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere" / "workflows.db", tmp_path):
        error = opening_fails(path)
        assert isinstance(error, StoreUnavailableError)
        assert "the directory must exist" in error.advice


def test_a_file_that_another_holds_while_it_is_opened_is_unavailable(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        error = opening_fails(path)
        assert isinstance(error, StoreUnavailableError)
        assert "another connection holds the database" in error.advice
        connection.execute("ROLLBACK")


def test_a_database_that_cannot_have_a_wal_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = partial(sqlite3.connect, ":memory:")
    monkeypatch.setattr(sqlite3, "connect", lambda _path, **options: connect(**options))
    with pytest.raises(StoreError, match="cannot be put into WAL mode, only 'memory'"):
        SqliteStore(path)
