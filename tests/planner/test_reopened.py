"""What a command to retry has opened again (rule M7): cancelled records of branches that live again."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import attrs
import pytest

from tests.lab import MINUTE, SECOND, T0, Lab
from tests.planner.rows import (
    FAILURE,
    REF,
    event,
    instance,
    listening,
    record,
    retrying,
    sleeping,
    snapshot,
    timer,
    written_steps,
    written_timer,
)
from wfcore.define import workflow
from wfcore.model import Event, StepRecord
from wfcore.outcome import Completed, Suspended
from wfcore.planner import AsyncStep
from wfcore.retry import Retry
from wfcore.workflow import Registry

LATER = T0 + 10 * MINUTE
FAILED = "gather:both[fails]>do:fails"


@workflow(name="w")
async def gathering(step: AsyncStep) -> Any:
    """Its first branch had failed for good, and is reopened; the other was cancelled for it."""

    async def other(inner: AsyncStep) -> Any:
        await inner.sleep("nap", MINUTE)
        received = await inner.wait_for_event("go", "go", timeout=MINUTE)
        return received.payload

    async def fails(inner: AsyncStep) -> str:
        return await inner.do("fails", lambda attempt: "mended", retry=Retry(max_attempts=3))

    return await step.gather("both", {"fails": fails, "other": other})


def cancelled(row: StepRecord, **changes: Any) -> StepRecord:
    return attrs.evolve(row, status="cancelled", settled_at=T0, **changes)


def reopened(*steps: StepRecord, at: datetime = T0 + SECOND, events: tuple[Event, ...] = ()) -> Lab:
    """The instance as a retry leaves it: active, due now; the step that had failed waits again."""
    lab = Lab(Registry([gathering]), ref=REF, now=at)
    rows = (record(FAILED, attempts=0, failure=FAILURE), *steps)
    lab.put(snapshot(instance(status="active"), steps=rows, hooks=[timer(at)], events=events))
    return lab


NAP = sleeping(LATER, "gather:both[other]>sleep:nap")
GO = attrs.evolve(listening("go", until=LATER, key="gather:both[other]>wait_for_event:go"))
NAPPED = attrs.evolve(NAP, status="completed", wake_at=T0, settled_at=T0, sequence=1)


@pytest.mark.parametrize("steps", [[cancelled(NAP)], [NAPPED, cancelled(GO)]], ids=["sleep", "event wait"])
def test_m7_a_cancelled_record_waits_again_until_its_old_deadline(steps: list[StepRecord]) -> None:
    lab = reopened(*steps)
    plan = lab.run()
    last = lab.steps()[steps[-1].key]
    due = written_timer(plan)
    assert (("waiting", LATER, None, None), LATER) == (
        (last.status, last.wake_at, last.sequence, last.settled_at),
        due and due.due_at,
    )


def test_m7_the_record_that_waits_again_is_written_once() -> None:
    lab = reopened(cancelled(NAP))
    lab.run()
    written = [NAP.key in written_steps(plan) for plan in lab.plans]
    assert 1 == sum(written)


def test_m7_a_deadline_that_has_passed_meanwhile_is_over_at_once() -> None:
    lab = reopened(cancelled(NAP), at=LATER)
    lab.run()
    assert ("completed", LATER) == (lab.steps()[NAP.key].status, lab.steps()[NAP.key].settled_at)


def test_m7_an_event_that_was_created_in_time_counts() -> None:
    go = event(type="go", created_at=LATER, payload="7")
    lab = reopened(NAPPED, cancelled(GO), at=LATER + MINUTE, events=(go,))
    lab.run()
    assert '{"fails":"mended","other":7}' == lab.instance.output


def test_m7_a_step_that_waited_for_its_next_attempt_waits_for_it_again() -> None:
    @workflow(name="w")
    async def w(step: AsyncStep) -> Any:
        return await step.do("charge", lambda attempt: attempt.number, retry=Retry(max_attempts=3))

    lab = Lab(Registry([w]), ref=REF, now=T0 + SECOND)
    row = cancelled(retrying(LATER))
    lab.put(snapshot(instance(status="active"), steps=[row], hooks=[timer(T0)]))
    assert Suspended(LATER, ("do:charge",)) == lab.tick().outcome
    assert Completed("2") == lab.tick(at=LATER).outcome


def test_m7_a_late_failure_of_a_group_that_lives_again_is_tried_again() -> None:
    """It was recorded ``cancelled``, as nobody waited for another attempt any more."""

    @workflow(name="w")
    async def w(step: AsyncStep) -> Any:
        async def branch(inner: AsyncStep) -> Any:
            return await inner.do("late", lambda attempt: attempt.number, retry=Retry(max_attempts=3))

        async def fails(inner: AsyncStep) -> str:
            return await inner.do("fails", lambda attempt: "mended", retry=Retry(max_attempts=3))

        return await step.gather("both", {"fails": fails, "other": branch})

    late = cancelled(retrying(T0, "gather:both[other]>do:late"))
    lab = reopened(late)
    lab.registry = Registry([w])
    lab.run()
    assert '{"fails":"mended","other":2}' == lab.instance.output


def test_m7_those_of_decided_races_stay_cancelled() -> None:
    @workflow(name="w")
    async def w(step: AsyncStep) -> Any:
        won = await step.race(
            "first", lambda inner: inner.sleep("short", MINUTE), lambda inner: inner.sleep("long", 20 * MINUTE)
        )
        await step.do("charge", lambda attempt: None, retry=Retry(max_attempts=3))
        return won[0]

    short = attrs.evolve(sleeping(T0, "race:first[0]>sleep:short"), status="completed", settled_at=T0, sequence=1)
    long = cancelled(sleeping(LATER, "race:first[1]>sleep:long"))
    lab = Lab(Registry([w]), ref=REF, now=T0 + SECOND)
    lab.put(snapshot(instance(status="active"), steps=[short, long, record("do:charge")], hooks=[timer(T0)]))
    lab.run()
    assert ("0", long) == (lab.instance.output, lab.steps()[long.key])


def test_m7_a_record_that_waits_again_is_written_by_the_plan_that_opens_it() -> None:
    lab = reopened(cancelled(NAP))
    plan = lab.tick()
    assert attrs.evolve(NAP, execution_id=plan.execution_id) == written_steps(plan)[NAP.key]


def test_m7_s13_a_start_that_was_cancelled_is_still_that_of_whoever_has_made_it() -> None:
    """It is not started a second time: its body may be running, or have run."""

    @workflow(name="w")
    async def w(step: AsyncStep) -> Any:
        async def branch(inner: AsyncStep) -> Any:
            return await inner.do("once", lambda attempt: "again", at_most_once=MINUTE)

        async def fails(inner: AsyncStep) -> str:
            return await inner.do("fails", lambda attempt: "mended", retry=Retry(max_attempts=3))

        return await step.gather("both", {"fails": fails, "other": branch})

    start = record("gather:both[other]>do:once", status="started", wake_at=LATER)
    lab = reopened(cancelled(start))
    lab.registry = Registry([w])
    plan = lab.tick()
    due = written_timer(plan)
    assert (start, LATER) == (written_steps(plan)[start.key], due and due.due_at)
