"""Lines of losers that leave no record, whatever groups they were logged in. Rule D8."""

from datetime import timedelta
from typing import Any

from tests.planner.flights import Flights, body, made
from tests.planner.test_branches_logs import lines, saying
from wfcore.planner import AsyncStep


def around(line: str, name: str, inner: Any) -> Any:
    """A branch that says something before a group of its own."""

    async def branch(step: AsyncStep) -> None:
        step.log(line)
        await step.gather(name, inner)

    return branch


def at_once(step: AsyncStep) -> Any:
    return step.sleep("zero", timedelta(0))


def test_d8_lines_of_a_loser_that_has_left_no_record_go_on_in_their_order_at_any_depth() -> None:
    async def code(step: AsyncStep) -> None:
        await step.race("r", around("a", "g", around("b", "h", saying("c"))), at_once)
        step.log("after")
        await step.do("then", body)

    lab = made(code)
    Flights(lab).lands("do:then", 1)
    assert ["a", "b", "c", "after"] == lines(lab)


def test_d8_lines_of_a_loser_inside_a_branch_go_to_that_branch() -> None:
    async def races(step: AsyncStep) -> None:
        await step.race("r", around("a", "h", saying("b")), at_once)
        await step.do("then", body)

    async def code(step: AsyncStep) -> None:
        await step.gather("g", races, saying("c"))

    lab = made(code)
    flights = Flights(lab).lands("gather:g[1]>do:v", 1)
    first = lines(lab)
    flights.lands("gather:g[0]>do:then", 1)
    assert (["c"], ["c", "a", "b"]) == (first, lines(lab))
