"""Maps with bounded concurrency: who is at work, who waits for a place. Rule P1."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from tests.lab import MINUTE, SECOND, T0, Lab
from tests.planner.flights import Flights, body, made
from wfcore.planner import AsyncStep, Known
from wfcore.retry import Retry


async def one(step: AsyncStep, _item: int) -> Any:
    return await step.do("a", body)


async def two(step: AsyncStep, _item: int) -> Any:
    await step.do("a", body)
    return await step.do("b", body)


async def nap_then(step: AsyncStep, _item: int) -> Any:
    await step.do("a", body)
    await step.sleep("nap", MINUTE)
    return await step.do("b", body)


async def again(step: AsyncStep, _item: int) -> Any:
    return await step.do("a", body, retry=Retry(max_attempts=2, delay=MINUTE))


async def at_once_again(step: AsyncStep, _item: int) -> Any:
    return await step.do("a", body, retry=Retry(max_attempts=2, delay=timedelta(0)))


def mapping(branch: Any, count: int, places: int, **options: Any) -> Lab:
    async def code(step: AsyncStep) -> Any:
        return await step.map("m", range(count), branch, max_concurrency=places, key=str, **options)

    return made(code)


def key(item: int, name: str = "a") -> str:
    return f"map:m[{item}]>do:{name}"


def test_p1_no_more_branches_are_at_work_than_there_are_places() -> None:
    assert [key(0), key(1)] == Flights(mapping(one, 4, 2)).flying


def test_p1_by_default_there_are_sixteen_places() -> None:
    async def code(step: AsyncStep) -> None:
        await step.map("m", range(20), one)

    assert 16 == len(Flights(made(code)).flying)


def test_p1_a_branch_that_ends_gives_its_place_to_the_next() -> None:
    flights = Flights(mapping(one, 4, 2)).lands(key(0), 1)
    assert [key(1), key(2)] == flights.flying


def test_p1_a_branch_keeps_its_place_from_body_to_body() -> None:
    flights = Flights(mapping(two, 3, 1)).lands(key(0), 1)
    assert [key(0, "b")] == flights.flying


def test_p1_a_branch_that_parks_holds_no_place() -> None:
    flights = Flights(mapping(nap_then, 3, 1)).lands(key(0), 1)
    assert [key(1)] == flights.flying


def test_p1_a_branch_that_wakes_up_waits_for_a_place() -> None:
    flights = Flights(mapping(nap_then, 3, 1)).lands(key(0), 1).elapses(2 * MINUTE)
    assert [key(1)] == flights.flying


def test_p1_a_branch_that_has_begun_goes_before_those_that_have_not() -> None:
    flights = Flights(mapping(nap_then, 3, 1)).lands(key(0), 1).elapses(2 * MINUTE).lands(key(1), 1)
    assert [key(0, "b")] == flights.flying


def test_p1_begun_branches_go_first_on_replay_too() -> None:
    lab = mapping(nap_then, 3, 1)
    Flights(lab).lands(key(0), 1).crashes()
    lab.now += 2 * MINUTE
    assert [key(0, "b")] == Flights(lab).flying


def test_p1_a_branch_that_waits_for_its_next_attempt_holds_no_place() -> None:
    flights = Flights(mapping(again, 2, 1)).lands(key(0), ValueError("no"))
    assert [key(1)] == flights.flying


def test_p1_a_second_attempt_without_delay_keeps_the_place() -> None:
    flights = Flights(mapping(at_once_again, 2, 1)).lands(key(0), ValueError("no"))
    assert [key(0)] == flights.flying


def test_p1_a_second_attempt_waits_for_a_place() -> None:
    flights = Flights(mapping(again, 2, 1)).lands(key(0), ValueError("no")).elapses(2 * MINUTE)
    before = flights.flying
    flights.lands(key(1), 1)
    assert ([key(1)], [key(0)]) == (before, flights.flying)


@pytest.mark.parametrize("places", [1, 2, 5])
def test_p1_each_map_has_places_of_its_own(places: int) -> None:
    async def code(step: AsyncStep) -> None:
        await step.gather(
            "g",
            lambda s: s.map("m", range(5), one, max_concurrency=places),
            lambda s: s.map("m", range(5), one, max_concurrency=2),
        )

    assert places + 2 == len(Flights(made(code)).flying)


async def _inner(step: AsyncStep, _item: int) -> Any:
    return await step.map("n", range(3), one, max_concurrency=2, key=str)


def inner_key(outer: int, inner: int) -> str:
    return f"map:m[{outer}]>map:n[{inner}]>do:a"


def test_p1_a_body_in_nested_maps_needs_a_place_in_each() -> None:
    assert [inner_key(0, 0), inner_key(0, 1)] == Flights(mapping(_inner, 3, 1)).flying


def test_p1_a_place_in_the_outer_map_is_kept_while_any_inner_body_is_at_work() -> None:
    flights = Flights(mapping(_inner, 3, 1))
    for item in (1, 0):
        flights.lands(inner_key(0, item), 1)
    assert [inner_key(0, 2)] == flights.flying


def test_p1_bodies_of_nested_maps_start_in_order() -> None:
    flights = Flights(mapping(_inner, 3, 2))
    while flights.flying:
        flights.lands(flights.flying[0], 1)
    numbers = [(int(each[6]), int(each[15])) for each in flights.started]
    assert (9, [0, 0, 1, 1]) == (len({*numbers}), [outer for outer, _ in numbers[:4]])


def test_p1_never_more_are_at_work_than_all_the_maps_around_have_places() -> None:
    flights = Flights(mapping(_inner, 5, 2))
    most = 0
    while flights.flying:
        outer = {each.split(">", maxsplit=1)[0] for each in flights.flying}
        most = max(most, len(outer), len(flights.flying) // 2)
        flights.lands(flights.flying[-1], 1)
    assert 2 == most


def test_p1_a_gather_in_a_branch_of_a_map_takes_one_place() -> None:
    async def branch(step: AsyncStep, _item: int) -> Any:
        return await step.gather("g", lambda s: s.do("a", body), lambda s: s.do("b", body))

    flights = Flights(mapping(branch, 2, 1))
    assert ["map:m[0]>gather:g[0]>do:a", "map:m[0]>gather:g[1]>do:b"] == flights.flying


def test_p1_a_loser_that_waited_for_a_place_leaves_it_to_others() -> None:
    async def branch(step: AsyncStep, item: int) -> None:
        other = (lambda s: s.sleep("late", SECOND)) if item == 1 else (lambda s: s.wait_for_event("never", "never"))
        await step.race("r", lambda s: s.do("a", body), other)

    inside = "map:m[{}]>race:r[0]>do:a".format
    flights = Flights(mapping(branch, 3, 1)).elapses(2 * SECOND)
    before = flights.flying
    flights.lands(inside(0), 1)
    assert ([inside(0)], [inside(2)]) == (before, flights.flying)


def test_p1_a_loser_in_flight_keeps_its_place_until_it_lands() -> None:
    async def branch(step: AsyncStep, _item: int) -> None:
        await step.race("r", lambda s: s.do("a", body), lambda s: s.sleep("late", SECOND))

    lab = mapping(branch, 2, 1)
    flights = Flights(lab).elapses(2 * SECOND)
    before = flights.flying, flights.plan
    flights.drops("map:m[0]>race:r[0]>do:a")
    assert ((["map:m[0]>race:r[0]>do:a"], None), "complete") == (before, lab.instance.status)


def test_p1_a_failing_map_starts_nothing_more() -> None:
    lab = mapping(one, 4, 2)
    flights = Flights(lab).lands(key(0), ValueError("no")).lands(key(1), 1)
    assert ([key(0), key(1)], "errored") == (flights.started, lab.instance.status)


def test_p1_a_map_that_collects_gives_the_place_of_a_failed_branch_to_the_next() -> None:
    flights = Flights(mapping(one, 3, 1, on_error="collect")).lands(key(0), ValueError("no"))
    assert [key(1)] == flights.flying


def test_p1_in_turns_branches_with_places_go_round() -> None:
    """One body at a time: two branches of three are at work, and take turns."""
    story: list[str] = []

    async def code(step: AsyncStep) -> None:
        await step.map("m", range(3), told, max_concurrency=2)

    async def told(step: AsyncStep, item: int) -> None:
        for number in range(2):
            await step.do("a", partial(tell, f"{item}.{number}"))

    def tell(line: str, _attempt: object) -> None:
        story.append(line)

    made(code, checkpoint="tick").tick()
    assert ["0.0", "1.0", "0.1", "1.1", "2.0", "2.1"] == story


def test_p1_bodies_in_flight_since_before_the_tick_hold_their_places() -> None:
    lab = mapping(one, 4, 2)
    flights = Flights(lab, stop_at=1).lands(key(0), 1)
    known = Known(flights=tuple(flights.calls.values()), mine=frozenset([lab.instance.execution_id]))
    assert [key(1), key(2)] == Flights(lab, known=known).flying


def test_p1_a_map_is_done_whatever_the_number_of_places() -> None:
    outputs = set()
    for places in (1, 2, 3, 100):
        lab = mapping(two, 5, places)
        flights = Flights(lab)
        while flights.flying:
            flights.lands(flights.flying[-1], flights.flying[-1][6])
        outputs.add(lab.instance.output)
    assert {'["0","1","2","3","4"]'} == outputs


def test_p1_a_parked_map_wakes_up_at_the_first_of_its_deadlines() -> None:
    lab = mapping(nap_then, 3, 1)
    flights = Flights(lab)
    for item in range(3):
        flights.lands(key(item), 1, after=item * SECOND)
    assert ("waiting", T0 + MINUTE) == (lab.instance.status, lab.hooks()["timer"].due_at)


def test_w9_a_body_that_takes_an_event_needs_no_place() -> None:
    """It goes before all others: the event was there first."""

    async def branch(step: AsyncStep, item: int) -> None:
        await step.do("a", body)
        await step.wait_for_event("e", "e", on_consume=lambda attempt, received: None)

    lab = mapping(branch, 3, 1)
    lab.send("e")
    flights = Flights(lab).lands(key(0), 1)
    assert ["map:m[0]>wait_for_event:e", key(1)] == flights.flying


def test_w9_in_turns_a_body_that_takes_an_event_goes_first() -> None:
    story: list[str] = []

    async def code(step: AsyncStep) -> None:
        await step.gather(
            "g",
            lambda s: s.do("a", lambda attempt: story.append("a")),
            lambda s: s.wait_for_event("e", "e", on_consume=lambda attempt, received: story.append("e")),
        )

    lab = made(code, checkpoint="tick")
    lab.send("e")
    lab.tick()
    assert ["e", "a"] == story
