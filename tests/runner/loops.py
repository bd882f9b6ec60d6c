"""asyncio in the hands of a test: a loop whose time is a machine's, a store that is awaited, doors that stay shut."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime
from typing import Any, TypeVar

import attrs

from tests.runner.doubles import WAIT, Machine, Operation, Watched
from wfcore.model import FiredHook, Snapshot
from wfcore.plan import Applied, Conflict, Plan
from wfcore.ports import DueQuery
from wfcore.runner import TickReport, run_tick_async
from wfcore.workflow import Registry

T = TypeVar("T")


class _Selector(selectors.DefaultSelector):
    """Never waits for time: when all tasks wait, it moves the machine's clock to where the first goes on."""

    machine: Machine

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:  # for other threads, then
            ready = super().select(WAIT)
            assert ready, "every task waits, and nothing will ever happen"
            return ready
        self.machine.advance(timeout)
        return ready


class Loop(asyncio.SelectorEventLoop):
    """An event loop that lives by a machine's time."""

    def __init__(self, machine: Machine) -> None:
        selector = _Selector()
        selector.machine = machine
        super().__init__(selector)
        self._machine = machine

    def time(self) -> float:
        return self._machine.seconds

    async def shutdown_default_executor(self, *_timeout: float) -> None:
        """Without a limit: by the machine's time it would be over at once."""
        executor = getattr(self, "_default_executor", None)
        if executor is not None:
            executor.shutdown(wait=True)


def in_loop(coroutine: Coroutine[Any, Any, T], machine: Machine | None = None) -> T:
    """Run a coroutine as a host's main task; it must leave no task behind."""

    async def host() -> tuple[T, int]:
        result = await coroutine
        return result, len(asyncio.all_tasks())

    factory = None if machine is None else lambda: Loop(machine)
    with asyncio.Runner(loop_factory=factory) as runner:
        result, tasks = runner.run(host())
    assert tasks == 1, "tasks are left behind"
    return result


async def cancelled(task: asyncio.Task[Any]) -> bool:
    """Cancel a task and wait for its end; whether it was cancelled."""
    task.cancel()
    await asyncio.wait([task])
    return task.cancelled()


@attrs.define
class Gate:
    """Where a test stops a task, and lets it go on."""

    reached: asyncio.Event = attrs.field(factory=asyncio.Event)
    opened: asyncio.Event = attrs.field(factory=asyncio.Event)

    async def __call__(self) -> None:
        self.reached.set()
        await self.opened.wait()


@attrs.define
class Awaited:
    """A watched store for asyncio, without threads: other tasks run at each call, and while a gate is shut."""

    watched: Watched
    before: dict[Operation, Gate] = attrs.field(factory=dict)
    after: dict[Operation, Gate] = attrs.field(factory=dict)
    tells: bool = True

    async def retrieve(self, ref: str) -> Snapshot:
        return await self._pass("retrieve", self.watched.retrieve, ref)

    async def apply(self, plan: Plan) -> Applied | Conflict:
        return await self._pass("apply", self.watched.apply, plan)

    async def due(self, query: DueQuery) -> Sequence[FiredHook]:
        return await self._pass("due", self.watched.due, query)

    async def next_due_at(self, query: DueQuery) -> datetime | None:
        return await self._pass("next_due_at", self.watched.next_due_at, query)

    def listen(self, callback: Callable[[str], None]) -> Callable[[], None]:
        return self.watched.listen(callback) if self.tells else _silent

    async def _pass(self, operation: Operation, call: Callable[[Any], T], argument: object) -> T:
        await asyncio.sleep(0)
        if gate := self.before.get(operation):
            await gate()
        answer = call(argument)
        if gate := self.after.get(operation):
            await gate()
        return answer


def tick_in_loop(store: Watched, registry: Registry, fired: FiredHook, **options: Any) -> TickReport:
    """``run_tick_async`` on a loop of its own, which lives by the time of ``runtime=``, a machine's."""
    machine = options["runtime"].monotonic.__self__
    return in_loop(run_tick_async(Awaited(store), registry, fired, **options), machine)


def _silent() -> None:
    pass
