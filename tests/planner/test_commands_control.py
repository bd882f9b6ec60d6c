"""Resume, terminate and restart, as plans (rules M4 to M6, O7)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import attrs
import pytest

from tests.lab import MINUTE, T0, Lab
from tests.planner.rows import (
    FAILURE,
    REF,
    deleted_hooks,
    event,
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
    written_events,
    written_row,
    written_steps,
    written_timer,
)
from wfcore import (
    AtVersion,
    CodecError,
    Conflict,
    Continue,
    DeleteHook,
    EventTimeoutError,
    IllegalTransitionError,
    InstanceNotFoundError,
    Restarted,
    Resumed,
    Step,
    Terminated,
    evolve,
    plan_pause,
    plan_restart,
    plan_resume,
    plan_terminate,
    workflow,
)
from wfcore.model import InstanceStatus, Snapshot
from wfcore.plan import AddHook, Plan, PutEvent, PutHook, PutInstance

ENDED: tuple[InstanceStatus, ...] = ("complete", "errored", "terminated")
LIVE: tuple[InstanceStatus, ...] = ("active", "waiting", "paused")
LATER = T0 + MINUTE
TIMES = pytest.mark.parametrize(
    ("store", "updated"), [(LATER, T0), (T0, LATER)], ids=["by the store", "never before the row"]
)


@attrs.frozen
class Order:
    cents: int


@workflow(name="w")
def plain(step: Step) -> None:
    step.wait_for_event("approval", "approved")


@workflow(name="w")
def charging(step: Step) -> None:
    step.do("charge", lambda attempt: None)
    step.do("ship", lambda attempt: None)


@workflow(name="w")
def ordering(step: Step, order: Order) -> None: ...


def resume(seen: Snapshot) -> Plan:
    return plan_resume(seen, REF, execution_id="resume")


def terminate(seen: Snapshot, *, notify: bool = False) -> Plan:
    return plan_terminate(seen, REF, notify=notify, execution_id="terminate")


def restart(seen: Snapshot, *params: object, workflow: Any = plain, **more: Any) -> Plan:
    return plan_restart(seen, REF, workflow, *params, **{"execution_id": "restart", **more})


def in_lab(code: Any, *, ticks: bool = True) -> Lab:
    lab = Lab.of(code)
    lab.create(code)
    if ticks:
        lab.run()
    return lab


def ask_to_pause(lab: Lab, *, tick: bool = True) -> None:
    lab.apply(plan_pause(lab.snapshot(), REF, request_id=lab.next_id("r"), execution_id=lab.next_id("pause")))
    if tick:
        lab.run()


# ---- M4: resume


def test_m4_a_paused_instance_is_active_and_due_now() -> None:
    row = instance(status="paused")
    expected = Plan(
        REF,
        "resume",
        (AtVersion(REF, 7, "before"),),
        (
            PutInstance(attrs.evolve(row, status="active", version=8, updated_at=LATER, execution_id="resume")),
            PutHook(timer(LATER, created_at=LATER)),
        ),
        Resumed(),
    )
    assert expected == resume(snapshot(row, now=LATER))


def test_m4_the_timer_is_one_of_the_current_run() -> None:
    assert timer(run=3) == written_timer(resume(snapshot(instance(status="paused", run_number=3))))


def test_m4_a_resume_withdraws_pending_requests_and_deletes_only_their_hooks() -> None:
    seen = snapshot(
        instance(status="paused"),
        events=[event(), pause_request("#pause-1"), pause_request("#pause-2")],
        hooks=[message(), message("#pause-1"), message("#pause-2"), notice(3)],
    )
    plan = resume(seen)
    assert (
        {"#pause-1": "#pause", "#pause-2": "#pause"},
        ["msg:#pause-1", "msg:#pause-2"],
        Resumed(("#pause-1", "#pause-2")),
    ) == ({each.id: each.consumed_by for each in written_events(plan).values()}, deleted_hooks(plan), plan.outcome)


def test_m4_before_the_pause_the_request_is_withdrawn_and_nothing_else_changes() -> None:
    row = instance()
    plan = resume(snapshot(row, events=[pause_request()], hooks=[timer(LATER), message("#pause-1")]))
    expected = (
        PutInstance(attrs.evolve(row, version=8, execution_id="resume")),
        PutEvent(attrs.evolve(pause_request(), consumed_by="#pause", consumed_run=1, delivered_at=T0)),
        DeleteHook(f"{REF}#msg:#pause-1"),
    )
    assert (expected, Resumed(("#pause-1",))) == (plan.mutations, plan.outcome)


def test_m4_an_active_instance_whose_request_is_withdrawn_is_due_now() -> None:
    """G4: its runner conflicts, and would take the timer of its own checkpoint for another runner's."""
    lab = in_lab(charging, ticks=False)
    committed: list[Plan] = []

    def commit(plan: Plan) -> Continue:
        committed.append(lab.apply(plan))
        ask_to_pause(lab, tick=False)
        lab.apply(resume(lab.snapshot()))
        return Continue("next")

    late = lab.plan(commit=commit)
    assert isinstance(evolve(lab.world, late), Conflict)
    lab.run()
    assert ("complete", T0) == (lab.instance.status, lab.now)


