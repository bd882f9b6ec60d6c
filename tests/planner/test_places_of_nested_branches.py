"""A branch of a map has begun when a body below it has run. Rule P1."""

from typing import Any

from tests.lab import MINUTE, Lab
from tests.planner.flights import Flights, body, doing, made
from wfcore.planner import AsyncStep


async def nested_then(step: AsyncStep, _item: int) -> Any:
    await step.gather("g", doing("a"))
    await step.sleep("nap", MINUTE)
    return await step.do("b", body)


def mapping() -> Lab:
    async def code(step: AsyncStep) -> Any:
        return await step.map("m", range(3), nested_then, max_concurrency=1, key=str)

    return made(code)


def test_p1_a_branch_below_which_a_body_has_run_goes_before_those_that_have_not_begun() -> None:
    flights = Flights(mapping()).lands("map:m[0]>gather:g[0]>do:a", 1).elapses(2 * MINUTE)
    assert ["map:m[0]>do:b"] == flights.lands("map:m[1]>gather:g[0]>do:a", 1).flying


def test_p1_a_branch_below_which_a_body_had_run_goes_first_on_replay_too() -> None:
    lab = mapping()
    Flights(lab).lands("map:m[0]>gather:g[0]>do:a", 1).crashes()
    lab.now += 2 * MINUTE
    assert ["map:m[0]>do:b"] == Flights(lab).flying
