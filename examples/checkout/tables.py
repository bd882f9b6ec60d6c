"""The shop's own tables, beside the workflows in one file, and what steps write into them.

No table that a step writes has a unique key: if a step were committed twice, its row would stand there twice.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import attrs
from examples.checkout.orders import Order

from wfadapters.sqlite import Writer

_TABLES = """
    CREATE TABLE IF NOT EXISTS orders (order_id TEXT PRIMARY KEY, customer TEXT NOT NULL, cents INTEGER NOT NULL);
    CREATE TABLE IF NOT EXISTS ledger (order_id TEXT NOT NULL, step TEXT NOT NULL, outcome TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS questions (order_id TEXT NOT NULL, approver TEXT NOT NULL, cents INTEGER NOT NULL,
                                          asked_at REAL NOT NULL, answer TEXT, answered_at REAL);
    CREATE TABLE IF NOT EXISTS paid (order_id TEXT NOT NULL, customer TEXT NOT NULL, payment_id TEXT NOT NULL,
                                     cents INTEGER NOT NULL);
"""


@attrs.frozen
class Entry:
    """The ledger: one row for every step that has settled."""

    order_id: str
    step: str
    outcome: Literal["done", "failed"]


@attrs.frozen
class Question:
    """The approvers' list: may this order go out?"""

    order_id: str
    approver: str
    cents: int
    asked_at: datetime


@attrs.frozen
class OrderPaid:
    """The shop's income: one row for every order that was paid."""

    order_id: str
    customer: str
    payment_id: str
    cents: int


def _write_entry(connection: sqlite3.Connection, entry: Entry) -> None:
    connection.execute("INSERT INTO ledger VALUES (?, ?, ?)", attrs.astuple(entry))


def _write_question(connection: sqlite3.Connection, question: Question) -> None:
    row = (question.order_id, question.approver, question.cents, question.asked_at.timestamp())
    connection.execute("INSERT INTO questions (order_id, approver, cents, asked_at) VALUES (?, ?, ?, ?)", row)


def _write_order_paid(connection: sqlite3.Connection, paid: OrderPaid) -> None:
    connection.execute("INSERT INTO paid VALUES (?, ?, ?, ?)", attrs.astuple(paid))


WRITERS: Mapping[type, Writer] = MappingProxyType(
    {Entry: _write_entry, Question: _write_question, OrderPaid: _write_order_paid}
)


def insert_order(connection: sqlite3.Connection, order: Order) -> bool:
    """Whether the order is new."""
    row = (order.id, order.customer, order.cents)
    return connection.execute("INSERT OR IGNORE INTO orders VALUES (?, ?, ?)", row).rowcount == 1


def connect(path: Path) -> sqlite3.Connection:
    """A connection of the shop's own, which begins and ends its transactions itself."""
    return sqlite3.connect(path, timeout=30, isolation_level=None)


def create_tables(connection: sqlite3.Connection) -> None:
    connection.executescript(_TABLES)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
