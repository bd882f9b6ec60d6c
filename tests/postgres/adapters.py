"""The stores in PostgreSQL, as the conformance suite wants to know them."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from datetime import datetime
from functools import partial
from typing import Any

import psycopg

from tests.postgres.database import NOTE, TWICE, Database
from wfadapters.postgres import AsyncBoundStore, AsyncPostgresStore, BoundStore, PostgresStore, Sql
from wfcore.testing.conformance import Adapter, Note

Clock = Callable[[], datetime]
Strikes = Callable[[], bool]


def blocking() -> Adapter:
    database = Database.shared()
    database.clear()
    return Adapter(
        open=partial(open_blocking, database.url, database.schema),
        written=lambda store: notes(database),
        fails_at_commit=Sql(TWICE),
        within=partial(transaction, database.url),
        faulty=partial(open_faulty, database.url, database.schema),
    )


def asynchronous() -> Adapter:
    database = Database.shared()
    database.clear()
    return Adapter(
        open=partial(open_async, database.url, database.schema),
        written=lambda store: notes(database),
        fails_at_commit=Sql(TWICE),
        within=partial(async_transaction, database.url),
        faulty=partial(open_async_faulty, database.url, database.schema),
    )


def open_blocking(url: str, schema: str, clock: Clock, **options: Any) -> PostgresStore:
    return PostgresStore(url, schema=schema, clock=clock, pool_size=4, writers={Note: write_note}, **options)


def open_async(url: str, schema: str, clock: Clock, **options: Any) -> AbstractAsyncContextManager[AsyncPostgresStore]:
    return AsyncPostgresStore(url, schema=schema, clock=clock, pool_size=4, writers={Note: write_async}, **options)


def open_faulty(url: str, schema: str, clock: Clock, strikes: Strikes) -> PostgresStore:
    """Loses its connection before the server is told something, or before it has answered."""

    def endanger(connection: psycopg.Connection[Any]) -> None:
        wait = connection.wait

        def wait_or_fail(*arguments: Any, **options: Any) -> Any:
            fail_if(strikes(), connection.pgconn)
            answer = wait(*arguments, **options)
            fail_if(strikes(), connection.pgconn)
            return answer

        connection.wait = wait_or_fail  # type: ignore[method-assign]

    return open_blocking(url, schema, clock, on_connect=endanger)


def open_async_faulty(
    url: str, schema: str, clock: Clock, strikes: Strikes
) -> AbstractAsyncContextManager[AsyncPostgresStore]:
    async def endanger(connection: psycopg.AsyncConnection[Any]) -> None:
        wait = connection.wait

        async def wait_or_fail(*arguments: Any, **options: Any) -> Any:
            fail_if(strikes(), connection.pgconn)
            answer = await wait(*arguments, **options)
            fail_if(strikes(), connection.pgconn)
            return answer

        connection.wait = wait_or_fail  # type: ignore[method-assign]

    return open_async(url, schema, clock, on_connect=endanger)


def fail_if(strikes: bool, connection: Any) -> None:
    if strikes:
        connection.finish()
        raise psycopg.OperationalError("the connection was lost")


@contextmanager
def transaction(url: str, store: PostgresStore) -> Iterator[BoundStore]:
    with psycopg.connect(url) as connection:
        yield store.within(connection)


@asynccontextmanager
async def async_transaction(url: str, store: AsyncPostgresStore) -> AsyncIterator[AsyncBoundStore]:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        yield store.within(connection)


def notes(database: Database) -> list[str]:
    return [text for (text,) in database.rows("SELECT text FROM note ORDER BY place")]


def write_note(connection: psycopg.Connection[Any], note: Note) -> None:
    connection.execute(NOTE, (note.text,))


async def write_async(connection: psycopg.AsyncConnection[Any], note: Note) -> None:
    await connection.execute(NOTE, (note.text,))
