"""The time of a test: it stands still until somebody moves it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import final

START = datetime(2026, 1, 1, tzinfo=UTC)
"""When a simulation begins, if it is not told otherwise."""


@final
class VirtualClock:
    """A clock that a store and a simulation share: ``SqliteStore(path, clock=clock)``. Calling it tells the time.

    Args:
        start: what it shows at first, aware.
    """

    def __init__(self, start: datetime = START) -> None:
        self._now = self._start = _utc(start)
        # Simulations that share a store one after the other share its clock, or begin where the last one has ended:
        # their ids must differ.
        self._ids = count(1 + abs(self._start - START) // timedelta(microseconds=1))

    def __call__(self) -> datetime:
        """The time, aware, in UTC."""
        return self._now

    def __repr__(self) -> str:
        return f"VirtualClock({self._now.isoformat()})"

    @property
    def start(self) -> datetime:
        """What it showed at first."""
        return self._start

    def advance_to(self, instant: datetime) -> None:
        """Move it forward to an instant; nothing is handled on the way (``Simulation.advance_to`` does that).

        Raises:
            ValueError: the instant is in the clock's past, or naive.
        """
        instant = _utc(instant)
        if instant < self._now:
            raise ValueError(f"a virtual clock never goes back: it is {self._now.isoformat()}, not {instant}")
        self._now = instant

    def new_id(self) -> str:
        """A new id, for a ``Runtime``: they are counted."""
        return f"id{next(self._ids)}"

    def monotonic(self) -> float:
        """Seconds since the start, for a ``Runtime``."""
        return (self._now - self._start).total_seconds()


def _utc(instant: datetime) -> datetime:
    if instant.tzinfo is None:
        raise ValueError(f"{instant!r} is naive: give it a time zone, such as datetime.UTC")
    return instant.astimezone(UTC)
