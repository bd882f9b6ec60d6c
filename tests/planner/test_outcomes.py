"""How a tick ends, and checkpoints on the way there (rules O1 to O6)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import attrs
import pytest

from tests.lab import MINUTE, SECOND, T0, Lab
from tests.planner.rows import (
    FAILURE,
    REF,
    deleted_hooks,
    event,
    instance,
    listening,
    message,
    notice,
    retrying,
    sleeping,
    snapshot,
    timer,
    written_row,
    written_steps,
    written_timer,
)
from tests.twins import Colour, Running, begin, both_colours
from wfcore import (
    AsyncStep,
    Attempt,
    Continue,
    Retry,
    Settled,
    Step,
    StepCall,
    StepFailedError,
    Stop,
    call_body,
    plan_tick,
    workflow,
)
from wfcore.model import Snapshot
from wfcore.outcome import Checkpointed, Completed, Errored, Outcome, Suspended
from wfcore.plan import AtVersion, Plan, PutHook
from wfcore.planner import RECOVER_AFTER, released
from wfcore.planner.draft import Draft
from wfcore.workflow import Checkpoint

LATER = T0 + MINUTE
RETRY = Retry(max_attempts=2, delay=timedelta(0))


def work(attempt: Attempt) -> int:
    return attempt.number


def declining(attempt: Attempt) -> int:
    raise LookupError("declined")


def declining_once(attempt: Attempt) -> int:
    return declining(attempt) if attempt.number == 1 else 7


def lab_of(code: Callable[[Step], Any], checkpoint: Checkpoint = "step", result: Any = Any) -> Lab:
    def w(step: Step) -> Any:
        return code(step)

    w.__annotations__["return"] = result
    lab = Lab.of(workflow(name="w", checkpoint=checkpoint)(w))
    lab.create(lab.registry.get("w"))
    return lab


def taking(elapsed: timedelta) -> Callable[[StepCall], Settled]:
    return lambda call: attrs.evolve(call_body(call), elapsed=elapsed)


def raising(error: Exception) -> Callable[[Step], Any]:
    def code(step: Step) -> None:
        raise error

    return code


def three_steps(step: Step) -> int:
    return sum(step.do(name, work) for name in "abc")


# ---- O1, O2, O3: the row


def test_a_workflow_that_returns_completes_its_instance() -> None:
    """O1."""
    lab = lab_of(lambda step: {"id": step.do("charge", work)})
    before = lab.instance
    plan = lab.tick(at=LATER, perform=taking(SECOND))
    expected = attrs.evolve(
        before,
        status="complete",
        output='{"id":1}',
        started_at=LATER,
        completed_at=LATER + SECOND,
        updated_at=LATER + SECOND,
        version=2,
        execution_id="tick2",
    )
    assert (Completed('{"id":1}'), expected) == (plan.outcome, lab.instance)


def test_an_exception_that_escapes_ends_the_instance() -> None:
    """O2."""
    lab = lab_of(raising(LookupError("no order")))
    before = lab.instance
    outcome = lab.tick(at=LATER).outcome
    assert isinstance(outcome, Errored)
    expected = attrs.evolve(
        before,
        status="errored",
        failure=outcome.failure,
        started_at=LATER,
        completed_at=LATER,
        updated_at=LATER,
        version=2,
        execution_id="tick2",
    )
    assert ("builtins.LookupError", "no order", expected) == (
        outcome.failure.type,
        outcome.failure.message,
        lab.instance,
    )


def test_an_instance_that_ended_errored_has_no_output() -> None:
    """O2."""
    lab = lab_of(raising(LookupError("no order")))
    lab.run()
    assert lab.instance.output is None


def test_a_step_failure_that_escapes_is_the_instances_failure() -> None:
    """O2, S7."""
    lab = lab_of(lambda step: step.do("charge", declining))
    outcome = lab.run().outcome
    assert isinstance(outcome, Errored)
    assert outcome.failure.is_a(StepFailedError)


@pytest.mark.parametrize(
    ("value", "result"), [pytest.param(object(), Any, id="object"), ("seven", int), ((1, 2), Any)], ids=repr
)
def test_an_output_that_cannot_be_encoded_ends_the_instance(value: object, result: Any) -> None:
    """O2, S15."""
    lab = lab_of(lambda step: value, result=result)
    lab.run()
    failure = lab.instance.failure
    assert failure is not None
    assert ("errored", "wfcore.errors.store.CodecError") == (lab.instance.status, failure.type)


def test_a_parked_workflow_waits() -> None:
    """O3."""
    lab = lab_of(lambda step: step.sleep("nap", MINUTE))
    before = lab.instance
    plan = lab.tick()
    expected = attrs.evolve(before, status="waiting", started_at=T0, version=2, execution_id="tick2")
    assert (Suspended(LATER, ("sleep:nap",)), expected) == (plan.outcome, lab.instance)


def test_a_workflow_parked_until_an_event_waits_without_deadline() -> None:
    """O3."""
    lab = lab_of(lambda step: step.wait_for_event("approval", "approved"))
    assert Suspended(None, ("wait_for_event:approval",)) == lab.run().outcome


def test_started_at_is_when_workflow_code_first_ran() -> None:
    """O4."""
    lab = lab_of(slept)
    lab.tick(at=T0 + 5 * SECOND)
    lab.run(until=T0 + 5 * MINUTE)
    assert (T0 + 5 * SECOND, "complete") == (lab.instance.started_at, lab.instance.status)


@pytest.mark.parametrize(
    "code",
    [
        three_steps,
        raising(LookupError()),
        lambda step: step.sleep("nap", MINUTE),
        lambda step: step.wait_for_event("approval", "approved"),
    ],
    ids=["checkpoint", "errored", "sleep", "wait"],
)
def test_every_plan_of_an_instance_is_one_version_more(code: Callable[[Step], Any]) -> None:
    """O1 to O4."""
    lab = lab_of(code)
    plan = lab.tick()
    assert ((AtVersion(REF, 1, "create1"),), 2, "tick2") == (
        plan.preconditions,
        lab.instance.version,
        lab.instance.execution_id,
    )


def test_time_never_goes_back() -> None:
    """Now: not if a machine's clock is behind the last write."""
    lab = lab_of(three_steps)
    lab.tick(perform=taking(MINUTE))
    lab.tick()
    assert T0 + MINUTE == lab.instance.updated_at


