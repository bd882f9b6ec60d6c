"""What PostgreSQL's errors mean: transient or not, and what to do about them (rules A12, T6)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from wfadapters.postgres.driver import psycopg, psycopg_pool
from wfadapters.writes import Faults
from wfcore.errors import StoreError, StoreUnavailableError

_AGAIN = "nothing was written; it is tried again"
_DISK = "the server's disk is full, or cannot be read or written: see to it, then it goes on"
_ADVICE: Mapping[str, str] = {
    "25006": "the server takes no writes (a standby?): connect to the primary",
    "40001": "a concurrent transaction was faster; " + _AGAIN,
    "40P01": "it waited for a transaction that waited for it; " + _AGAIN,
    "53100": _DISK,
    "53300": "the server has no connection left: lower pool_size, or raise max_connections",
    "55P03": "another transaction holds the instance: end it, or set a longer timeout",
    "57014": "the statement was cancelled or took longer than statement_timeout; " + _AGAIN,
}
_LOST = "the connection was lost: whether it was committed is seen at the next retrieve"
_NO_CONNECTION = "see that the server runs and can be reached; then it goes on"
_POOL_LOG = "the log psycopg.pool says why one could not be opened"
_CLASSES: Mapping[str, str] = {
    "08": _LOST,
    "53": "the server is short of resources; " + _AGAIN,
    "57": "the server is shutting down or starting; " + _LOST,
    "58": _DISK,
}
_OF_THE_STATEMENT = ("27", "2F", "38", "39", "3B", "54", "55")
ABORTED = "an earlier statement of the transaction failed: roll it back and begin again"
BEGIN = "begin a transaction on the connection first, for example by `with connection.transaction():`"


def is_transient(error: psycopg.Error) -> bool:
    """Whether it says nothing about the statement: the same may succeed later."""
    if error.sqlstate in _ADVICE or _is_of_files(error):
        return True
    # Some classes of the driver's are about the statement: a value too large for an index, a view that takes no rows.
    return isinstance(error, psycopg.OperationalError) and (error.sqlstate or "")[:2] not in _OF_THE_STATEMENT


def _is_of_files(error: psycopg.Error) -> bool:
    """Whether the server could not read or write a file. For most reasons, such as a quota, there is no code."""
    return error.diag.source_file in ("md.c", "fd.c", "buffile.c")


def describe(error: psycopg.Error) -> str:
    """PostgreSQL's words, with its code for the error."""
    text = " ".join(str(error).split()) or type(error).__name__
    return f"{text} ({error.sqlstate})" if error.sqlstate else text


FAULTS = Faults(psycopg.Error, psycopg.IntegrityError, is_transient, describe)


@contextmanager
def explained(operation: str) -> Iterator[None]:
    """Turn what the driver raises into the errors of a store."""
    try:
        yield
    except psycopg.Error as error:
        raise translated(operation, error) from error
    except UnicodeEncodeError as error:
        raise StoreError(f"{operation} failed: {error}; PostgreSQL takes no such character") from error


def translated(operation: str, error: psycopg.Error) -> StoreError:
    """The store's error for one of the driver's."""
    if isinstance(error, psycopg_pool.PoolClosed):
        return StoreError(f"{operation} failed: the store is closed")
    if isinstance(error, psycopg_pool.PoolTimeout | psycopg_pool.TooManyRequests):
        return StoreUnavailableError(
            operation, f"no connection was free: {error}", f"{_NO_CONNECTION}; if it does, raise pool_size; {_POOL_LOG}"
        )
    code = error.sqlstate or ""
    if code == "25P02":
        return StoreError(f"{operation} failed: {describe(error)}; {ABORTED}")
    if is_transient(error):
        return StoreUnavailableError(operation, describe(error), _advice(operation, error, code))
    return StoreError(f"{operation} failed: {describe(error)}")


def _advice(operation: str, error: psycopg.Error, code: str) -> str:
    if _is_of_files(error):
        return _DISK
    return _ADVICE.get(code) or _CLASSES.get(code[:2]) or (_NO_CONNECTION if operation == "open" else _LOST)
