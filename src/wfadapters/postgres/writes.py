"""The user's own writes of a plan: who writes them, and what their failures are (rules A11, T7). No I/O."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias, TypeVar

import attrs

from wfadapters.postgres.driver import psycopg
from wfadapters.postgres.faults import describe, is_transient
from wfadapters.sql import Sql
from wfcore.errors import StoreUnavailableError, WriteFailedError
from wfcore.failure import class_name
from wfcore.plan import Plan, Write

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


@attrs.frozen
class OneWrite:
    """One ``Write`` of several plans.

    Attributes:
        place: its plan's among the plans.
        index: its index in ``plan.mutations``.
        value: what is written.
    """

    place: int
    index: int
    value: object

    def writer(self, writers: Mapping[type, W]) -> W:
        """The writer of the value's class, else of its nearest base."""
        for cls in type(self.value).__mro__:
            if cls in writers:
                return writers[cls]
        advice = f"pass writers={{{type(self.value).__name__}: ...}} to the store"
        raise self.failed("the store has no writer for it", advice)

    @contextmanager
    def explained(self, connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> Iterator[None]:
        """Turn what the writer raises into :class:`WriteFailedError`; what is transient is not the writer's fault."""
        try:
            yield
        except StoreUnavailableError:
            raise
        except psycopg.Error as error:
            if is_transient(error):
                raise
            raise self.failed(describe(error)) from error
        except Exception as error:
            raise self.failed(f"{type(error).__name__}: {error}") from error
        if connection.info.transaction_status != _IN_TRANSACTION:
            reason = "its writer ended the transaction, or hid that a statement of it failed"
            raise self.failed(
                reason, "let the store commit, and put what may fail into `with connection.transaction():`"
            )

    def failed(self, reason: str, *advice: str) -> WriteFailedError:
        """The error that says so."""
        return WriteFailedError(self.index, class_name(type(self.value)), reason, *advice)


def writes_of(plans: Sequence[Plan]) -> list[OneWrite]:
    """The writes of plans, in order."""
    return [
        OneWrite(place, index, each.value)
        for place, plan in enumerate(plans)
        for index, each in enumerate(plan.mutations)
        if isinstance(each, Write)
    ]


@contextmanager
def explained_commit(writes: list[OneWrite]) -> Iterator[None]:
    """A constraint that is only checked at the commit was broken by a user's ``Write``: the last is named."""
    try:
        yield
    except psycopg.IntegrityError as error:
        raise writes[-1].failed(f"at commit: {describe(error)}") from error
