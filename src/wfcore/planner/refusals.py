"""The author's errors that the replay loop finds, with what it takes to find the place in their code. Pure: no I/O."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Coroutine
from typing import Any

from wfcore.errors import (
    CodecError,
    ForeignAwaitError,
    StepBodyError,
    StepUsageError,
    UnawaitedStepError,
    WorkflowError,
)
from wfcore.planner.calls import Raised, Returned
from wfcore.planner.requests import Branch, ContinueWith, Request


def outgrown(error: CodecError, what: str) -> CodecError:
    """A stored payload does not fit the type that the code gives it now (rule D3): say which."""
    advice = f"in {what}, as other code stored it: deploy code whose type takes it; the instance is unchanged"
    return CodecError(error.path, error.expected, error.found, advice)


def check_end(result: Returned[Any] | Raised, unawaited: tuple[str, ...]) -> None:
    """Refuse an end of workflow code that is a mistake of its author, not a result (rules P8, D9).

    Raises:
        UnawaitedStepError: it returned without awaiting a step, or took a step itself for its value.
        WorkflowError: it let one of those escape, such as that of a bad name of an event type.
    """
    if unawaited and (isinstance(result, Returned) or isinstance(result.error, (TypeError, AttributeError))):
        raise UnawaitedStepError(unawaited)
    if isinstance(result, Raised) and isinstance(result.error, WorkflowError):
        raise result.error


def check_next_run(result: Returned[Any] | Raised, made: ContinueWith | None) -> None:
    """Refuse a workflow that asks for its next run and returns something else (rule O8).

    Raises:
        StepUsageError: it does.
    """
    if made is not None and isinstance(result, Returned) and result.value is not made:
        raise StepUsageError(
            "continue_with",
            f"the workflow returned {type(result.value).__qualname__} in its place",
            "write 'return step.continue_with(params)'",
        )


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
        "use a plain function as the body; one that is awaited needs an 'async def' workflow and an AsyncDispatcher",
    )


def as_coroutine(branch: Branch, made: Any) -> Coroutine[Any, Any, Any]:
    """What the function of a branch gave, as something that can be advanced.

    Raises:
        StepUsageError: it gave something that cannot be awaited.
    """
    if isinstance(made, Coroutine):
        return made
    if isinstance(made, Awaitable):
        return _awaited(made)
    raise StepUsageError(
        branch.path,
        f"the function of the branch gave {type(made).__qualname__}, which cannot be awaited",
        "use an 'async def' that takes the branch's step, or return one of its steps",
    )


async def _awaited(made: Awaitable[Any]) -> Any:
    return await made


def not_a_step(branch: Branch, asked: Any) -> ForeignAwaitError | StepUsageError:
    """Workflow code awaited something that is not its own step (rules D6, K2)."""
    if type(asked) is Request:
        return StepUsageError(
            asked.key,
            "it is awaited twice, or in a branch that is not its own",
            "await each step once, where it was made",
        )
    what = "a bare suspension" if asked is None else f"a {type(asked).__qualname__}"
    inner: Any = branch.coroutine
    if not inspect.iscoroutine(inner) or inner.cr_code is _awaited.__code__:  # that is no place in the author's code
        return ForeignAwaitError(what, None, None)
    while inspect.iscoroutine(inner.cr_await):
        if _of_asyncio(inner.cr_await):
            what = f"asyncio.{inner.cr_await.cr_code.co_name}"  # the line to mend is the one that calls it
            break
        inner = inner.cr_await
    return ForeignAwaitError(what, inner.cr_code.co_filename, inner.cr_frame.f_lineno)


def _of_asyncio(coroutine: Any) -> bool:
    return str(coroutine.cr_frame.f_globals.get("__name__")).startswith("asyncio.")
