"""Rows and plans to test stores with, as short as they can be said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import attrs

from wfcore.failure import Failure
from wfcore.keys import message_id, parse_ref, terminal_id, timer_id
from wfcore.model import Event, Hook, Instance, Snapshot, StepRecord
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
    PutEvent,
    PutHook,
    PutInstance,
    PutStep,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
MANY = 20
"""How often a failure comes, to use up all connections if each of them keeps one: SQLAlchemy's pool has 15."""
REF = "checkout#order-1"
OTHER = "checkout#order-2"
THIRD = "refund#order-1"
FULL_KEY = "gather:g[a]>do:x#1"
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


@attrs.frozen
class OneOfEach:
    """A row of each table, all of one instance.

    Attributes:
        instance: of run 4.
        step: of that run, so that a retrieve gives it.
        event: a pending one.
        hook: the timer.
    """

    instance: Instance
    step: StepRecord
    event: Event
    hook: Hook

    def put(self, found: Instance) -> Plan:
        """The plan that puts all of them, if the instance is as it was found."""
        puts = PutInstance(self.instance), PutStep(self.step), PutEvent(self.event), PutHook(self.hook)
        return plan(*puts, given=(AtVersion(found.ref, found.version, found.execution_id),))

    def snapshot(self) -> Snapshot:
        """What a retrieve gives then."""
        return Snapshot(instance=self.instance, steps=(self.step,), events=(self.event,), hooks=(self.hook,), now=NOW)


def plain(version: int) -> OneOfEach:
    """Rows whose fields are empty, as far as they may be."""
    row = instance(version=version, run_number=4)
    return OneOfEach(row, step(FULL_KEY, run_number=4), event("#pause✓"), hook())


def filled(version: int) -> OneOfEach:
    """The same rows: of all that is no identity, every field has another value."""
    at = [NOW + number * MINUTE for number in range(9)]
    row = instance(
        version=version,
        run_number=4,
        key_run=3,
        status="errored",
        params="[]",
        output='"output"',
        failure=FAILURE,
        tags={"": "", "größe": "\x00\ud800✓"},
        created_at=at[1],
        updated_at=at[2],
        started_at=at[3],
        completed_at=at[4],
        execution_id=f"✓{version}",
        created_by="x",
    )
    record = step(
        FULL_KEY,
        run_number=4,
        kind="wait_for_event",
        name="✓",
        parent_key="gather:g[a]",
        depth=1,
        status="errored",
        attempts=3,
        max_attempts=2**63 - 1,
        next_retry_at=at[5],
        wake_at=at[6],
        event_types=("a", "\x00", "✓"),
        event_id="m✓",
        result='"result"',
        failure=FAILURE,
        sequence=9,
        created_at=at[7],
        settled_at=at[8],
        execution_id="x",
    )
    mail = event(
        "#pause✓", type="pause", payload="[]", actor="system", created_at=at[1], consumed_run=4, delivered_at=at[2]
    )
    timer = hook(
        due_at=at[3], run_number=None, reason="terminal", created_at=at[4], attempts=5, last_error="\ud800\x00 ✓"
    )
    return OneOfEach(row, record, mail, timer)


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
