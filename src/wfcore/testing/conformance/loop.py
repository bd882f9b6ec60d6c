"""A store for asyncio as a blocking one, for the suite: its calls run on one event loop, in a thread of its own."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from threading import Thread
from typing import Any, TypeVar

import attrs

from wfcore.model import FiredHook, Instance, InstanceStatus, Snapshot
from wfcore.plan import Applied, Conflict, Plan
from wfcore.ports import (
    AsyncBatchStore,
    AsyncCatalog,
    AsyncHookFeed,
    DueQuery,
    History,
    InstanceQuery,
    Listenable,
    Page,
)

T = TypeVar("T")
PATIENCE = 1.0
"""Seconds that tasks have to end after the stores are closed."""


@attrs.define
class Loop:
    """An event loop in a thread; several threads may call it at once, which makes tasks that run at the same time."""

    _loop: asyncio.AbstractEventLoop = attrs.field(factory=asyncio.new_event_loop, init=False)
    _thread: Thread | None = attrs.field(default=None, init=False)
    _problems: list[str] = attrs.field(factory=list, init=False)

    def run(self, awaitable: Awaitable[T]) -> T:
        """Wait for what is run on the loop."""
        if self._thread is None:
            self._loop.set_exception_handler(self._note)
            self._thread = Thread(target=self._loop.run_forever, name="conformance", daemon=True)
            self._thread.start()
        return asyncio.run_coroutine_threadsafe(_awaited(awaitable), self._loop).result()

    def close(self) -> None:
        """Stop the loop and end its thread.

        Raises:
            AssertionError: a task is left, or something went wrong of which nobody was told.
        """
        left: set[asyncio.Task[Any]] = set()
        if self._thread is not None:
            left = self.run(_left())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()
        problems = [f"it has left a task behind: {task!r}" for task in left] + self._problems
        if problems:
            raise AssertionError(
                "a store for asyncio does all in its calls, and ends what it has begun when it is "
                f"closed: {'; '.join(problems)}"
            )

    def _note(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self._problems.append(f"{context['message']}: {context.get('exception')!r}")

    def blocking(self, native: Any) -> Any:
        """A blocking store that is a feed, a catalog and so on if the native one is."""
        kinds: list[type] = [Bridge]
        kinds += [BridgedFeed] * isinstance(native, AsyncHookFeed)
        kinds += [BridgedCatalog] * isinstance(native, AsyncCatalog)
        kinds += [BridgedListenable] * isinstance(native, Listenable)
        kinds += [BridgedBatches] * isinstance(native, AsyncBatchStore)
        return type("Bridged", tuple(reversed(kinds)), {})(native, self)

    def entered(self, manager: AbstractAsyncContextManager[T]) -> tuple[T, Callable[..., Any]]:
        """Enter an asynchronous context manager; its value, and the blocking ``__exit__``."""
        value = self.run(manager.__aenter__())
        return value, lambda *error: self.run(manager.__aexit__(*error))


async def _awaited(awaitable: Awaitable[T]) -> T:
    return await awaitable


async def _left() -> set[asyncio.Task[Any]]:
    """The tasks that do not end by themselves, cancelled."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    if not others:
        return set()
    _ended, left = await asyncio.wait(others, timeout=PATIENCE)
    for task in left:
        task.cancel()
    return left


class Bridge:
    """The blocking store."""

    def __init__(self, native: Any, loop: Loop) -> None:
        self.native = native
        self._run = loop.run

    def _ask(self, method: str, *arguments: Any) -> Any:
        answer = getattr(self.native, method)(*arguments)
        if inspect.isawaitable(answer):
            return self._run(answer)
        blocks = not any(inspect.iscoroutinefunction(getattr(self.native, each)) for each in ("retrieve", "apply"))
        advice = ": a blocking store wants a StoreSuite (no --asyncio)" if blocks else ""
        raise TypeError(f"`{method}` of {self.native!r} is not `async def`{advice}")

    def retrieve(self, ref: str) -> Snapshot:
        """As :meth:`wfcore.ports.Store.retrieve`."""
        found: Snapshot = self._ask("retrieve", ref)
        return found

    def apply(self, plan: Plan) -> Applied | Conflict:
        """As :meth:`wfcore.ports.Store.apply`."""
        answer: Applied | Conflict = self._ask("apply", plan)
        return answer


class BridgedFeed(Bridge):
    """A feed, too."""

    def due(self, query: DueQuery) -> Sequence[FiredHook]:
        """As :meth:`wfcore.ports.HookFeed.due`."""
        found: Sequence[FiredHook] = self._ask("due", query)
        return found

    def next_due_at(self, query: DueQuery) -> datetime | None:
        """As :meth:`wfcore.ports.HookFeed.next_due_at`."""
        found: datetime | None = self._ask("next_due_at", query)
        return found


class BridgedCatalog(Bridge):
    """A catalog, too."""

    def list_instances(self, query: InstanceQuery) -> Page[Instance]:
        """As :meth:`wfcore.ports.Catalog.list_instances`."""
        found: Page[Instance] = self._ask("list_instances", query)
        return found

    def count_by_status(self, query: InstanceQuery) -> Mapping[InstanceStatus, int]:
        """As :meth:`wfcore.ports.Catalog.count_by_status`."""
        found: Mapping[InstanceStatus, int] = self._ask("count_by_status", query)
        return found

    def history(self, ref: str, run_number: int | None = None) -> History:
        """As :meth:`wfcore.ports.Catalog.history`."""
        found: History = self._ask("history", ref, run_number)
        return found

    def suspects(self, limit: int, after: str | None = None) -> Sequence[Instance]:
        """As :meth:`wfcore.ports.Catalog.suspects`."""
        found: Sequence[Instance] = self._ask("suspects", limit, after)
        return found


class BridgedListenable(Bridge):
    """It tells of applied plans, too: on the loop."""

    def listen(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """As :meth:`wfcore.ports.Listenable.listen`."""
        stop: Callable[[], None] = self.native.listen(callback)
        return stop


class BridgedBatches(Bridge):
    """It takes many plans at once, too."""

    def apply_many(self, plans: Sequence[Plan]) -> Sequence[Applied | Conflict]:
        """As :meth:`wfcore.ports.BatchStore.apply_many`."""
        answers: Sequence[Applied | Conflict] = self._ask("apply_many", plans)
        return answers
