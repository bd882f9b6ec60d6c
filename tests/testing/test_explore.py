"""`explore`: what it tries, what it finds, what it says."""

from datetime import UTC, datetime, timedelta
from itertools import cycle
from typing import Any

import attrs
import pytest

from tests.explore.canonical import CASES, RETRY, Approved, BusyError, body, child, messages, parent, starts
from tests.explore.naive import Naive
from wfcore import AsyncStep, Plan, Step, plan_tick, workflow
from wfcore.testing import Bodies, Engine, Exploration, WorldView, explore, fails, per_attempt, returns
from wfcore.testing.exploring import checks

SECOND = timedelta(seconds=1)
BY_NAME = {case.name: case for case in CASES}
ONE: Bodies = {"one": [returns("1")]}


@workflow(name="two-steps")
async def two_steps(step: AsyncStep) -> str:
    first = await step.do("one", body)
    return first + await step.do("two", body, retry=RETRY)


TWO: Bodies = {"one": [returns("1")], "two": [returns("2"), fails(BusyError())]}


# -- it explores everything


@pytest.mark.unmeasured
@pytest.mark.parametrize(("name", "dispatchers", "crashes"), [("retry", 2, 0), ("sleeps", 2, 1), ("fan-out", 1, 1)])
def test_the_results_are_those_of_an_enumerator_that_merges_nothing(name: str, dispatchers: int, crashes: int) -> None:
    case = attrs.evolve(BY_NAME[name], events=())
    found = case.explored(dispatchers=dispatchers, crashes=crashes, duplicates=0)
    naive = Naive(case, dispatchers, crashes).results()
    assert naive == {
        str(each).replace("'rc'", '"rc"').replace("'wr'", '"wr"').replace("'lrn'", '"lrn"') for each in found.results
    }


@pytest.mark.unmeasured
@pytest.mark.parametrize("name", BY_NAME)
def test_what_is_merged_makes_no_difference(name: str) -> None:
    case = BY_NAME[name]
    events = () if name in ("saga", "fan-out") else case.events[:1]
    bounds: dict[str, Any] = {"crashes": 1, "events": events}
    merged, exact = case.explored(**bounds), case.explored(**bounds, exact=True)
    assert (True, True) == (merged.ok, exact.ok)
    assert {str(each) for each in exact.results} == {str(each) for each in merged.results}
    assert exact.witnessed.keys() == merged.witnessed.keys()
    assert merged.states <= exact.states


@pytest.mark.unmeasured
@pytest.mark.parametrize("name", ["sleeps", "approval", "race"])
def test_a_canonical_workflow_is_explored_to_its_end(name: str) -> None:
    """The others take longer: ``python -m tests.explore``."""
    found = BY_NAME[name].explored(crashes=1)
    assert found.ok, found
    assert [] == BY_NAME[name].missing(found)


@pytest.mark.unmeasured
def test_more_dispatchers_see_more_states_and_the_same_results() -> None:
    two, three = (explore(two_steps, bodies=TWO, dispatchers=each).check() for each in (2, 3))
    assert two.states < three.states
    assert set(map(str, two.results)) == set(map(str, three.results))


def test_a_hook_may_fire_before_it_is_due() -> None:
    found = BY_NAME["sleeps"].explored(events=(), early_hooks=1).check()
    assert "early hook" not in found.witnessed  # it changes nothing (rule G7)
    assert found.ok


def test_too_many_states_are_not_ok() -> None:
    found = explore(two_steps, bodies=TWO, max_states=10)
    assert (False, False, None) == (found.ok, found.complete, found.counterexample)
    assert "max_states" in str(found)


def test_the_same_exploration_finds_the_same() -> None:
    assert explore(two_steps, bodies=TWO) == explore(two_steps, bodies=TWO)


# -- bodies


def test_a_step_without_outcomes_is_named() -> None:
    found = explore(two_steps, bodies=ONE).counterexample
    assert found is not None
    assert (checks.BODIES, True) == (found.invariant, "'do:two'" in found.message)


def test_an_outcome_without_a_step_is_named() -> None:
    found = explore(two_steps, bodies={**TWO, "three": [returns("3")]}).counterexample
    assert found is not None
    assert (checks.BODIES, True) == (found.invariant, "'three'" in found.message)


