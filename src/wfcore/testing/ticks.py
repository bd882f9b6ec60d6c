"""One simulated tick: the real runner, over doors that suspend, so that a scheduler decides who goes on."""

from __future__ import annotations

from collections.abc import Callable, Generator
from datetime import timedelta
from types import coroutine
from typing import Any, final

import attrs

from wfcore.evolve import Rows, evolve
from wfcore.model import FiredHook, Snapshot
from wfcore.outcome import Completed, Continued, Errored
from wfcore.plan import Applied, AtVersion, Conflict, Plan, PutStep
from wfcore.planner import Raised, Returned, StepCall, Stop
from wfcore.ports import Codec
from wfcore.runner.doors import BlockingSignal, Signal
from wfcore.runner.errand import Errand, StopSignal
from wfcore.runner.run import Run
from wfcore.runner.runtime import Runtime
from wfcore.testing.bodies import Bodies, Crash
from wfcore.testing.errors import ReplayDiffersError
from wfcore.testing.faults import FaultyStore
from wfcore.testing.replaycheck import replay_of_end
from wfcore.workflow import Registry


@coroutine
def turn() -> Generator[None, None, None]:
    """Let the scheduler decide who goes on."""
    yield


@final
@attrs.define(eq=False)
class TurnDoors:
    """The doors of one tick. The scheduler gets a turn before every retrieve, apply and pause; a pause takes no time.

    Attributes:
        store: with the faults that the test wants.
        runtime: time and ids.
        crashes: whether the process dies now, ``before`` or ``after`` an apply.
        applied: is told what the store answered to a plan.
    """

    store: FaultyStore
    runtime: Runtime
    crashes: Callable[[str], bool]
    applied: Callable[[Plan, Applied | Conflict], None]

    async def retrieve(self, ref: str) -> Snapshot:
        """As :meth:`wfcore.ports.Store.retrieve`."""
        await turn()
        return self.store.retrieve(ref)

    async def apply(self, plan: Plan) -> Applied | Conflict:
        """As :meth:`wfcore.ports.Store.apply`; the process may die around it."""
        await turn()
        if self.crashes("before"):
            raise Crash
        answer = self.store.apply(plan)
        self.applied(plan, answer)
        if self.crashes("after"):
            raise Crash
        return answer

    async def pause(self, _seconds: float) -> None:
        """Let the others go on."""
        await turn()

    def signal(self) -> Signal:
        """A new signal; no tick waits for one."""
        return BlockingSignal()

    def listen(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """As :class:`wfcore.ports.Listenable`."""
        return self.store.listen(callback)


@final
class SimulatedRun(Run):
    """The runner of a simulation.

    By default a checkpoint ends the tick, and the next one replays from what is stored.
    With ``continues`` it goes on from a checkpoint without a read, as the real runner does (rule O6), but from the
    rows that the plan makes of the snapshot, so that the scheduler has its turn in between.
    """

    def __init__(self, doors: TurnDoors, errand: Errand, bodies: Bodies, *, continues: bool = False) -> None:
        super().__init__(doors, errand)
        self._bodies = bodies
        self._continues = continues
        self._read: Snapshot | None = None
        self._planned_on: Snapshot | None = None

    async def plan(self, snapshot: Snapshot) -> Plan:
        """As :meth:`Run.plan`."""
        self._read = self._planned_on = snapshot
        if not self._continues:
            return self.plan_here(snapshot, None)
        while True:
            self._planned_on = snapshot
            checkpoints: list[Plan] = []
            plan = self.plan_here(snapshot, _into(checkpoints))
            if not checkpoints:
                return plan
            if isinstance(await self.commit(checkpoints[0]), Stop):
                return plan
            snapshot = _after(snapshot, checkpoints[0], self.runtime)
            self._retrieved_at = self.runtime.monotonic()

    def result_of(self, call: StepCall) -> Returned[Any] | Raised:
        """Run the body that the test wants."""
        return self._bodies.perform(self.ref, call)

    async def lost(self) -> None:
        """No body is ever in flight."""

    async def ended(self) -> bool:
        """Nor now; but an at-most-once body that this tick has started is run by it, or by nobody (rule S13)."""
        plan, before = self._tally.plan, self._planned_on
        if plan is None or before is None or not isinstance(self._tally.result, Applied):
            return False
        steps = {step.key: step for step in before.steps}
        steps.update((each.step.key, each.step) for each in plan.mutations if isinstance(each, PutStep))
        return any(step.status == "started" and step.execution_id in self.memory.mine for step in steps.values())

    async def _apply(self, plan: Plan) -> Applied | None:
        # Before the commit: an acknowledgement may be lost, and the process may die.
        if isinstance(plan.outcome, Completed | Errored | Continued):
            self._replay(plan)
        return await super()._apply(plan)

    async def _defer(self, snapshot: Snapshot, error: Exception) -> None:
        # What a continuation has committed since the read is known without another one.
        latest = self._planned_on if self._planned_on is not None and snapshot is self._read else snapshot
        await super()._defer(latest, error)

    def _replay(self, plan: Plan) -> None:
        """Replay the run that ends: it must end in the same way again."""
        assert self._planned_on is not None
        what = replay_of_end(self._planned_on, plan, self.errand.registry, self.errand.codec)
        if what is not None:
            self._bodies.fault = ReplayDiffersError(self.ref, what)
            raise Crash


def errand(registry: Registry, codec: Codec, recover_after: timedelta, fired: FiredHook) -> Errand:
    """What a simulated tick is asked to do."""
    return Errand(
        registry=registry, fired=fired, codec=codec, recover_after=recover_after, observer=None, stop=StopSignal()
    )


def _into(checkpoints: list[Plan]) -> Callable[[Plan], Stop]:
    def commit(plan: Plan) -> Stop:
        checkpoints.append(plan)
        return Stop()

    return commit


def _after(snapshot: Snapshot, plan: Plan, runtime: Runtime) -> Snapshot:
    """The snapshot that a committed plan has made; of other instances nothing is known."""
    rows = Rows(
        instance=snapshot.instance,
        steps={(step.run_number, step.key): step for step in snapshot.steps},
        events={event.id: event for event in snapshot.events},
        hooks={hook.id: hook for hook in snapshot.hooks},
    )
    own = [each for each in plan.preconditions if isinstance(each, AtVersion)]
    after = evolve({plan.ref: rows}, attrs.evolve(plan, preconditions=tuple(own)))
    assert not isinstance(after, Conflict), "it was committed"
    return after[plan.ref].snapshot(runtime.now())
