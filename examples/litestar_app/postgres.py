"""The same in PostgreSQL, awaited."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import psycopg
from examples.litestar_app.database import TABLE, Database, VoucherUsedError
from examples.litestar_app.orders import Basket, Moved, Order
from psycopg_pool import AsyncConnectionPool

from wfadapters.postgres import AsyncPostgresStore
from wfcore import AsyncClient, Registry, StoreUnavailableError, Workflow

INSERT = "INSERT INTO orders VALUES (%s, %s, %s, %s, 'placed') ON CONFLICT (id) DO NOTHING"
SELECT = "SELECT item, cents, voucher FROM orders WHERE id = %s"
UPDATE = "UPDATE orders SET state = %s WHERE id = %s"


@asynccontextmanager
async def open_postgres(url: str, fulfilment: Workflow[Order, str]) -> AsyncIterator[Database]:
    registry = Registry([fulfilment])

    async def place(order: Order) -> tuple[Order, bool]:
        try:
            async with pool.connection() as connection:  # commits at the end, or rolls back
                client = AsyncClient(store.within(connection), registry)
                await client.create(fulfilment, order, id=order.id, on_conflict="return_existing")
                inserted = await connection.execute(INSERT, (order.id, *attrs.astuple(order.basket)))
                row = await (await connection.execute(SELECT, (order.id,))).fetchone()
                return Order(order.id, Basket(*row or ())), inserted.rowcount == 1
        except psycopg.IntegrityError as error:
            raise VoucherUsedError(f"another order has used the voucher {order.basket.voucher!r}") from error
        except psycopg.OperationalError as error:
            raise StoreUnavailableError("place", str(error)) from error

    async with (
        AsyncPostgresStore(url, writers={Moved: write_moved}) as store,
        AsyncConnectionPool[Any](url, open=False) as pool,
    ):
        async with pool.connection() as connection:
            await connection.execute("SELECT pg_advisory_xact_lock(738)")  # other workers are starting too
            await connection.execute(TABLE)
        yield Database(store, place)


async def write_moved(connection: psycopg.AsyncConnection[Any], moved: Moved) -> None:
    await connection.execute(UPDATE, (moved.state, moved.order_id))
