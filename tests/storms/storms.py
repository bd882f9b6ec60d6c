"""Storms: 24 instances, two dispatchers, and a seed that lets them run into each other as often as it can.

After every commit, every instance that it touches keeps rule O5. In the end all instances are complete, with the result
that they have when nobody disturbs them, and each end was derived once more from its records: the simulation does that.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import attrs

from wfadapters.memory import MemoryStore
from wfcore import AsyncStep, Attempt, PutStep, Registry, Step, Workflow, Write, workflow
from wfcore.planner import breaks_o5
from wfcore.testing import SimulatedHandle, Simulation, VirtualClock

INSTANCES = 24
SECOND = timedelta(seconds=1)


def body(number: int, attempt: Attempt) -> int:
    attempt.write((attempt.idempotency_key, number))
    return number


# -- the workflows


@workflow(name="listening")
def listening(step: Step) -> list[object]:
    """Eight events, and a step after each."""
    heard: list[object] = []
    for number in range(8):
        heard.append(step.wait_for_event("word", "word").payload)
        step.do("one", partial(body, number))
    return sorted(heard, key=str)


@workflow(name="long")
def long(step: Step) -> int:
    """Twelve steps, one after the other."""
    return sum(step.do("one", partial(body, number)) for number in range(12))


@workflow(name="waking")
def waking(step: Step) -> int:
    """Eight naps, and a step after each."""
    total = 0
    for number in range(8):
        step.sleep("nap", SECOND)
        total += step.do("one", partial(body, number))
    return total


async def blocked(step: AsyncStep) -> object:
    return (await step.wait_for_event("word", "word")).payload


async def busy(step: AsyncStep) -> int:
    total = 0
    for number in range(4):
        total += await step.do("one", partial(body, number))
        await step.sleep("nap", SECOND)
    return total


@workflow(name="branching")
async def branching(step: AsyncStep) -> list[Any]:
    """Two branches at work, and one that waits all the time."""
    return list(await step.gather("all", blocked, busy, busy))


# -- the storms


def talk(sim: Simulation, runs: list[SimulatedHandle[Any]]) -> None:
    """Every word as an event of its own, in bursts."""
    for run in runs:
        for number in range(8):
            sim.deliver(run, "word", f"word {number}", at=SECOND * (number // 3))


def unblock(sim: Simulation, runs: list[SimulatedHandle[Any]]) -> None:
    for run in runs:
        sim.deliver(run, "word", "go on", at=3 * SECOND)


def nothing(sim: Simulation, runs: list[SimulatedHandle[Any]]) -> None:
    pass


@attrs.frozen
class Storm:
    """One kind of storm.

    Attributes:
        workflow: what every instance runs.
        result: what each of them comes to.
        disturb: what else happens.
        most: body runs per step must stay under this; two dispatchers that do not get along make 2.
    """

    workflow: Workflow[Any, Any]
    result: object
    disturb: Callable[[Simulation, list[SimulatedHandle[Any]]], None] = nothing
    most: float = 1.5


STORMS = {
    "hooks": Storm(listening, [f"word {number}" for number in range(8)], talk),
    "steps": Storm(long, sum(range(12)), most=1.2),
    "wakes": Storm(waking, sum(range(8))),
    "blocked branch": Storm(branching, ["go on", 6, 6], unblock),
}


@attrs.frozen
class Figures:
    """What is counted: commits of ticks, conflicts, bodies that ran, steps that have a result."""

    seeds: int = 0
    commits: int = 0
    conflicts: int = 0
    bodies: int = 0
    steps: int = 0
    worst: float = 0.0

    @property
    def bodies_per_step(self) -> float:
        return self.bodies / self.steps

    def __add__(self, other: Figures) -> Figures:
        return Figures(
            self.seeds + other.seeds,
            self.commits + other.commits,
            self.conflicts + other.conflicts,
            self.bodies + other.bodies,
            self.steps + other.steps,
            max(self.worst, other.worst),
        )

    def __str__(self) -> str:
        return (
            f"{self.seeds:4} seeds, {self.commits / self.seeds:6.0f} commits each, "
            f"{self.conflicts / self.commits:.3f} conflicts per commit, {self.bodies_per_step:.3f} body runs per step "
            f"(worst seed {self.worst:.3f})"
        )


def blow(storm: Storm, seed: int, *, continuations: bool = True) -> Figures:
    """Let one storm pass, and count. Raises ``AssertionError`` if anything is lost."""
    clock, broken = VirtualClock(), list[str]()
    store = MemoryStore(clock)
    store.listen(lambda ref: broken.extend(filter(None, [breaks_o5(store.retrieve(ref))])))
    registry = Registry([storm.workflow])
    sim = Simulation(registry, seed=seed, store=store, clock=clock, dispatchers=2, continuations=continuations)
    sim.duplicate_hooks()
    runs = [sim.create(storm.workflow, id=str(number)) for number in range(INSTANCES)]
    storm.disturb(sim, runs)
    for run in runs:
        sim.run_until_done(run)
    sim.run_until_idle()
    sim.check()
    assert [] == broken, "rule O5"
    assert [storm.result] * INSTANCES == [run.result() for run in runs]
    return _figures(sim)


def _figures(sim: Simulation) -> Figures:
    settled = [
        each.step.key
        for plan in sim.plans
        for each in plan.mutations
        if isinstance(each, PutStep) and each.step.kind == "do" and each.step.sequence is not None
    ]
    writes = [each for plan in sim.plans for each in plan.mutations if isinstance(each, Write)]
    assert len(settled) == len(writes) == len(set(sim.writes)), "a step settles once, and writes once"
    bodies, steps = sim.body_runs("one"), len(settled)
    conflicts = sum(row.outcome.startswith("Conflict") for row in sim.trace)
    commits = sum(row.who != "test" and not row.outcome.startswith(("Conflict", "Ignored")) for row in sim.trace)
    return Figures(1, commits, conflicts, bodies, steps, bodies / steps)
