"""Connections to one file: opened when needed, used by one thread at a time, reused."""

from __future__ import annotations

import os
import sqlite3
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from time import monotonic, sleep

import attrs

from wfadapters.sqlite import schema
from wfadapters.sqlite.faults import explained, is_transient, primary_code
from wfcore.errors import CommandError, CorruptRecordError, StoreError, StoreUnavailableError
from wfcore.keys import shard_of

_RETRY_EVERY = 0.005


@attrs.define(eq=False)
class Connections:
    """A pool without an upper limit: as many connections as threads use the store at the same time.

    Attributes:
        path: the file.
        timeout: seconds to wait for other connections.
        synchronous: SQLite's setting of that name.
        on_connect: called with every new connection.
    """

    path: str
    timeout: float
    synchronous: str
    on_connect: Callable[[sqlite3.Connection], object] | None
    _idle: deque[sqlite3.Cursor] = attrs.field(factory=deque, init=False)
    _process: int = attrs.field(factory=os.getpid, init=False)
    _closed: bool = attrs.field(default=False, init=False)

    @contextmanager
    def cursor(self, operation: str) -> Iterator[sqlite3.Cursor]:
        """Lend a cursor. After an error its connection is closed, which rolls back whatever it had begun."""
        if self._closed:
            raise StoreError(f"{operation} failed: the store is closed")
        if os.getpid() != self._process:
            advice = "open a SqliteStore of its own in every process, and close the parent's before you fork"
            raise StoreUnavailableError(operation, "the store was opened before this process was forked", advice)
        with explained(operation):
            try:
                cursor = self._idle.pop()
            except IndexError:
                cursor = self._open()
            try:
                yield cursor
            except (CorruptRecordError, CommandError):
                # The connection is as good as before. Closing the file's last one would lock others out for a moment.
                cursor.connection.rollback()
                self._take_back(cursor)
                raise
            except BaseException as error:
                # Its statement too, which the error's traceback would keep, and with it SQLite the transaction.
                cursor.close()
                cursor.connection.close()
                if isinstance(error, sqlite3.Error) and not is_transient(error):
                    self._tell_if_outgrown()
                raise
        self._take_back(cursor)

    def _tell_if_outgrown(self) -> None:
        # A newer wfcore may have changed the tables since they were checked. It leaves what others need, if it can.
        cursor = self._open()
        with closing(cursor.connection):
            schema.check(cursor)

    def _take_back(self, cursor: sqlite3.Cursor) -> None:
        self._idle.append(cursor)
        if self._closed:  # meanwhile
            self.close()

    def close(self) -> None:
        """Close the idle connections now, and each of the others when it comes back."""
        self._closed = True
        with suppress(IndexError):  # that was the last
            while True:
                self._idle.pop().connection.close()

    def _open(self) -> sqlite3.Cursor:
        connection = sqlite3.connect(self.path, timeout=self.timeout, isolation_level=None, check_same_thread=False)
        try:
            cursor = plain_cursor(connection)
            self._use_wal(cursor)
            cursor.execute(f"PRAGMA synchronous = {self.synchronous}")
            connection.create_function("wfcore_shard", 2, shard_of, deterministic=True)
            if self.on_connect:
                self.on_connect(connection)
        except BaseException:
            connection.close()
            raise
        return cursor

    def _use_wal(self, cursor: sqlite3.Cursor) -> None:
        # SQLite does not wait for others when it changes the journal mode of a new file.
        deadline = monotonic() + self.timeout
        while True:
            try:
                (mode,) = cursor.execute("PRAGMA journal_mode = WAL").fetchone()
            except sqlite3.OperationalError as error:
                if primary_code(error) != sqlite3.SQLITE_BUSY or monotonic() > deadline:
                    raise
                sleep(_RETRY_EVERY)
                continue
            if mode == "wal":
                return
            raise StoreError(f"{self.path} cannot be put into WAL mode, only {mode!r}: use a local file system")


def plain_cursor(connection: sqlite3.Connection) -> sqlite3.Cursor:
    """A cursor that gives tuples, whatever the connection's owner prefers."""
    cursor = connection.cursor()
    cursor.row_factory = None
    return cursor
