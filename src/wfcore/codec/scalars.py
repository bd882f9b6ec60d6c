"""Types that are one JSON scalar: numbers, text, times, bytes; strict both ways, no I/O."""

from __future__ import annotations

import binascii
import math
import re
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from types import NoneType
from typing import Any
from uuid import UUID

from wfcore.codec.refusal import Refusal, describe, find
from wfcore.codec.shape import Leaf, Shape
from wfcore.failure import is_plain

PLAIN = "plain JSON (None, bool, int, str, finite float, list, dict with str keys)"
PLAIN_ADVICE = (
    "without a type only plain JSON can be rebuilt: pass returns=<type> or annotate the body's return type "
    "(a workflow's parameter and result, an event's type, a field), so that the value can be rebuilt"
)

_DURATION = re.compile(
    r"(-?)P(?:([0-9]{1,9})D)?(?:T(?:([0-9]{1,12})H)?(?:([0-9]{1,12})M)?(?:([0-9]{1,12})(?:\.([0-9]{1,6}))?S)?)?"
)
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


class Exact(Shape):
    """``None``, ``bool``, ``int``, ``str``: what JSON has itself."""

    def __init__(self, cls: type[Any], name: str = "") -> None:
        super().__init__(name or cls.__name__, (cls,), (cls,))
        self._class = cls

    def decode(self, value: Any) -> Any:
        """See :class:`Shape`."""
        if type(value) is self._class:
            return value
        raise self.refuse(value)

    encode = decode


class Float(Shape):
    """``float``: JSON's integers too, as Python's type system has it."""

    def __init__(self) -> None:
        super().__init__("float", (float,), (float,))

    def decode(self, value: Any) -> Any:
        """See :class:`Shape`."""
        if type(value) is float and math.isfinite(value):
            return value
        if type(value) is int:
            try:
                return float(value)
            except OverflowError:
                pass  # refused below
        raise self.refuse(value, "" if type(value) is not float else "JSON has no NaN and no infinity")

    encode = decode


class Plain(Shape):
    """``Any`` and ``object``: plain JSON exactly (rule S15)."""

    def __init__(self) -> None:
        super().__init__(PLAIN, (), (NoneType, bool, int, float, str, list, dict))

    def decode(self, value: Any) -> Any:
        """The parser gives nothing else."""
        return value

    def encode(self, value: Any) -> Any:
        """See :class:`Shape`."""
        if is_plain(value):
            return value
        raise refuse_plain(value, PLAIN_ADVICE)


def refuse_plain(value: object, advice: str) -> Refusal:
    """The refusal of a value that is not plain JSON, at its first part that is not."""
    trail, part = find(value, _is_offender) or ([], value)
    found = describe(part)
    if type(part) is dict:
        found = "key " + next(describe(key) for key in part if type(key) is not str)
    return Refusal(PLAIN, found, advice, trail)


def _is_offender(value: object) -> bool:
    cls = type(value)
    if cls is dict:
        return any(type(key) is not str for key in value)  # type: ignore[attr-defined]
    return cls is not list and not is_plain(value)


def _aware(value: datetime) -> datetime:
    offset = value.utcoffset()
    # Python reads "+00:00:00.000001" as UTC.
    if offset is None or offset.microseconds:
        raise ValueError("naive, or a broken offset")
    return value


def _encode_time(value: time) -> str:
    if value.tzinfo is not None:
        offset = value.utcoffset()
        if offset is None or offset.microseconds:
            raise ValueError("an offset that depends on the date, or a broken one")
    return value.isoformat()


def _finite(value: Decimal) -> Decimal:
    if not value.is_finite():
        raise ValueError("not finite")
    return value


def _encode_duration(value: timedelta) -> str:
    sign = "-" if value < timedelta(0) else ""
    value = abs(value)
    fraction = f".{value.microseconds:06}" if value.microseconds else ""
    return f"{sign}P{value.days}DT{value.seconds}{fraction}S"


def _decode_duration(text: str) -> timedelta:
    match = _DURATION.fullmatch(text)
    if match is None or text[-1] in "PT":
        raise ValueError("not a duration")
    sign, days, hours, minutes, seconds, fraction = match.groups(default="0")
    value = timedelta(
        days=int(days),
        hours=int(hours),
        minutes=int(minutes),
        seconds=int(seconds),
        microseconds=int(fraction.ljust(6, "0")),
    )
    return -value if sign == "-" else value


def _decode_uuid(text: str) -> UUID:
    if _UUID.fullmatch(text) is None:
        raise ValueError("not a UUID")
    return UUID(text)


def _encode_bytes(value: bytes) -> str:
    return binascii.b2a_base64(value, newline=False).decode("ascii")


def _decode_bytes(text: str) -> bytes:
    return binascii.a2b_base64(text, strict_mode=True)


UUIDS = Leaf(UUID, str, _decode_uuid, str, advice="a UUID is text like '12345678-1234-5678-1234-567812345678'")

_LEAVES: tuple[Leaf, ...] = (
    UUIDS,
    Leaf(
        datetime,
        str,
        lambda text: _aware(datetime.fromisoformat(text)),
        lambda value: _aware(value).isoformat(),
        name="aware datetime",
        advice="a datetime needs an offset of whole seconds, such as tzinfo=timezone.utc or '+00:00'",
    ),
    Leaf(date, str, date.fromisoformat, date.isoformat, advice="a date is text like '2026-01-31'"),
    Leaf(
        time,
        str,
        time.fromisoformat,
        _encode_time,
        advice="a time is text like '10:30:00' or '10:30:00+01:00'; its offset may not depend on the date",
    ),
    Leaf(
        timedelta,
        str,
        _decode_duration,
        _encode_duration,
        advice="a duration is text like 'P1DT3600.500000S' (days, hours, minutes, seconds)",
    ),
    Leaf(
        Decimal,
        str,
        lambda text: _finite(Decimal(text)),
        lambda value: str(_finite(value)),
        name="finite Decimal",
        advice="a Decimal is text like '12.50'",
    ),
    Leaf(bytes, str, _decode_bytes, _encode_bytes, advice="bytes are base64 text with padding"),
)

SCALARS: dict[Any, Shape] = {
    None: Exact(NoneType, "None"),
    NoneType: Exact(NoneType, "None"),
    bool: Exact(bool),
    int: Exact(int),
    str: Exact(str),
    float: Float(),
    Any: Plain(),
    object: Plain(),
    **{leaf.classes[0]: leaf for leaf in _LEAVES},
}
"""The types that need no compiling."""
