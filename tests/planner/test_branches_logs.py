"""Lines that branches log: each once, when it is new. Rule D8."""

from typing import Any

import pytest

from tests.lab import MINUTE, T0, Lab
from tests.planner.flights import Flights, body, doing, made
from wfcore.errors import StepFailedError
from wfcore.planner import AsyncStep


def lines(lab: Lab) -> list[str]:
    """All that was emitted, in order."""
    return [line.message for plan in lab.plans for line in plan.logs]


def saying(line: str, name: str = "v") -> Any:
    async def branch(step: AsyncStep) -> Any:
        step.log(line)
        return await step.do(name, body)

    return branch


async def _immediately(_step: AsyncStep) -> int:
    return 1


def test_d8_lines_of_branches_are_emitted_with_their_next_records() -> None:
    async def code(step: AsyncStep) -> None:
        await step.gather("g", saying("a"), saying("b"))

    lab = made(code)
    flights = Flights(lab).lands("gather:g[1]>do:v", 1)
    first = lines(lab)
    flights.lands("gather:g[0]>do:v", 1)
    assert (["b"], ["b", "a"]) == (first, lines(lab))


def test_d8_lines_before_a_group_go_with_the_first_record_in_it() -> None:
    async def code(step: AsyncStep) -> None:
        step.log("before")
        await step.gather("g", saying("a"), saying("b"))

    lab = made(code)
    Flights(lab).lands("gather:g[1]>do:v", 1)
    assert ["before", "b"] == lines(lab)


def test_d8_lines_before_a_group_go_with_the_first_record_at_any_depth() -> None:
    async def inner(step: AsyncStep) -> None:
        step.log("inner")
        await step.race("r", saying("a"), saying("b"))

    async def code(step: AsyncStep) -> None:
        step.log("outer")
        await step.gather("g", inner, saying("c"))

    lab = made(code)
    Flights(lab).lands("gather:g[0]>race:r[1]>do:v", 1)
    assert ["outer", "inner", "b"] == lines(lab)


def test_d8_lines_before_an_empty_group_go_with_the_next_record() -> None:
    async def code(step: AsyncStep) -> None:
        step.log("before")
        await step.gather("g")
        step.log("after")
        await step.do("v", body)

    lab = made(code)
    Flights(lab).lands("do:v", 1)
    assert ["before", "after"] == lines(lab)


def test_d8_what_a_branch_says_last_goes_with_the_next_record_after_the_group() -> None:
    async def talks(step: AsyncStep) -> None:
        await step.do("v", body)
        step.log("last")

    async def code(step: AsyncStep) -> None:
        await step.gather("g", talks)
        step.log("after")

    lab = made(code)
    Flights(lab).lands("gather:g[0]>do:v", 1)
    assert ["last", "after"] == lines(lab)


@pytest.mark.parametrize("crash_after", range(5))
def test_d8_each_line_is_emitted_once_wherever_the_process_dies(crash_after: int) -> None:
    async def branch(step: AsyncStep) -> None:
        for number in range(2):
            step.log(f"{number}")
            await step.do("v", body)
        step.log("end")

    async def code(step: AsyncStep) -> None:
        step.log("before")
        await step.gather("g", branch, branch)
        step.log("after")
        await step.do("last", body)

    lab = made(code)
    flights = Flights(lab)
    for _ in range(crash_after):
        flights.lands(flights.flying[0], 1)
    flights.crashes()
    lab.now += MINUTE
    flights = Flights(lab)
    while flights.flying:
        flights.lands(flights.flying[0], 1)
    assert sorted(["before", "0", "1", "end", "0", "1", "end", "after"]) == sorted(lines(lab))


# -- losers


async def racing(step: AsyncStep) -> None:
    await step.race("r", saying("a", "fast"), saying("b", "slow"))
    step.log("after")
    await step.do("then", body)


def test_d8_lines_of_a_loser_are_emitted_with_its_late_record() -> None:
    lab = made(racing)
    Flights(lab).lands("race:r[0]>do:fast", 1).lands("race:r[1]>do:slow", 1).lands("do:then", 1)
    assert ["a", "b", "after"] == lines(lab)


def test_d8_lines_of_a_loser_whose_body_was_cancelled_are_emitted_all_the_same() -> None:
    lab = made(racing)
    Flights(lab).lands("race:r[0]>do:fast", 1).drops("race:r[1]>do:slow").lands("do:then", 1)
    assert ["a", "after", "b"] == lines(lab)


def test_d8_lines_of_a_loser_that_was_cancelled_at_the_end_are_emitted_all_the_same() -> None:
    async def code(step: AsyncStep) -> None:
        await step.race("r", saying("a", "fast"), saying("b", "slow"))

    lab = made(code)
    Flights(lab).lands("race:r[0]>do:fast", 1).drops("race:r[1]>do:slow")
    assert ["a", "b"] == lines(lab)


def test_d8_lines_of_a_loser_that_has_left_no_record_go_with_the_next() -> None:
    async def code(step: AsyncStep) -> None:
        await step.race("r", saying("a"), _immediately)
        step.log("after")
        await step.do("then", body)

    lab = made(code)
    Flights(lab).lands("do:then", 1)
    assert ["a", "after"] == lines(lab)


