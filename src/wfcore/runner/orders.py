"""Commands as values: how each is planned, and how it is told afterwards whether it took effect (rules M1 to M12)."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import attrs

from wfcore.errors import StoreUnavailableError
from wfcore.keys import build_ref, is_bare, pause_request_id
from wfcore.model import TERMINAL, Instance, InstanceStatus, Snapshot
from wfcore.outcome import Created
from wfcore.plan import Plan, PutInstance
from wfcore.planner import (
    plan_adopt_bare_keys,
    plan_create,
    plan_delete,
    plan_pause,
    plan_restart,
    plan_restart_or_create,
    plan_resume,
    plan_retry,
    plan_send_event,
    plan_terminate,
)
from wfcore.ports import Codec
from wfcore.workflow import EventType, Workflow


@attrs.frozen
class Lost:
    """A plan whose acknowledgement was lost: it may have been applied.

    Attributes:
        plan: the plan.
        read: what it was made of.
        error: what the store raised.
    """

    plan: Plan
    read: Snapshot
    error: StoreUnavailableError


WasApplied: TypeAlias = Callable[[Snapshot, Sequence[Lost]], bool | None]
"""Whether one of those plans took effect, by a fresh snapshot; ``None``: that cannot be told."""


@attrs.frozen(kw_only=True)
class Order:
    """A command for one instance.

    Attributes:
        ref: the instance.
        command: what it is called in errors.
        make: from a snapshot and a new execution id to its plan.
        was_applied: asked after an acknowledgement was lost.
    """

    ref: str
    command: str
    make: Callable[[Snapshot, str], Plan]
    was_applied: WasApplied


# ---- the commands


def creating(
    workflow: Workflow[Any, Any], id: str, params: object, *, tags: Mapping[str, str] | None, codec: Codec
) -> Order:
    """Rule M1."""

    def make(snapshot: Snapshot, execution_id: str) -> Plan:
        return plan_create(
            snapshot, workflow, params, instance_id=id, execution_id=execution_id, tags=tags, codec=codec
        )

    return Order(ref=build_ref(workflow.name, id), command="create", make=make, was_applied=_was_created)


def sending(
    ref: str, workflow: Workflow[Any, Any], event: EventType[Any] | str, payload: object, *, id: str, codec: Codec
) -> Order:
    """Rule M2; ``id`` is kept in every try."""

    def make(snapshot: Snapshot, execution_id: str) -> Plan:
        return plan_send_event(
            snapshot, ref, workflow, event, payload, event_id=id, execution_id=execution_id, codec=codec
        )

    def was_applied(snapshot: Snapshot, _lost: Sequence[Lost]) -> bool | None:
        if any(each.id == id for each in snapshot.events):
            return True
        if snapshot.instance is None or snapshot.instance.status in TERMINAL:
            return None  # it may have been taken before the end
        return False  # sending it again is harmless, whether it was taken or not

    return Order(ref=ref, command="send_event", make=make, was_applied=was_applied)


def pausing(ref: str, *, request_id: str) -> Order:
    """Rule M3; ``request_id`` is kept in every try."""

    def make(snapshot: Snapshot, execution_id: str) -> Plan:
        return plan_pause(snapshot, ref, request_id=request_id, execution_id=execution_id)

    def was_applied(snapshot: Snapshot, _lost: Sequence[Lost]) -> bool:
        # If it was honoured already and withdrawn since, the same request again asks for nothing.
        return any(each.id == pause_request_id(request_id) for each in snapshot.events)

    return Order(ref=ref, command="pause", make=make, was_applied=was_applied)


def resuming(ref: str) -> Order:
    """Rule M4."""

    def done(row: Instance, _lost: Lost) -> bool | None:
        return None if row.status in ("paused", "terminated") else True

    return Order(ref=ref, command="resume", make=partial(_with_id, plan_resume, ref), was_applied=_by_row(done))


def terminating(ref: str, *, notify: bool) -> Order:
    """Rule M5."""

    def make(snapshot: Snapshot, execution_id: str) -> Plan:
        return plan_terminate(snapshot, ref, notify=notify, execution_id=execution_id)

    def done(row: Instance, lost: Lost) -> bool | None:
        if row.status == "terminated":
            return True
        return False if _in_its_run(row, lost) else None  # nothing leads back from there in the same run

    return Order(ref=ref, command="terminate", make=make, was_applied=_by_row(done))


def restarting(ref: str, workflow: Workflow[Any, Any], params: object, *, keep_keys: bool, codec: Codec) -> Order:
    """Rule M6."""

    def make(snapshot: Snapshot, execution_id: str) -> Plan:
        return plan_restart(
            snapshot, ref, workflow, params, execution_id=execution_id, keep_keys=keep_keys, codec=codec
        )

    return Order(ref=ref, command="restart", make=make, was_applied=_by_row(_was_restarted))


def retrying(ref: str) -> Order:
    """Rule M7."""

    def done(row: Instance, lost: Lost) -> bool | None:
        if not _in_its_run(row, lost):
            return None
        if row.status != "errored":
            return True
        ended_at = None if lost.read.instance is None else lost.read.instance.completed_at
        return False if row.completed_at == ended_at else None  # else it was retried, and has failed again

    return Order(ref=ref, command="retry", make=partial(_with_id, plan_retry, ref), was_applied=_by_row(done))


def restarting_or_creating(
    workflow: Workflow[Any, Any],
    id: str,
    params: object,
    *,
    when: Container[InstanceStatus],
    tags: Mapping[str, str] | None,
    codec: Codec,
) -> Order:
    """Rule M8."""

    def make(snapshot: Snapshot, execution_id: str) -> Plan:
        return plan_restart_or_create(
            snapshot,
            workflow,
            params,
            instance_id=id,
            when=when,
            execution_id=execution_id,
            tags=tags,
            codec=codec,
        )

    def was_applied(snapshot: Snapshot, lost: Sequence[Lost]) -> bool | None:
        if isinstance(lost[-1].plan.outcome, Created):
            return _was_created(snapshot, lost)
        return _by_row(_was_restarted)(snapshot, lost)

    return Order(ref=build_ref(workflow.name, id), command="restart_or_create", make=make, was_applied=was_applied)


def deleting(ref: str) -> Order:
    """Rule M11."""

    def was_applied(snapshot: Snapshot, lost: Sequence[Lost]) -> bool:
        return not _is_of(snapshot.instance, lost[-1].read)  # another one of that id is not the one that was to go

    return Order(ref=ref, command="delete", make=partial(_with_id, plan_delete, ref), was_applied=was_applied)


def adopting(ref: str) -> Order:
    """Rule K5."""

    def was_applied(snapshot: Snapshot, _lost: Sequence[Lost]) -> bool:
        return not any(is_bare(step.key, step.kind) for step in snapshot.steps)

    return Order(
        ref=ref,
        command="adopt_bare_keys",
        make=partial(_with_id, plan_adopt_bare_keys, ref),
        was_applied=was_applied,
    )


# ---- what is known afterwards


def _with_id(plan: Callable[..., Plan], ref: str, snapshot: Snapshot, execution_id: str) -> Plan:
    return plan(snapshot, ref, execution_id=execution_id)


def _by_row(done: Callable[[Instance, Lost], bool | None]) -> WasApplied:
    """Tell by the instance's row; ``done`` is asked if it was written since by somebody else."""

    def was_applied(snapshot: Snapshot, lost: Sequence[Lost]) -> bool | None:
        row, read = snapshot.instance, lost[-1].read
        if row is None or read.instance is None or not _is_of(row, read):
            return None
        if any(row.execution_id == each.plan.execution_id for each in lost):
            return True
        if (row.version, row.execution_id) == (read.instance.version, read.instance.execution_id):
            return False
        return done(row, lost[-1])

    return was_applied


def _is_of(row: Instance | None, read: Snapshot) -> bool:
    """Whether it is still the instance that was read, and not another one of that id."""
    return row is not None and read.instance is not None and row.created_by == read.instance.created_by


def _in_its_run(row: Instance, lost: Lost) -> bool:
    return lost.read.instance is not None and row.run_number == lost.read.instance.run_number


def _was_created(snapshot: Snapshot, lost: Sequence[Lost]) -> bool:
    return snapshot.instance is not None and any(
        snapshot.instance.created_by == each.plan.execution_id for each in lost
    )


def _was_restarted(row: Instance, lost: Lost) -> bool:
    """A run of that number is another one's if it was begun otherwise: by ``continue_with``, with other parameters."""
    planned = next(each.instance for each in lost.plan.mutations if isinstance(each, PutInstance))
    if row.run_number == planned.run_number:
        return (row.params, row.key_run) == (planned.params, planned.key_run)
    return row.run_number > planned.run_number
