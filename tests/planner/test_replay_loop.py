"""The one loop, for one branch: rules P2 and P6. Every test writes down what happens, in order."""

from datetime import datetime, timedelta
from itertools import permutations
from typing import Any

import attrs
import pytest

from tests.lab import MINUTE, SECOND, T0, Lab
from tests.planner.rows import record
from tests.twins import Colour, Program, Running, begin, both_colours
from wfcore.define import workflow
from wfcore.model import Event
from wfcore.outcome import Completed, Suspended
from wfcore.plan import Plan, PutStep
from wfcore.planner import AsyncStep, Attempt, Continue, Returned, Settled, StepCall, call_body, plan_tick
from wfcore.planner.interpret import first_due
from wfcore.planner.requests import Branch, Request, Scope
from wfcore.planner.steps.sleep import Sleep
from wfcore.retry import Retry

Story = list[str]


def told(story: Story) -> Program:
    """Two bodies, a sleep and an event wait; the code tells when it goes on."""

    def body(attempt: Attempt) -> str:
        return attempt.idempotency_key

    def program(step: Any) -> Running:
        story.append("code 1")
        first = yield step.do("a", body)
        story.append("code 2")
        yield step.sleep("nap", MINUTE)
        story.append("code 3")
        second = yield step.do("b", body)
        story.append("code 4")
        yield step.wait_for_event("ok", "ok")
        story.append("code 5")
        return first != second

    return program


def telling(story: Story) -> Any:
    def perform(call: StepCall) -> Settled:
        story.append(f"body {call.key}")
        return call_body(call)

    return perform


def committing(lab: Lab, story: Story) -> Any:
    def commit(plan: Plan) -> Continue:
        lab.apply(plan)
        story.append("commit")
        return Continue(lab.next_id("continued"))

    return commit


@both_colours
def test_p2_code_runs_to_its_next_request_before_anything_settles(colour: Colour) -> None:
    story: Story = []
    begin(colour, told(story)).tick(perform=telling(story))
    assert ["code 1", "body do:a", "code 2"] == story


@both_colours
def test_p6_what_is_recorded_is_delivered_before_anything_new_runs(colour: Colour) -> None:
    story: Story = []
    lab = begin(colour, told(story))
    lab.tick()
    story.clear()
    lab.tick(at=T0 + MINUTE, perform=telling(story))
    assert ["code 1", "code 2", "code 3", "body do:b", "code 4"] == story


@both_colours
def test_p6_a_replay_of_all_runs_no_body(colour: Colour) -> None:
    story: Story = []
    lab = begin(colour, told(story))
    lab.run(until=T0 + MINUTE)
    lab.send("ok")
    story.clear()
    lab.tick(perform=telling(story))
    assert ["code 1", "code 2", "code 3", "code 4", "code 5"] == story


@both_colours
def test_p6_nothing_new_is_made_before_history_is_used_up(colour: Colour) -> None:
    """An event that is there for a later wait changes nothing of what is delivered before."""
    story: Story = []
    lab = begin(colour, told(story))
    lab.tick()
    lab.send("ok")
    story.clear()
    lab.tick(at=T0 + MINUTE, perform=telling(story))
    assert (["code 1", "code 2", "code 3", "body do:b", "code 4", "code 5"], Completed("true")) == (
        story,
        lab.plans[-1].outcome,
    )


@both_colours
@pytest.mark.parametrize(
    ("checkpoint", "expected"),
    [("step", ["body do:a", "commit", "body do:b"]), ("tick", ["body do:a", "body do:b"])],
)
def test_p2_a_body_starts_when_the_one_before_is_committed(
    colour: Colour, checkpoint: str, expected: list[str]
) -> None:
    story: Story = []

    def program(step: Any) -> Running:
        yield step.do("a", lambda attempt: 1)
        yield step.sleep("nap", timedelta(0))
        yield step.do("b", lambda attempt: 1)
        yield step.sleep("long", MINUTE)

    lab = begin(colour, program, checkpoint=checkpoint)
    lab.plan(perform=telling(story), commit=committing(lab, story))
    assert expected == story


