"""Deleting instances and notices, as plans (rules M11, O7)."""

from __future__ import annotations

import pytest

from tests.lab import MINUTE, T0, Lab
from tests.planner.rows import REF, instance, message, notice, snapshot, timer
from wfcore import (
    Absent,
    AtVersion,
    Conflict,
    Deleted,
    IllegalTransitionError,
    InstanceNotFoundError,
    NoticePendingError,
    Step,
    TerminalNotified,
    evolve,
    plan_delete,
    plan_restart,
    plan_terminal_notified,
    plan_terminate,
    workflow,
)
from wfcore.evolve import NOTHING
from wfcore.model import InstanceStatus, Snapshot
from wfcore.plan import DeleteHook, DeleteInstance, Plan

ENDED: tuple[InstanceStatus, ...] = ("complete", "errored", "terminated")
NOTICE = f"{REF}#terminal:7"


@workflow(name="w", notify=True)
def waits(step: Step) -> None:
    step.wait_for_event("approval", "approved")


def delete(seen: Snapshot) -> Plan:
    return plan_delete(seen, REF, execution_id="delete")


def notified(seen: Snapshot, transition_id: str = NOTICE) -> Plan:
    return plan_terminal_notified(seen, REF, transition_id=transition_id, execution_id="notified")


def ended() -> Lab:
    lab = Lab.of(waits)
    lab.create(waits)
    lab.run()
    lab.apply(plan_terminate(lab.snapshot(), REF, notify=waits.notify, execution_id="terminate"))
    return lab


# ---- M11: delete


@pytest.mark.parametrize("status", ENDED)
def test_m11_an_instance_that_has_ended_is_deleted_at_its_version(status: InstanceStatus) -> None:
    expected = Plan(REF, "delete", (AtVersion(REF, 7, "before"),), (DeleteInstance(REF),), Deleted(REF))
    assert expected == delete(snapshot(instance(status=status), hooks=[timer(), message()]))


@pytest.mark.parametrize("status", ["active", "waiting", "paused"])
def test_m11_an_instance_that_has_not_ended_is_not_deleted(status: InstanceStatus) -> None:
    with pytest.raises(IllegalTransitionError) as refused:
        delete(snapshot(instance(status=status), hooks=[notice()]))
    assert (REF, status, "delete") == (refused.value.ref, refused.value.status, refused.value.command)


def test_m11_nobody_cannot_be_deleted() -> None:
    with pytest.raises(InstanceNotFoundError):
        delete(snapshot(None))


def test_m11_an_instance_is_not_deleted_while_its_end_is_not_announced() -> None:
    """O7: else nobody would ever be told."""
    with pytest.raises(NoticePendingError) as refused:
        delete(snapshot(instance(status="complete"), hooks=[timer(), notice(7), notice(5)]))
    assert (REF, f"{REF}#terminal:5") == (refused.value.ref, refused.value.transition_id)


def test_m11_a_deleted_instance_leaves_no_row_of_any_run() -> None:
    lab = ended()
    lab.apply(plan_restart(lab.snapshot(), REF, waits, execution_id="restart"))
    lab.run()
    lab.send("refused")
    lab.apply(plan_terminate(lab.snapshot(), REF, notify=False, execution_id="terminate2"))
    lab.apply(notified(lab.snapshot(), f"{REF}#terminal:3"))
    lab.apply(delete(lab.snapshot()))
    assert NOTHING == lab.world[REF]


def test_m11_a_restart_wins_against_a_delete_that_did_not_see_it() -> None:
    lab = ended()
    lab.apply(notified(lab.snapshot(), f"{REF}#terminal:3"))
    late = delete(lab.snapshot())
    lab.apply(plan_restart(lab.snapshot(), REF, waits, execution_id="restart"))
    assert Conflict(REF, 4, "restart") == evolve(lab.world, late)


# ---- O7: the notice was handed over


def test_o7_a_notice_that_was_handed_over_is_deleted_without_a_new_version() -> None:
    plan = notified(snapshot(instance(status="complete"), hooks=[timer(), notice(), notice(5)]))
    expected = Plan(REF, "notified", (AtVersion(REF, 7, "before"),), (DeleteHook(NOTICE),), TerminalNotified(NOTICE))
    assert expected == plan


@pytest.mark.parametrize(
    "seen",
    [snapshot(instance(), hooks=[timer(), notice(5)]), snapshot(None)],
    ids=["another notice", "nothing"],
)
def test_o7_a_notice_that_is_gone_needs_no_plan(seen: Snapshot) -> None:
    plan = notified(seen)
    assert (True, (), TerminalNotified(NOTICE)) == (plan.is_empty, plan.preconditions, plan.outcome)


def test_o7_a_notice_without_an_instance_is_deleted() -> None:
    plan = notified(snapshot(None, hooks=[notice()]))
    assert ((Absent(REF),), (DeleteHook(NOTICE),)) == (plan.preconditions, plan.mutations)


@pytest.mark.parametrize("transition_id", [timer().id, message("terminal:7").id, "terminal:7#x#y"])
def test_o7_no_other_hook_is_taken_for_a_notice(transition_id: str) -> None:
    with pytest.raises(ValueError, match="is not the id of a terminal notice"):
        notified(snapshot(instance(), hooks=[timer()]), transition_id)


def test_o7_a_notice_of_an_earlier_run_does_not_disturb_a_running_tick() -> None:
    """Announcing the end of one run may not cost the next one a body."""
    lab = ended()
    lab.apply(plan_restart(lab.snapshot(), REF, waits, execution_id="restart"))
    running = lab.plan(fired=lab.fired(lab.hooks()["timer"]))
    lab.apply(notified(lab.snapshot(), f"{REF}#terminal:3"))
    lab.apply(running)
    assert ("waiting", {}) == (lab.instance.status, lab.hooks())


def test_o7_each_end_has_a_notice_of_its_own() -> None:
    lab = ended()
    lab.now = T0 + MINUTE
    lab.apply(plan_restart(lab.snapshot(), REF, waits, execution_id="restart"))
    lab.apply(plan_terminate(lab.snapshot(), REF, notify=True, execution_id="again"))
    assert {"terminal:3": T0, "terminal:5": T0 + MINUTE} == {name: each.due_at for name, each in lab.hooks().items()}
