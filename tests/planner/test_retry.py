"""A retry: which failed steps are opened again, and how the instance goes on (rule M7)."""

from __future__ import annotations

from functools import partial
from typing import Any

import attrs
import pytest

from tests.lab import MINUTE, SECOND, T0, Lab
from tests.planner.rows import (
    FAILURE,
    REF,
    event,
    instance,
    message,
    notice,
    pause_request,
    record,
    snapshot,
    timer,
    without_row,
    written_events,
    written_row,
)
from wfcore import (
    AsyncStep,
    Attempt,
    Errored,
    EventTimeoutError,
    IllegalTransitionError,
    Raised,
    Retried,
    Retry,
    Returned,
    Step,
    StepFailedError,
    StepNotRetryableError,
    Workflow,
    plan_retry,
    plan_write_failure,
    workflow,
)
from wfcore.errors import WriteFailedError
from wfcore.failure import failure_of
from wfcore.model import TERMINAL, InstanceStatus, StepRecord
from wfcore.plan import DeleteHook, DeleteStep, Plan, PutHook, PutStep
from wfcore.planner.reopening import Reopening, failed_step, reopening

LATER = T0 + MINUTE
REFUSED = failure_of(StepFailedError("do:charge", FAILURE))


def failed(key: str, sequence: int, **changes: Any) -> StepRecord:
    return record(
        key,
        **{"status": "errored", "attempts": 3, "max_attempts": 3, "failure": FAILURE, "settled_at": T0, **changes},
        sequence=sequence,
    )


def done(key: str, sequence: int | None = None, **changes: Any) -> StepRecord:
    return record(key, **{"status": "completed", "result": "null", "settled_at": T0, **changes}, sequence=sequence)


def left(key: str, **changes: Any) -> StepRecord:
    return record(key, **{"status": "cancelled", "settled_at": T0, **changes})


def retry(*steps: StepRecord, failure: Any = REFUSED) -> Plan:
    row = instance(status="errored", failure=failure, completed_at=T0)
    return plan_retry(snapshot(row, steps=steps), REF, execution_id="retry")


# ---- what becomes of the instance


def test_m7_a_retried_instance_is_due_in_the_same_run() -> None:
    before = instance(status="errored", output="1", failure=FAILURE, completed_at=T0, run_number=2, key_run=2)
    plan = plan_retry(snapshot(before, now=LATER), REF, execution_id="retry")
    after = attrs.evolve(
        before,
        status="active",
        output=None,
        failure=None,
        completed_at=None,
        version=8,
        updated_at=LATER,
        execution_id="retry",
    )
    assert (after, (PutHook(timer(LATER, run=2, created_at=LATER)),), Retried()) == (
        written_row(plan),
        without_row(plan),
        plan.outcome,
    )


@pytest.mark.parametrize("status", sorted({"active", "waiting", "paused", *TERMINAL} - {"errored"}))
def test_m7_only_what_has_failed_is_retried(status: InstanceStatus) -> None:
    with pytest.raises(IllegalTransitionError) as refused:
        plan_retry(snapshot(instance(status=status)), REF, execution_id="retry")
    assert (status, "retry") == (refused.value.status, refused.value.command)


def test_m7_a_request_to_pause_that_found_the_instance_ended_is_withdrawn() -> None:
    row = instance(status="errored", failure=FAILURE, completed_at=T0)
    hooks = [message("#pause-1"), message("e1"), notice(7)]
    plan = plan_retry(snapshot(row, events=[pause_request(), event()], hooks=hooks), REF, execution_id="retry")
    deleted = [each.id for each in plan.mutations if isinstance(each, DeleteHook)]
    request = attrs.evolve(pause_request(), consumed_by="#pause", consumed_run=1, delivered_at=T0)
    assert ({"#pause-1": request}, [message("#pause-1").id]) == (written_events(plan), deleted)


