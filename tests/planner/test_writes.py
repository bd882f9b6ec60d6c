"""User writes that commit with a step (rules T1 to T3, T5, T7)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import attrs
import pytest

from tests.lab import MINUTE, SECOND, T0, Lab
from tests.planner.rows import (
    REF,
    deleted_hooks,
    event,
    instance,
    listening,
    message,
    notice,
    pause_request,
    record,
    retrying,
    sleeping,
    snapshot,
    timer,
    user_writes,
    written_events,
    written_row,
    written_steps,
)
from wfcore import (
    Attempt,
    Continue,
    NonRetryableError,
    Retry,
    Step,
    StepFailedError,
    WriteFailedError,
    plan_write_failure,
    workflow,
)
from wfcore.failure import failure_of
from wfcore.model import Snapshot
from wfcore.outcome import Checkpointed, Errored, Ignored, Suspended
from wfcore.plan import AddHook, AtVersion, Plan, PutEvent, PutHook, PutInstance, PutStep, Write
from wfcore.workflow import Checkpoint

THREE = Retry(max_attempts=3, delay=SECOND)


@attrs.frozen
class OrderPaid:
    order: str
    attempt: int = 1


def lab_of(code: Callable[[Step], Any], checkpoint: Checkpoint = "step") -> Lab:
    @workflow(name="w", checkpoint=checkpoint)
    def w(step: Step) -> None:
        code(step)

    lab = Lab.of(w)
    lab.create(w)
    return lab


def writes(lab: Lab) -> list[object]:
    """All user writes of all plans that were applied."""
    return [value for plan in lab.plans for value in user_writes(plan)]


def paying(failures: int = 0, error: Exception | None = None, result: object = None) -> Callable[[Attempt], Any]:
    """A body that queues both kinds of writes and fails so often."""

    def body(attempt: Attempt) -> Any:
        attempt.write(OrderPaid("o1", attempt.number))
        attempt.on_terminal_error(f"attempt {attempt.number} failed")
        if attempt.number <= failures:
            raise error or LookupError("declined")
        return result

    return body


def charge(body: Callable[[Attempt], Any], retry: Retry | None = None) -> Callable[[Step], object]:
    return lambda step: step.do("charge", body, retry=retry)


# ---- T1, T2


@pytest.mark.parametrize(
    ("body", "retry", "expected"),
    [
        (paying(), None, [OrderPaid("o1", 1)]),
        (paying(1), THREE, [OrderPaid("o1", 2)]),
        (paying(2), THREE, [OrderPaid("o1", 3)]),
        (paying(1), None, ["attempt 1 failed"]),
        (paying(9), THREE, ["attempt 3 failed"]),
        (paying(9, NonRetryableError("no")), THREE, ["attempt 1 failed"]),
        (paying(9, LookupError()), Retry(max_attempts=3, give_up_on=(LookupError,)), ["attempt 1 failed"]),
        (paying(result=object()), THREE, ["attempt 1 failed"]),
    ],
    ids=[
        "success",
        "success after a failure",
        "success at last",
        "failure of the only attempt",
        "no attempts left",
        "final failure",
        "given up on",
        "a result that cannot be encoded",
    ],
)
def test_what_an_attempt_queued_commits_by_how_the_step_ended(
    body: Callable[[Attempt], Any], retry: Retry | None, expected: list[object]
) -> None:
    """T1: ``write`` if and only if the attempt succeeded; T2: ``on_terminal_error`` if the step ends errored."""
    lab = lab_of(charge(body, retry))
    lab.run(until=T0 + MINUTE)
    assert expected == writes(lab)


def test_what_a_failed_attempt_queued_is_discarded() -> None:
    """T1, S6: neither kind is kept while attempts are left."""
    lab = lab_of(charge(paying(9), THREE))
    lab.tick()
    assert [] == writes(lab)


def test_writes_commit_in_the_plan_of_the_steps_record_and_right_after_it() -> None:
    """T1: so that a failing write can be told by its place (T5)."""
    lab = lab_of(lambda step: [step.do(name, paying()) for name in "ab"], "tick")
    plan = lab.tick()
    assert ["PutInstance", "do:a", "Write", "do:b", "Write", "DeleteHook"] == [
        each.step.key if isinstance(each, PutStep) else type(each).__name__ for each in plan.mutations
    ]


def test_writes_of_one_attempt_keep_their_order() -> None:
    """T1."""

    def body(attempt: Attempt) -> None:
        for number in (3, 1, 2):
            attempt.write(number)

    lab = lab_of(charge(body))
    lab.run()
    assert [3, 1, 2] == writes(lab)


def test_each_write_commits_once() -> None:
    """T1: not again on replay."""

    def code(step: Step) -> None:
        step.do("charge", paying())
        step.sleep("nap", MINUTE)
        step.do("ship", lambda attempt: None)

    lab = lab_of(code)
    lab.run(until=T0 + MINUTE)
    assert ([OrderPaid("o1")], "complete") == (writes(lab), lab.instance.status)


def test_equal_writes_are_not_taken_for_one() -> None:
    """T1."""

    def body(attempt: Attempt) -> None:
        attempt.write(OrderPaid("o1"))
        attempt.write(OrderPaid("o1"))

    lab = lab_of(charge(body))
    lab.run()
    assert [OrderPaid("o1")] * 2 == writes(lab)


def test_what_is_queued_after_the_body_has_ended_is_too_late() -> None:
    """T1: the plan was made of what was queued when the body ended."""
    kept: list[Attempt] = []
    lab = lab_of(charge(kept.append))
    plan = lab.plan()
    kept[0].write("late")
    assert [] == user_writes(plan)


def test_a_write_is_the_users_own_value() -> None:
    """T7: a domain value; only the store knows how to write it."""
    value = OrderPaid("o1")
    lab = lab_of(charge(lambda attempt: attempt.write(value)))
    plan = lab.tick()
    assert [True] == [each is value for each in user_writes(plan)]


def test_a_write_is_compared_as_part_of_its_plan() -> None:
    """T7, design 1: the same attempt gives the same plan."""
    lab = lab_of(charge(paying()))
    again = attrs.evolve(lab)
    assert lab.plan() == again.plan()


def test_writes_of_a_continuation_commit_with_their_own_step() -> None:
    """T1, O6."""
    lab = lab_of(lambda step: [step.do(name, lambda attempt, name=name: attempt.write(name)) for name in "abc"])  # type: ignore[misc] # a default binds the name
    committed: list[Plan] = []

    def commit(plan: Plan) -> Continue:
        committed.append(lab.apply(plan))
        return Continue(f"next{len(committed)}")

    last = lab.plan(commit=commit)
    assert [["a"], ["b"], ["c"]] == [user_writes(plan) for plan in (*committed, last)]


# ---- T3


def raising(step: Step) -> None:
    step.do("charge", paying())
    raise LookupError("no order")


def sleeping_on(step: Step) -> None:
    step.do("charge", paying())
    step.sleep("nap", MINUTE)


def stuck(step: Step) -> None:
    step.do("charge", paying())
    step.do("a>b", paying())


def caught(step: Step) -> None:
    try:
        step.do("charge", paying(1))
    except StepFailedError:
        step.sleep("nap", MINUTE)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (lambda step: step.do("charge", paying()), [OrderPaid("o1")]),
        (raising, [OrderPaid("o1")]),
        (sleeping_on, [OrderPaid("o1")]),
        (stuck, [OrderPaid("o1")]),
        (caught, ["attempt 1 failed"]),
    ],
    ids=["completed", "errored", "suspended", "stuck", "suspended after a failure"],
)
def test_step_work_commits_whatever_the_ticks_outcome_is(code: Callable[[Step], Any], expected: list[object]) -> None:
    """T3."""
    lab = lab_of(code, "tick")
    lab.tick()
    assert (expected, ["do:charge"]) == (writes(lab), [key for key in lab.steps() if key.startswith("do")])


# ---- T5: a write that failed while the plan was applied


def failure_plan(lab: Lab, failed: Plan, write: object, seen: Snapshot | None = None, *, notify: bool = False) -> Plan:
    """What is to be done about a plan that a store refused because of that write."""
    index = failed.mutations.index(Write(write))
    error = WriteFailedError(index, "shop.OrderPaid", "no such table")
    return plan_write_failure(seen or lab.snapshot(), failed, error, notify=notify, execution_id="after")


def test_a_failed_write_ends_the_instance_with_that_failure() -> None:
    """T5: it is the workflow's fault and not retryable."""
    lab = lab_of(charge(paying(), THREE))
    before = lab.instance
    lab.now = T0 + SECOND
    failed = lab.plan()
    lab.apply(failure_plan(lab, failed, OrderPaid("o1")))
    failure = failure_of(WriteFailedError(2, "shop.OrderPaid", "no such table"))
    assert lab.instance == attrs.evolve(
        before,
        status="errored",
        failure=failure,
        started_at=T0 + SECOND,
        completed_at=T0 + SECOND,
        updated_at=T0 + SECOND,
        version=2,
        execution_id="after",
    )


