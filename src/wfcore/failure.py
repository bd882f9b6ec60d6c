"""What a failed body or workflow leaves behind, as data; no I/O: not even source lines are read.

A :class:`Failure` is written into step records and instances. It carries names instead of classes, so that it
can be compared and stored, and so that workflow code sees the same thing live and on replay.
"""

from __future__ import annotations

import builtins
import copy
import json
import math
from types import TracebackType
from typing import Any

import attrs

TRACEBACK_LIMIT = 8_192
"""Characters of a traceback that are kept; the oldest frames are cut first."""
MESSAGE_LIMIT = 8_192
"""Characters of an exception's text that are kept."""


@attrs.frozen(kw_only=True)
class Failure:
    """A failure as data.

    Attributes:
        type: ``module.qualname`` of the exception's class.
        message: ``str(exception)``.
        details: plain JSON, from an exception's ``details`` (``NonRetryableError``); ``None`` if it has none.
        bases: names of the class's bases up to ``builtins.Exception``, nearest first.
        traceback: where it was raised, for operators; capped, never compared, never given to workflow code.
    """

    type: str
    message: str
    details: Any = None
    bases: tuple[str, ...] = ()
    traceback: str = attrs.field(default="", eq=False, repr=False)

    def is_a(self, error: builtins.type[BaseException]) -> bool:
        """Whether the failure was of that class or of a subclass of it; compares names."""
        name = class_name(error)
        return name == self.type or name in self.bases

    def without_traceback(self) -> Failure:
        """A copy for workflow code: without traceback, and with details of its own, so that no row can be changed."""
        return attrs.evolve(self, traceback="", details=copy.deepcopy(self.details))

    def __str__(self) -> str:
        return f"{self.type.rpartition('.')[2]}: {self.message}" if self.message else self.type.rpartition(".")[2]


def class_name(cls: type[object]) -> str:
    """``module.qualname`` of a class: how classes are named in rows."""
    return f"{cls.__module__}.{cls.__qualname__}"


def failure_of(error: BaseException) -> Failure:
    """Describe an exception: deterministic given the exception, and unable to fail itself."""
    cls = type(error)
    return Failure(
        type=class_name(cls),
        message=_text(error),
        details=_details(error),
        bases=tuple(class_name(base) for base in cls.__mro__[1:] if issubclass(base, Exception)),
        traceback=_frames(error.__traceback__),
    )


def is_plain(value: object) -> bool:
    """Whether a value is plain JSON *exactly*: no subclasses, tuples, classes, NaN (rule S15)."""
    kind = type(value)
    if value is None or kind is bool or kind is int or kind is str:
        return True
    if kind is float:
        return math.isfinite(value)  # type: ignore[arg-type]
    if kind is list:
        return all(is_plain(item) for item in value)  # type: ignore[attr-defined]
    if kind is dict:
        return all(type(key) is str and is_plain(item) for key, item in value.items())  # type: ignore[attr-defined]
    return False


def _details(error: BaseException) -> Any:
    try:
        details = getattr(error, "details", None)
        # A copy, and proof that a store can write it: the body may go on to change its own, or it may be too deep.
        return json.loads(json.dumps(details, allow_nan=False)) if is_plain(details) else repr(details)
    except Exception as broken:  # a property or a __repr__ that raises, a list that holds itself
        return f"<details of the exception raised {type(broken).__name__}>"


def _text(error: BaseException) -> str:
    try:
        return str(error)[:MESSAGE_LIMIT]
    except Exception as broken:  # an exception whose __str__ raises must still be recorded
        return f"<str() of the exception raised {type(broken).__name__}>"


def _frames(traceback: TracebackType | None) -> str:
    # Written by hand: the traceback module reads source files, and a planner may not.
    lines: list[str] = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        lines.append(f'File "{code.co_filename}", line {traceback.tb_lineno}, in {code.co_qualname}')
        traceback = traceback.tb_next
    return "\n".join(lines)[-TRACEBACK_LIMIT:]
