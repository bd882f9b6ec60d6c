"""The gate: what a tick answers without running user code (rules G1 to G11)."""

from __future__ import annotations

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
    fired,
    hook,
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
    without_row,
    written_events,
    written_row,
    written_timer,
)
from wfcore import Registry, Step, UnknownWorkflowError, workflow
from wfcore.model import FiredHook, Hook, Instance, InstanceStatus, Snapshot, StepRecord
from wfcore.outcome import Deferred, Ignored, Outcome, Paused, Rescheduled
from wfcore.plan import Absent, AtVersion, DeleteHook, Plan, PutEvent, PutHook
from wfcore.planner import plan_defer, plan_tick

NO_WORKFLOWS = Registry([])
MICROSECOND = timedelta(microseconds=1)
ENDED: tuple[InstanceStatus, ...] = ("complete", "errored", "terminated")
STATUSES: tuple[InstanceStatus, ...] = ("active", "waiting", "paused", *ENDED)


def gate(seen: Snapshot, trigger: Hook | FiredHook | None = None, *, mine: frozenset[str] = frozenset()) -> Plan:
    """The gate's plan. The registry is empty, so whatever passes the gate is an UnknownWorkflowError."""
    if not isinstance(trigger, FiredHook):
        trigger = fired(trigger or message("trigger"), seen.now)
    return plan_tick(seen, trigger, NO_WORKFLOWS, execution_id="tick", mine=mine)


def passes(seen: Snapshot, trigger: Hook | FiredHook | None = None, *, mine: frozenset[str] = frozenset()) -> bool:
    try:
        gate(seen, trigger, mine=mine)
    except UnknownWorkflowError:
        return True
    return False


def hooks_after(seen: Snapshot, plan: Plan) -> set[str]:
    """The hooks that stand after the plan, each by the id's part after the ref."""
    before = {each.id.removeprefix(f"{REF}#") for each in seen.hooks}
    put = {"timer"} if written_timer(plan) else set()
    return before - set(deleted_hooks(plan)) | put


# ---- G1


def test_a_hook_of_no_instance_is_ignored() -> None:
    """G1."""
    assert Ignored("there is no instance 'w#1'") == gate(snapshot(None)).outcome


def test_hooks_of_no_instance_are_deleted_as_long_as_there_is_none() -> None:
    """G1: under Absent, so that an instance created meanwhile keeps its hooks."""
    plan = gate(snapshot(None, hooks=[timer(), message()]))
    assert ((Absent(REF),), (DeleteHook(f"{REF}#timer"), DeleteHook(f"{REF}#msg:e1"))) == (
        plan.preconditions,
        plan.mutations,
    )


def test_no_instance_and_no_hooks_is_an_empty_plan() -> None:
    """G1."""
    plan = gate(snapshot(None))
    assert ((), ()) == (plan.preconditions, plan.mutations)


def test_a_hook_of_no_instance_needs_no_workflow() -> None:
    """G1 comes before G10."""
    assert not passes(snapshot(None, hooks=[timer()]), timer())


# ---- G2


@pytest.mark.parametrize("status", STATUSES)
def test_a_hook_of_another_run_is_ignored_whatever_the_status(status: InstanceStatus) -> None:
    """G2."""
    seen = snapshot(instance(run_number=2, status=status), hooks=[timer(run=1)])
    assert Ignored("the hook is for run 1, the instance is in run 2") == gate(seen, timer(run=1)).outcome


def test_a_hook_of_a_later_run_is_ignored_too() -> None:
    """G2: it differs, that is all that counts."""
    assert Ignored("the hook is for run 3, the instance is in run 2") == (
        gate(snapshot(instance(run_number=2)), timer(run=3)).outcome
    )


def test_only_stored_hooks_of_other_runs_are_deleted() -> None:
    """G2: hooks of the current run and messages stay."""
    stored = [timer(run=2), hook(f"{REF}#old", run=1), hook(f"{REF}#older", run=3), message(), notice()]
    seen = snapshot(instance(run_number=2), hooks=stored)
    assert ["old", "older"] == deleted_hooks(gate(seen, hook(f"{REF}#old", run=1)))


def test_the_stored_run_number_counts_and_not_the_fired_one() -> None:
    """G2: the timer was fired for run 1 and has been written for run 2 since."""
    seen = snapshot(instance(run_number=2), hooks=[timer(run=2)])
    assert gate(seen, timer(run=1)).is_empty


def test_a_late_hook_of_an_old_run_without_stale_hooks_is_an_empty_plan() -> None:
    """G2."""
    plan = gate(snapshot(instance(run_number=2), hooks=[message()]), timer(run=1))
    assert ((), ()) == (plan.preconditions, plan.mutations)


