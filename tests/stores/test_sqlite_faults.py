"""What goes wrong in and below the SQLite store: no trace, never a Conflict, words that help (A1, A11, A12, T6)."""

import itertools
import pickle
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.stores.build import REF, Paid, PaidTwice, busy_tick, create, hook, plan, refused, send, step, tick
from tests.stores.conftest import OpenSqlite, write_paid
from wfadapters.rows import HOOKS, INSTANCES, STEPS
from wfadapters.sqlite import Sql, SqliteStore
from wfadapters.sqlite.faults import translated
from wfcore.errors import StoreError, StoreUnavailableError, WriteFailedError
from wfcore.plan import Applied, PutHook, PutStep, Write
from wfcore.ports import DueQuery

NO_TIME = timedelta(0)


def dump(path: Path) -> dict[str, list[Any]]:
    """Everything in the file, the user's tables included."""
    with closing(sqlite3.connect(path)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
        return {name: sorted(connection.execute(f"SELECT * FROM {name}"), key=repr) for (name,) in tables}


def unavailable(store: SqliteStore, operation: str = "apply") -> StoreUnavailableError:
    error = refused(store, busy_tick())
    assert isinstance(error, StoreUnavailableError)
    assert error.operation == operation
    return error


# ---- A1: a fault at every place


@attrs.define
class Fault:
    """Makes the n-th thing that SQLite does fail."""

    countdown: int = -1
    hits: int = 0

    def interrupt(self) -> bool:
        self.countdown -= 1
        self.hits += self.countdown == 0
        return self.countdown == 0

    def authorize(self, *_action: object) -> int:
        return sqlite3.SQLITE_DENY if self.interrupt() else sqlite3.SQLITE_OK


def on_every_jump(connection: sqlite3.Connection, fault: Fault) -> None:
    connection.set_progress_handler(fault.interrupt, 1)


def on_every_statement(connection: sqlite3.Connection, fault: Fault) -> None:
    connection.set_authorizer(fault.authorize)


@pytest.mark.parametrize("inject", [on_every_jump, on_every_statement])
def test_a1_a_fault_anywhere_in_an_apply_leaves_no_trace(open_sqlite: OpenSqlite, path: Path, inject: Any) -> None:
    fault = Fault()
    before, after = dumps_around(open_sqlite, path)
    for place in itertools.count(1):
        store = open_sqlite(on_connect=lambda connection: inject(connection, fault))
        fault.countdown = place
        try:
            result = store.apply(busy_tick())
        except StoreError:
            fault.countdown = -1
            if dump(path) == after:  # it was told of a fault, and the commit was done (rule A5)
                break
            assert dump(path) == before
            assert store.retrieve(REF).instance is not None
        else:
            assert isinstance(result, Applied)
            break
        finally:
            fault.countdown = -1
            store.close()
    assert fault.hits >= place - 1 > 20
    assert dump(path) == after


def dumps_around(open_sqlite: OpenSqlite, path: Path) -> tuple[Any, Any]:
    """What the file holds before and after the plan that is going to be disturbed; the file is left before it."""
    store = open_sqlite()
    store.apply(create(tags={"team": "red"}))
    before = dump(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        store.within(connection).apply(busy_tick())
        tables = [name for name in before if name != "sqlite_sequence"]
        after = {name: sorted(connection.execute(f"SELECT * FROM {name}"), key=repr) for name in before}
        assert all(after[name] != before[name] for name in tables if name != "wfcore_meta")
        connection.execute("ROLLBACK")
    return before, after


# ---- A11: writes of the user


def test_a11_a_write_without_a_writer_is_refused(sqlite_store: SqliteStore, path: Path) -> None:
    sqlite_store.apply(create())
    before = dump(path)
    error = refused(sqlite_store, tick(1, Write(Paid("order-1", 1)), Write(object())))
    assert isinstance(error, WriteFailedError)
    assert (error.index, error.value_type, error.reason) == (2, "builtins.object", "the store has no writer for it")
    assert "pass writers={object: ...}" in str(error)
    assert dump(path) == before


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (Paid("order-1", -1), "CHECK constraint failed: cents >= 0 (SQLITE_CONSTRAINT_CHECK)"),
        (Sql("INSERT INTO nowhere VALUES (1)"), "no such table: nowhere (SQLITE_ERROR)"),
        (
            Sql("SELECT ?", ()),
            "Incorrect number of bindings supplied. The current statement uses 1, and there are 0 supplied.",
        ),
        (
            Sql("INSERT INTO paid VALUES (:id, :cents)", {"id": "x", "cents": object()}),
            "type 'object' is not supported",
        ),
    ],
    ids=str,
)
def test_a11_a_failing_write_says_why_and_leaves_no_trace(
    sqlite_store: SqliteStore, path: Path, value: object, reason: str
) -> None:
    sqlite_store.apply(create())
    before = dump(path)
    error = refused(sqlite_store, tick(1, PutStep(step()), Write(value)))
    assert isinstance(error, WriteFailedError)
    assert error.index == 2
    assert reason in error.reason
    assert dump(path) == before
    assert isinstance(sqlite_store.apply(tick(1)), Applied)


