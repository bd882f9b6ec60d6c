"""Waiting under asyncio: for what must not be left in the middle, for news from other threads, for time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from types import TracebackType
from typing import Any, TypeVar, final

from wfcore.runner.runtime import Runtime

T = TypeVar("T")


async def finished(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, even if the caller is cancelled: the cancellation goes on afterwards.

    So nobody is left with an ``apply`` of which it is not known whether it happened, or happens later.
    """
    task = asyncio.ensure_future(coroutine)
    cancelled = await settled(task)
    if cancelled is not None:
        if not task.cancelled():
            task.exception()  # it is looked at, so that asyncio does not complain that nobody has
        raise cancelled
    return task.result()


async def let_go(*tasks: asyncio.Future[Any]) -> None:
    """Cancel tasks and wait until they have ended, whatever they make of it."""
    for task in tasks:
        task.cancel()
    cancelled = await settled(*tasks)
    for task in tasks:
        if not task.cancelled():
            task.exception()  # as above
    if cancelled is not None:
        raise cancelled


async def settled(*tasks: asyncio.Future[Any]) -> asyncio.CancelledError | None:
    """Wait until tasks have ended; the cancellation of the waiting task that came meanwhile, if one did."""
    cancelled = None
    for task in tasks:
        while not task.done():
            ended = asyncio.get_running_loop().create_future()
            task.add_done_callback(partial(_tell, ended))
            try:
                await ended
            except asyncio.CancelledError as error:
                cancelled = error
    return cancelled


def _tell(ended: asyncio.Future[None], _task: object) -> None:
    if not ended.done():
        ended.set_result(None)


@final
class LoopSignal:
    """A ``Signal`` whose waiters are tasks; it is notified by any thread.

    The lock is an ordinary one: it is held for moments only, and never while a task waits.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._lock = threading.RLock()
        self._wakers: dict[object, Callable[[], object]] = {}

    def __enter__(self) -> bool:
        return self._lock.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self._lock.__exit__(kind, error, trace)

    def notify_all(self) -> None:
        """Wake all tasks that wait."""
        with self._lock:
            for wake in self._wakers.values():
                wake()

    async def wait_for(self, ready: Callable[[], bool], seconds: float | None = None) -> bool:
        """Wait until ``ready()``; False: not within so many seconds."""
        with self._lock:
            if ready():
                return True
        woken, token = asyncio.Event(), object()
        with self._lock:
            self._wakers[token] = partial(_wake, asyncio.get_running_loop(), woken)
        time = None if seconds is None else asyncio.ensure_future(_pass(self._runtime.sleep(seconds), woken))
        try:
            while True:
                woken.clear()
                with self._lock:
                    if ready():
                        return True
                if time is not None and time.done():
                    return False
                await woken.wait()
        finally:
            with self._lock:
                del self._wakers[token]
            if time is not None:
                await let_go(time)


def _wake(loop: asyncio.AbstractEventLoop, woken: asyncio.Event) -> None:
    if asyncio._get_running_loop() is loop:  # noqa: SLF001 - the public one raises, and this is called by any thread
        woken.set()
    else:
        loop.call_soon_threadsafe(woken.set)


async def _pass(time: Awaitable[None], woken: asyncio.Event) -> None:
    try:
        await time
    finally:
        woken.set()