@pytest.mark.parametrize("status", ["active", "waiting"])
def test_m4_without_a_pause_there_is_nothing_to_resume(status: InstanceStatus) -> None:
    plan = resume(snapshot(instance(status=status), events=[event()], hooks=[timer(), message()]))
    assert (True, (), Resumed()) == (plan.is_empty, plan.preconditions, plan.outcome)


@pytest.mark.parametrize("status", ENDED)
def test_m4_what_has_ended_cannot_be_resumed(status: InstanceStatus) -> None:
    with pytest.raises(IllegalTransitionError) as refused:
        resume(snapshot(instance(status=status), events=[pause_request()]))
    assert (REF, status, "resume") == (refused.value.ref, refused.value.status, refused.value.command)


def test_m4_nobody_cannot_be_resumed() -> None:
    with pytest.raises(InstanceNotFoundError):
        resume(snapshot(None))


@TIMES
def test_m4_an_instance_is_resumed_now(store: datetime, updated: datetime) -> None:
    plan = resume(snapshot(instance(status="paused", updated_at=updated), now=store))
    assert (LATER, timer(LATER, created_at=LATER)) == (written_row(plan).updated_at, written_timer(plan))


@pytest.mark.parametrize(("sent", "expected"), [(T0 + MINUTE, "taken"), (T0 + 3 * MINUTE, "timed out")])
def test_m4_what_came_due_meanwhile_is_honoured_by_its_own_deadline(sent: datetime, expected: str) -> None:
    """An event that was in time wins, however long the pause; a later one does not."""

    @workflow(name="w")
    def w(step: Step) -> str:
        try:
            step.wait_for_event("approval", "approved", timeout=2 * MINUTE)
        except EventTimeoutError:
            return "timed out"
        return "taken"

    lab = in_lab(w)
    ask_to_pause(lab)
    lab.now = sent
    lab.send("approved")
    lab.run()
    lab.now = T0 + 10 * MINUTE
    lab.apply(resume(lab.snapshot()))
    lab.run()
    assert ("complete", f'"{expected}"') == (lab.instance.status, lab.instance.output)


def test_m4_a_sleep_is_not_longer_for_a_pause() -> None:
    @workflow(name="w")
    def w(step: Step) -> None:
        step.sleep("nap", 5 * MINUTE)

    lab = in_lab(w)
    ask_to_pause(lab)
    lab.now = LATER
    lab.apply(resume(lab.snapshot()))
    lab.run()
    assert ("waiting", T0 + 5 * MINUTE) == (lab.instance.status, lab.hooks()["timer"].due_at)


