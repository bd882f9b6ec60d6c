"""``run_tick``: one retrieve, one plan, at most one apply, more only as checkpoints (rule R1); it blocks."""

from __future__ import annotations

from datetime import timedelta

from wfcore.codec import JSON
from wfcore.model import FiredHook, Snapshot
from wfcore.plan import Plan
from wfcore.planner import RECOVER_AFTER, Continue, Stop
from wfcore.ports import Codec, Store
from wfcore.runner.doors import BlockingDoors, at_once
from wfcore.runner.errand import Errand, StopSignal
from wfcore.runner.observe import Observer, TickReport
from wfcore.runner.run import Run
from wfcore.runner.runtime import REAL, Runtime
from wfcore.workflow import Registry


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
    five times; then, and for an author's error, the hook is deferred (rules R1, D3, D9, G10).

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
    errand = Errand(
        registry=registry,
        fired=fired,
        codec=codec,
        recover_after=recover_after,
        observer=observer,
        stop=stop or StopSignal(),
    )
    return handle(store, errand, runtime)


def handle(store: Store, errand: Errand, runtime: Runtime) -> TickReport:
    """:func:`run_tick`, as a dispatcher asks for it."""
    return at_once(_Run(BlockingDoors(store, runtime), errand).to_the_end())


class _Run(Run):
    """Plans and performs in the calling thread; no body is in flight while anything else is done."""

    async def plan(self, snapshot: Snapshot) -> Plan:
        return self.plan_here(snapshot, self._commit)

    def _commit(self, plan: Plan) -> Continue | Stop:
        return at_once(self.commit(plan))

    async def lost(self) -> None:
        pass

    async def ended(self) -> bool:
        return False
