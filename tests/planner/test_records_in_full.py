"""Rows, errors and lines of single ticks compared whole, each promised by a rule (rules W, S, T4, O5, D9, M7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import attrs
import pytest

from tests.lab import MINUTE, SECOND, T0, Lab
from tests.planner.flights import Flights, body, doing, made
from tests.planner.rows import (
    REF,
    event,
    instance,
    listening,
    message,
    record,
    sleeping,
    snapshot,
    timer,
    written_steps,
    written_timer,
)
from tests.twins import Colour, Running, begin, both_colours
from wfcore.codec import JSON
from wfcore.define import workflow
from wfcore.errors import CodecError, ForeignAwaitError, NonDeterminismError, StepBodyError, StepUsageError
from wfcore.model import StepRecord
from wfcore.outcome import Errored, Stuck
from wfcore.plan import AddInstance, Exists
from wfcore.planner import AsyncStep, Attempt, Continue, Step
from wfcore.planner.requests import Unwind
from wfcore.retry import Retry

LATER = T0 + MINUTE
WAIT = "wait_for_event:approval"


@attrs.frozen
class Order:
    id: str


def lab_of(function: Callable[[Step], Any], **rows: Any) -> Lab:
    """An instance of a ``def`` workflow as the rows have it."""
    lab = Lab.of(workflow(name="w")(function))
    lab.ref = REF
    lab.now = rows.pop("now", T0)
    lab.put(snapshot(rows.pop("row", instance(status="active")), now=lab.now, **rows))
    return lab


def refused(lab: Lab, error: type[Exception]) -> str:
    """What the author reads."""
    with pytest.raises(error) as caught:
        lab.plan()
    return str(caught.value)


# ---- waits


def approval(step: Step) -> Any:
    return step.wait_for_event("approval", "approved").payload


def taken(result: str | None) -> StepRecord:
    return record(WAIT, status="completed", result=result, sequence=1, settled_at=T0, event_types=("approved",))


@pytest.mark.parametrize(
    ("result", "problem"),
    [
        ("[]", "at $: expected a received event, found another text"),
        (None, "at $: expected a received event, found another text"),
        (
            '{"type":"paid","id":"e1","created_at":"2026-01-01T00:00:00+00:00","payload":null}',
            "at $.type: expected one of ['approved'], found 'paid'",
        ),
    ],
    ids=["another text", "none", "a type that the code does not wait for"],
)
def test_d3_a_stored_event_that_does_not_fit_is_the_error_of_its_wait(result: str | None, problem: str) -> None:
    advice = f"in the result of step '{WAIT}', as other code stored it: deploy code whose type takes it"
    assert f"{problem}; {advice}; the instance is unchanged" == refused(
        lab_of(approval, steps=[taken(result)]), CodecError
    )


@pytest.mark.parametrize("payload", [{"kind": 1, "payload": {"payload": 2}}, ',"payload":', [1, {"payload": None}]])
def test_w8_a_payload_may_look_like_what_is_recorded_around_it(payload: Any) -> None:
    seen: list[Any] = []

    def code(step: Step) -> None:
        seen.append(approval(step))

    lab = Lab.of(workflow(name="w")(code))
    lab.create(lab.registry.get("w"))
    lab.send("approved", payload)
    lab.tick()
    assert [payload] == seen


def test_w13_an_open_wait_for_other_types_is_told_whole() -> None:
    assert (
        f"{REF}: an open wait for ['paid'] would now wait for ['approved']: history has '{WAIT}' at the top of the "
        f"workflow, the code asked for '{WAIT}'; deploy code that asks for the recorded steps in the recorded order; "
        "the instance is unchanged and goes on by itself"
    ) == refused(lab_of(approval, steps=[listening("paid")]), NonDeterminismError)


def test_s16_an_on_consume_of_the_wrong_shape_is_told_whole() -> None:
    def code(step: Step) -> None:
        step.wait_for_event("approval", "approved", on_consume=lambda attempt: None)  # type: ignore[misc,arg-type] # the mistake

    lab = lab_of(code, steps=[listening()], events=[event()])
    assert (
        f"step '{WAIT}': a body is called with exactly (attempt, received); this one takes (attempt); "
        "write 'lambda attempt, received: ...' or 'def body(attempt, received): ...'; "
        "bind other arguments with functools.partial"
    ) == refused(lab, StepBodyError)


def test_w9_the_body_that_takes_an_event_has_the_name_and_key_of_its_wait() -> None:
    async def code(step: AsyncStep) -> None:
        await step.wait_for_event("approval", "approved", on_consume=lambda attempt, received: None)

    lab = made(code)
    lab.send("approved")
    (call,) = Flights(lab).calls.values()
    assert (WAIT, "approval", 1) == (call.key, call.name, call.attempt.number)


def test_p5_a_wait_that_has_lost_has_lost_on_replay_too() -> None:
    async def code(step: AsyncStep) -> None:
        await step.race("r", lambda inner: inner.wait_for_event("approval", "approved"), doing("quick"))
        await step.sleep("nap", MINUTE)

    lab = made(code)
    Flights(lab).lands("race:r[1]>do:quick", 1)
    lab.send("approved")
    lab.tick(at=LATER)
    assert ("complete", None) == (lab.instance.status, lab.events()["event3"].consumed_by)


# ---- M7


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (sleeping(LATER, "sleep:nap"), {"status": "waiting", "execution_id": "tick1"}),
        (record("do:nap", wake_at=LATER), {"status": "started"}),
    ],
    ids=["a sleep", "a start"],
)
def test_m7_a_record_that_is_open_again_is_written_by_this_plan_unless_it_is_a_start(
    row: StepRecord, expected: dict[str, Any]
) -> None:
    """S13: who has made a start stays on record."""

    def code(step: Step) -> None:
        if row.kind == "sleep":
            step.sleep("nap", MINUTE)
        else:
            step.do("nap", lambda attempt: None, at_most_once=MINUTE)

    cancelled = attrs.evolve(row, status="cancelled", settled_at=T0)
    lab = lab_of(code, steps=[cancelled])
    assert {row.key: attrs.evolve(row, settled_at=None, **expected)} == written_steps(lab.plan())


# ---- bodies


def told(function: Callable[[Step], Any]) -> str:
    """The message of the failure that ends the instance after one tick with commits."""
    lab = lab_of(function)
    outcome = lab.plan(commit=lambda plan: Continue(lab.apply(plan).execution_id + "+")).outcome
    assert isinstance(outcome, Errored)
    return outcome.failure.message


def test_s5_a_result_that_does_not_fit_is_named_as_that_steps() -> None:
    assert "in the result of step 'do:charge'" in told(
        lambda step: step.do("charge", lambda attempt: Order("o1"), returns=int)  # type: ignore[arg-type,return-value] # the mistake
    )


def test_o1_a_result_of_the_workflow_that_does_not_fit_is_named_as_its() -> None:
    assert "in the result of 'w'" in told(lambda step: Order)


@pytest.mark.parametrize("result", [None, ""])
def test_d3_a_completed_step_without_a_result_is_the_error_of_that_step(result: str | None) -> None:
    steps = [record("do:charge", status="completed", result=result, sequence=1, settled_at=T0)]
    text = refused(lab_of(lambda step: step.do("charge", lambda attempt: None), steps=steps), CodecError)
    assert ("found ''", True) == (
        text.split(", ")[1].split(";")[0][:8],
        "in the result of step 'do:charge', as other code stored it" in text,
    )


def test_s15_a_result_type_that_is_not_known_on_replay_is_told_with_its_step() -> None:
    def charged(attempt: Attempt) -> Nowhere:  # type: ignore[name-defined] # noqa: F821 - the mistake
        raise AssertionError

    steps = [record("do:charge", status="completed", result="1", sequence=1, settled_at=T0)]
    text = refused(lab_of(lambda step: step.do("charge", charged), steps=steps), StepBodyError)
    assert text.startswith("step 'do:charge': ")


# ---- T4


def sends(*names: str) -> Callable[[Attempt], Any]:
    def queue(attempt: Attempt) -> None:
        for name in names:
            attempt.send_event(other, name, "go", required=True)

    return queue


@workflow(name="other")
def other(step: Step) -> None:
    step.wait_for_event("go", "go")


def messaging(*bodies: Callable[[Attempt], Any]) -> Lab:
    def code(step: Step) -> None:
        for index, each in enumerate(bodies):
            step.do(f"b{index}", each)

    w = workflow(name="w", checkpoint="tick")(code)
    lab = Lab.of(w, other)
    lab.create(w)
    return lab


def test_t4_a_plan_depends_on_the_receivers_of_all_its_steps() -> None:
    plan = messaging(sends("a"), sends("b")).plan(commit=lambda plan: Continue("again"))
    assert {Exists("other#a"), Exists("other#b")} == {each for each in plan.preconditions if isinstance(each, Exists)}


def fails_after(attempt: Attempt) -> None:
    sends("a")(attempt)
    raise LookupError("its own failure")


@pytest.mark.parametrize(
    ("queue", "expected"), [(sends("a"), "no instance 'other#a'"), (fails_after, "its own failure")]
)
def test_t4_a_missing_receiver_is_the_failure_unless_the_body_has_failed_itself(
    queue: Callable[[Attempt], Any], expected: str
) -> None:
    lab = messaging(queue)
    plan = lab.plan(absent=frozenset({"other#a"}), commit=lambda plan: Continue("again"))
    failure = written_steps(plan)["do:b0"].failure
    assert failure is not None
    assert expected in failure.message


# ---- the timer


@pytest.mark.parametrize(("stored", "attempts"), [([timer(attempts=3)], 4), ([message()], 1)], ids=["timer", "none"])
def test_d9_an_error_after_new_work_counts_on_from_the_stored_timer(stored: Any, attempts: int) -> None:
    def code(step: Step) -> None:
        step.sleep("nap", MINUTE)
        step.sleep("a>b", MINUTE)

    plan = lab_of(code, steps=[sleeping(T0)], hooks=stored).plan()
    hook = written_timer(plan)
    assert (Stuck, attempts) == (type(plan.outcome), hook and hook.attempts)


def test_d9_after_a_checkpoint_it_counts_anew() -> None:
    """The checkpoint was progress, and its timer says so."""

    def code(step: Step) -> None:
        step.do("a", lambda attempt: None)
        step.do("b", lambda attempt: None)
        step.sleep("a>b", MINUTE)

    lab = lab_of(code, hooks=[timer(attempts=3)])
    hook = written_timer(lab.plan(commit=lambda plan: Continue(lab.apply(plan).execution_id + "+")))
    assert hook is not None
    assert 1 == hook.attempts


def test_o1_the_timer_of_a_checkpoint_is_deleted_at_the_end_also_if_there_was_none_before() -> None:
    def code(step: Step) -> None:
        step.do("a", lambda attempt: None)
        step.do("b", lambda attempt: None)

    lab = lab_of(code, hooks=[message()])
    lab.apply(lab.plan(commit=lambda plan: Continue(lab.apply(plan).execution_id + "+")))
    assert ("complete", {}) == (lab.instance.status, lab.hooks())


# ---- maps, and errors of the author


def test_p1_the_list_under_a_map_is_encoded_as_the_items_of_its_function() -> None:
    async def ship(step: AsyncStep, order: Order) -> str:
        return await step.do("ship", lambda attempt: order.id)

    async def code(step: AsyncStep) -> Any:
        return await step.map("m", [Order("a"), Order("b")], ship)

    lab = made(code)
    lab.run()
    assert '["a","b"]' == lab.instance.output


def test_k2_patched_of_a_step_that_is_used_elsewhere_is_told_whole() -> None:
    def code(step: Step) -> None:
        step.do("charge", lambda attempt: step.patched("faster"))

    assert (
        "step 'faster': it is used outside of the workflow code it was given to (in a step body, in another branch, "
        "after the tick); call steps in workflow code only, each branch its own; hand values to bodies instead"
    ) == refused(lab_of(code), StepUsageError)


@both_colours
def test_d6_an_error_that_is_on_its_way_through_workflow_code_is_the_ticks(colour: Colour) -> None:
    """It was raised where the loop cannot be told: by a runner's guard."""
    error = ForeignAwaitError("asyncio.run", "shop.py", 7)

    def program(step: Any) -> Running:
        yield step.sleep("nap", timedelta(0))
        raise Unwind(error)

    lab = begin(colour, program)
    lab.run()
    assert str(error) in str(lab.hooks()["timer"].last_error)


