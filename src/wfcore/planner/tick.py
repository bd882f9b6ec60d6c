"""``plan_tick``: one hook, one snapshot in; one plan out. Calls user code and nothing else: no I/O, clock or chance.

How a tick works:

1. **The gate** (``gate.py``, rules G1 to G11) answers what needs no user code: no such instance, an old run's hook, a
   terminal or paused instance, another runner at work, nothing due.
2. **Replay** (``replay.py``, rule P2) runs the workflow over its recorded steps, then settles what is new: waits that
   are due, bodies that may run. It works on a **draft** (``draft.py``), the tick's pending rows.
3. The draft is frozen into **one plan**: conditional on the version that was read, complete, with the one timer hook
   that the instance needs next. With ``commit``, every checkpoint is such a plan of its own, and the tick goes on.

What to do on a conflict is not decided here: nothing was written, so whoever applies the plan retrieves again and
plans again. What is wrong with the *code* (an author's error, a mismatch) is raised before anything new has run, for
the runner to defer the hook; after new work it becomes a plan that keeps the work (rule D9).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any, TypeAlias, assert_never

from wfcore.codec import JSON
from wfcore.errors import CodecError
from wfcore.failure import failure_of
from wfcore.model import FiredHook, Snapshot
from wfcore.outcome import Checkpointed
from wfcore.plan import Plan
from wfcore.planner.calls import Perform, Raised, Returned, StepCall, call_body
from wfcore.planner.changes import nothing
from wfcore.planner.draft import Draft
from wfcore.planner.ends import Abort, Checkpoint, Continue, End, Fault, Loop, Manner, Parked, Stop, Stopped
from wfcore.planner.gate import Tick, absent, answer
from wfcore.planner.handles import AsyncStep, Step
from wfcore.planner.history import History
from wfcore.planner.interpret import Interpreter
from wfcore.planner.refusals import outgrown
from wfcore.planner.replay import Replay
from wfcore.planner.requests import Scope, Unwind
from wfcore.ports import Codec, checked
from wfcore.workflow import Registry, Workflow

Commit: TypeAlias = Callable[[Plan], Continue | Stop]
RECOVER_AFTER = timedelta(seconds=10)
"""When another runner takes over an instance whose runner wrote a checkpoint and was not heard of again (rule O6)."""


def plan_tick(  # noqa: PLR0913 - each is an input of its own; there is nothing to bundle
    snapshot: Snapshot,
    fired: FiredHook,
    registry: Registry,
    *,
    execution_id: str,
    mine: frozenset[str] = frozenset(),
    perform: Perform = call_body,
    commit: Commit | None = None,
    codec: Codec = JSON,
    recover_after: timedelta = RECOVER_AFTER,
) -> Plan:
    """Plan what one fired hook means for one instance.

    The same snapshot, firing and answers of ``perform`` and ``commit``, in the same order, give the same plan.

    Args:
        snapshot: what a store's ``retrieve`` returned.
        fired: the hook that fired; a trigger, its row is not trusted.
        registry: the workflows that can be run here.
        execution_id: new for each call; the rows that the plan writes carry it.
        mine: execution ids of plans that this runner committed for this instance in this tick.
        perform: runs step bodies.
        commit: commits a checkpoint and says how to go on. Without it the first checkpoint is returned.
        codec: how values become payloads.
        recover_after: with ``commit``: the timer of a checkpoint, counted from the checkpoint.

    Returns:
        The plan to apply. If ``commit`` answered ``Stop``: an empty plan with outcome ``Checkpointed``.

    Raises:
        UnknownWorkflowError: the registry does not know the workflow (rule G10).
        WorkflowError: an error of the workflow's author before any new work: ``NonDeterminismError`` and others
            (rules D1, D9). Nothing ran, nothing is to be written; defer the hook (``plan_defer``).
        CodecError: stored params or a stored result do not fit the type that the code gives them now; likewise.
    """
    instance = snapshot.instance
    now = fired.timestamp if instance is None else max(fired.timestamp, snapshot.now, instance.updated_at)
    tick = Tick(snapshot=snapshot, fired=fired, execution_id=execution_id, now=now, mine=mine)
    if instance is None:
        return absent(tick)
    answered = answer(tick, instance)
    if answered is not None:
        return answered
    workflow = registry.get(instance.workflow_name)
    codec = workflow.local_codec(codec)
    try:
        params = codec.decode(instance.params, workflow.params_type)
    except CodecError as error:
        raise outgrown(error, f"the parameters of {instance.ref!r}") from None
    replay = Replay(
        Draft(snapshot, instance, execution_id, now),
        History(instance.ref, snapshot.steps),
        Interpreter(workflow=workflow, instance=instance, codec=codec),
        Manner(each_step=workflow.checkpoint == "step", continues=commit is not None, recover_after=recover_after),
        partial(_drive, perform, commit),
    )
    try:
        _run(replay, workflow, params)
        return _plan(replay, workflow, replay.end)
    finally:
        replay.close()


def _run(replay: Replay, workflow: Workflow[Any, Any], params: Any) -> None:
    arguments = (params,) if workflow.takes_params else ()
    if not workflow.is_async:
        replay.run_function(partial(workflow.fn, Step(replay, replay.root, Scope()), *arguments))
        return
    replay.start(workflow.fn(AsyncStep(replay, replay.root, Scope()), *arguments))
    try:
        replay.drive(replay.loop())
    except Unwind as unwind:  # a body used a step
        replay.unwound(unwind)


def _drive(perform: Perform, commit: Commit | None, loop: Loop) -> None:
    """Run the loop, blocking: one body at a time, in the order in which they were asked for."""
    try:
        asked = next(loop)
        while True:
            if isinstance(asked, StepCall):
                asked = loop.send(perform(asked))
            else:
                asked = loop.send(Stop() if commit is None else commit(asked))
    except StopIteration:
        return


def _plan(replay: Replay, workflow: Workflow[Any, Any], end: End | None) -> Plan:
    draft = replay.draft
    logs = tuple(replay.root.logs)
    match end:
        case Returned(value):
            try:
                output = checked(
                    replay.interpreter.codec, value, workflow.result_type, f"the result of {workflow.name!r}"
                )
            except CodecError as error:
                return draft.errored(failure_of(error), logs)
            return draft.completed(output, logs)
        case Raised(error):
            return draft.errored(failure_of(error), logs)
        case Parked():
            return draft.suspended()
        case Checkpoint(plan):
            return plan
        case Stopped() | None:
            return nothing(draft.instance.ref, draft.execution_id, Checkpointed())
        case Fault(fault):
            if draft.has_new_work:
                return draft.stuck(failure_of(fault))
            raise fault
        case Abort(abort):
            raise abort
        case unreachable:
            assert_never(unreachable)
