"""Ticks that take so long that another shard may take their hooks: one warning each, while they run (rule R4)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from typing import final

import attrs

from wfcore.runner.runtime import Runtime, patience

_log = logging.getLogger("wfcore.runner")


def _none() -> tuple[str, ...]:
    return ()


@final
@attrs.define(eq=False)
class Watch:
    """One tick, as somebody sees it who does not run it.

    Attributes:
        keys: gives the keys of the steps whose bodies run now; the tick sets it.
    """

    keys: Callable[[], tuple[str, ...]] = _none


@final
class Overtime:
    """The ticks of one dispatcher, and which of them have outlived half of ``steal_after``.

    Not safe for threads: its dispatcher holds a lock.

    Args:
        steal_after: of the dispatcher's shard; ``None``: nobody steals, and nobody is warned.
        runtime: time.
    """

    def __init__(self, steal_after: timedelta | None, runtime: Runtime) -> None:
        self._steal_after = steal_after
        self._runtime = runtime
        self._watches: dict[str, tuple[float, Watch]] = {}

    def begins(self, ref: str) -> Watch:
        """A tick of the instance begins now."""
        watch = Watch()
        if self._steal_after is not None:
            self._watches[ref] = (self._runtime.monotonic() + patience(self._steal_after / 2), watch)
        return watch

    def ends(self, ref: str) -> None:
        """Its tick has ended."""
        self._watches.pop(ref, None)

    def seconds_left(self) -> float | None:
        """Until a tick that still runs then has to be told of; ``None``: there is none."""
        first = min((until for until, _ in self._watches.values()), default=None)
        return None if first is None else max(0.0, first - self._runtime.monotonic())

    def tell(self) -> None:
        """Warn of each tick that has taken too long, once."""
        now = self._runtime.monotonic()
        for ref in [ref for ref, (until, _) in self._watches.items() if until <= now]:
            _, watch = self._watches.pop(ref)
            keys = watch.keys()
            _log.warning(
                "a tick of %s runs for longer than half of steal_after=%s, %s; another shard may run it too, soon "
                "(rule R4): make that step shorter, or steal_after longer",
                ref,
                self._steal_after,
                f"now in {', '.join(map(repr, keys))}" if keys else "in no step's body",
            )
