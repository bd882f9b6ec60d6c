"""What SQLite's errors mean: transient or not, and what to do about them (rules A12, T6)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from wfadapters.writes import Faults
from wfcore.errors import StoreError, StoreUnavailableError

AGAIN = "nothing was written; it is tried again"
"""Advice where there is nothing to do."""
_ADVICE: Mapping[int, str] = {
    sqlite3.SQLITE_BUSY: "another connection holds the database: end its transaction, or set a longer timeout",
    sqlite3.SQLITE_LOCKED: "another statement holds the table: end its transaction",
    sqlite3.SQLITE_FULL: "the disk or the database's page limit is full: make room, then it goes on",
    sqlite3.SQLITE_IOERR: "the disk could not be read or written: see to it, then it goes on",
    sqlite3.SQLITE_READONLY: "make the file and its directory writable for this user, then it goes on",
    sqlite3.SQLITE_CANTOPEN: "the directory must exist, and file and directory must be open to this user",
    sqlite3.SQLITE_PERM: "file and directory must be open to this user",
    sqlite3.SQLITE_NOMEM: "memory is short; " + AGAIN,
    sqlite3.SQLITE_INTERRUPT: "the statement was interrupted; " + AGAIN,
    sqlite3.SQLITE_PROTOCOL: "too many connections opened the file at once; " + AGAIN,
}
_BROKEN: Mapping[int, str] = {
    sqlite3.SQLITE_NOTADB: "the file is not an SQLite database: give the store another path",
    sqlite3.SQLITE_CORRUPT: "the database file is damaged: restore it from a backup",
}
STALE = "begin the transaction with BEGIN IMMEDIATE, so that it sees the newest rows and may write; roll this one back"
"""Advice for a bound store whose transaction cannot be made a write transaction any more."""


def primary_code(error: sqlite3.Error) -> int:
    """SQLite's primary result code, 0 for what Python's module raises on its own."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def is_transient(error: sqlite3.Error) -> bool:
    """Whether it says nothing about the statement: the same may succeed later."""
    return primary_code(error) in _ADVICE


def describe(error: sqlite3.Error) -> str:
    """SQLite's words, with its name for the error."""
    name = getattr(error, "sqlite_errorname", None)
    return f"{error} ({name})" if name else str(error)


FAULTS = Faults(sqlite3.Error, sqlite3.IntegrityError, is_transient, describe)


@contextmanager
def explained(operation: str) -> Iterator[None]:
    """Turn what SQLite raises into the errors of a store."""
    try:
        yield
    except sqlite3.Error as error:
        raise translated(operation, error) from error


def translated(operation: str, error: sqlite3.Error) -> StoreError:
    """The store's error for one of SQLite's."""
    code = primary_code(error)
    if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_BUSY_SNAPSHOT:
        return StoreUnavailableError(operation, describe(error), STALE)
    if code in _ADVICE:
        return StoreUnavailableError(operation, describe(error), _ADVICE[code])
    advice = _BROKEN.get(code, "the database is not as this store left it")
    return StoreError(f"{operation} failed: {describe(error)}; {advice}")
