"""The store: one read transaction for a retrieve, one ``BEGIN IMMEDIATE`` for an apply."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from threading import Lock
from types import MappingProxyType
from typing import Literal, Self, TypeAlias, get_args

from wfadapters.batches import together
from wfadapters.clock import utc_now
from wfadapters.listeners import Listeners
from wfadapters.sql import Sql
from wfadapters.sqlite import catalog, feed, schema
from wfadapters.sqlite.bound import BoundStore
from wfadapters.sqlite.connections import Connections
from wfadapters.sqlite.faults import AGAIN
from wfadapters.sqlite.transaction import Writer, commit, execute_sql, perform, read
from wfcore.errors import StoreUnavailableError
from wfcore.model import FiredHook, Instance, InstanceStatus, Snapshot
from wfcore.plan import Applied, Conflict, Plan
from wfcore.ports import DueQuery, History, InstanceQuery, Page

Synchronous: TypeAlias = Literal["OFF", "NORMAL", "FULL", "EXTRA"]

_LONGEST_WAIT = timedelta(milliseconds=2**31 - 1)  # SQLite counts milliseconds in an int


class SqliteStore:
    """Keeps everything in one SQLite file: a BatchStore, a HookFeed, a Catalog, and Listenable.

    Threads and processes may share the file. A store may be used by any thread of the process that opened it; a
    forked child opens its own. It makes its tables, all named ``wfcore_*``, in a new file or beside yours; those of an
    older version are brought up to date, and that version does not open the file any more.

    Args:
        path: the file; it is created if there is none, its directory is not.
        clock: tells the time, as an aware UTC ``datetime``.
        synchronous: SQLite's setting. ``FULL``, ``EXTRA``: what is applied survives the loss of power.
            ``NORMAL``: it survives the end of the process, the last commits may be lost with the power.
        timeout: how long to wait for other connections that write.
        writers: for each class of values of ``attempt.write`` the function that writes it, in the store's
            transaction. A value takes the writer of its class, else of the nearest base. ``Sql`` has one.
        on_connect: called with each new connection, for settings of yours such as ``PRAGMA foreign_keys = ON``.

    Raises:
        ValueError: an argument is out of its range.
        StoreUnavailableError: the file cannot be opened or written now.
        SchemaVersionError: a newer wfcore has written the file.
        StoreError: the file is not an SQLite database, or is damaged.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        clock: Callable[[], datetime] = utc_now,
        synchronous: Synchronous = "FULL",
        timeout: timedelta = timedelta(seconds=5),
        writers: Mapping[type, Writer] = MappingProxyType({}),
        on_connect: Callable[[sqlite3.Connection], object] | None = None,
    ) -> None:
        if os.fspath(path) in ("", ":memory:"):
            raise ValueError(f"SqliteStore({path!r}): needs a file; for a store in memory take MemoryStore()")
        if synchronous not in get_args(Synchronous):
            raise ValueError(f"SqliteStore(synchronous={synchronous!r}): must be one of {get_args(Synchronous)}")
        if timeout < timedelta(0):
            raise ValueError(f"SqliteStore(timeout={timeout!r}): must not be negative")
        self._clock = clock
        self._timeout = min(timeout, _LONGEST_WAIT).total_seconds()
        self._writers: Mapping[type, Writer] = {Sql: execute_sql, **writers}
        self._connections = Connections(str(Path(path).absolute()), self._timeout, synchronous, on_connect)
        self._listeners = Listeners()
        self._turn = Lock()
        try:
            with self._connections.cursor("open") as cursor:
                schema.ensure(cursor)
        except BaseException:
            self.close()
            raise

    def retrieve(self, ref: str) -> Snapshot:
        """All rows of one instance; see :class:`wfcore.ports.Store`."""
        with self._reading("retrieve") as cursor:
            return read(cursor, ref, self._clock)

    def apply(self, plan: Plan) -> Applied | Conflict:
        """Perform a plan; see :class:`wfcore.ports.Store`."""
        [answer] = self._committed([plan])
        return answer

    def apply_many(self, plans: Sequence[Plan]) -> Sequence[Applied | Conflict]:
        """Perform plans in one transaction; see :class:`wfcore.ports.BatchStore`."""
        return together(plans, self._committed)

    def within(self, connection: sqlite3.Connection) -> BoundStore:
        """A store that works in the transaction that the caller has begun, with ``BEGIN IMMEDIATE``, on this file.

        So a workflow starts if and only if the caller's own rows are committed.
        """
        return BoundStore(connection, self._clock, self._writers)

    def due(self, query: DueQuery) -> Sequence[FiredHook]:
        """The hooks that are due; see :class:`wfcore.ports.HookFeed`."""
        with self._connections.cursor("due") as cursor:
            return feed.due(cursor, query, self._clock())

    def next_due_at(self, query: DueQuery) -> datetime | None:
        """When the next hook is due; see :class:`wfcore.ports.HookFeed`."""
        with self._connections.cursor("next_due_at") as cursor:
            return feed.next_due_at(cursor, query)

    def list_instances(self, query: InstanceQuery) -> Page[Instance]:
        """One page of instances; see :class:`wfcore.ports.Catalog`."""
        with self._reading("list_instances") as cursor:
            return catalog.list_instances(cursor, query)

    def count_by_status(self, query: InstanceQuery) -> Mapping[InstanceStatus, int]:
        """How many instances there are; see :class:`wfcore.ports.Catalog`."""
        with self._reading("count_by_status") as cursor:
            return catalog.count_by_status(cursor, query)

    def history(self, ref: str, run_number: int | None = None) -> History:
        """What is recorded of a run; see :class:`wfcore.ports.Catalog`."""
        with self._reading("history") as cursor:
            return catalog.history(cursor, ref, run_number)

    def suspects(self, limit: int, after: str | None = None) -> Sequence[Instance]:
        """Candidates for an audit; see :class:`wfcore.ports.Catalog`."""
        with self._reading("suspects") as cursor:
            return catalog.suspects(cursor, limit, after)

    def listen(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """Call ``callback(ref)`` after every applied plan; see :class:`wfcore.ports.Listenable`."""
        return self._listeners.listen(callback)

    def close(self) -> None:
        """Close all connections; the store cannot be used any more. A second call does nothing."""
        self._connections.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _committed(self, plans: Sequence[Plan]) -> Sequence[Applied | Conflict]:
        with self._alone("apply"), self._connections.cursor("apply") as cursor:
            cursor.execute("BEGIN IMMEDIATE")
            answers = [perform(cursor, plan, self._writers) for plan in plans]
            commit(cursor, plans)
        self._listeners.notify_all(plans, answers)
        return answers

    @contextmanager
    def _reading(self, operation: str) -> Iterator[sqlite3.Cursor]:
        # One transaction: all that is read is one cut.
        with self._connections.cursor(operation) as cursor:
            cursor.execute("BEGIN")
            yield cursor
            cursor.execute("COMMIT")

    @contextmanager
    def _alone(self, operation: str) -> Iterator[None]:
        # SQLite has one writer at a time and its waiting is a poll; threads of this process queue here instead.
        if not self._turn.acquire(timeout=self._timeout):
            reason = f"other threads of this process kept writing for {self._timeout} s"
            raise StoreUnavailableError(operation, reason, AGAIN)
        try:
            yield
        finally:
            self._turn.release()
