"""Records as tuples of plain columns and back, for every store that keeps them in a table; no I/O.

A column holds text, an integer or nothing (``columns`` says how); payloads are stored as they are. Reading checks
everything that a record relies on: a row that was changed or damaged outside wfcore is a
:class:`CorruptRecordError` that names it, never a wrong record.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from wfadapters.columns import (
    ACTORS,
    HOOK_REASONS,
    INSTANCE_STATUSES,
    STEP_KINDS,
    STEP_STATUSES,
    Table,
    failure_column,
    instant_column,
    maybe_instant_column,
    one_of,
    read_event_types,
    read_failure,
    read_instant,
    read_last_error,
    read_maybe_instant,
    read_tags,
)
from wfcore.model import Event, Hook, Instance, StepRecord

INSTANCES = Table(
    "wfcore_instances",
    {
        "ref": "text",
        "workflow_name": "text",
        "instance_id": "text",
        "run_number": "integer",
        "key_run": "integer",
        "status": "text",
        "params": "text",
        "output": "text?",
        "failure": "text?",
        "tags": "text",
        "created_at": "integer",
        "updated_at": "integer",
        "started_at": "integer?",
        "completed_at": "integer?",
        "version": "integer",
        "execution_id": "text",
        "created_by": "text",
    },
    ("ref",),
)
STEPS = Table(
    "wfcore_steps",
    {
        "instance_ref": "text",
        "run_number": "integer",
        "key": "text",
        "kind": "text",
        "name": "text",
        "parent_key": "text?",
        "depth": "integer",
        "status": "text",
        "attempts": "integer",
        "max_attempts": "integer?",
        "next_retry_at": "integer?",
        "wake_at": "integer?",
        "event_types": "text",
        "event_id": "text?",
        "result": "text?",
        "failure": "text?",
        "sequence": "integer?",
        "created_at": "integer",
        "settled_at": "integer?",
        "execution_id": "text",
    },
    ("instance_ref", "run_number", "key"),
)
EVENTS = Table(
    "wfcore_events",
    {
        "instance_ref": "text",
        "id": "text",
        "type": "text",
        "payload": "text",
        "actor": "text",
        "created_at": "integer",
        "consumed_by": "text?",
        "consumed_run": "integer?",
        "delivered_at": "integer?",
    },
    ("instance_ref", "id"),
)
HOOKS = Table(
    "wfcore_hooks",
    {
        "instance_ref": "text",
        "id": "text",
        "run_number": "integer?",
        "workflow_name": "text",
        "instance_id": "text",
        "reason": "text",
        "due_at": "integer",
        "created_at": "integer",
        "attempts": "integer",
        "last_error": "text?",
    },
    ("instance_ref", "id"),
)
TABLES = (INSTANCES, STEPS, EVENTS, HOOKS)

# ---- records


def instance_row(instance: Instance) -> tuple[Any, ...]:
    """The columns of :data:`INSTANCES`."""
    return (
        instance.ref,
        instance.workflow_name,
        instance.instance_id,
        instance.run_number,
        instance.key_run,
        instance.status,
        instance.params,
        instance.output,
        failure_column(instance.failure),
        json.dumps(dict(instance.tags)) if instance.tags else "{}",
        instant_column(instance.created_at),
        instant_column(instance.updated_at),
        maybe_instant_column(instance.started_at),
        maybe_instant_column(instance.completed_at),
        instance.version,
        instance.execution_id,
        instance.created_by,
    )


def read_instance(row: Sequence[Any]) -> Instance:
    """The record of a row of :data:`INSTANCES`; raises :class:`CorruptRecordError`."""
    try:
        INSTANCES.check(row)
        return Instance(
            ref=row[0],
            workflow_name=row[1],
            instance_id=row[2],
            run_number=row[3],
            key_run=row[4],
            status=one_of(INSTANCE_STATUSES, "status", row[5]),
            params=row[6],
            output=row[7],
            failure=read_failure(row[8]),
            tags={} if row[9] == "{}" else read_tags(row[9]),
            created_at=read_instant(row[10]),
            updated_at=read_instant(row[11]),
            started_at=read_maybe_instant(row[12]),
            completed_at=read_maybe_instant(row[13]),
            version=row[14],
            execution_id=row[15],
            created_by=row[16],
        )
    except (ValueError, RecursionError) as problem:
        raise INSTANCES.corrupt(row, problem) from problem


def step_row(step: StepRecord) -> tuple[Any, ...]:
    """The columns of :data:`STEPS`."""
    return (
        step.instance_ref,
        step.run_number,
        step.key,
        step.kind,
        step.name,
        step.parent_key,
        step.depth,
        step.status,
        step.attempts,
        step.max_attempts,
        maybe_instant_column(step.next_retry_at),
        maybe_instant_column(step.wake_at),
        json.dumps(step.event_types) if step.event_types else "[]",
        step.event_id,
        step.result,
        failure_column(step.failure),
        step.sequence,
        instant_column(step.created_at),
        maybe_instant_column(step.settled_at),
        step.execution_id,
    )


def read_step(row: Sequence[Any]) -> StepRecord:
    """The record of a row of :data:`STEPS`; raises :class:`CorruptRecordError`."""
    try:
        STEPS.check(row)
        return StepRecord(
            instance_ref=row[0],
            run_number=row[1],
            key=row[2],
            kind=one_of(STEP_KINDS, "kind", row[3]),
            name=row[4],
            parent_key=row[5],
            depth=row[6],
            status=one_of(STEP_STATUSES, "status", row[7]),
            attempts=row[8],
            max_attempts=row[9],
            next_retry_at=read_maybe_instant(row[10]),
            wake_at=read_maybe_instant(row[11]),
            event_types=read_event_types(row[12]),
            event_id=row[13],
            result=row[14],
            failure=read_failure(row[15]),
            sequence=row[16],
            created_at=read_instant(row[17]),
            settled_at=read_maybe_instant(row[18]),
            execution_id=row[19],
        )
    except (ValueError, RecursionError) as problem:
        raise STEPS.corrupt(row, problem) from problem


def event_row(event: Event) -> tuple[Any, ...]:
    """The columns of :data:`EVENTS`; the order of arrival is the store's own."""
    return (
        event.instance_ref,
        event.id,
        event.type,
        event.payload,
        event.actor,
        instant_column(event.created_at),
        event.consumed_by,
        event.consumed_run,
        maybe_instant_column(event.delivered_at),
    )


