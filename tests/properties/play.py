"""Plays a program in the laboratory: letters arrive, hooks fire, and things go wrong in ways that must not matter."""

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import IO, Any, Literal, Self, TypeAlias

import attrs
from hypothesis import strategies as st

from tests.lab import T0, Lab
from tests.properties.programs import TYPES, Chances, Kinds, Program, chances, program_of
from tests.twins import Colour, as_async_def
from wfcore.model import TERMINAL, FiredHook
from wfcore.outcome import Checkpointed
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


_TROUBLES: tuple[Trouble, ...] = ("none", "early", "late", "twice", "lost", "other hook", "stale hook")
_PAYLOADS = "", "x", ',"payload":', '"}', "\x00é"


def letters_of(chances: Chances) -> tuple[Letter, ...]:
    """The letters that these chances stand for, in order of time."""
    found: list[Letter] = []
    while chances.below(4) and len(found) < 6:
        found.append(Letter(chances.below(90), chances.pick(*TYPES), chances.pick(*_PAYLOADS)))
    return tuple(sorted(found, key=lambda letter: letter.seconds))


def script_of(drawn: tuple[bytes, ...], kinds: Kinds) -> Script:
    """The script that these bytes stand for."""
    troubles = Chances(drawn[2])
    return Script(
        program_of(drawn[0], kinds),
        letters_of(Chances(drawn[1])),
        tuple(troubles.pick(*_TROUBLES) for _ in range(len(drawn[2]))),
    )


def scripts(*, timed: bool = True, troubles: bool = False, branches: bool = False) -> st.SearchStrategy[Script]:
    """Scripts; every wait that is reached soon has a letter that may answer it."""
    kinds = Kinds(timed=timed, fans=branches)
    return _bytes(troubles=troubles).map(lambda found: script_of(found, kinds))


@attrs.frozen
class Drawn:
    """The same bytes as a script for either colour: only ``async def`` workflows have branches."""

    plain: Script
    branched: Script

    def of(self, colour: Colour) -> Script:
        return self.branched if colour is as_async_def else self.plain


def scripts_by_colour(*, timed: bool = True, troubles: bool = False) -> st.SearchStrategy[Drawn]:
    """Scripts for tests of both colours."""
    plain, branched = Kinds(timed=timed), Kinds(timed=timed, fans=True)
    return _bytes(troubles=troubles).map(lambda found: Drawn(script_of(found, plain), script_of(found, branched)))


def _bytes(*, troubles: bool) -> st.SearchStrategy[tuple[bytes, ...]]:
    return chances(56, 90, 20, 30 if troubles else 0)


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
    _mine: set[str] = attrs.field(factory=set)

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
            hooks = self.lab.world[self.lab.ref].hooks.values()
            due_at = min((hook.due_at for hook in hooks), default=None)
            if self._mine and self.ticks and isinstance(self.ticks[-1].outcome, Checkpointed):
                due_at = self.lab.now  # the runner goes on at once
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
            world = self.lab.world
            noted: list[list[Any]] = [self.sightings, self.lab.plans, self.ticks, self.attempts]
            before = [len(each) for each in noted]
            self._plan(fired)
            self.lab.world = world
            for each, length in zip(noted, before, strict=True):
                del each[length:]
            self._mine.clear()
            return
        for _ in range(2 if trouble == "twice" else 1):
            plan = self.lab.apply(self._plan(fired))
            self._mine.add(plan.execution_id)
            self.ticks.append(plan)
            yield plan
        if self.ticks[-1].is_empty:  # somebody else is at work, or was (rule R1)
            self.lab.now += timedelta(seconds=1)

    def _hook(self, trouble: Trouble) -> FiredHook:
        stored = sorted(self.lab.world[self.lab.ref].hooks.values(), key=lambda hook: (hook.due_at, hook.id))
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
            self._mine.add(plan.execution_id)
            return Continue(self.lab.next_id("continued"))

        return self.lab.plan(
            fired=fired, perform=perform, commit=commit if self.continued else None, mine=frozenset(self._mine)
        )


def play(script: Script, colour: Colour = as_async_def, *, continued: bool = False) -> Play:
    """The whole script, played to its end."""
    return Play.begin(script, colour, continued=continued).to_its_end()


def printed(scripts: Sequence[Script]) -> str:
    """All plans of all scripts, as text."""
    return "\n".join(repr(plan) for script in scripts for plan in play(script).lab.plans)


def print_all(asked: IO[bytes], answers: IO[bytes]) -> None:
    """Print pickled scripts until there are no more: what :class:`Elsewhere` runs."""
    while True:
        try:
            scripts = pickle.load(asked)
        except EOFError:
            return
        pickle.dump(printed(scripts), answers)
        answers.flush()


class Elsewhere:
    """Another process, with a hash seed of its own, in which scripts are played."""

    def __init__(self, seed: str) -> None:
        code = "import sys; from tests.properties.play import print_all; print_all(sys.stdin.buffer, sys.stdout.buffer)"
        self._process = subprocess.Popen(
            [sys.executable, "-X", "utf8", "-c", code],
            env={"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": seed},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def __enter__(self) -> Self:
        return self

    def printed(self, scripts: Sequence[Script]) -> str:
        """As :func:`printed`."""
        asked, answers = self._process.stdin, self._process.stdout
        assert asked is not None
        assert answers is not None
        pickle.dump(scripts, asked)
        asked.flush()
        text: str = pickle.load(answers)
        return text

    def __exit__(self, *error: object) -> None:
        self._process.communicate()  # nothing more is asked: it ends