def test_a11_any_exception_of_a_writer_is_a_failed_write(open_sqlite: OpenSqlite, path: Path) -> None:
    def fail(connection: sqlite3.Connection, value: object) -> None:
        connection.execute("INSERT INTO paid VALUES ('half', 1)")
        raise LookupError("no such customer")

    store = open_sqlite(writers={Paid: fail})
    store.apply(create())
    before = dump(path)
    error = refused(store, busy_tick())
    assert isinstance(error, WriteFailedError)
    assert error.reason == "LookupError: no such customer"
    assert dump(path) == before


def test_a11_a_keyboard_interrupt_in_a_writer_is_no_failed_write(open_sqlite: OpenSqlite, path: Path) -> None:
    def interrupt(connection: sqlite3.Connection, value: object) -> None:
        raise KeyboardInterrupt

    store = open_sqlite(writers={Paid: interrupt})
    store.apply(create())
    before = dump(path)
    with pytest.raises(KeyboardInterrupt):
        store.apply(busy_tick())
    assert dump(path) == before


@pytest.mark.parametrize(
    "end", ["connection.commit()", "connection.rollback()", "connection.executescript('SELECT 1')"]
)
def test_a11_a_writer_that_ends_the_transaction_is_told_and_commits_nothing_of_the_plan(
    open_sqlite: OpenSqlite, path: Path, end: str
) -> None:
    def write(connection: sqlite3.Connection, value: object) -> None:
        exec(end, {"connection": connection})

    store = open_sqlite(writers={Paid: write})
    store.apply(create())
    before = dump(path)
    error = refused(store, busy_tick())
    assert isinstance(error, WriteFailedError)
    assert (error.index, "ended the transaction" in error.reason) == (3, True)
    assert dump(path) == before


def test_a11_a_constraint_that_is_checked_at_commit_is_a_failed_write(open_sqlite: OpenSqlite, path: Path) -> None:
    store = open_sqlite(on_connect=lambda connection: connection.execute("PRAGMA foreign_keys = ON"))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "CREATE TABLE refund (order_id TEXT REFERENCES paid (order_id) DEFERRABLE INITIALLY DEFERRED)"
        )
    store.apply(create())
    before = dump(path)
    error = refused(store, tick(1, Write(Sql("INSERT INTO refund VALUES ('order-1')")), PutStep(step())))
    assert isinstance(error, WriteFailedError)
    assert (error.index, error.value_type) == (1, "wfadapters.sql.Sql")
    assert error.reason == "at commit: FOREIGN KEY constraint failed (SQLITE_CONSTRAINT_FOREIGNKEY)"
    assert dump(path) == before


def test_a_row_that_is_put_is_never_deleted_so_that_rows_of_the_user_may_refer_to_it(
    open_sqlite: OpenSqlite, path: Path
) -> None:
    store = open_sqlite(on_connect=lambda connection: connection.execute("PRAGMA foreign_keys = ON"))
    store.apply(create())
    store.apply(tick(1, PutStep(step()), PutHook(hook())))
    with closing(sqlite3.connect(path)) as connection:
        for table in (INSTANCES, STEPS, HOOKS):
            key = ", ".join(table.key)
            refers = f"FOREIGN KEY ({key}) REFERENCES {table.name} ON DELETE CASCADE"
            connection.execute(f"CREATE TABLE mine_{table.name} ({key}, {refers})")
            connection.execute(f"INSERT INTO mine_{table.name} SELECT {key} FROM {table.name}")
        connection.commit()
        store.apply(tick(2, PutStep(step()), PutHook(hook())))
        counts = {
            table.name: connection.execute(f"SELECT count(*) FROM mine_{table.name}").fetchone()[0]
            for table in (INSTANCES, STEPS, HOOKS)
        }
    assert counts == {"wfcore_instances": 1, "wfcore_steps": 1, "wfcore_hooks": 1}


