"""One run of ``run_tick`` in either colour: retrieve, plan, apply, and what is done when something goes wrong.

Everything that can go wrong around a plan is decided here: a conflict (plan again), an unseen hook (retrieve again), a
failed write of the user's (end the instance, T5), an author's error (defer the hook), a store that is unavailable
(nothing is written, T6: the error goes to the caller, the hook survives). How a plan is made, and what becomes of
bodies that are in flight meanwhile, is left to the colour.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Literal, TypeVar, assert_never, final

import attrs

from wfcore.errors import ContentionError, StoreError, StoreUnavailableError, WriteFailedError
from wfcore.keys import parse_ref
from wfcore.model import Snapshot
from wfcore.plan import Applied, Conflict, Plan
from wfcore.planner import (
    Continue,
    Done,
    Raised,
    Returned,
    Settled,
    StepCall,
    Stop,
    call_body,
    plan_defer,
    plan_tick,
    plan_write_failure,
    released,
)
from wfcore.runner.doors import Doors
from wfcore.runner.errand import Abandoned, Errand
from wfcore.runner.guard import WORKFLOW_CODE, Surroundings
from wfcore.runner.limits import Limits
from wfcore.runner.memory import Memory, starts_body
from wfcore.runner.observe import Tally, TickReport, emit, tell, tell_undelivered

A = TypeVar("A")
B = TypeVar("B")

MAX_CONFLICTS = 5
"""How often a tick is planned again after a conflict before its hook is deferred."""
MAX_STORE_FAILURES = 5
"""How often a tick looks again after the store was unavailable, while an at-most-once body is at stake (rule S13)."""
_log = logging.getLogger("wfcore.runner")


@final
@attrs.frozen
class Refused:
    """A plan that the store did not take, because of a user's write."""

    plan: Plan
    error: WriteFailedError


