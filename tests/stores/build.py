"""Rows and plans to test stores with, as short as they can be said."""

from datetime import UTC, datetime, timedelta
from typing import Any

import attrs

from wfcore.errors import StoreError
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
    PutHook,
    PutInstance,
    PutStep,
    Write,
)
from wfcore.ports import Store

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
REF = "checkout#order-1"
OTHER = "checkout#order-2"


def instance(ref: str = REF, version: int = 1, **changes: Any) -> Instance:
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
    return attrs.evolve(Event(instance_ref=ref, id=id, type="approved", payload="{}", created_at=NOW), **changes)


def hook(ref: str = REF, due_at: datetime = NOW, **changes: Any) -> Hook:
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
    return hook(ref, id=message_id(ref, id), run_number=None, reason="event")


def notice(version: int = 1, ref: str = REF, due_at: datetime = NOW) -> Hook:
    return hook(ref, due_at, id=terminal_id(ref, version), run_number=None, reason="terminal")


def plan(*mutations: Mutation, ref: str = REF, given: tuple[Precondition, ...] = (), execution_id: str = "e") -> Plan:
    return Plan(ref, execution_id, given, mutations, Checkpointed())


def create(ref: str = REF, due_at: datetime = NOW, **changes: Any) -> Plan:
    mutations = AddInstance(instance(ref, **changes)), AddHook(hook(ref, due_at))
    return plan(*mutations, ref=ref, given=(Absent(ref),), execution_id="e1")


def tick(version: int, *mutations: Mutation, ref: str = REF, **changes: Any) -> Plan:
    """The plan that brings the instance from ``version`` to the next."""
    row = instance(ref, version + 1, **changes)
    given = (AtVersion(ref, version, f"e{version}"),)
    return plan(PutInstance(row), *mutations, ref=ref, given=given, execution_id=row.execution_id)


def send(id: str = "m1", ref: str = REF, **changes: Any) -> Plan:
    mutations = AddEvent(event(id, ref, **changes)), AddHook(message(id, ref))
    return plan(*mutations, ref=ref, given=(Exists(ref),))


def delete(version: int, ref: str = REF) -> Plan:
    return plan(DeleteInstance(ref), ref=ref, given=(AtVersion(ref, version, f"e{version}"),))


def busy_tick(version: int = 1, ref: str = REF) -> Plan:
    """A tick with every kind of row in it."""
    return tick(
        version,
        PutStep(step("do:charge", ref, result='{"id": 7}')),
        PutHook(hook(ref, NOW + MINUTE)),
        Write(Paid("order-1", 100)),
        AddEvent(event("m2", ref)),
        AddHook(message("m2", ref)),
        ref=ref,
    )


def must(result: Applied | Conflict) -> Applied:
    assert isinstance(result, Applied)
    return result


def refused(store: Store, plan: Plan) -> StoreError:
    """The error that an apply raises."""
    try:
        store.apply(plan)
    except StoreError as error:
        return error
    raise AssertionError("the plan was applied")


@attrs.frozen
class Paid:
    """A domain value with a writer."""

    order: str
    cents: int


@attrs.frozen
class PaidTwice(Paid):
    """Its writer is found by its base."""
