"""A request to pause, as a plan (rule M3). Sending events is in ``test_commands.py``."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from tests.lab import MINUTE, T0, Lab
from tests.planner.rows import REF, event, instance, message, pause_request, snapshot, timer
from wfcore import (
    Attempt,
    IllegalTransitionError,
    InstanceNotFoundError,
    PauseRequested,
    Retry,
    Step,
    StepNameError,
    plan_pause,
    workflow,
)
from wfcore.model import InstanceStatus, Snapshot
from wfcore.plan import AddEvent, AddHook, Exists, Plan

LATER = T0 + MINUTE
REQUEST = event("#pause:r1", type="pause", actor="system")
ANNOUNCED = message("#pause:r1", reason="pause")


@workflow(name="w")
def plain(step: Step) -> None:
    step.wait_for_event("approval", "approved")


@workflow(name="w")
def charging(step: Step) -> str:
    return step.do("charge", lambda attempt: f"paid at attempt {attempt.number}", retry=Retry(max_attempts=3))


def pause(seen: Snapshot | None = None, **changes: Any) -> Plan:
    found = snapshot(instance()) if seen is None else seen
    return plan_pause(found, REF, **{"request_id": "r1", "execution_id": "pause", **changes})


def paused(lab: Lab, request_id: str = "r1") -> Plan:
    return lab.apply(plan_pause(lab.snapshot(), lab.ref, request_id=request_id, execution_id=lab.next_id("pause")))


@pytest.mark.parametrize("status", ["active", "waiting"])
def test_m3_a_pause_is_a_system_event_with_a_hook_of_its_own(status: InstanceStatus) -> None:
    expected = Plan(REF, "pause", (Exists(REF),), (AddEvent(REQUEST), AddHook(ANNOUNCED)), PauseRequested("#pause:r1"))
    assert expected == pause(snapshot(instance(status=status)))


def test_m3_a_request_is_as_old_as_the_snapshot() -> None:
    request, announced = pause(snapshot(instance(), now=LATER)).mutations
    assert isinstance(request, AddEvent)
    assert isinstance(announced, AddHook)
    assert (LATER, LATER, LATER) == (request.event.created_at, announced.hook.due_at, announced.hook.created_at)


def test_m3_a_request_is_for_any_run() -> None:
    (hook,) = [each.hook for each in pause().mutations if isinstance(each, AddHook)]
    assert hook.run_number is None


def test_m3_an_instance_that_is_paused_is_not_asked_again() -> None:
    plan = pause(snapshot(instance(status="paused")))
    assert (True, (), PauseRequested(None)) == (plan.is_empty, plan.preconditions, plan.outcome)


@pytest.mark.parametrize("status", ["active", "waiting"])
def test_m3_an_instance_that_was_asked_is_not_asked_again(status: InstanceStatus) -> None:
    plan = pause(snapshot(instance(status=status), events=[event(), pause_request("#pause:first")]))
    assert (True, (), PauseRequested("#pause:first")) == (plan.is_empty, plan.preconditions, plan.outcome)


@pytest.mark.parametrize(
    "other", [event(type="pause"), event("#other", actor="system")], ids=["a user's event", "another system event"]
)
def test_m3_only_a_system_event_of_that_type_is_a_request(other: Any) -> None:
    assert PauseRequested("#pause:r1") == pause(snapshot(instance(), events=[other])).outcome


@pytest.mark.parametrize("status", ["complete", "errored", "terminated"])
def test_m3_what_has_ended_cannot_be_paused(status: InstanceStatus) -> None:
    with pytest.raises(IllegalTransitionError) as refused:
        pause(snapshot(instance(status=status)))
    assert (REF, status, "pause") == (refused.value.ref, refused.value.status, refused.value.command)


def test_m3_nobody_cannot_be_paused() -> None:
    with pytest.raises(InstanceNotFoundError) as refused:
        pause(snapshot(None))
    assert REF == refused.value.ref


@pytest.mark.parametrize("request_id", ["", "a#b", "a\n", "a" * 257])
def test_k4_a_request_id_that_cannot_be_used_is_refused(request_id: str) -> None:
    with pytest.raises(StepNameError) as refused:
        pause(request_id=request_id)
    assert "request id" == refused.value.what


def test_m3_a_retried_request_is_one_request() -> None:
    lab = Lab.of(plain)
    lab.create(plain)
    again = pause(lab.snapshot())
    paused(lab)
    lab.apply(again)
    assert (["#pause:r1"], {"timer", "msg:#pause:r1"}) == (list(lab.events()), set(lab.hooks()))


def test_m3_a_request_never_conflicts_with_a_running_tick() -> None:
    lab = Lab.of(plain)
    lab.create(plain)
    asked = pause(lab.snapshot())
    lab.tick()
    lab.apply(asked)
    assert {"msg:#pause:r1"} == set(lab.hooks())


def test_m3_a_running_tick_commits_and_the_next_one_pauses() -> None:
    lab = Lab.of(plain)
    lab.create(plain)
    running = lab.plan()
    paused(lab)
    lab.apply(running)
    before = lab.instance.status
    lab.run()
    assert ("waiting", "paused", {}) == (before, lab.instance.status, lab.hooks())


def test_m3_a_body_whose_result_was_discarded_runs_again_after_the_resume() -> None:
    """The tick that pauses commits first: the one with the body conflicts, and its attempt never was."""
    ran: list[int] = []

    def charge(attempt: Attempt) -> None:
        ran.append(attempt.number)

    @workflow(name="w")
    def w(step: Step) -> None:
        step.do("charge", charge)

    lab = Lab.of(w)
    lab.create(w)
    lab.plan()  # its plan loses against the pause, and is never applied
    paused(lab)
    lab.run()
    lab.put(attrs.evolve(lab.snapshot(), instance=attrs.evolve(lab.instance, status="active"), hooks=(timer(),)))
    lab.run()
    assert ([1, 1], "complete") == (ran, lab.instance.status)


def test_m3_a_new_request_after_a_resume_pauses_again() -> None:
    lab = Lab.of(plain)
    lab.create(plain)
    paused(lab, "first")
    lab.run()
    lab.put(attrs.evolve(lab.snapshot(), instance=attrs.evolve(lab.instance, status="active"), hooks=(timer(),)))
    paused(lab, "second")
    lab.run()
    assert "paused" == lab.instance.status
