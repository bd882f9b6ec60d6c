"""``run_tick``: one retrieve, one plan, at most one apply, more only as checkpoints (rule R1).

Everything that can go wrong around a plan is decided here: a conflict (plan again), an unseen hook (retrieve again), a
failed write of the user's (end the instance, T5), an author's error (defer the hook), a store that is unavailable
(nothing is written, T6: the error goes to the caller, the hook survives).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Literal, TypeVar, assert_never, final

import attrs

from wfcore.codec import JSON
from wfcore.errors import (
    ContentionError,
    StoreError,
    WriteFailedError,
)
from wfcore.keys import parse_ref, timer_id
from wfcore.model import FiredHook, Snapshot
from wfcore.plan import Applied, Conflict, Plan
from wfcore.planner import (
    RECOVER_AFTER,
    Continue,
    Settled,
    StepCall,
    Stop,
    call_body,
    plan_defer,
    plan_tick,
    plan_write_failure,
    released,
)
from wfcore.ports import Codec, Store
from wfcore.runner.guard import WORKFLOW_CODE, Surroundings
from wfcore.runner.observe import Observer, TickReport, emit, tell
from wfcore.runner.runtime import REAL, Runtime
from wfcore.workflow import Registry

A = TypeVar("A")
B = TypeVar("B")

MAX_CONFLICTS = 5
"""How often a tick is planned again after a conflict before its hook is deferred."""


@final
@attrs.define
class StopSignal:
    """How a dispatcher tells its running ticks to stop.

    Attributes:
        requested: commit the next checkpoint, release the instance, and stop there.
        abandoned: commit nothing any more; the result of a body that still runs is thrown away.
    """

    requested: bool = False
    abandoned: bool = False


@final
@attrs.frozen
class Refused:
    """A plan that the store did not take, because of a user's write."""

    plan: Plan
    error: WriteFailedError


class Abandoned(BaseException):
    """Leaves a tick whose dispatcher does not wait for it any more."""


def run_tick(  # noqa: PLR0913 - three things and settings by keyword
    store: Store,
    registry: Registry,
    fired: FiredHook,
    *,
    codec: Codec = JSON,
    recover_after: timedelta = RECOVER_AFTER,
    observer: Observer | None = None,
    stop: StopSignal | None = None,
    runtime: Runtime = REAL,
) -> TickReport:
    """Handle one fired hook to the end: until its instance waits, ends, or there is nothing to do.

    Bodies run in the calling thread. A conflict makes it plan again from a fresh retrieve, at most
    :data:`MAX_CONFLICTS` times; then, and for an author's error, the hook is deferred (rules R1, D3, D9, G10).

    Args:
        store: where the instance lives.
        registry: the workflows that can be run here.
        fired: the hook, as a feed handed it out.
        codec: how values become payloads.
        recover_after: when another runner may take over an instance whose runner was not heard of again (rule O6).
        observer: gets the report.
        stop: tells the tick to stop early.
        runtime: time, ids and pauses.

    Returns:
        The report. ``report.error`` is set if the hook was deferred.

    Raises:
        StoreError: the store is unavailable, or holds a row that cannot be read; nothing was written, try again later
            (rule T6).
        BaseException: what a body raised that is not an ``Exception`` (rule S14).
    """
    run = _Run(store, registry, fired, codec, recover_after, stop or StopSignal(), runtime)
    began = runtime.monotonic()
    try:
        while not run.attempt():
            pass
    except Abandoned:
        run.plan = run.result = run.error = None
    except Exception as error:
        run.error = error
        raise
    finally:
        report = TickReport(
            fired=fired,
            plan=run.plan,
            result=run.result,
            error=run.error,
            conflicts=run.conflicts,
            checkpoints=run.checkpoints,
            bodies=run.bodies,
            duration=runtime.since(began),
            body_duration=run.body_duration,
            store_duration=run.store_duration,
        )
        tell(observer, report)
    return report


