"""The store for asyncio: the same questions, awaited."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from types import MappingProxyType, TracebackType
from typing import Any, Self, TypeVar

from wfadapters.listeners import Listeners
from wfadapters.postgres import catalog
from wfadapters.postgres import schema as tables
from wfadapters.postgres.bound import AsyncBoundStore
from wfadapters.postgres.driver import psycopg, psycopg_pool
from wfadapters.postgres.faults import explained, is_transient
from wfadapters.postgres.listening import AsyncEar
from wfadapters.postgres.question import Question
from wfadapters.postgres.settings import Settings
from wfadapters.postgres.statements import Statements
from wfadapters.postgres.transaction import ask_async, perform_async
from wfadapters.postgres.writes import AsyncWriter, execute_sql_async
from wfadapters.sql import Sql
from wfcore.errors import StoreError, WriteFailedError
from wfcore.model import FiredHook, Instance, InstanceStatus, Snapshot
from wfcore.plan import Applied, Conflict, Plan
from wfcore.ports import DueQuery, History, InstanceQuery, Page

T = TypeVar("T")


class _Reads(ABC):
    """The store but for its writing."""

    _settings: Settings
    _statements: Statements

    @abstractmethod
    async def _ask(self, operation: str, question: Question[T]) -> T: ...

    async def retrieve(self, ref: str) -> Snapshot:
        """All rows of one instance; see :class:`wfcore.ports.Store`."""
        return await self._ask("retrieve", self._statements.retrieve(ref))

    async def due(self, query: DueQuery) -> Sequence[FiredHook]:
        """The hooks that are due; see :class:`wfcore.ports.HookFeed`."""
        return await self._ask("due", self._statements.due(query))

    async def next_due_at(self, query: DueQuery) -> datetime | None:
        """When the next hook is due; see :class:`wfcore.ports.HookFeed`."""
        return await self._ask("next_due_at", self._statements.next_due_at(query))

    async def list_instances(self, query: InstanceQuery) -> Page[Instance]:
        """One page of instances; see :class:`wfcore.ports.Catalog`."""
        return await self._ask("list_instances", catalog.list_instances(self._settings.schema, query))

    async def count_by_status(self, query: InstanceQuery) -> Mapping[InstanceStatus, int]:
        """How many instances there are; see :class:`wfcore.ports.Catalog`."""
        return await self._ask("count_by_status", catalog.count_by_status(self._settings.schema, query))

    async def history(self, ref: str, run_number: int | None = None) -> History:
        """What is recorded of a run; see :class:`wfcore.ports.Catalog`."""
        return await self._ask("history", catalog.history(self._settings.schema, ref, run_number))

    async def suspects(self, limit: int, after: str | None = None) -> Sequence[Instance]:
        """Candidates for an audit; see :class:`wfcore.ports.Catalog`."""
        return await self._ask("suspects", catalog.suspects(self._settings.schema, limit, after))


class AsyncPostgresStore(_Reads):
    """As :class:`PostgresStore`, for one event loop.

    It is an AsyncBatchStore, an AsyncHookFeed, an AsyncCatalog, and Listenable. It opens with ``async with`` or
    :meth:`open`. Both kinds of stores may share a database.

    Args:
        conninfo: as :class:`PostgresStore` takes it, and so are the others.
        schema: the schema that holds the tables; it is created if there is none.
        clock: tells the time, as an aware UTC ``datetime``; ``None``: the database does.
        timeout: how long to wait for a free connection, and for the locks of other transactions.
        pool_size: at most so many connections, and one more once somebody listens.
        writers: for each class of values of ``attempt.write`` the coroutine function that writes it.
        on_connect: awaited with each new connection of the pool.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(
        self,
        conninfo: str,
        *,
        schema: str = "wfcore",
        clock: Callable[[], datetime] | None = None,
        timeout: timedelta = timedelta(seconds=5),
        pool_size: int = 10,
        writers: Mapping[type, AsyncWriter] = MappingProxyType({}),
        on_connect: Callable[[psycopg.AsyncConnection[Any]], Awaitable[object]] | None = None,
    ) -> None:
        self._settings = settings = Settings(conninfo, schema, timeout, pool_size)
        self._on_connect = on_connect
        self._writers: Mapping[type, AsyncWriter] = {Sql: execute_sql_async, **writers}
        self._statements = Statements(schema, clock, settings.sender)
        self._statements_within = Statements(schema, clock, "")
        self._listeners = Listeners()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pool: psycopg_pool.AsyncConnectionPool[Any] | None = None
        self._ear = AsyncEar(settings, self._listeners)

    async def open(self) -> None:
        """Make or migrate the tables, and open the pool.

        Raises:
            StoreUnavailableError: the server cannot be reached now.
            SchemaVersionError: a newer wfcore has migrated the schema.
            StoreError: the schema cannot be made, or is damaged.
        """
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(tables.migrate, self._settings)
        with explained("open"):  # here the errors of on_connect are seen, a pool would only log them
            async with await psycopg.AsyncConnection.connect(self._settings.address, autocommit=True) as connection:
                await self._configure(connection)
            pool = psycopg_pool.AsyncConnectionPool(
                self._settings.address, configure=self._configure, **self._settings.pool
            )
            await pool.open(wait=True, timeout=self._settings.opening)  # if that fails, it closes itself
        self._pool = pool

    async def apply(self, plan: Plan) -> Applied | Conflict:
        """Perform a plan; see :class:`wfcore.ports.Store`."""
        [answer] = await self._committed([plan])
        return answer

    async def apply_many(self, plans: Sequence[Plan]) -> Sequence[Applied | Conflict]:
        """Perform plans in one transaction and one round trip; see :class:`wfcore.ports.BatchStore`."""
        try:
            return await self._committed(plans) if plans else []
        except WriteFailedError:  # as in wfadapters.batches
            return [await self.apply(plan) for plan in plans]

    def within(self, connection: psycopg.AsyncConnection[Any]) -> AsyncBoundStore:
        """A store that works in the caller's transaction, on a connection to this database."""
        return AsyncBoundStore(connection, self._statements_within, self._writers)

    def listen(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """As :meth:`PostgresStore.listen`; callbacks run on the event loop."""
        if self._loop is None:
            raise _not_open("listen")
        self._ear.start(self._loop)
        return self._listeners.listen(callback)

    async def close(self) -> None:
        """Close all connections; the store cannot be used any more. A second call does nothing."""
        await self._ear.stop()
        if self._pool:
            await self._pool.close()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def _committed(self, plans: Sequence[Plan]) -> Sequence[Applied | Conflict]:
        async with self._connection("apply") as connection:
            answers = await perform_async(connection, self._statements, plans, self._writers)
        self._listeners.notify_all(plans, answers)
        return answers

    async def _ask(self, operation: str, question: Question[T]) -> T:
        async with self._connection(operation) as connection:
            return await ask_async(connection, question)

    @asynccontextmanager
    async def _connection(self, operation: str) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        self._settings.check_process(operation)
        if self._pool is None:
            raise _not_open(operation)
        with explained(operation):
            try:
                async with self._pool.connection() as connection:
                    try:
                        yield connection
                    finally:
                        if connection.closed:
                            await self._pool.drain()
            except psycopg.Error as error:
                if not is_transient(error):
                    await asyncio.to_thread(tables.tell_if_outgrown, self._settings, error)
                raise

    async def _configure(self, connection: psycopg.AsyncConnection[Any]) -> None:
        await connection.execute(self._settings.limits)
        if self._on_connect:
            await self._on_connect(connection)
            if connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                await connection.commit()


def _not_open(operation: str) -> StoreError:
    return StoreError(f"{operation} failed: the store is not open: enter it by `async with`, or await open()")
