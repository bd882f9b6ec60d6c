"""Stores inside the caller's own transaction: what they apply commits, or does not, with the caller's rows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import attrs

from wfadapters.postgres.driver import psycopg
from wfadapters.postgres.faults import BEGIN, explained
from wfadapters.postgres.statements import Statements
from wfadapters.postgres.transaction import ask, ask_async, perform, perform_async
from wfadapters.postgres.writes import AsyncWriter, Writer
from wfcore.errors import StoreUnavailableError
from wfcore.model import Snapshot
from wfcore.plan import Applied, Conflict, Plan

_IDLE = psycopg.pq.TransactionStatus.IDLE


@attrs.frozen
class BoundStore:
    """A Store that neither begins, commits nor rolls back: made by :meth:`PostgresStore.within`.

    It is for one thread at a time. A :class:`Conflict` or a failed ``Write`` leaves the transaction as it was before
    the apply, and usable. Other processes, and this one, are told when the caller commits.
    """

    connection: psycopg.Connection[Any]
    statements: Statements
    writers: Mapping[type, Writer]

    def retrieve(self, ref: str) -> Snapshot:
        """All rows of one instance, the caller's uncommitted ones included; see :class:`wfcore.ports.Store`."""
        with self._begun("retrieve"):
            return ask(self.connection, self.statements.retrieve(ref))

    def apply(self, plan: Plan) -> Applied | Conflict:
        """Perform a plan; durable when the caller commits; see :class:`wfcore.ports.Store`."""
        with self._begun("apply"):
            [answer] = perform(self.connection, self.statements, [plan], self.writers)
        return answer

    @contextmanager
    def _begun(self, operation: str) -> Iterator[None]:
        with explained(operation):
            if _must_begin(self.connection, operation):
                self.connection.execute(b"SELECT")  # the driver begins before a first statement, and only then
            yield


@attrs.frozen
class AsyncBoundStore:
    """A :class:`BoundStore` for asyncio: made by :meth:`AsyncPostgresStore.within`. Several tasks may use it."""

    connection: psycopg.AsyncConnection[Any]
    statements: Statements
    writers: Mapping[type, AsyncWriter]
    # Savepoints of two tasks would nest: what rolls back the outer one takes the inner one with it.
    _turn: asyncio.Lock = attrs.field(factory=asyncio.Lock, init=False, eq=False, repr=False)

    async def retrieve(self, ref: str) -> Snapshot:
        """As :meth:`BoundStore.retrieve`."""
        async with self._begun("retrieve"):
            return await ask_async(self.connection, self.statements.retrieve(ref))

    async def apply(self, plan: Plan) -> Applied | Conflict:
        """As :meth:`BoundStore.apply`."""
        async with self._begun("apply"):
            [answer] = await perform_async(self.connection, self.statements, [plan], self.writers)
        return answer

    @asynccontextmanager
    async def _begun(self, operation: str) -> AsyncIterator[None]:
        with explained(operation):
            async with self._turn:
                if _must_begin(self.connection, operation):
                    await self.connection.execute(b"SELECT")
                yield


def _must_begin(connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any], operation: str) -> bool:
    idle = connection.info.transaction_status == _IDLE
    if idle and connection.autocommit:
        raise StoreUnavailableError(operation, "the connection has no open transaction", BEGIN)
    return idle
