"""How an instance stands, in a word, a sentence and an advice: the first that fits. Pure: no I/O, no clock."""

from __future__ import annotations

from datetime import datetime, timedelta

import attrs

from wfcore.errors import (
    CodecError,
    ContentionError,
    CorruptRecordError,
    ForeignAwaitError,
    NonDeterminismError,
    StepBodyError,
    StepNameError,
    StepUsageError,
    StoreUnavailableError,
    SwallowedSuspensionError,
    UnawaitedStepError,
    UnknownWorkflowError,
    WorkflowDefinitionError,
    WriteFailedError,
)
from wfcore.explain.explanation import Problem, ProblemKind, Situation
from wfcore.explain.wording import SHOWN, brief, counted, instant, when
from wfcore.keys import timer_id
from wfcore.model import TERMINAL, Hook, Instance, Snapshot, StepRecord
from wfcore.planner.changes import is_pause_request
from wfcore.planner.progress import breaks_o5
from wfcore.planner.reopening import reopening

OVERDUE = timedelta(minutes=1)
"""An instance that has been due for longer is called overdue."""
_KINDS: dict[str, ProblemKind] = {
    CodecError.__name__: "payload",
    ContentionError.__name__: "contention",
    CorruptRecordError.__name__: "payload",
    ForeignAwaitError.__name__: "author error",
    NonDeterminismError.__name__: "mismatch",
    StepBodyError.__name__: "author error",
    StepNameError.__name__: "author error",
    StepUsageError.__name__: "author error",
    StoreUnavailableError.__name__: "store",
    SwallowedSuspensionError.__name__: "author error",
    UnawaitedStepError.__name__: "author error",
    UnknownWorkflowError.__name__: "unknown workflow",
    WorkflowDefinitionError.__name__: "author error",
}
_PROBLEMS: dict[ProblemKind, tuple[str, str]] = {
    "mismatch": (
        "the code does not fit the recorded history",
        "deploy code that asks for the recorded steps (the old one, or with step.patched); it goes on by itself then",
    ),
    "unknown workflow": (
        "it was handed to a process that does not know its workflow",
        "run a dispatcher whose registry has the workflow; nothing of the instance has changed",
    ),
    "author error": (
        "its workflow code has an error that is not the instance's",
        "correct the code and deploy; it goes on by itself then",
    ),
    "payload": (
        "something stored does not fit the type that the code gives it now",
        "deploy code whose types take what is stored; it goes on by itself then",
    ),
    "contention": (
        "its ticks lost against other writers again and again",
        "it is tried again; if it stays so, find out who else writes it (conflicts in the tick reports)",
    ),
    "store": ("the store failed", "it is tried again; look at the store"),
    "other": ("its ticks end with an unexpected error", "look at the log of the dispatcher; it is tried again"),
}


@attrs.frozen(kw_only=True)
class Sight:
    """What there is to judge by.

    Attributes:
        snapshot: the rows.
        instance: the row of the instance.
        now: the instant that counts.
        hooks: those that are for ticks, the first to be due first.
        last_settled: the last step that has settled.
        failed_step: the step whose failure has ended the instance.
    """

    snapshot: Snapshot
    instance: Instance
    now: datetime
    hooks: tuple[Hook, ...]
    last_settled: StepRecord | None
    failed_step: StepRecord | None

    @property
    def timer(self) -> Hook | None:
        """The timer, if there is one."""
        return next((hook for hook in self.hooks if hook.id == timer_id(self.instance.ref)), None)

    @property
    def asked_to_pause(self) -> bool:
        """Whether a request to pause is pending."""
        return any(map(is_pause_request, self.snapshot.events))

    @property
    def next_look(self) -> Hook | None:
        """The wake-up by which the instance goes on: nothing but its timer moves an active one before that (G4)."""
        if self.instance.status == "active" and self.timer is not None:
            return self.timer
        return self.hooks[0] if self.hooks else None

    @property
    def runner_until(self) -> datetime | None:
        """Until when a runner is taken to be at work on the instance (rules G4, O6); ``None``: none is known to be."""
        timer = self.timer
        at_work = self.instance.status == "active" and timer and not timer.attempts and timer.due_at > self.now
        return timer.due_at if timer and at_work else None


def problem_of(sight: Sight) -> Problem | None:
    """Why ticks fail: by the wake-up that was put off most often. One that has ended has no problem any more."""
    look = sight.next_look
    put_off = [hook for hook in sight.hooks if hook.attempts]
    if sight.instance.status in TERMINAL or not put_off or look is None:
        return None
    hook = max(put_off, key=lambda hook: hook.attempts)
    error = hook.last_error or "no reason was stored"
    kind = _KINDS.get(error.partition(":")[0], "other")
    return Problem(kind=kind, error=error, hook_id=hook.id, attempts=hook.attempts, next_try_at=look.due_at)


