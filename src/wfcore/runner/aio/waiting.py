"""Waiting under asyncio: for what must not be left in the middle, for threads, for news from them, for time."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from types import TracebackType
from typing import Any, TypeVar, final

from wfcore.runner.runtime import Runtime

A = TypeVar("A")
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
    while not all(task.done() for task in tasks):
        try:
            await asyncio.wait(tasks)
        except asyncio.CancelledError as error:
            cancelled = error
    return cancelled


async def begun(function: Callable[[A], Any], argument: A) -> Any:
    """Call a function of a user's (rule R5): an ``async def`` on the event loop, anything else in a thread.

    Returns:
        What it returned. That may be an awaitable: it is to be awaited here, on the loop.
    """
    if inspect.iscoroutinefunction(function):
        return function(argument)
    return await in_thread(partial(function, argument))


async def in_thread(function: Callable[[], T]) -> T:
    """Call a function in a thread of its own, with the caller's context variables.

    A caller that is cancelled leaves the thread behind: nothing can interrupt it. It is a daemon, so that it does not
    keep the process from ending either, as one of the event loop's own executor would.
    """
    return await begun_in_thread(function)


def begun_in_thread(function: Callable[[], T]) -> asyncio.Future[T]:
    """Call a function as :func:`in_thread`; what comes of it."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    call = partial(contextvars.copy_context().run, function)
    threading.Thread(target=_call, args=(call, loop, future), name="wfcore-body", daemon=True).start()
    return future


def _call(call: Callable[[], T], loop: asyncio.AbstractEventLoop, future: asyncio.Future[T]) -> None:
    try:
        answer: Callable[[], None] = partial(_answer, future, call())
    except BaseException as error:
        answer = partial(_fail, future, error)
    try:
        loop.call_soon_threadsafe(answer)
    except RuntimeError:  # the loop is closed, and nobody waits any more
        return


def _answer(future: asyncio.Future[T], value: T) -> None:
    if not future.done():
        future.set_result(value)


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)


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
            self._wakers[token] = partial(asyncio.get_running_loop().call_soon_threadsafe, woken.set)
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


async def _pass(time: Awaitable[None], woken: asyncio.Event) -> None:
    try:
        await time
    finally:
        woken.set()
