"""Instants, durations and lists as people read them. Pure: no I/O, no clock, no locale."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

SHOWN = 10
"""How many lines of one sort a text holds; more are counted."""
LONGEST = 1_000
"""Characters of somebody else's text that are shown."""
_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def instant(at: datetime) -> str:
    """``2026-01-01 09:00:00 UTC``."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def span(duration: timedelta) -> str:
    """A duration in its two largest units, rounded down: ``1 h 5 min``, ``250 ms``."""
    seconds = int(duration.total_seconds())
    if seconds < 1:
        return f"{max(1, duration // timedelta(milliseconds=1))} ms"
    parts = []
    for unit, size in _UNITS:
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count} {unit}")
        elif parts:
            break
    return " ".join(parts[:2])


def when(at: datetime, now: datetime) -> str:
    """An instant, and how far away it is: ``2026-01-01 09:00:00 UTC (in 5 min)``."""
    if at > now:
        return f"{instant(at)} (in {span(at - now)})"
    return f"{instant(at)} ({span(now - at)} ago)" if at < now else f"{instant(at)} (now)"


def counted(count: int, noun: str) -> str:
    """``1 step``, ``2,000 steps``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def either(names: Iterable[str]) -> str:
    """``'a' or 'b'``."""
    return " or ".join(map(repr, names))


def brief(text: object) -> str:
    """Somebody else's text, in one line and not too long."""
    line = " ".join(str(text).split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST]} ..."


def shown(lines: Sequence[str]) -> list[str]:
    """The first of many lines, and how many more there are."""
    more = len(lines) - SHOWN
    return [*lines[:SHOWN], f"and {more:,} more"] if more > 1 else list(lines)
