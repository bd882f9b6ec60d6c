"""The writers of users, blocking and for asyncio, and what is wrong with those that end the transaction. No I/O."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias, TypeVar

from wfadapters.postgres.driver import psycopg
from wfadapters.postgres.faults import FAULTS
from wfadapters.sql import Sql
from wfadapters.writes import OneWrite

Writer: TypeAlias = Callable[[psycopg.Connection[Any], Any], object]
"""Executes a user's ``Write`` in the store's open transaction, which it may neither commit nor roll back."""
AsyncWriter: TypeAlias = Callable[[psycopg.AsyncConnection[Any], Any], Awaitable[object]]
"""The same for asyncio."""
W = TypeVar("W")
_IN_TRANSACTION = psycopg.pq.TransactionStatus.INTRANS


def execute_sql(connection: psycopg.Connection[Any], value: Sql) -> None:
    """The writer of :class:`Sql`."""
    connection.execute(value.statement.encode(), value.parameters or None)


async def execute_sql_async(connection: psycopg.AsyncConnection[Any], value: Sql) -> None:
    """The same for asyncio."""
    await connection.execute(value.statement.encode(), value.parameters or None)


@contextmanager
def explained_write(
    connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any], write: OneWrite, writers: Mapping[type, W]
) -> Iterator[W]:
    """Lend the writer of a value, and turn what it raises into :class:`WriteFailedError`."""
    with FAULTS.of_writer(write, writers) as writer:
        yield writer
    if connection.info.transaction_status != _IN_TRANSACTION:
        reason = "its writer ended the transaction, or hid that a statement of it failed"
        raise write.failed(reason, "let the store commit, and put what may fail into `with connection.transaction():`")
