"""``sleep`` and ``sleep_until``: a deadline that is stored once (rules W1 to W3). Pure: no clock, no I/O."""

from __future__ import annotations

from datetime import datetime, timedelta

import attrs

from wfcore.model import StepRecord
from wfcore.planner.steps.decision import Return, Stamp, later


@attrs.frozen
class Sleep:
    """What workflow code asks for: a pause until an instant, or for a duration counted from the first visit."""

    until: datetime | timedelta


def open_sleep(blank: StepRecord, sleep: Sleep, stamp: Stamp) -> StepRecord:
    """The record of a first visit: the deadline is absolute from here on (rule W1).

    A duration beyond the end of the calendar sleeps until its last instant.
    """
    until = sleep.until
    if isinstance(until, timedelta):
        until = later(stamp.now, until)
    return attrs.evolve(blank, wake_at=until)


def decide_sleep(record: StepRecord) -> Return | None:
    """What a record gives: a sleep is over; ``None``: it has not settled."""
    return Return(None) if record.status == "completed" else None


def settle_sleep(record: StepRecord, stamp: Stamp) -> StepRecord:
    """The record of a sleep whose deadline has passed."""
    return attrs.evolve(
        record,
        status="completed",
        sequence=stamp.sequence,
        settled_at=stamp.now,
        execution_id=stamp.execution_id,
    )
