"""What goes wrong with a PostgreSQL database: told by its error, without a trace, and over once the cause is."""

import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from tests.postgres.blocking import BlockingStore
from tests.postgres.database import SCHEMA, TWICE, Database
from tests.postgres.server import Server
from tests.stores.build import NOW, REF, Paid, create, event, hook, instance, refused, send, step, tick
from tests.stores.conftest import OpenPostgres
from wfadapters.postgres import AsyncPostgresStore, PostgresStore, Sql
from wfadapters.postgres.settings import Settings
from wfcore.errors import CorruptRecordError, StoreError, StoreUnavailableError, WriteFailedError
from wfcore.model import Snapshot
from wfcore.plan import AddEvent, Applied, PutStep, Write
from wfcore.ports import DueQuery
from wfcore.testing.conformance.loop import Loop

pytestmark = pytest.mark.postgres
EITHER = pytest.mark.parametrize("kind", ["postgres_store", "async_store"])
INTO_PAID = f"INSERT INTO {SCHEMA}.paid (order_id, cents) VALUES"
BLINK = timedelta(milliseconds=50)


@pytest.fixture
def either(request: pytest.FixtureRequest, kind: str) -> PostgresStore | BlockingStore:
    """The blocking store, and the one for asyncio."""
    store: PostgresStore | BlockingStore = request.getfixturevalue(kind)
    store.apply(create())
    return store


# ---- A11 writes that fail

WRITES: dict[str, tuple[object, str]] = {
    "no writer": (object(), "the store has no writer for it"),
    "a constraint": (Paid("order-2", -1), "violates check constraint"),
    "a syntax error": (Sql("INSERT nonsense"), "syntax error"),
    "a deferred constraint": (Sql(TWICE), "at commit: duplicate key"),
    "a value too large for an index": (
        Sql(f"{INTO_PAID} ((SELECT string_agg(md5(i::text), '') FROM generate_series(1, 1000) i), 1)"),
        "index row",
    ),
    "a view": (Sql("INSERT INTO pg_locks (pid) VALUES (1)"), "cannot insert into view"),
    "a commit": (Sql("COMMIT"), "its writer ended the transaction"),
}


@EITHER
@pytest.mark.parametrize(("value", "reason"), WRITES.values(), ids=WRITES)
def test_a11_a_write_that_fails_is_named_and_leaves_no_trace(
    either: PostgresStore | BlockingStore, database: Database, value: object, reason: str
) -> None:
    before = either.retrieve(REF)
    error = refused(either, tick(1, Write(Paid("order-1", 1)), PutStep(step()), Write(value)))
    assert isinstance(error, WriteFailedError)
    assert (error.index, reason in error.reason) == (3, True), error
    if value != Sql("COMMIT"):
        assert (either.retrieve(REF), database.rows("SELECT * FROM paid")) == (before, [])


def test_a11_a_writer_that_hides_an_error_is_told(open_postgres: OpenPostgres) -> None:
    def hide(connection: psycopg.Connection[Any], value: Paid) -> None:
        with pytest.raises(psycopg.Error):
            connection.execute("SELECT nonsense")

    store = open_postgres(writers={Paid: hide})
    store.apply(create())
    error = refused(store, tick(1, Write(Paid("order-1", 1))))
    assert "hid that a statement of it failed" in str(error)
    assert store.retrieve(REF).instance == instance()


def test_a11_a_writer_may_try_what_may_fail_in_a_savepoint(open_postgres: OpenPostgres) -> None:
    def try_it(connection: psycopg.Connection[Any], value: Paid) -> None:
        with pytest.raises(psycopg.Error), connection.transaction():
            connection.execute("SELECT nonsense")

    store = open_postgres(writers={Paid: try_it})
    store.apply(create())
    assert isinstance(store.apply(tick(1, Write(Paid("order-1", 1)))), Applied)


def test_a11_a_writer_that_raises_is_named(open_postgres: OpenPostgres) -> None:
    def fail(connection: psycopg.Connection[Any], value: Paid) -> None:
        raise LookupError(value.order)

    store = open_postgres(writers={Paid: fail})
    store.apply(create())
    assert "LookupError: order-1" in str(refused(store, tick(1, Write(Paid("order-1", 1)))))


@EITHER
def test_t7_sql_takes_parameters_by_position_and_by_name(
    either: PostgresStore | BlockingStore, database: Database
) -> None:
    statements = [
        Sql(f"{INTO_PAID} (%s, %s)", ("a", 1)),
        Sql(f"{INTO_PAID} (%(order)s, %(cents)s)", {"order": "b", "cents": 2}),
        Sql(f"{INTO_PAID} ('100%', 3)"),
    ]
    assert isinstance(either.apply(tick(1, *map(Write, statements))), Applied)
    assert database.rows("SELECT order_id, cents FROM paid ORDER BY place") == [("a", 1), ("b", 2), ("100%", 3)]


