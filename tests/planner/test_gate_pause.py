"""The gate of an instance that is asked to pause, or is paused: no user code runs (rules G5, G6)."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from tests.lab import T0
from wfcore import Completed, Ignored, InstanceStatus, Paused, Step, workflow
from wfcore.testing import (
    Given,
    event,
    given,
    hook,
    hooks_left,
    message,
    no_step,
    pause_request,
    put_event,
    put_instance,
    timer,
    waiting,
)

DUE = waiting("sleep:nap", until=T0)


@workflow(name="w")
def runs(step: Step) -> None:
    """What passes the gate completes."""


def paused(**said: Any) -> Given:
    return given(runs, status="paused", **said)


# ---- G5


@pytest.mark.parametrize("status", ["active", "waiting"])
def test_a_pause_request_pauses(status: InstanceStatus) -> None:
    """G5."""
    given(runs, status=status, events=[pause_request()]).when().then(Paused(), put_instance(status="paused"))


def test_all_pause_requests_are_consumed_and_all_hooks_deleted() -> None:
    """G5."""
    tick = given(runs, steps=[DUE], events=[pause_request("1"), pause_request("2"), event("approved", id="e1")]).when()
    tick.then(put_event("#pause:1", consumed_by="#pause"), put_event("#pause:2", consumed_by="#pause"), hooks_left())
    assert ["e1"] == [each.id for each in tick.and_then().snapshot.events]


def test_pausing_leaves_deadlines_alone() -> None:
    """G5: no step is written."""
    retrying = waiting("do:charge", until=T0)
    tick = given(runs, steps=[DUE, retrying], events=[pause_request()]).when()
    tick.then(Paused(), no_step("sleep:nap"), no_step("do:charge"))


def test_pausing_comes_before_what_is_due() -> None:
    """G5 before G11."""
    given(runs, steps=[DUE], events=[pause_request()]).when(timer()).then(Paused())


def test_a_users_event_of_type_pause_pauses_nothing() -> None:
    """G5: requests are system events."""
    given(runs, events=[event("pause")]).when().then(Completed)


def test_another_system_event_pauses_nothing() -> None:
    """G5."""
    given(runs, events=[attrs.evolve(pause_request(), type="nudge")]).when().then(Completed)


# ---- G6


def test_a_paused_instance_ignores_hooks_and_drops_them() -> None:
    """G6."""
    tick = paused(steps=[DUE], hooks=[timer(), message("e1"), hook("terminal:7")]).when(timer())
    tick.then(Ignored("the instance is paused"), hooks_left("terminal:7"), put_instance(status="paused")).stays_quiet()


def test_a_pause_request_of_a_paused_instance_stays_for_resume() -> None:
    """G6."""
    tick = paused(events=[pause_request()]).when(message("#pause:1")).stays_quiet()
    assert ["#pause:1"] == [each.id for each in tick.and_then().snapshot.events]


def test_a_paused_instance_without_hooks_is_an_empty_plan() -> None:
    """G6."""
    assert paused(events=[pause_request()], hooks=[]).when().plan.is_empty
