"""The doors of the asyncio runner: they suspend where the blocking ones block."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import final

import attrs

from wfcore.errors import MissingCapabilityError
from wfcore.model import Snapshot
from wfcore.plan import Applied, Conflict, Plan
from wfcore.ports import AsyncBatchStore, AsyncCatalog, AsyncStore
from wfcore.runner.aio.waiting import LoopSignal, finished
from wfcore.runner.doors import Signal, listen
from wfcore.runner.runtime import Runtime


@final
@attrs.frozen
class AsyncDoors:
    """Those of a store for asyncio. An ``apply`` that has begun is never left."""

    _store: AsyncStore
    runtime: Runtime

    async def retrieve(self, ref: str) -> Snapshot:
        """As :meth:`wfcore.ports.AsyncStore.retrieve`."""
        return await self._store.retrieve(ref)

    async def apply(self, plan: Plan) -> Applied | Conflict:
        """As :meth:`wfcore.ports.AsyncStore.apply`; a cancelled caller goes on being cancelled afterwards."""
        return await finished(self._store.apply(plan))

    async def apply_many(self, plans: Sequence[Plan]) -> Sequence[Applied | Conflict]:
        """As :meth:`ClientDoors.apply_many`; left in the middle as little."""
        if isinstance(self._store, AsyncBatchStore):
            return await finished(self._store.apply_many(plans))
        return [await self.apply(plan) for plan in plans]

    async def pause(self, seconds: float) -> None:
        """Let the task wait."""
        await self.runtime.sleep(seconds)

    def signal(self) -> Signal:
        """A new signal, for tasks that wait and anybody who notifies."""
        return LoopSignal(self.runtime)

    def listen(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """As :class:`wfcore.ports.Listenable`."""
        return listen(self._store, callback)

    def catalog(self, wanted_by: str) -> AsyncCatalog:
        """As :meth:`ClientDoors.catalog`."""
        if not isinstance(self._store, AsyncCatalog):
            raise MissingCapabilityError(type(self._store).__name__, "AsyncCatalog", wanted_by)
        return self._store