def read_event(row: Sequence[Any]) -> Event:
    """The record of a row of :data:`EVENTS`; raises :class:`CorruptRecordError`."""
    try:
        EVENTS.check(row)
        return Event(
            instance_ref=row[0],
            id=row[1],
            type=row[2],
            payload=row[3],
            actor=one_of(ACTORS, "actor", row[4]),
            created_at=read_instant(row[5]),
            consumed_by=row[6],
            consumed_run=row[7],
            delivered_at=read_maybe_instant(row[8]),
        )
    except (ValueError, RecursionError) as problem:
        raise EVENTS.corrupt(row, problem) from problem


def hook_row(hook: Hook) -> tuple[Any, ...]:
    """The columns of :data:`HOOKS`."""
    return (
        hook.instance_ref,
        hook.id,
        hook.run_number,
        hook.workflow_name,
        hook.instance_id,
        hook.reason,
        instant_column(hook.due_at),
        instant_column(hook.created_at),
        hook.attempts,
        None if hook.last_error is None else json.dumps(hook.last_error),
    )


def read_hook(row: Sequence[Any]) -> Hook:
    """The record of a row of :data:`HOOKS`; raises :class:`CorruptRecordError`."""
    try:
        HOOKS.check(row)
        return Hook(
            instance_ref=row[0],
            id=row[1],
            run_number=row[2],
            workflow_name=row[3],
            instance_id=row[4],
            reason=one_of(HOOK_REASONS, "reason", row[5]),
            due_at=read_instant(row[6]),
            created_at=read_instant(row[7]),
            attempts=row[8],
            last_error=read_last_error(row[9]),
        )
    except (ValueError, RecursionError) as problem:
        raise HOOKS.corrupt(row, problem) from problem
