"""What can be known of a step body without running it: its arity and the type of its result. Pure: no I/O."""

from __future__ import annotations

import builtins
import functools
import inspect
import types
import typing
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

from wfcore.errors import StepBodyError

_AWAITABLES = (Coroutine, Awaitable)
_NEVER = (typing.NoReturn, typing.Never)


def result_type(step_key: str, body: Callable[..., Any], local_names: Mapping[str, Any]) -> Any:
    """The type of a body's result by its return annotation, ``Any`` (plain JSON) if it has none (rule S15).

    Looks through ``functools.partial``, ``functools.wraps``, bound methods and callable objects;
    ``Coroutine[..., T]`` gives ``T``; a class used as a body gives itself.

    Raises:
        StepBodyError: the annotation names something that is not known at run time.
    """
    if type(body) is types.FunctionType:
        function: Any = body
        if type(found := function.__annotations__.get("return")) is type:
            return found  # what most bodies say, and replay asks for each recorded step
    elif isinstance(body, type):
        return body
    else:
        function = _function_of(body)
        if isinstance(function, type):
            return function
    annotation = getattr(function, "__annotations__", {}).get("return", Any)
    if isinstance(annotation, str):
        try:
            annotation = _evaluate(annotation, function, local_names)
        except Exception as error:
            raise StepBodyError(
                step_key,
                f"the return annotation {annotation!r} of its body cannot be resolved ({error})",
                "import the name at run time, not under TYPE_CHECKING only, or pass returns=",
            ) from None
    if annotation is None:
        return type(None)
    if annotation in _NEVER:
        return Any
    if typing.get_origin(annotation) in _AWAITABLES:
        return typing.get_args(annotation)[-1]
    return annotation


def check_arity(step_key: str, body: Any, arguments: tuple[str, ...] = ("attempt",)) -> None:
    """Refuse a body that cannot be called with exactly these arguments (rule S16).

    Raises:
        StepBodyError: it is not callable, or takes another number of arguments.
    """
    named = ", ".join(arguments)
    if not callable(body):
        taken = " and ".join(f"the {each}" for each in arguments)
        raise StepBodyError(step_key, f"the body {body!r} is not callable", f"pass a function that takes {taken}")
    if (signature := misfit(body, arguments)) is not None:
        wanted = "one argument, the attempt" if len(arguments) == 1 else f"({named})"
        raise StepBodyError(
            step_key,
            f"a body is called with exactly {wanted}; this one takes {signature}",
            f"write 'lambda {named}: ...' or 'def body({named}): ...'; bind other arguments with functools.partial",
        )


def misfit(function: Any, arguments: tuple[str, ...]) -> inspect.Signature | None:
    """The signature of a function that cannot be called with exactly these arguments, ``None`` if it can be."""
    names = _plainly_left(function)
    if names is not None and len(names) == len(arguments):
        return None
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None  # a builtin without a signature: calling it will tell
    try:
        signature.bind(*arguments)
    except TypeError:
        return signature
    return None


def item_type(step: str, function: Callable[..., Any], local_names: Mapping[str, Any]) -> Any:
    """The type of the items that a map's function takes after the step, ``Any`` (plain JSON) if it does not say.

    Raises:
        StepBodyError: the annotation names something that is not known at run time.
    """
    names = _plainly_left(function)
    try:
        if names is None:
            annotation = [*inspect.signature(function).parameters.values()][1].annotation
        else:
            annotation = _function_of(function).__annotations__.get(names[1], inspect.Parameter.empty)
    except (IndexError, TypeError, ValueError):
        return Any
    if isinstance(annotation, str):
        try:
            return _evaluate(annotation, _function_of(function), local_names)
        except Exception as error:
            raise StepBodyError(
                step,
                f"the annotation {annotation!r} of the items of its function cannot be resolved ({error})",
                "import the name at run time, not under TYPE_CHECKING only, or pass key=",
            ) from None
    return Any if annotation is inspect.Parameter.empty else annotation


def _plainly_left(function: Any) -> tuple[str, ...] | None:
    """The parameters that are still to be given, if they show at a glance: all are positional, and nothing else is.

    ``None``: ask for the signature, which takes its time; replay asks for each map, and for each body that runs.
    """
    given = 0
    if type(function) is functools.partial and not function.keywords:
        given, function = len(function.args), function.func
    if type(function) is types.MethodType:
        given, function = given + 1, function.__func__
    if type(function) is not types.FunctionType or function.__dict__:  # what wraps another function says so there
        return None
    code = function.__code__
    if code.co_kwonlyargcount or code.co_flags & inspect.CO_VARARGS:
        return None
    return code.co_varnames[given : code.co_argcount]


def closure_of(function: Any) -> dict[str, Any]:
    """The closure of a function by name, without the variables that are not assigned yet."""
    found: dict[str, Any] = {}
    if isinstance(function, types.FunctionType):
        for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            try:
                found[name] = cell.cell_contents
            except ValueError:
                continue  # a function that is defined further down, or the function itself
    return found


def _function_of(body: Any) -> Any:
    while True:
        if isinstance(body, functools.partial):
            body = body.func
        elif isinstance(body, types.MethodType):
            body = body.__func__
        elif hasattr(body, "__wrapped__"):
            body = body.__wrapped__
        elif isinstance(body, types.FunctionType | types.BuiltinFunctionType | type):
            return body
        else:
            return type(body).__call__


def _evaluate(annotation: str, function: Any, local_names: Mapping[str, Any]) -> Any:
    written = inspect.unwrap(function)  # where the annotation was written, unless that is no function
    function = written if isinstance(written, types.FunctionType) else function
    names = {**local_names, **closure_of(function)}
    global_names: dict[str, Any] = getattr(function, "__globals__", {})
    scopes = (names, global_names, vars(builtins))
    if type(found := next((scope[annotation] for scope in scopes if annotation in scope), None)) is type:
        return found  # a plain name of a class needs no evaluation; replay asks for each recorded step
    probe = types.SimpleNamespace(__annotations__={"return": annotation})
    return typing.get_type_hints(probe, global_names, names, include_extras=True)["return"]
