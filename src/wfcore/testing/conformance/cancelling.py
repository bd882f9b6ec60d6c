"""Cancel a task exactly where it waits for the n-th time: by place, not by time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterator
from functools import partial
from itertools import count
from typing import Any, Generic, TypeVar

import attrs

from wfcore.testing.conformance.loop import Loop

T = TypeVar("T")


@attrs.define(eq=False)  # `gather` wants it hashable
class CancelledAt(Generic[T]):
    """Awaits a coroutine, and has the task cancelled where it waits for the n-th time.

    Attributes:
        work: the coroutine.
        left: how many times it may wait until it is cancelled; 0 or less: it was.
    """

    work: Coroutine[Any, Any, T]
    left: int

    def __await__(self) -> Generator[Any, Any, T]:
        steps = self.work.__await__()
        proceed: Callable[[], Any] = partial(next, steps)
        while True:
            try:
                waited_for = proceed()
            except StopIteration as end:
                result: T = end.value
                return result
            self.left -= 1
            task = asyncio.current_task()
            if task is not None and self.left == 0:
                task.cancel()
            try:
                yield waited_for
                proceed = partial(next, steps)
            except BaseException as error:
                proceed = partial(steps.throw, error)


def cancelled_everywhere(loop: Loop, call: Callable[[int], Coroutine[Any, Any, T]]) -> Iterator[tuple[int, Any]]:
    """Run a call and cancel it where it waits, at one place after the other, and at last let it come to its end.

    Args:
        loop: runs it, each time in a task of its own.
        call: makes the coroutine; it is given the number of the place, from 1 on.

    Yields:
        The place, and what came of it: a result, or what was raised. One that was cancelled has to raise that.
    """
    for place in count(1):
        struck = CancelledAt(call(place), place)
        [answer] = loop.run(outcomes(struck))
        was_cancelled = struck.left <= 0
        if was_cancelled:
            assert isinstance(answer, asyncio.CancelledError), f"cancelled where it waits, it gave {answer!r}"
        yield place, answer
        if not was_cancelled:
            return


async def outcomes(*work: Awaitable[Any]) -> list[Any]:
    """What comes of them, each in a task of its own, at the same time: results, and what was raised."""
    return await asyncio.gather(*work, return_exceptions=True)
