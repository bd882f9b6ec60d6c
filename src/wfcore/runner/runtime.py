"""Where the runner gets time, ids and pauses: one value, so that a simulation can bring its own."""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import attrs


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _new_id() -> str:
    return uuid.uuid4().hex


@attrs.frozen(kw_only=True)
class Runtime:
    """The runner's doors to the world.

    Attributes:
        now: the wall clock (aware UTC); compared with ``next_due_at`` only, so that a skewed one costs time, not truth.
        monotonic: seconds that never go back.
        new_id: a new execution, instance or event id.
        pause: wait for so many seconds.
        sleep: the same under asyncio: the event loop goes on meanwhile.
    """

    now: Callable[[], datetime] = _utc_now
    monotonic: Callable[[], float] = time.monotonic
    new_id: Callable[[], str] = _new_id
    pause: Callable[[float], None] = time.sleep
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    def since(self, start: float) -> timedelta:
        """The time since ``start``, a reading of ``monotonic``."""
        return timedelta(seconds=max(0.0, self.monotonic() - start))


def patience(duration: timedelta) -> float:
    """A duration as seconds that a thread can be told to wait; ``timedelta.max`` is for ever."""
    return min(duration.total_seconds(), threading.TIMEOUT_MAX)


REAL = Runtime()
"""The machine's clock, random ids, real pauses."""
