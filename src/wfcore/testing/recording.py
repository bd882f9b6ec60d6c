"""What a simulation sees of its store: that it lives by its clock, and every plan that is committed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import final

from wfcore.model import FiredHook, Snapshot
from wfcore.plan import Applied, Conflict, Plan, Write
from wfcore.ports import DueQuery, HookFeed
from wfcore.runner.arguments import check_store
from wfcore.testing.clock import VirtualClock
from wfcore.testing.errors import ClockMismatchError
from wfcore.testing.faults import StoreAndFeed
from wfcore.testing.inside import CatalogInside


@final
class RecordingStore(CatalogInside):
    """A store that tells of every plan that it has committed.

    Args:
        store: the store inside.
        committed: is called with the plan and the refs that it touches.
    """

    def __init__(self, store: StoreAndFeed, committed: Callable[[Plan, Sequence[str]], None]) -> None:
        self._store: StoreAndFeed = store
        self._committed = committed

    def retrieve(self, ref: str) -> Snapshot:
        """As :meth:`wfcore.ports.Store.retrieve`."""
        return self._store.retrieve(ref)

    def apply(self, plan: Plan) -> Applied | Conflict:
        """As :meth:`wfcore.ports.Store.apply`."""
        answer = self._store.apply(plan)
        if isinstance(answer, Applied):
            touched = {plan.ref, *(each.ref for each in plan.mutations if not isinstance(each, Write))}
            self._committed(plan, sorted(touched))
        return answer

    def due(self, query: DueQuery) -> Sequence[FiredHook]:
        """As :meth:`wfcore.ports.HookFeed.due`."""
        return self._store.due(query)

    def next_due_at(self, query: DueQuery) -> datetime | None:
        """As :meth:`wfcore.ports.HookFeed.next_due_at`."""
        return self._store.next_due_at(query)


@final
class ClientStore(CatalogInside):
    """The store as the test's own commands use it: without the faults, but written down.

    Args:
        store: the store inside.
        noted: is called with every committed plan.
    """

    def __init__(self, store: RecordingStore, noted: Callable[[Plan], None]) -> None:
        self._store: RecordingStore = store
        self._noted = noted

    def retrieve(self, ref: str) -> Snapshot:
        """As :meth:`wfcore.ports.Store.retrieve`."""
        return self._store.retrieve(ref)

    def apply(self, plan: Plan) -> Applied | Conflict:
        """As :meth:`wfcore.ports.Store.apply`."""
        answer = self._store.apply(plan)
        if isinstance(answer, Applied):
            self._noted(plan)
        return answer


def living_by(clock: VirtualClock, store: StoreAndFeed) -> StoreAndFeed:
    """The store, if it can be simulated.

    Raises:
        ClockMismatchError: it lives by another clock.
        TypeError: it is no store, or no feed, or is for asyncio.
    """
    check_store(store)
    if not isinstance(store, HookFeed):
        raise TypeError(
            f"{type(store).__name__} has no due() and next_due_at(): a simulation needs a store with a feed"
        )
    now = store.retrieve("simulation#clock").now
    if now != clock():
        raise ClockMismatchError(type(store).__name__, now, clock())
    return store
