"""What the runner tells about its ticks: one report each, and log records without payloads (rule R6)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeAlias

import attrs

from wfcore.errors import CodecError, WfcoreError
from wfcore.failure import class_name, failure_of
from wfcore.keys import parse_ref
from wfcore.model import FiredHook, Instance
from wfcore.plan import AddEvent, AddHook, Applied, Conflict, Plan
from wfcore.planner import Done, Raised

_log = logging.getLogger("wfcore.runner")


@attrs.frozen(kw_only=True)
class BodyRun:
    """One attempt of a step body in a tick; no payloads.

    Attributes:
        key: of the step.
        name: of the step, as its workflow gave it.
        attempt: its number, from 1.
        began: how long after the tick it did.
        duration: until its result was taken.
        failure: the name of the class of what it raised, ``None`` if it returned.
    """

    key: str
    name: str
    attempt: int
    began: timedelta
    duration: timedelta
    failure: str | None


@attrs.frozen(kw_only=True)
class TickReport:
    """One tick, as an observer gets to see it.

    Attributes:
        fired: the hook.
        began_at: when the tick began, by the clock of this machine.
        instance: its row as it was last read; ``None`` if there is none, or it could not be read.
        plan: the last plan of the tick, ``None`` if there was none.
        result: what the store answered to it; ``None`` if it was empty or failed.
        error: why the tick failed for a reason that is not the workflow's; ``None`` if it did not.
        conflicts: how often it was planned again because another writer was faster.
        checkpoints: plans that were committed before the last one.
        bodies: step bodies that were run.
        body_runs: each of them, in the order in which they settled; also those whose result lost (rule R2).
        undelivered: events to instances that do not exist, and their hooks: they were skipped (rule T4).
        records: records of the run that were read; with more than 5,000 it is time to end the run by
            ``step.continue_with`` (rule O8).
        largest_payload: bytes of the largest payload that was committed.
        duration: of the whole tick.
        body_duration: of the step bodies in it.
        store_duration: of retrieves and applies in it.
    """

    fired: FiredHook
    began_at: datetime
    instance: Instance | None
    plan: Plan | None
    result: Applied | Conflict | None
    error: Exception | None
    conflicts: int
    checkpoints: int
    bodies: int
    body_runs: tuple[BodyRun, ...]
    undelivered: tuple[AddEvent | AddHook, ...]
    records: int
    largest_payload: int
    duration: timedelta
    body_duration: timedelta
    store_duration: timedelta


@attrs.define
class Tally:
    """What is noted while a tick goes on; becomes its :class:`TickReport`, in which the same names mean the same."""

    fired: FiredHook
    began_at: datetime
    instance: Instance | None = None
    plan: Plan | None = None
    result: Applied | Conflict | None = None
    error: Exception | None = None
    conflicts: int = 0
    checkpoints: int = 0
    body_runs: list[BodyRun] = attrs.field(factory=list)
    undelivered: tuple[AddEvent | AddHook, ...] = ()
    records: int = 0
    largest_payload: int = 0
    store_duration: timedelta = timedelta(0)

    def settled(self, done: Done, now: timedelta, duration: timedelta) -> None:
        """A body has settled, so long after the tick has begun."""
        result = done.settled.result
        run = BodyRun(
            key=done.call.key,
            name=done.call.name,
            attempt=done.call.attempt.number,
            began=max(timedelta(0), now - duration),
            duration=duration,
            failure=class_name(type(result.error)) if isinstance(result, Raised) else None,
        )
        self.body_runs.append(run)

    def report(self, duration: timedelta) -> TickReport:
        """The report of a tick that took so long."""
        facts = attrs.asdict(self, recurse=False) | {"body_runs": tuple(self.body_runs)}
        spent = sum((run.duration for run in self.body_runs), timedelta(0))
        return TickReport(**facts, bodies=len(self.body_runs), duration=duration, body_duration=spent)


Observer: TypeAlias = Callable[[TickReport], None]
"""Called once for each tick, in the thread that ran it. Must be quick; what it raises is logged."""


def tell(observer: Observer | None, report: TickReport) -> None:
    """Log a tick and hand its report to the observer."""
    ref = report.fired.hook.instance_ref
    if report.error is not None:
        unexpected = None if isinstance(report.error, WfcoreError) else report.error
        _log.warning("tick of %s failed: %s", ref, _words(report.error), exc_info=unexpected)
    else:
        outcome = "nothing" if report.plan is None else type(report.plan.outcome).__name__
        _log.debug("tick of %s: %s (%d bodies, %d conflicts)", ref, outcome, report.bodies, report.conflicts)
    if observer is None:
        return
    try:
        observer(report)
    except Exception:
        _log.exception("an observer failed on a tick of %s", ref)


def tell_undelivered(ref: str, applied: Applied) -> None:
    """Log the messages of a committed plan that went to nobody (rule T4)."""
    for each in applied.undelivered:
        if isinstance(each, AddEvent):
            event = each.event
            _log.warning("%s sent event %r to %r, which does not exist", ref, event.type, event.instance_ref)


def _words(error: Exception) -> str:
    if isinstance(error, CodecError):  # what was found there is a payload
        return f"CodecError: at {error.path}: expected {error.expected}; {error.advice}"
    return str(failure_of(error))


def emit(plan: Plan) -> None:
    """Emit the log lines of workflow code that a committed plan carries (rule D8)."""
    if not plan.logs:
        return
    logger = logging.getLogger(f"wfcore.workflow.{parse_ref(plan.ref)[0]}")
    for line in plan.logs:
        fields = "".join(f" {name}={value!r}" for name, value in line.fields.items())
        logger.info("%s%s", line.message, fields, extra={"wfcore_ref": plan.ref, "wfcore_fields": dict(line.fields)})
