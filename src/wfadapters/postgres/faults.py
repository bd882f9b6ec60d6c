"""What PostgreSQL's errors mean: transient or not, and what to do about them (rules A12, T6)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from wfadapters.postgres.driver import psycopg, psycopg_pool
from wfcore.errors import StoreError, StoreUnavailableError

_AGAIN = "nothing was written; it is tried again"
_ADVICE: Mapping[str, str] = {
    "25006": "the server takes no writes (a standby?): connect to the primary",
    "40001": "a concurrent transaction was faster; " + _AGAIN,
    "40P01": "it waited for a transaction that waited for it; " + _AGAIN,
    "53100": "the server's disk is full: make room, then it goes on",
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
    "58": "the server's disk could not be read or written: see to it, then it goes on",
}
ABORTED = "an earlier statement of the transaction failed: roll it back and begin again"
BEGIN = "begin a transaction on the connection first, for example by `with connection.transaction():`"


def is_transient(error: psycopg.Error) -> bool:
    """Whether it says nothing about the statement: the same may succeed later."""
    return isinstance(error, psycopg.OperationalError) or error.sqlstate in _ADVICE


def describe(error: psycopg.Error) -> str:
    """PostgreSQL's words, with its code for the error."""
    text = " ".join(str(error).split()) or type(error).__name__
    return f"{text} ({error.sqlstate})" if error.sqlstate else text


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
        advice = _ADVICE.get(code) or _CLASSES.get(code[:2]) or (_NO_CONNECTION if operation == "open" else _LOST)
        return StoreUnavailableError(operation, describe(error), advice)
    return StoreError(f"{operation} failed: {describe(error)}")
