"""What the bodies of a workflow may do, in an exploration: each outcome is a branch of the search. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias, final

import attrs

from wfcore.planner import StepCall
from wfcore.testing.outcomes import Fails, Returns
from wfcore.testing.performing import Body, pattern_for


@final
@attrs.frozen
class PerAttempt:
    """Outcomes to try in the first attempt, in the second, and so on; the last holds for all that follow."""

    attempts: tuple[tuple[Body, ...], ...]


def per_attempt(*attempts: Sequence[Body]) -> PerAttempt:
    """Outcomes that depend on the number of the attempt.

    ``per_attempt([fails(Busy())], [returns(1), fails(Busy())])``: the first attempt fails, later ones may.

    Raises:
        ValueError: an attempt has no outcome.
    """
    if not attempts or not all(attempts):
        raise ValueError("per_attempt() takes a list of outcomes for each attempt, none of them empty")
    return PerAttempt(tuple(map(tuple, attempts)))


Bodies: TypeAlias = Mapping[str, Sequence[Body] | PerAttempt]
"""What the bodies of a workflow may do, by step: to annotate a table that stands apart from its ``explore``."""


class Options:
    """The outcomes of all bodies.

    Args:
        bodies: by step: a whole key, or the bare name of a ``do`` in any scope; a whole key goes first.

    Raises:
        ValueError: a step has no outcome.
    """

    def __init__(self, bodies: Bodies) -> None:
        self._bodies = {
            pattern: each if isinstance(each, PerAttempt) else PerAttempt((tuple(each),))
            for pattern, each in bodies.items()
        }
        empty = [pattern for pattern, each in self._bodies.items() if not all(each.attempts)]
        if empty:
            raise ValueError(f"no outcomes for {empty[0]!r}; give at least one: returns(...) or fails(...)")
        self._found: dict[tuple[str, int], tuple[Body, ...]] = {}
        self.used: set[str] = set()

    @property
    def unused(self) -> tuple[str, ...]:
        """The steps that were never asked for."""
        return tuple(sorted(self._bodies.keys() - self.used))

    def of(self, call: StepCall) -> tuple[Body, ...]:
        """The outcomes to try for this attempt; none: the step is not named."""
        place = call.key, call.attempt.number
        if place not in self._found:
            pattern = pattern_for(self._bodies, call)
            if pattern is None:
                return ()
            self.used.add(pattern)
            attempts = self._bodies[pattern].attempts
            self._found[place] = attempts[min(call.attempt.number, len(attempts)) - 1]
        return self._found[place]


def told(outcome: Body) -> str:
    """An outcome in a few words."""
    if isinstance(outcome, Returns):
        return f"returns {_short(outcome.value)}"
    if isinstance(outcome, Fails):
        return f"raises {_short(outcome.error)}"
    return f"does {getattr(outcome, '__qualname__', type(outcome).__qualname__).rpartition('>.')[2]}"


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