def test_m4_a_withdrawn_request_pauses_nobody() -> None:
    lab = in_lab(plain)
    ask_to_pause(lab, tick=False)
    lab.apply(resume(lab.snapshot()))
    lab.apply(lab.plan())
    assert ("waiting", {}) == (lab.instance.status, lab.hooks())


# ---- M5, O7: terminate


@pytest.mark.parametrize("status", LIVE)
def test_m5_a_terminated_instance_has_ended_now(status: InstanceStatus) -> None:
    row = instance(status=status)
    plan = terminate(snapshot(row, now=LATER))
    expected = attrs.evolve(
        row, status="terminated", completed_at=LATER, updated_at=LATER, version=8, execution_id="terminate"
    )
    assert ((AtVersion(REF, 7, "before"),), (PutInstance(expected),), Terminated()) == (
        plan.preconditions,
        plan.mutations,
        plan.outcome,
    )


def test_m5_waiting_records_are_cancelled() -> None:
    settled = record("do:c", status="completed", sequence=4)
    started = record("do:d", status="started", wake_at=LATER)
    seen = snapshot(instance(), steps=[sleeping(LATER), retrying(T0, "do:b"), listening(), settled, started], now=LATER)
    expected = {
        step.key: attrs.evolve(step, status="cancelled", settled_at=LATER, execution_id="terminate")
        for step in (sleeping(LATER), retrying(T0, "do:b"), listening(), started)
    }
    assert expected == written_steps(terminate(seen))


def test_m5_hooks_are_deleted_and_notices_stay() -> None:
    hooks = [timer(), message(), message("#pause-1"), hook(f"{REF}#start"), notice(3)]
    assert ["timer", "msg:e1", "msg:#pause-1", "start"] == deleted_hooks(terminate(snapshot(instance(), hooks=hooks)))


def test_m5_pending_requests_to_pause_are_consumed_and_events_are_kept() -> None:
    plan = terminate(snapshot(instance(), events=[event(), pause_request()]))
    assert {"#pause-1": "#pause"} == {each.id: each.consumed_by for each in written_events(plan).values()}


@pytest.mark.parametrize("status", ENDED)
def test_m5_what_has_ended_cannot_be_terminated(status: InstanceStatus) -> None:
    with pytest.raises(IllegalTransitionError) as refused:
        terminate(snapshot(instance(status=status)))
    assert (REF, status, "terminate") == (refused.value.ref, refused.value.status, refused.value.command)


def test_m5_nobody_cannot_be_terminated() -> None:
    with pytest.raises(InstanceNotFoundError):
        terminate(snapshot(None))


@TIMES
def test_m5_an_instance_is_terminated_now(store: datetime, updated: datetime) -> None:
    plan = terminate(snapshot(instance(updated_at=updated), now=store))
    assert LATER == written_row(plan).completed_at


def test_m5_a_running_tick_conflicts() -> None:
    lab = in_lab(plain, ticks=False)
    running = lab.plan()
    lab.apply(terminate(lab.snapshot()))
    assert Conflict(REF, 2, "terminate") == evolve(lab.world, running)


def test_m5_a_terminated_instance_stays_terminated() -> None:
    lab = in_lab(plain)
    lab.apply(terminate(lab.snapshot()))
    lab.now += 100 * MINUTE
    assert lab.plan().is_empty


@pytest.mark.parametrize("version", [7, 41])
def test_o7_the_end_of_a_terminated_instance_is_announced_by_its_version(version: int) -> None:
    plan = terminate(snapshot(instance(version=version), hooks=[timer()], now=LATER), notify=True)
    expected = attrs.evolve(notice(version + 1), due_at=LATER, created_at=LATER)
    assert [AddHook(expected)] == [each for each in plan.mutations if isinstance(each, AddHook)]


def test_o7_without_notify_a_terminated_instance_has_no_hook() -> None:
    lab = in_lab(plain)
    lab.apply(terminate(lab.snapshot()))
    assert {} == lab.hooks()


