"""Users' functions under asyncio: on the event loop, or in threads beside it (rule R5)."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, final

from wfcore.runner.pool import Pool

A = TypeVar("A")
T = TypeVar("T")


@final
class Threads:
    """Threads for what blocks. They are none of the event loop's executor, which waits for its own when it ends."""

    def __init__(self) -> None:
        self._pool = Pool("wfcore-body")

    async def call(self, function: Callable[[A], Any], argument: A) -> Any:
        """Call a function of a user's: an ``async def`` on the event loop, anything else in a thread.

        Returns:
            What it returned. That may be an awaitable: it is to be awaited here, on the loop.
        """
        if inspect.iscoroutinefunction(function):
            return function(argument)
        return await self.begin(partial(function, argument))

    def begin(self, function: Callable[[], T]) -> asyncio.Future[T]:
        """Call a function in a thread, with the caller's context variables; what comes of it.

        Cancelling that leaves the thread behind: nothing can interrupt it.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        call = partial(contextvars.copy_context().run, function)
        self._pool.submit(partial(_call, call, loop, future))
        return future

    def close(self) -> None:
        """Let the threads end after what they do now."""
        self._pool.close()


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
