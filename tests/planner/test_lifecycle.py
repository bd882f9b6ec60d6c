"""Every status with every command: what becomes of it, and that it can still go on (rules M2 to M6, M11, K5, O5)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any, get_args

import attrs
import pytest

from tests.lab import MINUTE, T0, Lab
from tests.planner.rows import (
    FAILURE,
    REF,
    event,
    hook,
    instance,
    message,
    notice,
    pause_request,
    record,
    sleeping,
    snapshot,
    timer,
)
from wfcore import (
    CommandError,
    IllegalTransitionError,
    InstanceNotFoundError,
    Plan,
    Step,
    breaks_o5,
    plan_adopt_bare_keys,
    plan_delete,
    plan_pause,
    plan_restart,
    plan_resume,
    plan_retry,
    plan_send_event,
    plan_terminate,
    workflow,
)
from wfcore.evolve import NOTHING, Rows
from wfcore.keys import is_terminal_notice
from wfcore.model import TERMINAL, InstanceStatus, Snapshot
from wfcore.planner.lifecycle import TRANSITIONS, Command, instead, transition

STATUSES: tuple[InstanceStatus, ...] = get_args(InstanceStatus)
COMMANDS: tuple[Command, ...] = get_args(Command)
LATER = T0 + MINUTE


@workflow(name="w", notify=True)
def w(step: Step) -> None:
    step.sleep("nap", MINUTE)


PLANNERS: dict[Command, Callable[[Snapshot], Plan]] = {
    "send an event to": lambda seen: plan_send_event(seen, REF, w, "other", event_id="e9", execution_id="x"),
    "pause": lambda seen: plan_pause(seen, REF, request_id="r9", execution_id="x"),
    "resume": lambda seen: plan_resume(seen, REF, execution_id="x"),
    "terminate": lambda seen: plan_terminate(seen, REF, notify=True, execution_id="x"),
    "restart": lambda seen: plan_restart(seen, REF, w, execution_id="x"),
    "retry": lambda seen: plan_retry(seen, REF, execution_id="x"),
    "delete": lambda seen: plan_delete(seen, REF, execution_id="x"),
    "adopt bare step keys of": lambda seen: plan_adopt_bare_keys(seen, REF, execution_id="x"),
}


def states(status: InstanceStatus) -> list[Snapshot]:
    """What an instance of that status may look like, by rule O5: with and without mail, requests, deferred hooks."""
    row = instance(status=status, completed_at=T0 if status in TERMINAL else None)
    timers = {"active": [timer(T0)], "waiting": [timer(LATER)]}.get(status, [])
    if status in TERMINAL:
        settled = {"sequence": 1, "settled_at": T0, "failure": FAILURE}
        steps = [record("do:x", status="errored", **settled), sleeping(LATER, status="cancelled", settled_at=T0)]
    else:
        steps = [sleeping(LATER), attrs.evolve(sleeping(LATER, "sleep:old"), key="old")]
    found = []
    for mail, request, left in product((False, True), repeat=3):
        events = [event()] * mail + [pause_request()] * request
        hooks = [message()] * mail + [message("#pause-1")] * request + [hook(f"{REF}#start", LATER, attempts=2)] * left
        found.append(snapshot(row, steps=steps, events=events, hooks=[*timers, *hooks]))
    return found


def after(seen: Snapshot, *plans: Plan) -> Rows:
    lab = Lab.of(w)
    lab.ref = REF
    lab.put(seen)
    for plan in plans:
        lab.apply(plan)
    return lab.world[REF]


def held(rows: Rows) -> list[str]:
    """Which of the states of rule O5 the rows are in: exactly one."""
    found = rows.snapshot(T0)
    row = found.instance
    if row is None:
        return ["gone"] if rows == NOTHING else []
    hooks = {each.id.removeprefix(f"{REF}#"): each for each in found.hooks}
    due_at = hooks["timer"].due_at if "timer" in hooks else None
    live = [step for step in found.steps if step.status in ("waiting", "started")]
    deadlines = sorted(step.wake_at for step in live if step.wake_at is not None)
    possible = {
        "terminal": row.status in TERMINAL and not live,
        "paused": row.status == "paused" and due_at is None,
        "active": row.status == "active" and due_at is not None and hooks["timer"].run_number == row.run_number,
        "waiting": row.status == "waiting" and deadlines[:1] == [due_at],
    }
    return [name for name, is_so in possible.items() if is_so]


CASES = [(command, status, seen) for command in COMMANDS for status in STATUSES for seen in states(status)]


def test_m2_every_command_has_a_planner_and_a_row() -> None:
    assert (set(COMMANDS), set(COMMANDS)) == (set(PLANNERS), set(TRANSITIONS))


@pytest.mark.parametrize(("command", "status", "seen"), CASES)
def test_o5_after_every_command_the_instance_can_make_progress_or_has_ended(
    command: Command, status: InstanceStatus, seen: Snapshot
) -> None:
    """A legal plan, or the one error, and nothing in between."""
    assert 1 == len(held(after(seen)))  # it could before
    if status not in TRANSITIONS[command]:
        with pytest.raises(IllegalTransitionError) as refused:
            PLANNERS[command](seen)
        error = refused.value
        assert (REF, status, command, instead(status)) == (error.ref, error.status, error.command, error.instead)
        return
    rows = after(seen, PLANNERS[command](seen))
    becomes = TRANSITIONS[command][status]
    assert becomes == (rows.instance.status if rows.instance else "deleted")
    assert 1 == len(held(rows)), rows


@pytest.mark.parametrize(("command", "status", "seen"), CASES)
def test_r7_an_audit_finds_nothing_after_any_command(command: Command, status: InstanceStatus, seen: Snapshot) -> None:
    if status in TRANSITIONS[command]:
        assert [None, None] == [breaks_o5(found) for found in (seen, after(seen, PLANNERS[command](seen)).snapshot(T0))]


@pytest.mark.parametrize(("command", "status", "seen"), CASES)
def test_o5_no_message_is_without_a_hook_or_a_timer_that_sees_it(
    command: Command, status: InstanceStatus, seen: Snapshot
) -> None:
    """What is pending after a command is found by the next tick: of a timer that is due, or of its own hook."""
    if status not in TRANSITIONS[command]:
        return
    rows = after(seen, PLANNERS[command](seen)).snapshot(T0)
    if rows.instance is None or rows.instance.status in (*TERMINAL, "paused"):
        return
    due = {each.id for each in rows.hooks if each.due_at <= T0}
    assert [] == [each.id for each in rows.events if not {message(each.id).id, timer().id} & due]


@pytest.mark.parametrize(("command", "status", "seen"), CASES)
def test_a3_a_command_that_writes_raises_the_version_by_one(
    command: Command, status: InstanceStatus, seen: Snapshot
) -> None:
    """But for those that only append, and the one after which there is no version."""
    if status not in TRANSITIONS[command] or command == "delete":
        return
    plan = PLANNERS[command](seen)
    rows = after(seen, plan)
    writes = bool(plan.mutations) and command not in ("send an event to", "pause")
    assert rows.instance is not None
    assert 7 + writes == rows.instance.version


@pytest.mark.parametrize(("command", "status", "seen"), CASES)
def test_m12_a_command_that_is_planned_again_after_it_was_done_does_no_harm(
    command: Command, status: InstanceStatus, seen: Snapshot
) -> None:
    if status not in TRANSITIONS[command]:
        return
    rows = after(seen, PLANNERS[command](seen))
    again = rows.snapshot(T0)
    try:
        plan = PLANNERS[command](again)
    except CommandError:
        return
    assert 1 == len(held(after(again, plan)))


@pytest.mark.parametrize("command", COMMANDS)
def test_m2_no_command_finds_an_instance_that_is_not_there(command: Command) -> None:
    with pytest.raises(InstanceNotFoundError) as refused:
        PLANNERS[command](snapshot(None))
    assert REF == refused.value.ref


@pytest.mark.parametrize("status", TERMINAL)
@pytest.mark.parametrize("command", sorted(set(COMMANDS) - {"delete"}))
def test_o7_no_command_but_its_own_touches_a_notice(command: Command, status: InstanceStatus) -> None:
    seen = snapshot(instance(status=status), hooks=[notice(5), timer()])
    if status in TRANSITIONS[command]:
        rows = after(seen, PLANNERS[command](seen))
        assert [notice(5)] == [each for each in rows.hooks.values() if is_terminal_notice(each.id)]


def test_m2_a_transition_gives_the_row_as_it_is() -> None:
    row = instance(status="paused")
    assert (row, "active") == transition(snapshot(row), REF, "resume")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("active", ("restart", "terminate")),
        ("waiting", ("restart", "terminate")),
        ("paused", ("resume", "restart", "terminate")),
        ("complete", ("restart", "delete")),
        ("errored", ("retry", "restart", "delete")),
        ("terminated", ("restart", "delete")),
    ],
)
def test_m2_a_refusal_names_what_moves_the_instance(status: InstanceStatus, expected: tuple[str, ...]) -> None:
    assert expected == instead(status)


def test_m2_the_picture_in_the_docs_is_the_table() -> None:
    """What a command moves is drawn; what it leaves where it is, is not."""
    page = (Path(__file__).parents[2] / "docs" / "explanation" / "a-tick.md").read_text(encoding="utf-8")
    moves = [
        f"    {status} --> {'[*]' if becomes == 'deleted' else becomes}: {command}\n"
        for command, row in TRANSITIONS.items()
        for status, becomes in row.items()
        if becomes != status
    ]
    picture = f"```mermaid\nstateDiagram-v2\n{''.join(moves)}```\n"
    assert picture in page, picture


def test_m11_the_table_cannot_be_changed() -> None:
    table: Any = TRANSITIONS
    with pytest.raises(TypeError):
        table["delete"] = {"active": "deleted"}