def test_d8_lines_of_an_open_wait_of_a_loser_were_emitted_when_it_was_opened() -> None:
    async def waits(step: AsyncStep) -> None:
        step.log("waiting")
        await step.wait_for_event("e", "e")

    async def code(step: AsyncStep) -> None:
        await step.race("r", waits, lambda s: s.sleep("nap", MINUTE))
        step.log("after")

    lab = made(code)
    lab.tick()
    first = lines(lab)
    lab.tick(at=T0 + MINUTE)
    assert (["waiting"], ["waiting", "after"]) == (first, lines(lab))


def test_d8_lines_around_a_race_that_leaves_no_record_wait_for_the_group_around_it() -> None:
    """They go with the first record of that group, and are not lost if another branch makes it."""

    async def branch(step: AsyncStep) -> None:
        await step.race("r", saying("a"), _immediately)
        await step.do("slow", body)

    async def code(step: AsyncStep) -> None:
        step.log("before")
        await step.gather("g", branch, doing("v"))

    lab = made(code)
    Flights(lab).lands("gather:g[1]>do:v", 1).crashes()
    first = lines(lab)
    lab.now += MINUTE
    Flights(lab).lands("gather:g[0]>do:slow", 1)
    assert (["before"], ["before", "a"]) == (first, lines(lab))


def test_d8_lines_of_the_siblings_of_a_failure_are_emitted_with_their_records() -> None:
    async def code(step: AsyncStep) -> None:
        try:
            await step.gather("g", saying("a", "bad"), saying("b", "good"))
        except StepFailedError:
            step.log("failed")

    lab = made(code)
    Flights(lab).lands("gather:g[0]>do:bad", ValueError("no")).lands("gather:g[1]>do:good", 1)
    assert ["a", "b", "failed"] == lines(lab)


def test_d8_lines_of_a_map_are_not_emitted_again_on_replay() -> None:
    async def item(step: AsyncStep, number: int) -> None:
        step.log(str(number))
        await step.sleep("nap", MINUTE)

    async def code(step: AsyncStep) -> None:
        step.log("before")
        await step.map("m", [1, 2], item)

    lab = made(code)
    lab.tick()
    lab.tick(at=T0 + MINUTE)
    assert ["before", "1", "2"] == lines(lab)


async def _empty(step: AsyncStep) -> None:
    pass


async def _group_that_ends(step: AsyncStep) -> None:
    step.log("of a loser")
    await step.gather("g")


async def _group_that_begins(step: AsyncStep) -> None:
    step.log("of a loser")
    await step.gather("g", _empty)


@pytest.mark.parametrize("loser", [_group_that_ends, _group_that_begins])
def test_d8_what_a_loser_has_logged_before_a_group_without_records_is_emitted(loser: Any) -> None:
    async def race(step: AsyncStep) -> None:
        await step.race("r", loser, _empty)

    assert ["of a loser"] == [line.message for line in made(race).tick().logs]


def test_d8_a_line_of_a_branch_that_ended_in_a_losing_group_is_emitted_once() -> None:
    async def says(step: AsyncStep) -> None:
        step.log("said")

    async def loses(step: AsyncStep) -> None:
        await step.gather("g", says, doing("slow"))

    async def code(step: AsyncStep) -> None:
        await step.race("r", loses, doing("quick"))

    lab = made(code)
    Flights(lab).lands("race:r[1]>do:quick", 1).drops("race:r[0]>gather:g[1]>do:slow")
    assert ["said"] == lines(lab)


def test_d8_lines_before_a_group_go_with_the_list_of_a_map_if_that_is_recorded_first() -> None:
    """A map without steps: its list is all that is ever recorded in the group."""

    async def branch(step: AsyncStep) -> None:
        await step.do("v", body)
        step.log("before the group")

        async def inner(step: AsyncStep) -> None:
            step.log("before the map")
            await step.map("m", [1, 2], lambda _step, _item: _immediately(_step))

        await step.gather("inner", inner)

    async def code(step: AsyncStep) -> None:
        await step.gather("g", branch, saying("a"))

    lab = made(code)
    flights = Flights(lab).lands("gather:g[0]>do:v", 1)
    first = lines(lab)
    flights.lands("gather:g[1]>do:v", 1)
    assert (["before the group", "before the map"], ["before the group", "before the map", "a"]) == (first, lines(lab))


def test_d8_a_line_before_a_map_is_emitted_once_if_another_tick_runs_its_bodies() -> None:
    async def code(step: AsyncStep) -> None:
        step.log("before")
        await step.map("m", [1], lambda step, _item: step.do("v", body))

    lab = made(code)
    Flights(lab).crashes()
    assert [] == lines(lab)
    Flights(lab).lands("map:m[0]>do:v", 1)
    assert ["before"] == lines(lab)


def test_d8_a_map_in_a_branch_that_is_closed_at_once_takes_its_lines_along() -> None:
    async def maps(step: AsyncStep) -> None:
        step.log("before")
        await step.gather("g", lambda step: step.map("m", [1], lambda step, _item: step.do("v", body)))

    async def code(step: AsyncStep) -> None:
        await step.race("r", maps, _immediately)
        step.log("after")

    lab = made(code)
    Flights(lab)
    assert ["before", "after"] == lines(lab)
