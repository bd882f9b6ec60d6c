"""``return step.continue_with(params)`` (rule O8): loops without end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from tests.lab import MINUTE, T0, Lab
from tests.planner.rows import user_writes, written_row, written_steps, written_timer
from tests.planner.worker import Worker
from tests.twins import Colour, Running, begin, both_colours, deploy
from wfcore.define import workflow
from wfcore.errors import CodecError, NonDeterminismError, StepUsageError
from wfcore.outcome import Continued, Errored, Ignored, Suspended
from wfcore.plan import Plan
from wfcore.planner import AsyncStep, Step
from wfcore.workflow import Checkpoint, Workflow

Count = Callable[..., Workflow[int, Any]]


def counting(step: Step, count: int) -> int:
    step.do("count", lambda attempt: None)
    return count if count == 0 else step.continue_with(count - 1)


async def counting_async(step: AsyncStep, count: int) -> int:
    await step.do("count", lambda attempt: None)
    return count if count == 0 else step.continue_with(count - 1)


both_counts = pytest.mark.parametrize("code", [counting, counting_async], ids=["def", "async def"])


def lab_of(code: Any, params: object, checkpoint: Checkpoint = "step") -> Lab:
    w = workflow(name="w", checkpoint=checkpoint)(code)
    lab = Lab.of(w)
    lab.create(w, params)
    return lab


def last_of_first_run(code: Any, count: int = 1) -> Plan:
    return lab_of(code, count, "tick").tick()


# ---- the plan


@both_counts
def test_o8_the_run_ends_and_the_next_begins_in_one_plan(code: Any) -> None:
    plan = last_of_first_run(code)
    row = written_row(plan)
    assert (Continued(2), 2, 2, "active", "0", None, None, None, None) == (
        plan.outcome,
        row.run_number,
        row.key_run,
        row.status,
        row.params,
        row.output,
        row.failure,
        row.started_at,
        row.completed_at,
    )


@both_counts
def test_o8_the_row_is_one_version_on(code: Any) -> None:
    plan = last_of_first_run(code)
    assert (2, plan.execution_id, T0, "create1") == (
        written_row(plan).version,
        written_row(plan).execution_id,
        written_row(plan).updated_at,
        written_row(plan).created_by,
    )


@both_counts
def test_o8_the_timer_of_the_next_run_is_due_now(code: Any) -> None:
    due = written_timer(last_of_first_run(code))
    assert due is not None
    assert (2, T0, "w#1#timer") == (due.run_number, due.due_at, due.id)


@both_counts
def test_o8_the_records_of_the_run_that_ends_are_kept(code: Any) -> None:
    assert ["do:count"] == [*written_steps(last_of_first_run(code))]


@both_counts
def test_o8_the_next_run_has_no_records(code: Any) -> None:
    lab = lab_of(code, 1, "tick")
    lab.tick()
    assert {} == lab.steps()


@both_counts
@pytest.mark.parametrize("checkpoint", ["step", "tick"])
def test_o8_a_hundred_runs_in_a_row(code: Any, checkpoint: Checkpoint) -> None:
    lab = lab_of(code, 100, checkpoint)
    lab.run()
    assert ("complete", "0", 101) == (lab.instance.status, lab.instance.output, lab.instance.run_number)


@both_counts
def test_o8_every_run_keeps_a_history_of_its_own(code: Any) -> None:
    lab = lab_of(code, 3)
    lab.run()
    assert [(run, "do:count") for run in (1, 2, 3, 4)] == [*lab.world[lab.ref].steps]


@both_counts
def test_o6_a_plan_that_ends_a_run_is_the_last_of_its_tick(code: Any) -> None:
    assert Continued(2) == Worker(lab_of(code, 1)).tick().outcome


# ---- what the next run sees


@both_colours
def test_o8_open_waits_of_the_run_that_ends_are_cancelled(colour: Colour) -> None:
    lab = Lab.of(racing := continuing_out_of_a_race())
    lab.create(racing)
    lab.tick()
    lab.tick(at=T0 + MINUTE)
    assert [("cancelled", 1), ("completed", 1)] == sorted(
        (step.status, step.run_number) for step in lab.world[lab.ref].steps.values()
    )


def continuing_out_of_a_race() -> Workflow[None, Any]:
    @workflow(name="w")
    async def w(step: AsyncStep) -> str:
        await step.race(
            "first", lambda inner: inner.wait_for_event("go", "go"), lambda inner: inner.sleep("nap", MINUTE)
        )
        return step.continue_with()

    return w


def listening(step: Any) -> Running:
    first = yield step.wait_for_event("one", "go")
    if first.payload == "last":
        return "done"
    return step.continue_with()


@both_colours
def test_o8_the_mailbox_is_kept(colour: Colour) -> None:
    lab = begin(colour, listening)
    lab.tick()
    for payload in ("first", "second", "last"):
        lab.send("go", payload, id=payload)
    lab.run()
    assert (3, [1, 2, 3]) == (
        lab.instance.run_number,
        [each.consumed_run for each in lab.events().values()],
    )


@both_colours
def test_o5_an_event_that_was_pending_at_the_end_of_a_run_needs_no_hook_of_its_own(colour: Colour) -> None:
    """The timer of the next run is due, and its tick looks at the mailbox."""
    lab = begin(colour, listening)
    lab.tick()
    for payload in ("first", "last"):
        lab.send("go", payload)
    lab.tick()
    assert ["timer"] == [*lab.hooks()]


@both_colours
def test_s10_the_next_run_has_new_idempotency_keys(colour: Colour) -> None:
    keys: list[str] = []

    def program(step: Any) -> Running:
        yield step.do("a", lambda attempt: keys.append(attempt.idempotency_key))
        return None if len(keys) == 2 else step.continue_with()

    begin(colour, program).run()
    assert 2 == len({*keys})


@both_colours
def test_s10_also_if_the_run_before_had_the_keys_of_an_older_one(colour: Colour) -> None:
    """M6: a restart may keep the keys; what follows it has its own again."""

    def program(step: Any) -> Running:
        yield step.do("a", lambda attempt: None)
        return step.continue_with()

    lab = begin(colour, program, checkpoint="tick")
    lab.put(attrs.evolve(lab.snapshot(), instance=attrs.evolve(lab.instance, run_number=5, key_run=2), hooks=()))
    row = written_row(lab.tick())
    assert (6, 6) == (row.run_number, row.key_run)


@both_colours
def test_d5_the_time_of_the_next_run_begins_with_its_first_tick(colour: Colour) -> None:
    def program(step: Any) -> Running:
        began = step.now()
        yield step.sleep("nap", MINUTE)
        return step.continue_with() if began == T0 else began.isoformat()

    lab = begin(colour, program)
    lab.run(until=T0 + 2 * MINUTE)
    assert ('"2026-01-01T00:01:00+00:00"', T0 + MINUTE) == (lab.instance.output, lab.instance.started_at)


@both_colours
def test_d5_ids_of_the_next_run_are_others(colour: Colour) -> None:
    ids: list[str] = []

    def program(step: Any) -> Running:
        ids.append(str(step.uuid("id")))
        return None if len(ids) > 1 else step.continue_with()
        yield

    begin(colour, program).run()
    assert 2 == len({*ids})


@both_colours
def test_d1_the_next_run_is_replayed_alone(colour: Colour) -> None:
    """Its code need not fit the history of the runs before."""

    def before(step: Any) -> Running:
        yield step.do("before", lambda attempt: None)
        return step.continue_with()

    def after(step: Any) -> Running:
        yield step.do("after", lambda attempt: None)
        return "after"

    lab = begin(colour, before, checkpoint="tick")
    lab.tick()
    deploy(lab, colour, after)
    lab.run()
    assert '"after"' == lab.instance.output


@both_colours
def test_g2_a_hook_of_the_run_that_has_ended_says_nothing_to_the_next(colour: Colour) -> None:
    lab = begin(colour, listening)
    stale = lab.fired()
    lab.tick()
    lab.send("go", "first")
    lab.tick()
    plan = lab.plan(fired=stale)
    assert (True, Ignored("the hook is for run 1, the instance is in run 2")) == (plan.is_empty, plan.outcome)


@both_colours
def test_d8_lines_that_were_logged_before_the_end_of_a_run_are_emitted(colour: Colour) -> None:
    def program(step: Any) -> Running:
        step.log("goodbye")
        return step.continue_with()
        yield

    assert ["goodbye"] == [line.message for line in begin(colour, program).plan().logs]


@both_colours
def test_t1_what_the_last_step_queued_commits_with_the_end_of_the_run(colour: Colour) -> None:
    def program(step: Any) -> Running:
        yield step.do("a", lambda attempt: attempt.write("kept"))
        return step.continue_with()

    plan = begin(colour, program, checkpoint="tick").plan()
    assert ["kept"] == user_writes(plan)


def test_o8_a_branch_may_make_what_the_workflow_returns() -> None:
    @workflow(name="w")
    async def w(step: AsyncStep) -> Any:
        async def branch(inner: AsyncStep) -> Any:
            await inner.do("a", lambda attempt: None)
            return inner.continue_with()

        (made,) = await step.gather("one", branch)
        return made

    lab = Lab.of(w)
    lab.create(w)
    assert Continued(2) == lab.tick().outcome


# ---- mistakes


@both_colours
@pytest.mark.parametrize(("value", "type_"), [(None, "NoneType"), ("done", "str"), ([1], "list")])
def test_o8_a_return_that_was_forgotten_is_an_error_of_the_author(colour: Colour, value: Any, type_: str) -> None:
    def program(step: Any) -> Running:
        step.continue_with()
        return value
        yield

    with pytest.raises(StepUsageError) as caught:
        begin(colour, program).plan()
    assert (
        f"step 'continue_with': the workflow returned {type_} in its place; write 'return step.continue_with(params)'"
    ) == str(caught.value)


@both_colours
def test_o8_an_error_that_is_raised_after_it_ends_the_instance(colour: Colour) -> None:
    def program(step: Any) -> Running:
        step.continue_with()
        raise LookupError
        yield

    assert isinstance(begin(colour, program).plan().outcome, Errored)


@both_counts
@pytest.mark.parametrize("wrong", ["1", 1.5, None], ids=repr)
def test_o8_params_of_another_type_end_the_instance(code: Any, wrong: Any) -> None:
    def changed(step: Any, count: int) -> Any:
        return step.continue_with(wrong)

    async def changed_async(step: Any, count: int) -> Any:
        return step.continue_with(wrong)

    made = changed if code is counting else changed_async
    made.__annotations__ = code.__annotations__
    outcome = lab_of(made, 1).tick().outcome
    assert isinstance(outcome, Errored)
    assert (True, True) == (
        outcome.failure.is_a(CodecError),
        "the parameters to continue 'w' with" in outcome.failure.message,
    )


@both_colours
def test_o8_params_for_a_workflow_without_any_end_the_instance(colour: Colour) -> None:
    def program(step: Any) -> Running:
        return step.continue_with(1)
        yield

    assert isinstance(begin(colour, program).plan().outcome, Errored)


@both_colours
def test_d1_a_run_may_not_end_before_its_recorded_steps(colour: Colour) -> None:
    def program(step: Any) -> Running:
        return step.continue_with()
        yield

    lab = begin(colour, listening)
    lab.tick()
    deploy(lab, colour, program)
    lab.send("go")
    with pytest.raises(NonDeterminismError):
        lab.plan()


@both_colours
def test_k2_it_may_be_called_in_workflow_code_only(colour: Colour) -> None:
    def program(step: Any) -> Running:
        yield step.do("a", lambda attempt: step.continue_with())

    with pytest.raises(StepUsageError, match="outside of the workflow code"):
        begin(colour, program).plan()


@both_colours
def test_d7_a_finally_block_cannot_begin_another_run(colour: Colour) -> None:
    """The workflow is left at a wait, and what it does on its way out starts nothing."""

    def program(step: Any) -> Running:
        try:
            yield step.sleep("nap", MINUTE)
        finally:
            step.continue_with()

    assert Suspended(T0 + MINUTE, ("sleep:nap",)) == begin(colour, program).plan().outcome