@pytest.mark.parametrize("late", [lambda step: step.log("bye"), lambda step: step.patched("p")], ids=["log", "patch"])
def test_d7_what_a_losing_branch_does_while_it_is_let_go_is_no_mistake(late: Callable[[AsyncStep], object]) -> None:
    """Its ``finally`` blocks run, and count for nothing."""

    async def loses(step: AsyncStep) -> None:
        try:
            await step.sleep("nap", MINUTE)
        finally:
            late(step)

    async def code(step: AsyncStep) -> Any:
        return (await step.race("r", loses, doing("quick")))[1]

    assert "1" == Flights(made(code)).lands("race:r[1]>do:quick", 1).outcome.output


def test_d1_a_workflow_that_ends_too_early_is_told_the_first_step_that_is_missing() -> None:
    """The first in the order of settlement, whatever the order of the rows."""
    steps = [
        record("do:b", status="completed", result="1", sequence=2, settled_at=T0),
        record("do:a", status="completed", result="1", sequence=1, settled_at=T0),
    ]
    text = refused(lab_of(lambda step: None, steps=steps), NonDeterminismError)
    assert text.startswith(f"{REF}: the workflow ends before a recorded step: history has 'do:a' (number 1 in the")


# ---- one checkpoint a tick, and bodies that are dropped