def test_hooks_that_were_seen_are_handled_by_whatever_ends_the_tick() -> None:
    """O1, design 4: a complete instance has no hook left."""
    lab = lab_of(lambda step: None)
    lab.send("approved")
    lab.tick()
    assert {} == lab.hooks()


def test_a_message_that_came_during_the_tick_keeps_its_hook() -> None:
    """Design 4: the tick did not see it."""
    lab = lab_of(lambda step: step.sleep("nap", MINUTE))
    lab.send("approved", id="seen")
    plan = lab.plan()
    lab.send("approved", id="unseen")
    lab.apply(plan)
    assert {"timer", "msg:unseen"} == set(lab.hooks())


# ---- O4, O6: checkpoints


def outcomes(lab: Lab) -> list[type[Outcome]]:
    lab.run(until=T0 + 5 * MINUTE)
    return [type(plan.outcome) for plan in lab.plans[1:]]


def retried(step: Step) -> int:
    return step.do("a", declining_once, retry=RETRY)


def slept(step: Step) -> None:
    step.do("a", work)
    step.sleep("nap", MINUTE)
    step.do("b", work)


def slept_over(step: Step) -> None:
    step.do("a", work)
    step.sleep("nap", timedelta(0))
    step.do("b", work)


@pytest.mark.parametrize(
    ("code", "checkpoint", "expected"),
    [
        (three_steps, "step", [Checkpointed, Checkpointed, Completed]),
        (three_steps, "tick", [Completed]),
        (slept, "step", [Suspended, Completed]),
        (slept, "tick", [Suspended, Completed]),
        (slept_over, "step", [Checkpointed, Completed]),
        (slept_over, "tick", [Completed]),
        (retried, "step", [Checkpointed, Completed]),
        (retried, "tick", [Completed]),
        (lambda step: step.do("a", work), "step", [Completed]),
        (lambda step: step.sleep("nap", timedelta(0)), "step", [Completed]),
    ],
    ids=[
        "steps, by step",
        "steps, by tick",
        "a wait commits, by step",
        "a wait commits, by tick",
        "a wait that is over, by step",
        "a wait that is over, by tick",
        "an attempt that failed, by step",
        "an attempt that failed, by tick",
        "one step",
        "no step",
    ],
)
def test_what_has_returned_is_committed_before_the_next_body_starts(
    code: Callable[[Step], Any], checkpoint: Checkpoint, expected: list[type[Outcome]]
) -> None:
    """O6: with ``checkpoint="tick"`` at the next wait or the end."""
    assert expected == outcomes(lab_of(code, checkpoint))


