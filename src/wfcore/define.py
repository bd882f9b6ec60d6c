"""``@workflow``: makes a ``Workflow`` of a function and resolves its types at once. No I/O, no registry."""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, Protocol, TypeVar, overload

from wfcore.errors import StepNameError, WorkflowDefinitionError
from wfcore.keys import check_id
from wfcore.planner.async_step import AsyncStep
from wfcore.planner.bodies import closure_of
from wfcore.planner.step import Step
from wfcore.workflow import Checkpoint, EventType, Workflow

P = TypeVar("P")
R = TypeVar("R")


class WorkflowDecorator(Protocol):
    """What ``workflow(name=...)`` returns: turns a function into a ``Workflow`` of its parameter and result types."""

    @overload
    def __call__(self, fn: Callable[[AsyncStep], Coroutine[Any, Any, R]], /) -> Workflow[None, R]: ...
    @overload
    def __call__(self, fn: Callable[[AsyncStep, P], Coroutine[Any, Any, R]], /) -> Workflow[P, R]: ...
    @overload
    def __call__(self, fn: Callable[[Step], R], /) -> Workflow[None, R]: ...
    @overload
    def __call__(self, fn: Callable[[Step, P], R], /) -> Workflow[P, R]: ...


def workflow(
    *,
    name: str,
    checkpoint: Checkpoint = "step",
    events: Iterable[EventType[Any]] | None = None,
    notify: bool = False,
) -> WorkflowDecorator:
    """Declare a workflow: a ``def`` that takes a :class:`Step`, or an ``async def`` that takes an :class:`AsyncStep`.

    The function takes ``(step)`` or ``(step, params)``. Its annotations are resolved here, so that what a type checker
    infers is what replay gives (rule S15); params or a result without annotation are plain JSON.

    Args:
        name: stored with every instance; required, because renaming the function must not orphan instances.
        checkpoint: ``"step"``: what has returned is committed before the next body starts; ``"tick"``: one commit at
            the next wait or the end: faster, and a crash runs every body since the last commit again (rule O6).
        events: the event types that may be sent to it; left out: any.
        notify: whether the end of each instance is announced to a dispatcher with ``on_terminal=`` (rule O7). An end
            that was not announced yet keeps the instance from being deleted.

    Raises:
        WorkflowDefinitionError: the function, its handle or its annotations cannot be a workflow's.
        StepNameError: the name cannot be used.
    """
    if not isinstance(name, str):
        raise StepNameError("workflow name", repr(name), None, None, "it must be a str")
    check_id(name, "workflow name")
    if checkpoint not in ("step", "tick"):
        raise WorkflowDefinitionError(name, f"checkpoint={checkpoint!r}", "use 'step' or 'tick'")
    known = None if events is None else _events(name, events)

    def decorate(fn: Callable[..., Any]) -> Workflow[Any, Any]:
        if not inspect.isfunction(fn):
            raise WorkflowDefinitionError(name, f"{fn!r} is not a function", "decorate a 'def' or an 'async def'")
        if inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
            raise WorkflowDefinitionError(
                name, f"{fn.__qualname__} is a generator", "a workflow returns its result; do not yield"
            )
        nested = "<locals>" in fn.__qualname__
        local_names = dict(sys._getframe(1).f_locals) if nested else {}  # noqa: SLF001 - where the decorator stands
        parameters = _parameters(name, fn)
        types = _resolve(name, fn, local_names)
        is_async = inspect.iscoroutinefunction(fn)
        _check_handle(name, types.get(parameters[0]), is_async=is_async)
        takes_params = len(parameters) > 1
        return Workflow(
            name=name,
            fn=fn,
            is_async=is_async,
            takes_params=takes_params,
            params_type=types.get(parameters[1], Any) if takes_params else type(None),
            result_type=types.get("return", Any),
            checkpoint=checkpoint,
            events=known,
            notify=notify,
            local_names=local_names,
        )

    return decorate


def _events(name: str, events: Iterable[EventType[Any]]) -> Mapping[str, EventType[Any]]:
    known: dict[str, EventType[Any]] = {}
    for event in events:
        if not isinstance(event, EventType):
            raise WorkflowDefinitionError(name, f"events holds {event!r}", "list EventType values")
        if event.name in known:
            raise WorkflowDefinitionError(name, f"event type {event.name!r} stands twice", "list each type once")
        known[event.name] = event
    return known


def _parameters(name: str, fn: Callable[..., Any]) -> list[str]:
    parameters = list(inspect.signature(fn).parameters.values())
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    if len(parameters) not in (1, 2) or any(each.kind not in positional for each in parameters):
        raise WorkflowDefinitionError(
            name,
            f"{fn.__qualname__}{inspect.signature(fn)} does not take (step) or (step, params)",
            "put all parameters in one class",
        )
    return [each.name for each in parameters]


def _resolve(name: str, fn: Callable[..., Any], local_names: Mapping[str, Any]) -> dict[str, Any]:
    written = inspect.unwrap(fn)  # a decorator's wrapper has the annotations, but not the names, of what it wraps
    names = {**local_names, **closure_of(written)}
    try:
        return typing.get_type_hints(fn, written.__globals__, names, include_extras=True)
    except Exception as error:
        raise WorkflowDefinitionError(
            name,
            f"an annotation of {fn.__qualname__} cannot be resolved ({error})",
            "import the name at run time, not under TYPE_CHECKING only, and before the workflow",
        ) from error


def _check_handle(name: str, handle: Any, *, is_async: bool) -> None:
    wanted, word = (AsyncStep, "an 'async def'") if is_async else (Step, "a 'def'")
    if handle is not None and handle is not Any and handle is not wanted:
        raise WorkflowDefinitionError(
            name,
            f"{word} workflow takes {wanted.__name__} as its first parameter, not {_name(handle)}",
            f"annotate it with wfcore.{wanted.__name__}, or change 'def' and 'async def'",
        )


def _name(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else repr(annotation)