def test_a_failed_write_is_told_as_the_instances_end() -> None:
    """T5."""
    lab = lab_of(charge(paying()))
    outcome = failure_plan(lab, lab.plan(), OrderPaid("o1")).outcome
    assert isinstance(outcome, Errored)
    assert outcome.failure.is_a(WriteFailedError)


def test_the_record_of_the_step_that_queued_it_is_written_errored() -> None:
    """T5: its attempt counted, with the next sequence, so that it can be retried later (M7)."""
    lab = lab_of(charge(paying(1), THREE))
    lab.run()
    lab.now = T0 + SECOND
    failed = lab.plan()
    step = written_steps(failed)["do:charge"]
    lab.apply(failure_plan(lab, failed, OrderPaid("o1", 2)))
    failure = failure_of(WriteFailedError(2, "shop.OrderPaid", "no such table"))
    assert lab.steps() == {
        "do:charge": attrs.evolve(
            step,
            status="errored",
            attempts=2,
            result=None,
            failure=failure,
            sequence=1,
            settled_at=T0 + SECOND,
            execution_id="after",
        )
    }


def test_nothing_else_of_that_tick_is_kept() -> None:
    """T5: the one exception to T3."""

    def code(step: Step) -> None:
        step.wait_for_event("approval", "approved")
        step.do("a", lambda attempt: attempt.write("a"))
        step.do("b", lambda attempt: attempt.write("b"))
        step.do("c", lambda attempt: attempt.write("c"))
        step.sleep("nap", MINUTE)

    lab = lab_of(code, "tick")
    lab.send("approved", id="e1")
    failed = lab.plan()
    lab.apply(failure_plan(lab, failed, "b"))
    assert (["do:b"], [1], None, []) == (
        list(lab.steps()),
        [step.sequence for step in lab.steps().values()],
        lab.events()["e1"].consumed_by,
        writes(lab),
    )