class _Run:
    """One call of :func:`run_tick`: what it has committed, and what stopped the last plan."""

    def __init__(
        self,
        store: Store,
        registry: Registry,
        fired: FiredHook,
        codec: Codec,
        recover_after: timedelta,
        stop: StopSignal,
        runtime: Runtime,
    ) -> None:
        self._store = store
        self._registry = registry
        self._fired = fired
        self._codec = codec
        self._recover_after = recover_after
        self._stop = stop
        self._runtime = runtime
        self._ref = fired.hook.instance_ref
        self._mine: set[str] = set()
        self._seen: frozenset[str] = frozenset()
        self._retrieved_at = 0.0
        self._halt: Conflict | Refused | StoreError | Literal["unseen hook", "stopped"] | None = None
        self.plan: Plan | None = None
        self.result: Applied | Conflict | None = None
        self.error: Exception | None = None
        self.conflicts = 0
        self.checkpoints = 0
        self.bodies = 0
        self.body_duration = timedelta(0)
        self.store_duration = timedelta(0)

    def attempt(self) -> bool:
        """Retrieve, plan and commit once; False: again."""
        snapshot = self._retrieve()
        self._halt = None
        outside = Surroundings.found()
        try:
            with WORKFLOW_CODE.around():
                plan = plan_tick(
                    snapshot,
                    self._fired,
                    self._registry,
                    execution_id=self._runtime.new_id(),
                    mine=frozenset(self._mine),
                    perform=outside.of(self._perform),
                    commit=outside.of(self._commit),
                    codec=self._codec,
                    recover_after=self._recover_after,
                )
            if self._halt is None:
                self._apply(plan)
        except Exception as error:  # the author's; anything else is a bug of ours, and the hook should tell of it
            self._defer(snapshot, error)
            return True
        return self._conclude()

    def _conclude(self) -> bool:
        match self._halt:
            case None | "stopped":
                return True
            case "unseen hook":
                return False
            case Conflict():
                self.conflicts += 1
                if self._stop.requested:
                    return True
                if self.conflicts > MAX_CONFLICTS:
                    self._defer(self._retrieve(), ContentionError(self._ref, "tick", self.conflicts))
                    return True
                self._runtime.pause(0.005 * 2**self.conflicts)
                return False
            case Refused(plan, refusal):
                self._end_failed(plan, refusal)
                return True
            case StoreError() as error:
                raise error
            case unreachable:
                assert_never(unreachable)

    def _retrieve(self) -> Snapshot:
        snapshot = self._timed(self._store.retrieve, self._ref)
        self._retrieved_at = self._runtime.monotonic()  # now, not before: the tick's time may not run ahead
        self._seen = frozenset(hook.id for hook in snapshot.hooks) | {timer_id(self._ref)}
        return snapshot

    def _perform(self, call: StepCall) -> Settled:
        if self._stop.abandoned:  # before the first body; after each it is looked at below
            raise Abandoned
        began = self._runtime.monotonic()
        settled = call_body(call)
        self.bodies += 1
        self.body_duration += self._runtime.since(began)
        if self._stop.abandoned:
            raise Abandoned
        return Settled(settled.result, self._runtime.since(self._retrieved_at))

    def _commit(self, plan: Plan) -> Continue | Stop:
        """Commit a checkpoint, and go on unless something says otherwise (rule O6)."""
        stopping = self._stop.requested
        answer = self._apply(released(plan) if stopping else plan)
        if answer is None:
            return Stop()
        if stopping:
            self._halt = "stopped"
            return Stop()
        self.checkpoints += 1
        if answer.pending_hooks - self._seen:
            self._halt = "unseen hook"
            return Stop()
        return Continue(self._runtime.new_id())

    def _apply(self, plan: Plan) -> Applied | None:
        try:
            answer = self._write(plan)
        except WriteFailedError as error:
            self._halt = Refused(plan, error)
            return None
        except StoreError as error:
            self._halt = error
            return None
        if isinstance(answer, Conflict):
            self._halt = answer
            return None
        if answer is not None:
            self._mine.add(plan.execution_id)
            emit(plan)
        return answer

    def _write(self, plan: Plan) -> Applied | Conflict | None:
        """Apply a plan that is not empty, unless the dispatcher has given the tick up."""
        self.plan, self.result = plan, None
        if self._stop.abandoned:
            raise Abandoned
        if not plan.is_empty:
            self.result = self._timed(self._store.apply, plan)
        return self.result

    def _timed(self, call: Callable[[A], B], argument: A) -> B:
        began = self._runtime.monotonic()
        try:
            return call(argument)
        finally:
            self.store_duration += self._runtime.since(began)

    def _defer(self, snapshot: Snapshot, error: Exception) -> None:
        """Put the hook off; if another writer is faster, it is as well off without (rule R1)."""
        self.error = error
        self._write(plan_defer(snapshot, self._fired, error, execution_id=self._runtime.new_id()))

    def _end_failed(self, failed: Plan, error: WriteFailedError) -> None:
        """A user's write cannot be committed: the instance ends with that failure, unless it has moved on (rule T5)."""
        notify = self._registry.get(parse_ref(self._ref)[0]).notify
        new_id = self._runtime.new_id
        self._write(plan_write_failure(self._retrieve(), failed, error, notify=notify, execution_id=new_id()))
