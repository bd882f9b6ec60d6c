"""Errors of stores, and of payloads that do not fit; values only, no I/O."""

from __future__ import annotations

import attrs

from wfcore.errors.base import WfcoreError


class StoreError(WfcoreError):
    """The store, or what is below it, failed."""


@attrs.define(eq=False)
class StoreUnavailableError(StoreError):
    """A transient failure (busy, locked, connection lost, disk full): try again later (rule A12).

    Attributes:
        operation: what the store was doing (``retrieve``, ``apply``, ...).
        reason: what the database said.
        advice: what to do.
    """

    operation: str
    reason: str
    advice: str = "nothing was lost; it is tried again"

    def __str__(self) -> str:
        return f"store unavailable during {self.operation}: {self.reason}; {self.advice}"


@attrs.define(eq=False)
class WriteFailedError(StoreError):
    """A user's ``Write`` failed or is not supported, so that the plan was not applied (rules A11, T5).

    Attributes:
        index: index of the ``Write`` in ``plan.mutations``.
        value_type: the class of the written value.
        reason: what went wrong.
        advice: what to do.
    """

    index: int
    value_type: str
    reason: str
    advice: str = "the plan was not applied; mend the writer or the value"

    def __str__(self) -> str:
        return f"write of {self.value_type} (mutation {self.index}) failed: {self.reason}; {self.advice}"


@attrs.define(eq=False)
class CorruptRecordError(StoreError):
    """A stored row cannot be read.

    Attributes:
        table: where it stands.
        identity: its primary key, as text.
        problem: what is wrong with it.
        advice: what to do.
        ref: the instance that the row belongs to, if that can be told: so that a dispatcher can leave it out.
    """

    table: str
    identity: str
    problem: str
    advice: str = "the row was changed or damaged outside wfcore; nothing was written; mend or restore it"
    ref: str | None = None

    def __str__(self) -> str:
        return f"corrupt row in {self.table} ({self.identity}): {self.problem}; {self.advice}"


@attrs.define(eq=False)
class SchemaVersionError(StoreError):
    """The database's schema is not the one that this version of the adapter writes.

    Attributes:
        found: version in the database.
        supported: version of this adapter.
        advice: what to do.
    """

    found: int
    supported: int
    advice: str

    def __str__(self) -> str:
        return (
            f"the database has wfcore schema version {self.found}, this adapter writes {self.supported}; {self.advice}"
        )


@attrs.define(eq=False)
class MissingCapabilityError(StoreError):
    """The store lacks an optional capability that was asked for.

    Attributes:
        store: the store's class.
        capability: the port that it does not implement.
        wanted_by: what needs it.
    """

    store: str
    capability: str
    wanted_by: str

    def __str__(self) -> str:
        return (
            f"{self.wanted_by} needs a store that is a {self.capability}, and {self.store} is none; take one that is, "
            f"or give it the methods of wfcore.{self.capability}"
        )


@attrs.define(eq=False)
class CodecError(WfcoreError, ValueError):
    """A payload does not fit its type, or cannot be encoded.

    Attributes:
        path: where in the value: ``$`` is the whole, ``$.lines[2].cents`` a part.
        expected: what fits there.
        found: what was there.
        advice: what to do, or ``""``.
    """

    path: str
    expected: str
    found: str
    advice: str = ""

    def __str__(self) -> str:
        advice = f"; {self.advice}" if self.advice else ""
        return f"at {self.path}: expected {self.expected}, found {self.found}{advice}"
