"""One column and its value, both ways; and the description of a table, which checks its rows. No I/O.

Instants are integers, microseconds since 1970 UTC, so that they are exact and sort as numbers. What has parts
(failures, tags, event types) is JSON text in ASCII, and so is ``last_error``, which may hold what no database takes
as text. What cannot be read is a :class:`ValueError`; ``rows`` makes it an error that names the row.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, TypeVar, get_args

import attrs

from wfcore.errors import CorruptRecordError
from wfcore.failure import Failure
from wfcore.model import Actor, HookReason, InstanceStatus, StepKind, StepStatus

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NOTHING = type(None)
_Known = TypeVar("_Known", bound=str)
_TYPES: Mapping[str, tuple[type, ...]] = {
    "text": (str,),
    "integer": (int,),
    "text?": (str, _NOTHING),
    "integer?": (int, _NOTHING),
}


@attrs.frozen(eq=False)  # by identity: statements are kept for a table
class Table:
    """A table of records, as columns.

    Attributes:
        name: the table's name.
        columns: name of each column, in order, with ``text`` or ``integer``, and ``?`` if it may be null.
        key: the columns of its identity; the first is the instance's ref.
    """

    name: str
    columns: Mapping[str, str]
    key: tuple[str, ...]
    _checked: set[tuple[type, ...]] = attrs.field(factory=set, init=False, repr=False)

    def check(self, row: Sequence[Any]) -> None:
        """Raise :class:`ValueError` unless every column has its type."""
        kinds = tuple(map(type, row))
        if kinds in self._checked:  # few combinations occur: each is looked at once
            return
        for (column, type_), kind in zip(self.columns.items(), kinds, strict=True):
            if kind not in _TYPES[type_]:
                found = "null" if kind is _NOTHING else kind.__name__
                raise ValueError(f"{column} must be {type_.rstrip('?')}, and is {found}")
        self._checked.add(kinds)

    def corrupt(self, row: Sequence[Any], problem: Exception) -> CorruptRecordError:
        """The error to raise for a row that cannot be read."""
        found = dict(zip(self.columns, row, strict=False))
        identity = ", ".join(f"{column} {found.get(column)!r}" for column in self.key)
        ref = found.get(self.key[0])
        return CorruptRecordError(self.name, identity, str(problem), ref=ref if type(ref) is str else None)


def instant_column(instant: datetime) -> int:
    """Microseconds since 1970 UTC, exact."""
    return (instant - _EPOCH) // _MICROSECOND


@lru_cache(maxsize=1024)  # the instants of one history repeat, and it is read again and again
def read_instant(column: int) -> datetime:
    """The inverse of :func:`instant_column`; raises :class:`ValueError` beyond the years 1 to 9999."""
    try:
        return _EPOCH + timedelta(0, 0, column)
    except OverflowError:
        raise ValueError(f"{column} is no instant between the years 1 and 9999") from None


def maybe_instant_column(instant: datetime | None) -> int | None:
    """Like :func:`instant_column`; nothing stays nothing."""
    return None if instant is None else instant_column(instant)


def read_maybe_instant(column: int | None) -> datetime | None:
    """Like :func:`read_instant`; nothing stays nothing."""
    return None if column is None else read_instant(column)


def failure_column(failure: Failure | None) -> str | None:
    """A failure as JSON text, its traceback included."""
    if failure is None:
        return None
    return json.dumps(
        {
            "type": failure.type,
            "message": failure.message,
            "details": failure.details,
            "bases": failure.bases,
            "traceback": failure.traceback,
        }
    )


def read_failure(column: str | None) -> Failure | None:
    """The inverse of :func:`failure_column`."""
    if column is None:
        return None
    match json.loads(column):
        case {
            "type": str(type_),
            "message": str(message),
            "details": details,
            "bases": list(bases),
            "traceback": str(traceback),
        } if all(type(base) is str for base in bases):
            return Failure(type=type_, message=message, details=details, bases=tuple(bases), traceback=traceback)
        case _:
            raise ValueError(f"failure has not the fields of a failure: {column}")


def read_tags(column: str) -> dict[str, str]:
    """Tags from JSON text."""
    tags = json.loads(column)
    if type(tags) is dict and all(type(value) is str for value in tags.values()):
        return tags
    raise ValueError(f"tags must be an object of strings, and is {column}")


def tag_texts(name: str, value: str) -> tuple[str, str]:
    """The column of tags holds one of these texts if and only if it has this label: a quote in a text is escaped."""
    label = f"{json.dumps(name)}: {json.dumps(value)}"
    return "{" + label, ", " + label


def read_event_types(column: str) -> tuple[str, ...]:
    """Event types from JSON text."""
    if column == "[]":
        return ()
    types = json.loads(column)
    if type(types) is list and all(type(each) is str for each in types):
        return tuple(types)
    raise ValueError(f"event_types must be a list of strings, and is {column}")


def read_last_error(column: str | None) -> str | None:
    """The text of an error from a JSON string."""
    error = None if column is None else json.loads(column)
    if error is None or type(error) is str:
        return error
    raise ValueError(f"last_error must be a JSON string, and is {column}")


INSTANCE_STATUSES: Mapping[str, InstanceStatus] = {each: each for each in get_args(InstanceStatus)}
STEP_STATUSES: Mapping[str, StepStatus] = {each: each for each in get_args(StepStatus)}
STEP_KINDS: Mapping[str, StepKind] = {each: each for each in get_args(StepKind)}
HOOK_REASONS: Mapping[str, HookReason] = {each: each for each in get_args(HookReason)}
ACTORS: Mapping[str, Actor] = {each: each for each in get_args(Actor)}


def one_of(known: Mapping[str, _Known], column: str, value: str) -> _Known:
    """The value, if it is a known one."""
    found = known.get(value)
    if found is None:
        raise ValueError(f"{column} {value!r} is none of {', '.join(known)}")
    return found
