"""The store for asyncio, called as if it were blocking: so that every test of a store runs on it too."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from threading import Thread
from typing import Any, TypeVar

from wfadapters.postgres import AsyncPostgresStore
from wfcore.model import FiredHook, Instance, InstanceStatus, Snapshot
from wfcore.plan import Applied, Conflict, Plan
from wfcore.ports import DueQuery, History, InstanceQuery, Page

T = TypeVar("T")


class Loop:
    """An event loop in a thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()


class BlockingStore:
    """Any thread may call it, but listeners of it: they run on its loop."""

    def __init__(self, loop: Loop, store: AsyncPostgresStore) -> None:
        self._loop = loop
        self.store = store
        loop.call(store.open())

    def retrieve(self, ref: str) -> Snapshot:
        return self._loop.call(self.store.retrieve(ref))

    def apply(self, plan: Plan) -> Applied | Conflict:
        return self._loop.call(self.store.apply(plan))

    def due(self, query: DueQuery) -> Sequence[FiredHook]:
        return self._loop.call(self.store.due(query))

    def next_due_at(self, query: DueQuery) -> datetime | None:
        return self._loop.call(self.store.next_due_at(query))

    def list_instances(self, query: InstanceQuery) -> Page[Instance]:
        return self._loop.call(self.store.list_instances(query))

    def count_by_status(self, query: InstanceQuery) -> Mapping[InstanceStatus, int]:
        return self._loop.call(self.store.count_by_status(query))

    def history(self, ref: str, run_number: int | None = None) -> History:
        return self._loop.call(self.store.history(ref, run_number))

    def suspects(self, limit: int, after: str | None = None) -> Sequence[Instance]:
        return self._loop.call(self.store.suspects(limit, after))

    def listen(self, callback: Callable[[str], None]) -> Callable[[], None]:
        async def listen() -> Callable[[], None]:
            return self.store.listen(callback)

        return self._loop.call(listen())

    def close(self) -> None:
        self._loop.call(self.store.close())
