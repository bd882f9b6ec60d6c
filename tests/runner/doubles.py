"""What the runner gets from outside, in the hands of a test: a store that is watched, a machine without a clock.

A :class:`Watched` store is a real store with another one inside; it plays the network between a runner and a store.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, Literal, TypeAlias

import attrs

from tests.lab import T0
from wfadapters.memory import MemoryStore
from wfadapters.sqlite import SqliteStore
from wfcore.errors import StoreUnavailableError
from wfcore.evolve import NOTHING, Rows
from wfcore.model import FiredHook, Instance, Snapshot
from wfcore.outcome import Checkpointed
from wfcore.plan import Applied, Conflict, Plan
from wfcore.planner.changes import change
from wfcore.ports import DueQuery
from wfcore.runner import Client, Handle, Runtime, TickReport, run_tick
from wfcore.workflow import Registry, Workflow

AnyStore: TypeAlias = MemoryStore | SqliteStore
Operation: TypeAlias = Literal["retrieve", "apply", "due", "next_due_at"]
When: TypeAlias = Literal["before", "after"]
Action: TypeAlias = Callable[[], object]
WAIT = 10.0
"""Seconds after which a test gives up on another thread. None of them waits that long."""


def unavailable() -> None:
    raise StoreUnavailableError("anything", "the test said so")


@attrs.define
class Watched:
    """Counts what is asked of a store, and acts around calls: ``store.when("before", "apply", 2, action)``."""

    inner: AnyStore
    calls: list[Operation] = attrs.field(factory=list)
    plans: list[Plan] = attrs.field(factory=list)
    queries: list[DueQuery] = attrs.field(factory=list)
    always: dict[tuple[When, Operation], Action] = attrs.field(factory=dict)
    _script: dict[tuple[When, Operation, int], Action] = attrs.field(factory=dict)
    _lock: threading.Lock = attrs.field(factory=threading.Lock)

    def when(self, when: When, operation: Operation, number: int, action: Action) -> None:
        """Act around the call of that number, from now on counted from 1."""
        self._script[when, operation, self.calls.count(operation) + number] = action

    def retrieve(self, ref: str) -> Snapshot:
        number = self._begin("retrieve")
        snapshot = self.inner.retrieve(ref)
        self._act("after", "retrieve", number)
        return snapshot

    def apply(self, plan: Plan) -> Applied | Conflict:
        self.plans.append(plan)
        number = self._begin("apply")
        answer = self.inner.apply(plan)
        self._act("after", "apply", number)
        return answer

    def due(self, query: DueQuery) -> Sequence[FiredHook]:
        self.queries.append(query)
        number = self._begin("due")
        fired = self.inner.due(query)
        self._act("after", "due", number)
        return fired

    def next_due_at(self, query: DueQuery) -> datetime | None:
        number = self._begin("next_due_at")
        found = self.inner.next_due_at(query)
        self._act("after", "next_due_at", number)
        return found

    def listen(self, callback: Callable[[str], None]) -> Callable[[], None]:
        return self.inner.listen(callback)

    def _begin(self, operation: Operation) -> int:
        with self._lock:
            self.calls.append(operation)
            number = self.calls.count(operation)
        self._act("before", operation, number)
        return number

    def _act(self, when: When, operation: Operation, number: int) -> None:
        for action in (self.always.get((when, operation)), self._script.get((when, operation, number))):
            if action is not None:
                action()


@attrs.define
class Machine:
    """Time and ids of a runner and its store; time stands still unless it is moved, or a pause is made."""

    now: datetime = T0
    seconds: float = 0.0
    pauses: list[float] = attrs.field(factory=list)
    ids: int = 0

    def advance(self, seconds: float) -> None:
        self.seconds += seconds
        self.now += timedelta(seconds=seconds)

    def clock(self) -> datetime:
        return self.now

    def monotonic(self) -> float:
        return self.seconds

    def new_id(self) -> str:
        self.ids += 1
        return f"id{self.ids}"

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.advance(seconds)

    async def sleep(self, seconds: float) -> None:
        """A pause on a loop that lives by this machine's time (``loops.py``)."""
        self.pauses.append(seconds)
        await asyncio.sleep(seconds)

    @property
    def runtime(self) -> Runtime:
        return Runtime(now=self.clock, monotonic=self.monotonic, new_id=self.new_id, pause=self.pause, sleep=self.sleep)


@attrs.define
class Desk:
    """One watched store, one machine, and the workflows: where a test runs ticks by hand."""

    registry: Registry
    machine: Machine
    store: Watched
    handle: Handle[Any]
    reports: list[TickReport] = attrs.field(factory=list)
    ticks: ClassVar[Callable[..., TickReport]] = staticmethod(run_tick)

    @classmethod
    def of(cls, workflow: Workflow[Any, Any], params: object = None, *, store: AnyStore | None = None) -> Desk:
        """With one instance of the workflow, created and not yet ticked; what it took to create it is not counted."""
        machine = Machine()
        inner = MemoryStore(machine.clock) if store is None else store
        registry = Registry([workflow])
        handle = Client(inner, registry).create(workflow, params, id="1")
        return cls(registry, machine, Watched(inner), handle)

    @property
    def ref(self) -> str:
        return self.handle.ref

    @property
    def instance(self) -> Instance:
        return self.handle.get()

    @property
    def snapshot(self) -> Snapshot:
        return self.store.inner.retrieve(self.ref)

    def rows(self) -> Rows:
        """The instance's rows without the time of the retrieve."""
        found = self.snapshot
        return Rows(
            instance=found.instance,
            steps={(step.run_number, step.key): step for step in found.steps},
            events={event.id: event for event in found.events},
            hooks={hook.id: hook for hook in found.hooks},
        )

    def due(self) -> list[FiredHook]:
        return list(self.store.inner.due(DueQuery()))

    def fired(self) -> FiredHook:
        """The instance's first hook, fired now whether it is due or not."""
        first = min(self.snapshot.hooks, key=lambda hook: (hook.due_at, hook.id))
        return FiredHook(hook=first, timestamp=self.machine.now)

    def tick(self, fired: FiredHook | None = None, **options: Any) -> TickReport:
        options = {"observer": self.reports.append, "runtime": self.machine.runtime, **options}
        return self.ticks(self.store, self.registry, fired or self.fired(), **options)

    def rival(self) -> None:
        """Another writer is faster: the instance gets a new version, and everything else stays."""
        found = self.instance
        plan = change(found, (), Checkpointed(), execution_id=f"rival{found.version}", now=found.updated_at)
        assert isinstance(self.store.inner.apply(plan), Applied)


def world(store: AnyStore, *refs: str) -> dict[str, Rows]:
    """The rows of some instances, without the time of their retrieves."""
    found = {}
    for ref in refs:
        snapshot = store.retrieve(ref)
        rows = Rows(
            instance=snapshot.instance,
            steps={(step.run_number, step.key): step for step in snapshot.steps},
            events={event.id: event for event in snapshot.events},
            hooks={hook.id: hook for hook in snapshot.hooks},
        )
        if rows != NOTHING:
            found[ref] = rows
    return found
