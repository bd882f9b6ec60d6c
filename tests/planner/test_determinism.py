"""Workflow code that no longer fits its history, or is no workflow code: rules D1 to D3, D5 to D9, P8, K2, K4."""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, cast
from uuid import UUID

import attrs
import pytest

from tests.lab import MINUTE, SECOND, T0, Lab
from tests.twins import BOTH, Colour, Program, Running, begin, both_colours, deploy
from wfcore.define import workflow
from wfcore.errors import (
    CodecError,
    CorruptRecordError,
    ForeignAwaitError,
    NonDeterminismError,
    StepBodyError,
    StepFailedError,
    StepNameError,
    StepUsageError,
    SwallowedSuspensionError,
    UnawaitedStepError,
    WfcoreError,
    WorkflowError,
)
from wfcore.failure import class_name
from wfcore.outcome import Checkpointed, Completed, Errored, Ignored, Stuck, Suspended
from wfcore.plan import LogLine, Plan, PutStep, Write
from wfcore.planner import AsyncStep, Attempt, Continue, Returned, Settled, Step, StepCall, Stop, plan_defer, plan_tick
from wfcore.retry import Retry
from wfcore.workflow import EventType

Body = Callable[[Attempt], Any]


def never(attempt: Attempt) -> int:
    raise AssertionError("this body must not run")


def one(attempt: Attempt) -> int:
    return 1


# -- D1, D2: history first, exactly


def original(step: Any, body: Body = one) -> Running:
    """After two ticks, an hour apart: do:a, sleep:nap, do:b have settled in this order, wait_for_event:ok is open."""
    yield step.do("a", body)
    yield step.sleep("nap", MINUTE)
    yield step.scope("s").do("b", body)
    yield step.wait_for_event("ok", "ok")


def renamed_first(step: Any) -> Running:
    yield step.do("A", never)


def renamed_later(step: Any) -> Running:
    yield step.do("a", never)
    yield step.sleep("pause", MINUTE)


def removed(step: Any) -> Running:
    yield step.do("a", never)
    yield step.scope("s").do("b", never)


def reordered(step: Any) -> Running:
    yield step.sleep("nap", MINUTE)
    yield step.do("a", never)


def other_kind(step: Any) -> Running:
    yield step.do("a", never)
    yield step.do("nap", never)


def returns_early(step: Any) -> Running:
    yield step.do("a", never)
    return "early"


def raises_early(step: Any) -> Running:
    yield step.do("a", never)
    raise ValueError("early")


def does_nothing(step: Any) -> Running:
    return "nothing"
    yield


def one_more_before(step: Any) -> Running:
    yield step.do("zero", never)
    yield from original(step, never)


def one_more_between(step: Any) -> Running:
    yield step.do("a", never)
    yield step.do("a", never)


def moved_into_a_scope(step: Any) -> Running:
    yield step.do("a", never)
    yield step.sleep("nap", MINUTE)
    yield step.scope("t").do("b", never)


def last_removed(step: Any) -> Running:
    yield step.do("a", never)
    yield step.sleep("nap", MINUTE)
    yield step.scope("s").do("b", never)


def last_replaced(step: Any) -> Running:
    yield from last_removed(step)
    yield step.do("c", never)


def one_more_before_the_open_wait(step: Any) -> Running:
    yield from last_removed(step)
    yield step.sleep("another", MINUTE)
    yield step.wait_for_event("ok", "ok")


AT_ITS_TURN = "the code does not ask for the step whose turn it is"
ENDS = "the workflow ends before a recorded step"
GOES_ON = "the code goes on to something new without asking for a recorded step"
EDITS = [
    (renamed_first, "do:a", 1, ("do:A",), "", AT_ITS_TURN),
    (renamed_later, "sleep:nap", 2, ("sleep:pause",), "", AT_ITS_TURN),
    (removed, "sleep:nap", 2, ("scope:s>do:b",), "", AT_ITS_TURN),
    (reordered, "do:a", 1, ("sleep:nap",), "", AT_ITS_TURN),
    (other_kind, "sleep:nap", 2, ("do:nap",), "", AT_ITS_TURN),
    (returns_early, "sleep:nap", 2, (), "", ENDS),
    (raises_early, "sleep:nap", 2, (), "", ENDS),
    (does_nothing, "do:a", 1, (), "", ENDS),
    (one_more_before, "do:a", 1, ("do:zero",), "", AT_ITS_TURN),
    (one_more_between, "sleep:nap", 2, ("do:a#1",), "", AT_ITS_TURN),
    (moved_into_a_scope, "scope:s>do:b", 3, ("scope:t>do:b",), "scope:s", AT_ITS_TURN),
    (last_removed, "wait_for_event:ok", None, (), "", ENDS),
    (last_replaced, "wait_for_event:ok", None, ("do:c",), "", GOES_ON),
    (one_more_before_the_open_wait, "wait_for_event:ok", None, ("sleep:another",), "", GOES_ON),
]
edits = pytest.mark.parametrize(
    ("edit", "expected", "sequence", "asked", "scope", "problem"), EDITS, ids=[each[0].__name__ for each in EDITS]
)


def waiting_with_an_event(colour: Colour) -> Lab:
    """The original, parked at its last step, and what that step waits for is there."""
    lab = begin(colour, original)
    lab.run(until=T0 + MINUTE)
    lab.send("ok")
    return lab


@both_colours
@edits
def test_d1_an_edit_that_does_not_fit_history_is_a_mismatch(
    colour: Colour,
    edit: Program,
    expected: str,
    sequence: int | None,
    asked: tuple[str, ...],
    scope: str,
    problem: str,
) -> None:
    lab = waiting_with_an_event(colour)
    deploy(lab, colour, edit)
    with pytest.raises(NonDeterminismError) as caught:
        lab.plan()
    error = caught.value
    assert (lab.ref, expected, sequence, asked, scope, problem) == (
        error.ref,
        error.expected,
        error.sequence,
        error.asked,
        error.scope,
        error.problem,
    )


