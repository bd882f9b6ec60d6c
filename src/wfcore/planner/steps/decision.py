"""What the step kinds share: decisions, and what a record is stamped with. Pure values: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs

from wfcore.model import Event, StepRecord

LATEST = datetime.max.replace(tzinfo=UTC)
"""The last instant of the calendar."""


@attrs.define  # not frozen: one is made for each recorded step, and frozen objects take twice as long to make
class Return:
    """The step has settled: its value goes back to workflow code."""

    value: Any


@attrs.frozen
class Raise:
    """The step has settled: this error is raised into workflow code."""

    error: Exception


@attrs.frozen(kw_only=True)
class Stamp:
    """What every record that is written at one moment carries.

    Attributes:
        now: the moment.
        sequence: the number that the next settlement of the run takes.
        execution_id: of the plan that will write the record.
    """

    now: datetime
    sequence: int
    execution_id: str


def is_waiting(record: StepRecord) -> bool:
    """Whether a record is one of a step that has not settled."""
    return record.status in ("waiting", "started")


def deadline(record: StepRecord) -> datetime | None:
    """The instant at which a waiting record becomes due by itself; ``None``: never."""
    retries = record.kind == "do" and record.status != "started"
    return record.next_retry_at if retries else record.wake_at


def earliest_deadline(records: Iterable[StepRecord]) -> datetime | None:
    """The first instant at which one of these waiting records becomes due by itself; ``None``: never."""
    return min((at for at in map(deadline, records) if at is not None), default=None)


def later(now: datetime, delay: timedelta) -> datetime:
    """``delay`` after ``now``, or the last instant of the calendar."""
    return now + delay if delay <= LATEST - now else LATEST


def wanted_event(record: StepRecord, events: Sequence[Event]) -> Event | None:
    """The first pending user event, in order of arrival, that a waiting event wait may take (rules W4, W6)."""
    for event in events:
        in_time = record.wake_at is None or event.created_at <= record.wake_at
        if in_time and event.actor == "user" and event.type in record.event_types:
            return event
    return None