def test_the_step_takes_the_sequence_after_what_is_committed() -> None:
    """T5: sequences of the failed tick were never used."""

    def code(step: Step) -> None:
        step.do("before", lambda attempt: None)
        step.sleep("nap", MINUTE)
        step.do("a", lambda attempt: attempt.write("a"))
        step.do("b", lambda attempt: attempt.write("b"))

    lab = lab_of(code, "tick")
    lab.run()
    lab.now = T0 + MINUTE
    lab.apply(failure_plan(lab, lab.plan(), "b"))
    assert {"do:before": (1, "completed"), "sleep:nap": (None, "cancelled"), "do:b": (2, "errored")} == {
        key: (step.sequence, step.status) for key, step in lab.steps().items()
    }


def test_a_write_that_failed_in_a_continuation_leaves_the_checkpoints_before() -> None:
    """T5, O6."""
    lab = lab_of(lambda step: [step.do(name, lambda attempt, name=name: attempt.write(name)) for name in "ab"])  # type: ignore[misc] # a default binds the name

    def commit(plan: Plan) -> Continue:
        lab.apply(plan)
        return Continue("next")

    last = lab.plan(commit=commit)
    lab.apply(failure_plan(lab, last, "b"))
    assert {"do:a": "completed", "do:b": "errored"} == {key: step.status for key, step in lab.steps().items()}


def test_a_failed_write_of_a_terminal_error_ends_the_instance_too() -> None:
    """T5, T2."""
    lab = lab_of(charge(paying(1)))
    lab.apply(failure_plan(lab, lab.plan(), "attempt 1 failed"))
    failure = lab.steps()["do:charge"].failure
    assert failure is not None
    assert ("errored", True) == (lab.instance.status, failure.is_a(WriteFailedError))


FAILED = Plan(
    REF,
    "failed",
    (AtVersion(REF, 7, "before"),),
    (
        PutInstance(instance(version=8)),
        PutStep(record("do:a", status="completed", result="1", sequence=1, attempts=1)),
        Write("a"),
    ),
    Suspended(None, ()),
)
ERROR = WriteFailedError(2, "str", "no writer")


def after(seen: Snapshot, failed: Plan = FAILED, error: WriteFailedError = ERROR, *, notify: bool = False) -> Plan:
    return plan_write_failure(seen, failed, error, notify=notify, execution_id="after")


@pytest.mark.parametrize(
    "row",
    [
        None,
        instance(version=8, execution_id="failed"),
        instance(version=8, execution_id="x"),
        instance(execution_id="x"),
    ],
    ids=["deleted", "its own plan was applied after all", "another plan was applied", "it was created anew"],
)
def test_an_instance_that_has_moved_on_is_left_alone(row: Any) -> None:
    """T5."""
    plan = after(snapshot(row, hooks=[timer()]))
    assert (True, (), Ignored("the instance has moved on")) == (plan.is_empty, plan.preconditions, plan.outcome)


