"""A store inside the caller's own transaction: what it applies commits, or does not, with the caller's rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime

import attrs

from wfadapters.sqlite.connections import plain_cursor
from wfadapters.sqlite.faults import STALE, explained
from wfadapters.sqlite.transaction import Writer, perform, read
from wfcore.errors import StoreUnavailableError
from wfcore.model import Snapshot
from wfcore.plan import Applied, Conflict, Plan

# Writes nothing, but SQLite makes the transaction a write transaction first, or refuses because others have
# written since it began to read. Python's module offers no way to ask.
_CLAIM = "UPDATE wfcore_meta SET value = value WHERE 0"


@attrs.frozen
class BoundStore:
    """A Store that neither begins, commits nor rolls back: made by :meth:`SqliteStore.within`.

    The caller begins with ``BEGIN IMMEDIATE`` and ends the transaction. A :class:`Conflict` or a failed ``Write``
    leaves the transaction as it was before the apply, and usable. Nobody is notified; after the commit, call
    ``dispatcher.notify(ref)`` if it shall begin at once.
    """

    connection: sqlite3.Connection
    clock: Callable[[], datetime]
    writers: Mapping[type, Writer]

    def retrieve(self, ref: str) -> Snapshot:
        """All rows of one instance, the caller's uncommitted ones included; see :class:`wfcore.ports.Store`."""
        with self._claimed("retrieve") as cursor:
            return read(cursor, ref, self.clock)

    def apply(self, plan: Plan) -> Applied | Conflict:
        """Perform a plan; durable when the caller commits; see :class:`wfcore.ports.Store`."""
        with self._claimed("apply") as cursor:
            cursor.execute("SAVEPOINT wfcore_apply")
            try:
                result = perform(cursor, plan, self.writers)
            except BaseException:
                if self.connection.in_transaction:  # SQLite itself ends it for some errors of the disk
                    cursor.execute("ROLLBACK TO wfcore_apply")
                    cursor.execute("RELEASE wfcore_apply")
                raise
            cursor.execute("RELEASE wfcore_apply")
            return result

    @contextmanager
    def _claimed(self, operation: str) -> Iterator[sqlite3.Cursor]:
        with explained(operation), closing(plain_cursor(self.connection)) as cursor:
            if not self.connection.in_transaction:
                raise StoreUnavailableError(operation, "the connection has no open transaction", STALE)
            cursor.execute(_CLAIM)
            yield cursor