def test_o7_no_tick_handles_a_notice() -> None:
    """A dispatcher that is not told of notices leaves them where they are, whatever else it does."""
    lab = in_lab(plain)
    lab.apply(terminate(lab.snapshot(), notify=True))
    lab.apply(lab.plan(fired=lab.fired(timer())))
    assert {"terminal:3"} == set(lab.hooks())


# ---- M6: restart


@pytest.mark.parametrize("status", [*LIVE, *ENDED])
def test_m6_a_new_run_begins_whatever_the_status(status: InstanceStatus) -> None:
    row = instance(status=status, params="7", output="1", failure=FAILURE, completed_at=T0, tags={"shop": "north"})
    expected = attrs.evolve(
        row,
        run_number=2,
        key_run=2,
        status="active",
        output=None,
        failure=None,
        started_at=None,
        completed_at=None,
        updated_at=LATER,
        version=8,
        execution_id="restart",
    )
    plan = restart(snapshot(row, now=LATER))
    assert ((AtVersion(REF, 7, "before"),), Restarted(2)) == (plan.preconditions, plan.outcome)
    assert (PutInstance(expected), PutHook(timer(LATER, run=2, created_at=LATER))) == plan.mutations


def test_m6_hooks_seen_are_deleted_but_notices() -> None:
    seen = snapshot(instance(), hooks=[timer(), message(), message("#pause-1"), hook(f"{REF}#start"), notice(3)])
    assert ["msg:e1", "msg:#pause-1", "start"] == deleted_hooks(restart(seen))


def test_m6_the_timer_is_the_new_runs() -> None:
    lab = in_lab(plain, ticks=False)
    lab.apply(restart(lab.snapshot()))
    assert {"timer": 2} == {name: hook.run_number for name, hook in lab.hooks().items()}


def test_m6_pending_events_of_users_are_kept_in_the_history_and_not_delivered() -> None:
    plan = restart(snapshot(instance(run_number=3), events=[event("e1"), event("e2")], now=LATER))
    taken = {"consumed_by": "#restart", "consumed_run": 3, "delivered_at": LATER}
    assert {event_id: event(event_id, **taken) for event_id in ("e1", "e2")} == written_events(plan)


@pytest.mark.parametrize("status", [*LIVE, *ENDED])
def test_m6_a_system_event_of_another_kind_is_left_alone(status: InstanceStatus) -> None:
    seen = snapshot(instance(status=status), events=[event("#other", type="other", actor="system")])
    assert {} == written_events(restart(seen))


@pytest.mark.parametrize("status", ["active", "waiting"])
def test_m6_a_request_to_pause_that_came_to_nothing_holds_for_the_new_run(status: InstanceStatus) -> None:
    """It was accepted, and whoever made it relies on it: no body of the new run may start."""
    assert {} == written_events(restart(snapshot(instance(status=status), events=[pause_request()])))


@pytest.mark.parametrize("status", ["paused", *ENDED])
def test_m6_a_request_to_pause_that_has_nothing_to_say_any_more_is_consumed(status: InstanceStatus) -> None:
    """The instance is paused, and restarted all the same; or it ended before it could be paused (G3, G6)."""
    plan = restart(snapshot(instance(status=status), events=[pause_request()]))
    assert {"#pause-1": "#pause"} == {each.id: each.consumed_by for each in written_events(plan).values()}


def test_m6_a_pending_pause_pauses_the_new_run_before_its_first_step() -> None:
    @workflow(name="w")
    def w(step: Step) -> None:
        step.do("charge", lambda attempt: None)

    lab = in_lab(w, ticks=False)
    ask_to_pause(lab, tick=False)
    lab.apply(restart(lab.snapshot(), workflow=w))
    lab.run()
    assert ("paused", 2, {}, {}) == (lab.instance.status, lab.instance.run_number, lab.steps(), lab.hooks())


