"""The states of an exploration: small tuples of numbers that stand for rows, plans and runners. Values: no I/O."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple, TypeAlias

Firing: TypeAlias = tuple[str, str, int | None, str]
"""Of a hook that fired: ref, hook id, run number, reason. Nothing else of it is ever looked at."""


class Holding(NamedTuple):
    """A dispatcher at work on an instance: all that it knows.

    Attributes:
        ref: the instance.
        firing: the hook that fired.
        fired_at: when it did.
        rows: number of the rows that it has retrieved, or that its last plan has left.
        at: when it has.
        mine: execution ids of its own plans that these rows name.
        held: results of at-most-once bodies that are not recorded, as numbers.
        absent: refs of instances that a required event did not find.
        answers: what the bodies of this tick did: the number of the outcome, and the time since ``at``.
    """

    ref: str
    firing: Firing
    fired_at: datetime
    rows: int
    at: datetime
    mine: frozenset[str] = frozenset()
    held: tuple[int, ...] = ()
    absent: frozenset[str] = frozenset()
    answers: tuple[tuple[int, timedelta], ...] = ()


class Beaten(NamedTuple):
    """A dispatcher whose plan will conflict, whatever its bodies do, and which retrieves again then."""

    ref: str
    firing: Firing
    absent: frozenset[str] = frozenset()


Worker: TypeAlias = Holding | Beaten | None
"""What a dispatcher does; ``None``: it is idle."""
IDLE = 0
"""The number of an idle worker."""


class State(NamedTuple):
    """One state of everything.

    Attributes:
        world: number of the rows of all instances.
        now: the time.
        workers: numbers of what the dispatchers do.
        crashes, duplicates, early: how many of each may still happen.
        events, commands: those that are still to come, as bits.
        fired: number of the firings so far.
        past: number of what the rows do not tell of the past.
    """

    world: int
    now: datetime
    workers: tuple[int, ...]
    crashes: int
    duplicates: int
    early: int
    events: int
    commands: int
    fired: int
    past: int

    def canonical(self) -> State:
        """The state that stands for all that differ in the order of dispatchers only."""
        return self._replace(workers=tuple(sorted(self.workers)))


class Past(NamedTuple):
    """What rows do not tell.

    Attributes:
        recorded: attempts whose result is committed: incarnation, run, key, number.
        writes: numbers of committed plans with writes of the user's, in order.
        runs: how often each body has run, by ref and key; counted only for an invariant that asks.
    """

    recorded: frozenset[tuple[str, int, str, int]] = frozenset()
    writes: tuple[int, ...] = ()
    runs: tuple[tuple[str, str, int], ...] = ()


class Action(NamedTuple):
    """What happens between two states.

    Attributes:
        kind: what.
        who: number of the dispatcher; -1: none.
        what: the step, the instance, ...
        choice: number of the outcome, the event, the command.
    """

    kind: str
    who: int = -1
    what: str = ""
    choice: int = 0


_TEXTS = {
    "take": "{who} takes {what}",
    "take early": "{who} takes {what} before it is due",
    "take again": "{who} takes {what} once more",
    "run": "{who} runs {what}: {choice}",
    "commit": "{who} commits",
    "crash": "{who} crashes",
    "pass": "time passes",
    "event": "{what} arrives ({choice})",
    "command": "{what} ({choice})",
    "rest": "nothing else goes wrong",
}


def text_of(action: Action) -> str:
    """An action as a line; each move of a state has a line of its own."""
    return _TEXTS[action.kind].format(who=_letter(action.who), what=action.what, choice=action.choice + 1)


def _letter(who: int) -> str:
    return chr(ord("A") + who) if who >= 0 else ""