def test_by_step_is_what_is_not_said() -> None:
    """O6."""

    @workflow(name="w")
    def w(step: Step) -> None: ...

    assert "step" == w.checkpoint


def test_a_checkpoint_that_nobody_continues_is_due_now() -> None:
    """O4."""
    lab = lab_of(three_steps)
    plan = lab.tick(at=LATER, perform=taking(SECOND))
    assert ("active", timer(LATER + SECOND, created_at=LATER + SECOND)) == (lab.instance.status, written_timer(plan))


def test_a_tick_after_a_checkpoint_runs_only_what_is_new() -> None:
    """O6."""
    ran: list[str] = []

    def noting(name: str) -> Callable[[Attempt], None]:
        return lambda attempt: ran.append(name)

    lab_of(lambda step: [step.do(name, noting(name)) for name in "abc"]).run()
    assert ["a", "b", "c"] == ran


# ---- O6: continuation


@attrs.define
class Runner:
    """Commits plans to the lab's world and goes on, until it has committed ``limit`` plans."""

    lab: Lab
    limit: int = 99
    trace: list[str] = attrs.field(factory=list)
    committed: list[Plan] = attrs.field(factory=list)

    def commit(self, plan: Plan) -> Continue | Stop:
        self.trace.append("commit")
        self.committed.append(plan)
        self.lab.apply(plan)
        return Stop() if len(self.committed) == self.limit else Continue(f"next{len(self.committed)}")

    def perform(self, call: StepCall) -> Settled:
        self.trace.append(call.key)
        return call_body(call)

    def plan(self) -> Plan:
        return self.lab.plan(perform=self.perform, commit=self.commit)


def test_every_plan_but_the_last_goes_through_commit() -> None:
    """O6, design 6."""
    runner = Runner(lab_of(three_steps))
    last = runner.plan()
    assert ([Checkpointed(), Checkpointed()], Completed("3")) == (
        [each.outcome for each in runner.committed],
        last.outcome,
    )


def test_a_body_starts_once_what_came_before_is_committed() -> None:
    """O6."""
    runner = Runner(lab_of(three_steps))
    runner.plan()
    assert ["do:a", "commit", "do:b", "commit", "do:c"] == runner.trace


def test_nothing_is_committed_on_the_way_by_tick() -> None:
    """O6."""
    runner = Runner(lab_of(three_steps, "tick"))
    runner.plan()
    assert ["do:a", "do:b", "do:c"] == runner.trace


def test_a_plan_of_a_continuation_follows_the_one_before() -> None:
    """O6: no read in between."""
    runner = Runner(lab_of(three_steps))
    last = runner.plan()
    assert [AtVersion(REF, 1, "create1"), AtVersion(REF, 2, "tick2"), AtVersion(REF, 3, "next1")] == [
        plan.preconditions[0] for plan in (*runner.committed, last)
    ]


def test_rows_of_a_continuation_carry_its_own_execution_id() -> None:
    """O6."""
    runner = Runner(lab_of(three_steps))
    last = runner.plan()
    assert [("tick2", "tick2"), ("next1", "next1"), ("next2", "next2")] == [
        (plan.execution_id, step.execution_id)
        for plan in (*runner.committed, last)
        for step in written_steps(plan).values()
    ]


def test_each_plan_of_a_continuation_writes_what_is_new() -> None:
    """O6."""
    runner = Runner(lab_of(three_steps))
    last = runner.plan()
    assert [["do:a"], ["do:b"], ["do:c"]] == [list(written_steps(plan)) for plan in (*runner.committed, last)]


def test_the_timer_of_a_checkpoint_that_is_continued_is_for_the_case_of_a_crash() -> None:
    """O6: due at now + recover_after, counted from the checkpoint."""
    lab = lab_of(three_steps)
    committed: list[Plan] = []

    def commit(plan: Plan) -> Stop:
        committed.append(plan)
        return Stop()

    plan_tick(
        lab.snapshot(),
        lab.fired(),
        lab.registry,
        execution_id="tick",
        perform=taking(SECOND),
        commit=commit,
        recover_after=MINUTE,
    )
    assert timer(T0 + SECOND + MINUTE, created_at=T0 + SECOND) == written_timer(committed[0])


def test_ten_seconds_are_what_is_not_said() -> None:
    """O6."""
    runner = Runner(lab_of(three_steps), limit=1)
    runner.plan()
    assert timer(T0 + 10 * SECOND) == written_timer(runner.committed[0])