@both_colours
def test_p2_the_next_sequence_is_given_in_the_order_of_settlement(colour: Colour) -> None:
    lab = begin(colour, told([]))
    lab.run(until=T0 + MINUTE)
    lab.send("ok")
    lab.tick()
    assert {"do:a": 1, "sleep:nap": 2, "do:b": 3, "wait_for_event:ok": 4} == {
        key: step.sequence for key, step in lab.steps().items()
    }


@both_colours
def test_p2_sequences_go_on_after_the_highest(colour: Colour) -> None:
    """They may have gaps: a record may have been reopened."""
    lab = begin(colour, told([]))
    lab.tick()
    rows = lab.world[lab.ref]
    moved = attrs.evolve(rows.steps[1, "do:a"], sequence=7)
    lab.world = {lab.ref: attrs.evolve(rows, steps={**rows.steps, (1, "do:a"): moved})}
    lab.tick(at=T0 + MINUTE)
    assert (8, 9) == (lab.steps()["sleep:nap"].sequence, lab.steps()["do:b"].sequence)


@both_colours
def test_p6_the_order_of_rows_means_nothing(colour: Colour) -> None:
    lab = begin(colour, told([]))
    lab.run(until=T0 + MINUTE)
    lab.send("ok")
    snapshot, fired = lab.snapshot(), lab.fired()
    plans = [
        plan_tick(attrs.evolve(snapshot, steps=steps), fired, lab.registry, execution_id="same")
        for steps in permutations(snapshot.steps)
    ]
    assert [plans[0]] * 24 == plans


@both_colours
def test_p2_a_settlement_resumes_exactly_who_asked(colour: Colour) -> None:
    def program(step: Any) -> Running:
        first = yield step.do("a", lambda attempt: 0)
        second = yield step.do("a", lambda attempt: 1)
        third = yield step.do("a", lambda attempt: 2)
        return [first, second, third]

    lab = begin(colour, program)
    lab.run()
    assert "[0,1,2]" == lab.instance.output


@both_colours
def test_p2_plain_calls_take_no_sequence(colour: Colour) -> None:
    def program(step: Any) -> Running:
        step.now()
        step.uuid("x")
        step.random("x")
        step.log("x")
        yield step.scope("s").sleep("nap", timedelta(0))

    lab = begin(colour, program)
    lab.tick()
    assert {"scope:s>sleep:nap": 1} == {key: step.sequence for key, step in lab.steps().items()}