def test_an_instance_that_has_not_moved_on_is_ended_at_its_version() -> None:
    """T5."""
    plan = after(snapshot(instance()))
    assert ((AtVersion(REF, 7, "before"),), 8) == (plan.preconditions, written_row(plan).version)


def test_records_that_waited_are_cancelled() -> None:
    """T5: as at every terminal transition."""
    steps = [sleeping(T0 + MINUTE), retrying(T0, "do:b"), listening(), record("do:c", status="completed", sequence=4)]
    plan = after(snapshot(instance(), steps=steps))
    assert {
        "sleep:nap": "cancelled",
        "do:b": "cancelled",
        "wait_for_event:approval": "cancelled",
        "do:a": "errored",
    } == {key: step.status for key, step in written_steps(plan).items()}


def test_a_step_that_waited_for_its_retry_is_errored_and_not_cancelled() -> None:
    """T5."""
    plan = after(snapshot(instance(), steps=[retrying(T0, "do:a")]))
    assert ["errored"] == [step.status for step in written_steps(plan).values()]


def test_hooks_are_deleted_and_notices_stay() -> None:
    """T5, O7."""
    assert ["timer", "msg:e1"] == deleted_hooks(after(snapshot(instance(), hooks=[timer(), message(), notice()])))


@pytest.mark.parametrize("version", [7, 41])
def test_o7_an_instance_ended_by_a_write_is_announced_by_its_version(version: int) -> None:
    """The notice is the one thing that the plan adds."""
    seen = snapshot(instance(version=version), hooks=[timer()], now=T0 + MINUTE)
    failed = attrs.evolve(FAILED, preconditions=(AtVersion(REF, version, "before"),))
    expected = attrs.evolve(notice(version + 1), due_at=T0 + MINUTE, created_at=T0 + MINUTE)
    assert [expected] == [each.hook for each in after(seen, failed, notify=True).mutations if isinstance(each, AddHook)]


def test_o7_without_notify_an_end_by_a_write_is_not_announced() -> None:
    """It is the workflow's choice."""
    assert [] == [each for each in after(snapshot(instance())).mutations if isinstance(each, AddHook)]


def test_pause_requests_are_consumed_with_their_hooks() -> None:
    """T5, G3: else a retry of the instance would pause at once."""
    plan = after(snapshot(instance(), events=[pause_request(), event()], hooks=[message("#pause-1"), message()]))
    assert {"#pause-1": "#pause"} == {each.id: each.consumed_by for each in written_events(plan).values()}


@pytest.mark.parametrize(("store", "updated"), [(T0 + MINUTE, T0), (T0, T0 + MINUTE)], ids=["the store", "the row"])
def test_the_instance_ends_now(store: Any, updated: Any) -> None:
    """T5: time never goes back."""
    plan = after(snapshot(instance(updated_at=updated), now=store))
    assert T0 + MINUTE == written_row(plan).completed_at


def test_an_instance_that_was_started_keeps_that_instant() -> None:
    """T5."""
    assert T0 == written_row(after(snapshot(instance(), now=T0 + MINUTE))).started_at


def test_a_write_that_no_step_queued_ends_the_instance_alone() -> None:
    """T5."""
    failed = Plan(REF, "failed", FAILED.preconditions, (PutInstance(instance(version=8)), Write("a")), Checkpointed())
    plan = after(snapshot(instance(), hooks=[timer()]), failed, WriteFailedError(1, "str", "no writer"))
    assert ({}, "errored") == (written_steps(plan), written_row(plan).status)


def test_the_nearest_record_before_the_write_is_the_one_that_queued_it() -> None:
    """T5: a later one has nothing to do with it."""
    steps = [PutStep(record(f"do:{name}", status="completed", sequence=1)) for name in "ab"]
    mutations = (steps[0], Write("a"), steps[1], Write("b"), PutEvent(event()), PutHook(timer()))
    failed = Plan(REF, "failed", FAILED.preconditions, mutations, Checkpointed())
    found = [
        list(written_steps(after(snapshot(instance()), failed, WriteFailedError(index, "str", "no"))))
        for index in (1, 3)
    ]
    assert [["do:a"], ["do:b"]] == found


def test_an_instance_ended_by_a_write_stays_ended() -> None:
    """T5, G3."""
    lab = lab_of(charge(paying()))
    lab.apply(failure_plan(lab, lab.plan(), OrderPaid("o1")))
    lab.now += timedelta(days=1)
    assert lab.plan().is_empty