def test_deleting_stale_hooks_is_a_new_version_of_an_instance_that_is_otherwise_the_same() -> None:
    """G2; design 4: every plan that changes anything writes the row at version + 1."""
    before = instance(run_number=2, status="active")
    seen = snapshot(before, hooks=[hook(f"{REF}#old", run=1)], now=T0 + SECOND)
    plan = gate(seen, timer(run=1))
    assert attrs.evolve(before, version=8, execution_id="tick", updated_at=T0 + SECOND) == written_row(plan)


def test_a_message_is_of_any_run() -> None:
    """G2: run None."""
    assert passes(snapshot(instance(run_number=2, status="active"), hooks=[message()]), message())


# ---- G3


@pytest.mark.parametrize("status", ENDED)
def test_an_instance_that_has_ended_ignores_hooks(status: InstanceStatus) -> None:
    """G3."""
    assert Ignored(f"the instance is {status}") == gate(snapshot(instance(status=status), hooks=[message()])).outcome


@pytest.mark.parametrize("status", ENDED)
def test_hooks_of_an_instance_that_has_ended_are_deleted(status: InstanceStatus) -> None:
    """G3."""
    seen = snapshot(instance(status=status), hooks=[timer(), message("e1"), message("e2")])
    assert ["timer", "msg:e1", "msg:e2"] == deleted_hooks(gate(seen))


@pytest.mark.parametrize("reason", ["terminal", "wake"])
def test_a_terminal_notice_stays_whatever_its_reason_says(reason: Any) -> None:
    """G3, G9, O7: what makes it a notice is its id."""
    seen = snapshot(instance(status="complete"), hooks=[message(), attrs.evolve(notice(), reason=reason)])
    assert {"terminal:7"} == hooks_after(seen, gate(seen))


def test_a_terminal_notice_alone_is_an_empty_plan() -> None:
    """G3, O7."""
    assert gate(snapshot(instance(status="complete"), hooks=[notice()]), notice()).is_empty


def test_pause_requests_of_an_instance_that_has_ended_are_consumed() -> None:
    """G3."""
    seen = snapshot(instance(status="errored"), events=[pause_request(), event()], hooks=[message("#pause-1")])
    consumed = attrs.evolve(pause_request(), consumed_by="#pause", consumed_run=1, delivered_at=T0)
    assert (PutEvent(consumed), DeleteHook(f"{REF}#msg:#pause-1")) == without_row(gate(seen))


def test_a_pause_request_without_hooks_is_consumed_all_the_same() -> None:
    """G3."""
    seen = snapshot(instance(status="errored"), events=[pause_request()])
    assert ["#pause-1"] == list(written_events(gate(seen)))


# ---- G4


@pytest.mark.parametrize(
    ("due_at", "expected"),
    [(T0 - SECOND, True), (T0, True), (T0 + MICROSECOND, False), (T0 + MINUTE, False)],
    ids=["past", "due", "a microsecond later", "later"],
)
def test_an_active_instance_is_left_to_its_runner_until_its_timer_is_due(due_at: datetime, expected: bool) -> None:
    """G4, G8: inclusive."""
    assert expected == passes(snapshot(instance(status="active"), hooks=[timer(due_at)]))


def test_an_instance_left_to_its_runner_keeps_all_hooks() -> None:
    """G4: its runner sees them at its next commit."""
    seen = snapshot(instance(status="active"), events=[pause_request(), event()], hooks=[timer(T0 + MINUTE), message()])
    plan = gate(seen, message())
    assert ((), ()) == (plan.preconditions, plan.mutations)


def test_the_text_says_until_when_another_runner_is_at_work() -> None:
    """G4."""
    seen = snapshot(instance(status="active"), hooks=[timer(T0 + MINUTE)])
    why = "another runner is at work on the instance, or tries again at 2026-01-01T00:01:00+00:00"
    assert Ignored(why) == gate(seen).outcome


def test_the_runner_that_wrote_the_instance_last_passes() -> None:
    """G4, O6: its continuation needs no firing."""
    seen = snapshot(instance(status="active"), hooks=[timer(T0 + MINUTE)])
    assert passes(seen, mine=frozenset({"before"}))


def test_a_runner_whose_plan_was_overwritten_does_not_pass() -> None:
    """G4: the row is not the one that it wrote last."""
    seen = snapshot(instance(status="active"), hooks=[timer(T0 + MINUTE)])
    assert not passes(seen, mine=frozenset({"long before"}))


