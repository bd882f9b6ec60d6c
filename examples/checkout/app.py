"""Puts the shop together: the same in every process, on the same files."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import attrs
from examples.checkout.gateway import open_gateway
from examples.checkout.orders import Order, Result
from examples.checkout.shop import Shop
from examples.checkout.tables import WRITERS, connect, create_tables, insert_order, transaction
from examples.checkout.workflow import make_checkout

from wfadapters.sqlite import SqliteStore
from wfcore import Client, Handle, Registry, Workflow

Synchronous = Literal["OFF", "NORMAL", "FULL", "EXTRA"]


def utc_now() -> datetime:
    return datetime.now(UTC)


@attrs.frozen
class Files:
    """Where things are: beside the database, whose path is all that a process has to be told."""

    db: Path

    @property
    def gateway(self) -> Path:
        return self.db.with_name("gateway.db")

    @property
    def journal(self) -> Path:
        return self.db.with_name("bodies.jsonl")

    @property
    def receipts(self) -> Path:
        return self.db.with_name("receipts")


@attrs.frozen
class App:
    files: Files
    store: SqliteStore
    connection: sqlite3.Connection
    checkout: Workflow[Order, Result]
    registry: Registry

    def handle(self, order_id: str) -> Handle[Result]:
        return Client(self.store, self.registry).handle(self.checkout, order_id)

    def place(self, order: Order) -> None:
        """Insert the order and start its checkout: both or neither. An order that is there already changes nothing."""
        with transaction(self.connection):
            if insert_order(self.connection, order):
                client = Client(self.store.within(self.connection), self.registry)
                client.create(self.checkout, order, id=order.id)


@contextmanager
def open_app(
    db: Path,
    *,
    now: Callable[[], datetime] = utc_now,
    pause: Callable[[float], None] = time.sleep,
    synchronous: Synchronous = "FULL",
) -> Iterator[App]:
    """Open the shop; tests bring a clock of their own and do without pauses."""
    files = Files(db.absolute())
    files.receipts.mkdir(parents=True, exist_ok=True)
    shop = Shop(open_gateway(files.gateway, pause), files.journal, files.receipts, now, pause)
    checkout = make_checkout(shop)
    with (
        SqliteStore(db, clock=now, synchronous=synchronous, writers=WRITERS) as store,
        closing(connect(db)) as connection,
    ):
        create_tables(connection)
        yield App(files, store, connection, checkout, Registry([checkout]))
