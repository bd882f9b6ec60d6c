"""Does code fit the history of an instance? :func:`check_replay` replays it and tells. No I/O: nothing is written.

It costs one read for each instance, and is the gate before a deploy: replay the instances that are stored by the code
that is to be deployed.
"""

from __future__ import annotations

from typing import Any, Literal, NoReturn, TypeAlias, final

import attrs

from wfcore.codec import JSON
from wfcore.errors import CodecError, UnknownWorkflowError, WorkflowError, WriteFailedError
from wfcore.keys import parse_ref, timer_id
from wfcore.model import TERMINAL, FiredHook, Hook, Instance, Snapshot
from wfcore.outcome import Completed, Continued, Errored, Outcome, Stuck, Suspended
from wfcore.plan import Plan, PutEvent, PutInstance, PutStep
from wfcore.planner import StepCall, plan_tick
from wfcore.ports import Codec
from wfcore.runner.guard import WORKFLOW_CODE
from wfcore.workflow import Registry

Verdict: TypeAlias = Literal["ends as recorded", "ends differently", "goes on", "mismatch", "unknown workflow"]


@final
@attrs.frozen(kw_only=True)
class ReplayVerdict:
    """What came of replaying one instance.

    Attributes:
        ref: the instance.
        kind: ``ends as recorded`` and ``ends differently``: it has ended, and so it does again, or otherwise;
            ``goes on``: everything recorded is asked for, then there is something new to do, or to wait for;
            ``mismatch``: the code asks for something else than what is recorded, or cannot read it;
            ``unknown workflow``: the registry does not know it.
        ok: whether the code may be deployed, as far as this instance is concerned.
        what: the same in words: the step that comes next, the error.
        error: what the planner raised, if it is a mismatch.
    """

    ref: str
    kind: Verdict
    ok: bool
    what: str
    error: Exception | None = attrs.field(default=None, eq=False)

    def __str__(self) -> str:
        return f"{self.ref}: {self.kind}: {self.what}"


def check_replay(snapshot: Snapshot, registry: Registry, *, codec: Codec = JSON) -> ReplayVerdict:
    """Replay an instance by the code of a registry, up to where something new would happen.

    Args:
        snapshot: what a store's ``retrieve`` returned.
        registry: the code that is to be checked.
        codec: how values become payloads.

    Returns:
        The verdict; its ``ok`` is what a gate asks for.

    Raises:
        ValueError: the snapshot holds no instance.
    """
    instance = snapshot.instance
    if instance is None:
        raise ValueError("this snapshot holds no instance: there is nothing to replay")
    ended = instance.status in TERMINAL
    before = attrs.evolve(
        snapshot,
        instance=_before_its_end(instance),
        events=() if ended else tuple(event for event in snapshot.events if event.actor == "user"),
        hooks=(),
        now=instance.completed_at or instance.updated_at,
    )
    try:
        found = _replayed(before, registry, codec)
    except UnknownWorkflowError as error:
        return ReplayVerdict(ref=instance.ref, kind="unknown workflow", ok=False, what=str(error), error=error)
    except (WorkflowError, CodecError) as error:
        return ReplayVerdict(ref=instance.ref, kind="mismatch", ok=False, what=str(error), error=error)
    if isinstance(found, Stuck):
        return ReplayVerdict(ref=instance.ref, kind="mismatch", ok=False, what=str(found.error))
    if not ended or not _ended_by_its_code(instance):
        return ReplayVerdict(ref=instance.ref, kind="goes on", ok=True, what=_words(found))
    recorded = Completed(instance.output or "") if instance.failure is None else Errored(instance.failure)
    same = found == recorded
    what = _words(found) if same else f"{_words(found)}; recorded: {_words(recorded)}"
    return ReplayVerdict(ref=instance.ref, kind="ends as recorded" if same else "ends differently", ok=same, what=what)


def replay_of_end(snapshot: Snapshot, plan: Plan, registry: Registry, codec: Codec) -> str | None:
    """Replay a run with what a plan that ends it has recorded; ``None``: it ends like that again.

    Args:
        snapshot: what the plan was made for.
        plan: its outcome is ``Completed``, ``Errored`` or ``Continued``.
        registry: the code.
        codec: how values become payloads.
    """
    assert snapshot.instance is not None, "a run has ended"
    row = next(each.instance for each in plan.mutations if isinstance(each, PutInstance))
    steps = {step.key: step for step in snapshot.steps}
    steps.update((each.step.key, each.step) for each in plan.mutations if isinstance(each, PutStep))
    taken = {each.event.id for each in plan.mutations if isinstance(each, PutEvent)}
    started_at = snapshot.instance.started_at or row.started_at or row.updated_at
    before = attrs.evolve(
        snapshot,
        instance=attrs.evolve(snapshot.instance, status="active", started_at=started_at),
        steps=tuple(steps.values()),
        events=tuple(event for event in snapshot.events if event.actor == "user" and event.id not in taken),
        hooks=(),
        now=row.updated_at,
    )
    try:
        found = _replayed(before, registry, codec)
    except (WorkflowError, CodecError) as error:
        return str(error)
    return None if found == plan.outcome else f"{_words(found)}; recorded: {_words(plan.outcome)}"


class _WouldRun(BaseException):
    """Leaves a replay that has come to a body."""

    def __init__(self, key: str) -> None:
        self.key = key


def _replayed(snapshot: Snapshot, registry: Registry, codec: Codec) -> Outcome | _WouldRun:
    """What a tick of an active instance would come to, without running any body."""
    assert snapshot.instance is not None, "checked before"
    refused: list[_WouldRun] = []

    def perform(call: StepCall) -> NoReturn:
        refused.append(_WouldRun(call.key))
        raise refused[0]

    try:
        with WORKFLOW_CODE.around():
            plan = plan_tick(
                snapshot,
                _fired(snapshot.instance, snapshot),
                registry,
                execution_id="replay",
                perform=perform,
                codec=codec,
            )
    except _WouldRun as found:
        return found
    return refused[0] if refused else plan.outcome


def _fired(instance: Instance, snapshot: Snapshot) -> FiredHook:
    workflow_name, instance_id = parse_ref(instance.ref)
    hook = Hook(
        id=timer_id(instance.ref),
        instance_ref=instance.ref,
        run_number=None,
        workflow_name=workflow_name,
        instance_id=instance_id,
        reason="wake",
        due_at=snapshot.now,
        created_at=snapshot.now,
    )
    return FiredHook(hook=hook, timestamp=snapshot.now)


def _before_its_end(instance: Instance) -> Instance:
    return attrs.evolve(instance, status="active", output=None, failure=None, completed_at=None)


def _ended_by_its_code(instance: Instance) -> bool:
    """Not by a command, nor by a write that failed (rule T5)."""
    failed_write = instance.failure is not None and instance.failure.is_a(WriteFailedError)
    return instance.status in ("complete", "errored") and not failed_write


def _words(found: Any) -> str:
    match found:
        case _WouldRun():
            return f"{found.key!r} would run"
        case Completed(output):
            return f"it returns {output}"
        case Errored(failure):
            return f"it raises {failure}"
        case Continued(run_number):
            return f"run {run_number} begins"
        case Suspended(until, keys):
            when = "an event" if until is None else until.isoformat()
            return f"it waits for {', '.join(map(repr, keys))} until {when}"
        case _:
            return type(found).__name__
