"""The shop's own table beside wfcore's, in an SQLite file. An order and its workflow begin in one transaction."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing

import attrs
from examples.litestar_app.orders import Basket, Moved, Order

from wfadapters.sqlite import SqliteStore
from wfcore import AsyncStore, Client, Registry, StoreUnavailableError, Workflow, to_async

TABLE = """CREATE TABLE IF NOT EXISTS orders (
    id TEXT PRIMARY KEY, item TEXT NOT NULL, cents INTEGER NOT NULL, voucher TEXT UNIQUE, state TEXT NOT NULL)"""
INSERT = "INSERT INTO orders VALUES (?, ?, ?, ?, 'placed') ON CONFLICT (id) DO NOTHING"
SELECT = "SELECT item, cents, voucher FROM orders WHERE id = ?"
UPDATE = "UPDATE orders SET state = ? WHERE id = ?"


class VoucherUsedError(Exception):
    """Another order has used that voucher."""


@attrs.frozen
class Database:
    """An open one.

    Attributes:
        store: where the workflows are.
        place: inserts an order and starts its workflow: both or neither. Returns the order of that id, and whether it
            is new; one that is there already is left alone.
    """

    store: AsyncStore
    place: Callable[[Order], Awaitable[tuple[Order, bool]]]


def open_database(where: str, fulfilment: Workflow[Order, str]) -> AbstractAsyncContextManager[Database]:
    """Open the URL of a PostgreSQL database, or else the path of an SQLite file."""
    if where.startswith(("postgresql:", "postgres:")):
        from examples.litestar_app.postgres import open_postgres  # noqa: PLC0415 - psycopg is optional

        return open_postgres(where, fulfilment)
    return open_sqlite(where, fulfilment)


@asynccontextmanager
async def open_sqlite(path: str, fulfilment: Workflow[Order, str]) -> AsyncIterator[Database]:
    registry = Registry([fulfilment])

    def place(order: Order) -> tuple[Order, bool]:
        try:
            with closing(sqlite3.connect(path, isolation_level=None)) as connection, connection:
                connection.execute("BEGIN IMMEDIATE")
                client = Client(store.within(connection), registry)
                client.create(fulfilment, order, id=order.id, on_conflict="return_existing")
                inserted = connection.execute(INSERT, (order.id, *attrs.astuple(order.basket)))
                row = connection.execute(SELECT, (order.id,)).fetchone()
                return Order(order.id, Basket(*row)), inserted.rowcount == 1
        except sqlite3.IntegrityError as error:
            raise VoucherUsedError(f"another order has used the voucher {order.basket.voucher!r}") from error
        except sqlite3.OperationalError as error:
            raise StoreUnavailableError("place", str(error)) from error

    with SqliteStore(path, writers={Moved: write_moved}) as store:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute(TABLE)
        yield Database(to_async(store), lambda order: asyncio.to_thread(place, order))


def write_moved(connection: sqlite3.Connection, moved: Moved) -> None:
    connection.execute(UPDATE, (moved.state, moved.order_id))