@contextmanager
def nothing_caught() -> Generator[None]:
    """What the most careless of users writes."""
    try:
        yield
    except BaseException:
        raise ValueError("swallowed") from None


def swallows_all(edit: Program) -> Program:
    def program(step: Any) -> Running:
        try:
            return (yield from edit(step))
        except BaseException:
            return "swallowed"

    return program


def raises_another(edit: Program) -> Program:
    def program(step: Any) -> Running:
        with nothing_caught():
            return (yield from edit(step))

    return program


def swallows_exceptions(edit: Program) -> Program:
    def program(step: Any) -> Running:
        try:
            return (yield from edit(step))
        except Exception:
            return "swallowed"

    return program


@both_colours
@pytest.mark.parametrize("careless", [swallows_exceptions, swallows_all, raises_another])
@edits
def test_d2_workflow_code_cannot_catch_a_mismatch(
    colour: Colour,
    careless: Callable[[Program], Program],
    edit: Program,
    expected: str,
    sequence: int | None,
    asked: tuple[str, ...],
    scope: str,
    problem: str,
) -> None:
    lab = waiting_with_an_event(colour)
    deploy(lab, colour, careless(edit))
    with pytest.raises(NonDeterminismError) as caught:
        lab.plan()
    assert (expected, sequence) == (caught.value.expected, caught.value.sequence)


def failed_and_goes_on(step: Any) -> Running:
    with pytest.raises(StepFailedError):
        yield step.do("a", lambda attempt: 1 / 0)
    yield step.wait_for_event("ok", "ok")


def failed_and_renamed(step: Any) -> Running:
    with pytest.raises(StepFailedError):
        yield step.do("b", never)
    yield step.wait_for_event("ok", "ok")


@both_colours
def test_d1_a_failed_step_is_history_like_any_other(colour: Colour) -> None:
    lab = begin(colour, failed_and_goes_on)
    lab.tick()
    lab.send("ok")
    deploy(lab, colour, failed_and_renamed)
    with pytest.raises(NonDeterminismError) as caught:
        lab.plan()
    assert ("do:a", 1, ("do:b",)) == (caught.value.expected, caught.value.sequence, caught.value.asked)


def retrying(step: Any) -> Running:
    yield step.do("a", lambda attempt: 1 / 0, retry=Retry(max_attempts=2))


@both_colours
@pytest.mark.parametrize(
    ("edit", "asked"), [(renamed_first, ("do:A",)), (does_nothing, ())], ids=["renamed", "does nothing"]
)
def test_d1_a_step_between_two_attempts_must_be_asked_for(
    colour: Colour, edit: Program, asked: tuple[str, ...]
) -> None:
    lab = begin(colour, retrying)
    lab.tick()
    deploy(lab, colour, edit)
    lab.now = T0 + SECOND
    with pytest.raises(NonDeterminismError) as caught:
        lab.plan()
    assert ("do:a", None, asked) == (caught.value.expected, caught.value.sequence, caught.value.asked)


def with_another_body(step: Any) -> Running:
    yield from original(step, never)


def with_another_end(step: Any) -> Running:
    yield from original(step, never)
    yield step.do("c", one)
    return "longer"


def with_another_duration(step: Any) -> Running:
    yield step.do("a", never, retry=Retry(max_attempts=9))
    yield step.sleep_until("nap", T0 + 90 * MINUTE)
    yield step.scope("s").do("b", never)
    yield step.wait_for_event("ok", "ok")


@both_colours
@pytest.mark.parametrize("edit", [with_another_body, with_another_end, with_another_duration])
def test_d1_what_is_no_part_of_history_may_change(colour: Colour, edit: Program) -> None:
    lab = waiting_with_an_event(colour)
    deploy(lab, colour, edit)
    lab.tick()
    assert "complete" == lab.instance.status


def test_d2_the_text_says_what_where_and_what_to_do() -> None:
    error = NonDeterminismError("w#1", "scope:s>do:b", 3, ("scope:t>do:b",), "scope:s", AT_ITS_TURN)
    assert (
        "w#1: the code does not ask for the step whose turn it is: history has 'scope:s>do:b' (number 3 in the "
        "history) in scope 'scope:s', the code asked for 'scope:t>do:b'; deploy code that asks for the recorded steps "
        "in the recorded order; the instance is unchanged and goes on by itself"
    ) == str(error)


# -- D3: the instance waits for a corrected deploy


def deferred(lab: Lab) -> WfcoreError:
    """A tick fails; its hook is put off."""
    fired = lab.fired()
    with pytest.raises((WorkflowError, CodecError)) as caught:
        lab.plan(fired=fired)
    lab.apply(plan_defer(lab.snapshot(), fired, caught.value, execution_id=lab.next_id("defer")))
    return caught.value


@both_colours
def test_d3_a_mismatch_changes_nothing_of_the_instance(colour: Colour) -> None:
    lab = waiting_with_an_event(colour)
    before = lab.world[lab.ref]
    deploy(lab, colour, renamed_first)
    deferred(lab)
    assert attrs.evolve(before, hooks={}) == attrs.evolve(lab.world[lab.ref], hooks={})


@both_colours
def test_d3_the_hook_is_put_off_with_the_error(colour: Colour) -> None:
    lab = waiting_with_an_event(colour)
    deploy(lab, colour, renamed_first)
    error = deferred(lab)
    (hook,) = lab.hooks().values()
    assert (1, T0 + MINUTE + SECOND, f"NonDeterminismError: {error}") == (hook.attempts, hook.due_at, hook.last_error)


@both_colours
def test_d3_a_corrected_deploy_resumes(colour: Colour) -> None:
    lab = waiting_with_an_event(colour)
    deploy(lab, colour, renamed_first)
    deferred(lab)
    deploy(lab, colour, with_another_body)
    lab.run(until=T0 + 2 * MINUTE)
    assert ("complete", {}) == (lab.instance.status, lab.hooks())


# -- D5: now, uuid, random


def times(step: Any) -> list[str]:
    return [step.now().isoformat()]


