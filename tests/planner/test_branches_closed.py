"""What becomes of branches whose group is decided without them, where a body or a group below is at stake (P4, P5)."""

from __future__ import annotations

from functools import partial

import pytest

from tests.lab import MINUTE
from tests.planner.flights import Flights, doing, made
from wfcore import AsyncStep, StepFailedError


def test_p4_open_records_below_the_other_branches_are_cancelled_too() -> None:
    async def nested(step: AsyncStep) -> None:
        await step.gather("inner", lambda s: s.sleep("a", MINUTE), lambda s: s.sleep("b", MINUTE))

    async def code(step: AsyncStep) -> None:
        with pytest.raises(StepFailedError):
            await step.gather("g", nested, doing("bad"))
        await step.sleep("later", MINUTE)

    lab = made(code)
    Flights(lab).lands("gather:g[1]>do:bad", ValueError())
    assert {
        "gather:g[0]>gather:inner[0]>sleep:a": "cancelled",
        "gather:g[0]>gather:inner[1]>sleep:b": "cancelled",
        "gather:g[1]>do:bad": "errored",
        "sleep:later": "waiting",
    } == {key: step.status for key, step in lab.steps().items()}


def test_p4_the_failure_is_raised_when_bodies_in_flight_have_been_recorded_and_not_before() -> None:
    story: list[str] = []

    async def code(step: AsyncStep) -> None:
        with pytest.raises(StepFailedError):
            await step.gather("g", doing("bad"), doing("good"))
        story.append("raised")

    flights = Flights(made(code)).lands("gather:g[0]>do:bad", ValueError())
    story.append("recorded")
    flights.lands("gather:g[1]>do:good", 1)
    assert ["recorded", "raised"] == story


def test_p5_a_body_that_waits_for_its_turn_is_not_started_after_the_race() -> None:
    async def branch(ran: list[str], name: str, step: AsyncStep) -> None:
        await step.do(name, lambda attempt: ran.append(name))

    async def code(step: AsyncStep) -> list[str]:
        ran: list[str] = []
        await step.race("r", partial(branch, ran, "a"), partial(branch, ran, "b"))
        await step.do("c", lambda attempt: ran.append("c"))
        return ran

    lab = made(code, checkpoint="tick")
    lab.tick()
    assert '["a","c"]' == lab.instance.output
