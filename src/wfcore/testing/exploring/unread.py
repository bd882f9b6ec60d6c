"""An instant that tells when somebody looks at it. No I/O, no clock."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import Any, final

START = datetime(2026, 1, 1, tzinfo=UTC)
"""The time at which every exploration begins."""


class InstantReadError(BaseException):
    """Something depends on an instant of the past: such instants have to be told apart."""


@final
class Unread(datetime):
    """Stands for any instant of the past. Only the planner, which hands it on, may look at it."""

    def __getattribute__(self, name: str) -> Any:
        _require_planner()
        return super().__getattribute__(name)


def _watched(name: str) -> Any:
    inherited = getattr(datetime, name)

    def operation(self: Unread, *arguments: Any) -> Any:
        _require_planner()
        return inherited(self, *arguments)

    return operation


def _require_planner() -> None:
    name = str(sys._getframe(2).f_globals.get("__name__", ""))  # noqa: SLF001 - who looks is the question
    if not name.startswith("wfcore.planner."):
        raise InstantReadError


for _name in (
    "__add__", "__radd__", "__sub__", "__rsub__", "__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__",
    "__hash__", "__repr__", "__str__", "__format__", "__reduce_ex__",
):  # fmt: skip
    setattr(Unread, _name, _watched(_name))

UNREAD = Unread.fromtimestamp(START.timestamp(), UTC)
"""In rows that workflow code, or an invariant of the user's, gets to see."""
