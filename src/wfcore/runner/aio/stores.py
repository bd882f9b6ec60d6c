"""``to_async``: a blocking store for asyncio, called in threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, ParamSpec, TypeVar, overload

from wfcore.model import FiredHook, Instance, InstanceStatus, Snapshot
from wfcore.plan import Applied, Conflict, Plan
from wfcore.ports import (
    AsyncCatalog,
    AsyncHookFeed,
    AsyncStore,
    BatchStore,
    Catalog,
    DueQuery,
    History,
    HookFeed,
    InstanceQuery,
    Page,
    Store,
)
from wfcore.runner.aio.waiting import finished
from wfcore.runner.doors import listen

A = ParamSpec("A")
T = TypeVar("T")


@overload
def to_async(port: Store, /) -> AsyncStore: ...
@overload
def to_async(port: HookFeed, /) -> AsyncHookFeed: ...
@overload
def to_async(port: Catalog, /) -> AsyncCatalog: ...
def to_async(port: Any, /) -> Any:
    """Adapt a blocking store, feed or catalog to asyncio: each call runs in a thread of the event loop's executor.

    A call that has begun is awaited to its end, also by a task that is cancelled: nobody is left with an ``apply`` of
    which it is not known whether it happened (rule M12).

    Args:
        port: may be called by several threads, as ``SqliteStore`` and ``MemoryStore`` may; a store that is bound to
            a connection of one thread (``within``) may not.

    Returns:
        An ``AsyncStore`` if it is a store, an ``AsyncHookFeed`` if it is a feed, an ``AsyncCatalog`` if it is a
        catalog; all of them if it is all of them. A store is ``Listenable``, and tells what it tells; of a
        ``BatchStore`` it is an ``AsyncBatchStore``.
    """
    is_store = hasattr(port, "retrieve") and hasattr(port, "apply")
    is_one = {
        _Store: is_store,
        _Batches: isinstance(port, BatchStore),
        _Feed: isinstance(port, HookFeed),
        _Catalog: isinstance(port, Catalog),
    }
    if not any(is_one.values()):
        raise TypeError(f"{port!r} is no store, feed or catalog: it has no retrieve() and apply(), no due()")
    return type("_Adapted", tuple(part for part, fits in is_one.items() if fits), {})(port)


class _Threads:
    def __init__(self, port: Any) -> None:
        self._port = port

    def __repr__(self) -> str:
        return f"to_async({self._port!r})"

    async def _call(self, method: Callable[A, T], *args: A.args, **kwargs: A.kwargs) -> T:
        return await finished(asyncio.to_thread(method, *args, **kwargs))


class _Store(_Threads):
    async def retrieve(self, ref: str) -> Snapshot:
        return await self._call(self._port.retrieve, ref)

    async def apply(self, plan: Plan) -> Applied | Conflict:
        return await self._call(self._port.apply, plan)

    def listen(self, callback: Callable[[str], None]) -> Callable[[], None]:
        return listen(self._port, callback)


class _Batches(_Threads):
    async def apply_many(self, plans: Sequence[Plan]) -> Sequence[Applied | Conflict]:
        return await self._call(self._port.apply_many, plans)


class _Feed(_Threads):
    async def due(self, query: DueQuery) -> Sequence[FiredHook]:
        return await self._call(self._port.due, query)

    async def next_due_at(self, query: DueQuery) -> datetime | None:
        return await self._call(self._port.next_due_at, query)


class _Catalog(_Threads):
    async def list_instances(self, query: InstanceQuery) -> Page[Instance]:
        return await self._call(self._port.list_instances, query)

    async def count_by_status(self, query: InstanceQuery) -> Mapping[InstanceStatus, int]:
        return await self._call(self._port.count_by_status, query)

    async def history(self, ref: str, run_number: int | None = None) -> History:
        return await self._call(self._port.history, ref, run_number)

    async def suspects(self, limit: int, after: str | None = None) -> Sequence[Instance]:
        return await self._call(self._port.suspects, limit, after)
