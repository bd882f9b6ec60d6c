"""The blocking store: a pool of connections, and one round trip for each retrieve and each apply."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from types import MappingProxyType, TracebackType
from typing import Any, Self, TypeVar

from wfadapters.batches import together
from wfadapters.listeners import Listeners
from wfadapters.postgres import catalog
from wfadapters.postgres import schema as tables
from wfadapters.postgres.bound import BoundStore
from wfadapters.postgres.driver import psycopg, psycopg_pool
from wfadapters.postgres.faults import explained
from wfadapters.postgres.listening import Ear
from wfadapters.postgres.question import Question
from wfadapters.postgres.settings import Settings
from wfadapters.postgres.statements import Statements
from wfadapters.postgres.transaction import ask, perform
from wfadapters.postgres.writes import Writer, execute_sql
from wfadapters.sql import Sql
from wfcore.model import FiredHook, Instance, InstanceStatus, Snapshot
from wfcore.plan import Applied, Conflict, Plan
from wfcore.ports import DueQuery, History, InstanceQuery, Page

T = TypeVar("T")


class PostgresStore:
    """Keeps everything in a PostgreSQL database: a BatchStore, a HookFeed, a Catalog, and Listenable across processes.

    Threads and processes may share the database; a store may be used by any thread of the process that opened it. It
    makes its tables, all named ``wfcore_*``, in a schema of their own or beside yours, and migrates those of an older
    wfcore. PostgreSQL 14 or newer.

    Args:
        conninfo: a connection string or URL, ``"postgresql://user@host/database"``.
        schema: the schema that holds the tables; it is created if there is none.
        clock: tells the time, as an aware UTC ``datetime``; ``None``: the database does, so that machines agree.
        timeout: how long to wait for a free connection, and for the locks of other transactions.
        pool_size: at most so many connections, and one more once somebody listens.
        writers: for each class of values of ``attempt.write`` the function that writes it, in the store's
            transaction. A value takes the writer of its class, else of the nearest base. ``Sql`` has one.
        on_connect: called with each new connection of the pool, for settings of yours.

    Raises:
        ValueError: an argument is out of its range.
        StoreUnavailableError: the server cannot be reached now.
        SchemaVersionError: a newer wfcore has migrated the schema.
        StoreError: the schema cannot be made, or is damaged.
    """

    def __init__(
        self,
        conninfo: str,
        *,
        schema: str = "wfcore",
        clock: Callable[[], datetime] | None = None,
        timeout: timedelta = timedelta(seconds=5),
        pool_size: int = 10,
        writers: Mapping[type, Writer] = MappingProxyType({}),
        on_connect: Callable[[psycopg.Connection[Any]], object] | None = None,
    ) -> None:
        self._settings = settings = Settings(conninfo, schema, timeout, pool_size)
        self._on_connect = on_connect
        self._writers: Mapping[type, Writer] = {Sql: execute_sql, **writers}
        self._statements = Statements(schema, clock, settings.sender)
        self._statements_within = Statements(schema, clock, "")
        self._listeners = Listeners()
        tables.migrate(settings, self._configure)  # here its errors are seen, a pool would only log them
        self._pool = psycopg_pool.ConnectionPool(settings.address, configure=self._configure, **settings.pool)
        with explained("open"):
            self._pool.open(wait=True, timeout=settings.opening)  # if that fails, it closes itself
        self._ear = Ear(settings, self._listeners)

    def retrieve(self, ref: str) -> Snapshot:
        """All rows of one instance; see :class:`wfcore.ports.Store`."""
        return self._ask("retrieve", self._statements.retrieve(ref))

    def apply(self, plan: Plan) -> Applied | Conflict:
        """Perform a plan; see :class:`wfcore.ports.Store`."""
        [answer] = self._committed([plan])
        return answer

    def apply_many(self, plans: Sequence[Plan]) -> Sequence[Applied | Conflict]:
        """Perform plans in one transaction and one round trip; see :class:`wfcore.ports.BatchStore`."""
        return together(plans, self._committed)

    def within(self, connection: psycopg.Connection[Any]) -> BoundStore:
        """A store that works in the caller's transaction, on a connection to this database.

        So a workflow starts if and only if the caller's own rows are committed.
        """
        return BoundStore(connection, self._statements_within, self._writers)

    def due(self, query: DueQuery) -> Sequence[FiredHook]:
        """The hooks that are due; see :class:`wfcore.ports.HookFeed`."""
        return self._ask("due", self._statements.due(query))

    def next_due_at(self, query: DueQuery) -> datetime | None:
        """When the next hook is due; see :class:`wfcore.ports.HookFeed`."""
        return self._ask("next_due_at", self._statements.next_due_at(query))

    def list_instances(self, query: InstanceQuery) -> Page[Instance]:
        """One page of instances; see :class:`wfcore.ports.Catalog`."""
        return self._ask("list_instances", catalog.list_instances(self._settings.schema, query))

    def count_by_status(self, query: InstanceQuery) -> Mapping[InstanceStatus, int]:
        """How many instances there are; see :class:`wfcore.ports.Catalog`."""
        return self._ask("count_by_status", catalog.count_by_status(self._settings.schema, query))

    def history(self, ref: str, run_number: int | None = None) -> History:
        """What is recorded of a run; see :class:`wfcore.ports.Catalog`."""
        return self._ask("history", catalog.history(self._settings.schema, ref, run_number))

    def suspects(self, limit: int, after: str | None = None) -> Sequence[Instance]:
        """Candidates for an audit; see :class:`wfcore.ports.Catalog`."""
        return self._ask("suspects", catalog.suspects(self._settings.schema, limit, after))

    def listen(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """Call ``callback(ref)`` after plans that are applied, by any process; see :class:`wfcore.ports.Listenable`.

        Of other processes it hears what gives somebody something to do; not that they go on with what they run.
        """
        self._settings.check_process("listen")
        self._ear.start()
        return self._listeners.listen(callback)

    def close(self) -> None:
        """Close all connections; the store cannot be used any more. A second call does nothing."""
        self._ear.stop()
        self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _committed(self, plans: Sequence[Plan]) -> Sequence[Applied | Conflict]:
        with self._connection("apply") as connection:
            answers = perform(connection, self._statements, plans, self._writers)
        self._listeners.notify_all(plans, answers)
        return answers

    def _ask(self, operation: str, question: Question[T]) -> T:
        with self._connection(operation) as connection:
            return ask(connection, question)

    @contextmanager
    def _connection(self, operation: str) -> Iterator[psycopg.Connection[Any]]:
        self._settings.check_process(operation)
        with explained(operation):
            try:
                with self._pool.connection() as connection:
                    try:
                        yield connection
                    finally:
                        if connection.closed:
                            self._pool.drain()  # the others are as lost as this one
            except psycopg.Error as error:
                tables.tell_if_outgrown(self._settings, error)
                raise

    def _configure(self, connection: psycopg.Connection[Any]) -> None:
        connection.execute(self._settings.limits)
        if self._on_connect:
            self._on_connect(connection)
            if connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                connection.commit()