def test_t7_a_value_takes_the_writer_of_its_class_else_of_its_nearest_base(open_sqlite: OpenSqlite, path: Path) -> None:
    def write_double(connection: sqlite3.Connection, value: Paid) -> None:
        write_paid(connection, attrs.evolve(value, cents=2 * value.cents))

    base = open_sqlite()
    base.apply(create())
    base.apply(tick(1, Write(Paid("a", 1)), Write(PaidTwice("b", 1))))
    exact = open_sqlite(writers={Paid: write_paid, PaidTwice: write_double})
    exact.apply(tick(2, Write(Paid("c", 1)), Write(PaidTwice("d", 1))))
    assert dump(path)["paid"] == [("a", 1), ("b", 1), ("c", 1), ("d", 2)]


def test_t7_sql_is_a_ready_writer_that_can_be_replaced(open_sqlite: OpenSqlite, path: Path) -> None:
    store = open_sqlite(writers={})
    store.apply(create())
    store.apply(tick(1, Write(Sql("INSERT INTO paid VALUES (?, ?)", ("a", 1)))))
    store.apply(tick(2, Write(Sql("INSERT INTO paid VALUES (:id, :cents)", {"id": "b", "cents": 2}))))
    deaf = open_sqlite(writers={Sql: lambda connection, value: None})
    deaf.apply(tick(3, Write(Sql("INSERT INTO paid VALUES ('c', 3)"))))
    assert dump(path)["paid"] == [("a", 1), ("b", 2)]


# ---- A12: the store itself


def test_a12_a_locked_database_is_unavailable_and_retrieve_still_answers(
    open_sqlite: OpenSqlite, connection: sqlite3.Connection
) -> None:
    store = open_sqlite(timeout=NO_TIME)
    store.apply(create())
    connection.execute("BEGIN IMMEDIATE")
    assert "another connection holds the database" in unavailable(store).advice
    assert store.retrieve(REF).instance is not None
    assert len(store.due(DueQuery())) == 1
    connection.execute("ROLLBACK")
    assert isinstance(store.apply(busy_tick()), Applied)


def test_a12_an_error_that_is_kept_holds_no_lock(open_sqlite: OpenSqlite, connection: sqlite3.Connection) -> None:
    """Its traceback keeps the cursor, and SQLite ends no transaction of which a statement is left."""
    fault, kept = Fault(), list[StoreError]()
    store = open_sqlite(on_connect=lambda connection: on_every_jump(connection, fault))
    store.apply(create())
    for place in range(1, 200, 20):
        fault.countdown = place
        kept.append(unavailable(store))
        fault.countdown = -1
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
    assert all(each.__traceback__ for each in kept)


def test_a12_a_thread_does_not_wait_for_ever_for_another(open_sqlite: OpenSqlite) -> None:
    writing, done = threading.Event(), threading.Event()

    def write_slowly(connection: sqlite3.Connection, value: object) -> None:
        writing.set()
        done.wait()

    store = open_sqlite(timeout=NO_TIME, writers={Paid: write_slowly})
    store.apply(create())
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(store.apply, busy_tick())
        writing.wait()
        error = refused(store, send("m9"))
        done.set()
        assert isinstance(slow.result(), Applied)
    assert isinstance(error, StoreUnavailableError)
    assert "other threads" in error.reason


def test_t6_a_busy_database_is_not_the_writers_fault(open_sqlite: OpenSqlite, path: Path) -> None:
    def write_elsewhere(connection: sqlite3.Connection, value: object) -> None:
        with closing(sqlite3.connect(path, timeout=0)) as second:
            second.execute("INSERT INTO paid VALUES ('x', 1)")

    store = open_sqlite(writers={Paid: write_elsewhere})
    store.apply(create())
    before = dump(path)
    assert "SQLITE_BUSY" in unavailable(store).reason
    assert dump(path) == before


def test_t6_another_store_that_is_unavailable_is_not_the_writers_fault(open_sqlite: OpenSqlite, path: Path) -> None:
    def write_elsewhere(connection: sqlite3.Connection, value: object) -> None:
        raise StoreUnavailableError("apply", "the other store is away")

    store = open_sqlite(writers={Paid: write_elsewhere})
    store.apply(create())
    before = dump(path)
    assert unavailable(store).reason == "the other store is away"
    assert dump(path) == before


