"""``plan_tick``: one hook, one snapshot in; one plan out. Calls user code and nothing else: no I/O, clock or chance.

How a tick works:

1. **The gate** (``gate.py``, rules G1 to G11) answers what needs no user code: no such instance, an old run's hook, a
   terminal or paused instance, another runner at work, nothing due.
2. **Replay** (``replay.py``, rule P2) runs the workflow over its recorded steps; then what is new settles
   (``live.py``): waits that are due, bodies that may run. It works on a **draft** (``draft.py``), the pending rows.
3. The draft is frozen into **one plan**: conditional on the version that was read, complete, with the one timer hook
   that the instance needs next. With ``commit``, every checkpoint is such a plan of its own, and the tick goes on.

What to do on a conflict is not decided here: nothing was written, so whoever applies the plan retrieves again and
plans again. What is wrong with the *code* (an author's error, a mismatch) is raised before anything new has run, for
the runner to defer the hook; after new work it becomes a plan that keeps the work (rule D9).
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from datetime import timedelta
from functools import partial
from typing import Any, TypeAlias, assert_never

import attrs

from wfcore.codec import JSON
from wfcore.errors import CodecError
from wfcore.failure import failure_of
from wfcore.model import FiredHook, Snapshot
from wfcore.outcome import Checkpointed, Completed, Errored
from wfcore.plan import LogLine, Plan
from wfcore.planner.agenda import Agenda
from wfcore.planner.async_step import AsyncStep
from wfcore.planner.calls import Perform, Raised, Returned, call_body
from wfcore.planner.carried import Carried, Known
from wfcore.planner.changes import nothing
from wfcore.planner.draft import Draft
from wfcore.planner.ends import (
    Abort,
    Answer,
    Bodies,
    Checkpoint,
    Continue,
    Done,
    Fault,
    Loop,
    Manner,
    Parked,
    Stop,
    Stopped,
)
from wfcore.planner.gate import Tick, answer, no_instance
from wfcore.planner.held import record_while_paused
from wfcore.planner.history import History
from wfcore.planner.interpret import Interpreter
from wfcore.planner.live import Live
from wfcore.planner.refusals import outgrown
from wfcore.planner.replay import Drive, Replay
from wfcore.planner.requests import ContinueWith, Scope, Unwind
from wfcore.planner.step import Step
from wfcore.ports import Codec, checked
from wfcore.workflow import Registry, Workflow

Commit: TypeAlias = Callable[[Plan], Continue | Stop]
RECOVER_AFTER = timedelta(seconds=10)
"""When another runner takes over an instance whose runner wrote a checkpoint and was not heard of again (rule O6)."""
NOTHING_KNOWN = Known()


def plan_tick(  # noqa: PLR0913 - each is an input of its own; there is nothing to bundle
    snapshot: Snapshot,
    fired: FiredHook,
    registry: Registry,
    *,
    execution_id: str,
    mine: frozenset[str] = frozenset(),
    held: tuple[Done, ...] = (),
    absent: frozenset[str] = frozenset(),
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
        mine: execution ids of plans that this runner has committed for this instance, or tried to: it may go on from
            their checkpoints, and run the at-most-once bodies that they have started (rules O6, S13).
        held: results of at-most-once bodies that no committed plan has recorded (rule S13).
        absent: refs of instances that a required event of this tick did not find (rule T4).
        perform: runs step bodies, one at a time.
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
    known = Known(mine=mine, held=held, absent=absent)
    drive = partial(_drive, perform, commit)
    manner = Manner(continues=commit is not None, recover_after=recover_after)
    begun = _begin((snapshot, fired, execution_id, known), registry, codec, manner, drive)
    if isinstance(begun, Plan):
        return begun
    try:
        if begun.workflow.is_async:
            try:
                drive(begun.loop())
            except Unwind as unwind:  # a body used a step
                begun.replay.unwound(unwind)
        else:
            begun.run_function()
        return begun.plan()
    finally:
        begun.replay.close()


def tick_loop(
    snapshot: Snapshot,
    fired: FiredHook,
    registry: Registry,
    *,
    execution_id: str,
    known: Known = NOTHING_KNOWN,
    codec: Codec = JSON,
    recover_after: timedelta = RECOVER_AFTER,
) -> Generator[Bodies | Plan, Answer, Plan]:
    """:func:`plan_tick` as a conversation, for ``async def`` workflows: bodies of several branches run at once.

    The generator yields ``Bodies``, answered with ``Done``, ``Dropped`` or ``Elapsed``, and checkpoint plans, answered
    with ``Continue`` or ``Stop``. It returns the plan to apply. A body that raises ``Unwind`` has used a step, and is
    answered with ``Dropped``. Close it if the conversation is broken off. Bodies that are in flight when it ends after
    ``Stop`` are the driver's: to be handed to the next tick by ``known.flights``, or to be thrown away (rule O6).

    Args, Raises:
        As :func:`plan_tick`; ``known`` holds what the runner knows and the rows do not tell.
    """
    manner = Manner(continues=True, recover_after=recover_after, concurrent=True)
    begun = _begin((snapshot, fired, execution_id, known), registry, codec, manner)
    if isinstance(begun, Plan):
        return begun
    if not begun.workflow.is_async:
        raise TypeError(f"{begun.workflow.name!r} is a 'def' workflow, whose steps are calls: use plan_tick")
    try:
        yield from begun.loop()
        return begun.plan()
    finally:
        begun.replay.close()


@attrs.frozen
class _Begun:
    """A tick whose gate has let user code pass."""

    replay: Replay
    draft: Draft
    workflow: Workflow[Any, Any]
    codec: Codec
    params: Any

    def loop(self) -> Loop:
        """Run an ``async def`` workflow."""
        arguments = (self.params,) if self.workflow.takes_params else ()
        self.replay.start(self.workflow.fn(AsyncStep(self.replay, self.replay.root, Scope()), *arguments))
        return self.replay.loop()

    def run_function(self) -> None:
        """Run a ``def`` workflow."""
        arguments = (self.params,) if self.workflow.takes_params else ()
        step = Step(self.replay, self.replay.root, Scope())
        self.replay.run_function(partial(self.workflow.fn, step, *arguments))

    def plan(self) -> Plan:
        """The plan that the end of the tick is."""
        draft, logs = self.draft, tuple(self.replay.root.logs)
        match self.replay.end:
            case Returned(value):
                return self._returned(value, logs)
            case Raised(error):
                return draft.ended(Errored(failure_of(error)), logs)
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

    def _returned(self, value: Any, logs: tuple[LogLine, ...]) -> Plan:
        name, draft = self.workflow.name, self.draft
        try:
            if isinstance(value, ContinueWith):
                what = f"the parameters to continue {name!r} with"
                return draft.continued(checked(self.codec, value.params, self.workflow.params_type, what), logs)
            output = checked(self.codec, value, self.workflow.result_type, f"the result of {name!r}")
        except CodecError as error:
            return draft.ended(Errored(failure_of(error)), logs)
        return draft.ended(Completed(output), logs)


def _begin(
    given: tuple[Snapshot, FiredHook, str, Known],
    registry: Registry,
    codec: Codec,
    manner: Manner,
    drive: Drive | None = None,
) -> _Begun | Plan:
    snapshot, fired, execution_id, known = given
    instance = snapshot.instance
    now = fired.timestamp if instance is None else max(fired.timestamp, snapshot.now, instance.updated_at)
    tick = Tick(snapshot=snapshot, fired=fired, execution_id=execution_id, now=now, known=known)
    if instance is None:
        return no_instance(tick)
    if instance.workflow_name in registry.names:
        codec = registry.get(instance.workflow_name).local_codec(codec)
    answered = record_while_paused(tick, instance, codec) or answer(tick, instance)
    if answered is not None:
        return answered
    workflow = registry.get(instance.workflow_name)
    try:
        params = codec.decode(instance.params, workflow.params_type)
    except CodecError as error:
        raise outgrown(error, f"the parameters of {instance.ref!r}") from None
    draft = Draft(snapshot, instance, execution_id, now, notify=workflow.notify)
    agenda = Agenda()
    interpreter = Interpreter(workflow=workflow, instance=instance, codec=codec)
    live = Live(draft, agenda, interpreter, manner, Carried(known))
    history = History(instance.ref, snapshot.steps)
    replay = Replay(history, interpreter, agenda, live, drive, instance.started_at or now)
    return _Begun(replay, draft, workflow, codec, params)


def _drive(perform: Perform, commit: Commit | None, loop: Loop) -> None:
    """Run the loop, blocking: one body at a time, in the order in which they were asked for."""
    try:
        asked = next(loop)
        while True:
            if isinstance(asked, Bodies):
                (call,) = asked.start
                asked = loop.send(Done(call, perform(call)))
            else:
                assert commit is not None  # noqa: S101 - without one the first checkpoint ends the tick
                asked = loop.send(commit(asked))
    except StopIteration:
        return