def test_o4_while_another_body_may_start_a_checkpoint_is_due_now_whatever_else_waits() -> None:
    async def two(step: AsyncStep) -> None:
        await step.do("a", lambda attempt: None)
        await step.do("b", lambda attempt: None)

    async def code(step: AsyncStep) -> None:
        await step.gather("g", lambda inner: inner.sleep("nap", MINUTE), two)

    hook = written_timer(made(code).plan())
    assert hook is not None
    assert T0 == hook.due_at


def test_p5_the_record_of_a_body_that_is_dropped_is_cancelled_then() -> None:
    retry = Retry(max_attempts=2, delay=timedelta(0))

    async def code(step: AsyncStep) -> None:
        await step.race("r", lambda inner: inner.do("slow", body, retry=retry), doing("quick"))
        await step.do("after", body)

    lab = made(code)
    flights = Flights(lab).lands("race:r[0]>do:slow", ValueError("no"), after=SECOND)
    flights.lands("race:r[1]>do:quick", 1, after=2 * SECOND).drops("race:r[0]>do:slow").lands("do:after", 1)
    slow = lab.steps()["race:r[0]>do:slow"]
    row = lab.instance
    assert ("cancelled", T0 + 2 * SECOND, row.execution_id) == (slow.status, slow.settled_at, slow.execution_id)


def test_t1_what_a_body_starts_is_encoded_as_the_runner_encodes() -> None:
    class Marked:
        """JSON with a space before it."""

        def encode(self, value: object, type_: Any) -> str:
            return " " + JSON.encode(value, type_)

        def decode(self, payload: str, type_: Any) -> Any:
            assert payload.startswith(" ")
            return JSON.decode(payload[1:], type_)

        def check_type(self, type_: Any, namespace: Mapping[str, Any] | None = None) -> None:
            JSON.check_type(type_, namespace)

    lab = messaging(lambda attempt: attempt.start(other, id="1"))
    lab.codec = Marked()
    lab.world = {}
    lab.create(lab.registry.get("w"))
    plan = lab.plan(commit=lambda plan: Continue("again"))
    assert [" null"] == [each.instance.params for each in plan.mutations if isinstance(each, AddInstance)]