def test_m7_a_failed_step_is_opened_with_fresh_attempts() -> None:
    """Why it failed stays to be seen."""
    step = failed("do:charge", 2, wake_at=T0, next_retry_at=T0)
    opened = record("do:charge", max_attempts=3, failure=FAILURE, execution_id="retry")
    assert PutStep(opened) in retry(done("do:a", 1), step).mutations


def test_m7_a_failed_wait_is_opened_without_deadline_and_types() -> None:
    step = failed("wait_for_event:approval", 1, event_types=("approved",), wake_at=T0, event_id="e1", attempts=1)
    opened = record("wait_for_event:approval", max_attempts=3, failure=FAILURE, execution_id="retry")
    assert PutStep(opened) in retry(step).mutations


# ---- which steps are opened

TWO = ("gather:g[a]>do:x", "gather:g[b]>do:y")
CASES: dict[str, tuple[list[StepRecord], tuple[str, ...], tuple[str, ...]]] = {
    "the last one": ([done("do:a", 1), failed("do:b", 2)], ("do:b",), ()),
    "both of two branches": ([failed(TWO[0], 1), failed(TWO[1], 2)], TWO, ()),
    "one whose sibling has gone on": ([failed(TWO[0], 1), done(TWO[1], 2)], (TWO[0],), ()),
    "one whose sibling was cancelled": ([failed(TWO[0], 1), left("gather:g[b]>sleep:nap")], (TWO[0],), ()),
    "one before which a group was joined": ([done(TWO[0], 1), done(TWO[1], 2), failed("do:z", 3)], ("do:z",), ()),
    "one in a group below a branch": (
        [failed("gather:g[a]>race:r[0]>do:x", 1), left("gather:g[a]>race:r[1]>sleep:nap"), done(TWO[1], 2)],
        ("gather:g[a]>race:r[0]>do:x",),
        (),
    ),
    "one in a map": ([done("map:m"), failed("map:m[0]>do:x", 1), done("map:m[1]>do:x", 2)], ("map:m[0]>do:x",), ()),
    "one in a scope": ([done("scope:s>do:a", 1), failed("scope:s#1>do:a", 2)], ("scope:s#1>do:a",), ()),
    "one beside a patch": ([done("patch:p", created_at=LATER), failed("do:a", 1)], ("do:a",), ()),
    "the first of several that were caught": (
        [failed("do:a", 1), failed("do:b", 2), failed("do:c", 3)],
        ("do:a",),
        ("do:c", "do:b"),
    ),
    "those of a group before one that was asked for because of them": (
        [failed(TWO[0], 1), left("gather:g[b]>sleep:nap"), failed("do:b", 2)],
        (TWO[0],),
        ("do:b",),
    ),
    "with the list of a map that was asked for because of it": (
        [failed("do:a", 1), done("map:m", created_at=LATER), failed("map:m[0]>do:x", 2)],
        ("do:a",),
        ("map:m", "map:m[0]>do:x"),
    ),
    "none before a result": ([failed("do:a", 1), done("do:b", 2), failed("do:c", 3)], ("do:c",), ()),
    "none whose branch went on to a result": (
        [failed(TWO[0], 1), done("gather:g[a]>do:other", 2), failed(TWO[1], 3)],
        (TWO[1],),
        (),
    ),
    "none whose branch went on to a wait": (
        [failed(TWO[0], 1), left("gather:g[a]>wait_for_event:help"), failed(TWO[1], 2)],
        (TWO[1],),
        (),
    ),
    "none of a race that was decided": (
        [failed("race:r[0]>do:x", 1), done("race:r[1]>sleep:nap", 2), failed("do:b", 3)],
        ("do:b",),
        (),
    ),
    "one after a race whose loser came late": (
        [done("race:r[0]>do:x", 1), failed("do:b", 2), done("race:r[1]>do:y", 3)],
        ("do:b",),
        (),
    ),
    "one after a race whose loser was cancelled": (
        [done("race:r[0]>do:x", 1), left("race:r[1]>sleep:nap", created_at=LATER), failed("do:b", 2)],
        ("do:b",),
        (),
    ),
    "none before a race that was decided": (
        [failed("do:a", 1), failed("race:r[0]>do:x", 2), done("race:r[1]>do:y", 3), failed("do:b", 4)],
        ("do:b",),
        (),
    ),
    "none before a race that was decided by a failure": (
        [failed("do:a", 1), failed("race:r[0]>do:x", 2), failed("do:b", 3)],
        ("do:b",),
        (),
    ),
    "one in a branch after a race that nothing is recorded of but a loser": (
        [
            done("do:a", 1),
            left("gather:g[a]>race:r[1]>sleep:nap"),
            failed("gather:g[a]>do:b", 2, settled_at=LATER),
        ],
        ("gather:g[a]>do:b",),
        (),
    ),
    "one soon after a race that nothing is recorded of but a loser": (
        [
            done("do:a", 1),
            done("do:b", 2),
            left("race:r[1]>sleep:nap", created_at=T0),
            failed("do:c", 3, settled_at=LATER),
        ],
        ("do:c",),
        (),
    ),
    "one after a race that nothing is recorded of but a loser": (
        [left("race:r[1]>sleep:nap", created_at=T0), failed("do:b", 1, settled_at=LATER)],
        ("do:b",),
        (),
    ),
}


