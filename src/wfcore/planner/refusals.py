"""The author's errors that the replay loop finds, with what it takes to find the place in their code. Pure: no I/O."""

from __future__ import annotations

import inspect
from typing import Any

from wfcore.errors import ForeignAwaitError, StepBodyError, StepUsageError
from wfcore.planner.requests import Branch, Request


def misplaced(what: str) -> StepUsageError:
    """A step handle was used outside of the workflow code that it belongs to (rule K2)."""
    return StepUsageError(
        what,
        "it is used outside of the workflow code it was given to (in a step body, in another branch, after the tick)",
        "call steps in workflow code only, each branch its own; hand values to bodies instead",
    )


def awaitable_refused(step_key: str, value: Any) -> StepBodyError:
    """The body gave an awaitable, and nobody can await it (rules S16, R5)."""
    if inspect.iscoroutine(value):
        value.close()
    return StepBodyError(
        step_key,
        f"its body gave an awaitable ({type(value).__qualname__}), and this runner cannot await",
        "use a plain function as the body",
    )


def not_a_step(branch: Branch, asked: Any) -> ForeignAwaitError | StepUsageError:
    """Workflow code awaited something that is not its own step (rules D6, K2)."""
    if type(asked) is Request:
        return StepUsageError(
            asked.key,
            "it is awaited twice, or in a branch that is not its own",
            "await each step once, where it was made",
        )
    inner: Any = branch.coroutine
    while inspect.iscoroutine(inner.cr_await):
        inner = inner.cr_await
    what = "a bare suspension (asyncio.sleep(0)?)" if asked is None else f"a {type(asked).__qualname__}"
    return ForeignAwaitError(what, inner.cr_code.co_filename, inner.cr_frame.f_lineno if inner.cr_frame else None)