def test_a2_a_plan_that_lost_its_version_conflicts_whatever_its_writes(postgres_store: PostgresStore) -> None:
    postgres_store.apply(create())
    postgres_store.apply(tick(1))
    assert not isinstance(postgres_store.apply(tick(1, Write(object()))), Applied)


# ---- A12 transient failures


@pytest.fixture
def single(kind: str, open_postgres: OpenPostgres, database: Database, loop: Loop) -> Iterator[Any]:
    """Both stores, with one connection each."""
    if kind == "postgres_store":
        yield open_postgres(pool_size=1)
        return
    store = AsyncPostgresStore(database.url, schema=SCHEMA, pool_size=1)
    with closing(BlockingStore(loop, store)) as blocking:
        yield blocking


@EITHER
def test_a12_a_lost_connection_is_unavailable_and_replaced(
    single: PostgresStore | BlockingStore, database: Database
) -> None:
    single.apply(create())
    database.end_connections("wfcore_apply")
    error = refused(single, tick(1))
    assert isinstance(error, StoreUnavailableError)
    assert "the connection was lost" in error.advice
    assert isinstance(single.apply(tick(1)), Applied)


@EITHER
def test_a5_a_connection_lost_in_the_middle_leaves_no_trace(either: PostgresStore | BlockingStore) -> None:
    before = either.retrieve(REF)
    suicide = Write(Sql("SELECT pg_terminate_backend(pg_backend_pid())"))
    assert isinstance(refused(either, tick(1, PutStep(step()), suicide)), StoreUnavailableError)
    assert either.retrieve(REF) == before


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of its own, to be killed."""
    server = Server()
    server.start()
    yield server
    server.remove()


def test_a4_what_was_applied_survives_the_servers_crash_and_the_store_goes_on(server: Server) -> None:
    with PostgresStore(server.url, clock=lambda: NOW, timeout=timedelta(seconds=30)) as store:
        store.apply(create())
        server.kill()
        assert isinstance(refused(store, tick(1)), StoreUnavailableError)
        server.start()
        assert store.retrieve(REF) == Snapshot(instance=instance(), hooks=(hook(),), now=NOW)
        assert isinstance(store.apply(tick(1)), Applied)


def test_a12_a_server_that_is_not_there_is_unavailable() -> None:
    for open_store in (open_blocking, open_async):
        with pytest.raises(StoreUnavailableError, match="see that the server runs") as caught:
            open_store("postgresql://127.0.0.1:1/none")
        assert caught.value.operation == "open"


def test_a12_no_free_connection_is_unavailable(open_postgres: OpenPostgres) -> None:
    store = open_postgres(pool_size=1, timeout=BLINK)
    with store._pool.connection():
        error = refused(store, create())
    assert isinstance(error, StoreUnavailableError)
    assert "raise pool_size" in error.advice


def test_a12_a_server_that_takes_no_writes_is_unavailable(open_postgres: OpenPostgres) -> None:
    def standby(connection: psycopg.Connection[Any]) -> None:
        connection.execute("SET default_transaction_read_only = on")

    error = refused(open_postgres(on_connect=standby), create())
    assert isinstance(error, StoreUnavailableError)
    assert "connect to the primary" in error.advice


def test_t6_a_write_that_waits_too_long_is_not_the_writers_fault(
    open_postgres: OpenPostgres, database: Database
) -> None:
    store = open_postgres(timeout=BLINK)
    store.apply(create())
    with psycopg.connect(database.url) as other:
        other.execute(f"{INTO_PAID} ('order-1', 1)".encode())
        assert isinstance(refused(store, tick(1, Write(Paid("order-1", 1)))), StoreUnavailableError)
        other.rollback()


# ---- mistakes


@EITHER
@pytest.mark.parametrize("text", ["\x00", "\ud800"])
def test_a7_a_character_that_no_json_needs_is_refused_and_leaves_no_trace(
    either: PostgresStore | BlockingStore, text: str
) -> None:
    before = either.retrieve(REF)
    error = refused(either, tick(1, PutStep(step(result="1")), AddEvent(event(payload=text))))
    assert not isinstance(error, StoreUnavailableError)
    assert either.retrieve(REF) == before


def test_a_corrupt_row_is_named(postgres_store: PostgresStore, database: Database) -> None:
    postgres_store.apply(create())
    database.connection.execute("UPDATE wfcore_hooks SET reason = 'luck'")
    asking: list[Callable[[], object]] = [
        lambda: postgres_store.retrieve(REF),
        lambda: postgres_store.due(DueQuery()),
        lambda: postgres_store.next_due_at(DueQuery()),
    ]
    for ask in asking:
        with pytest.raises(CorruptRecordError, match="reason 'luck' is none of create, event") as caught:
            ask()
        assert (caught.value.table, caught.value.ref) == ("wfcore_hooks", REF)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"schema": "Work Flows"}, "schema='Work Flows': must be a lower-case name"),
        ({"schema": "a" * 64}, "at most 63 long"),
        ({"timeout": timedelta(0)}, "timeout=.*must be positive"),
        ({"pool_size": 0}, "pool_size=0: must be at least 1"),
    ],
)
def test_an_argument_out_of_its_range_is_refused(options: dict[str, Any], problem: str) -> None:
    for store in (PostgresStore, AsyncPostgresStore):
        with pytest.raises(ValueError, match=problem):
            store("postgresql:///", **options)


@pytest.mark.parametrize(
    ("conninfo", "environment", "expected"),
    [
        ("dbname=shop", {}, {"dbname": "shop", "connect_timeout": "10", "tcp_user_timeout": "25000"}),
        ("connect_timeout=3", {}, {"connect_timeout": "3", "tcp_user_timeout": "25000"}),
        ("dbname=shop", {"PGCONNECT_TIMEOUT": "4"}, {"dbname": "shop", "tcp_user_timeout": "25000"}),
        ("service=shop", {}, {"service": "shop"}),
    ],
)
def test_a_server_that_is_gone_is_given_up_unless_somebody_has_said_when(
    monkeypatch: pytest.MonkeyPatch, conninfo: str, environment: dict[str, str], expected: dict[str, str]
) -> None:
    monkeypatch.delenv("PGCONNECT_TIMEOUT", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    address = Settings(conninfo, SCHEMA, timedelta(seconds=5), 10).address
    given = psycopg.conninfo.conninfo_to_dict(address)
    assert expected == {name: value for name, value in given.items() if not name.startswith("keepalives")}


def test_an_on_connect_that_fails_is_seen_when_the_store_opens(database: Database) -> None:
    async def nonsense(connection: psycopg.AsyncConnection[Any]) -> None:
        await connection.execute("SELECT nonsense")

    with pytest.raises(StoreError, match="open failed: column"):
        PostgresStore(database.url, schema=SCHEMA, on_connect=lambda connection: connection.execute("SELECT nonsense"))
    with pytest.raises(StoreError, match="open failed: column"):
        asyncio.run(AsyncPostgresStore(database.url, schema=SCHEMA, on_connect=nonsense).open())


def test_an_on_connect_may_leave_a_transaction_open(database: Database) -> None:
    def begin(connection: psycopg.Connection[Any]) -> None:
        connection.execute("BEGIN")
        connection.execute("SET statement_timeout = 12345")

    with PostgresStore(database.url, schema=SCHEMA, on_connect=begin) as store, store._pool.connection() as connection:
        assert connection.execute("SHOW statement_timeout").fetchone() == ("12345ms",)


def test_a_closed_store_says_so(open_postgres: OpenPostgres) -> None:
    store = open_postgres()
    store.close()
    assert str(refused(store, create())) == "apply failed: the store is closed"


def test_a_store_that_is_not_open_says_so() -> None:
    with pytest.raises(StoreError, match="retrieve failed: the store is not open: enter it by `async with`"):
        AsyncPostgresStore("postgresql:///").retrieve(REF).send(None)


def test_a_forked_child_is_told_to_open_its_own(postgres_store: PostgresStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getpid", lambda: -1)
    error = refused(postgres_store, create())
    assert isinstance(error, StoreUnavailableError)
    assert "forked" in error.reason


def test_without_the_driver_the_error_names_the_extra() -> None:
    program = "import sys; sys.modules['psycopg'] = None; import wfadapters.postgres"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "pip install 'wfcore[postgres]'" in done.stderr


def test_the_databases_clock_is_the_default(open_postgres: OpenPostgres, database: Database) -> None:
    store = open_postgres(clock=None)
    [(before,)] = database.rows("SELECT clock_timestamp()")
    store.apply(send())
    found = store.retrieve(REF).now
    store.apply(create(due_at=found))
    [fired] = store.due(DueQuery())
    [(after,)] = database.rows("SELECT clock_timestamp()")
    assert [before, found, fired.timestamp, after] == sorted([before, found, fired.timestamp, after])


def open_blocking(url: str) -> None:
    PostgresStore(url)


def open_async(url: str) -> None:
    asyncio.run(AsyncPostgresStore(url).open())
