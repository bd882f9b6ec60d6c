"""A pretended payment gateway: somebody else's machine, with a memory of its own that no kill of the worker touches.

Like the real ones it has cards for testing, and it takes an idempotency key with every request: a key that it has
seen is answered from the record. A request with another key is another charge, so a double would be seen.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import attrs
from examples.checkout.orders import Payment

LATENCY_SECONDS = 0.12  # before the gateway decides, and again until its answer arrives
_TABLES = """
    CREATE TABLE IF NOT EXISTS requests (key TEXT NOT NULL, order_id TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS charges (key TEXT PRIMARY KEY, payment_id TEXT, order_id TEXT, cents INTEGER);
    CREATE TABLE IF NOT EXISTS refunds (key TEXT PRIMARY KEY, payment_id TEXT, order_id TEXT, cents INTEGER);
"""


class GatewayUnavailable(Exception):  # noqa: N818 - the words of the trade
    """Try again later."""


class CardDeclined(Exception):  # noqa: N818 - the words of the trade
    """Trying again is of no use."""


@attrs.frozen
class Gateway:
    path: Path
    pause: Callable[[float], None]

    def charge(self, key: str, order_id: str, card: str, cents: int) -> Payment:
        with self._request(key, order_id) as (connection, requests):
            known = connection.execute("SELECT payment_id, cents FROM charges WHERE key = ?", (key,)).fetchone()
            if known is not None:
                return Payment(*known)
            if card == "tok_declined":
                raise CardDeclined("insufficient funds")
            flaky = re.fullmatch(r"tok_flaky_(\d+)", card)
            if flaky and requests <= int(flaky[1]):
                raise GatewayUnavailable("503 Service Unavailable")
            payment = Payment(f"pay_{order_id}_{requests}", cents)
            connection.execute("INSERT INTO charges VALUES (?, ?, ?, ?)", (key, payment.id, order_id, cents))
            return payment

    def refund(self, key: str, order_id: str, payment: Payment) -> str:
        refund_id = f"refund_of_{payment.id}"
        with self._request(key, order_id) as (connection, _):
            row = (key, payment.id, order_id, payment.cents)
            connection.execute("INSERT OR IGNORE INTO refunds VALUES (?, ?, ?, ?)", row)
            return refund_id

    @contextmanager
    def _request(self, key: str, order_id: str) -> Iterator[tuple[sqlite3.Connection, int]]:
        """Yield a transaction, and the how manieth request of its key this is; the way there and back takes time."""
        self.pause(LATENCY_SECONDS)
        with closing(sqlite3.connect(self.path, timeout=30, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT INTO requests VALUES (?, ?)", (key, order_id))
            (count,) = connection.execute("SELECT count(*) FROM requests WHERE key = ?", (key,)).fetchone()
            try:
                yield connection, count
            finally:
                connection.execute("COMMIT")
                self.pause(LATENCY_SECONDS)


def open_gateway(path: Path, pause: Callable[[float], None]) -> Gateway:
    with closing(sqlite3.connect(path, timeout=30)) as connection:
        connection.executescript(_TABLES)
    return Gateway(path, pause)