@pytest.mark.parametrize(("steps", "reopened", "removed"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("backwards", [False, True])
def test_m7_what_nothing_stands_on_is_opened(
    steps: list[StepRecord], reopened: tuple[str, ...], removed: tuple[str, ...], backwards: bool
) -> None:
    """In whatever order a store gives the records."""
    plan = retry(*reversed(steps)) if backwards else retry(*steps)
    outcome = plan.outcome
    assert isinstance(outcome, Retried)
    assert (set(reopened), set(removed)) == (set(outcome.reopened), set(outcome.removed))


@pytest.mark.parametrize(("steps", "reopened", "removed"), CASES.values(), ids=CASES)
def test_m7_the_plan_does_what_its_outcome_says(
    steps: list[StepRecord], reopened: tuple[str, ...], removed: tuple[str, ...]
) -> None:
    plan = retry(*steps)
    put = {each.step.key for each in plan.mutations if isinstance(each, PutStep)}
    deleted = {each.key for each in plan.mutations if isinstance(each, DeleteStep)}
    assert (set(reopened), set(removed)) == (put, deleted)


def test_k5_a_bare_name_is_a_step_at_the_top() -> None:
    """The replay says that the keys are to be adopted."""
    bare = attrs.evolve(failed("do:a", 1), key="a")
    assert Retried(("a",)) == retry(bare).outcome


HELD: dict[str, tuple[list[StepRecord], str, str]] = {
    "a result": ([failed("do:a", 1), done("do:b", 2)], "do:a", "do:b"),
    "the first of several": ([failed("do:a", 1), done("do:b", 2), done("do:c", 3)], "do:a", "do:b"),
    "a result after the group": (
        [failed(TWO[0], 1), done(TWO[1], 2), done("do:undo", 3)],
        TWO[0],
        "do:undo",
    ),
    "a result in the same branch": (
        [failed(TWO[0], 1), done(TWO[1], 2), done("gather:g[a]>do:undo", 3)],
        TWO[0],
        "gather:g[a]>do:undo",
    ),
    "a wait that was cancelled": (
        [failed(TWO[0], 1), left("gather:g[a]>sleep:nap"), done(TWO[1], 2)],
        TWO[0],
        "gather:g[a]>sleep:nap",
    ),
    "a race that nothing is recorded of but a loser": (
        [failed("do:a", 1), left("race:r[1]>sleep:nap", created_at=LATER)],
        "do:a",
        "race:r[1]>sleep:nap",
    ),
    "such a race, and there is a result before the failure": (
        [done("do:a", 1), failed("do:b", 2), left("race:r[1]>sleep:nap", created_at=LATER)],
        "do:b",
        "race:r[1]>sleep:nap",
    ),
    "a race, whose winner comes before a loser": (
        [failed("do:a", 1), left("race:r[0]>sleep:nap"), done("race:r[1]>do:y", 2)],
        "do:a",
        "race:r[1]>do:y",
    ),
    "a result, and the failure has a bare name": (
        [attrs.evolve(failed("do:a", 1), key="a"), done("do:b", 2)],
        "a",
        "do:b",
    ),
    "a result, and there is more in other branches": (
        [done(TWO[1], 1), failed("do:a", 2), done("gather:h[b]>do:y", 3)],
        "do:a",
        "gather:h[b]>do:y",
    ),
    "a result, and another step could be opened": (
        [failed(TWO[0], 1), failed(TWO[1], 2), done("gather:g[b]>do:undo", 3)],
        TWO[1],
        "gather:g[b]>do:undo",
    ),
}


@pytest.mark.parametrize(("steps", "ended_by", "first"), HELD.values(), ids=HELD)
def test_m7_a_step_that_something_stands_on_is_not_retried(steps: list[StepRecord], ended_by: str, first: str) -> None:
    """The error names the first record after it."""
    with pytest.raises(StepNotRetryableError) as refused:
        retry(*steps, failure=failure_of(StepFailedError(ended_by, FAILURE)))
    assert (REF, first) == (refused.value.ref, refused.value.step_key)


@pytest.mark.parametrize(("steps", "ended_by", "first"), HELD.values(), ids=HELD)
def test_m7_then_nothing_is_opened(steps: list[StepRecord], ended_by: str, first: str) -> None:
    """Whatever the order in which a store gives the records."""
    found = reopening(tuple(reversed(steps)), failure_of(StepFailedError(ended_by, FAILURE)))
    held_by = next(step for step in steps if step.key == first)
    assert Reopening(reopened=(), removed=(), held_by=held_by) == found


def test_m7_of_rows_that_were_damaged_nothing_worse_is_said() -> None:
    """Two have one place in the order of settlement."""
    with pytest.raises(StepNotRetryableError) as refused:
        retry(failed("do:b", 1), done("do:a", 1), failure=failure_of(StepFailedError("do:b", FAILURE)))
    assert "do:b" == refused.value.step_key


@pytest.mark.parametrize(
    ("failure", "step"),
    [
        (None, failed("do:a", 1)),
        (FAILURE, failed("do:a", 1)),
        (failure_of(StepFailedError("do:other", FAILURE)), failed("do:a", 1)),
        (failure_of(StepFailedError("do:a", FAILURE)), done("do:a", 1, failure=FAILURE)),
        (failure_of(StepFailedError("do:a", FAILURE)), failed("do:a", 1, failure=None)),
        (attrs.evolve(FAILURE, message=failure_of(StepFailedError("do:a", FAILURE)).message), failed("do:a", 1)),
    ],
    ids=["no failure", "of workflow code", "of another step", "a completed step", "no reason", "the same words"],
)
def test_m7_a_step_has_ended_an_instance_if_its_failure_was_raised(failure: Any, step: StepRecord) -> None:
    """Here it has not."""
    assert failed_step(failure, [step]) is None


def test_m7_a_refused_write_is_found_whatever_the_order_of_the_records() -> None:
    refused = failure_of(WriteFailedError(1, "str", "no such table"))
    steps = (failed("do:b", 2, failure=refused), done("do:a", 1))
    assert Retried(removed=("do:b",)) == retry(*steps, failure=refused).outcome


def test_m7_a_time_out_that_something_stands_on_is_not_retried() -> None:
    timeout = failure_of(EventTimeoutError("wait_for_event:go", ("go",), T0))
    with pytest.raises(StepNotRetryableError) as refused:
        retry(failed("wait_for_event:go", 1, failure=timeout), done("do:undo", 2), failure=timeout)
    assert "do:undo" == refused.value.step_key


@pytest.mark.parametrize(("steps", "ended_by", "first"), HELD.values(), ids=HELD)
def test_m7_an_error_of_workflow_code_is_replayed(steps: list[StepRecord], ended_by: str, first: str) -> None:
    """A corrected deploy goes on."""
    outcome = retry(*steps, failure=FAILURE).outcome
    assert isinstance(outcome, Retried)
    assert not {ended_by, first} & {*outcome.reopened, *outcome.removed}


def test_m7_what_has_failed_without_a_failed_step_is_replayed() -> None:
    assert Retried() == retry(done("do:a", 1)).outcome


# ---- how it goes on


@attrs.define
class World:
    """Bodies that fail until they are mended, and what has run."""

    broken: set[str] = attrs.field(factory=set)
    ran: list[str] = attrs.field(factory=list)

    def body(self, name: str, *_given: object) -> str:
        self.ran.append(name)
        if name in self.broken:
            raise ValueError(name)
        return f"{name} done"

    def do(self, step: Any, name: str, **options: Any) -> Any:
        return step.do(name, partial(self.body, name), **options)


def failing(made: Workflow[Any, Any], *, until: Any = LATER) -> Lab:
    lab = Lab.of(made)
    lab.create(made)
    lab.run(until=until)
    assert "errored" == lab.instance.status
    return lab


def retried(lab: Lab) -> Retried:
    outcome = lab.apply(plan_retry(lab.snapshot(), lab.ref, execution_id="retry")).outcome
    assert isinstance(outcome, Retried)
    return outcome


def test_m7_only_the_failed_step_runs_again() -> None:
    world = World({"b"})

    @workflow(name="w")
    def w(step: Step) -> Any:
        return [world.do(step, "a"), world.do(step, "b"), world.do(step, "c")]

    lab = failing(w)
    world.broken.clear()
    retried(lab)
    lab.run()
    assert ('["a done","b done","c done"]', ["a", "b", "b", "c"]) == (lab.instance.output, world.ran)


def test_m7_a_retry_grants_all_attempts_anew() -> None:
    world = World({"a"})

    @workflow(name="w")
    def w(step: Step) -> Any:
        return world.do(step, "a", retry=Retry(max_attempts=3, delay=SECOND))

    lab = failing(w)
    retried(lab)
    lab.run(until=lab.now + MINUTE)
    assert (6, "errored", 3) == (len(world.ran), lab.instance.status, lab.steps()["do:a"].attempts)


@pytest.mark.parametrize("on_error", ["raise", "collect"])
def test_m7_a_branch_that_failed_goes_on_and_its_siblings_too(on_error: Any) -> None:
    world = World({"1"})

    async def visit(step: AsyncStep, item: int) -> str:
        await step.sleep("nap", item * SECOND)
        first = await world.do(step, str(item))
        await step.sleep("rest", SECOND)
        return str(first)

    @workflow(name="w")
    async def w(step: AsyncStep) -> list[str]:
        found: list[Any] = await step.map("all", [1, 2, 3], visit, on_error=on_error)
        for each in found:
            if isinstance(each, Raised):
                raise each.error
        return [each.value if isinstance(each, Returned) else each for each in found]

    lab = failing(w)
    world.broken.clear()
    retried(lab)
    lab.run(until=lab.now + MINUTE)
    assert ('["1 done","2 done","3 done"]', {"1": 2, "2": 1, "3": 1}) == (
        lab.instance.output,
        {name: world.ran.count(name) for name in "123"},
    )


def test_m7_a_wait_that_timed_out_waits_as_long_again() -> None:
    @workflow(name="w")
    def w(step: Step) -> Any:
        return step.wait_for_event("go", "go", timeout=MINUTE).payload

    lab = failing(w, until=LATER)
    lab.now = LATER + MINUTE
    retried(lab)
    lab.run()
    assert ("waiting", LATER + 2 * MINUTE) == (lab.instance.status, lab.steps()["wait_for_event:go"].wake_at)


def test_m7_a_wait_that_timed_out_takes_what_came_too_late() -> None:
    @workflow(name="w")
    def w(step: Step) -> Any:
        return step.wait_for_event("go", "go", timeout=MINUTE).payload

    lab = failing(w, until=LATER)
    retried(lab)
    lab.now = LATER + SECOND
    lab.send("go", 7)
    lab.run()
    assert "7" == lab.instance.output


def test_m7_a_wait_that_is_opened_may_wait_for_something_else() -> None:
    """W13 is about open waits; this one wants nothing until the code comes to it."""
    types = ["go"]

    @workflow(name="w")
    def w(step: Step) -> Any:
        return step.wait_for_event("go", types[0], timeout=MINUTE).type

    lab = failing(w, until=LATER)
    types[0] = "run"
    retried(lab)
    lab.send("run")
    lab.run()
    assert '"run"' == lab.instance.output


def test_m7_a_wait_that_lives_again_is_not_for_something_else() -> None:
    """W13: nothing is written."""
    types, world = ["go"], World({"a"})

    @workflow(name="w")
    async def w(step: AsyncStep) -> Any:
        async def waits(inner: AsyncStep) -> Any:
            return await inner.wait_for_event("go", types[0])

        return await step.gather("g", lambda inner: world.do(inner, "a"), waits)

    lab = failing(w)
    types[0] = "run"
    retried(lab)
    with pytest.raises(Exception, match="an open wait for") as refused:
        lab.plan()
    assert "NonDeterminismError" == type(refused.value).__name__


def test_m7_an_event_whose_body_refused_it_is_offered_again() -> None:
    """W9."""
    world = World({"take"})

    @workflow(name="w")
    def w(step: Step) -> Any:
        got = step.wait_for_event("go", "go", on_consume=partial(world.body, "take"))
        return got.payload

    lab = Lab.of(w)
    lab.create(w)
    lab.send("go", 7)
    lab.run()
    world.broken.clear()
    retried(lab)
    lab.run()
    assert ("7", "complete") == (lab.instance.output, lab.instance.status)


def test_m7_a_fallback_that_failed_too_begins_with_what_failed_first() -> None:
    """And is not asked for, if that goes well now: no record of it is left."""
    world = World({"first", "second"})

    @workflow(name="w")
    def w(step: Step) -> Any:
        try:
            return world.do(step, "first")
        except StepFailedError:
            return world.do(step, "second")

    lab = failing(w)
    world.broken.clear()
    retried(lab)
    lab.run()
    assert ('"first done"', {"do:first"}) == (lab.instance.output, set(lab.steps()))


def test_m7_a_fallback_is_asked_for_again_if_need_be() -> None:
    world = World({"first", "second"})

    @workflow(name="w")
    def w(step: Step) -> Any:
        try:
            return world.do(step, "first")
        except StepFailedError:
            return world.do(step, "second")

    lab = failing(w)
    world.broken.remove("second")
    retried(lab)
    lab.run()
    assert '"second done"' == lab.instance.output


def test_m7_a_branch_that_has_caught_its_failure_goes_on_waiting() -> None:
    """D1: opened, it would not ask for the wait that it went on to."""
    world = World({"a", "b"})

    @workflow(name="w")
    async def w(step: AsyncStep) -> Any:
        async def asks(inner: AsyncStep) -> Any:
            try:
                return await world.do(inner, "a")
            except StepFailedError:
                return (await inner.wait_for_event("help", "help")).payload

        async def fails(inner: AsyncStep) -> Any:
            await inner.sleep("nap", SECOND)
            return await world.do(inner, "b")

        return [*await step.gather("g", asks, fails)]

    lab = failing(w)
    world.broken.clear()
    retried(lab)
    lab.run()
    lab.send("help", "ann")
    lab.run()
    assert ('["ann","b done"]', ["a", "b", "b"]) == (lab.instance.output, world.ran)


def test_m7_a_race_that_a_failure_has_decided_is_run_again() -> None:
    """Its loser waits until its old deadline, if it is still to be waited for."""
    world = World({"a"})

    @workflow(name="w")
    async def w(step: AsyncStep) -> Any:
        won = await step.race("r", lambda inner: world.do(inner, "a"), lambda inner: inner.sleep("nap", MINUTE))
        return [*won]

    lab = failing(w)
    world.broken.clear()
    retried(lab)
    lab.run()
    assert '[0,"a done"]' == lab.instance.output


def test_m7_an_error_of_workflow_code_goes_on_with_corrected_code() -> None:
    world, correct = World(), list[bool]()

    @workflow(name="w")
    def w(step: Step) -> Any:
        first = world.do(step, "a")
        if not correct:
            raise RuntimeError("not yet")
        return [first, world.do(step, "b")]

    lab = failing(w)
    correct.append(True)
    retried(lab)
    lab.run()
    assert ('["a done","b done"]', ["a", "b"]) == (lab.instance.output, world.ran)


def test_m7_a_retry_that_helps_nothing_ends_as_before() -> None:
    world = World({"a"})

    @workflow(name="w")
    def w(step: Step) -> Any:
        return world.do(step, "a")

    lab = failing(w)
    before = lab.instance.failure
    retried(lab)
    lab.run()
    assert (before, 1) == (lab.instance.failure, lab.steps()["do:a"].sequence)


def test_m7_lines_before_a_failed_step_are_not_logged_again() -> None:
    """D8."""
    world = World({"a"})

    @workflow(name="w")
    def w(step: Step) -> Any:
        step.log("before")
        return world.do(step, "a")

    lab = failing(w)
    world.broken.clear()
    retried(lab)
    lab.run()
    assert ["before"] == [line.message for plan in lab.plans for line in plan.logs]


# ---- after a write that failed


def write_failure(lab: Lab, failed_plan: Plan) -> None:
    """As a runner does when the store has refused the plan's first write (rule T5)."""
    index = next(place for place, each in enumerate(failed_plan.mutations) if type(each).__name__ == "Write")
    error = WriteFailedError(index, "str", "no such table")
    lab.apply(plan_write_failure(lab.snapshot(), failed_plan, error, notify=False, execution_id="refused"))


@pytest.mark.parametrize("checkpoint", ["step", "tick"])
@pytest.mark.parametrize("before", ["nothing", "step", "sleep"])
def test_m7_a_step_whose_write_failed_is_made_anew(checkpoint: Any, before: str) -> None:
    """T5: nothing of its tick was kept, so the code may have more to do before it comes to it (D1)."""
    runs: list[int] = []

    def write(attempt: Attempt) -> None:
        runs.append(attempt.number)
        attempt.write("row")

    @workflow(name="w", checkpoint=checkpoint)
    def w(step: Step) -> Any:
        if before == "step":
            step.do("first", lambda attempt: None)
        if before == "sleep":
            step.sleep("nap", SECOND)
        return step.do("write", write)

    lab = Lab.of(w)
    lab.create(w)
    while True:
        lab.now += SECOND
        plan = lab.plan()
        if any(type(each).__name__ == "Write" for each in plan.mutations):
            break
        lab.apply(plan)
    write_failure(lab, plan)
    assert isinstance(lab.plans[-1].outcome, Errored)
    assert ("do:write",) == retried(lab).removed
    lab.run()
    assert ("complete", 2) == (lab.instance.status, len(runs))


# ---- size


def test_m7_a_run_of_thousands_of_records_is_looked_at_once() -> None:
    """What is asked is not asked for each pair of records."""
    steps = [failed(f"map:m[{index}]>do:x", index + 1) for index in range(5_000)]
    assert 5_000 == len(retry(done("map:m"), *steps).outcome.reopened)  # type: ignore[union-attr] # as above
