"""Plays a program in the laboratory: letters arrive, hooks fire, and things go wrong in ways that must not matter."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

import attrs
from hypothesis import strategies as st

from tests.lab import T0, Lab
from tests.properties.programs import TYPES, Program, programs
from tests.twins import Colour, as_async_def
from wfcore.model import TERMINAL, FiredHook
from wfcore.plan import Plan
from wfcore.planner import Continue, Settled, StepCall, call_body

Trouble: TypeAlias = Literal["none", "early", "late", "twice", "lost", "other hook", "stale hook"]


@attrs.frozen
class Letter:
    """An event to send, so many seconds after the start."""

    seconds: int
    type: str
    payload: str


@attrs.frozen
class Script:
    """A program and all that happens to it.

    Attributes:
        program: the program.
        letters: in the order in which they are sent.
        troubles: one for each thing that happens; none once they are used up.
    """

    program: Program
    letters: tuple[Letter, ...] = ()
    troubles: tuple[Trouble, ...] = ()


def scripts(*, timed: bool = True, troubles: bool = False) -> st.SearchStrategy[Script]:
    """Scripts; every wait that is reached soon has a letter that may answer it."""
    letters = st.builds(
        Letter, st.integers(0, 90), st.sampled_from([*TYPES]), st.sampled_from(["", "x", ',"payload":', '"}', "\x00é"])
    )
    kinds: list[Trouble] = ["none", "early", "late", "twice", "lost", "other hook", "stale hook"]
    return st.builds(
        Script,
        programs(timed=timed),
        st.lists(letters, max_size=6).map(lambda found: tuple(sorted(found, key=lambda letter: letter.seconds))),
        st.lists(st.sampled_from(kinds), min_size=1, max_size=25).map(tuple) if troubles else st.just(()),
    )


@attrs.define
class Play:
    """A script, played.

    Attributes:
        script: what is played.
        lab: where.
        continued: whether checkpoints are committed while the tick goes on.
        sightings: what the code saw in each of its runs that was not lost.
        ticks: the applied plans of ticks.
        attempts: the bodies that were started: key, number of the attempt, time.
    """

    script: Script
    lab: Lab
    continued: bool
    sightings: list[list[str]]
    ticks: list[Plan] = attrs.field(factory=list)
    attempts: list[tuple[str, int, datetime]] = attrs.field(factory=list)
    _fired: list[FiredHook] = attrs.field(factory=list)

    @classmethod
    def begin(cls, script: Script, colour: Colour = as_async_def, *, continued: bool = False) -> "Play":
        sightings: list[list[str]] = []
        twin = script.program.twin(colour, sightings)
        lab = Lab.of(twin)
        lab.create(twin)
        return cls(script, lab, continued, sightings)

    def events(self) -> Iterator[Plan]:
        """Play on, and stop after each applied tick."""
        letters, troubles = list(self.script.letters), list(self.script.troubles)
        for _ in range(2_000):
            trouble = troubles.pop(0) if troubles else "none"
            due_at = min((hook.due_at for hook in self.lab.hooks().values()), default=None)
            arrives_at = T0 + timedelta(seconds=letters[0].seconds) if letters else None
            if arrives_at is not None and (due_at is None or arrives_at <= due_at):
                letter = letters.pop(0)
                self.lab.now = max(self.lab.now, arrives_at)
                if self.lab.instance.status not in TERMINAL:
                    self.lab.send(TYPES[letter.type], letter.payload, id=f"letter {len(letters)}")
            elif due_at is not None:
                early = trouble == "early"
                self.lab.now = self.lab.now if early else max(self.lab.now, due_at)
                if trouble == "late":
                    self.lab.now += timedelta(seconds=33)
                yield from self._tick(trouble)
            else:
                return
        raise AssertionError("the program does not come to rest")

    def to_its_end(self) -> "Play":
        for _ in self.events():
            pass
        return self

    def _tick(self, trouble: Trouble) -> Iterator[Plan]:
        fired = self._hook(trouble)
        self._fired.append(fired)
        if trouble == "lost":
            before = self.lab.world, len(self.sightings), len(self.lab.plans), len(self.ticks)
            self._plan(fired)
            self.lab.world = before[0]
            del self.sightings[before[1] :], self.lab.plans[before[2] :], self.ticks[before[3] :]
            return
        for _ in range(2 if trouble == "twice" else 1):
            self.ticks.append(self.lab.apply(self._plan(fired)))
            yield self.ticks[-1]

    def _hook(self, trouble: Trouble) -> FiredHook:
        stored = sorted(self.lab.snapshot().hooks, key=lambda hook: (hook.due_at, hook.id))
        if trouble == "stale hook" and self._fired:
            return self._fired[0]
        return self.lab.fired(stored[-1] if trouble == "other hook" else stored[0])

    def _plan(self, fired: FiredHook) -> Plan:
        retrieved_at = self.lab.now

        def perform(call: StepCall) -> Settled:
            self.attempts.append((call.key, call.attempt.number, self.lab.now))
            self.lab.now += timedelta(seconds=self.script.program.body_time)
            return Settled(call_body(call).result, self.lab.now - retrieved_at)

        def commit(plan: Plan) -> Continue:
            self.lab.apply(plan)
            return Continue(self.lab.next_id("continued"))

        return self.lab.plan(fired=fired, perform=perform, commit=commit if self.continued else None)


def play(script: Script, colour: Colour = as_async_def, *, continued: bool = False) -> Play:
    """The whole script, played to its end."""
    return Play.begin(script, colour, continued=continued).to_its_end()


def printed(scripts: Sequence[Script]) -> str:
    """All plans of all scripts, as text."""
    return "\n".join(repr(plan) for script in scripts for plan in play(script).lab.plans)