def test_an_active_instance_without_timer_is_replayed() -> None:
    """G4: started by another instance's plan, with a start hook instead (O5)."""
    assert passes(snapshot(instance(status="active"), hooks=[hook(f"{REF}#start")]))


def test_a_later_timer_keeps_nobody_from_a_waiting_instance() -> None:
    """G4: active only."""
    assert passes(snapshot(instance(), steps=[listening()], events=[event()], hooks=[timer(T0 + MINUTE)]))


# ---- G7


@pytest.mark.parametrize(
    ("live", "expected"),
    [
        (sleeping(T0 + MICROSECOND), False),
        (sleeping(T0), True),
        (sleeping(T0 - MINUTE), True),
        (retrying(T0 + MICROSECOND), False),
        (retrying(T0), True),
        (listening(until=T0 + MICROSECOND), False),
        (listening(until=T0), True),
        (listening(), False),
    ],
    ids=str,
)
def test_a_waiting_instance_is_replayed_if_a_deadline_has_passed(live: StepRecord, expected: bool) -> None:
    """G7, G8: inclusive."""
    assert expected == passes(snapshot(instance(), steps=[live]))


@pytest.mark.parametrize("status", ["completed", "errored", "cancelled"])
def test_deadlines_of_settled_records_do_not_count(status: Any) -> None:
    """G7."""
    steps = [sleeping(T0 - MINUTE, status=status), sleeping(T0 + MINUTE, "sleep:next")]
    assert Rescheduled(T0 + MINUTE) == gate(snapshot(instance(), steps=steps)).outcome


def test_a_retry_is_not_due_by_the_deadline_of_a_wait() -> None:
    """G7: each kind has a deadline of its own."""
    step = retrying(T0 + MINUTE, wake_at=T0 - MINUTE)
    assert Rescheduled(T0 + MINUTE) == gate(snapshot(instance(), steps=[step])).outcome


@pytest.mark.parametrize(
    ("sent", "live", "expected"),
    [
        (event(), listening(), True),
        (event(), listening("refused", "approved"), True),
        (event(type="refused"), listening(), False),
        (event(created_at=T0), listening(until=T0 + SECOND), True),
        (event(created_at=T0 + 2 * SECOND), listening(until=T0 + SECOND), False),
        (event(created_at=T0 + SECOND), listening(until=T0 + SECOND), True),
        (event(actor="system"), listening(), False),
        (event(), sleeping(T0 + MINUTE), False),
        (event(), attrs.evolve(listening(), status="completed"), False),
        (event(), attrs.evolve(listening(), status="cancelled"), False),
    ],
)
def test_a_waiting_instance_is_replayed_if_a_live_wait_may_take_an_event(sent: Any, live: Any, expected: bool) -> None:
    """G7, W4, W6: its type is wanted, and it was sent by the wait's deadline, inclusive."""
    seen = snapshot(instance(updated_at=T0 - MINUTE), steps=[live], events=[sent])
    assert expected == passes(attrs.evolve(seen, now=T0))


LATER = T0 + MINUTE


@pytest.mark.parametrize(
    ("steps", "hooks", "expected"),
    [
        ([sleeping(LATER)], [timer(LATER)], None),
        ([sleeping(LATER)], [], {"timer": LATER}),
        ([sleeping(LATER)], [timer(T0)], {"timer": LATER}),
        ([sleeping(LATER)], [timer(LATER + MINUTE)], {"timer": LATER}),
        ([sleeping(LATER)], [timer(LATER), message()], {"timer": LATER}),
        ([sleeping(LATER)], [message()], {"timer": LATER}),
        ([sleeping(LATER), retrying(LATER - SECOND)], [timer(LATER)], {"timer": LATER - SECOND}),
        ([listening()], [], None),
        ([listening()], [timer(LATER)], {}),
        ([listening()], [message()], {}),
        ([listening()], [timer(T0), message()], {}),
        ([listening()], [notice()], None),
        ([listening()], [message(), notice()], {"terminal:7": T0}),
        ([sleeping(LATER)], [timer(LATER), notice()], None),
        ([], [timer(LATER)], {}),
        ([sleeping(LATER)], [timer(LATER), hook(f"{REF}#old", LATER, run=0)], {"timer": LATER}),
    ],
    ids=[
        "early, the timer is right: nothing to write",
        "no timer: written",
        "the timer is too early: put right",
        "the timer is too late (deferred): put right",
        "a message was seen: deleted, the timer kept",
        "a message was seen, no timer",
        "the earliest deadline counts",
        "nothing but an event can wake it: nothing to write",
        "no deadline: the timer goes",
        "no deadline: the message goes",
        "no deadline: both go",
        "a terminal notice is none of ours",
        "a terminal notice stays",
        "a terminal notice is no message",
        "nothing is live: the timer goes",
        "a hook of another run goes with the others",
    ],
)
def test_a_waiting_instance_with_nothing_due_gets_the_right_timer_and_nothing_else(
    steps: list[StepRecord], hooks: list[Hook], expected: dict[str, datetime] | None
) -> None:
    """G7; ``None``: an empty plan."""
    seen = snapshot(instance(), steps=steps, hooks=hooks)
    plan = gate(seen)
    due = {each.id.removeprefix(f"{REF}#"): each.due_at for each in seen.hooks}
    new = written_timer(plan)
    if new:
        due["timer"] = new.due_at
    assert expected == (None if plan.is_empty else {name: due[name] for name in hooks_after(seen, plan)})


