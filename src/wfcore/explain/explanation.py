"""What ``explain`` answers: data, and the short text that ``str`` makes of it. Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Literal, TypeAlias

import attrs

from wfcore.explain.parts import NearMiss, Unsettled, WakeUp
from wfcore.explain.wording import counted, instant, shown
from wfcore.failure import Failure
from wfcore.model import InstanceStatus

Situation: TypeAlias = Literal[
    "new",
    "due",
    "overdue",
    "running",
    "waiting",
    "stuck",
    "pausing",
    "paused",
    "complete",
    "errored",
    "terminated",
    "stranded",
]
"""How an instance stands.

* ``new``: created, restarted or continued, and its run has not had its first tick; ``due``: the next tick goes on;
  ``overdue``: it has been due for more than a minute, and no tick has been committed.
* ``running``: a runner has committed a checkpoint and goes on, or died, and its timer will tell (rule O6).
* ``waiting``: parked, and nothing is due. ``stuck``: its ticks fail, for a reason that is not the workflow's.
* ``pausing``: asked to pause; ``paused``; ``complete``, ``errored``, ``terminated``: it has ended.
* ``stranded``: its rows break rule O5: nothing stored would wake it, or not in time.
"""
ProblemKind: TypeAlias = Literal[
    "mismatch", "unknown workflow", "author error", "payload", "contention", "store", "other"
]


@attrs.frozen(kw_only=True)
class Problem:
    """Why ticks of an instance fail, for a reason that is not the workflow's.

    Attributes:
        kind: ``mismatch``: the code does not fit the recorded history (D1, D3); ``unknown workflow``: a process that
            does not have it looked at the instance (G10); ``author error``: other errors of workflow code (D9);
            ``payload``: a stored value does not fit the type that the code gives it now; ``contention``: ticks lost
            against other writers again and again (R1); ``store``; ``other``: unexpected.
        error: class and text of the last error.
        hook_id: of the wake-up that was put off.
        attempts: how often it was put off.
        next_try_at: when it is tried again.
    """

    kind: ProblemKind
    error: str
    hook_id: str
    attempts: int
    next_try_at: datetime


@attrs.frozen(kw_only=True)
class Explanation:
    """What an instance is waiting for, until when, and what would wake it (rule M10). ``str()`` is a short text.

    Attributes:
        ref: the instance.
        status: its status.
        situation: what that means now: :data:`Situation`.
        summary: the situation in one sentence.
        advice: what to do about it; ``""``: nothing.
        now: the instant at which this holds.
        run_number: the current run.
        record_count: its records.
        settled_count: the steps that have settled; cancelled ones, patches and lists of maps are not among them.
        last_settled: key of the last of them.
        last_settled_at: when it settled.
        unsettled: the steps that have begun and have not settled, one for each live branch; the first to be due first.
        wake_ups: the stored hooks, the first to be due first.
        near_misses: pending events that no open wait takes, in the order of arrival.
        problem: why its ticks fail, if they do.
        failure: of an errored instance.
        failed_step: key of the step whose failure ended it; ``None``: it was raised by workflow code itself.
        step_failure: the failure of that step.
        notes: what else an operator should know, such as limits that are near.
    """

    ref: str
    status: InstanceStatus
    situation: Situation
    summary: str
    advice: str
    now: datetime
    run_number: int
    record_count: int
    settled_count: int
    last_settled: str | None
    last_settled_at: datetime | None
    unsettled: tuple[Unsettled, ...]
    wake_ups: tuple[WakeUp, ...]
    near_misses: tuple[NearMiss, ...]
    problem: Problem | None
    failure: Failure | None
    failed_step: str | None
    step_failure: Failure | None
    notes: tuple[str, ...]

    @property
    def traceback(self) -> str:
        """Where the failures were raised that are still of interest, for operators; ``""``: nowhere.

        Those of the instance, of the step that has ended it, and of steps that are to be tried again.
        """
        failures = [
            (self.ref, self.failure),
            (self.failed_step, self.step_failure),
            *((step.step_key, step.failure) for step in self.unsettled),
        ]
        return "\n\n".join(
            f"{where}: {failure}\n{failure.traceback}" for where, failure in failures if failure and failure.traceback
        )

    def __str__(self) -> str:
        return "\n  ".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"{self.ref} {self.summary}"
        last = ""
        if self.last_settled and self.last_settled_at:
            last = f", the last {self.last_settled!r} at {instant(self.last_settled_at)}"
        yield f"{self.status}, run {self.run_number}, {counted(self.settled_count, 'step')} settled{last}"
        for part in (self.unsettled, self.wake_ups, self.near_misses):
            yield from shown([each.text(self.now) for each in part])
        yield from self.notes
        if self.advice:
            yield f"what to do: {self.advice}"
