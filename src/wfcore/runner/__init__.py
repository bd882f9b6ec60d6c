"""The shell around the planner, and the only place with a clock, ids, sleeping, threads and asyncio."""

from wfcore.runner.aio import (
    AsyncClient,
    AsyncDispatcher,
    AsyncHandle,
    AsyncPreview,
    Flights,
    plan_tick_async,
    run_tick_async,
    to_async,
)
from wfcore.runner.client import Client
from wfcore.runner.dispatcher import Dispatcher
from wfcore.runner.errand import StopSignal
from wfcore.runner.handle import Handle
from wfcore.runner.notices import OnTerminal, TerminalNotice
from wfcore.runner.observe import BodyRun, Observer, TickReport
from wfcore.runner.preview import Preview
from wfcore.runner.reading import AuditFinding
from wfcore.runner.runtime import Runtime
from wfcore.runner.tick import run_tick

__all__ = [
    "AsyncClient",
    "AsyncDispatcher",
    "AsyncHandle",
    "AsyncPreview",
    "AuditFinding",
    "BodyRun",
    "Client",
    "Dispatcher",
    "Flights",
    "Handle",
    "Observer",
    "OnTerminal",
    "Preview",
    "Runtime",
    "StopSignal",
    "TerminalNotice",
    "TickReport",
    "plan_tick_async",
    "run_tick",
    "run_tick_async",
    "to_async",
]