@pytest.mark.parametrize(
    ("steps", "due_at"), [([sleeping(LATER), sleeping(LATER + MINUTE, "sleep:b")], LATER), ([], None)]
)
def test_the_outcome_says_when_the_timer_stands(steps: list[StepRecord], due_at: datetime | None) -> None:
    """G7."""
    assert Rescheduled(due_at) == gate(snapshot(instance(), steps=steps)).outcome


def test_an_instance_with_nothing_due_stays_waiting_at_a_new_version() -> None:
    """G7: a plan that deletes a message raises the version, so that a tick that did not see it conflicts."""
    before = instance()
    plan = gate(snapshot(before, steps=[listening()], hooks=[message()], now=T0 + SECOND))
    assert (
        (AtVersion(REF, 7, "before"),),
        attrs.evolve(before, version=8, execution_id="tick", updated_at=T0 + SECOND),
    ) == (
        plan.preconditions,
        written_row(plan),
    )


def test_a_timer_is_written_for_the_current_run() -> None:
    """G7."""
    plan = gate(snapshot(instance(run_number=3), steps=[sleeping(LATER, run_number=3)]))
    assert (PutHook(timer(LATER, run=3, reason="wake")),) == without_row(plan)


def test_a_deferred_timer_that_is_put_right_starts_anew() -> None:
    """G7: what it was deferred for is over."""
    deferred = timer(LATER + MINUTE, attempts=4, last_error="UnknownWorkflowError")
    plan = gate(snapshot(instance(), steps=[sleeping(LATER)], hooks=[deferred]))
    assert timer(LATER) == written_timer(plan)


# ---- now, G8


@pytest.mark.parametrize(
    ("timestamp", "store", "updated", "expected"),
    [
        (T0 + MINUTE, T0, T0, True),
        (T0, T0 + MINUTE, T0, True),
        (T0, T0, T0 + MINUTE, True),
        (T0 + MINUTE - MICROSECOND, T0, T0 + MINUTE - MICROSECOND, False),
    ],
    ids=["the firing", "the snapshot", "the last write", "none"],
)
def test_the_latest_known_instant_is_now(
    timestamp: datetime, store: datetime, updated: datetime, expected: bool
) -> None:
    """G8: a queued firing keeps an old timestamp, and time never goes back."""
    seen = snapshot(instance(updated_at=updated), steps=[sleeping(T0 + MINUTE)], now=store)
    assert expected == passes(seen, fired(timer(), timestamp))


# ---- G9


@pytest.mark.parametrize("reason", ["create", "event", "pause", "retry", "wake", "terminal"])
@pytest.mark.parametrize(
    "row",
    [
        instance(),
        instance(status="active"),
        instance(status="paused"),
        instance(status="complete"),
        instance(run_number=2),
    ],
    ids=["waiting", "active", "paused", "complete", "another run"],
)
def test_no_decision_depends_on_the_reason(reason: Any, row: Instance) -> None:
    """G9: neither the fired hook's nor the stored ones'."""

    def decision(said: Any) -> object:
        stored = [timer(LATER, reason=said), message(reason=said)]
        seen = snapshot(row, steps=[sleeping(LATER)], hooks=stored)
        return passes(seen, stored[0]) or gate(seen, stored[0])

    assert decision("wake") == decision(reason)


# ---- G10


def test_an_unknown_workflow_is_an_error_that_names_the_known_ones() -> None:
    """G10: the hook is deferred by the runner; the instance is never marked errored."""

    @workflow(name="other")
    def other(step: Step) -> None: ...

    seen = snapshot(instance(status="active"), hooks=[timer()])
    with pytest.raises(UnknownWorkflowError) as refused:
        plan_tick(seen, fired(timer()), Registry([other]), execution_id="tick")
    assert ("w", ("other",)) == (refused.value.workflow_name, refused.value.known)