def test_the_plan_that_ends_a_continuation_writes_the_real_timer() -> None:
    """O6."""

    def code(step: Step) -> None:
        step.do("a", work)
        step.do("b", work)
        step.sleep("nap", 5 * MINUTE)

    assert timer(T0 + 5 * MINUTE) == written_timer(Runner(lab_of(code)).plan())


def test_the_plan_that_ends_the_instance_deletes_the_timer_of_the_checkpoint() -> None:
    """O6, O1."""
    runner = Runner(lab_of(three_steps))
    assert ["timer"] == deleted_hooks(runner.plan())


def test_hooks_that_were_seen_are_deleted_once() -> None:
    """O6: by the first plan."""
    lab = lab_of(three_steps)
    lab.send("approved", id="e1")
    runner = Runner(lab)
    last = runner.plan()
    assert [["msg:e1"], [], ["timer"]] == [deleted_hooks(plan) for plan in (*runner.committed, last)]


def test_the_version_counts_on_in_a_continuation() -> None:
    """O6."""
    runner = Runner(lab_of(three_steps))
    runner.lab.apply(runner.plan())
    assert (4, "complete", "next2") == (
        runner.lab.instance.version,
        runner.lab.instance.status,
        runner.lab.instance.execution_id,
    )


def test_a_runner_that_stops_gets_an_empty_plan() -> None:
    """O6, design 6: it knows what its callback saw."""
    runner = Runner(lab_of(three_steps), limit=1)
    plan = runner.plan()
    assert (True, Checkpointed(), ["do:a", "commit"]) == (plan.is_empty, plan.outcome, runner.trace)


def test_a_runner_that_stops_before_an_async_workflow_gets_an_empty_plan() -> None:
    """O6."""

    @workflow(name="w")
    async def w(step: AsyncStep) -> None:
        for name in "abc":
            await step.do(name, work)

    lab = Lab.of(w)
    lab.create(w)
    runner = Runner(lab, limit=2)
    plan = runner.plan()
    assert (True, Checkpointed(), ["do:a", "commit", "do:b", "commit"]) == (plan.is_empty, plan.outcome, runner.trace)


@pytest.mark.parametrize("colour", ["def", "async def"])
def test_what_commit_raises_leaves_the_planner(colour: str) -> None:
    """T6: a store failure is not the workflow's fault."""

    @workflow(name="w")
    def w(step: Step) -> None:
        try:
            three_steps(step)
        except Exception:
            step.do("refund", work)

    @workflow(name="w")
    async def a(step: AsyncStep) -> None:
        try:
            await step.do("a", work)
            await step.do("b", work)
        except Exception:
            await step.do("refund", work)

    def commit(plan: Plan) -> Continue:
        raise ConnectionError("lost")

    lab = Lab.of(w) if colour == "def" else Lab.of(a)
    lab.create(lab.registry.get("w"))
    with pytest.raises(ConnectionError):
        lab.plan(commit=commit)


def test_time_of_a_continuation_goes_on_from_the_one_retrieve() -> None:
    """Now: the base is computed once per retrieve and kept through every continuation of it."""
    lab = lab_of(three_steps)
    runner = Runner(lab)
    elapsed = iter([1, 2, 3])
    last = lab.plan(
        perform=lambda call: attrs.evolve(call_body(call), elapsed=next(elapsed) * SECOND), commit=runner.commit
    )
    assert [T0 + SECOND, T0 + 2 * SECOND, T0 + 3 * SECOND] == [
        written_row(plan).updated_at for plan in (*runner.committed, last)
    ]


def test_an_event_taken_before_a_checkpoint_is_not_taken_again_after_it() -> None:
    """W5, O6."""

    def code(step: Step) -> list[str]:
        first = step.wait_for_event("first", "approved").id
        step.do("a", work)
        step.do("b", work)
        return [first, step.wait_for_event("second", "approved").id]

    lab = lab_of(code)
    lab.send("approved", id="e1")
    lab.send("approved", id="e2")
    runner = Runner(lab)
    assert Completed('["e1","e2"]') == runner.plan().outcome


# ---- the law of continuation


def _failing(step: Step) -> int:
    try:
        step.do("a", declining)
    except StepFailedError:
        step.do("b", work)
    return step.do("c", declining)


