"""How much work a tick with many branches is: calls of functions are counted, no time is taken. Rules P1, P2, W10."""

import gc
import sys
import weakref
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import attrs
import pytest

from tests.lab import MINUTE, T0, Lab
from tests.planner.flights import Flights, made
from tests.planner.rows import event
from wfcore.plan import Plan
from wfcore.planner import AsyncStep, Attempt, Continue
from wfcore.retry import Retry

Branch = Callable[[AsyncStep, int], Any]


def one(_attempt: Attempt) -> int:
    return 1


def fails_once(attempt: Attempt) -> int:
    return 1 // (attempt.number - 1)


async def do(step: AsyncStep, _item: int) -> Any:
    return await step.do("a", one)


async def sleep_and_do(step: AsyncStep, _item: int) -> Any:
    await step.sleep("nap", MINUTE)
    return await step.do("a", one)


async def time_out(step: AsyncStep, _item: int) -> Any:
    return await step.race("r", lambda s: s.wait_for_event("e", "e"), lambda s: s.sleep("late", MINUTE))


async def retry(step: AsyncStep, _item: int) -> Any:
    return await step.do("a", fails_once, retry=Retry(max_attempts=2, delay=MINUTE))


async def race(step: AsyncStep, _item: int) -> Any:
    return await step.race("r", lambda s: s.do("a", one), lambda s: s.sleep("late", MINUTE))


async def map_again(step: AsyncStep, _item: int) -> Any:
    return await step.map("inner", range(3), do, max_concurrency=2)


def spread(branch: Branch, size: int, **options: Any) -> Lab:
    async def code(step: AsyncStep) -> int:
        return len(await step.map("m", range(size), branch, **options))

    return made(code)


def calls(run: Callable[[], object]) -> int:
    """How many functions were called, those of C too."""
    count = 0

    def profile(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    gc.disable()  # what it calls depends on what ran before
    sys.setprofile(profile)
    try:
        run()
    finally:
        sys.setprofile(None)
        gc.enable()
    return count


def tick(lab: Lab) -> None:
    """One tick with checkpoints that are said to be committed and are not applied, which is work of its own."""
    plan = lab.plan(commit=committed)
    assert plan.mutations


def committed(_plan: Plan) -> Continue:
    return Continue("again")


def second_tick(lab: Lab) -> None:
    lab.now = T0 + 2 * MINUTE
    tick(lab)


def prepared(branch: Branch, size: int, *, ticked: bool, **options: Any) -> Callable[[], None]:
    """The tick that is measured."""
    lab = spread(branch, size, **options)
    if not ticked:
        return lambda: tick(lab)
    lab.apply(lab.plan(commit=lambda plan: Continue(lab.apply(plan).execution_id)))
    return lambda: second_tick(lab)


@pytest.mark.parametrize(
    ("branch", "ticked", "options"),
    [
        pytest.param(do, False, {}, id="bodies"),
        pytest.param(do, False, {"max_concurrency": 10_000}, id="bodies without bound"),
        pytest.param(sleep_and_do, False, {}, id="sleeps that are made"),
        pytest.param(sleep_and_do, True, {}, id="sleeps that are over"),
        pytest.param(time_out, True, {}, id="waits that are over"),
        pytest.param(retry, False, {}, id="attempts that fail"),
        pytest.param(retry, True, {}, id="second attempts"),
        pytest.param(race, False, {}, id="races"),
        pytest.param(map_again, False, {"max_concurrency": 1_000}, id="maps in a map"),
    ],
)
def test_p1_work_grows_with_the_number_of_items_and_not_faster(
    branch: Branch, ticked: bool, options: dict[str, Any]
) -> None:
    few = calls(prepared(branch, 25, ticked=ticked, **options))
    many = calls(prepared(branch, 100, ticked=ticked, **options))
    assert many / few < 4.2


class Compared(str):
    """A type of event; comparing it is a call that is counted."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return str.__eq__(self, other)

    def __hash__(self) -> int:
        return str.__hash__(self)


def test_w5_of_a_type_for_each_branch_work_grows_with_waits_times_events_at_most() -> None:
    """After a long pause all events that branches wait for may be there at once."""

    async def branch(step: AsyncStep, item: int) -> None:
        await step.wait_for_event("e", str(item))

    def all_at_once(size: int) -> int:
        lab = spread(branch, size)
        lab.tick()
        snapshot = lab.snapshot()
        events = (event(f"e{number}", instance_ref=lab.ref, type=Compared(number)) for number in range(size))
        lab.put(attrs.evolve(snapshot, events=tuple(events)))
        return calls(lambda: tick(lab))

    assert all_at_once(160) / all_at_once(40) < 4 * 4


def test_p1_a_branch_that_has_ended_does_not_hold_on_to_what_its_steps_were_made_of() -> None:
    class Large:
        """Something that a body closes over."""

    held: list[weakref.ref[Large]] = []

    async def branch(step: AsyncStep, item: int) -> None:
        large = Large()
        held.append(weakref.ref(large))
        await step.do("a", partial(use, large, item))

    def use(_large: Large, _item: int, _attempt: Attempt) -> None:
        return

    async def code(step: AsyncStep) -> None:
        await step.map("m", range(2), branch)

    flights = Flights(made(code)).lands("map:m[0]>do:a")
    gc.collect()
    assert ([None, Large], ["map:m[1]>do:a"]) == ([each() and type(each()) for each in held], flights.flying)


def test_p1_the_replay_of_a_map_is_work_that_grows_with_its_items_and_not_faster() -> None:
    def replay(size: int) -> int:
        async def code(step: AsyncStep) -> None:
            await step.map("m", range(size), do)
            await step.sleep("long", 2 * MINUTE)

        lab = made(code, checkpoint="tick")
        lab.tick()
        rows = lab.world[lab.ref]
        assert rows.instance is not None
        lab.world = {lab.ref: attrs.evolve(rows, instance=attrs.evolve(rows.instance, status="active"))}
        lab.now += timedelta(minutes=3)
        return calls(lambda: tick(lab))

    assert replay(100) / replay(25) < 5