@both_colours
def test_p2_a_retry_without_delay_runs_in_the_same_tick(colour: Colour) -> None:
    story: Story = []
    retry = Retry(max_attempts=3, delay=timedelta(0))

    def program(step: Any) -> Running:
        yield step.do("a", lambda attempt: 1 // (attempt.number - 1), retry=retry)

    lab = begin(colour, program, checkpoint="tick")
    lab.tick(perform=telling(story))
    assert (["body do:a"] * 2, "complete") == (story, lab.instance.status)


@both_colours
def test_p2_a_body_that_waits_for_its_next_attempt_parks_the_code(colour: Colour) -> None:
    def program(step: Any) -> Running:
        yield step.do("a", lambda attempt: 1 / 0, retry=Retry(max_attempts=2, delay=SECOND))

    assert Suspended(T0 + SECOND, ("do:a",)) == begin(colour, program).tick().outcome


def test_p2_a_request_is_answered_when_it_is_awaited_and_not_before() -> None:
    @workflow(name="w")
    async def early(step: AsyncStep) -> None:
        late = step.sleep("late", MINUTE)
        await step.sleep("nap", MINUTE)
        await late

    lab = Lab.of(early)
    lab.create(early)
    lab.tick()
    first = {*lab.steps()}
    lab.tick(at=T0 + MINUTE)
    assert ({"sleep:nap"}, {"sleep:nap", "sleep:late"}, T0 + 2 * MINUTE) == (
        first,
        {*lab.steps()},
        lab.steps()["sleep:late"].wake_at,
    )


@both_colours
def test_p2_records_of_one_tick_are_written_in_the_order_of_settlement(colour: Colour) -> None:
    def program(step: Any) -> Running:
        yield step.sleep("b", timedelta(0))
        yield step.sleep("a", timedelta(0))
        yield step.wait_for_event("c", "e")

    lab = begin(colour, program)
    lab.send("e")
    plan = lab.tick()
    assert [("sleep:b", 1), ("sleep:a", 2), ("wait_for_event:c", 3)] == [
        (each.step.key, each.step.sequence) for each in plan.mutations if isinstance(each, PutStep)
    ]


@both_colours
def test_p2_time_never_goes_back(colour: Colour) -> None:
    elapsed = iter([5 * SECOND, 3 * SECOND])

    def program(step: Any) -> Running:
        yield step.do("a", lambda attempt: 1)
        yield step.do("b", lambda attempt: 1)

    lab = begin(colour, program, checkpoint="tick")
    lab.tick(perform=lambda call: Settled(Returned(1), next(elapsed)))
    assert [T0 + 5 * SECOND] * 2 == [step.settled_at for step in lab.steps().values()]


# -- which of several open waits is settled first


def asked(key: str, wake_at: datetime | None = None, **changes: Any) -> Request:
    """An open wait, as the loop holds it."""
    row = record(key, wake_at=wake_at, event_types=("e",) if key.startswith("wait") else (), **changes)
    request = Request(Branch(T0), Scope(), row.kind, row.name, key, Sleep(MINUTE))
    request.record = row
    return request


NEW = Request(Branch(T0), Scope(), "do", "new", "do:new", Sleep(MINUTE))
"""A body that has not run yet: it has no record."""


@pytest.mark.parametrize(
    ("requests", "first"),
    [
        ([], None),
        ([NEW, asked("sleep:a", T0 + 9 * MINUTE)], None),
        ([NEW, asked("sleep:a", T0 + 2 * MINUTE), asked("sleep:b", T0 + MINUTE)], "sleep:b"),
        ([asked("sleep:b", T0 + MINUTE), asked("sleep:a", T0 + MINUTE)], "sleep:b"),
        ([asked("sleep:a", T0 + 3 * MINUTE), asked("wait_for_event:a")], "wait_for_event:a"),
        ([asked("sleep:a", T0 + MINUTE), asked("wait_for_event:a")], "sleep:a"),
        ([asked("sleep:a", T0 + 2 * MINUTE), asked("wait_for_event:a")], "wait_for_event:a"),
        ([asked("wait_for_event:a", T0 + MINUTE), asked("sleep:a", T0 + 2 * MINUTE)], "wait_for_event:a"),
        ([asked("wait_for_event:a", created_at=T0 + 4 * MINUTE), asked("sleep:a", T0 + 3 * MINUTE)], "sleep:a"),
        ([asked("sleep:a", T0, created_at=T0 + 3 * MINUTE), asked("sleep:b", T0 + 2 * MINUTE)], "sleep:b"),
    ],
    ids=[
        "nothing is open",
        "nothing is due",
        "the earlier instant",
        "the same instant: as asked for",
        "the event came before",
        "the event came later",
        "the same instant: the event",
        "a deadline before the event",
        "an event not before the wait was made",
        "a deadline not before the sleep was made",
    ],
)
def test_w10_the_first_due_wait_is_settled_first(requests: list[Request], first: str | None) -> None:
    """At T0 + 5 min; an event came at T0 + 2 min."""
    event = Event(instance_ref="w#1", id="e", type="e", payload="null", created_at=T0 + 2 * MINUTE)
    found = first_due(requests, (event,), T0 + 5 * MINUTE)
    assert first == (found and found[0].key)