@both_colours
def test_d5_now_is_the_last_settlement_that_the_code_has_seen(colour: Colour) -> None:
    seen: list[tuple[str, datetime]] = []

    def program(step: Any) -> Running:
        seen.append(("start", step.now()))
        yield step.do("a", one)
        seen.append(("body", step.now()))
        yield step.sleep("nap", MINUTE)
        seen.append(("nap", step.scope("s").now()))
        yield step.wait_for_event("ok", "ok")
        seen.append(("event", step.now()))

    def slow(call: StepCall) -> Settled:
        return Settled(Returned(1), 5 * SECOND)

    lab = begin(colour, program)
    lab.tick(at=T0 + SECOND, perform=slow)
    lab.tick(at=T0 + 10 * MINUTE)
    lab.now = T0 + 20 * MINUTE
    lab.send("ok")
    lab.tick(at=T0 + 30 * MINUTE)
    story = [
        ("start", T0 + SECOND),
        ("body", T0 + 6 * SECOND),
        ("nap", T0 + 10 * MINUTE),
        ("event", T0 + 30 * MINUTE),
    ]
    assert [*story[:2], *story[:3], *story] == seen


@both_colours
def test_d5_now_after_a_failure_is_the_time_of_the_failure(colour: Colour) -> None:
    def program(step: Any) -> Running:
        with pytest.raises(StepFailedError):
            yield step.do("a", lambda attempt: 1 / 0)
        return step.now().isoformat()

    lab = begin(colour, program)
    assert Completed(f'"{(T0 + MINUTE).isoformat()}"') == lab.tick(at=T0 + MINUTE).outcome


def chances(step: Any) -> dict[str, object]:
    inner = step.scope("s")
    return {
        "uuid": step.uuid("x"),
        "again": step.uuid("x"),
        "another": step.uuid("y"),
        "in a scope": inner.uuid("x"),
        "in a scope again": step.scope("s").uuid("x"),
        "random": step.random("x"),
        "random again": step.random("x"),
        "another random": step.random("y"),
        "random in a scope": inner.random("x"),
    }


def gambler(seen: list[dict[str, object]]) -> Program:
    def program(step: Any) -> Running:
        seen.append(chances(step))
        yield step.wait_for_event("ok", "ok")

    return program


@both_colours
def test_d5_chance_is_equal_live_and_on_replay(colour: Colour) -> None:
    seen: list[dict[str, object]] = []
    lab = begin(colour, gambler(seen))
    lab.tick()
    lab.send("ok")
    lab.tick(at=T0 + MINUTE)
    live, replayed = seen
    assert live == replayed


@both_colours
def test_d5_chance_differs_by_name_occurrence_and_scope(colour: Colour) -> None:
    seen: list[dict[str, object]] = []
    begin(colour, gambler(seen)).tick()
    assert len(seen[0]) == len({*seen[0].values()})


@both_colours
def test_d5_chance_differs_by_instance_and_run(colour: Colour) -> None:
    seen: list[dict[str, object]] = []
    lab = begin(colour, gambler(seen))
    lab.tick()
    (twin,) = lab.registry
    lab.create(twin, id="2")
    lab.tick()
    again = attrs.evolve(lab.snapshot(), steps=(), instance=attrs.evolve(lab.instance, run_number=2, status="active"))
    recreated = attrs.evolve(again, instance=attrs.evolve(lab.instance, created_by="another", status="active"))
    for snapshot in (again, recreated):
        hook = attrs.evolve(lab.fired().hook, run_number=None)
        plan_tick(snapshot, attrs.evolve(lab.fired(), hook=hook), lab.registry, execution_id="t")
    assert 4 == len({each["uuid"] for each in seen}) == len({each["random"] for each in seen})


@both_colours
def test_d5_a_uuid_is_a_uuid_and_a_random_is_a_fraction(colour: Colour) -> None:
    seen: list[dict[str, object]] = []
    begin(colour, gambler(seen)).tick()
    drawn, number = seen[0]["uuid"], seen[0]["random"]
    assert isinstance(drawn, UUID)
    assert isinstance(number, float)
    assert (5, True) == (drawn.version, 0 <= number < 1)


# -- D6: only steps are awaited


class Foreign:
    def __await__(self) -> Generator[Any, Any, Any]:
        return (yield self)


class ForeignIterator:
    def __await__(self) -> Generator[Any, Any, Any]:
        return iter([7])  # type: ignore[return-value]  # any iterator will do for await


async def helper() -> None:
    await Foreign()  # mark: helper


async def numbers() -> Any:
    await Foreign()
    yield 1


async def awaits_foreign(step: AsyncStep) -> None:
    await Foreign()  # mark: foreign


async def awaits_a_helper(step: AsyncStep) -> None:
    await helper()


async def awaits_an_iterator(step: AsyncStep) -> None:
    await ForeignIterator()  # mark: iterator


class Bare:
    def __await__(self) -> Generator[None]:
        yield


async def suspends(step: AsyncStep) -> None:
    await Bare()  # mark: bare


async def awaits_asyncio_sleep(step: AsyncStep) -> None:
    await asyncio.sleep(0)  # mark: asyncio.sleep


async def iterates_over_foreign(step: AsyncStep) -> None:
    async for _ in numbers():  # mark: async for
        pass


async def awaits_foreign_in_try(step: AsyncStep) -> str:
    try:
        await Foreign()  # mark: try
    except BaseException:
        return "swallowed"
    return "went on"


def line_of(mark: str) -> int:
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, start=1) if line.endswith(f"# mark: {mark}"))