def test_m6_a_paused_instance_that_is_restarted_runs() -> None:
    lab = in_lab(plain)
    ask_to_pause(lab)
    lab.apply(restart(lab.snapshot()))
    lab.run()
    assert ("waiting", 2) == (lab.instance.status, lab.instance.run_number)


def test_m6_what_the_run_before_waited_for_is_cancelled() -> None:
    seen = snapshot(instance(), steps=[sleeping(LATER), record("do:c", status="completed", sequence=1)], now=LATER)
    expected = attrs.evolve(sleeping(LATER), status="cancelled", settled_at=LATER, execution_id="restart")
    assert {"sleep:nap": expected} == written_steps(restart(seen))


def test_m6_the_rows_of_the_run_before_are_kept_and_not_replayed() -> None:
    @workflow(name="w")
    def w(step: Step) -> None:
        step.do("charge", lambda attempt: None)

    lab = in_lab(w)
    lab.apply(restart(lab.snapshot(), workflow=w))
    before = lab.steps()
    lab.run()
    assert ({}, {(1, "do:charge"), (2, "do:charge")}) == (before, set(lab.world[REF].steps))


def test_m6_a_running_tick_conflicts() -> None:
    lab = in_lab(plain, ticks=False)
    running = lab.plan()
    lab.apply(restart(lab.snapshot()))
    assert Conflict(REF, 2, "restart") == evolve(lab.world, running)


@pytest.mark.parametrize(
    ("params", "expected"), [((), '{"cents":1}'), ((Order(7),), '{"cents":7}')], ids=["kept", "replaced"]
)
def test_m6_params_are_kept_or_replaced(params: tuple[Order, ...], expected: str) -> None:
    plan = restart(snapshot(instance(params='{"cents":1}')), *params, workflow=ordering)
    assert expected == written_row(plan).params


def test_m6_none_replaces_the_params_of_a_workflow_that_takes_it() -> None:
    @workflow(name="w")
    def w(step: Step, order: Order | None) -> None: ...

    assert "null" == written_row(restart(snapshot(instance(params='{"cents":1}')), None, workflow=w)).params


@pytest.mark.parametrize("params", [None, Order("seven"), {"cents": 7}])  # type: ignore[arg-type] # that is the point
def test_m6_params_that_do_not_fit_are_refused(params: object) -> None:
    with pytest.raises(CodecError, match="the parameters of 'w'"):
        restart(snapshot(instance()), params, workflow=ordering)


def test_m6_nobody_cannot_be_restarted() -> None:
    with pytest.raises(InstanceNotFoundError):
        restart(snapshot(None))


@pytest.mark.parametrize(("keep_keys", "expected"), [(False, 5), (True, 2)])
def test_m6_a_new_run_has_new_idempotency_keys_unless_they_are_kept(keep_keys: bool, expected: int) -> None:
    plan = restart(snapshot(instance(run_number=4, key_run=2)), keep_keys=keep_keys)
    assert (5, expected) == (written_row(plan).run_number, written_row(plan).key_run)


@pytest.mark.parametrize(("keep_keys", "expected"), [(False, 2), (True, 1)])
def test_s10_a_restarted_step_has_the_key_of_its_key_run(keep_keys: bool, expected: int) -> None:
    keys: list[str] = []

    @workflow(name="w")
    def w(step: Step) -> None:
        step.do("charge", lambda attempt: keys.append(attempt.idempotency_key))

    lab = in_lab(w)
    lab.apply(restart(lab.snapshot(), workflow=w, keep_keys=keep_keys))
    lab.run()
    assert (2, expected) == (len(keys), len(set(keys)))


@TIMES
def test_m6_a_run_begins_now(store: datetime, updated: datetime) -> None:
    plan = restart(snapshot(instance(updated_at=updated), now=store))
    assert timer(LATER, run=2, created_at=LATER) == written_timer(plan)
