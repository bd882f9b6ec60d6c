"""Instances that one dispatcher leaves alone for a while: its own memory, nothing is stored (rule R1)."""

from __future__ import annotations

from typing import final

from wfcore.runner.runtime import Runtime

LONGEST_SECONDS = 5.0
NO_PAUSE_YET = 0.05
"""The pause that a first one, of 0.1 seconds, follows."""


def longer(pause: float) -> float:
    """The pause that follows one, in seconds: twice as long, up to 5."""
    return min(pause * 2, LONGEST_SECONDS)


@final
class Backoff:
    """Refs with a pause that doubles from 0.1 s to 5 s each time the same one is left out again.

    Not safe for threads: its dispatcher holds a lock.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._until: dict[str, tuple[float, float]] = {}

    def leave_out(self, ref: str) -> None:
        """Leave the instance alone, longer than the last time."""
        _, last = self._until.get(ref, (0.0, NO_PAUSE_YET))
        pause = longer(last)
        self._until[ref] = (self._runtime.monotonic() + pause, pause)

    def forget(self, ref: str) -> None:
        """A tick of the instance got something done."""
        self._until.pop(ref, None)

    def left_out(self) -> frozenset[str]:
        """The refs to leave alone now."""
        now = self._runtime.monotonic()
        # One that was not left out again for so long has found somebody else to run it.
        self._until = {ref: each for ref, each in self._until.items() if each[0] + LONGEST_SECONDS > now}
        return frozenset(ref for ref, (until, _) in self._until.items() if until > now)

    def seconds_left(self) -> float | None:
        """Until the first of them may be looked at again; ``None``: none is left out."""
        now = self._runtime.monotonic()
        return min((until - now for until, _ in self._until.values() if until > now), default=None)
