"""The model checker can fail: engines that are broken on purpose are caught, each by the invariant it breaks."""

from functools import cache
from typing import Any

import attrs
import pytest

from tests.explore.canonical import CASES, Case, body
from tests.testing.sabotage import broken
from tests.testing.sabotage.broken import SECOND, misled, mutated, planner
from wfcore import AsyncStep, workflow
from wfcore.testing import Engine, Exploration, explore, returns
from wfcore.testing.exploring import checks

BOUNDS = {"crashes": 1, "duplicates": 1}


@workflow(name="once")
async def once(step: AsyncStep) -> str:
    return await step.do("charge", body, at_most_once=30 * SECOND)


BY_NAME = {case.name: case for case in CASES} | {
    "once": Case(workflow=once, bodies={"charge": [returns("c")]}, events=())
}
BY_NAME = {name: attrs.evolve(case, events=case.events[:1]) for name, case in BY_NAME.items()}
REBORN = attrs.evolve(BY_NAME["approval"], events=(), commands=("terminate", "delete", "create"))
RESTARTED = attrs.evolve(BY_NAME["approval"], events=(), commands=("restart",))
ALONE = {name: attrs.evolve(case, events=()) for name, case in BY_NAME.items()}


@attrs.frozen
class Sabotage:
    """What is broken, in which workflow it shows, and which invariant finds it."""

    name: str
    engine: Engine
    case: Case
    invariant: str

    def explored(self, **more: Any) -> Exploration:
        return self.case.explored(engine=self.engine, **BOUNDS, **more)


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
]


@cache
def intact(name: str, events: int, commands: tuple[str, ...]) -> Exploration:
    case = next(each.case for each in SABOTAGES if _shape(each.case) == (name, events, commands))
    return case.explored(**BOUNDS)


def _shape(case: Case) -> tuple[str, int, tuple[str, ...]]:
    return case.name, len(case.events), tuple(case.commands)


@pytest.mark.parametrize("sabotage", SABOTAGES, ids=lambda each: each.name)
def test_a_broken_engine_is_caught_by_the_invariant_that_it_breaks(sabotage: Sabotage) -> None:
    assert intact(*_shape(sabotage.case)).ok, intact(*_shape(sabotage.case))
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
    sound: dict[str, Any] = {"explored": lambda schedule: sabotage.case.explored(**BOUNDS, schedule=schedule)}
    exec(found.as_test(), sound)
    sound["test_explored_keeps_its_invariants"]()


def test_there_are_at_least_fifteen() -> None:
    assert len(SABOTAGES) >= 15
    assert explore is not None
