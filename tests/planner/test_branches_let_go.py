"""What is left of a branch that was let go: its time, lines, event and place (rules P1, P4, P5, W10, D5, D8)."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import Any

import pytest

from tests.lab import MINUTE, SECOND, T0, Lab
from tests.planner.flights import Flights, body, doing, made
from tests.planner.rows import FAILURE, event, instance, listening, record, sleeping, snapshot, timer
from wfcore.define import workflow
from wfcore.errors import StepFailedError
from wfcore.planner import AsyncStep, Known
from wfcore.retry import Retry
from wfcore.workflow import Registry

HOUR = 60 * MINUTE


def taking(name: str = "go") -> Any:
    return lambda step: step.wait_for_event(name, name, on_consume=lambda attempt, received: None)


def test_p5_a_retry_of_a_branch_that_was_let_go_is_not_started() -> None:
    """Its time comes, and means nothing any more."""
    retry = Retry(max_attempts=2, delay=MINUTE)

    async def code(step: AsyncStep) -> None:
        await step.race("r", lambda inner: inner.do("fails", body, retry=retry), doing("quick"))
        await step.do("after", body)

    flights = Flights(made(code)).lands("race:r[0]>do:fails", ValueError("no")).lands("race:r[1]>do:quick", 1)
    assert (["do:after"], None) == (flights.flying, flights.asked and flights.asked.until)


def test_w10_what_came_after_an_event_waits_for_the_body_that_takes_it() -> None:
    """Whatever else settles while that body decides."""

    async def waits(step: AsyncStep) -> None:
        await step.do("first", body)
        await step.gather("w", taking(), lambda inner: inner.wait_for_event("stop", "stop"))

    async def code(step: AsyncStep) -> None:
        await step.gather("g", waits, doing("other"))

    lab = made(code)
    lab.send("go")
    lab.send("stop")
    flights = Flights(lab).lands("gather:g[0]>do:first", 1).lands("gather:g[1]>do:other", 1)
    flights.lands("gather:g[0]>gather:w[0]>wait_for_event:go", None)
    assert [
        "gather:g[0]>do:first",
        "gather:g[1]>do:other",
        "gather:g[0]>gather:w[0]>wait_for_event:go",
        "gather:g[0]>gather:w[1]>wait_for_event:stop",
    ] == sorted(lab.steps(), key=lambda key: lab.steps()[key].sequence or 0)


def test_w10_a_deadline_that_was_set_aside_is_forgotten_with_its_branch() -> None:
    """It had passed while a body decided about an event that came before; meanwhile its branch lost."""

    @workflow(name="w")
    async def w(step: AsyncStep) -> Any:
        async def race(inner: AsyncStep) -> Any:
            return await inner.race("r", lambda each: each.sleep("nap", MINUTE), doing("quick"))

        await step.gather("g", taking(), race)
        return await step.do("after", body)

    go, nap, quick = (
        "gather:g[0]>wait_for_event:go",
        "gather:g[1]>race:r[0]>sleep:nap",
        "gather:g[1]>race:r[1]>do:quick",
    )
    first = Lab(Registry([w]))
    first.create(w)
    flying = Flights(first).calls[quick]
    lab = Lab(Registry([w]), ref="w#1", now=T0 + 2 * MINUTE)
    steps = [listening("go", key=go), sleeping(T0 + MINUTE, nap)]
    sent = event(type="go", created_at=T0 + 30 * SECOND)
    lab.put(snapshot(instance(created_by="create1"), steps=steps, events=[sent], hooks=[timer(T0 + MINUTE)]))
    flights = Flights(lab, known=Known(flights=(flying,))).lands(quick, 1).lands(go, None).lands("do:after", 1)
    ended = {go: "completed", nap: "cancelled", quick: "completed", "do:after": "completed"}
    assert (ended, "1") == (
        {key: step.status for key, step in lab.steps().items()},
        flights.outcome.output,
    )


def test_p4_what_comes_late_after_a_failed_group_was_waited_for_is_only_recorded() -> None:
    """The failure is raised once."""
    raised: list[str] = []

    async def code(step: AsyncStep) -> None:
        try:
            await step.gather("g", doing("bad"), doing("slow"))
        except StepFailedError as error:
            raised.append(error.step_key)
        await step.race("r", doing("quick"), doing("late"))
        await step.do("last", body)

    flights = Flights(made(code)).lands("gather:g[0]>do:bad", ValueError("no")).lands("gather:g[1]>do:slow", 1)
    flights.lands("race:r[0]>do:quick", 1).lands("race:r[1]>do:late", 1).lands("do:last", 1)
    assert (["gather:g[0]>do:bad"], "null") == (raised, flights.outcome.output)


def test_d8_lines_before_a_group_that_was_let_go_are_emitted_with_its_late_record() -> None:
    async def loses(step: AsyncStep) -> None:
        step.log("before the group")
        await step.gather("g", doing("late"))

    async def code(step: AsyncStep) -> None:
        await step.race("r", loses, doing("quick"))
        await step.gather("all", doing("next"), doing("last"))

    lab = made(code)
    flights = Flights(lab).lands("race:r[1]>do:quick", 1).lands("gather:all[0]>do:next", 1)
    before = [line.message for plan in lab.plans for line in plan.logs]
    flights.lands("race:r[0]>gather:g[0]>do:late", 1)
    after = [line.message for plan in lab.plans for line in plan.logs]
    assert ([], ["before the group"]) == (before, after)


def test_p1_a_body_that_flies_on_over_a_retrieve_has_its_place_in_a_map() -> None:
    """It gives the place to the next one when it has landed, and not before; its branch keeps it until it has ended."""

    async def two(step: AsyncStep, _item: str) -> None:
        await step.do("a", body)
        await step.do("b", body)

    async def code(step: AsyncStep) -> None:
        await step.map("m", ["x", "y"], two, key=str, max_concurrency=1)

    lab = made(code)
    before = Flights(lab)
    flights = Flights(lab, known=Known(flights=tuple(before.calls.values())))
    flights.lands("map:m[x]>do:a", 1).lands("map:m[x]>do:b", 1).lands("map:m[y]>do:a", 1).lands("map:m[y]>do:b", 1)
    assert ["map:m[x]>do:b", "map:m[y]>do:a", "map:m[y]>do:b"] == flights.started


@pytest.mark.parametrize(
    ("second", "on_error", "expected"),
    [
        ({"status": "completed", "result": "1"}, "raise", T0 + 2 * MINUTE),
        ({"status": "errored", "failure": FAILURE}, "raise", T0 + MINUTE),
        ({"status": "errored", "failure": FAILURE}, "collect", T0 + 2 * MINUTE),
    ],
    ids=["all have ended", "one has failed", "collected"],
)
def test_d5_the_time_after_a_group_is_right_also_if_history_was_numbered_later(
    second: dict[str, Any], on_error: Any, expected: datetime
) -> None:
    """K5: records that were adopted follow those that had a number, whatever their instants are."""
    seen: list[datetime] = []

    async def code(step: AsyncStep) -> None:
        with suppress(StepFailedError):
            await step.map("m", ["a", "b"], lambda s, item: s.do(item, body), key=str, on_error=on_error)
        seen.append(step.now())

    lab = made(code)
    steps = [
        record("map:m[a]>do:a", status="completed", result="1", sequence=1, settled_at=T0 + 2 * MINUTE),
        record("map:m[b]>do:b", sequence=2, settled_at=T0 + MINUTE, **second),
    ]
    lab.put(snapshot(instance(status="active"), steps=steps, hooks=[timer()], now=T0 + HOUR))
    Flights(lab)
    assert [expected] == seen
