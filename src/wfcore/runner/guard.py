"""Keeps workflow code off the host's event loop (rule D6): asyncio calls fail where they are made, and leak nothing.

Workflow code runs without an event loop, possibly inside a thread that runs one. While it runs, a loop that refuses
everything stands in for the running one; while a body or a commit runs, the thread is as it was.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn, TypeVar

from wfcore.errors import ForeignAwaitError
from wfcore.planner import Unwind

A = TypeVar("A")
B = TypeVar("B")


class _NoLoop:
    """Stands for the running event loop; whatever is asked of it is refused."""

    def __getattr__(self, name: str) -> NoReturn:
        raise _refusal()

    def __hash__(self) -> int:
        raise _refusal()

    def __eq__(self, other: object) -> bool:
        return self is other

    def create_task(self, coroutine: Coroutine[Any, Any, Any], **_options: Any) -> NoReturn:
        coroutine.close()  # nobody will await it, and Python would warn of that
        raise _refusal()


_NO_LOOP = _NoLoop()


def _refusal() -> Unwind:
    """Name the line of workflow code that called into asyncio, and what it called there."""
    frame = sys._getframe(2)  # noqa: SLF001 - of the caller of _NoLoop
    called = frame.f_code.co_name
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).partition(".")[0] == "asyncio":
        called = frame.f_code.co_name
        frame = frame.f_back
    return Unwind(ForeignAwaitError(f"asyncio.{called}", frame.f_code.co_filename, frame.f_lineno))


@contextmanager
def workflow_code() -> Iterator[None]:
    """Around the planner: no event loop, and no hooks that would hand async generators to one."""
    with _running(_NO_LOOP, None, None):
        yield


def outside(function: Callable[[A], B]) -> Callable[[A], B]:
    """A function that the planner calls, run as if outside of :func:`workflow_code`: a body, a commit."""
    loop = asyncio._get_running_loop()  # noqa: SLF001 - asyncio offers no other way
    hooks = sys.get_asyncgen_hooks()

    def lifted(argument: A) -> B:
        with _running(loop, hooks.firstiter, hooks.finalizer):
            return function(argument)

    return lifted


@contextmanager
def _running(loop: Any, firstiter: Any, finalizer: Any) -> Iterator[None]:
    before = asyncio._get_running_loop()  # noqa: SLF001 - as above
    hooks = sys.get_asyncgen_hooks()
    asyncio._set_running_loop(loop)  # noqa: SLF001 - as above
    sys.set_asyncgen_hooks(firstiter, finalizer)
    try:
        yield
    finally:
        asyncio._set_running_loop(before)  # noqa: SLF001 - as above
        sys.set_asyncgen_hooks(*hooks)
