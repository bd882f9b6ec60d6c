"""The model checker can fail: engines that are broken on purpose are caught, each by the invariant it breaks."""

from functools import cache
from typing import Any

import attrs
import pytest

from tests.explore.canonical import CASES, Case, body
from tests.testing.sabotage import broken
from tests.testing.sabotage.broken import SECOND, misled, mutated, planner
from wfcore import AsyncStep, Step, workflow
from wfcore.testing import Engine, Exploration, returns
from wfcore.testing.exploring import checks

BOUNDS = {"crashes": 1, "duplicates": 1}
SOUND = Engine()


@workflow(name="once")
async def once(step: AsyncStep) -> str:
    return await step.do("charge", body, at_most_once=30 * SECOND)


@workflow(name="arrivals")
async def arrivals(step: AsyncStep) -> str:
    seen: list[str] = []

    async def two(step: AsyncStep) -> None:
        seen.append(await step.do("first", body))
        seen.append(await step.do("second", body))

    async def one(step: AsyncStep) -> None:
        seen.append(await step.do("other", body))

    await step.gather("parts", two, one)
    return "".join(seen)


@workflow(name="sleeps")
def renamed(step: Step) -> str:
    step.sleep("renamed", 5 * SECOND)
    return "renamed"


BY_NAME = {case.name: case for case in CASES} | {
    "once": Case(workflow=once, bodies={"charge": [returns("c")]}, events=()),
    "arrivals": Case(workflow=arrivals, bodies={name: [returns(name[0])] for name in ("first", "second", "other")}),
}
BY_NAME = {name: attrs.evolve(case, events=case.events[:1]) for name, case in BY_NAME.items()}
REBORN = attrs.evolve(BY_NAME["approval"], events=(), commands=("terminate", "delete", "create"))
RESTARTED = attrs.evolve(BY_NAME["approval"], events=(), commands=("restart",))
ALONE = {name: attrs.evolve(case, events=()) for name, case in BY_NAME.items()}


@attrs.frozen
class Sabotage:
    """What is broken, in which workflow it shows, and which invariant finds it; and what it is without the break."""

    name: str
    engine: Engine
    case: Case
    invariant: str
    sound: Engine = SOUND

    def explored(self, **more: Any) -> Exploration:
        return self.case.explored(engine=self.engine, **BOUNDS, **more)

    def intact(self, **more: Any) -> Exploration:
        return self.case.explored(engine=self.sound, **BOUNDS, **more)


SABOTAGES = [
    Sabotage("no version check", Engine(evolve=broken.without_version), ALONE["retry"], checks.ONE_COMMIT),
    Sabotage("version without incarnation", Engine(evolve=broken.without_incarnation), REBORN, checks.ONE_COMMIT),
    Sabotage("deletes unseen hooks", Engine(evolve=broken.sweeping), BY_NAME["approval"], checks.WAKE_UP),
    Sabotage("half a plan applied", Engine(evolve=broken.half), ALONE["retry"], checks.WAKE_UP),
    Sabotage("hook dropped on conflict", Engine(after_conflict=broken.drops_the_hook), ALONE["retry"], checks.WAKE_UP),
    Sabotage(
        "a lost tick writes its timer", Engine(after_conflict=broken.writes_its_timer), ALONE["sleeps"], checks.WAKE_UP
    ),
    Sabotage("deletes the new run's timer", planner(broken.deletes_the_new_timer), RESTARTED, checks.WAKE_UP),
    Sabotage("counts cancelled waits", planner(broken.counts_cancelled_waits), BY_NAME["race"], checks.WAKE_UP),
    Sabotage("forgets the timer of a branch", planner(broken.forgets_a_branch), ALONE["fan-out"], checks.WAKE_UP),
    Sabotage("takes one event twice", planner(mutated(broken.leaves_the_event)), BY_NAME["approval"], checks.ONE_TAKER),
    Sabotage(
        "an event is taken by nobody", planner(mutated(broken.loses_the_taker)), BY_NAME["approval"], checks.NO_LOSS
    ),
    Sabotage("a late tick ignores the mailbox", misled(broken.too_late), BY_NAME["approval"], checks.NO_LOSS),
    Sabotage("completes sleeps by reason", misled(broken.by_reason), ALONE["sleeps"], checks.NOT_EARLY),
    Sabotage("time base of the firing only", misled(broken.time_of_the_firing), BY_NAME["race"], checks.NOT_EARLY),
    Sabotage("retries at once", misled(broken.impatient), ALONE["retry"], checks.NOT_EARLY),
    Sabotage("puts sleeps off", planner(broken.extends_waits), BY_NAME["sleeps"], checks.NOT_EARLY),
    Sabotage("forgets attempts", planner(mutated(broken.forgets_attempts)), ALONE["retry"], checks.BODY_RUNS),
    Sabotage("wakes the dead", planner(broken.wakes_the_dead), ALONE["retry"], checks.ABSORBS),
    Sabotage("records something else", planner(mutated(broken.records_something_else)), ALONE["retry"], checks.REPLAY),
    Sabotage(
        "at most once without deadline", planner(mutated(broken.starts_without_deadline)), ALONE["once"], checks.GOES_ON
    ),
    Sabotage("resumes a settled branch at once", misled(broken.at_once), ALONE["arrivals"], checks.REPLAY),
    Sabotage(
        "checks only settled records for mismatches",
        broken.deployed(renamed, broken.settled_records),
        ALONE["sleeps"],
        checks.WAKE_UP,
        sound=broken.deployed(renamed, broken.all_records),
    ),
    Sabotage(
        "defers the fired copy",
        broken.deferring(broken.defers_the_fired_copy),
        ALONE["sleeps"],
        checks.WAKE_UP,
        sound=broken.deferring(broken.defers),
    ),
]


@cache
def intact(shape: tuple[object, ...]) -> Exploration:
    return next(each for each in SABOTAGES if _shape(each) == shape).intact()


def _shape(sabotage: Sabotage) -> tuple[object, ...]:
    case = sabotage.case
    return case.name, len(case.events), tuple(case.commands), sabotage.sound


@pytest.mark.parametrize("sabotage", SABOTAGES, ids=lambda each: each.name)
def test_a_broken_engine_is_caught_by_the_invariant_that_it_breaks(sabotage: Sabotage) -> None:
    assert intact(_shape(sabotage)).ok, intact(_shape(sabotage))
    found = sabotage.explored().counterexample
    assert found is not None
    assert (sabotage.invariant, True) == (found.invariant, len(found.schedule) <= 10), found.table()


@pytest.mark.parametrize("sabotage", SABOTAGES, ids=lambda each: each.name)
def test_its_counterexample_as_a_test_fails_in_the_same_way(sabotage: Sabotage) -> None:
    found = sabotage.explored().counterexample
    assert found is not None
    namespace: dict[str, Any] = {"explored": sabotage.explored}
    exec(found.as_test(), namespace)
    with pytest.raises(AssertionError, match=found.invariant):
        namespace["test_explored_keeps_its_invariants"]()
    sound: dict[str, Any] = {"explored": sabotage.intact}
    exec(found.as_test(), sound)
    sound["test_explored_keeps_its_invariants"]()


def test_there_are_at_least_fifteen() -> None:
    assert len(SABOTAGES) >= 15