@pytest.mark.parametrize(
    ("function", "what", "mark"),
    [
        (awaits_foreign, "a Foreign", "foreign"),
        (awaits_a_helper, "a Foreign", "helper"),
        (awaits_an_iterator, "a int", "iterator"),
        (suspends, "a bare suspension", "bare"),
        (awaits_asyncio_sleep, "asyncio.sleep", "asyncio.sleep"),
        (iterates_over_foreign, "a Foreign", "async for"),
        (awaits_foreign_in_try, "a Foreign", "try"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_d6_a_foreign_await_is_refused_with_file_and_line(
    function: Callable[[AsyncStep], Awaitable[Any]], what: str, mark: str
) -> None:
    foreign = workflow(name="w")(cast(Any, function))
    lab = Lab.of(foreign)
    lab.create(foreign)
    with pytest.raises(ForeignAwaitError) as caught:
        lab.plan()
    assert (what, __file__, line_of(mark)) == (caught.value.what, caught.value.file, caught.value.line)


def test_d6_a_foreign_await_after_a_step_is_refused_too() -> None:
    async def after_a_step(step: AsyncStep) -> None:
        await step.sleep("nap", MINUTE)
        await helper()

    slow = workflow(name="w")(after_a_step)
    lab = Lab.of(slow)
    lab.create(slow)
    lab.tick()
    assert ("Stuck", line_of("helper")) == (
        type(outcome := lab.tick(at=T0 + MINUTE).outcome).__name__,
        int(cast(Stuck, outcome).error.message.split(": ")[0].rsplit(":")[-1]),
    )


# -- P8, D7: steps that are not awaited, suspensions that are swallowed


def test_p8_a_step_that_was_never_awaited_is_named() -> None:
    @workflow(name="w")
    async def forgetful(step: AsyncStep) -> None:
        step.do("a", never)  # type: ignore[unused-coroutine]  # the point of the test
        await step.sleep("nap", timedelta(0))
        step.scope("s").sleep("b", MINUTE)  # type: ignore[unused-coroutine]  # the point of the test

    lab = Lab.of(forgetful)
    lab.create(forgetful)
    plan = lab.plan()
    assert Stuck is type(plan.outcome)
    assert "'do:a', 'scope:s>sleep:b' was made and never awaited" in str(plan.outcome)


def test_p8_nothing_has_run_if_there_is_nothing_else() -> None:
    @workflow(name="w")
    async def forgetful(step: AsyncStep) -> str:
        step.do("a", never)  # type: ignore[unused-coroutine]  # the point of the test
        return "done"

    lab = Lab.of(forgetful)
    lab.create(forgetful)
    with pytest.raises(UnawaitedStepError) as caught:
        lab.plan()
    assert ("do:a",) == caught.value.step_keys


def test_p8_a_step_that_an_error_overtook_is_no_mistake() -> None:
    @workflow(name="w")
    async def overtaken(step: AsyncStep) -> None:
        step.do("a", never)  # type: ignore[unused-coroutine]  # it would be awaited further on
        raise ValueError("overtaken")

    lab = Lab.of(overtaken)
    lab.create(overtaken)
    assert Errored is type(lab.tick().outcome)


def test_p8_steps_are_answered_in_the_order_in_which_they_are_awaited() -> None:
    ran: list[str] = []

    @workflow(name="w", checkpoint="tick")
    async def later(step: AsyncStep) -> None:
        first = step.do("a", lambda attempt: ran.append("first"))
        second = step.do("a", lambda attempt: ran.append("second"))
        await second
        await first

    lab = Lab.of(later)
    lab.create(later)
    lab.tick()
    assert (["second", "first"], {"do:a#1": 1, "do:a": 2}) == (
        ran,
        {key: step.sequence for key, step in lab.steps().items()},
    )


def swallower(step: Step) -> str:
    try:
        step.sleep("nap", MINUTE)
    except BaseException:
        return "swallowed"
    return "went on"


def test_d7_a_def_workflow_that_swallows_a_suspension_is_stuck() -> None:
    careless = workflow(name="w")(swallower)
    lab = Lab.of(careless)
    lab.create(careless)
    outcome = lab.tick().outcome
    assert isinstance(outcome, Stuck)
    assert class_name(SwallowedSuspensionError) == outcome.error.type


def test_d7_a_def_workflow_that_swallows_an_old_suspension_is_refused() -> None:
    careless = workflow(name="w")(swallower)
    lab = Lab.of(careless)
    lab.create(careless)
    lab.tick()
    lab.now += SECOND
    with pytest.raises(SwallowedSuspensionError) as caught:
        lab.plan()
    assert "sleep:nap" == caught.value.step_key


def test_d7_a_def_workflow_goes_on_when_the_wait_that_it_swallows_is_over() -> None:
    careless = workflow(name="w")(swallower)
    lab = Lab.of(careless)
    lab.create(careless)
    lab.tick()
    assert Completed('"went on"') == lab.tick(at=T0 + MINUTE).outcome


def test_d7_steps_after_a_swallowed_suspension_raise_it_again() -> None:
    reached: list[str] = []

    @workflow(name="w")
    def stubborn(step: Step) -> None:
        for name in ("a", "b", "c"):
            try:
                step.sleep(name, MINUTE)
            except BaseException:
                reached.append(name)
        step.do("d", never)

    lab = Lab.of(stubborn)
    lab.create(stubborn)
    assert Suspended(T0 + MINUTE, ("sleep:a",)) == lab.tick().outcome
    assert (["a", "b", "c"], {"sleep:a"}) == (reached, {*lab.steps()})


def test_d7_a_suspension_that_turns_into_an_exception_is_a_suspension() -> None:
    @workflow(name="w")
    def careless(step: Step) -> None:
        with nothing_caught():
            step.sleep("nap", MINUTE)

    lab = Lab.of(careless)
    lab.create(careless)
    assert Suspended(T0 + MINUTE, ("sleep:nap",)) == lab.tick().outcome


# -- D7: finally blocks


def cleans_up(step: Step) -> None:
    try:
        step.sleep("nap", MINUTE)
    finally:
        step.do("clean up", one)


async def cleans_up_async(step: AsyncStep) -> None:
    try:
        await step.sleep("nap", MINUTE)
    finally:
        await step.do("clean up", one)


async def cleans_up_later_async(step: AsyncStep) -> None:
    clean_up = step.do("clean up", one)
    try:
        await step.sleep("nap", MINUTE)
    finally:
        await clean_up


async def cleans_up_with_helpers_async(step: AsyncStep) -> None:
    async def clean_up() -> None:
        await step.do("clean up", one)

    try:
        await step.sleep("nap", MINUTE)
    finally:
        await clean_up()


async def awaits_twice_in_finally(step: AsyncStep) -> None:
    try:
        try:
            await step.sleep("nap", MINUTE)
        finally:
            await step.do("clean up", one)
    finally:
        step.now()


CLEANERS: list[Any] = [
    cleans_up,
    cleans_up_async,
    cleans_up_later_async,
    cleans_up_with_helpers_async,
    awaits_twice_in_finally,
]


@pytest.mark.parametrize("cleaner", CLEANERS)
def test_d7_a_finally_block_schedules_nothing_at_the_end_of_a_tick(cleaner: Any) -> None:
    clean = workflow(name="w")(cleaner)
    lab = Lab.of(clean)
    lab.create(clean)
    assert Suspended(T0 + MINUTE, ("sleep:nap",)) == lab.tick().outcome
    assert {"sleep:nap"} == {*lab.steps()}


@pytest.mark.parametrize("cleaner", CLEANERS)
def test_d7_a_finally_block_runs_its_steps_when_its_turn_comes(cleaner: Any) -> None:
    clean = workflow(name="w")(cleaner)
    lab = Lab.of(clean)
    lab.create(clean)
    lab.tick()
    lab.tick(at=T0 + MINUTE)
    assert ("complete", {"sleep:nap": 1, "do:clean up": 2}) == (
        lab.instance.status,
        {key: step.sequence for key, step in lab.steps().items()},
    )


def fails_in_finally(step: Step) -> None:
    try:
        step.sleep("nap", MINUTE)
    finally:
        raise ValueError("in finally")


async def fails_in_finally_async(step: AsyncStep) -> None:
    try:
        await step.sleep("nap", MINUTE)
    finally:
        raise ValueError("in finally")


async def awaits_foreign_in_finally(step: AsyncStep) -> None:
    try:
        await step.sleep("nap", MINUTE)
    finally:
        await Foreign()


async def resists(step: AsyncStep) -> None:
    for _ in range(100):
        try:
            await step.sleep("nap", MINUTE)
        except BaseException:
            pass
        else:
            continue
        try:
            await Foreign()
        except GeneratorExit:
            continue


@pytest.mark.parametrize("careless", [fails_in_finally, fails_in_finally_async, awaits_foreign_in_finally, resists])
def test_d7_a_finally_block_cannot_end_a_suspended_instance(careless: Any) -> None:
    failing = workflow(name="w")(careless)
    lab = Lab.of(failing)
    lab.create(failing)
    assert Suspended(T0 + MINUTE, ("sleep:nap",)) == lab.tick().outcome


@pytest.mark.parametrize("careless", [fails_in_finally, fails_in_finally_async])
def test_d7_a_finally_block_that_fails_ends_the_instance_when_its_turn_comes(careless: Any) -> None:
    failing = workflow(name="w")(careless)
    lab = Lab.of(failing)
    lab.create(failing)
    lab.tick()
    lab.tick(at=T0 + MINUTE)
    assert ("errored", "in finally") == (
        lab.instance.status,
        lab.instance.failure and lab.instance.failure.message,
    )


# -- K2: a step is used where it was given, once


USES: dict[str, Callable[[Any], Any]] = {
    "do": lambda step: step.do("x", never),
    "sleep": lambda step: step.sleep("x", MINUTE),
    "bad sleep": lambda step: step.sleep("x", -MINUTE),
    "wait_for_event": lambda step: step.wait_for_event("x", "e"),
    "scope": lambda step: step.scope("x"),
    "uuid": lambda step: step.uuid("x"),
    "random": lambda step: step.random("x"),
    "now": lambda step: step.now(),
    "log": lambda step: step.log("x"),
}


@both_colours
@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("careless", [False, True])
def test_k2_a_step_cannot_be_used_inside_a_body(colour: Colour, use: str, careless: bool) -> None:
    def program(step: Any) -> Running:
        def body(attempt: Attempt) -> int:
            try:
                USES[use](step)
            except BaseException:
                if not careless:
                    raise
            return 1

        yield step.do("outer", body, retry=Retry(max_attempts=3))

    lab = begin(colour, program)
    with pytest.raises(StepUsageError) as caught:
        lab.plan()
    assert "outside of the workflow code it was given to" in caught.value.problem


@both_colours
@pytest.mark.parametrize("use", USES)
def test_k2_a_step_cannot_be_used_after_its_tick(colour: Colour, use: str) -> None:
    leaked: list[Any] = []

    def program(step: Any) -> Running:
        leaked.append(step)
        yield step.sleep("nap", MINUTE)

    begin(colour, program).tick()
    with pytest.raises(StepUsageError) as caught:
        USES[use](leaked[0])
    assert "after the tick" in caught.value.problem


@both_colours
@pytest.mark.parametrize("use", USES)
def test_k2_a_step_of_an_earlier_tick_does_not_end_the_instance(colour: Colour, use: str) -> None:
    leaked: list[Any] = []

    def program(step: Any) -> Running:
        leaked.append(step)
        yield step.sleep("nap", timedelta(0) if len(leaked) > 1 else MINUTE)
        USES[use](leaked[0])

    lab = begin(colour, program)
    lab.tick()
    outcome = lab.tick(at=T0 + MINUTE).outcome
    assert (Stuck, class_name(StepUsageError)) == (type(outcome), cast(Stuck, outcome).error.type)


@both_colours
@pytest.mark.parametrize("inner", BOTH)
def test_k2_a_step_of_another_instance_is_an_error_of_both(colour: Colour, inner: Colour) -> None:
    """A body of one instance plans a tick of another, whose body uses a step of the first."""
    errors: list[str] = []

    def outer(step: Any) -> Running:
        def plans_another(attempt: Attempt) -> None:
            def program(own: Any) -> Running:
                yield own.do("x", lambda attempt: step.now())

            with pytest.raises(StepUsageError) as caught:
                begin(inner, program).plan()
            errors.append(caught.value.step)

        yield step.do("outer", plans_another)

    with pytest.raises(StepUsageError) as caught:
        begin(colour, outer).plan()
    assert (["?"], "now") == (errors, caught.value.step)


async def itself(request: Awaitable[Any]) -> Any:
    return await request


@pytest.mark.parametrize("again", [lambda request: request, itself], ids=["plain", "in a coroutine"])
def test_k2_a_step_is_awaited_once(again: Callable[[Any], Awaitable[Any]]) -> None:
    ran: list[int] = []

    @workflow(name="w", checkpoint="tick")
    async def twice(step: AsyncStep) -> None:
        request = step.do("a", lambda attempt: ran.append(1))
        await request
        await again(request)

    lab = Lab.of(twice)
    lab.create(twice)
    outcome = lab.tick().outcome
    assert (Stuck, [1]) == (type(outcome), ran)
    assert "step 'do:a': it is awaited twice" in cast(Stuck, outcome).error.message


def test_k2_a_step_can_be_awaited_by_a_coroutine_of_its_own() -> None:
    """A step is a coroutine: it can be driven by hand, thrown into and closed."""

    class ByHand:
        def __init__(self, request: Any) -> None:
            self.request = request

        def __await__(self) -> Generator[Any, Any, Any]:
            value = None
            while True:
                try:
                    asked = self.request.send(value)
                except StopIteration as stop:
                    return stop.value
                try:
                    value = yield asked
                except StepFailedError as error:
                    try:
                        self.request.throw(error)
                    finally:
                        self.request.close()

    @workflow(name="w", checkpoint="tick")
    async def by_hand(step: AsyncStep) -> int:
        step.sleep("unused", MINUTE).close()
        with pytest.raises(StepFailedError):
            await ByHand(step.do("b", lambda attempt: 1 / 0))
        with pytest.raises(KeyError):
            step.do("c", never).throw(KeyError())
        return cast(int, await ByHand(step.do("a", one)))

    lab = Lab.of(by_hand)
    lab.create(by_hand)
    outcome = lab.tick().outcome
    assert "'sleep:unused', 'do:c' was made and never awaited" in str(outcome)


def test_k2_a_swallowed_error_does_not_let_the_code_go_on() -> None:
    @workflow(name="w")
    async def careless(step: AsyncStep) -> None:
        earlier = step.do("a", never)
        try:
            await step.sleep("nap", -MINUTE)
        except BaseException:
            await earlier

    lab = Lab.of(careless)
    lab.create(careless)
    with pytest.raises(StepUsageError) as caught:
        lab.plan()
    assert "nap" == caught.value.step


# -- K4 inside workflow code


@both_colours
@pytest.mark.parametrize("use", ["do", "sleep", "wait_for_event", "scope", "uuid", "random"])
def test_k4_a_bad_name_is_refused_and_cannot_be_caught(colour: Colour, use: str) -> None:
    class BadNames:
        def __init__(self, step: Any) -> None:
            self.step = step

        def __getattr__(self, method: str) -> Any:
            return lambda name, *rest: getattr(self.step, method)("a>b", *rest)

    def program(step: Any) -> Running:
        yield USES[use](BadNames(step))

    lab = begin(colour, swallows_exceptions(program))
    with pytest.raises(StepNameError) as caught:
        lab.plan()
    assert ("step name", "a>b", ">", 1) == (
        caught.value.what,
        caught.value.name,
        caught.value.character,
        caught.value.position,
    )


@both_colours
def test_k4_a_bad_event_type_does_not_end_the_instance(colour: Colour) -> None:
    def program(step: Any) -> Running:
        yield step.wait_for_event("x", EventType("a#b", int))

    with pytest.raises(StepNameError) as caught:
        begin(colour, program).plan()
    assert "event type" == caught.value.what


@both_colours
def test_a_retry_that_is_none_is_refused(colour: Colour) -> None:
    def program(step: Any) -> Running:
        yield step.do("a", never, retry=3)

    with pytest.raises(StepUsageError) as caught:
        begin(colour, program).plan()
    assert ("a", "retry=3 cannot be used") == (caught.value.step, caught.value.problem)


# -- D8: log lines


def logger(step: Any) -> Running:
    step.log("start", at=step.now(), plain=[1, {"two": None}], odd={1})
    yield step.do("a", one)
    step.log("a is done")
    yield step.do("b", lambda attempt: attempt.number // (attempt.number - 1), retry=Retry(max_attempts=2))
    step.scope("s").log("b is done")
    step.log("b is really done")
    yield step.wait_for_event("ok", "ok")
    step.log("the end")
    return None


LINES = ["start", "a is done", "b is done", "b is really done", "the end"]


def emitted(lab: Lab) -> list[str]:
    return [line.message for plan in lab.plans for line in plan.logs]


def logged(colour: Colour, checkpoint: str) -> Lab:
    lab = begin(colour, logger, checkpoint=checkpoint)
    lab.run(until=T0 + MINUTE)
    lab.send("ok")
    lab.run()
    return lab


@both_colours
@pytest.mark.parametrize("checkpoint", ["step", "tick"])
def test_d8_a_line_is_emitted_once(colour: Colour, checkpoint: str) -> None:
    assert LINES == emitted(logged(colour, checkpoint))


@both_colours
def test_d8_a_line_is_emitted_once_in_a_continuation(colour: Colour) -> None:
    lab = begin(colour, logger)

    def commit(plan: Plan) -> Continue:
        lab.apply(plan)
        return Continue(lab.next_id("continued"))

    lab.apply(lab.plan(commit=commit))
    lab.run(until=T0 + MINUTE)
    lab.send("ok")
    lab.run()
    assert LINES == emitted(lab)


@both_colours
def test_d8_a_plan_that_lost_is_repeated_with_its_lines(colour: Colour) -> None:
    lab = begin(colour, logger)
    lost, won = lab.plan(), lab.plan()
    assert lost.logs == won.logs
    assert ["start"] == [line.message for line in won.logs]


@both_colours
def test_d8_a_line_carries_plain_fields_and_the_repr_of_others(colour: Colour) -> None:
    line = begin(colour, logger).plan().logs[0]
    assert LogLine("start", {"at": repr(T0), "plain": [1, {"two": None}], "odd": "{1}"}) == line


@both_colours
@pytest.mark.parametrize("delay", [timedelta(0), SECOND], ids=["in the same tick", "in a later tick"])
@pytest.mark.parametrize("checkpoint", ["step", "tick"])
def test_d8_a_line_before_a_step_that_is_tried_again_is_emitted_once(
    colour: Colour, delay: timedelta, checkpoint: str
) -> None:
    def program(step: Any) -> Running:
        step.log("once")
        yield step.do(
            "a", lambda attempt: attempt.number // (attempt.number - 1), retry=Retry(max_attempts=2, delay=delay)
        )

    lab = begin(colour, program, checkpoint=checkpoint)
    lab.run(until=T0 + MINUTE)
    assert ["once"] == emitted(lab)


@both_colours
def test_d8_lines_before_an_error_that_ends_the_instance_are_emitted(colour: Colour) -> None:
    def program(step: Any) -> Running:
        yield step.sleep("nap", timedelta(0))
        step.log("on the way out")
        raise ValueError("out")

    lab = begin(colour, program)
    lab.tick()
    assert ["on the way out"] == emitted(lab)


@both_colours
def test_d8_lines_before_an_authors_error_wait_for_the_corrected_deploy(colour: Colour) -> None:
    def program(step: Any) -> Running:
        yield step.do("a", one)
        step.log("first")
        yield step.sleep("nap", -MINUTE)

    def corrected(step: Any) -> Running:
        yield step.do("a", never)
        step.log("first")
        yield step.sleep("nap", MINUTE)

    lab = begin(colour, program)
    lab.tick()
    deploy(lab, colour, corrected)
    lab.run(until=T0 + 2 * MINUTE)
    assert ["first"] == emitted(lab)


# -- D9: an author's error after new work


def stuck_after(body: Body, *names: str) -> Program:
    """Does its steps, then what no workflow may do."""

    def program(step: Any) -> Running:
        for name in names:
            yield step.do(name, body)
        yield step.sleep("nap", -MINUTE)

    return program


def writes(attempt: Attempt) -> int:
    attempt.write("row")
    return 1


@both_colours
def test_d9_what_settled_commits_with_its_writes(colour: Colour) -> None:
    lab = begin(colour, stuck_after(writes, "a"))
    plan = lab.tick()
    step, write = plan.mutations[1:3]
    assert isinstance(step, PutStep)
    assert ("completed", Write("row")) == (step.step.status, write)


@both_colours
def test_d9_the_instance_is_active_and_its_timer_backs_off_with_the_error(colour: Colour) -> None:
    lab = begin(colour, stuck_after(one, "a"))
    outcome = lab.tick(at=T0 + MINUTE).outcome
    hook = lab.hooks()["timer"]
    assert isinstance(outcome, Stuck)
    assert ("active", T0 + MINUTE + SECOND, 1, str(outcome.error), class_name(StepUsageError)) == (
        lab.instance.status,
        hook.due_at,
        hook.attempts,
        hook.last_error,
        outcome.error.type,
    )


@both_colours
def test_d9_nothing_happens_before_the_timer_is_due(colour: Colour) -> None:
    lab = begin(colour, stuck_after(one, "a"))
    lab.tick()
    lab.send("e")
    assert Ignored is type(lab.plan().outcome)


@both_colours
def test_d9_the_back_off_grows_while_every_tick_does_new_work(colour: Colour) -> None:
    lab = begin(colour, stuck_after(one, "a"))
    lab.tick()
    waits = []
    for names in ("ab", "abc", "abcd"):
        deploy(lab, colour, stuck_after(one, *names))
        waits.append(lab.hooks()["timer"].due_at - lab.now)
        lab.tick(at=lab.hooks()["timer"].due_at)
    assert [SECOND, 2 * SECOND, 4 * SECOND] == waits


@both_colours
def test_d9_without_new_work_the_hook_is_deferred_further(colour: Colour) -> None:
    lab = begin(colour, stuck_after(one, "a"))
    lab.tick()
    lab.now = lab.hooks()["timer"].due_at
    deferred(lab)
    hook = lab.hooks()["timer"]
    assert (2, 2 * SECOND) == (hook.attempts, hook.due_at - lab.now)


@both_colours
def test_d9_no_body_repeats_because_of_it(colour: Colour) -> None:
    lab = begin(colour, stuck_after(one, "a"))
    lab.tick()
    deploy(lab, colour, original, checkpoint="step")

    def program(step: Any) -> Running:
        yield step.do("a", never)
        return "mended"

    deploy(lab, colour, program)
    lab.run(until=T0 + MINUTE)
    assert ("complete", '"mended"') == (lab.instance.status, lab.instance.output)


@both_colours
def test_d9_a_checkpoint_in_a_continuation_is_new_work(colour: Colour) -> None:
    lab = begin(colour, stuck_after(one, "a", "b"))

    def commit(plan: Plan) -> Continue:
        lab.apply(plan)
        return Continue(lab.next_id("continued"))

    lab.apply(lab.plan(commit=commit))
    assert ([Checkpointed, Stuck], {"do:a", "do:b"}) == (
        [type(plan.outcome) for plan in lab.plans[1:]],
        {*lab.steps()},
    )


@both_colours
def test_d9_a_checkpoint_that_was_just_committed_is_new_work(colour: Colour) -> None:
    def program(step: Any) -> Running:
        yield step.do("a", one)
        yield step.do("b", lambda: 1)

    lab = begin(colour, program)

    def commit(plan: Plan) -> Continue:
        lab.apply(plan)
        return Continue(lab.next_id("continued"))

    assert Stuck is type(lab.plan(commit=commit).outcome)


@both_colours
@pytest.mark.parametrize("program", [stuck_after(one)], ids=["usage"])
def test_d9_before_new_work_the_hook_is_deferred(colour: Colour, program: Program) -> None:
    lab = begin(colour, program)
    before = lab.instance
    deferred(lab)
    assert (before, 1) == (lab.instance, lab.hooks()["timer"].attempts)


@both_colours
def test_d9_a_body_of_the_wrong_shape_is_no_attempt(colour: Colour) -> None:
    def program(step: Any) -> Running:
        yield step.do("a", one)
        yield step.do("b", lambda: 1)

    lab = begin(colour, program, checkpoint="tick")
    outcome = lab.tick().outcome
    assert isinstance(outcome, Stuck)
    assert (class_name(StepBodyError), {"do:a"}) == (outcome.error.type, {*lab.steps()})


@both_colours
def test_d9_a_stored_result_that_no_longer_fits_its_type_defers_the_hook(colour: Colour) -> None:
    def program(step: Any) -> Running:
        yield step.do("a", lambda attempt: "text")
        yield step.sleep("nap", MINUTE)

    def retyped(step: Any) -> Running:
        yield step.do("a", never, returns=int)
        yield step.sleep("nap", MINUTE)

    lab = begin(colour, program)
    lab.tick()
    deploy(lab, colour, retyped)
    lab.now = T0 + MINUTE
    error = deferred(lab)
    assert (CodecError, "waiting", 1) == (type(error), lab.instance.status, lab.hooks()["timer"].attempts)


@both_colours
@pytest.mark.parametrize(
    ("key", "changes"),
    [
        ("do:a", {"status": "waiting", "next_retry_at": None}),
        ("do:a", {"status": "errored", "failure": None}),
        ("sleep:nap", {"status": "waiting"}),
        ("wait_for_event:ok", {"status": "waiting"}),
        ("wait_for_event:ok", {"status": "errored", "failure": None}),
    ],
    ids=str,
)
def test_d9_a_record_that_contradicts_itself_is_refused(colour: Colour, key: str, changes: dict[str, Any]) -> None:
    lab = begin(colour, one_of_each)
    lab.send("ok")
    lab.run(until=T0 + MINUTE)
    rows = lab.world[lab.ref]
    broken = attrs.evolve(rows.steps[1, key], **changes)
    lab.world = {lab.ref: attrs.evolve(rows, steps={**rows.steps, (1, key): broken})}
    lab.send("more")
    with pytest.raises(CorruptRecordError) as caught:
        lab.plan()
    problem = f"sequence {broken.sequence}, but status {broken.status}"
    assert ("steps", f"w#1, run 1, {key}", problem) == (
        caught.value.table,
        caught.value.identity,
        caught.value.problem,
    )


def one_of_each(step: Any) -> Running:
    yield step.do("a", one)
    yield step.sleep("nap", MINUTE)
    yield step.wait_for_event("ok", "ok")
    yield step.wait_for_event("more", "more")


# -- S14, O6: what leaves the planner


@both_colours
@pytest.mark.parametrize("careless", [False, True])
def test_s14_an_interrupt_in_a_body_leaves_the_planner(colour: Colour, careless: bool) -> None:
    def interrupted(attempt: Attempt) -> None:
        raise KeyboardInterrupt

    def program(step: Any) -> Running:
        yield step.do("a", interrupted)

    lab = begin(colour, swallows_all(program) if careless else program)
    with pytest.raises(KeyboardInterrupt):
        lab.plan()


@both_colours
def test_s14_an_interrupt_in_a_body_that_misused_a_step_leaves_the_planner_too(colour: Colour) -> None:
    def program(step: Any) -> Running:
        def interrupted(attempt: Attempt) -> None:
            try:
                step.now()
            finally:
                raise KeyboardInterrupt

        yield step.do("a", interrupted)

    lab = begin(colour, program)
    with pytest.raises(KeyboardInterrupt):
        lab.plan()


@both_colours
def test_s14_an_interrupt_in_workflow_code_leaves_the_planner(colour: Colour) -> None:
    def program(step: Any) -> Running:
        yield step.sleep("nap", timedelta(0))
        raise KeyboardInterrupt

    lab = begin(colour, program)
    with pytest.raises(KeyboardInterrupt):
        lab.plan()


@both_colours
def test_o6_a_runner_that_stops_gets_an_empty_plan(colour: Colour) -> None:
    def program(step: Any) -> Running:
        yield step.do("a", one)
        yield step.do("b", never)

    lab = begin(colour, program)
    plan = lab.plan(commit=lambda plan: Stop())
    assert (True, Checkpointed()) == (plan.is_empty, plan.outcome)


@both_colours
def test_o2_an_output_that_cannot_be_encoded_ends_the_instance(colour: Colour) -> None:
    def program(step: Any) -> Running:
        yield step.sleep("nap", timedelta(0))
        return {1, 2}

    outcome = begin(colour, program).tick().outcome
    assert isinstance(outcome, Errored)
    assert class_name(CodecError) == outcome.failure.type


@both_colours
def test_d3_a_result_that_the_code_has_outgrown_is_named(colour: Colour) -> None:
    def program(returns: type, value: object) -> Program:
        def steps(step: Any) -> Running:
            yield step.do("charge", lambda attempt: value, returns=returns)
            yield step.sleep("nap", MINUTE)

        return steps

    lab = begin(colour, program(str, "4111"))
    lab.run()
    deploy(lab, colour, program(int, 4111))
    with pytest.raises(CodecError, match="in the result of step 'do:charge', as other code stored it"):
        lab.tick(at=T0 + MINUTE)


def test_p8_a_step_that_is_taken_for_its_value_is_a_forgotten_await() -> None:
    @workflow(name="w")
    async def forgetful(step: AsyncStep) -> object:
        order: Any = step.do("load", lambda attempt: {"id": "o-1"})
        return order["id"]

    lab = Lab.of(forgetful)
    lab.create(forgetful)
    with pytest.raises(UnawaitedStepError, match="'do:load' was made and never awaited"):
        lab.plan()


@both_colours
def test_w11_waiting_for_a_type_that_the_workflow_does_not_list_is_refused(colour: Colour) -> None:
    def program(step: Any) -> Running:
        yield step.wait_for_event("answer", "aproved")

    lab = begin(colour, program, events=[EventType("approved", str)])
    with pytest.raises(StepUsageError, match="list it in @workflow"):
        lab.plan()
