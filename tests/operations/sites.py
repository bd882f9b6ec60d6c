"""Where workflows run: a database, a store on it of either colour, and a dispatcher; nothing of them is a double."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

import attrs
import psycopg

from tests.crash.on_postgres import write_record
from tests.crash.shop import RECORDS, RECOVER_AFTER, REGISTRY, WRITERS, Record
from tests.operations.trade import Row
from tests.postgres.blocking import BlockingStore
from wfadapters.postgres import AsyncPostgresStore, PostgresStore
from wfadapters.sqlite import SqliteStore
from wfcore import AsyncDispatcher, Client, Dispatcher, Registry, to_async
from wfcore.testing.conformance.loop import Loop

Colour: TypeAlias = Literal["threads", "asyncio"]
Dispatching: TypeAlias = Callable[..., AbstractContextManager[object]]


@attrs.frozen
class Site:
    """A store, and what is done with it.

    Attributes:
        store: the store, as a blocking one.
        client: on it.
        dispatching: runs a dispatcher of the store's colour on it, while the context lasts; takes a registry, if it is
            not the shop's, and settings by keyword.
        rows: reads the users' rows, by a connection of its own to the same database.
    """

    store: Any
    client: Client
    dispatching: Dispatching
    rows: Callable[[], list[Row]]


@contextmanager
def on_sqlite(path: Path, colour: Colour = "threads", **options: Any) -> Iterator[Site]:
    """A store in that file."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(RECORDS)
    with SqliteStore(path, **{"writers": WRITERS, **options}) as store:
        dispatching = in_threads if colour == "threads" else on_a_loop
        native = store if colour == "threads" else to_async(store)
        yield Site(store, Client(store, REGISTRY), partial(dispatching, native), partial(_sqlite_rows, path))


@contextmanager
def on_postgres(url: str, colour: Colour = "threads", *, direct: str | None = None, **options: Any) -> Iterator[Site]:
    """A store in that database, with at most four connections if the options do not say otherwise.

    Args:
        url: what the store connects to.
        colour: of the store and its dispatchers.
        direct: the same database for the test itself, if there is something between the store and the server.
        options: of the store.
    """
    rows = partial(_postgres_rows, direct or url)
    options = {"pool_size": 4, **options}
    with psycopg.connect(direct or url, autocommit=True) as connection:
        connection.execute(RECORDS.encode())
    if colour == "threads":
        with PostgresStore(url, **{"writers": {Record: write_record}, **options}) as store:
            yield Site(store, Client(store, REGISTRY), partial(in_threads, store), rows)
        return
    native = AsyncPostgresStore(url, **{"writers": {Record: write_record_async}, **options})
    with closing(Loop()) as loop, closing(BlockingStore(loop, native)) as bridged:
        yield Site(bridged, Client(bridged, REGISTRY), partial(on_that_loop, loop, native), rows)


async def write_record_async(connection: psycopg.AsyncConnection[Any], record: Record) -> None:
    await connection.execute("INSERT INTO records VALUES (%s, %s)", (record.number, record.step))


def in_threads(store: Any, registry: Registry = REGISTRY, **settings: Any) -> AbstractContextManager[object]:
    return Dispatcher(store, registry, **{"recover_after": RECOVER_AFTER, **settings})


@contextmanager
def on_a_loop(store: Any, registry: Registry = REGISTRY, **settings: Any) -> Iterator[object]:
    with closing(Loop()) as loop, on_that_loop(loop, store, registry, **settings) as dispatcher:
        yield dispatcher


@contextmanager
def on_that_loop(loop: Loop, store: Any, registry: Registry = REGISTRY, **settings: Any) -> Iterator[object]:
    dispatcher, leave = loop.entered(_running(store, registry, {"recover_after": RECOVER_AFTER, **settings}))
    try:
        yield dispatcher
    finally:
        leave(None, None, None)


@asynccontextmanager
async def _running(store: Any, registry: Registry, settings: dict[str, Any]) -> Any:
    async with AsyncDispatcher(store, registry, **settings) as dispatcher:
        yield dispatcher


def _sqlite_rows(path: Path) -> list[Row]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT number, step FROM records ORDER BY number, step").fetchall()


def _postgres_rows(url: str) -> list[Row]:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT number, step FROM records ORDER BY number, step").fetchall()
