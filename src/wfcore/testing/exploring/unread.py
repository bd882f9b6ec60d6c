"""An instant that tells when somebody looks at it. No I/O, no clock."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, final

from wfcore.errors import CodecError
from wfcore.model import Payload
from wfcore.ports import Codec
from wfcore.testing.clock import START

PAST = START - timedelta(days=1_000)
"""Stands for the instants of what is over, where they mean nothing."""


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

UNREAD = Unread.fromtimestamp(PAST.timestamp(), UTC)
"""In rows that workflow code, or an invariant of the user's, gets to see."""


@final
class Moment(datetime):
    """The time of a tick. What is computed from it is a moment too; an instant that code names itself is none."""


def moment(instant: datetime) -> Moment:
    """An instant as a moment."""
    return Moment(
        instant.year,
        instant.month,
        instant.day,
        instant.hour,
        instant.minute,
        instant.second,
        instant.microsecond,
        instant.tzinfo,
    )


@final
class WatchingCodec:
    """A codec for code that may have hold of unusual instants: what it cannot encode is looked at again without them.

    Args:
        codec: the codec.
    """

    def __init__(self, codec: Codec) -> None:
        self._codec = codec

    def check_type(self, type_: Any, namespace: Mapping[str, Any] | None = None) -> None:
        """See :class:`wfcore.Codec`."""
        self._codec.check_type(type_, namespace)

    def encode(self, value: object, type_: Any) -> Payload:
        """See :class:`wfcore.Codec`."""
        try:
            return self._codec.encode(value, type_)
        except CodecError:
            raise InstantReadError from None

    def decode(self, payload: Payload, type_: Any) -> Any:
        """See :class:`wfcore.Codec`."""
        return self._codec.decode(payload, type_)
