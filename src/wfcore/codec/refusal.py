"""No I/O here: how the codec refuses, with a path and short texts about values and types.

A :class:`Refusal` travels from the value that does not fit up to the codec, and every container on the way adds
where it was. So the exact path costs nothing as long as nothing is refused.

The texts become part of step records, so that they have to be the same in every process: no memory addresses, no
order of sets, no ``repr`` of somebody else's class.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from types import NoneType
from typing import Annotated, Any, ForwardRef, Literal, TypeVar, get_args, get_origin
from uuid import UUID

from wfcore.errors import CodecError
from wfcore.failure import is_plain

TEXT_LIMIT = 80
"""Characters of a value that an error shows."""


class Part(Enum):
    """A step of a path to a part that has no name: where a type was refused, or a member of a set."""

    ITEM = "[]"
    ENTRY = "{}"


Segment = str | int | Part
"""A step of a path: a field or key, or an index, or any part."""

JSON_NAMES: dict[type[object], str] = {
    NoneType: "null",
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}
"""What JSON calls the classes that its text is made of."""

_SHOWN = frozenset({date, time, timedelta, Decimal, UUID, bytes, complex})


class Refusal(ValueError):  # noqa: N818 - never seen by users: it leaves the codec as a CodecError
    """A value or type that the codec does not take, on its way up.

    Attributes:
        expected: what fits.
        found: what is there.
        advice: what to do, or ``""``.
        trail: where, from the inside out.
    """

    def __init__(self, expected: str, found: str, advice: str = "", trail: Iterable[Segment] = ()) -> None:
        super().__init__(expected, found, advice)
        self.expected = expected
        self.found = found
        self.advice = advice
        self.trail = list(trail)

    def at(self, segment: Segment) -> Refusal:
        """The same, one step further up."""
        self.trail.append(segment)
        return self

    def error(self) -> CodecError:
        """What the user gets."""
        return CodecError(path_of(reversed(self.trail)), self.expected, self.found, self.advice)


def path_of(segments: Iterable[Segment]) -> str:
    """``$`` is the whole, ``$.lines[2].cents`` a part, ``$["odd key"]`` a key that is no identifier."""
    return "$" + "".join(map(_segment, segments))


def _segment(segment: Segment) -> str:
    if isinstance(segment, Part):
        return segment.value
    if isinstance(segment, int):
        return f"[{segment}]"
    return f".{segment}" if segment.isidentifier() else f"[{json.dumps(segment)}]"


def describe(value: object) -> str:
    """A value in a few words, with its JSON type; the same in every process."""
    cls = type(value)
    if cls in JSON_NAMES:
        return _describe_json(value, cls)
    if cls is datetime or cls in _SHOWN:
        return f"{shorten(_text(value))} ({cls.__name__})"
    if isinstance(value, Enum):
        return f"{short_name(cls)}.{value.name}"
    if cls in {tuple, set, frozenset}:
        return f"{cls.__name__} of {count_of(value)}"
    return f"{short_name(cls)} instance"


def _describe_json(value: object, cls: type[object]) -> str:
    if value is None:
        return "null"
    if cls in {list, dict} and not _is_shown(value):
        return f"{cls.__name__} of {count_of(value)}"
    return f"{shorten(_text(value))} ({JSON_NAMES[cls]})"


def _is_shown(value: object) -> bool:
    try:
        return is_plain(value)
    except RecursionError:
        return False


def _text(value: object) -> str:
    if isinstance(value, datetime | time) and value.tzinfo is not None:
        return f"{value.replace(tzinfo=None).isoformat()} with an offset"  # which is somebody else's code
    try:
        return repr(value)
    except (ValueError, RecursionError):  # more digits than Python converts, or more levels
        return "more than Python converts to text"


def shorten(text: str) -> str:
    """A text of at most ``TEXT_LIMIT`` characters."""
    return text if len(text) <= TEXT_LIMIT else text[: TEXT_LIMIT - 3] + "..."


def count_of(value: Any) -> str:
    """How many items a container has."""
    return "1 item" if len(value) == 1 else f"{len(value)} items"


def say(error: BaseException) -> str:
    """An exception of somebody else's code, in a few words."""
    try:
        text = str(error)
    except Exception:
        text = ""
    return f"{type(error).__name__}: {text[:200]}" if text else type(error).__name__


def short_name(cls: type[object]) -> str:
    """The name of a class as its author knows it: without module and enclosing function."""
    return cls.__qualname__.rpartition("<locals>.")[2]


def long_name(cls: type[object]) -> str:
    """The name of a class with its module, for two classes with the same short name."""
    return f"{cls.__module__}.{cls.__qualname__}"


def name_of(type_: Any) -> str:
    """A type as its author would write it."""
    origin, args = get_origin(type_), get_args(type_)
    if origin is Annotated:
        return name_of(args[0])
    if origin is Literal:
        return f"Literal[{', '.join(map(_literal, args))}]"
    if origin is not None:
        return _name_of_alias(type_, origin, args)
    if type_ is None or type_ is NoneType:
        return "None"
    if isinstance(type_, type):
        return short_name(type_)
    if isinstance(type_, ForwardRef):
        return repr(type_.__forward_arg__)
    if isinstance(type_, str):
        return repr(type_)
    return _name_of_form(type_)


def _name_of_alias(type_: Any, origin: Any, args: tuple[Any, ...]) -> str:
    if not isinstance(origin, type) or origin.__module__ == "types" or origin.__name__ == "Union":
        return " | ".join(map(name_of, args)) if "Union" in str(origin) else _name_of_form(type_)
    inner = ", ".join(map(_name_of_argument, args))
    return f"{short_name(origin)}[{inner or '()'}]"


def _name_of_argument(argument: Any) -> str:
    if argument is ...:
        return "..."
    if isinstance(argument, list):  # of Callable
        return f"[{', '.join(map(name_of, argument))}]"
    return name_of(argument)


def _name_of_form(type_: Any) -> str:
    name = getattr(type_, "__name__", None)
    return name if isinstance(name, str) and not isinstance(type_, TypeVar) else describe(type_)


def _literal(value: object) -> str:
    return describe(value) if isinstance(value, Enum) else repr(value)


def find(value: object, is_wrong: Callable[[object], bool]) -> tuple[list[Segment], object] | None:
    """The first part of a JSON value that is wrong, containers before their parts, and the trail to it."""
    if is_wrong(value):
        return [], value
    cls = type(value)
    pairs: Iterable[tuple[Segment, object]] = ()
    if cls is list:
        pairs = enumerate(value)  # type: ignore[arg-type]
    elif cls is dict:
        pairs = value.items()  # type: ignore[attr-defined]
    for segment, item in pairs:
        part = find(item, is_wrong)
        if part is not None:
            part[0].append(segment)
            return part
    return None
