"""Rows and plans to test stores with, as short as they can be said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import attrs

from wfcore.failure import Failure
from wfcore.keys import message_id, parse_ref, terminal_id, timer_id
from wfcore.model import Event, Hook, Instance, StepRecord
from wfcore.outcome import Checkpointed
from wfcore.plan import (
    Absent,
    AddEvent,
    AddHook,
    AddInstance,
    Applied,
    AtVersion,
    Conflict,
    DeleteInstance,
    Exists,
    Mutation,
    Plan,
    Precondition,
    PutInstance,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
REF = "checkout#order-1"
OTHER = "checkout#order-2"
THIRD = "refund#order-1"
FAILURE = Failure(
    type="shop.CardDeclined",
    message="declined \x00 \ud800 ✓",
    details={"reason": [None, 1.5, 10**30, "\u2028"], "": {}},
    bases=("shop.PaymentError", "builtins.Exception"),
    traceback='File "shop.py", line 1, in charge',
)


def instance(ref: str = REF, version: int = 1, **changes: Any) -> Instance:
    """A row that is active, written by ``e<version>``."""
    workflow_name, instance_id = parse_ref(ref)
    row = Instance(
        ref=ref,
        workflow_name=workflow_name,
        instance_id=instance_id,
        status="active",
        params="{}",
        created_at=NOW,
        updated_at=NOW,
        version=version,
        execution_id=f"e{version}",
        created_by="e1",
    )
    return attrs.evolve(row, **changes)


def step(key: str = "do:charge", ref: str = REF, **changes: Any) -> StepRecord:
    """A completed record of the first run."""
    row = StepRecord(
        instance_ref=ref,
        run_number=1,
        key=key,
        kind="do",
        name="charge",
        status="completed",
        created_at=NOW,
        execution_id="e1",
    )
    return attrs.evolve(row, **changes)


def event(id: str = "m1", ref: str = REF, **changes: Any) -> Event:
    """A pending event."""
    return attrs.evolve(Event(instance_ref=ref, id=id, type="approved", payload="{}", created_at=NOW), **changes)


def hook(ref: str = REF, due_at: datetime = NOW, **changes: Any) -> Hook:
    """The timer of an instance."""
    workflow_name, instance_id = parse_ref(ref)
    row = Hook(
        id=timer_id(ref),
        instance_ref=ref,
        run_number=1,
        workflow_name=workflow_name,
        instance_id=instance_id,
        reason="wake",
        due_at=due_at,
        created_at=NOW,
    )
    return attrs.evolve(row, **changes)


def message(id: str = "m1", ref: str = REF) -> Hook:
    """The hook of an event."""
    return hook(ref, id=message_id(ref, id), run_number=None, reason="event")


def notice(version: int = 1, ref: str = REF, due_at: datetime = NOW) -> Hook:
    """The hook that announces a terminal transition."""
    return hook(ref, due_at, id=terminal_id(ref, version), run_number=None, reason="terminal")


def plan(*mutations: Mutation, ref: str = REF, given: tuple[Precondition, ...] = (), execution_id: str = "e") -> Plan:
    """A plan."""
    return Plan(ref, execution_id, given, mutations, Checkpointed())


def create(ref: str = REF, due_at: datetime = NOW, **changes: Any) -> Plan:
    """The plan that creates an instance, with its timer."""
    mutations = AddInstance(instance(ref, **changes)), AddHook(hook(ref, due_at))
    return plan(*mutations, ref=ref, given=(Absent(ref),), execution_id="e1")


def tick(version: int, *mutations: Mutation, ref: str = REF, **changes: Any) -> Plan:
    """The plan that brings the instance from ``version`` to the next."""
    row = instance(ref, version + 1, **changes)
    given = (AtVersion(ref, version, f"e{version}"),)
    return plan(PutInstance(row), *mutations, ref=ref, given=given, execution_id=row.execution_id)


def send(id: str = "m1", ref: str = REF, **changes: Any) -> Plan:
    """The plan that sends an event to an instance that exists."""
    mutations = AddEvent(event(id, ref, **changes)), AddHook(message(id, ref))
    return plan(*mutations, ref=ref, given=(Exists(ref),))


def delete(version: int, ref: str = REF) -> Plan:
    """The plan that deletes an instance."""
    return plan(DeleteInstance(ref), ref=ref, given=(AtVersion(ref, version, f"e{version}"),))


def must(result: Applied | Conflict) -> Applied:
    """The answer, which is no conflict."""
    assert isinstance(result, Applied), result
    return result