def test_no_outcomes_are_refused() -> None:
    with pytest.raises(ValueError, match="'one'"):
        explore(two_steps, bodies={"one": []})
    with pytest.raises(ValueError, match="per_attempt"):
        per_attempt([], [returns(1)])


def test_an_unknown_command_is_refused() -> None:
    with pytest.raises(ValueError, match="'stop'"):
        explore(two_steps, bodies=TWO, commands=["stop"])


@pytest.mark.unmeasured
@pytest.mark.parametrize(
    "commands", [["retry"], ["restart"], ["terminate"], ["pause", "resume"], ["terminate", "restart"]]
)
def test_commands_may_be_given_at_any_moment(commands: list[str]) -> None:
    found = explore(two_steps, bodies=TWO, commands=commands, duplicates=0, confluent=False).check()
    assert set(commands) <= found.witnessed.keys()


def test_outcomes_may_depend_on_the_attempt() -> None:
    bodies: Bodies = {**ONE, "two": per_attempt([fails(BusyError())], [returns("2")])}
    assert ["complete: '12'"] == [str(each) for each in explore(two_steps, bodies=bodies).check().results]


def test_a_value_that_does_not_fit_the_type_of_its_step_is_named() -> None:
    found = explore(two_steps, bodies={"one": [returns(1)], "two": [returns("2")]}).counterexample
    assert found is not None
    assert (checks.BODIES, True) == (found.invariant, "'do:one'" in found.message)


def test_a_body_may_queue_writes_and_messages() -> None:
    def once(world: WorldView) -> None:
        assert world.writes in ((), ("messaged",))
        events = world.other(child, "1").events
        assert len(events) == len(world.writes), events

    bodies: Bodies = {"start": [starts], "message": [messages], "read": [returns("r")]}
    explore(parent, bodies=bodies, workflows=[child], invariant=once).check()


# -- invariants of the user's


def test_the_counterexample_is_a_shortest_one() -> None:
    found = explore(two_steps, bodies=TWO, invariant=lambda world: "do:one" not in world.steps).counterexample
    assert found is not None
    expected = ["A takes two-steps#1#timer", "A runs do:one: 1", "A commits"]
    assert (checks.OWN, expected) == (found.invariant, [each.action for each in found.schedule])


def test_an_invariant_may_ask_how_often_a_body_has_run() -> None:
    found = explore(two_steps, bodies=TWO, crashes=0, duplicates=0, invariant=lambda world: world.body_runs("one") < 3)
    assert found.ok, found
    found = explore(two_steps, bodies=TWO, crashes=0, duplicates=0, invariant=lambda world: world.body_runs("one") < 2)
    assert found.counterexample is not None
    assert 4 == len(found.counterexample.schedule)


def test_an_invariant_may_look_at_the_clock() -> None:
    seen = set()

    def look(world: WorldView) -> None:
        seen.add(world.now)

    BY_NAME["sleeps"].explored(events=(), invariant=look).check()
    start = datetime(2026, 1, 1, tzinfo=UTC)
    assert {0, 5, 65} <= {(each - start).seconds for each in seen}


def test_results_have_to_be_equal_if_bodies_did_the_same() -> None:
    @workflow(name="clock")
    async def clock(step: AsyncStep) -> str:
        await step.do("one", body)
        began = step.now()
        await step.do("two", body)
        return "late" if step.now() > began else "soon"

    bodies: Bodies = {**ONE, "two": [returns("2")]}
    found = explore(clock, bodies=bodies).counterexample
    assert found is not None
    assert checks.EQUAL_RESULTS == found.invariant
    assert {"'soon'", "'late'"} == {
        repr(each.output) for each in explore(clock, bodies=bodies, confluent=False).results
    }
    namespace: dict[str, Any] = {"explored": lambda **more: explore(clock, bodies=bodies, **more)}
    exec(found.as_test(), namespace)
    with pytest.raises(AssertionError):
        namespace["test_explored_keeps_its_invariants"]()


# -- what code may look at


@workflow(name="output-now")
async def output_now(step: AsyncStep) -> datetime:
    await step.do("one", body)
    return step.now()


@workflow(name="absolute")
def absolute(step: Step) -> str:
    step.sleep_until("noon", datetime(2026, 1, 1, 12, tzinfo=UTC))
    return step.do("one", body)


