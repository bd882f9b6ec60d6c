"""Keeps workflow code off the host's event loop (rule D6): asyncio calls fail where they are made, and leak nothing.

Workflow code runs without an event loop, possibly inside a thread that runs one. While it runs, a loop that refuses
everything stands in for the running one; while a body or a commit runs, the thread is as it was.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

import attrs

from wfcore.errors import ForeignAwaitError
from wfcore.planner import Unwind

A = TypeVar("A")
B = TypeVar("B")


class _NoLoop:
    """Stands for the running event loop; whatever is asked of it is refused."""

    def __getattr__(self, name: str) -> NoReturn:
        raise _refusal(name)

    def __hash__(self) -> int:
        asker = sys._getframe(1)  # noqa: SLF001 - as below
        if asker.f_code.co_name == "current_task" and asker.f_back is not None:
            asker = asker.f_back
        if asker.f_globals.get("__name__") == "logging":
            return 0  # since Python 3.12 a log record asks for the current task: there is none
        raise _refusal("current_task")


_NO_LOOP = _NoLoop()


def _refusal(asked: str) -> Unwind:
    """Name the line of workflow code that called into asyncio, and what it called there."""
    frame = sys._getframe(2)  # noqa: SLF001 - of the caller of _NoLoop
    what = f"asyncio's event loop ({asked})"
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).partition(".")[0] == "asyncio":
        what = f"asyncio.{frame.f_code.co_name}"
        for value in frame.f_locals.values():
            _let_go(value)
        frame = frame.f_back
    return Unwind(ForeignAwaitError(what, frame.f_code.co_filename, frame.f_lineno))


def _let_go(value: object) -> None:
    """Close coroutines that asyncio was given: nobody will await them, and Python would warn of that."""
    for each in value if isinstance(value, list | tuple | set | frozenset) else (value,):
        if inspect.iscoroutine(each) and inspect.getcoroutinestate(each) == inspect.CORO_CREATED:
            each.close()


@attrs.frozen
class Surroundings:
    """What asyncio keeps of a thread: its running loop, and the hooks that hand async generators to it."""

    loop: Any
    firstiter: Any
    finalizer: Any

    @classmethod
    def found(cls) -> Surroundings:
        """Those of the current thread."""
        return cls(asyncio._get_running_loop(), *sys.get_asyncgen_hooks())  # noqa: SLF001 - there is no other way

    @contextmanager
    def around(self) -> Iterator[None]:
        """Put in the place of the current thread's for a while."""
        before = Surroundings.found()
        self._put()
        try:
            yield
        finally:
            before._put()  # noqa: SLF001 - of the same class

    def _put(self) -> None:
        asyncio._set_running_loop(self.loop)  # noqa: SLF001 - as above
        sys.set_asyncgen_hooks(self.firstiter, self.finalizer)

    def of(self, function: Callable[[A], B]) -> Callable[[A], B]:
        """A function that is called with them, wherever it is called: a body, a commit."""

        def called(argument: A) -> B:  # like around(), without what a context manager costs
            before = Surroundings.found()
            self._put()
            try:
                return function(argument)
            finally:
                before._put()  # noqa: SLF001 - of the same class

        return called


WORKFLOW_CODE = Surroundings(_NO_LOOP, None, None)
"""Those of the planner, which runs workflow code."""
