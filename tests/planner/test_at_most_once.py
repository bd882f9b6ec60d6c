"""At-most-once steps (rule S13): a start that is committed before the body runs, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import attrs
import pytest

from tests.lab import MINUTE, SECOND, T0, Lab
from tests.planner.rows import (
    FAILURE,
    REF,
    instance,
    pause_request,
    record,
    snapshot,
    timer,
    user_writes,
    written_events,
    written_row,
    written_steps,
    written_timer,
)
from tests.planner.worker import Worker
from tests.twins import Colour, Running, begin, both_colours, deploy
from wfcore.define import workflow
from wfcore.errors import (
    InstanceNotFoundError,
    NonRetryableError,
    StepFailedError,
    StepInterruptedError,
    StepUsageError,
)
from wfcore.model import StepRecord
from wfcore.outcome import Checkpointed, Completed, Errored, Ignored, Paused, Rescheduled, Suspended
from wfcore.plan import AddInstance, AtVersion, Exists, Plan
from wfcore.planner import AsyncStep, Attempt, Done, Raised, Returned, Settled, Step, StepCall
from wfcore.retry import Retry
from wfcore.workflow import Registry

HOUR = 60 * MINUTE
DAY = 24 * HOUR
TWICE = Retry(max_attempts=2, delay=MINUTE)


def paid(attempt: Attempt) -> str:
    attempt.write(f"paid {attempt.number}")
    attempt.on_terminal_error("gone")
    return "ok"


def fails(attempt: Attempt) -> str:
    attempt.write("paid")
    attempt.on_terminal_error("gone")
    raise LookupError(f"no {attempt.number}")


def charging(body: Callable[[Attempt], Any] = paid, **options: Any) -> Callable[[Any], Running]:
    """``do("charge", ..., at_most_once=1 h)``, then another step."""

    def program(step: Any) -> Running:
        charged = yield step.do("charge", body, **{"at_most_once": HOUR, **options})
        yield step.do("mail", lambda attempt: None)
        return charged

    return program


def never(attempt: Attempt) -> str:
    raise AssertionError(f"attempt {attempt.number} runs")


def begun(colour: Colour, program: Callable[[Any], Running], **options: Any) -> Lab:
    """The start of the first body is committed, and its worker has died."""
    lab = begin(colour, program, **options)
    lab.tick(perform=no_bodies)
    return lab


def no_bodies(call: StepCall) -> Settled:
    raise AssertionError(f"{call.key} runs")


# ---- the start


@both_colours
def test_s13_the_start_is_committed_before_the_body_runs(colour: Colour) -> None:
    worker = Worker(begin(colour, charging()))
    worker.tick()
    assert ["started do:charge", "run do:charge", "completed do:charge"] == worker.trace[:3]


@both_colours
def test_s13_the_start_is_committed_before_the_body_runs_also_with_one_checkpoint_a_tick(colour: Colour) -> None:
    worker = Worker(begin(colour, charging(), checkpoint="tick"))
    worker.tick()
    assert [
        "started do:charge",
        "run do:charge",
        "run do:mail",
        "completed do:charge",
        "completed do:mail",
    ] == worker.trace


@both_colours
def test_s13_the_body_does_not_run_if_its_start_is_not_committed(colour: Colour) -> None:
    worker = Worker(begin(colour, charging()), loses=True)
    worker.tick()
    assert [] == worker.trace


@both_colours
def test_s13_a_start_is_a_record_with_a_deadline_and_no_attempt_counted(colour: Colour) -> None:
    lab = begin(colour, charging())
    plan = lab.tick()
    assert written_steps(plan) == {
        "do:charge": record(
            "do:charge", status="started", wake_at=T0 + HOUR, attempts=0, execution_id=plan.execution_id
        )
    }


@both_colours
def test_s13_the_start_of_a_later_attempt_keeps_what_is_known_of_those_before(colour: Colour) -> None:
    lab = begin(colour, charging(fails, retry=TWICE))
    worker = Worker(lab)
    worker.tick()
    lab.now += MINUTE
    start = written_steps(lab.tick())["do:charge"]
    assert ("started", 1, "no 1", T0 + MINUTE + HOUR, None) == (
        start.status,
        start.attempts,
        start.failure and start.failure.message,
        start.wake_at,
        start.next_retry_at,
    )


@both_colours
def test_s13_each_attempt_has_a_start_of_its_own(colour: Colour) -> None:
    lab = begin(colour, charging(fails, retry=TWICE))
    worker = Worker(lab)
    worker.tick()
    lab.now += MINUTE
    worker.tick()
    assert [
        *("started do:charge", "run do:charge", "waiting do:charge"),
        *("started do:charge", "run do:charge", "errored do:charge"),
    ] == worker.trace


@both_colours
def test_s13_a_deadline_beyond_the_calendar_is_its_last_instant(colour: Colour) -> None:
    lab = begin(colour, charging(at_most_once=timedelta.max))
    lab.tick()
    assert 9999 == lab.steps()["do:charge"].wake_at.year  # type: ignore[union-attr]


@both_colours
@pytest.mark.parametrize("wrong", [timedelta(0), -SECOND, 5, "1 h"], ids=repr)
def test_s13_what_is_no_duration_is_refused(colour: Colour, wrong: Any) -> None:
    lab = begin(colour, charging(at_most_once=wrong))
    with pytest.raises(StepUsageError, match=r"at_most_once=.* cannot be used; pass a timedelta longer than zero"):
        lab.plan()


# ---- O4: the timer of such a checkpoint


@both_colours
def test_o4_only_started_bodies_are_left_the_timer_stands_at_the_earliest_deadline(colour: Colour) -> None:
    plan = begin(colour, charging()).tick()
    timer_ = written_timer(plan)
    assert (Checkpointed(), "active", T0 + HOUR) == (plan.outcome, written_row(plan).status, timer_ and timer_.due_at)


def test_o4_another_body_may_start_the_timer_is_due_now() -> None:
    lab = side_by_side(once("a"), once("b"))
    timer_ = written_timer(lab.tick())
    assert T0 == (timer_ and timer_.due_at)


@both_colours
def test_o6_in_a_continuation_the_timer_is_due_after_recover_after(colour: Colour) -> None:
    lab = begin(colour, charging())
    Worker(lab).tick(recover_after=7 * SECOND)
    timer_ = written_timer(lab.plans[1])
    assert T0 + 7 * SECOND == (timer_ and timer_.due_at)


# ---- a start of another's


@both_colours
@pytest.mark.parametrize("at", [T0, T0 + HOUR - SECOND], ids=["at once", "just before the deadline"])
def test_s13_a_start_that_is_not_mine_parks_until_its_deadline(colour: Colour, at: datetime) -> None:
    lab = begun(colour, charging(never))
    lab.now = at
    lab.put(attrs.evolve(lab.snapshot(), hooks=(attrs.evolve(lab.snapshot().hooks[0], due_at=at),)))
    plan = lab.tick(perform=no_bodies)
    timer_ = written_timer(plan)
    assert (Suspended(T0 + HOUR, ("do:charge",)), T0 + HOUR) == (plan.outcome, timer_ and timer_.due_at)


@both_colours
def test_s13_from_the_deadline_on_it_is_a_failed_attempt(colour: Colour) -> None:
    lab = begun(colour, charging(never))
    plan = lab.tick(at=T0 + HOUR, perform=no_bodies)
    settled = written_steps(plan)["do:charge"]
    assert ("errored", 1, 1, T0 + HOUR, None) == (
        settled.status,
        settled.attempts,
        settled.sequence,
        settled.settled_at,
        settled.wake_at,
    )


@both_colours
def test_s13_the_failure_says_that_nothing_is_known(colour: Colour) -> None:
    lab = begun(colour, charging(never))
    plan = lab.tick(at=T0 + HOUR, perform=no_bodies)
    assert isinstance(plan.outcome, Errored)
    assert (
        "step 'do:charge' failed: StepInterruptedError: step 'do:charge' was started and left no result until "
        "2026-01-01T01:00:00+00:00; whether its body ran is not known"
    ) == plan.outcome.failure.message


@both_colours
def test_s13_workflow_code_can_tell_an_interruption(colour: Colour) -> None:
    def program(step: Any) -> Running:
        try:
            yield step.do("charge", never, at_most_once=HOUR)
        except StepFailedError as error:
            return error.failure.is_a(StepInterruptedError)
        return None

    assert Completed("true") == begun(colour, program).tick(at=T0 + HOUR).outcome


@both_colours
@pytest.mark.parametrize(
    ("retry", "status", "next_retry_at"),
    [
        (None, "errored", None),
        (TWICE, "waiting", T0 + HOUR + MINUTE),
        (Retry(max_attempts=2, give_up_on=(StepInterruptedError,)), "errored", None),
    ],
    ids=["no retry", "a retry", "a retry that gives up on it"],
)
def test_s13_an_interruption_is_tried_again_only_if_retry_says_so(
    colour: Colour, retry: Retry | None, status: str, next_retry_at: datetime | None
) -> None:
    lab = begun(colour, charging(never, retry=retry))
    plan = lab.tick(at=T0 + HOUR, perform=no_bodies)
    settled = written_steps(plan)["do:charge"]
    assert (status, next_retry_at, 1) == (settled.status, settled.next_retry_at, settled.attempts)


@both_colours
def test_s13_the_attempt_after_an_interruption_knows_of_it(colour: Colour) -> None:
    told: list[tuple[int, bool]] = []

    def charge(attempt: Attempt) -> None:
        assert attempt.last_failure is not None
        told.append((attempt.number, attempt.last_failure.is_a(StepInterruptedError)))

    lab = begun(colour, charging(charge, retry=TWICE))
    lab.tick(at=T0 + HOUR)
    lab.now += MINUTE
    Worker(lab).tick()
    assert [(2, True)] == told


@both_colours
def test_s13_the_deadline_is_never_renewed(colour: Colour) -> None:
    lab = begun(colour, charging(never))
    deploy(lab, colour, charging(never, at_most_once=DAY))
    lab.now += 30 * MINUTE
    lab.put(attrs.evolve(lab.snapshot(), hooks=(attrs.evolve(lab.snapshot().hooks[0], due_at=lab.now),)))
    lab.tick(perform=no_bodies)
    assert T0 + HOUR == lab.steps()["do:charge"].wake_at


@both_colours
def test_s13_code_that_is_not_at_most_once_any_more_waits_for_the_start_all_the_same(colour: Colour) -> None:
    lab = begun(colour, charging(never))
    deploy(lab, colour, charging(never, at_most_once=None))
    assert isinstance(lab.tick(at=T0 + HOUR, perform=no_bodies).outcome, Errored)


@both_colours
def test_s14_a_body_that_leaves_the_planner_leaves_its_start(colour: Colour) -> None:
    def interrupted(attempt: Attempt) -> None:
        raise KeyboardInterrupt

    lab = begin(colour, charging(interrupted))
    with pytest.raises(KeyboardInterrupt):
        Worker(lab).tick()
    assert "started" == lab.steps()["do:charge"].status


# ---- a start of mine


@both_colours
def test_s13_a_start_that_is_mine_is_handed_to_perform(colour: Colour) -> None:
    """G4 does not hold my own tick up, though the timer stands at the deadline."""
    lab = begin(colour, charging())
    start = lab.tick()
    assert "completed" == written_steps(lab.plan(mine=frozenset({start.execution_id})))["do:charge"].status


@both_colours
def test_g4_a_start_of_another_runner_keeps_a_tick_off(colour: Colour) -> None:
    lab = begun(colour, charging(never))
    plan = lab.plan()
    assert (True, "Ignored") == (plan.is_empty, type(plan.outcome).__name__)


@both_colours
def test_g7_a_start_that_is_mine_runs_though_another_has_parked_the_instance(colour: Colour) -> None:
    lab = begin(colour, charging())
    start = lab.tick()
    park(lab)
    plan = lab.plan(mine=frozenset({start.execution_id}))
    assert "completed" == written_steps(plan)["do:charge"].status


@both_colours
def test_g7_a_start_of_another_is_not_due_before_its_deadline(colour: Colour) -> None:
    lab = begun(colour, charging(never))
    park(lab)
    assert Rescheduled(T0 + HOUR) == lab.plan().outcome


def park(lab: Lab) -> None:
    """Another worker takes the instance over, and parks it."""
    lab.put(attrs.evolve(lab.snapshot(), hooks=(attrs.evolve(lab.snapshot().hooks[0], due_at=lab.now),)))
    assert isinstance(lab.tick(perform=no_bodies).outcome, Suspended)


# ---- a result that is held


def settled_but_lost(colour: Colour, program: Callable[[Any], Running]) -> Worker:
    """The body has run; the plan that would have recorded its result was lost."""
    worker = Worker(begin(colour, program))
    start = worker.lab.tick()
    worker.mine.add(start.execution_id)
    worker.loses = True
    worker.tick()
    worker.loses = False
    assert ["run do:charge"] == worker.trace
    worker.trace.clear()
    return worker


@both_colours
def test_s13_a_held_result_is_planned_again_after_a_conflict(colour: Colour) -> None:
    """And its body does not run again."""
    worker = settled_but_lost(colour, charging())
    worker.tick()
    assert ["completed do:charge", "run do:mail", "completed do:mail"] == worker.trace


@both_colours
def test_s13_the_writes_of_a_held_result_commit_with_it(colour: Colour) -> None:
    worker = settled_but_lost(colour, charging())
    assert ["paid 1"] == user_writes(worker.plan(commit=None))


@both_colours
def test_g7_a_held_result_is_recorded_though_the_instance_waits_for_its_deadline(colour: Colour) -> None:
    worker = settled_but_lost(colour, charging())
    park(worker.lab)
    worker.tick()
    assert "completed do:charge" == worker.trace[0]


@both_colours
def test_g4_a_held_result_is_recorded_though_another_is_at_work(colour: Colour) -> None:
    worker = settled_but_lost(colour, charging())
    worker.mine.clear()
    worker.tick()
    assert "completed do:charge" == worker.trace[0]


@both_colours
def test_s13_a_held_failure_takes_an_attempt(colour: Colour) -> None:
    worker = settled_but_lost(colour, charging(fails, retry=TWICE))
    settled = written_steps(worker.plan(commit=None))["do:charge"]
    assert ("waiting", 1) == (settled.status, settled.attempts)


@pytest.mark.parametrize(
    "changes",
    [
        {"execution_id": "another"},
        {"status": "waiting", "attempts": 1, "wake_at": None, "next_retry_at": T0 + HOUR, "failure": FAILURE},
        {"status": "errored", "attempts": 1, "wake_at": None, "sequence": 1, "settled_at": T0, "failure": FAILURE},
        {"status": "cancelled", "settled_at": T0, "execution_id": "another"},
        {"run_number": 2},
    ],
    ids=["another start", "failed, to be tried again", "failed", "cancelled", "another run"],
)
@pytest.mark.parametrize("status", ["waiting", "paused", "active"])
def test_s13_a_held_result_is_not_used_if_its_start_has_changed(status: Any, changes: dict[str, Any]) -> None:
    @workflow(name="w")
    def w(step: Step) -> None:
        with suppress(StepFailedError):
            step.do("charge", lambda attempt: "fresh", at_most_once=HOUR)

    held = Done(call(), Settled(Returned("stale")))
    step = attrs.evolve(started(), **changes)
    kept = [] if step.run_number == 2 else [step]
    lab = lab_with(instance(status=status), *kept)
    lab.registry = Registry([w])
    assert "stale" not in str(lab.plan(held=(held,)))


@pytest.mark.parametrize("status", ["complete", "errored", "terminated"])
def test_g3_a_held_result_of_an_instance_that_has_ended_is_thrown_away(status: Any) -> None:
    lab = lab_with(instance(status=status, completed_at=T0), attrs.evolve(started(), status="cancelled"))
    plan = lab.plan(held=(Done(call(), Settled(Returned("late"))),))
    assert (Ignored(f"the instance is {status}"), {}) == (plan.outcome, written_steps(plan))


# ---- held, and paused


def started(**changes: Any) -> StepRecord:
    return record("do:charge", status="started", wake_at=T0 + HOUR, **changes)


def call(body: Callable[[Attempt], Any] = paid, **changes: Any) -> StepCall:
    """The call of the start above, after its body has run."""
    attempt = Attempt(1, "key")
    with suppress(LookupError):
        body(attempt)
    return StepCall("do:charge", "charge", attempt, body, **{"returns": str, "started_by": "before", **changes})


@workflow(name="w")
def untouchable(step: Step) -> None:
    raise AssertionError("user code runs")


def lab_with(row: Any, *steps: StepRecord, **more: Any) -> Lab:
    lab = Lab(Registry([untouchable]), ref=REF)
    lab.put(snapshot(row, steps=steps, hooks=[timer(T0)], **more))
    return lab


def while_paused(result: Returned[Any] | Raised, call: StepCall, **how: Any) -> Plan:
    return lab_with(instance(status="paused"), started()).plan(held=(Done(call, Settled(result)),), **how)


def test_s13_a_held_result_is_recorded_on_a_paused_instance_without_running_user_code() -> None:
    plan = while_paused(Returned("ok"), call())
    settled = written_steps(plan)["do:charge"]
    assert ("completed", '"ok"', 1, 1) == (settled.status, settled.result, settled.sequence, settled.attempts)


def test_s13_its_writes_are_recorded_too() -> None:
    assert ["paid 1"] == user_writes(while_paused(Returned("ok"), call()))


def test_g6_the_instance_stays_paused_and_the_hooks_seen_are_deleted() -> None:
    plan = while_paused(Returned("ok"), call())
    assert ("paused", 8, None, Ignored("the instance is paused; the result of do:charge was recorded")) == (
        written_row(plan).status,
        written_row(plan).version,
        written_timer(plan),
        plan.outcome,
    )


@pytest.mark.parametrize(
    ("retry", "error", "status", "writes"),
    [
        (Retry(max_attempts=1), LookupError(), "errored", ["gone"]),
        (TWICE, LookupError(), "waiting", []),
        (TWICE, NonRetryableError(), "errored", ["gone"]),
    ],
    ids=["no attempts left", "attempts left", "final"],
)
def test_s13_a_held_failure_is_recorded_on_a_paused_instance(
    retry: Retry, error: Exception, status: str, writes: list[str]
) -> None:
    plan = while_paused(Raised(error), call(fails, retry=retry))
    assert (status, writes) == (written_steps(plan)["do:charge"].status, user_writes(plan))


def test_s13_a_paused_instance_of_an_unknown_workflow_takes_a_held_result_too() -> None:
    lab = lab_with(instance(status="paused"), started())
    lab.registry = Registry([])
    plan = lab.plan(held=(Done(call(), Settled(Returned("ok"))),))
    assert "completed" == written_steps(plan)["do:charge"].status


def test_s13_a_held_result_of_a_local_type_can_be_recorded_while_paused() -> None:
    @attrs.frozen
    class Payment:
        cents: int

    @attrs.frozen
    class Receipt:
        payment: Payment

    def charge(attempt: Attempt) -> Receipt:
        return Receipt(Payment(450))

    @workflow(name="w")
    def w(step: Step) -> None:
        step.do("charge", charge)

    lab = lab_with(instance(status="paused"), started())
    lab.registry = Registry([w])
    plan = lab.plan(held=(Done(call(charge, returns=Receipt), Settled(Returned(Receipt(Payment(450))))),))
    assert "completed" == written_steps(plan)["do:charge"].status


def test_s13_the_time_that_a_held_result_took_does_not_move_this_ticks_time() -> None:
    """It was counted from another retrieve: a time in the future would end sleeps too early."""
    lab = lab_with(instance(status="paused"), started())
    plan = lab.plan(held=(Done(call(), Settled(Returned("ok"), elapsed=HOUR)),))
    assert (T0, T0) == (written_steps(plan)["do:charge"].settled_at, written_row(plan).updated_at)


@both_colours
def test_s13_nor_does_it_where_user_code_runs(colour: Colour) -> None:
    worker = settled_but_lost(colour, charging())
    worker.held = {key: Done(done.call, Settled(done.settled.result, HOUR)) for key, done in worker.held.items()}
    assert T0 == written_steps(worker.plan(commit=None))["do:charge"].settled_at


@pytest.mark.parametrize("status", ["active", "waiting"])
def test_g5_a_pause_records_the_held_results_in_the_same_plan(status: Any) -> None:
    """The runner that holds them may get no other tick."""
    lab = lab_with(instance(status=status), started(), events=[pause_request()], now=T0)
    plan = lab.plan(held=(Done(call(), Settled(Returned("ok"))),))
    consumed = written_events(plan)["#pause-1"].consumed_by
    assert (Paused(), "paused", "completed", "#pause", ["paid 1"]) == (
        plan.outcome,
        written_row(plan).status,
        written_steps(plan)["do:charge"].status,
        consumed,
        user_writes(plan),
    )


def test_g6_a_pending_pause_request_of_a_paused_instance_stays_for_resume() -> None:
    lab = lab_with(instance(status="paused"), started(), events=[pause_request()])
    plan = lab.plan(held=(Done(call(), Settled(Returned("ok"))),))
    assert {} == written_events(plan)


def test_s13_several_held_results_are_recorded_in_one_plan() -> None:
    other = attrs.evolve(call(), key="do:ship", name="ship")
    lab = lab_with(instance(status="paused"), started(), attrs.evolve(started(), key="do:ship", name="ship"))
    plan = lab.plan(held=(Done(call(), Settled(Returned("ok"))), Done(other, Settled(Returned("ok")))))
    assert {"do:charge": 1, "do:ship": 2} == {key: step.sequence for key, step in written_steps(plan).items()}


def test_g6_it_is_told_which_held_results_were_recorded() -> None:
    other = attrs.evolve(call(), key="do:ship", name="ship")
    lab = lab_with(instance(status="paused"), started(), attrs.evolve(started(), key="do:ship", name="ship"))
    plan = lab.plan(held=(Done(call(), Settled(Returned("ok"))), Done(other, Settled(Returned("ok")))))
    assert Ignored("the instance is paused; the result of do:charge, do:ship was recorded") == plan.outcome


def starting(attempt: Attempt) -> str:
    attempt.start(untouchable, id="2")
    return "started"


def test_t1_what_a_held_result_starts_is_created_by_the_plan_that_records_it_also_while_paused() -> None:
    lab = lab_with(instance(status="paused"), started(), now=T0 + MINUTE)
    lab.now = T0 + MINUTE
    plan = lab.plan(held=(Done(call(starting), Settled(Returned("started"))),))
    (row,) = (each.instance for each in plan.mutations if isinstance(each, AddInstance))
    assert (plan.execution_id, plan.execution_id, T0 + MINUTE) == (row.execution_id, row.created_by, row.created_at)


def telling(attempt: Attempt) -> str:
    attempt.send_event(untouchable, "2", "go", required=True)
    return "told"


def test_t4_a_held_result_with_a_required_event_needs_its_receiver_also_while_paused() -> None:
    plan = while_paused(Returned("told"), call(telling))
    assert (AtVersion(REF, 7, "before"), Exists("w#2")) == plan.preconditions


def test_t4_a_held_result_without_its_receiver_is_a_failed_attempt_also_while_paused() -> None:
    plan = while_paused(Returned("told"), call(telling), absent=frozenset({"w#2"}))
    failure = written_steps(plan)["do:charge"].failure
    assert failure is not None
    assert failure.is_a(InstanceNotFoundError)


# ---- in branches


def once(name: str, body: Callable[[Attempt], Any] = paid) -> Callable[[AsyncStep], Any]:
    return lambda step: step.do(name, body, at_most_once=HOUR)


def side_by_side(*branches: Callable[[AsyncStep], Any]) -> Lab:
    @workflow(name="w")
    async def w(step: AsyncStep) -> list[Any]:
        return [*await step.gather("both", *branches)]

    lab = Lab.of(w)
    lab.create(w)
    return lab


def test_s13_bodies_in_branches_start_one_by_one_if_they_run_one_by_one() -> None:
    """The start of the second commits with the result of the first."""
    worker = Worker(side_by_side(once("a"), once("b")))
    worker.tick()
    assert [
        "started gather:both[0]>do:a",
        "run gather:both[0]>do:a",
        "completed gather:both[0]>do:a",
        "started gather:both[1]>do:b",
        "run gather:both[1]>do:b",
        "completed gather:both[1]>do:b",
    ] == worker.trace


def test_s13_a_worker_that_finds_a_start_of_another_runs_the_other_branch() -> None:
    lab = side_by_side(once("a", never), once("b"))
    lab.tick()
    worker = Worker(lab)
    plan = worker.tick()
    assert (Suspended(T0 + HOUR, ("gather:both[0]>do:a",)), ["run gather:both[1]>do:b"]) == (
        plan.outcome,
        [each for each in worker.trace if each.startswith("run")],
    )


def racing() -> Lab:
    @workflow(name="w")
    async def w(step: AsyncStep) -> Any:
        won = await step.race("first", once("a", never), lambda inner: inner.sleep("late", 10 * MINUTE))
        await step.sleep("on", DAY)
        return won

    lab = Lab.of(w)
    lab.create(w)
    return lab


def test_p5_a_start_in_a_losing_branch_is_cancelled() -> None:
    lab = racing()
    lab.tick(perform=no_bodies)
    lab.tick(at=T0 + 10 * MINUTE, perform=no_bodies)
    assert "cancelled" == lab.steps()["race:first[0]>do:a"].status


def test_s13_a_held_result_of_a_losing_branch_is_thrown_away() -> None:
    lab = racing()
    start = lab.tick(perform=no_bodies)
    lab.tick(at=T0 + 10 * MINUTE, perform=no_bodies)
    lost = attrs.evolve(call(), key="race:first[0]>do:a", name="a", started_by=start.execution_id)
    assert Rescheduled(T0 + 10 * MINUTE + DAY) == lab.plan(held=(Done(lost, Settled(Returned("late"))),)).outcome


def test_p7_a_cancelled_start_has_no_deadline() -> None:
    lab = racing()
    lab.tick(perform=no_bodies)
    plan = lab.tick(at=T0 + 10 * MINUTE, perform=no_bodies)
    timer_ = written_timer(plan)
    assert T0 + 10 * MINUTE + DAY == (timer_ and timer_.due_at)


# ---- M7: a cancelled start whose branch is open again


def reopened(row: StepRecord) -> Lab:
    @workflow(name="w")
    async def w(step: AsyncStep) -> Any:
        return await step.do("charge", never, at_most_once=HOUR)

    lab = Lab(Registry([w]), ref=REF)
    lab.put(snapshot(instance(status="active"), steps=[row], hooks=[timer(T0)]))
    return lab


def test_m7_a_cancelled_start_waits_for_its_old_deadline_and_does_not_run() -> None:
    """It may have run; who has started it is none of this worker's business."""
    lab = reopened(attrs.evolve(started(), status="cancelled", settled_at=T0))
    plan = lab.tick(perform=no_bodies)
    assert (Suspended(T0 + HOUR, ("do:charge",)), started()) == (plan.outcome, lab.steps()["do:charge"])


def test_m7_a_cancelled_start_whose_deadline_has_passed_is_an_interruption() -> None:
    lab = reopened(attrs.evolve(started(), status="cancelled", settled_at=T0))
    settled = written_steps(lab.tick(at=T0 + HOUR, perform=no_bodies))["do:charge"]
    assert settled.failure is not None
    assert settled.failure.is_a(StepInterruptedError)


def test_m7_a_reopened_start_is_not_taken_for_mine_later() -> None:
    lab = reopened(attrs.evolve(started(), status="cancelled", settled_at=T0))
    plan = lab.tick(perform=no_bodies)
    assert Rescheduled(T0 + HOUR) == lab.plan(mine=frozenset({plan.execution_id}), perform=no_bodies).outcome
