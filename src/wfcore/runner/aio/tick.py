"""``run_tick_async``: the twin of ``run_tick`` that is awaited."""

from __future__ import annotations

from datetime import timedelta
from functools import partial

from wfcore.codec import JSON
from wfcore.model import FiredHook, Snapshot
from wfcore.plan import Plan
from wfcore.planner import RECOVER_AFTER
from wfcore.ports import AsyncStore, Codec
from wfcore.runner.aio.doors import AsyncDoors
from wfcore.runner.aio.flights import Flights
from wfcore.runner.aio.planning import plan_in_thread, plan_tick_async
from wfcore.runner.errand import Errand, StopSignal
from wfcore.runner.observe import Observer, TickReport
from wfcore.runner.run import Run
from wfcore.runner.runtime import REAL, Runtime
from wfcore.workflow import Registry


async def run_tick_async(  # noqa: PLR0913 - as run_tick
    store: AsyncStore,
    registry: Registry,
    fired: FiredHook,
    *,
    codec: Codec = JSON,
    recover_after: timedelta = RECOVER_AFTER,
    observer: Observer | None = None,
    stop: StopSignal | None = None,
    runtime: Runtime = REAL,
) -> TickReport:
    """Handle one fired hook to the end, as :func:`wfcore.run_tick`; nothing blocks the event loop but workflow code.

    Awaitable bodies run on the event loop, those of parallel branches at once; plain bodies and ``def`` workflows run
    in threads of their own (rule R5). Cancelling it cancels and awaits the bodies on the loop, leaves those in threads
    behind, and writes nothing more; an ``apply`` that has begun is finished first. The hook is still stored then.

    Arguments, result and errors are those of :func:`wfcore.run_tick`; give it ``to_async(store)`` for a store that
    blocks.
    """
    errand = Errand(
        registry=registry,
        fired=fired,
        codec=codec,
        recover_after=recover_after,
        observer=observer,
        stop=stop or StopSignal(),
    )
    return await handle(store, errand, runtime)


async def handle(store: AsyncStore, errand: Errand, runtime: Runtime) -> TickReport:
    """:func:`run_tick_async`, as a dispatcher asks for it."""
    run = _Run(AsyncDoors(store, runtime), errand)
    async with run.flights:
        return await run.to_the_end()


class _Run(Run):
    """Bodies in flight belong to it, not to one of its plans."""

    def __init__(self, doors: AsyncDoors, errand: Errand) -> None:
        super().__init__(doors, errand)
        self.flights = Flights(self.runtime, self.settled)

    def running(self) -> tuple[str, ...]:
        return (*super().running(), *(call.key for call in self.flights.calls))

    async def plan(self, snapshot: Snapshot) -> Plan:
        self.flights.retrieved()
        if not self.memory.wrote_last(snapshot):
            starts = {(step.key, step.execution_id) for step in snapshot.steps if step.status == "started"}
            await self.flights.discard(starts)
        errand, memory = self.errand, self.memory
        if not self._awaits(snapshot):
            return await plan_in_thread(self.flights.threads, partial(self.plan_here, snapshot), self.commit)
        return await plan_tick_async(
            snapshot,
            errand.fired,
            errand.registry,
            execution_id=self.runtime.new_id(),
            flights=self.flights,
            commit=self.commit,
            mine=memory.mine,
            held=memory.held,
            absent=memory.absent,
            codec=errand.codec,
            recover_after=errand.recover_after,
        )

    def _awaits(self, snapshot: Snapshot) -> bool:
        """Whether it is an ``async def`` workflow; what the gate answers needs no thread either."""
        name = None if snapshot.instance is None else snapshot.instance.workflow_name
        return name not in self.errand.registry.names or self.errand.registry.get(name).is_async

    async def lost(self) -> None:
        await self.flights.discard()

    async def ended(self) -> bool:
        return await self.flights.land()
