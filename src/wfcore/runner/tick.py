"""``run_tick``: one retrieve, one plan, at most one apply, more only as checkpoints (rule R1).

Everything that can go wrong around a plan is decided here: a conflict (plan again), an unseen hook (retrieve again), a
failed write of the user's (end the instance, T5), an author's error (defer the hook), a store that is unavailable
(nothing is written, T6: the error goes to the caller, the hook survives).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Literal, assert_never, final

import attrs

from wfcore.codec import JSON
from wfcore.errors import (
    CodecError,
    ContentionError,
    CorruptRecordError,
    StoreError,
    WfcoreError,
    WorkflowError,
    WriteFailedError,
)
from wfcore.keys import timer_id
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
from wfcore.runner.guard import outside, workflow_code
from wfcore.runner.observe import Observer, TickReport, emit, tell
from wfcore.runner.runtime import REAL, Runtime
from wfcore.workflow import Registry

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
        run.plan = run.result = None
    except StoreError as error:
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
        self._mine: frozenset[str] = frozenset()
        self._seen: frozenset[str] = frozenset()
        self._retrieved_at = 0.0
        self._halt: Conflict | StoreError | Literal["unseen hook", "stopped"] | None = None
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
        try:
            with workflow_code():
                plan = plan_tick(
                    snapshot,
                    self._fired,
                    self._registry,
                    execution_id=self._runtime.new_id(),
                    mine=self._mine,
                    perform=outside(self._perform),
                    commit=outside(self._commit),
                    codec=self._codec,
                    recover_after=self._recover_after,
                )
        except (WorkflowError, CodecError, CorruptRecordError) as error:
            self._defer(snapshot, error)
            return True
        if self._halt is None:
            self.plan, self.result = plan, None
            if not plan.is_empty:
                self._apply(plan)
        return self._conclude()

    def _conclude(self) -> bool:
        match self._halt:
            case None | "stopped":
                return True
            case "unseen hook":
                return False
            case Conflict():
                self.conflicts += 1
                if self.conflicts > MAX_CONFLICTS or self._stop.requested:
                    self._defer(self._retrieve(), ContentionError(self._ref, "tick", self.conflicts))
                    return True
                self._runtime.pause(0.005 * 2**self.conflicts)
                return False
            case WriteFailedError() as error:
                self._end_failed(error)
                return True
            case StoreError() as error:
                raise error
            case unreachable:
                assert_never(unreachable)

    def _retrieve(self) -> Snapshot:
        self._retrieved_at = began = self._runtime.monotonic()
        snapshot = self._store.retrieve(self._ref)
        self.store_duration += self._runtime.since(began)
        self._seen = frozenset(hook.id for hook in snapshot.hooks) | {timer_id(self._ref)}
        return snapshot

    def _perform(self, call: StepCall) -> Settled:
        began = self._runtime.monotonic()
        settled = call_body(call)
        self.bodies += 1
        self.body_duration += self._runtime.since(began)
        if self._stop.abandoned:
            raise Abandoned
        return attrs.evolve(settled, elapsed=self._runtime.since(self._retrieved_at))

    def _commit(self, plan: Plan) -> Continue | Stop:
        """Commit a checkpoint, and go on unless something says otherwise (rule O6)."""
        stopping = self._stop.requested
        answer = self._apply(released(plan) if stopping else plan)
        if answer is None:
            return Stop()
        self.checkpoints += 1
        if stopping:
            self._halt = "stopped"
        elif answer.pending_hooks - self._seen:
            self._halt = "unseen hook"
        else:
            return Continue(self._runtime.new_id())
        return Stop()

    def _apply(self, plan: Plan) -> Applied | None:
        if self._stop.abandoned:
            raise Abandoned
        began = self._runtime.monotonic()
        self.plan, self.result = plan, None
        try:
            self.result = answer = self._store.apply(plan)
        except StoreError as error:
            self._halt = error
            return None
        finally:
            self.store_duration += self._runtime.since(began)
        if isinstance(answer, Conflict):
            self._halt = answer
            return None
        self._mine |= {plan.execution_id}
        emit(plan)
        return answer

    def _defer(self, snapshot: Snapshot, error: WfcoreError) -> None:
        """Put the hook off; if another writer is faster, it is as well off without (rule R1)."""
        self.error = error
        plan = plan_defer(snapshot, self._fired, error, execution_id=self._runtime.new_id())
        self.plan, self.result = plan, None
        if not plan.is_empty:
            self.result = self._store.apply(plan)

    def _end_failed(self, error: WriteFailedError) -> None:
        """A user's write cannot be committed: the instance ends with that failure, unless it has moved on (rule T5)."""
        failed = self.plan
        snapshot = self._retrieve()
        if failed is None:
            return
        plan = plan_write_failure(snapshot, failed, error, execution_id=self._runtime.new_id())
        self.plan, self.result = plan, None
        if not plan.is_empty:
            self.result = self._store.apply(plan)