@workflow(name="relative")
def relative(step: Step) -> str:
    step.do("one", body)
    step.sleep_until("soon", step.now() + 20 * SECOND)
    return "done"


@pytest.mark.parametrize("flow", [output_now, absolute, relative], ids=lambda each: each.name)
def test_instants_that_code_looks_at_are_told_apart(flow: Any) -> None:
    merged, exact = explore(flow, bodies=ONE, confluent=False), explore(flow, bodies=ONE, confluent=False, exact=True)
    assert merged.check().results == exact.check().results


def test_an_invariant_may_look_at_the_past() -> None:
    years: set[int] = set()

    def look(world: WorldView) -> None:
        years.update(step.settled_at.year for step in world.steps.values() if step.settled_at is not None)

    explore(two_steps, bodies=TWO, invariant=look).check()
    assert {2026} == years


def test_code_that_is_not_deterministic_is_found() -> None:
    flips = cycle("ab")

    @workflow(name="flipping")
    async def flipping(step: AsyncStep) -> str:
        await step.do("one", body)
        return await step.do(next(flips), body)

    found = explore(flipping, bodies={**ONE, "a": [returns("a")], "b": [returns("b")]}).counterexample
    assert found is not None
    assert found.invariant in (checks.REPLAY, checks.CODE)


def test_a_body_that_runs_at_most_once_is_explored_with_its_deadline() -> None:
    @workflow(name="once")
    async def once(step: AsyncStep) -> str:
        return await step.do("one", body, at_most_once=30 * SECOND)

    completed, interrupted = sorted(map(str, explore(once, bodies=ONE).check().results))
    assert "complete: '1'" == completed
    assert "StepInterruptedError" in interrupted


def test_a_body_that_takes_an_event_is_named_by_its_wait() -> None:
    @workflow(name="taking")
    async def taking(step: AsyncStep) -> str:
        return (await step.wait_for_event("note", Approved, on_consume=lambda attempt, received: None)).payload

    bodies: Bodies = {"wait_for_event:note": [returns(None)]}
    found = explore(taking, bodies=bodies, events=[(Approved, "eva")]).check()
    assert ["complete: 'eva'"] == [str(each) for each in found.results]


# -- liveness, and schedules


def test_a_planner_that_never_does_anything_is_found() -> None:
    def lazy(snapshot: Any, *arguments: Any, execution_id: str, **others: Any) -> Plan:
        plan = plan_tick(snapshot, *arguments, execution_id=execution_id, **others)
        return attrs.evolve(plan, mutations=(), preconditions=())

    engine = Engine(plan_tick=lazy)
    found = BY_NAME["sleeps"].explored(events=(), engine=engine).counterexample
    assert found is not None
    assert checks.GOES_ON == found.invariant
    namespace: dict[str, Any] = {
        "explored": lambda **more: BY_NAME["sleeps"].explored(events=(), engine=engine, **more)
    }
    exec(found.as_test(), namespace)
    with pytest.raises(AssertionError, match=found.invariant):
        namespace["test_explored_keeps_its_invariants"]()


def test_a_schedule_is_played_as_far_as_it_is_possible() -> None:
    schedule = ["A takes two-steps#1#timer", "A runs do:one: 1", "A flies"]
    found = explore(two_steps, bodies=TWO, schedule=schedule)
    assert (True, False, 2) == (found.ok, found.complete, found.transitions)


def test_the_witness_of_a_result_can_be_played() -> None:
    for result in explore(two_steps, bodies=TWO).results:
        schedule = [each.action for each in result.schedule]
        assert (result,) == explore(two_steps, bodies=TWO, schedule=schedule).results


def test_check_gives_the_exploration_or_raises() -> None:
    found = explore(two_steps, bodies=TWO)
    assert found is found.check()
    with pytest.raises(AssertionError, match="bodies"):
        explore(two_steps, bodies=ONE).check()


def test_an_exploration_says_what_it_has_seen() -> None:
    text = str(explore(two_steps, bodies=TWO))
    assert all(each in text for each in ("ok", "states", "conflict", "crash", "complete: '12'"))
    assert isinstance(explore(two_steps, bodies=TWO), Exploration)
    assert Approved is not None