class Run(ABC):
    """One call of ``run_tick``: what it has committed, and what stopped the last plan."""

    def __init__(self, doors: Doors, errand: Errand) -> None:
        self.errand = errand
        self.runtime = doors.runtime
        self.ref = errand.fired.hook.instance_ref
        self.memory = Memory(self.ref)
        self._doors = doors
        self._stop = errand.stop
        self._began = self._retrieved_at = 0.0
        self._halt: Conflict | Refused | StoreError | Literal["unseen hook", "stopped"] | None = None
        self._tally = Tally(errand.fired, doors.runtime.now())
        self._limits = Limits(self.ref, errand.codec)
        self._store_failures = 0
        self._performing: tuple[str, ...] = ()
        errand.watch.keys = self.running

    # -- what the colours bring

    @abstractmethod
    async def plan(self, snapshot: Snapshot) -> Plan:
        """Plan a tick of the snapshot, with :meth:`commit` for its checkpoints."""

    @abstractmethod
    async def lost(self) -> None:
        """A plan was lost: bodies in flight are ended and count for nothing, but for at-most-once ones (rule O6)."""

    @abstractmethod
    async def ended(self) -> bool:
        """The tick has ended: no body may be in flight any more; whether that gave results that are to be recorded."""

    # -- the run

    async def to_the_end(self) -> TickReport:
        """Handle the hook until its instance waits, ends, or there is nothing to do."""
        self._began = self.runtime.monotonic()
        try:
            while not await self._attempt():
                pass
        except Abandoned:
            self._tally.plan = self._tally.result = self._tally.error = None
        except Exception as error:
            self._tally.error = error
            raise
        finally:
            report = self._tally.report(self.runtime.since(self._began))
            tell(self.errand.observer, report)
            for done in self.memory.held:
                _log.warning("%s: the result of %r was not recorded, and it runs only once", self.ref, done.call.key)
        return report

    async def _attempt(self) -> bool:
        """Retrieve, plan and commit once; False: again."""
        self._halt = None
        try:
            snapshot = await self._retrieve()
        except StoreUnavailableError as error:
            self._halt = error
            return await self._conclude()
        try:
            plan = await self.plan(snapshot)
            if self._halt is None:
                await self._apply(plan)
        except Exception as error:  # the author's; anything else is a bug of ours, and the hook should tell of it
            await self._defer(snapshot, error)
            return True
        return await self._conclude()

    async def _conclude(self) -> bool:
        match self._halt:
            case None | "stopped":
                return not await self.ended()
            case "unseen hook":
                return False
            case Conflict() as conflict:
                await self.lost()
                return await self._lost(conflict)
            case Refused(plan, refusal):
                await self._end_failed(plan, refusal)
                return True
            case StoreError() as error:
                await self._look_again_after(error)
                return False
            case unreachable:
                assert_never(unreachable)

    async def _look_again_after(self, error: StoreError) -> None:
        """Wait a little if an at-most-once body is at stake: its start, or its result, may be stored (rule S13).

        A start whose acknowledgement was lost is run by nobody else, and the row tells that it is ours.

        Raises:
            StoreError: nothing is at stake, or the store has failed too often.
        """
        at_stake = self.memory.held or (self._tally.plan is not None and starts_body(self._tally.plan))
        if not isinstance(error, StoreUnavailableError) or not at_stake or self._store_failures >= MAX_STORE_FAILURES:
            raise error
        self._store_failures += 1
        await self._doors.pause(0.05 * 2**self._store_failures)

    async def _lost(self, conflict: Conflict) -> bool:
        if self.memory.lacks(conflict):
            return False
        self._tally.conflicts += 1
        if self._stop.requested and not self.memory.held:
            return True
        if self._tally.conflicts > MAX_CONFLICTS:
            await self._defer(await self._retrieve(), ContentionError(self.ref, "tick", self._tally.conflicts))
            return True
        await self._doors.pause(0.005 * 2**self._tally.conflicts)
        return False

    async def _retrieve(self) -> Snapshot:
        snapshot = await self._timed(self._doors.retrieve, self.ref)
        self._retrieved_at = self.runtime.monotonic()  # now, not before: the tick's time may not run ahead
        self.memory.saw(snapshot)
        self._limits.saw(snapshot)
        self._tally.instance, self._tally.records = snapshot.instance, len(snapshot.steps)
        self._require_interest()
        return snapshot

    # -- what planning needs

    def plan_here(self, snapshot: Snapshot, commit: Callable[[Plan], Continue | Stop] | None) -> Plan:
        """Plan in this thread, with its bodies one after the other; without ``commit`` up to the first checkpoint."""
        outside = Surroundings.found()
        errand, memory = self.errand, self.memory
        with WORKFLOW_CODE.around():
            return plan_tick(
                snapshot,
                errand.fired,
                errand.registry,
                execution_id=self.runtime.new_id(),
                mine=memory.mine,
                held=memory.held,
                absent=memory.absent,
                perform=outside.of(self._perform),
                commit=outside.of(commit) if commit else None,
                codec=errand.codec,
                recover_after=errand.recover_after,
            )

    def _perform(self, call: StepCall) -> Settled:
        began = self.runtime.monotonic()
        self._performing = (call.key,)
        settled = Settled(self.result_of(call), self.elapsed())
        self._performing = ()
        self.settled(Done(call, settled), self.runtime.since(began))
        return settled

    def running(self) -> tuple[str, ...]:
        """The keys of the steps whose bodies run now; any thread may ask."""
        return self._performing

    def result_of(self, call: StepCall) -> Returned[Any] | Raised:
        """Run a body in this thread; a simulation does it in its own way."""
        return call_body(call).result

    def elapsed(self) -> timedelta:
        """The time since the retrieve."""
        return self.runtime.since(self._retrieved_at)

    def settled(self, done: Done, duration: timedelta) -> None:
        """Take note of a body that has settled."""
        self._tally.settled(done, self.runtime.since(self._began), duration)
        self.memory.hold(done)
        self._require_interest()

    def _require_interest(self) -> None:
        """Begin no body, and write nothing, once the dispatcher has given the tick up."""
        if self._stop.abandoned:
            raise Abandoned

    async def commit(self, plan: Plan) -> Continue | Stop:
        """Commit a checkpoint, and go on unless something says otherwise (rule O6)."""
        stopping = self._stop.requested
        answer = await self._apply(released(plan) if stopping else plan)
        if answer is None:
            return Stop()
        if stopping:
            self._halt = "stopped"
            return Stop()
        self._tally.checkpoints += 1
        if self.memory.has_not_seen(answer):
            self._halt = "unseen hook"
            return Stop()
        return Continue(self.runtime.new_id())

    # -- writing

    async def _apply(self, plan: Plan) -> Applied | None:
        self.memory.tries(plan)
        try:
            answer = await self._write(plan)
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
            self.memory.wrote(plan)
            self._tally.largest_payload = max(self._tally.largest_payload, self._limits.wrote(plan))
            self._tally.undelivered += answer.undelivered
            tell_undelivered(self.ref, answer)
            emit(plan)
        return answer

    async def _write(self, plan: Plan) -> Applied | Conflict | None:
        """Apply a plan that is not empty."""
        self._tally.plan, self._tally.result = plan, None
        self._require_interest()
        if not plan.is_empty:
            self._tally.result = await self._timed(self._doors.apply, plan)
        return self._tally.result

    async def _timed(self, call: Callable[[A], Awaitable[B]], argument: A) -> B:
        began = self.runtime.monotonic()
        try:
            return await call(argument)
        finally:
            self._tally.store_duration += self.runtime.since(began)

    async def _defer(self, snapshot: Snapshot, error: Exception) -> None:
        """Put the hook off; if another writer is faster, it is as well off without (rule R1)."""
        self._tally.error = error
        await self._write(plan_defer(snapshot, self.errand.fired, error, execution_id=self.runtime.new_id()))

    async def _end_failed(self, failed: Plan, error: WriteFailedError) -> None:
        """A user's write cannot be committed: the instance ends with that failure, unless it has moved on (rule T5)."""
        notify = self.errand.registry.get(parse_ref(self.ref)[0]).notify
        snapshot, execution_id = await self._retrieve(), self.runtime.new_id()
        await self._write(plan_write_failure(snapshot, failed, error, notify=notify, execution_id=execution_id))
