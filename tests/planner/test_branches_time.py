"""Deadlines, events and clocks among branches. Rules P7, W3, W5, W6, W10, D5."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.lab import MINUTE, SECOND, T0, Lab
from tests.planner.flights import Flights, body, doing, made
from wfcore.errors import EventTimeoutError, StepFailedError
from wfcore.outcome import Suspended
from wfcore.planner import AsyncStep
from wfcore.retry import Retry

HOUR = timedelta(hours=1)


def sleeping(duration: timedelta, name: str = "nap") -> Any:
    return lambda step: step.sleep(name, duration)


def listening(*types: str, timeout: timedelta | None = None) -> Any:
    return lambda step: step.wait_for_event("e", *types, timeout=timeout)


def racing(*branches: Any) -> Lab:
    """A race of these branches, and then a long sleep; what it gave is the output."""

    async def code(step: AsyncStep) -> Any:
        index, _ = await step.race("r", *branches)
        return index

    return made(code)


def order(lab: Lab) -> list[str]:
    """The keys of what has settled, in the recorded order."""
    settled = [(record.sequence, key) for key, record in lab.steps().items() if record.sequence is not None]
    return [key for _, key in sorted(settled)]


# -- deadlines


def test_w3_of_two_sleeps_in_parallel_each_is_judged_by_its_own_deadline() -> None:
    async def code(step: AsyncStep) -> None:
        await step.gather("g", sleeping(10 * MINUTE), sleeping(HOUR))

    lab = made(code)
    lab.tick()
    plan = lab.tick(at=T0 + 10 * MINUTE)
    assert (["gather:g[0]>sleep:nap"], Suspended(T0 + HOUR, ("gather:g[1]>sleep:nap",))) == (order(lab), plan.outcome)


@pytest.mark.parametrize(
    ("branches", "expected"),
    [
        ([sleeping(HOUR), sleeping(MINUTE)], T0 + MINUTE),
        ([listening("e"), sleeping(MINUTE)], T0 + MINUTE),
        ([listening("e", timeout=MINUTE), sleeping(HOUR)], T0 + MINUTE),
        ([lambda s: s.gather("h", sleeping(MINUTE), sleeping(HOUR)), sleeping(HOUR)], T0 + MINUTE),
        ([listening("e"), listening("f")], None),
    ],
    ids=["sleeps", "an event or a sleep", "a timeout", "nested", "events without a deadline"],
)
def test_p7_the_timer_is_the_earliest_deadline_of_all_branches(branches: list[Any], expected: datetime | None) -> None:
    lab = racing(*branches)
    outcome = lab.tick().outcome
    assert isinstance(outcome, Suspended)
    hook = lab.hooks().get("timer")
    assert (expected, expected) == (outcome.until, hook and hook.due_at)


def test_p7_retries_and_starts_of_at_most_once_bodies_count() -> None:
    def fails(_attempt: object) -> None:
        raise ValueError

    async def code(step: AsyncStep) -> None:
        await step.gather(
            "g",
            sleeping(HOUR),
            lambda s: s.do("again", fails, retry=Retry(max_attempts=2, delay=2 * MINUTE)),
            lambda s: s.do("once", body, at_most_once=MINUTE),
        )

    lab = made(code, checkpoint="tick")
    lab.tick()
    lab.tick()
    starts = lab.hooks()["timer"].due_at
    lab.tick(at=T0 + MINUTE)
    assert (T0 + MINUTE, "errored") == (starts, lab.instance.status)


def test_p7_cancelled_records_never_count() -> None:
    async def code(step: AsyncStep) -> None:
        await step.race("r", sleeping(MINUTE), sleeping(2 * MINUTE))
        await step.sleep("long", HOUR)

    lab = made(code)
    lab.tick()
    plan = lab.tick(at=T0 + MINUTE)
    assert Suspended(T0 + MINUTE + HOUR, ("sleep:long",)) == plan.outcome


def test_p7_two_waits_one_wake_up_and_the_other_stays() -> None:
    async def code(step: AsyncStep) -> None:
        await step.gather("g", listening("e"), listening("f", timeout=MINUTE))

    lab = made(code)
    lab.tick()
    lab.send("e")
    plan = lab.tick(at=T0 + SECOND)
    assert (["gather:g[0]>wait_for_event:e"], T0 + MINUTE) == (order(lab), getattr(plan.outcome, "until", None))


# -- events


@pytest.mark.parametrize(
    ("sent_at", "ticked_at", "expected"),
    [
        (30 * SECOND, 30 * SECOND, "0"),
        (30 * SECOND, HOUR, "0"),
        (MINUTE, HOUR, "0"),
        (61 * SECOND, HOUR, "1"),
        (None, MINUTE, "1"),
    ],
    ids=["in time", "in time, and the tick is late", "at the deadline", "too late", "never"],
)
@pytest.mark.parametrize("event_first", [True, False])
def test_w10_an_event_or_timeout_race_is_decided_by_what_came_first(
    sent_at: timedelta | None, ticked_at: timedelta, expected: str, event_first: bool
) -> None:
    both = [listening("e"), sleeping(MINUTE)]
    lab = racing(*(both if event_first else both[::-1]))
    lab.tick()
    if sent_at is not None:
        lab.now = T0 + sent_at
        lab.send("e")
    lab.tick(at=T0 + ticked_at)
    assert (expected if event_first else str(1 - int(expected))) == lab.instance.output


def test_w10_an_event_or_timeout_race_that_times_out_leaves_the_event_to_the_next_wait() -> None:
    async def code(step: AsyncStep) -> Any:
        index, _ = await step.race("r", listening("e"), sleeping(MINUTE))
        later = await step.wait_for_event("later", "e")
        return [index, later.id]

    lab = made(code)
    lab.tick()
    lab.now = T0 + 2 * MINUTE
    lab.send("e", id="late")
    lab.tick()
    assert '[1,"late"]' == lab.instance.output


@pytest.mark.parametrize(
    ("branches", "expected"),
    [
        ([sleeping(2 * MINUTE), sleeping(MINUTE)], 1),
        ([sleeping(MINUTE), sleeping(MINUTE)], 0),
        ([lambda s: s.gather("h", sleeping(MINUTE)), sleeping(MINUTE)], 0),
        ([sleeping(MINUTE), lambda s: s.gather("h", sleeping(MINUTE))], 0),
        ([listening("f", timeout=MINUTE), sleeping(MINUTE)], None),
        ([sleeping(MINUTE), listening("f", timeout=MINUTE)], 0),
    ],
    ids=["the earlier", "a tie", "a tie with a nested one", "nested second", "a timeout first", "a timeout second"],
)
def test_w10_deadlines_of_one_late_tick_are_settled_by_instant_then_branch(
    branches: list[Any], expected: int | None
) -> None:
    lab = racing(*branches)
    lab.tick()
    lab.tick(at=T0 + HOUR)
    failure = lab.instance.failure
    assert (expected, expected is None) == (
        lab.instance.output and int(lab.instance.output),
        failure is not None and failure.is_a(EventTimeoutError),
    )


def test_w10_ties_go_by_branch_and_not_by_who_asked_first() -> None:
    async def late(step: AsyncStep) -> None:
        await step.sleep("first", timedelta(0))
        await step.sleep("nap", MINUTE)

    lab = racing(late, sleeping(MINUTE))
    lab.tick()
    lab.tick(at=T0 + MINUTE)
    assert "0" == lab.instance.output


def test_w10_due_waits_are_settled_before_new_bodies_start() -> None:
    async def code(step: AsyncStep) -> None:
        await step.gather("g", sleeping(timedelta(0)), doing("a"))

    lab = made(code)
    flights = Flights(lab)
    flights.lands("gather:g[1]>do:a", 1)
    assert ["gather:g[0]>sleep:nap", "gather:g[1]>do:a"] == order(lab)


def test_w5_one_event_satisfies_one_wait_the_first_in_the_code() -> None:
    async def code(step: AsyncStep) -> None:
        await step.gather("g", listening("e"), listening("e"))

    lab = made(code)
    lab.tick()
    lab.send("e")
    plan = lab.tick()
    assert (["gather:g[0]>wait_for_event:e"], Suspended(None, ("gather:g[1]>wait_for_event:e",))) == (
        order(lab),
        plan.outcome,
    )


def test_w5_events_go_to_waits_in_the_order_of_arrival() -> None:
    async def code(step: AsyncStep) -> Any:
        return [each.id for each in await step.gather("g", listening("e"), listening("f", "e"), listening("e", "f"))]

    lab = made(code)
    lab.tick()
    for number, type_ in enumerate("efe"):
        lab.now += SECOND
        lab.send(type_, id=str(number))
    lab.tick()
    assert '["0","1","2"]' == lab.instance.output


def test_w5_an_event_that_a_loser_has_consumed_stays_consumed() -> None:
    async def loser(step: AsyncStep) -> None:
        await step.wait_for_event("e", "e")
        await step.sleep("nap", HOUR)

    async def code(step: AsyncStep) -> None:
        await step.race("r", loser, sleeping(MINUTE))
        await step.wait_for_event("again", "e")

    lab = made(code)
    lab.tick()
    lab.send("e", id="only")
    lab.tick()
    plan = lab.tick(at=T0 + MINUTE)
    assert ("race:r[0]>wait_for_event:e", Suspended(None, ("wait_for_event:again",))) == (
        lab.events()["only"].consumed_by,
        plan.outcome,
    )


def test_w6_an_event_that_arrives_while_a_body_is_in_flight_is_seen_by_the_next_tick() -> None:
    async def code(step: AsyncStep) -> Any:
        first, _ = await step.gather("g", doing("a"), listening("e"))
        return first

    lab = made(code)
    flights = Flights(lab)
    lab.send("e", id="meanwhile")
    flights.lands("gather:g[0]>do:a", 1)
    parked = lab.instance.status, [*lab.hooks()]
    lab.tick()
    assert (("waiting", ["msg:meanwhile"]), "1") == (parked, lab.instance.output)


# -- while bodies are in flight


def test_w10_the_loop_says_when_the_next_deadline_passes() -> None:
    flights = Flights(racing(doing("slow"), sleeping(MINUTE)))
    assert flights.asked is not None
    assert MINUTE == flights.asked.until


def test_w10_no_deadline_no_until() -> None:
    flights = Flights(racing(doing("slow"), listening("e")))
    assert flights.asked is not None
    assert flights.asked.until is None


def test_w10_a_deadline_that_passes_times_a_body_out() -> None:
    lab = racing(doing("slow"), sleeping(MINUTE))
    flights = Flights(lab).elapses(MINUTE)
    unwanted = flights.asked and flights.asked.unwanted
    flights.drops("race:r[0]>do:slow")
    assert (frozenset(["race:r[0]>do:slow"]), "1") == (unwanted, lab.instance.output)


def test_w10_a_result_before_the_deadline_wins() -> None:
    lab = racing(doing("slow"), sleeping(MINUTE))
    Flights(lab).lands("race:r[0]>do:slow", 1, after=59 * SECOND)
    assert "0" == lab.instance.output


def test_w10_a_result_that_is_seen_at_the_deadline_goes_first() -> None:
    lab = racing(doing("slow"), sleeping(MINUTE))
    Flights(lab).lands("race:r[0]>do:slow", 1, after=2 * MINUTE)
    assert "0" == lab.instance.output


def test_w10_in_turns_deadlines_are_judged_after_a_body() -> None:
    """So a race with a sleep does not time a body out where bodies run one at a time."""
    lab = racing(lambda step: step.do("slow", lambda attempt: 1), sleeping(timedelta(0)))
    lab.tick()
    assert "1" == lab.instance.output


def test_w10_a_deadline_that_has_not_passed_changes_nothing() -> None:
    flights = Flights(racing(doing("slow"), sleeping(MINUTE))).elapses(SECOND)
    assert flights.asked is not None
    assert (["race:r[0]>do:slow"], [], MINUTE) == (flights.flying, [*flights.asked.start], flights.asked.until)


def test_w10_a_retry_is_started_when_its_time_comes_while_others_are_in_flight() -> None:
    async def code(step: AsyncStep) -> None:
        await step.gather("g", doing("slow"), lambda s: s.do("again", body, retry=Retry(max_attempts=2, delay=MINUTE)))

    flights = Flights(made(code)).lands("gather:g[1]>do:again", ValueError("no"), after=SECOND)
    until = flights.asked and flights.asked.until
    flights.elapses(61 * SECOND)
    assert (61 * SECOND, ["gather:g[0]>do:slow", "gather:g[1]>do:again"]) == (until, flights.flying)


def test_w1_a_sleep_that_begins_while_others_are_in_flight_counts_from_then() -> None:
    async def two(step: AsyncStep) -> None:
        await step.do("a", body)
        await step.sleep("nap", MINUTE)

    async def code(step: AsyncStep) -> None:
        await step.gather("g", two, doing("slow"))

    lab = made(code)
    flights = Flights(lab).lands("gather:g[0]>do:a", 1, after=5 * SECOND)
    assert (T0 + 65 * SECOND, 65 * SECOND) == (
        lab.steps()["gather:g[0]>sleep:nap"].wake_at,
        flights.asked and flights.asked.until,
    )


# -- what time it is


async def _ends(step: AsyncStep, duration: timedelta) -> datetime:
    await step.sleep("nap", duration)
    return step.now()


@pytest.mark.parametrize("late", [timedelta(0), HOUR], ids=["on time", "late"])
def test_d5_after_a_join_it_is_the_latest_of_the_branches(late: timedelta) -> None:
    seen: list[datetime] = []

    async def code(step: AsyncStep) -> None:
        await step.gather("g", sleeping(2 * MINUTE), sleeping(MINUTE))
        seen.append(step.now())

    lab = made(code)
    lab.tick()
    lab.tick(at=T0 + MINUTE)
    lab.tick(at=T0 + 2 * MINUTE + late)
    assert [T0 + 2 * MINUTE + late] == seen


def test_d5_in_a_branch_it_is_what_the_branch_has_seen() -> None:
    seen: list[Any] = []

    async def code(step: AsyncStep) -> None:
        seen.append(await step.map("m", [2 * MINUTE, MINUTE], _ends, key=str))

    lab = made(code)
    lab.tick()
    lab.tick(at=T0 + MINUTE)
    lab.tick(at=T0 + 2 * MINUTE)
    assert [[T0 + 2 * MINUTE, T0 + MINUTE]] == seen


def test_d5_a_branch_begins_at_the_time_of_the_code_around_it() -> None:
    seen: list[datetime] = []

    async def looks(step: AsyncStep) -> None:
        seen.append(step.now())

    async def code(step: AsyncStep) -> None:
        await step.sleep("nap", MINUTE)
        await step.gather("g", looks)
        seen.append(step.now())

    lab = made(code)
    lab.tick()
    lab.tick(at=T0 + HOUR)
    assert [T0 + HOUR, T0 + HOUR] == seen


def test_d5_an_empty_group_takes_no_time() -> None:
    seen: list[datetime] = []

    async def code(step: AsyncStep) -> None:
        await step.sleep("nap", MINUTE)
        await step.gather("g")
        seen.append(step.now())

    lab = made(code)
    lab.tick()
    lab.tick(at=T0 + HOUR)
    assert [T0 + HOUR] == seen


def test_d5_after_a_race_it_is_that_of_the_branch_that_decided() -> None:
    """A step of the loser that settled before has no say, and its late result has none either."""
    seen: list[datetime] = []

    async def code(step: AsyncStep) -> None:
        await step.race("r", doing("fast"), doing("slow"))
        seen.append(step.now())
        await step.do("then", body)
        seen.append(step.now())

    lab = made(code)
    flights = Flights(lab).lands("race:r[0]>do:fast", 1, after=MINUTE)
    flights.lands("race:r[1]>do:slow", 1, after=2 * MINUTE).lands("do:then", 1, after=3 * MINUTE)
    live = [*seen]
    lab.now = T0 + HOUR
    assert [T0 + MINUTE, T0 + 3 * MINUTE] == live


@pytest.mark.parametrize("replay", [False, True], ids=["live", "on replay"])
def test_d5_after_a_failure_it_is_that_of_the_branch_that_failed(replay: bool) -> None:
    seen: list[datetime] = []

    async def code(step: AsyncStep) -> None:
        try:
            await step.gather("g", doing("bad"), doing("good"))
        except StepFailedError:
            seen.append(step.now())
        await step.sleep("long", HOUR)

    lab = made(code)
    flights = Flights(lab).lands("gather:g[0]>do:bad", ValueError("no"), after=MINUTE)
    flights.lands("gather:g[1]>do:good", 1, after=2 * MINUTE)
    if replay:
        seen.clear()
        lab.tick(at=T0 + 3 * HOUR)
    assert [T0 + MINUTE] == seen


def test_d5_after_a_map_that_collects_it_is_the_latest_of_all_branches_the_failed_ones_too() -> None:
    seen: list[datetime] = []

    async def code(step: AsyncStep) -> None:
        await step.map("m", ["a", "b"], lambda s, item: s.do(item, body), key=str, on_error="collect")
        seen.append(step.now())

    flights = Flights(made(code)).lands("map:m[b]>do:b", 1, after=MINUTE)
    flights.lands("map:m[a]>do:a", ValueError("no"), after=2 * MINUTE)
    assert [T0 + 2 * MINUTE] == seen


def test_d5_ids_of_branches_differ_and_are_the_same_on_replay() -> None:
    seen: list[Any] = []

    async def branch(step: AsyncStep) -> Any:
        made_of = (step.uuid("x"), step.random("x"), step.uuid("x"))
        await step.sleep("nap", MINUTE)
        return made_of

    async def code(step: AsyncStep) -> None:
        seen.append(await step.gather("g", branch, branch))
        await step.sleep("long", HOUR)

    lab = made(code)
    lab.tick()
    lab.tick(at=T0 + MINUTE)
    lab.tick(at=T0 + 2 * HOUR)
    ids = {each for branches in seen for made_of in branches for each in made_of}
    assert (True, 6) == (seen[0] == seen[1], len(ids))
