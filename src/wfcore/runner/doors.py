"""What the runner reaches the world through, in both colours: a store, pauses, and news from other threads.

What clients, ticks and dispatchers do around their waiting is the same with and without asyncio, so it is written once:
as coroutines that await their *doors*. The doors of this module block instead of suspending; so :func:`at_once` runs
such a coroutine to its end in the calling thread, and there is no event loop. Those of ``wfcore.runner.aio`` suspend.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Protocol, TypeVar, final

import attrs

from wfcore.errors import MissingCapabilityError
from wfcore.model import FiredHook, Instance, InstanceStatus, Snapshot
from wfcore.plan import Applied, Conflict, Plan
from wfcore.ports import (
    AsyncCatalog,
    AsyncStore,
    BatchStore,
    Catalog,
    DueQuery,
    History,
    HookFeed,
    InstanceQuery,
    Listenable,
    Page,
    Store,
)
from wfcore.runner.runtime import Runtime

T = TypeVar("T")


class Signal(Protocol):
    """A lock around what several threads know, and news of it to wait for: a ``threading.Condition``, or its like."""

    def __enter__(self) -> bool:
        """Take the lock, for a moment; the same thread may take it again."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Release the lock."""

    def notify_all(self) -> None:
        """Let everybody who waits look again; called with the lock held, from any thread."""

    async def wait_for(self, ready: Callable[[], bool], seconds: float | None = None) -> bool:
        """Wait, without the lock, until ``ready()``, which is called with it; False: not within so many seconds."""


class Doors(AsyncStore, Protocol):
    """A store, and the ways to wait that go with it."""

    @property
    def runtime(self) -> Runtime:
        """Time and ids."""

    async def pause(self, seconds: float) -> None:
        """Wait for so many seconds."""

    def signal(self) -> Signal:
        """A new signal."""

    def listen(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """As :class:`Listenable`; a store that is not never calls."""


class ClientDoors(Doors, Protocol):
    """Those of a client, which does what no tick needs."""

    async def apply_many(self, plans: Sequence[Plan]) -> Sequence[Applied | Conflict]:
        """As :class:`BatchStore`; by a store that is none, one after the other."""

    def catalog(self, wanted_by: str) -> AsyncCatalog:
        """The store's catalog. Raises ``MissingCapabilityError``, which says what wanted it, if it has none."""


def at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine over doors that block to its end."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        value: T = end.value
        return value
    coroutine.close()
    raise RuntimeError("a blocking runner awaited something that is not at hand")


@final
class BlockingSignal:
    """A ``threading.Condition``."""

    def __init__(self) -> None:
        self._condition = threading.Condition()

    def __enter__(self) -> bool:
        return self._condition.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self._condition.__exit__(kind, error, trace)

    def notify_all(self) -> None:
        """As :meth:`Signal.notify_all`."""
        self._condition.notify_all()

    async def wait_for(self, ready: Callable[[], bool], seconds: float | None = None) -> bool:
        """As :meth:`Signal.wait_for`, in this thread."""
        with self._condition:
            return self._condition.wait_for(ready, seconds)


@final
@attrs.frozen
class BlockingDoors:
    """Those of a blocking store."""

    _store: Store
    runtime: Runtime

    async def retrieve(self, ref: str) -> Snapshot:
        """As :meth:`wfcore.ports.Store.retrieve`."""
        return self._store.retrieve(ref)

    async def apply(self, plan: Plan) -> Applied | Conflict:
        """As :meth:`wfcore.ports.Store.apply`."""
        return self._store.apply(plan)

    async def apply_many(self, plans: Sequence[Plan]) -> Sequence[Applied | Conflict]:
        """As :meth:`ClientDoors.apply_many`."""
        if isinstance(self._store, BatchStore):
            return self._store.apply_many(plans)
        return [self._store.apply(plan) for plan in plans]

    async def pause(self, seconds: float) -> None:
        """Let the thread wait."""
        self.runtime.pause(seconds)

    def signal(self) -> Signal:
        """A new signal between threads."""
        return BlockingSignal()

    def listen(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """As :class:`wfcore.ports.Listenable`."""
        return listen(self._store, callback)

    def catalog(self, wanted_by: str) -> AsyncCatalog:
        """As :meth:`ClientDoors.catalog`."""
        if not isinstance(self._store, Catalog):
            raise MissingCapabilityError(type(self._store).__name__, "Catalog", wanted_by)
        return BlockingCatalog(self._store)


@final
@attrs.frozen
class BlockingFeed:
    """A blocking feed, as one that is awaited."""

    _feed: HookFeed

    async def due(self, query: DueQuery) -> Sequence[FiredHook]:
        """As :meth:`wfcore.ports.HookFeed.due`."""
        return self._feed.due(query)

    async def next_due_at(self, query: DueQuery) -> datetime | None:
        """As :meth:`wfcore.ports.HookFeed.next_due_at`."""
        return self._feed.next_due_at(query)


@final
@attrs.frozen
class BlockingCatalog:
    """A blocking catalog, as one that is awaited."""

    _catalog: Catalog

    async def list_instances(self, query: InstanceQuery) -> Page[Instance]:
        """As :meth:`wfcore.ports.Catalog.list_instances`."""
        return self._catalog.list_instances(query)

    async def count_by_status(self, query: InstanceQuery) -> Mapping[InstanceStatus, int]:
        """As :meth:`wfcore.ports.Catalog.count_by_status`."""
        return self._catalog.count_by_status(query)

    async def history(self, ref: str, run_number: int | None = None) -> History:
        """As :meth:`wfcore.ports.Catalog.history`."""
        return self._catalog.history(ref, run_number)

    async def suspects(self, limit: int, after: str | None = None) -> Sequence[Instance]:
        """As :meth:`wfcore.ports.Catalog.suspects`."""
        return self._catalog.suspects(limit, after)


def listen(store: object, callback: Callable[[str], None]) -> Callable[[], None]:
    """Be told of a store's applied plans, if it tells anybody."""
    return store.listen(callback) if isinstance(store, Listenable) else _nothing


def _nothing() -> None:
    pass