def test_an_unknown_workflow_changes_nothing_of_the_instance() -> None:
    """G10: only its hook is put off."""
    seen = snapshot(instance(status="active"), hooks=[timer()])
    plan = plan_defer(seen, fired(timer()), UnknownWorkflowError("w", ()), execution_id="tick")
    expected = timer(T0 + SECOND, attempts=1, last_error=f"UnknownWorkflowError: {UnknownWorkflowError('w', ())}")
    assert (PutHook(expected),) == plan.mutations


def test_an_unknown_workflow_is_told_as_deferred() -> None:
    """G10."""
    seen = snapshot(instance(status="active"), hooks=[timer()])
    outcome = plan_defer(seen, fired(timer()), UnknownWorkflowError("w", ()), execution_id="tick").outcome
    assert isinstance(outcome, Deferred)


def test_what_the_gate_answers_needs_no_workflow() -> None:
    """G10 comes after G1 to G7: an old process may pause and tidy up."""
    assert Paused() == gate(snapshot(instance(), events=[pause_request()])).outcome


# ---- G11


def test_what_passes_the_gate_is_replayed() -> None:
    """G11."""
    ran: list[str] = []

    @workflow(name="w")
    def w(step: Step) -> None:
        ran.append("workflow")

    lab = Lab.of(w)
    lab.create(w)
    lab.plan()
    assert ["workflow"] == ran


def test_what_the_gate_answers_runs_no_user_code() -> None:
    """G1 to G7."""

    @workflow(name="w")
    def w(step: Step) -> None:
        raise AssertionError

    seen = snapshot(instance(), steps=[sleeping(LATER)], hooks=[message()])
    plan = plan_tick(seen, fired(message()), Registry([w]), execution_id="tick")
    assert Rescheduled(LATER) == plan.outcome


# ---- the order of the rules

PAUSE = pause_request()
OTHER_RUN = Ignored("the hook is for run 9, the instance is in run 1")
AT_WORK = Ignored("another runner is at work on the instance, or tries again at 2026-01-01T00:01:00+00:00")


@pytest.mark.parametrize(
    ("row", "run", "hooks", "expected"),
    [
        (None, 9, [], Ignored("there is no instance 'w#1'")),
        (instance(status="complete"), 9, [], OTHER_RUN),
        (instance(status="active"), 9, [timer(LATER)], OTHER_RUN),
        (instance(status="waiting"), 9, [], OTHER_RUN),
        (instance(status="paused"), 9, [], OTHER_RUN),
        (instance(status="complete"), None, [timer(LATER)], Ignored("the instance is complete")),
        (instance(status="active"), None, [timer(LATER)], AT_WORK),
        (instance(status="active"), None, [timer(T0)], Paused()),
        (instance(status="waiting"), None, [timer(LATER)], Paused()),
        (instance(status="paused"), None, [timer(LATER)], Ignored("the instance is paused")),
    ],
    ids=["G1", "G2 G3", "G2 G4", "G2 G5", "G2 G6", "G3 G5", "G4 G5", "G5 G11", "G5 G7", "G6 G5"],
)
def test_rules_answer_in_their_order(
    row: Instance | None, run: int | None, hooks: list[Hook], expected: Outcome
) -> None:
    """Each row fits the rules that its name lists, and a pause request stands everywhere; the first rule answers."""
    seen = snapshot(row, steps=[record("do:a", status="completed", sequence=1)], events=[PAUSE], hooks=hooks)
    assert expected == gate(seen, hook(f"{REF}#fired", run=run)).outcome


@pytest.mark.parametrize("status", STATUSES)
def test_planning_a_tick_again_after_the_gate_has_answered_changes_nothing_more(status: InstanceStatus) -> None:
    """G1 to G7: a tick more or less does no harm."""
    stored = [timer(LATER, run=1), message("#pause-1"), hook(f"{REF}#old", run=9)]
    lab = Lab(NO_WORKFLOWS, now=T0)
    lab.ref = REF
    seen = snapshot(
        instance(status=status, failure=FAILURE if status == "errored" else None),
        steps=[sleeping(LATER)],
        events=[pause_request()],
        hooks=stored,
    )
    lab.put(seen)
    for trigger in (stored[2], stored[1], stored[1]):
        lab.apply(lab.plan(fired=fired(trigger)))
    assert lab.plan(fired=fired(stored[1])).is_empty
