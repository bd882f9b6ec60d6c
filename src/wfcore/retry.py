"""Retry policies and back-off arithmetic, exact to the microsecond; no clock, and jitter is a hash, not chance (S8)."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal, TypeAlias

import attrs

from wfcore.keys import digest

Backoff: TypeAlias = Literal["constant", "linear", "exponential"]
_MICROSECOND = timedelta(microseconds=1)
_LONGEST = timedelta(days=36_500)
MAX_ATTEMPTS = 2**31 - 1
"""What every database can store in an integer column."""


def _positive(_retry: object, attribute: attrs.Attribute[int], value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= MAX_ATTEMPTS:
        raise ValueError(f"Retry({attribute.name}={value!r}): must be an int from 1 to {MAX_ATTEMPTS}")


def _duration(_retry: object, attribute: attrs.Attribute[timedelta], value: object) -> None:
    if value is None and attribute.name == "max_delay":
        return
    if not isinstance(value, timedelta) or value < timedelta(0):
        raise ValueError(f"Retry({attribute.name}={value!r}): must be a timedelta that is not negative")


def _known(_retry: object, _attribute: attrs.Attribute[Backoff], value: str) -> None:
    if value not in ("constant", "linear", "exponential"):
        raise ValueError(f"Retry(backoff={value!r}): must be 'constant', 'linear' or 'exponential'")


def _fraction(_retry: object, _attribute: attrs.Attribute[float], value: object) -> None:
    if not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"Retry(jitter={value!r}): must be a number from 0 to 1")


def _exceptions(_retry: object, _attribute: attrs.Attribute[tuple[type[Exception], ...]], value: object) -> None:
    if not isinstance(value, tuple) or not all(
        isinstance(each, type) and issubclass(each, Exception) for each in value
    ):
        raise ValueError(f"Retry(give_up_on={value!r}): must be a tuple of Exception classes")


@attrs.frozen(kw_only=True)
class Retry:
    """How often and how fast a failed step is tried again (rule S8).

    Attributes:
        max_attempts: all attempts, the first included (1 to 2,147,483,647).
        delay: the pause after the first failed attempt.
        backoff: after attempt n: ``delay``, ``delay * n`` or ``delay * 2 ** (n - 1)``.
        max_delay: cap of the pause, or ``None``. (No pause is longer than 36,500 days.)
        jitter: fraction of the pause (0 to 1) that is taken off by a hash of the step and the attempt:
            the same on every machine, different between instances.
        give_up_on: exceptions that end the step at once.

    Raises:
        ValueError: an argument is out of its range.
    """

    max_attempts: int = attrs.field(validator=_positive)
    delay: timedelta = attrs.field(default=timedelta(seconds=1), validator=_duration)
    backoff: Backoff = attrs.field(default="exponential", validator=_known)
    max_delay: timedelta | None = attrs.field(default=None, validator=_duration)
    jitter: float = attrs.field(default=0.0, validator=_fraction)
    give_up_on: tuple[type[Exception], ...] = attrs.field(default=(), validator=_exceptions)

    def delay_after(self, attempt: int, *seed: str) -> timedelta:
        """The pause after failed attempt number ``attempt`` (>= 1); ``seed`` names the step for the jitter."""
        cap = _LONGEST if self.max_delay is None else min(self.max_delay, _LONGEST)
        delay = min(self.delay // _MICROSECOND * self._factor(attempt), cap // _MICROSECOND)
        if self.jitter:
            chance = int.from_bytes(digest("jitter", *seed, str(attempt))[:8])
            delay -= int(delay * self.jitter) * chance >> 64
        return delay * _MICROSECOND

    def _factor(self, attempt: int) -> int:
        if self.backoff == "constant":
            return 1
        if self.backoff == "linear":
            return attempt
        return 1 << min(attempt - 1, 64)


ONE_ATTEMPT = Retry(max_attempts=1)
"""The policy of a step without ``retry=``."""

DEFERRAL = Retry(max_attempts=1, delay=timedelta(seconds=1), max_delay=timedelta(minutes=5))
"""The back-off of hooks whose tick failed for a reason that is not the workflow's (never given up)."""
