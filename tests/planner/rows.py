"""Rows for tests that hand the planner a snapshot of their own; everything that is not said is dull."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import attrs

from tests.lab import T0
from wfcore.failure import Failure
from wfcore.keys import StepKey, message_id, timer_id
from wfcore.model import Event, FiredHook, Hook, Instance, Snapshot, StepRecord
from wfcore.plan import DeleteHook, Mutation, Plan, PutEvent, PutHook, PutInstance, PutStep, Write

REF = "w#1"
FAILURE = Failure(type="builtins.ValueError", message="no", bases=("builtins.Exception",))


def instance(**changes: Any) -> Instance:
    """Version 7 of the first run, waiting since T0."""
    row = Instance(
        ref=REF,
        workflow_name="w",
        instance_id="1",
        status="waiting",
        params="null",
        created_at=T0,
        updated_at=T0,
        started_at=T0,
        version=7,
        execution_id="before",
        created_by="created",
    )
    return attrs.evolve(row, **changes)


def record(key: str, **changes: Any) -> StepRecord:
    step = StepKey.parse(key)
    row = StepRecord(
        instance_ref=REF,
        run_number=1,
        key=key,
        kind=step.path[-1].kind,  # type: ignore[arg-type] # the last segment of a key is a step
        name=step.path[-1].name,
        parent_key=step.parent_key,
        depth=step.depth,
        status="waiting",
        created_at=T0,
        execution_id="before",
    )
    return attrs.evolve(row, **changes)


def sleeping(until: datetime, key: str = "sleep:nap", **changes: Any) -> StepRecord:
    return record(key, wake_at=until, **changes)


def retrying(at: datetime, key: str = "do:charge", **changes: Any) -> StepRecord:
    return record(key, next_retry_at=at, attempts=1, max_attempts=3, failure=FAILURE, **changes)


def listening(*types: str, until: datetime | None = None, key: str = "wait_for_event:approval") -> StepRecord:
    return record(key, event_types=types or ("approved",), wake_at=until)


def event(event_id: str = "e1", **changes: Any) -> Event:
    return attrs.evolve(Event(instance_ref=REF, id=event_id, type="approved", payload="null", created_at=T0), **changes)


def pause_request(event_id: str = "#pause-1") -> Event:
    return event(event_id, type="pause", actor="system")


def hook(hook_id: str, due_at: datetime = T0, *, run: int | None = None, **changes: Any) -> Hook:
    row = Hook(
        id=hook_id,
        instance_ref=REF,
        run_number=run,
        workflow_name="w",
        instance_id="1",
        reason="wake",
        due_at=due_at,
        created_at=T0,
    )
    return attrs.evolve(row, **changes)


def timer(due_at: datetime = T0, *, run: int = 1, **changes: Any) -> Hook:
    return hook(timer_id(REF), due_at, run=run, **changes)


def message(event_id: str = "e1", **changes: Any) -> Hook:
    return hook(message_id(REF, event_id), **{"reason": "event", **changes})


def notice(version: int = 7) -> Hook:
    return hook(f"{REF}#terminal:{version}", reason="terminal")


def snapshot(
    row: Instance | None,
    *,
    steps: Iterable[StepRecord] = (),
    events: Iterable[Event] = (),
    hooks: Iterable[Hook] = (),
    now: datetime = T0,
) -> Snapshot:
    return Snapshot(instance=row, steps=tuple(steps), events=tuple(events), hooks=tuple(hooks), now=now)


def fired(stored: Hook, at: datetime = T0) -> FiredHook:
    return FiredHook(hook=stored, timestamp=at)


# ---- reading a plan


def written_row(plan: Plan) -> Instance:
    (row,) = [each.instance for each in plan.mutations if isinstance(each, PutInstance)]
    return row


def written_steps(plan: Plan) -> dict[str, StepRecord]:
    return {each.step.key: each.step for each in plan.mutations if isinstance(each, PutStep)}


def written_events(plan: Plan) -> dict[str, Event]:
    return {each.event.id: each.event for each in plan.mutations if isinstance(each, PutEvent)}


def written_timer(plan: Plan) -> Hook | None:
    """The timer that the plan writes."""
    hooks = [each.hook for each in plan.mutations if isinstance(each, PutHook)]
    assert len(hooks) <= 1
    return hooks[0] if hooks else None


def deleted_hooks(plan: Plan) -> list[str]:
    """The hooks that the plan deletes, each by the id's part after the ref."""
    return [each.id.removeprefix(f"{REF}#") for each in plan.mutations if isinstance(each, DeleteHook)]


def user_writes(plan: Plan) -> list[object]:
    return [each.value for each in plan.mutations if isinstance(each, Write)]


def without_row(plan: Plan) -> tuple[Mutation, ...]:
    """The mutations besides the instance's own row."""
    return tuple(each for each in plan.mutations if not isinstance(each, PutInstance))
