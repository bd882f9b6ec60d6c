"""What an exploration has found, as values that print well. No I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, final

import attrs

from wfcore.failure import Failure
from wfcore.model import InstanceStatus
from wfcore.testing.tables import table


@final
@attrs.frozen
class Played:
    """One action of a schedule.

    Attributes:
        action: what happened; the text by which it is played again.
        at: when, as the time since the beginning.
        note: what came of it.
    """

    action: str
    at: str
    note: str


Schedule = tuple[Played, ...]


def schedule_table(schedule: Schedule) -> str:
    """A schedule, line by line."""
    rows = [(number, each.at, each.action, each.note) for number, each in enumerate(schedule, 1)]
    return table(("", "at", "action", "what came of it"), rows)


@final
@attrs.frozen
class Result:
    """One way in which the instance can end; two are equal if the end is.

    Attributes:
        status: of the instance.
        output: what the workflow returned.
        failure: why the instance failed.
        schedule: a shortest way there.
    """

    status: InstanceStatus
    output: Any = None
    failure: Failure | None = None
    schedule: Schedule = attrs.field(default=(), eq=False, repr=False)

    def table(self) -> str:
        """The schedule as a table."""
        return schedule_table(self.schedule)

    def __str__(self) -> str:
        return f"{self.status}: {self.output!r}" if self.failure is None else f"{self.status}: {self.failure}"


@final
@attrs.frozen
class Counterexample:
    """A shortest schedule after which an invariant does not hold.

    Attributes:
        invariant: its name.
        message: what was found.
        schedule: what happened.
        other: for ``equal results``: a schedule that ends otherwise.
    """

    invariant: str
    message: str
    schedule: Schedule
    other: Schedule = ()

    def table(self) -> str:
        """The schedule as a table, under the invariant and what was found."""
        text = f"{self.invariant}: {self.message}\n\n{schedule_table(self.schedule)}"
        return f"{text}\n\nand otherwise:\n\n{schedule_table(self.other)}" if self.other else text

    def as_test(self, explored: str = "explored") -> str:
        """A test function, as Python source, that plays this schedule again and fails in the same way.

        Args:
            explored: name of a function of yours that calls ``explore`` and hands it the keyword arguments that it
                gets: ``def explored(**more): return explore(checkout, Order("A-1"), bodies=BODIES, **more)``.
        """
        lines = [
            f"def test_{explored}_keeps_its_invariants() -> None:",
            f'    """{self.invariant}"""',
            *_listed("schedule", self.schedule),
        ]
        if self.other:
            lines += [
                *_listed("other", self.other),
                f"    one, two = {explored}(schedule=schedule), {explored}(schedule=other)",
                "    assert one.results == two.results",
            ]
        else:
            lines += [
                f"    exploration = {explored}(schedule=schedule)",
                "    assert exploration.ok, exploration",
            ]
        return "\n".join(lines) + "\n"

    def __str__(self) -> str:
        return self.table()


def _listed(name: str, schedule: Schedule) -> list[str]:
    return [
        f"    {name} = [",
        *(f"        {json.dumps(each.action, ensure_ascii=False)}," for each in schedule),
        "    ]",
    ]


@final
@attrs.frozen(kw_only=True)
class Exploration:
    """What an exploration has found.

    Attributes:
        ok: whether every state was seen and every invariant holds in each.
        complete: whether every state was seen; False: there were more than ``max_states``, or one was broken.
        states: how many states were seen.
        transitions: how many ways lead from one to the next.
        results: the ways in which the instance can end.
        witnessed: what has happened in some state, with how often it was seen: a conflict, a crash, ... What is
            missing here was not explored.
        counterexample: if an invariant does not hold.
    """

    ok: bool
    complete: bool
    states: int
    transitions: int
    results: tuple[Result, ...]
    witnessed: Mapping[str, int]
    counterexample: Counterexample | None = None

    def check(self) -> Exploration:
        """This exploration, if it is ``ok``.

        Raises:
            AssertionError: it is not; the text says why, with the schedule.
        """
        if not self.ok:
            raise AssertionError(str(self))
        return self

    def __str__(self) -> str:
        seen = ", ".join(self.witnessed) or "nothing"
        found = [f"{self.states:,} states, {self.transitions:,} transitions; witnessed: {seen}"]
        found += [f"  {result}" for result in self.results]
        if self.counterexample is not None:
            return f"BROKEN  {self.counterexample.table()}\n\n{found[0]}"
        head = "ok" if self.ok else "CUT, there are more states: pass a greater max_states, or lower bounds"
        return "\n".join([f"{head}  {found[0]}", *found[1:]])
