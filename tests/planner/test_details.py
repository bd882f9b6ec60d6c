"""What is easily overlooked in a tick; one detail each."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from tests.lab import MINUTE, SECOND, T0, Lab
from tests.planner.flights import Flights, body, doing, made
from tests.planner.rows import (
    instance,
    record,
    snapshot,
    timer,
    written_timer,
)
from tests.planner.worker import Worker
from tests.twins import Colour, Running, begin, both_colours
from wfcore.codec import JsonCodec
from wfcore.define import workflow
from wfcore.errors import CodecError, NonDeterminismError, StepBodyError, StepUsageError
from wfcore.model import Hook
from wfcore.outcome import Stuck
from wfcore.plan import AddInstance, Exists, Plan
from wfcore.planner import AsyncStep, Attempt, Known, Step, Unwind, plan_create
from wfcore.planner.draft import _require_progress
from wfcore.retry import Retry
from wfcore.workflow import Received, Registry


def one(_attempt: Attempt) -> int:
    return 1


# -- which body goes first


def test_g8_a_retry_that_is_due_at_this_very_instant_goes_before_what_is_asked_for_then() -> None:
    async def nap_then(step: AsyncStep) -> None:
        await step.sleep("nap", MINUTE)
        await step.do("new", body)

    async def code(step: AsyncStep) -> None:
        await step.gather(
            "g", lambda branch: branch.do("again", body, retry=Retry(max_attempts=2, delay=MINUTE)), nap_then
        )

    lab = made(code)
    Flights(lab).lands("gather:g[0]>do:again", OSError())
    lab.now += MINUTE
    assert ["gather:g[0]>do:again", "gather:g[1]>do:new"] == Flights(lab).flying


def test_w9_bodies_that_take_events_run_one_by_one_where_all_bodies_do() -> None:
    """Two of them go before a sleep that was over later."""
    ran: list[str] = []

    def take(_attempt: Attempt, received: Received[Any]) -> None:
        ran.append(received.type)

    async def code(step: AsyncStep) -> None:
        await step.gather(
            "g",
            lambda branch: branch.wait_for_event("a", "a", on_consume=take),
            lambda branch: branch.wait_for_event("b", "b", on_consume=take),
            lambda branch: branch.sleep("nap", MINUTE),
        )

    lab = made(code, checkpoint="tick")
    lab.tick()
    lab.send("a")
    lab.send("b")
    lab.tick(at=T0 + 2 * MINUTE)
    assert (["a", "b"], "complete") == (ran, lab.instance.status)


def test_w10_only_bodies_that_take_what_came_before_go_before_a_wait_that_is_due() -> None:
    async def nap_then(step: AsyncStep) -> None:
        await step.sleep("nap", SECOND)
        await step.do("a", body)

    async def code(step: AsyncStep) -> None:
        await step.gather(
            "g",
            lambda branch: branch.wait_for_event("e", "e", on_consume=lambda attempt, received: None),
            nap_then,
            lambda branch: branch.sleep("nap", MINUTE),
        )

    lab = made(code)
    lab.tick()
    lab.now = T0 + MINUTE / 2
    lab.send("e")
    lab.now = T0 + 2 * MINUTE
    flights = Flights(lab)
    first = flights.flying
    flights.lands("gather:g[0]>wait_for_event:e", None)
    assert (["gather:g[0]>wait_for_event:e"], ["gather:g[1]>do:a"]) == (first, flights.flying)


def test_p1_a_branch_whose_body_ran_in_an_earlier_tick_goes_before_one_that_has_only_slept() -> None:
    async def late(step: AsyncStep, item: int) -> None:
        if item:
            await step.do("a", body)
        await step.sleep("nap", MINUTE)
        await step.do("b", body)

    async def code(step: AsyncStep) -> None:
        await step.map("m", [0, 1], late, max_concurrency=1)

    lab = made(code)
    Flights(lab).lands("map:m[1]>do:a", 1)
    lab.now += MINUTE
    assert ["map:m[1]>do:b"] == Flights(lab).flying


def test_p1_a_branch_has_begun_when_a_body_below_it_has_run() -> None:
    async def late(step: AsyncStep, item: int) -> None:
        if item:
            await step.gather("g", doing("a"))
        await step.sleep("nap", MINUTE)
        await step.do("b", body)

    async def code(step: AsyncStep) -> None:
        await step.map("m", [0, 1], late, max_concurrency=1)

    lab = made(code)
    Flights(lab).lands("map:m[1]>gather:g[0]>do:a", 1)
    lab.now += MINUTE
    assert ["map:m[1]>do:b"] == Flights(lab).flying


# -- bodies that nobody wants


def test_p5_a_body_that_has_landed_is_not_called_unwanted_any_more() -> None:
    async def code(step: AsyncStep) -> None:
        await step.race("r", doing("quick"), doing("slow"))
        await step.do("a", body)
        await step.do("b", body)

    flights = Flights(made(code, checkpoint="tick")).lands("race:r[0]>do:quick", 1)
    before = flights.asked and flights.asked.unwanted
    flights.lands("race:r[1]>do:slow", 1).lands("do:a", 1)
    after = flights.asked and flights.asked.unwanted
    assert (frozenset({"race:r[1]>do:slow"}), frozenset()) == (before, after)


def test_k2_a_body_of_a_closed_branch_that_uses_its_step_is_dropped_and_harms_nothing() -> None:
    slow: list[AsyncStep] = []

    async def lose(step: AsyncStep) -> None:
        slow.append(step)
        await step.do("slow", body)

    async def code(step: AsyncStep) -> None:
        await step.race("r", doing("quick"), lose)
        await step.do("a", body)

    flights = Flights(made(code)).lands("race:r[0]>do:quick", 1)
    with pytest.raises(Unwind):
        slow[0].now()
    flights.drops("race:r[1]>do:slow").lands("do:a", 1)
    assert "Completed" == type(flights.outcome).__name__


@both_colours
def test_k2_a_step_of_a_branch_that_was_closed_elsewhere_is_refused(colour: Colour) -> None:
    kept: list[AsyncStep] = []

    async def lose(step: AsyncStep) -> None:
        kept.append(step)
        await step.sleep("nap", MINUTE)

    async def code(step: AsyncStep) -> None:
        await step.race("r", doing("quick"), lose)
        await step.do("a", body)

    Flights(made(code, checkpoint="tick")).lands("race:r[0]>do:quick", 1)  # and goes on: "a" is in flight

    def program(step: Any) -> Running:
        kept[0].now()
        yield step.do("b", one)

    with pytest.raises(StepUsageError):
        begin(colour, program).plan()


def test_o6_a_later_attempt_flies_on_over_a_retrieve_too() -> None:
    async def code(step: AsyncStep) -> None:
        await step.do("a", body, retry=Retry(max_attempts=3, delay=MINUTE))

    lab = made(code)
    Flights(lab).lands("do:a", OSError())
    lab.now += MINUTE
    flights = Flights(lab, known=Known(flights=tuple(Flights(lab).calls.values())))
    assert [] == flights.started


@both_colours
def test_d7_code_that_swallows_an_error_of_the_author_gets_no_further_key(colour: Colour) -> None:
    went_on: list[bool] = []

    def program(step: Any) -> Running:
        with suppress(BaseException):
            step.sleep("nap", 5)
        step.uuid("order")
        went_on.append(True)
        yield step.do("a", one)

    with pytest.raises(StepUsageError):
        begin(colour, program).plan()
    assert [] == went_on


# -- what is told


@both_colours
def test_d1_the_first_of_the_records_that_are_not_asked_for_is_told(colour: Colour) -> None:
    """Whatever the order of the rows."""

    def program(step: Any) -> Running:
        yield step.do("a", one)

    lab = begin(colour, program)
    settled = {"status": "completed", "result": "1", "settled_at": T0, "attempts": 1}
    steps = [record(f"do:{name}", sequence=place, **settled) for place, name in ((3, "c"), (2, "b"), (1, "a"))]
    lab.put(snapshot(instance(status="active"), steps=steps, hooks=[timer()]))
    with pytest.raises(NonDeterminismError) as caught:
        lab.plan()
    assert ("do:b", 2) == (caught.value.expected, caught.value.sequence)


def test_d3_parameters_that_the_code_has_outgrown_are_named() -> None:
    lab = Lab.of(greet)
    lab.create(greet, "ada")

    @workflow(name="greet")
    def counts(step: Step, number: int) -> None:
        step.sleep("nap", MINUTE)

    lab.registry = Registry([counts])
    with pytest.raises(CodecError) as caught:
        lab.plan()
    assert (
        "at $: expected int, found 'ada' (string); in the parameters of 'greet#1', as other code stored it: deploy "
        "code whose type takes it; the instance is unchanged"
    ) == str(caught.value)


@both_colours
def test_s13_what_is_no_duration_is_told_with_the_step_and_what_to_do(colour: Colour) -> None:
    def program(step: Any) -> Running:
        yield step.do("pay", one, at_most_once=5)

    with pytest.raises(StepUsageError) as caught:
        begin(colour, program).plan()
    assert (
        "step 'pay': at_most_once=5 cannot be used; pass a timedelta longer than zero: when a started body without a "
        "result counts as failed"
    ) == str(caught.value)


def unknown(_attempt: Attempt) -> Any:
    return None


unknown.__annotations__["return"] = "Nowhere"


def write(arguments: str) -> str:
    how = f"write 'lambda {arguments}: ...' or 'def body({arguments}): ...'"
    return f"{how}; bind other arguments with functools.partial"


@both_colours
def test_s15_a_body_whose_type_is_not_known_is_named_before_it_runs(colour: Colour) -> None:
    def program(step: Any) -> Running:
        yield step.do("pay", unknown)

    with pytest.raises(StepBodyError, match=r"^step 'do:pay': the return annotation 'Nowhere' of its body"):
        begin(colour, program).plan()


@pytest.mark.parametrize(
    ("taker", "text"),
    [
        (
            5,
            "the body 5 is not callable; pass a function that takes the attempt and the received",
        ),
        (
            lambda attempt: None,
            "a body is called with exactly (attempt, received); this one takes (attempt); "
            + write("attempt, received"),
        ),
    ],
    ids=["not callable", "one argument"],
)
@both_colours
def test_s16_a_body_that_cannot_take_an_event_is_told_what_to_write(colour: Colour, taker: Any, text: str) -> None:
    def program(step: Any) -> Running:
        yield step.wait_for_event("answer", "answer", on_consume=taker)

    lab = begin(colour, program)
    lab.tick()
    lab.send("answer")
    with pytest.raises(StepBodyError) as caught:
        lab.plan()
    assert f"step 'wait_for_event:answer': {text}" == str(caught.value)


@pytest.mark.parametrize(
    ("taker", "text"),
    [
        (5, "the body 5 is not callable; pass a function that takes the attempt"),
        (
            lambda: None,
            "a body is called with exactly one argument, the attempt; this one takes (); " + write("attempt"),
        ),
    ],
    ids=["not callable", "no argument"],
)
@both_colours
def test_s16_a_body_that_cannot_take_an_attempt_is_told_what_to_write(colour: Colour, taker: Any, text: str) -> None:
    def program(step: Any) -> Running:
        yield step.do("pay", taker)

    with pytest.raises(StepBodyError) as caught:
        begin(colour, program).plan()
    assert f"step 'do:pay': {text}" == str(caught.value)


# -- what a plan carries


@both_colours
def test_t4_a_receiver_that_an_earlier_step_of_the_tick_has_started_need_not_exist(colour: Colour) -> None:
    @workflow(name="child")
    def child(step: Step) -> None:
        step.wait_for_event("go", "go")

    def program(step: Any) -> Running:
        yield step.do("first", lambda attempt: attempt.start(child, id="1") and None)
        yield step.do("second", lambda attempt: attempt.start(child, id="2") and None)
        yield step.do("tell", lambda attempt: attempt.send_event(child, "1", "go", required=True) and None)

    plan = begin(colour, program, checkpoint="tick").plan()
    assert [] == [each for each in plan.preconditions if isinstance(each, Exists)]


@workflow(name="greet")
def greet(step: Step, name: str) -> None:
    step.sleep("nap", MINUTE)


class Shouting(JsonCodec):
    """Its payloads can be told from those of others."""

    def encode(self, value: object, type_: Any) -> str:
        return super().encode(value, type_).replace("ada", "ADA")


@both_colours
def test_t1_what_an_attempt_starts_is_encoded_by_the_codec_of_the_tick(colour: Colour) -> None:
    def program(step: Any) -> Running:
        yield step.do("start", lambda attempt: attempt.start(greet, "ada", id="1") and None)

    lab = begin(colour, program)
    lab.codec = Shouting()
    plan = lab.plan()
    assert ['"ADA"'] == [each.instance.params for each in plan.mutations if isinstance(each, AddInstance)]


def created(params: object, **options: Any) -> Plan:
    return plan_create(snapshot(None), greet, params, instance_id="1", execution_id="x", **options)


def test_m1_params_and_tags_are_encoded_by_the_codec_that_is_given() -> None:
    plan = created("ada", tags={"by": "ada"}, codec=Shouting())
    (row,) = (each.instance for each in plan.mutations if isinstance(each, AddInstance))
    assert ('"ADA"', {"by": "ADA"}) == (row.params, row.tags)


@pytest.mark.parametrize(
    ("params", "tags", "text"),
    [
        (5, {}, "at $: expected str, found 5 (integer); in the parameters of 'greet'"),
        ("ada", {"colour": 1}, "at $.colour: expected str, found 1 (integer); in the tags"),
        ("ada", {1: "colour"}, None),
    ],
    ids=["params", "tags", "keys of tags"],
)
def test_m1_params_and_tags_that_cannot_be_encoded_are_told_where(params: Any, tags: Any, text: str | None) -> None:
    with pytest.raises(CodecError) as caught:
        created(params, tags=tags)
    assert text in {None, str(caught.value)}


# -- errors of the author after new work


def stuck_after_work(step: Any) -> Running:
    yield step.do("work", one)
    yield step.do("a>b", one)


@both_colours
@pytest.mark.parametrize(("hooks", "expected"), [([], 1), ([timer()], 1), ([timer(attempts=3)], 4)])
def test_d9_the_attempts_of_the_timer_are_counted_on(colour: Colour, hooks: list[Hook], expected: int) -> None:
    lab = begin(colour, stuck_after_work, checkpoint="tick")
    lab.put(snapshot(instance(status="active"), hooks=hooks))
    written = written_timer(lab.plan())
    assert written is not None
    assert expected == written.attempts


@both_colours
def test_d9_after_a_checkpoint_they_are_counted_anew(colour: Colour) -> None:
    def program(step: Any) -> Running:
        yield step.do("before", one)
        yield from stuck_after_work(step)

    lab = begin(colour, program)
    lab.put(snapshot(instance(status="active"), hooks=[timer(attempts=3)]))
    plan = Worker(lab).plan()
    written = written_timer(plan)
    assert written is not None
    assert (Stuck, 1) == (type(plan.outcome), written.attempts)


# -- rule O5


def test_o5_a_plan_that_would_leave_an_instance_behind_is_a_bug_and_told_whole() -> None:
    waits = record("sleep:nap", wake_at=T0)
    with pytest.raises(AssertionError) as caught:
        _require_progress("waiting", None, {waits.key: waits}, (), T0)
    at = "2026-01-01T00:00:00+00:00"
    assert (
        f"a plan would break rule O5: waiting, and it has no timer, but the earliest deadline is {at} (at {at})"
    ) == str(caught.value)
