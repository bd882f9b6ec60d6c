"""The asyncio side of the runner: what awaits; everything else is shared with the blocking side."""

from wfcore.runner.aio.client import AsyncClient
from wfcore.runner.aio.dispatcher import AsyncDispatcher
from wfcore.runner.aio.flights import Flights
from wfcore.runner.aio.handle import AsyncHandle
from wfcore.runner.aio.planning import plan_tick_async
from wfcore.runner.aio.preview import AsyncPreview
from wfcore.runner.aio.stores import to_async
from wfcore.runner.aio.tick import run_tick_async

__all__ = [
    "AsyncClient",
    "AsyncDispatcher",
    "AsyncHandle",
    "AsyncPreview",
    "Flights",
    "plan_tick_async",
    "run_tick_async",
    "to_async",
]
