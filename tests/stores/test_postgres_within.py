"""A bound store of PostgreSQL: what it applies commits with the caller's own rows, or not at all."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import psycopg
import pytest
from psycopg.rows import dict_row

from tests.postgres.database import PAID, SCHEMA, Database
from tests.stores.build import (
    NOW,
    OTHER,
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
from tests.stores.conftest import write_paid_async
from wfadapters.postgres import AsyncBoundStore, AsyncPostgresStore, PostgresStore
from wfcore.errors import StoreError, StoreUnavailableError, WriteFailedError
from wfcore.model import Snapshot
from wfcore.plan import AddEvent, Applied, Conflict, PutStep, Write

pytestmark = pytest.mark.postgres
Caller = psycopg.Connection[tuple[object, ...]]


@pytest.fixture
def caller(database: Database) -> Iterator[Caller]:
    with psycopg.connect(database.url) as connection:
        yield connection
        if not connection.closed:
            connection.rollback()


def order(connection: Caller, name: str = "order-1") -> None:
    connection.execute(PAID, (name, 100))


def orders(database: Database) -> list[str]:
    return [name for (name,) in database.rows("SELECT order_id FROM paid ORDER BY place")]


def test_a4_it_commits_with_the_callers_rows(postgres_store: PostgresStore, caller: Caller, database: Database) -> None:
    order(caller)
    assert must(postgres_store.within(caller).apply(create())).pending_hooks == {hook().id}
    assert (postgres_store.retrieve(REF).instance, orders(database)) == (None, [])
    caller.commit()
    assert postgres_store.retrieve(REF) == Snapshot(instance=instance(), hooks=(hook(),), now=NOW)
    assert orders(database) == ["order-1"]


@pytest.mark.parametrize("first", [create(), tick(1, Write(Paid("order-2", 1)))], ids=["plain", "with a write"])
def test_a1_it_is_rolled_back_with_the_callers_rows(
    postgres_store: PostgresStore, caller: Caller, database: Database, first: object
) -> None:
    """Also if it is the first that the transaction does: then it is the driver that begins."""
    bound = postgres_store.within(caller)
    if first != create():
        postgres_store.apply(create())
        must(bound.apply(tick(1, Write(Paid("order-2", 1)))))
    else:
        must(bound.apply(create()))
    order(caller)
    before = postgres_store.retrieve(REF)
    caller.rollback()
    assert (postgres_store.retrieve(REF), orders(database)) == (before, [])


def test_a9_it_reads_what_the_caller_has_not_committed(postgres_store: PostgresStore, caller: Caller) -> None:
    bound = postgres_store.within(caller)
    bound.apply(create())
    bound.apply(busy_tick())
    assert bound.retrieve(REF).instance == instance(version=2)


def test_a2_a_conflict_leaves_the_transaction_usable(
    postgres_store: PostgresStore, caller: Caller, database: Database
) -> None:
    postgres_store.apply(create())
    bound = postgres_store.within(caller)
    assert bound.apply(create()) == Conflict(REF, 1, "e1")
    order(caller)
    assert isinstance(bound.apply(tick(1)), Applied)
    caller.commit()
    assert (postgres_store.retrieve(REF).instance, orders(database)) == (instance(version=2), ["order-1"])


@pytest.mark.parametrize("value", [Paid("order-2", -1), object()])
def test_a11_a_failed_write_undoes_its_plan_and_nothing_else(
    postgres_store: PostgresStore, caller: Caller, database: Database, value: object
) -> None:
    order(caller)
    bound = postgres_store.within(caller)
    bound.apply(create())
    failing = tick(1, PutStep(step()), AddEvent(event()), Write(Paid("order-3", 1)), Write(value))
    assert isinstance(refused(bound, failing), WriteFailedError)
    assert isinstance(bound.apply(send()), Applied)
    caller.commit()
    found = postgres_store.retrieve(REF)
    assert found == Snapshot(instance=instance(), events=(event(),), hooks=(message(), hook()), now=NOW)
    assert orders(database) == ["order-1"]


def test_without_a_transaction_it_is_refused(postgres_store: PostgresStore, caller: Caller) -> None:
    caller.autocommit = True
    error = refused(postgres_store.within(caller), create())
    assert isinstance(error, StoreUnavailableError)
    assert error.reason == "the connection has no open transaction"
    assert "with connection.transaction()" in error.advice


def test_in_autocommit_a_transaction_block_will_do(postgres_store: PostgresStore, caller: Caller) -> None:
    caller.autocommit = True
    with caller.transaction():
        must(postgres_store.within(caller).apply(create()))
        assert postgres_store.retrieve(REF).instance is None
    assert postgres_store.retrieve(REF).instance == instance()


def test_a_failed_transaction_says_so(postgres_store: PostgresStore, caller: Caller) -> None:
    with pytest.raises(psycopg.Error):
        caller.execute("SELECT nonsense")
    assert "roll it back and begin again" in str(refused(postgres_store.within(caller), create()))


def test_the_callers_kind_of_rows_does_not_matter(postgres_store: PostgresStore, database: Database) -> None:
    with psycopg.connect(database.url, row_factory=dict_row, cursor_factory=psycopg.ClientCursor) as connection:
        bound = postgres_store.within(connection)
        bound.apply(create())
        assert bound.retrieve(REF).instance == instance()
        connection.rollback()


@pytest.mark.parametrize("setting", ["TimeZone = 'Asia/Kathmandu'", "DateStyle = 'German'"])
def test_a7_the_callers_settings_do_not_matter(postgres_store: PostgresStore, caller: Caller, setting: str) -> None:
    caller.execute(f"SET {setting}".encode())
    bound = postgres_store.within(caller)
    bound.apply(create())
    bound.apply(tick(1, PutStep(step(settled_at=NOW))))
    assert (bound.retrieve(REF).steps, bound.retrieve(REF).instance) == ((step(settled_at=NOW),), instance(version=2))


def test_another_database_is_refused(postgres_store: PostgresStore, caller: Caller) -> None:
    caller.execute(f"ALTER SCHEMA {SCHEMA} RENAME TO elsewhere".encode())
    error = refused(postgres_store.within(caller), create())
    assert "does not exist" in str(error)
    assert not isinstance(error, StoreUnavailableError)
    caller.rollback()


def test_a_closed_connection_is_a_store_error(postgres_store: PostgresStore, caller: Caller) -> None:
    caller.close()
    assert "the connection is closed" in str(refused(postgres_store.within(caller), create()))


# ---- asyncio


async def in_a_transaction(
    database: Database, act: Callable[[AsyncPostgresStore, AsyncBoundStore], Awaitable[None]], *, autocommit: bool
) -> None:
    store = AsyncPostgresStore(
        database.url, schema=SCHEMA, clock=lambda: NOW, writers={Paid: write_paid_async}, pool_size=1
    )
    async with store, await psycopg.AsyncConnection.connect(database.url, autocommit=autocommit) as connection:
        await act(store, store.within(connection))
        await connection.rollback()


def test_an_async_bound_store_is_a_store(database: Database) -> None:
    async def act(store: AsyncPostgresStore, bound: AsyncBoundStore) -> None:
        assert await bound.apply(create()) == Applied(frozenset({hook().id}))
        assert await bound.apply(create()) == Conflict(REF, 1, "e1")
        with pytest.raises(WriteFailedError):
            await bound.apply(tick(1, Write(Paid("order-1", -1))))
        await bound.apply(tick(1, Write(Paid("order-1", 1))))
        assert (await bound.retrieve(REF)).instance == instance(version=2)
        assert (await store.retrieve(REF)).instance is None
        await bound.connection.commit()
        assert (await store.retrieve(REF)).instance == instance(version=2)

    asyncio.run(in_a_transaction(database, act, autocommit=False))


def test_an_async_bound_store_without_a_transaction_is_refused(database: Database) -> None:
    async def act(store: AsyncPostgresStore, bound: AsyncBoundStore) -> None:
        for call in (bound.retrieve(REF), bound.apply(create(OTHER))):
            with pytest.raises(StoreError, match="no open transaction"):
                await call

    asyncio.run(in_a_transaction(database, act, autocommit=True))
