"""What a simulation sees of its store: every committed plan, whoever has made it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import final

from wfcore.model import FiredHook, Snapshot
from wfcore.plan import Applied, Conflict, Plan, Write
from wfcore.ports import DueQuery
from wfcore.testing.faults import StoreAndFeed


@final
class RecordingStore:
    """A store that tells of every plan that it has committed.

    Args:
        store: the store inside.
        committed: is called with the plan and the refs that it touches.
    """

    def __init__(self, store: StoreAndFeed, committed: Callable[[Plan, Sequence[str]], None]) -> None:
        self._store = store
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
class ClientStore:
    """The store as the test's own commands use it: without the faults, but written down.

    Args:
        store: the store inside.
        noted: is called with every committed plan.
    """

    def __init__(self, store: RecordingStore, noted: Callable[[Plan], None]) -> None:
        self._store = store
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