def situation(sight: Sight) -> tuple[Situation, str, str]:
    """The situation, the sentence that goes on after the instance's ref, and what to do (``""``: nothing)."""
    if sight.instance.status in TERMINAL:
        return _ended(sight)
    if sight.instance.status == "paused":
        at = instant(sight.instance.updated_at)
        return "paused", f"is paused, last written at {at}", "resume it: until then nothing happens"
    if (broken := breaks_o5(sight.snapshot)) is not None:
        return (
            "stranded",
            f"may never go on: {broken} (rule O5)",
            "pause and resume it: that gives it a timer. wfcore leaves no instance so: who else writes its rows?",
        )
    look = sight.next_look
    if look is not None and sight.now - look.due_at >= OVERDUE:
        return _overdue(sight, look)
    if sight.asked_to_pause:
        pauses = "its runner pauses it at the next checkpoint" if sight.runner_until else "the next tick pauses it"
        return "pausing", f"was asked to pause: {pauses}", ""
    if sight.runner_until is not None:
        return _running(sight, sight.runner_until)
    if (problem := problem_of(sight)) is not None:
        what, advice = _PROBLEMS[problem.kind]
        return "stuck", f"is stuck: {what}; it is tried again at {when(problem.next_try_at, sight.now)}", advice
    return _moving(sight, look)


def _ended(sight: Sight) -> tuple[Situation, str, str]:
    row = sight.instance
    at = "" if row.completed_at is None else f" at {instant(row.completed_at)}"
    if row.status == "complete":
        return "complete", f"is complete: it ended{at}", ""
    if row.status == "terminated":
        return "terminated", f"was terminated{at}", "restart it if it is to run again"
    why = "" if row.failure is None else f": {brief(row.failure)}"
    if sight.failed_step is None:
        return "errored", f"has failed{at}, in workflow code{why}", _retrying(sight)
    if row.failure is not None and row.failure.is_a(WriteFailedError):
        why = f", whose write the store has refused{why}"
    return "errored", f"has failed{at}, by step {sight.failed_step.key!r}{why}", _retrying(sight)


def _retrying(sight: Sight) -> str:
    """What a retry would do (rule M7), and what there is beside."""
    found = reopening(sight.snapshot.steps, sight.instance.failure)
    anew = "or restart it: a new run begins"
    if found.held_by is not None and sight.failed_step is not None:
        return (
            f"restart it: a new run begins. It cannot be retried, because {found.held_by.key!r} came after the failure"
        )
    again = [step.key for step in (*found.reopened, *found.removed)]
    if not again:
        return f"correct the code and retry it: the recorded steps are kept; {anew}"
    begin = "begins" if len(again) == 1 else "begin"
    keys = ", ".join(map(repr, again[:SHOWN])) + (f" and {len(again) - SHOWN:,} more" if len(again) > SHOWN else "")
    return f"mend the cause and retry it: {keys} {begin} again with fresh attempts, what settled before is kept; {anew}"


def _overdue(sight: Sight, look: Hook) -> tuple[Situation, str, str]:
    name = sight.instance.workflow_name
    put_off = "" if not look.attempts else f", after it was put off {counted(look.attempts, 'time')}"
    was_to = "begin" if sight.instance.started_at is None else "go on"
    since = (
        f"is overdue: it was to {was_to} at {when(look.due_at, sight.now)}{put_off}, and no tick has written it since"
    )
    advice = (
        f"is a dispatcher running that knows workflow {name!r}? If so, a step body has been running all that time, "
        "or there is more to do than it can"
    )
    return "overdue", since, advice


def _running(sight: Sight, until: datetime) -> tuple[Situation, str, str]:
    last = f"after {sight.last_settled.key!r} " if sight.last_settled else ""
    wrote = f"its runner wrote a checkpoint {last}at {instant(sight.instance.updated_at)}"
    unheard = f"if it is not heard of until {when(until, sight.now)}, another one takes over"
    return "running", f"is being run: {wrote}; {unheard}", ""


def _moving(sight: Sight, look: Hook | None) -> tuple[Situation, str, str]:
    row = sight.instance
    if row.started_at is None and look is not None:
        what = "was created" if row.run_number == 1 else f"has begun run {row.run_number}"
        return "new", f"{what} and waits for its first tick, due {when(look.due_at, sight.now)}", ""
    if look is not None and look.due_at <= sight.now:
        return "due", f"is due since {when(look.due_at, sight.now)}: the next tick goes on with it", ""
    if look is None:
        return "waiting", "waits for an event, without a deadline", ""
    listens = any(step.status == "waiting" and step.kind == "wait_for_event" for step in sight.snapshot.steps)
    return "waiting", f"waits {'for an event, or ' if listens else ''}until {when(look.due_at, sight.now)}", ""
