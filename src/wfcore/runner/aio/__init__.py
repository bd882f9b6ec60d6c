"""The asyncio side of the runner: what awaits; everything else is shared with the blocking side."""

from wfcore.runner.aio.client import AsyncClient
from wfcore.runner.aio.handle import AsyncHandle
from wfcore.runner.aio.stores import to_async

__all__ = ["AsyncClient", "AsyncHandle", "to_async"]
