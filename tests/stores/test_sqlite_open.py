"""Opening, closing and reopening an SQLite file; its schema and its version."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from tests.stores.build import NOW, OTHER, REF, busy_tick, create, hook, instance, refused, tick
from tests.stores.conftest import OpenSqlite
from wfadapters import rows
from wfadapters.columns import Table
from wfadapters.sqlite import SqliteStore, schema
from wfcore.errors import CorruptRecordError, SchemaVersionError, StoreError, StoreUnavailableError
from wfcore.keys import shard_of
from wfcore.model import Snapshot
from wfcore.plan import Applied
from wfcore.ports import DueQuery, InstanceQuery


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


def test_a_store_opens_and_reads_while_somebody_writes(
    sqlite_store: SqliteStore, open_sqlite: OpenSqlite, connection: sqlite3.Connection
) -> None:
    sqlite_store.apply(create())
    connection.execute("BEGIN IMMEDIATE")
    assert open_sqlite(timeout=timedelta(0)).retrieve(REF) == sqlite_store.retrieve(REF)


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
    ours = ["wfcore_events", "wfcore_hooks", "wfcore_instances", "wfcore_meta", "wfcore_steps", "wfcore_tags"]
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
    from wfadapters.sqlite import feed

    connection.create_function("wfcore_shard", 2, shard_of, deterministic=True)
    walks = [(feed.DUE, ""), (feed.TAKEN, ""), ("true", feed.FIRST), (feed.OWN, feed.FIRST), (feed.FOREIGN, feed.FIRST)]
    for (condition, limit), notices in product(walks, (False, True)):
        query = feed.walking(condition, limit, notices=notices)
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


def test_lists_and_counts_walk_an_index(sqlite_store: SqliteStore, connection: sqlite3.Connection) -> None:
    """Each lane is a part of one, in the order of the list: nothing is sorted, and nothing else is read."""
    from wfadapters.sqlite import catalog

    tag = ('["region"]', '["eu"]')
    used = {
        (): "wfcore_instances_by_status (status=? AND",
        ("workflow_names",): "wfcore_instances_by_workflow (workflow_name=? AND status=? AND",
        ("tags",): "PRIMARY KEY (name=? AND value=? AND status=? AND",
        ("tags", "workflow_names"): "PRIMARY KEY (name=? AND value=? AND status=? AND",
    }
    filters: dict[str, Any] = {"workflow_names": ["a", "b"], "tags": {"region": "eu"}}
    for (given, index), later in product(used.items(), (False, True)):
        query = InstanceQuery(limit=1, **{name: filters[name] for name in given})
        if later:
            query = query.after(query.page([instance(), instance(OTHER)])) or query
        walked = "created_at>? AND (created_at,ref)<(?,?))" if later else "created_at>? AND created_at<?)"
        for _status, source, arguments in catalog.lanes(query, [tag] if query.tags else []):
            for statement in (catalog.listing(source), catalog.counting(source)):
                steps = connection.execute(f"EXPLAIN QUERY PLAN {statement}", arguments).fetchall()
                text = " ".join(step[3] for step in steps)
                assert f"{index} {walked}" in text
                assert "TEMP B-TREE" not in text
                assert "SCAN" not in text.replace("SCAN json_each", "")


def test_a_tick_that_leaves_the_status_writes_no_index_of_the_catalog(
    sqlite_store: SqliteStore, connection: sqlite3.Connection
) -> None:
    """Nor does it ask for tags; most ticks and checkpoints leave it."""
    from wfadapters.sqlite import transaction

    program = connection.execute(f"EXPLAIN {transaction._TOUCH_INSTANCE}", rows.instance_row(instance())).fetchall()
    codes = [step[1] for step in program]
    assert ("Program" in codes, codes.count("IdxInsert")) == (False, 1)  # one: the table itself


def test_other_tags_are_looked_up(connection: sqlite3.Connection, sqlite_store: SqliteStore) -> None:
    from wfadapters.sqlite import catalog

    query = InstanceQuery(tags={"region": "eu", "customer": "7"})
    _status, source, arguments = next(catalog.lanes(query, [("[1]", "[2]"), ("[3]", "[4]")]))
    steps = connection.execute(f"EXPLAIN QUERY PLAN {catalog.counting(source)}", arguments).fetchall()
    looked_up = "SEARCH o USING PRIMARY KEY (name=? AND value=? AND status=? AND created_at=? AND ref=?)"
    assert looked_up in [step[3] for step in steps]


def test_a_history_is_found_by_keys(sqlite_store: SqliteStore, connection: sqlite3.Connection) -> None:
    from wfadapters.sqlite import catalog, transaction

    for statement in (transaction.READ_INSTANCE, transaction.READ_STEPS, catalog.READ_EVENTS):
        arguments = (None,) * (3 if "?3" in statement else statement.count("?"))
        steps = connection.execute(f"EXPLAIN QUERY PLAN {statement}", arguments).fetchall()
        assert steps[0][3].startswith("SEARCH")


def test_candidates_for_an_audit_are_found_without_reading_a_table_for_each(
    sqlite_store: SqliteStore, connection: sqlite3.Connection
) -> None:
    from wfadapters.sqlite import catalog

    steps = connection.execute(f"EXPLAIN QUERY PLAN {catalog.SUSPECTS}", ("", 1)).fetchall()
    assert [] == [step[3] for step in steps if not step[3].startswith(("SEARCH", "CORRELATED"))]


# ---- files of before


@pytest.fixture
def old_file(path: Path) -> Path:
    """As schema version 1 left it, with three instances."""
    ours = [
        instance(REF, tags={"team": "red", "region": "eu"}),
        instance(OTHER, tags={"team": "red"}, status="complete"),
        instance("refund#1"),
    ]
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(Path(__file__).with_name("schema_1.sql").read_text())
        for each in ours:
            marks = ", ".join("?" for _ in rows.INSTANCES.columns)
            connection.execute(f"INSERT INTO wfcore_instances VALUES ({marks})", rows.instance_row(each))
        connection.commit()
    return path


def test_a_file_of_schema_version_1_is_brought_up_to_date(old_file: Path, open_sqlite: OpenSqlite) -> None:
    store = open_sqlite()
    found = store.list_instances(InstanceQuery(tags={"team": "red"})).items
    assert [each.ref for each in found] == [OTHER, REF]
    assert store.count_by_status(InstanceQuery())["active"] == 2
    assert isinstance(store.apply(tick(1, status="waiting", tags={"team": "red"})), Applied)
    assert [each.ref for each in store.list_instances(InstanceQuery(tags={"region": "eu"})).items] == []
    assert [each.status for each in store.list_instances(InstanceQuery(tags={"team": "red"})).items][1] == "waiting"


def test_it_is_then_as_a_new_file(old_file: Path, open_sqlite: OpenSqlite, tmp_path: Path) -> None:
    open_sqlite().close()
    open_sqlite(path=tmp_path / "new.db").close()

    def definitions(file: Path) -> list[object]:
        with closing(sqlite3.connect(file)) as connection:
            named = "SELECT type, name, sql FROM sqlite_master WHERE name LIKE 'wfcore%' ORDER BY name"
            return [*connection.execute(named), connection.execute("SELECT value FROM wfcore_meta").fetchall()]

    squeezed = ["".join(str(each).replace("\\n", " ").split()) for each in definitions(old_file)]
    assert squeezed == ["".join(str(each).split()) for each in definitions(tmp_path / "new.db")]


def test_it_is_brought_up_to_date_once(old_file: Path, open_sqlite: OpenSqlite) -> None:
    """Whoever opens it at the same time waits, and finds it done."""
    with ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(lambda _: open_sqlite(), range(4)))
    query = InstanceQuery(tags={"team": "red"})
    assert [sum(store.count_by_status(query).values()) for store in stores] == [2] * 4


def test_who_opened_it_before_goes_on_writing(old_file: Path, open_sqlite: OpenSqlite) -> None:
    """A process of an older version does not know of the table of tags; the database keeps it all the same."""
    with closing(sqlite3.connect(old_file, isolation_level=None)) as before:
        before.execute("SELECT * FROM wfcore_instances").fetchall()
        store = open_sqlite()
        marks = ", ".join("?" for _ in rows.INSTANCES.columns)
        row = rows.instance_row(instance("refund#2", tags={"team": "blue"}))
        before.execute(f"INSERT INTO wfcore_instances VALUES ({marks})", row)
        before.execute("UPDATE wfcore_instances SET status = 'errored' WHERE ref = 'refund#2'")
        assert store.count_by_status(InstanceQuery(tags={"team": "blue"}))["errored"] == 1
        before.execute("DELETE FROM wfcore_instances WHERE ref = 'refund#2'")
        assert sum(store.count_by_status(InstanceQuery(tags={"team": "blue"})).values()) == 0


@pytest.mark.parametrize(
    ("version", "advice"), [(3, "a newer wfcore has written it"), (0, "no release has written it")]
)
def test_another_schema_version_is_refused(open_sqlite: OpenSqlite, path: Path, version: int, advice: str) -> None:
    open_sqlite().close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE wfcore_meta SET value = ?", (version,))
        connection.commit()
    error = opening_fails(path)
    assert isinstance(error, SchemaVersionError)
    assert (error.found, error.supported) == (version, 2)
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
