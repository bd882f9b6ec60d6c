"""The store for asyncio, called as if it were blocking: so that every test of a store runs on it too."""

from wfadapters.postgres import AsyncPostgresStore
from wfcore.testing.conformance.loop import BridgedCatalog, BridgedFeed, BridgedListenable, Loop


class BlockingStore(BridgedFeed, BridgedCatalog, BridgedListenable):
    """Any thread may call it, but listeners of it: they run on its loop."""

    def __init__(self, loop: Loop, store: AsyncPostgresStore) -> None:
        super().__init__(store, loop)
        loop.run(store.open())

    def close(self) -> None:
        self._run(self.native.close())
