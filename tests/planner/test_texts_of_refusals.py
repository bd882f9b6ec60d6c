"""The whole text of what the author of workflow code is told: names the step, what is wrong, what to do."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from tests.lab import MINUTE, T0, Lab
from tests.planner.flights import made
from tests.twins import Colour, Running, begin, both_colours
from wfcore.define import workflow
from wfcore.errors import (
    CodecError,
    ForeignAwaitError,
    NonDeterminismError,
    StepBodyError,
    StepNameError,
    StepUsageError,
    WorkflowError,
)
from wfcore.planner import AsyncStep, Attempt, Unwind
from wfcore.planner.calls import Settled, StepCall
from wfcore.planner.requests import Request
from wfcore.workflow import EventType

NOT_NEGATIVE = "pass a timedelta that is not negative"
AWARE = "pass an aware datetime, such as one from step.now()"
EVENT = "pass an EventType, or the name of a type as str"
IDS = (
    "names are 1 to 128 characters without > # [ ] / and control characters, "
    "ids 1 to 256 without # and control characters"
)
Approved = EventType("approved", int)


async def branch(_step: AsyncStep) -> None:
    return


def awaiting(ask: Callable[[AsyncStep], Any]) -> Lab:
    """A laboratory with a workflow of one step."""

    async def code(step: AsyncStep) -> None:
        await ask(step)

    return made(code)


# -- arguments


@both_colours
@pytest.mark.parametrize(
    ("ask", "text"),
    [
        (lambda step: step.sleep("nap", 5), f"duration=5 cannot be used; {NOT_NEGATIVE}"),
        (lambda step: step.wait_for_event("nap", "e", timeout=5), f"timeout=5 cannot be used; {NOT_NEGATIVE}"),
        (lambda step: step.sleep_until("nap", "noon"), f"instant='noon' cannot be used; {AWARE}"),
        (lambda step: step.wait_for_event("nap", 7), f"event=7 cannot be used; {EVENT}"),
        (lambda step: step.wait_for_event("nap", "e", "e"), "event='e' cannot be used; name each type of event once"),
        (lambda step: step.do("nap", int, retry=3), "retry=3 cannot be used; pass wfcore.Retry(max_attempts=...)"),
    ],
)
def test_w2_an_argument_that_cannot_be_used_is_told_with_what_can(colour: Colour, ask: Any, text: str) -> None:
    def program(step: Any) -> Running:
        yield ask(step)

    with pytest.raises(StepUsageError) as caught:
        begin(colour, program).plan()
    assert f"step 'nap': {text}" == str(caught.value)


@both_colours
def test_w11_a_type_that_the_workflow_does_not_list_is_told_with_those_that_it_does(colour: Colour) -> None:
    def program(step: Any) -> Running:
        yield step.wait_for_event("nap", EventType("other", int))

    with pytest.raises(StepUsageError) as caught:
        begin(colour, program, events=[Approved]).plan()
    error = caught.value
    assert ("nap", "event=EventType('other', <class 'int'>) cannot be used") == (error.step, error.problem)


@both_colours
def test_w2_an_instant_is_recorded_in_utc(colour: Colour) -> None:
    def program(step: Any) -> Running:
        yield step.sleep_until("nap", (T0 + MINUTE).astimezone(timezone(timedelta(hours=2))))

    lab = begin(colour, program)
    lab.tick()
    wake_at = lab.steps()["sleep:nap"].wake_at
    assert isinstance(wake_at, datetime)
    assert (T0 + MINUTE, True) == (wake_at, wake_at.tzinfo is UTC)


@pytest.mark.parametrize(
    ("ask", "text"),
    [
        (lambda step: step.race("r", 5), "step 'r': branch 5 cannot be used; pass a function that takes a step of"),
        (lambda step: step.race("r", {1: branch}), "step 'r': key 1 of a branch cannot be used; name each branch by"),
        (
            lambda step: step.map("m", [object], branch_of_item),
            "step 'm': the list of items (at $[0]: expected plain JSON",
        ),
    ],
)
def test_p1_what_is_wrong_with_a_group_is_told_with_its_name(ask: Callable[[AsyncStep], Any], text: str) -> None:
    with pytest.raises(StepUsageError) as caught:
        awaiting(ask).plan()
    assert text == str(caught.value)[: len(text)]


async def branch_of_item(_step: AsyncStep, _item: Any) -> None:
    return


def test_p1_items_that_cannot_be_encoded_are_told_with_what_to_do() -> None:
    with pytest.raises(StepUsageError) as caught:
        awaiting(lambda step: step.map("m", [object], branch_of_item)).plan()
    assert "annotate the item's parameter of the function with a type that can be encoded, or pass key=" == (
        caught.value.advice
    )


async def sleeps(step: AsyncStep, _item: Any) -> None:
    await step.sleep("nap", MINUTE)


@pytest.mark.parametrize(("scopes", "scope"), [((), ""), (("s",), "scope:s"), (("s", "t"), "scope:s>scope:t")])
def test_p1_another_list_under_a_map_is_told_with_its_instance_and_its_place(
    scopes: tuple[str, ...], scope: str
) -> None:
    items = [1]

    async def code(step: AsyncStep) -> None:
        for name in scopes:
            step = step.scope(name)
        await step.map("m", items, sleeps)

    lab = made(code)
    lab.tick()
    recorded = lab.steps()[f"{scope}>map:m" if scope else "map:m"].result
    items.append(2)
    lab.now += MINUTE
    with pytest.raises(NonDeterminismError) as caught:
        lab.plan()
    error = caught.value
    key = f"{scope}>map:m" if scope else "map:m"
    assert ("w#1", key, None, (key,), scope) == (error.ref, error.expected, error.sequence, error.asked, error.scope)
    assert error.problem.startswith(f"the list under a map has changed: recorded {recorded}, now {{")


# -- places

PLACES: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "a step": ("x", lambda step: step.sleep("x", MINUTE)),
    "a bad argument": ("x", lambda step: step.sleep("x", -MINUTE)),
    "now": ("now", lambda step: step.now()),
    "log": ("log", lambda step: step.log("x")),
    "patched": ("x", lambda step: step.patched("x")),
    "continue_with": ("continue_with", lambda step: step.continue_with(1)),
}
GROUPS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "a bad name of a branch": ("x", lambda step: step.gather("x", {"/": branch})),
    "a branch of another shape": ("x", lambda step: step.gather("x", lambda: 1)),
    "items of an unknown type": ("x", lambda step: step.map("x", [1], of_unknown)),
}


async def of_unknown(_step: AsyncStep, _item: "Unknown") -> None:  # type: ignore[name-defined] # noqa: F821 - the point
    return


def misplaced(what: str) -> str:
    return (
        f"step {what!r}: it is used outside of the workflow code it was given to (in a step body, in another branch, "
        "after the tick); call steps in workflow code only, each branch its own; hand values to bodies instead"
    )


@both_colours
@pytest.mark.parametrize("use", PLACES)
def test_k2_what_is_used_inside_a_body_is_named(colour: Colour, use: str) -> None:
    what, ask = PLACES[use]

    def program(step: Any) -> Running:
        yield step.do("outer", lambda attempt: ask(step))

    with pytest.raises(StepUsageError) as caught:
        begin(colour, program).plan()
    assert misplaced(what) == str(caught.value)


@pytest.mark.parametrize("use", GROUPS)
def test_k2_a_group_that_is_used_inside_a_body_is_named(use: str) -> None:
    what, ask = GROUPS[use]
    with pytest.raises(StepUsageError) as caught:
        awaiting(lambda step: step.do("outer", lambda attempt: ask(step))).plan()
    assert misplaced(what) == str(caught.value)


# -- bodies and foreign awaits


async def body(_attempt: Attempt) -> int:
    return 1


@both_colours
def test_s16_a_body_that_gives_an_awaitable_is_told_who_can_await_it(colour: Colour) -> None:
    def program(step: Any) -> Running:
        yield step.do("a", body)

    with pytest.raises(StepBodyError) as caught:
        begin(colour, program).plan()
    assert (
        "step 'do:a': its body gave an awaitable (coroutine), and this runner cannot await; use a plain function as "
        "the body; one that is awaited needs an 'async def' workflow and an AsyncDispatcher"
    ) == str(caught.value)


class Bare:
    def __init__(self, _step: object = None) -> None:
        pass

    def __await__(self) -> Any:
        yield


def test_d6_a_foreign_await_that_no_line_of_the_author_makes_is_told_without_a_line() -> None:
    with pytest.raises(ForeignAwaitError) as caught:
        awaiting(lambda step: step.gather("g", Bare)).plan()
    assert (
        "workflow code may await steps and coroutines made of steps, not a bare suspension; "
        "do it in a step body (step.do), or use step.sleep for a pause"
    ) == str(caught.value)


@both_colours
def test_d6_an_error_that_unwinds_a_body_is_the_ticks(colour: Colour) -> None:
    error = ForeignAwaitError("asyncio.run", "shop.py", 7)

    def perform(_call: StepCall) -> Settled:
        raise Unwind(error)

    def program(step: Any) -> Running:
        yield step.do("a", lambda attempt: 1)

    with pytest.raises(ForeignAwaitError) as caught:
        begin(colour, program).plan(perform=perform)
    assert (error, (error,)) == (caught.value, Unwind(error).args)


# -- what attempts queue


@workflow(name="child", events=[Approved])
async def child(step: AsyncStep, amount: int) -> None:
    await step.wait_for_event("approval", Approved)


@pytest.mark.parametrize(
    ("queue", "kind", "text"),
    [
        (
            lambda attempt: attempt.start(child, "x", id="c"),
            CodecError,
            "at $: expected int, found 'x' (string); in the parameters of 'child'",
        ),
        (
            lambda attempt: attempt.start(child, 1, id="c", tags={"colour": 1}),
            CodecError,
            "at $.colour: expected str, found 1 (integer); in the tags",
        ),
        (
            lambda attempt: attempt.start(child, 1, id="#"),
            StepNameError,
            f"instance id '#' cannot be used: that character is reserved ('#' at position 0); {IDS}",
        ),
        (
            lambda attempt: attempt.send_event(child, "c", Approved, "x"),
            CodecError,
            "at $: expected int, found 'x' (string); in the payload of event 'approved'",
        ),
        (
            lambda attempt: attempt.send_event(child, "", Approved, 1),
            StepNameError,
            f"instance id '' cannot be used: it is empty; {IDS}",
        ),
        (
            lambda attempt: attempt.send_event(child, "c", Approved, 1, event_id=5),
            StepNameError,
            f"event id '5' cannot be used: it must be a str; {IDS}",
        ),
    ],
)
def test_t4_what_cannot_be_queued_is_told_where_it_stands(
    queue: Callable[[Attempt], None], kind: type[WorkflowError], text: str
) -> None:
    with pytest.raises(kind) as caught:
        queue(Attempt(number=1, idempotency_key="k"))
    assert text == str(caught.value)


# -- requests


@pytest.mark.parametrize("thrown", [(LookupError("x"),), (LookupError, LookupError("x"))], ids=["error", "and type"])
@pytest.mark.parametrize("begun", [False, True])
def test_r4_what_is_thrown_into_a_step_is_raised_there_and_ends_it(thrown: tuple[Any, ...], *, begun: bool) -> None:
    ends: list[object] = []

    async def code(step: AsyncStep) -> None:
        request = step.sleep("nap", MINUTE)
        assert isinstance(request, Request)
        if begun:
            request.send(None)
        with pytest.raises(LookupError) as caught:
            request.throw(*thrown)
        ends.append(str(caught.value))
        if begun:
            with pytest.raises(StopIteration):
                request.send(None)
        await step.sleep("another", MINUTE)

    made(code).plan()
    assert ["x"] == ends