def test_t6_a_full_database_is_not_the_workflows_fault(open_sqlite: OpenSqlite, path: Path) -> None:
    limit = [1_000_000]
    store = open_sqlite(on_connect=lambda connection: connection.execute(f"PRAGMA max_page_count = {limit[0]}"))
    store.apply(create())
    before = dump(path)
    store.close()
    limit[0] = 1  # SQLite takes the present size for it
    with open_sqlite(on_connect=lambda connection: connection.execute(f"PRAGMA max_page_count = {limit[0]}")) as full:
        large = tick(1, PutStep(step(result="x" * 100_000)))
        insert = tick(1, Write(Sql("INSERT INTO paid VALUES (?, 1)", ("x" * 100_000,))))
        for each in (large, insert):
            error = refused(full, each)
            assert isinstance(error, StoreUnavailableError)
            assert (error.reason, error.advice[:8]) == ("database or disk is full (SQLITE_FULL)", "the disk")
        assert dump(path) == before
        limit[0] = 1_000_000
        assert isinstance(full.apply(large), Applied)


def test_a12_a_file_that_may_not_be_written_is_unavailable(
    open_sqlite: OpenSqlite, path: Path, request: pytest.FixtureRequest
) -> None:
    open_sqlite().apply(create())
    request.getfixturevalue("unprivileged")
    path.chmod(0o444)
    with open_sqlite() as store:
        assert "make the file and its directory writable" in unavailable(store).advice
        assert store.retrieve(REF).instance is not None
    path.chmod(0o644)
    with open_sqlite() as store:
        assert isinstance(store.apply(busy_tick()), Applied)


def test_a12_a_directory_that_may_not_be_written_is_unavailable(
    open_sqlite: OpenSqlite, path: Path, request: pytest.FixtureRequest
) -> None:
    open_sqlite().close()
    request.getfixturevalue("unprivileged")
    path.parent.chmod(0o555)
    try:
        with pytest.raises(StoreUnavailableError) as caught:
            open_sqlite()
    finally:
        path.parent.chmod(0o755)
    assert "director" in caught.value.advice


CODES = [
    ("SQLITE_BUSY", StoreUnavailableError),
    ("SQLITE_BUSY_TIMEOUT", StoreUnavailableError),
    ("SQLITE_BUSY_SNAPSHOT", StoreUnavailableError),
    ("SQLITE_LOCKED_SHAREDCACHE", StoreUnavailableError),
    ("SQLITE_FULL", StoreUnavailableError),
    ("SQLITE_IOERR_FSYNC", StoreUnavailableError),
    ("SQLITE_READONLY_DBMOVED", StoreUnavailableError),
    ("SQLITE_CANTOPEN", StoreUnavailableError),
    ("SQLITE_NOMEM", StoreUnavailableError),
    ("SQLITE_INTERRUPT", StoreUnavailableError),
    ("SQLITE_PROTOCOL", StoreUnavailableError),
    ("SQLITE_PERM", StoreUnavailableError),
    ("SQLITE_CORRUPT_INDEX", StoreError),
    ("SQLITE_NOTADB", StoreError),
    ("SQLITE_ERROR", StoreError),
]


@pytest.mark.parametrize(("name", "kind"), CODES)
def test_a12_every_error_of_sqlite_has_its_meaning(name: str, kind: type[StoreError]) -> None:
    error = sqlite3.OperationalError("reason")
    error.sqlite_errorname, error.sqlite_errorcode = name, getattr(sqlite3, name)
    found = translated("apply", error)
    assert type(found) is kind
    assert "reason" in str(found)
    assert str(pickle.loads(pickle.dumps(found))) == str(found)


def test_tables_that_were_dropped_are_a_store_error(sqlite_store: SqliteStore, connection: sqlite3.Connection) -> None:
    sqlite_store.apply(create())
    connection.execute("DROP TABLE wfcore_steps")
    error = refused(sqlite_store, busy_tick())
    assert "no such table: wfcore_steps" in str(error)
    assert not isinstance(error, StoreUnavailableError | WriteFailedError)


def test_an_argument_that_no_database_takes_leaves_the_store_usable(sqlite_store: SqliteStore) -> None:
    sqlite_store.apply(create())
    with pytest.raises(UnicodeEncodeError):
        sqlite_store.apply(send(payload="\ud800"))
    with pytest.raises(OverflowError):
        sqlite_store.apply(tick(1, PutStep(step(attempts=2**70))))
    assert isinstance(sqlite_store.apply(plan()), Applied)
    assert sqlite_store.retrieve(REF).events == ()
