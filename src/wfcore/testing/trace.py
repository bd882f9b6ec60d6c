"""What happened in a simulation, as rows that print as a table. The same seed gives the same text, byte for byte."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, assert_never, final

import attrs

from wfcore.model import StepRecord
from wfcore.outcome import Deferred, Ignored, Rescheduled, Stuck, Suspended
from wfcore.plan import Plan, PutStep
from wfcore.testing.tables import table

HEADINGS = ("time", "who", "instance", "fired", "outcome", "steps")


@final
@attrs.frozen(kw_only=True)
class TraceRow:
    """One thing that happened.

    Attributes:
        at: when, since the simulation's start.
        who: a dispatcher (``d1``, ``d2``, ...), ``client`` or ``test``.
        ref: the instance; empty, if it was about none.
        fired: id of the hook that the tick was for, without the ref.
        outcome: what the plan means, or what went wrong.
        steps: what became of steps.
    """

    at: timedelta
    who: str
    ref: str = ""
    fired: str = ""
    outcome: str
    steps: tuple[str, ...] = ()


@final
class Trace:
    """The rows so far. ``print(sim.trace)`` shows them as a table; iterate it to get at them."""

    def __init__(self, start: datetime) -> None:
        self._start = start
        self._rows: list[TraceRow] = []

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[TraceRow]:
        return iter(self._rows)

    def __getitem__(self, index: int) -> TraceRow:
        return self._rows[index]

    def __str__(self) -> str:
        cells = [(f"{row.at}", row.who, row.ref, row.fired, row.outcome, ", ".join(row.steps)) for row in self._rows]
        return table(HEADINGS, cells)

    def add(self, now: datetime, who: str, outcome: str, **about: Any) -> None:
        """Add a row."""
        self._rows.append(TraceRow(at=now - self._start, who=who, outcome=outcome, **about))

    def steps_of(self, plan: Plan) -> tuple[str, ...]:
        """What a plan says of steps."""
        return tuple(self._step(each.step) for each in plan.mutations if isinstance(each, PutStep))

    def outcome_of(self, plan: Plan) -> str:
        """The name of a plan's outcome, with what is worth knowing of it."""
        outcome = plan.outcome
        name = type(outcome).__name__
        match outcome:
            case Suspended(until, _):
                return f"{name} until {self._time(until)}"
            case Rescheduled(until):
                return f"{name} to {self._time(until)}"
            case Stuck(failure):
                return f"{name}: {failure.type.rpartition('.')[2]}"
            case Deferred(due_at, failure):
                return f"{name} until {self._time(due_at)}: {failure.type.rpartition('.')[2]}"
            case Ignored(why):
                return f"{name}: {why.partition(',')[0]}"
            case _:
                return name

    def _step(self, step: StepRecord) -> str:
        match step.status:
            case "waiting" if step.next_retry_at is not None:
                return f"{step.key} failed, again at {self._time(step.next_retry_at)}"
            case "waiting" if step.kind == "wait_for_event":
                return f"{step.key} waiting until {self._time(step.wake_at)}"
            case "waiting":
                return f"{step.key} to {self._time(step.wake_at)}"
            case "started" | "completed" | "errored" | "cancelled":
                return f"{step.key} {step.status}"
            case unreachable:
                assert_never(unreachable)

    def _time(self, instant: datetime | None) -> str:
        return "an event" if instant is None else f"{instant - self._start}"
