"""``to_async``: a blocking store for asyncio, called in threads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar, overload

from wfcore.model import FiredHook, Snapshot
from wfcore.plan import Applied, Conflict, Plan
from wfcore.ports import AsyncHookFeed, AsyncStore, DueQuery, HookFeed, Store
from wfcore.runner.aio.waiting import finished
from wfcore.runner.doors import listen

A = TypeVar("A")
T = TypeVar("T")


@overload
def to_async(port: Store, /) -> AsyncStore: ...
@overload
def to_async(port: HookFeed, /) -> AsyncHookFeed: ...
def to_async(port: Any, /) -> Any:
    """Adapt a blocking store, or feed, to asyncio: each call runs in a thread of the event loop's executor.

    A call that has begun is awaited to its end, also by a task that is cancelled: nobody is left with an ``apply`` of
    which it is not known whether it happened (rule M12).

    Args:
        port: may be called by several threads, as ``SqliteStore`` and ``MemoryStore`` may; a store that is bound to
            a connection of one thread (``within``) may not.

    Returns:
        An ``AsyncStore`` if it is a store; an ``AsyncHookFeed`` if it is a feed; both if it is both. It is
        ``Listenable``, and tells what the store tells.
    """
    is_store = hasattr(port, "retrieve") and hasattr(port, "apply")
    match is_store, isinstance(port, HookFeed):
        case True, True:
            return _StoreAndFeed(port)
        case True, False:
            return _Store(port)
        case False, True:
            return _Feed(port)
        case _:
            raise TypeError(f"{port!r} is no store and no feed: it has no retrieve() and apply(), no due()")


class _Threads:
    def __init__(self, port: Any) -> None:
        self._port = port

    def __repr__(self) -> str:
        return f"to_async({self._port!r})"

    async def _call(self, method: Callable[[A], T], argument: A) -> T:
        return await finished(asyncio.to_thread(method, argument))


class _Store(_Threads):
    async def retrieve(self, ref: str) -> Snapshot:
        return await self._call(self._port.retrieve, ref)

    async def apply(self, plan: Plan) -> Applied | Conflict:
        return await self._call(self._port.apply, plan)

    def listen(self, callback: Callable[[str], None]) -> Callable[[], None]:
        return listen(self._port, callback)


class _Feed(_Threads):
    async def due(self, query: DueQuery) -> Sequence[FiredHook]:
        return await self._call(self._port.due, query)

    async def next_due_at(self, query: DueQuery) -> datetime | None:
        return await self._call(self._port.next_due_at, query)


class _StoreAndFeed(_Store, _Feed):
    pass