def _eventful(step: Step) -> str:
    step.do("a", work)
    step.do("b", work)
    first = step.wait_for_event("first", "approved", timeout=MINUTE)
    step.do("c", work)
    step.log("half way", first=first.id)
    step.do("d", work)
    return f"{first.id} {step.wait_for_event('second', 'approved').id} {step.now().isoformat()} {step.random('r')}"


def _retrying(step: Step) -> None:
    step.scope("s").do("a", declining_once, retry=RETRY)
    step.scope("s").do("a", declining_once, retry=RETRY)
    step.do("b", declining_once, retry=Retry(max_attempts=2, delay=MINUTE))


def _logging(step: Step) -> None:
    for name in "abc":
        step.log("before", name=name)
        step.do(name, work)
    step.log("after")


PROGRAMS: dict[str, Callable[[Step], Any]] = {
    "three steps": three_steps,
    "failing": _failing,
    "eventful": _eventful,
    "retrying": _retrying,
    "logging": _logging,
    "slept": slept,
    "slept over": slept_over,
    "parked": lambda step: [step.do("a", work), step.do("b", work), step.wait_for_event("w", "refused")],
}


@pytest.mark.parametrize("elapsed", [timedelta(0), SECOND], ids=["no time", "one second a body"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_planning_on_equals_planning_afresh_from_the_world_after_the_checkpoint(
    program: str, elapsed: timedelta
) -> None:
    """O6: with ``mine``, from ``evolve(snapshot, plan)``, so that a continuation reads nothing."""
    lab = lab_of(PROGRAMS[program])
    lab.send("approved", id="e1")
    lab.send("approved", id="e2")
    between: list[tuple[Snapshot, str, int]] = []
    plans: list[Plan] = []
    ran = 0

    def perform(call: StepCall) -> Settled:
        nonlocal ran
        ran += 1
        return attrs.evolve(call_body(call), elapsed=ran * elapsed)

    def commit(plan: Plan) -> Continue:
        lab.apply(plan)
        plans.append(plan)
        between.append((lab.snapshot(), f"next{len(plans)}", ran))
        return Continue(f"next{len(plans)}")

    trigger = lab.fired()
    plans.append(lab.plan(fired=trigger, perform=perform, commit=commit))

    def afresh(place: int) -> Plan:
        seen, execution_id, before = between[place]
        kept: list[Plan] = []

        def stop(plan: Plan) -> Stop:
            kept.append(plan)
            return Stop()

        # A retrieve at that moment finds the checkpoint's own instant, and time counts from there.
        assert seen.instance is not None
        assert seen.instance.updated_at == T0 + before * elapsed
        last = plan_tick(
            seen,
            trigger,
            lab.registry,
            execution_id=execution_id,
            mine=frozenset({plans[place].execution_id}),
            perform=taking(elapsed),
            commit=stop,
        )
        return kept[0] if kept else last

    assert plans[1:] == [afresh(place) for place in range(len(between))]


# ---- released


def test_a_runner_that_stops_cleanly_releases_its_checkpoint() -> None:
    """O6: due now, so that another one may go on."""
    runner = Runner(lab_of(three_steps), limit=1)
    runner.plan()
    assert (timer(T0 + RECOVER_AFTER), timer(T0)) == (
        written_timer(runner.committed[0]),
        written_timer(released(runner.committed[0])),
    )


def test_releasing_changes_nothing_but_the_timer() -> None:
    """O6."""
    runner = Runner(lab_of(three_steps), limit=1)
    runner.plan()
    (checkpoint,) = runner.committed
    others = [each for each in checkpoint.mutations if not isinstance(each, PutHook)]
    assert ([*others, PutHook(timer(T0))], checkpoint.preconditions, checkpoint.outcome) == (
        sorted(released(checkpoint).mutations, key=lambda each: isinstance(each, PutHook)),
        released(checkpoint).preconditions,
        released(checkpoint).outcome,
    )


# ---- O5


def broken(seen: Snapshot) -> str | None:
    """What rule O5 misses in these rows, written down a second time."""
    row = seen.instance
    assert row is not None
    live = [step for step in seen.steps if step.status in ("waiting", "started")]
    due = {hook.id: hook.due_at for hook in seen.hooks}.get(f"{row.ref}#timer")
    if row.status in ("complete", "errored", "terminated"):
        return "a waiting record" if live or due else None
    if row.status == "active":
        return None if due else "no timer"
    deadlines = [at for step in live for at in (step.next_retry_at, step.wake_at) if at]
    takable = any(
        sent.type in step.event_types and (step.wake_at is None or sent.created_at <= step.wake_at)
        for step in live
        for sent in seen.events
        if f"{row.ref}#msg:{sent.id}" not in {hook.id for hook in seen.hooks}
    )
    if takable or not live:
        return "it could go on"
    return None if due == min(deadlines, default=None) else f"the timer is {due}"


@pytest.mark.parametrize("checkpoint", ["step", "tick"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_whatever_can_make_progress_has_a_hook_after_every_plan(program: str, checkpoint: Checkpoint) -> None:
    """O5."""
    lab = lab_of(PROGRAMS[program], checkpoint)
    found = [broken(lab.snapshot())]
    for moment in range(8):
        if moment in (1, 3) and lab.instance.completed_at is None:
            lab.send("approved")
        lab.tick(at=T0 + moment * 30 * SECOND)
        found.append(broken(lab.snapshot()))
    assert [None] * 9 == found


@pytest.mark.parametrize("end", ["completed", "errored"])
def test_waiting_records_of_an_instance_that_ends_are_cancelled(end: str) -> None:
    """O1, O2."""
    steps = [sleeping(LATER), retrying(LATER), listening()]
    row = instance()
    draft = Draft(snapshot(row, steps=steps, hooks=[timer(LATER), message(), notice()]), row, "tick", T0 + SECOND)
    plan = draft.ended(Completed("1") if end == "completed" else Errored(FAILURE), ())
    expected = [attrs.evolve(each, status="cancelled", settled_at=T0 + SECOND, execution_id="tick") for each in steps]
    assert (expected, ["timer", "msg:e1"]) == (list(written_steps(plan).values()), deleted_hooks(plan))


def test_a_record_made_in_the_tick_that_ends_the_instance_is_written_once_and_cancelled() -> None:
    """O1."""
    row = instance()
    draft = Draft(snapshot(row), row, "tick", T0)
    draft.put(sleeping(LATER))
    assert ["cancelled"] == [step.status for step in written_steps(draft.ended(Completed("1"), ())).values()]


@pytest.mark.parametrize(
    ("seen", "deadline"),
    [
        (snapshot(instance(), steps=[sleeping(LATER), retrying(LATER - SECOND)]), LATER - SECOND),
        (snapshot(instance(), steps=[sleeping(LATER), listening()]), LATER),
        (snapshot(instance(), steps=[listening(until=LATER), retrying(LATER + SECOND)]), LATER),
        (snapshot(instance(), steps=[listening()]), None),
    ],
    ids=["retry", "sleep", "timeout", "none"],
)
def test_a_parked_instance_wakes_at_the_earliest_of_all_deadlines(seen: Snapshot, deadline: datetime | None) -> None:
    """O3, O5, P7."""
    assert seen.instance is not None
    plan = Draft(seen, seen.instance, "tick", T0).suspended()
    hook = written_timer(plan)
    assert (deadline, deadline) == (hook and hook.due_at, plan.outcome.until)  # type: ignore[union-attr] # Suspended


@pytest.mark.parametrize(
    "seen",
    [
        snapshot(instance()),
        snapshot(instance(), steps=[sleeping(LATER, status="cancelled")]),
        snapshot(instance(), steps=[listening()], events=[event()]),
    ],
    ids=["nothing is waiting", "nothing live is waiting", "an event may be taken"],
)
def test_a_plan_that_would_leave_an_instance_without_wake_up_is_not_made(seen: Snapshot) -> None:
    """O5: the draft asserts it before a plan leaves."""
    assert seen.instance is not None
    with pytest.raises(AssertionError, match="a plan would break rule O5: waiting"):
        Draft(seen, seen.instance, "tick", T0).suspended()


@both_colours
@pytest.mark.parametrize("fails", [False, True], ids=["complete", "errored"])
def test_o7_the_end_of_a_workflow_is_announced_by_its_version(colour: Colour, fails: bool) -> None:
    def program(step: Any) -> Running:
        yield step.sleep("nap", timedelta(0))
        if fails:
            raise ValueError("no")

    lab = begin(colour, program, notify=True)
    lab.tick()
    assert ({"terminal:2"}, None) == (set(lab.hooks()), lab.hooks()["terminal:2"].run_number)


@both_colours
def test_o7_without_notify_an_end_is_announced_to_nobody(colour: Colour) -> None:
    def program(step: Any) -> Running:
        yield step.sleep("nap", timedelta(0))

    lab = begin(colour, program)
    lab.tick()
    assert {} == lab.hooks()
