"""What a store keeps: four kinds of rows, and what one retrieve returns. Data only: no I/O, no clock, no decisions.

Instants are aware UTC ``datetime``, durations ``timedelta``, payloads JSON text that stores return byte for byte.
Rows are immutable after-images: a planner makes new ones, a store puts them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal, TypeAlias

import attrs

from wfcore.failure import Failure

Payload: TypeAlias = str
"""JSON text, opaque to stores."""

InstanceStatus: TypeAlias = Literal["active", "waiting", "paused", "complete", "errored", "terminated"]
StepStatus: TypeAlias = Literal["waiting", "started", "completed", "errored", "cancelled"]
StepKind: TypeAlias = Literal["do", "sleep", "wait_for_event", "patch", "map"]
HookReason: TypeAlias = Literal["create", "event", "pause", "retry", "wake", "terminal"]
Actor: TypeAlias = Literal["user", "system"]

TERMINAL: frozenset[InstanceStatus] = frozenset({"complete", "errored", "terminated"})
"""Statuses in which an instance does nothing any more."""
PAUSE_REQUEST = "pause"
"""Type of the system event that asks an instance to pause."""
MANY_RECORDS = 5_000
"""More records than this in one run are reported: each tick reads and replays all of them (rule O8)."""


@attrs.frozen(kw_only=True)
class Instance:
    """One workflow instance.

    Attributes:
        ref: ``workflow_name#instance_id``, its identity.
        workflow_name: name of the workflow.
        instance_id: id within the workflow.
        run_number: number of the current run (>= 1).
        key_run: the run from which idempotency keys are built.
        status: see :data:`InstanceStatus`; ``active`` can make progress now, ``waiting`` is parked.
        params: encoded parameters.
        output: encoded result of a complete instance.
        failure: why an errored instance failed.
        tags: the caller's labels.
        created_at: when it was created.
        updated_at: when it was last written.
        started_at: when the current run first ran workflow code.
        completed_at: when the current run ended.
        version: 1 at creation, one more with every write.
        execution_id: of the plan that wrote it last.
        created_by: execution id of the plan that created it.
    """

    ref: str
    workflow_name: str
    instance_id: str
    run_number: int = 1
    key_run: int = 1
    status: InstanceStatus
    params: Payload
    output: Payload | None = None
    failure: Failure | None = None
    tags: Mapping[str, str] = attrs.field(factory=dict)
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None = None
    completed_at: datetime | None = None
    version: int = 1
    execution_id: str
    created_by: str


@attrs.frozen(kw_only=True)
class StepRecord:
    """One step of one run. Identity: ``(instance_ref, run_number, key)``.

    Attributes:
        instance_ref: the instance.
        run_number: the run.
        key: the step key (``wfcore.keys``).
        kind: what kind of step.
        name: the name that the author gave.
        parent_key: the scopes and branches around it, ``None`` at the top.
        depth: how many they are.
        status: see :data:`StepStatus`.
        attempts: attempts that have ended.
        max_attempts: granted by the policy at the last attempt (``do`` only).
        next_retry_at: when a failed ``do`` is tried again.
        wake_at: a sleep's end, a wait's deadline (``None``: no deadline).
        event_types: the types that a wait wants.
        event_id: the event that a wait took.
        result: encoded result.
        failure: the last failure.
        sequence: order of settlement within the run (>= 1); ``None`` while waiting.
        created_at: when the step was first reached.
        settled_at: when it settled.
        execution_id: of the plan that wrote it last.
    """

    instance_ref: str
    run_number: int
    key: str
    kind: StepKind
    name: str
    parent_key: str | None = None
    depth: int = 0
    status: StepStatus
    attempts: int = 0
    max_attempts: int | None = None
    next_retry_at: datetime | None = None
    wake_at: datetime | None = None
    event_types: tuple[str, ...] = ()
    event_id: str | None = None
    result: Payload | None = None
    failure: Failure | None = None
    sequence: int | None = None
    created_at: datetime
    settled_at: datetime | None = None
    execution_id: str


@attrs.frozen(kw_only=True)
class Event:
    """One message in an instance's mailbox, of no run until it is consumed. Identity: ``(instance_ref, id)``.

    Attributes:
        instance_ref: the instance.
        id: the sender's id; ids of system events begin with ``#``.
        type: what it is about.
        payload: encoded payload.
        actor: ``user``, or ``system`` for requests of commands.
        created_at: when it was sent.
        consumed_by: key of the step that took it, ``#restart`` or ``#pause``; ``None`` while it is pending.
        consumed_run: the run in which it was taken.
        delivered_at: when it was taken.
    """

    instance_ref: str
    id: str
    type: str
    payload: Payload
    actor: Actor = "user"
    created_at: datetime
    consumed_by: str | None = None
    consumed_run: int | None = None
    delivered_at: datetime | None = None


@attrs.frozen(kw_only=True)
class Hook:
    """A stored wake-up with a time.

    Attributes:
        id: ``<ref>#timer``, ``<ref>#msg:<event id>``, ... (``wfcore.keys``).
        instance_ref: the instance.
        run_number: the run it is for; ``None`` for messages: any run.
        workflow_name: name of the workflow.
        instance_id: id within the workflow.
        reason: information for operators; nothing depends on it (rule G9).
        due_at: when it is due.
        created_at: when it was stored.
        attempts: how often a tick for it failed for a reason that is not the workflow's.
        last_error: text of the last such reason.
    """

    id: str
    instance_ref: str
    run_number: int | None
    workflow_name: str
    instance_id: str
    reason: HookReason
    due_at: datetime
    created_at: datetime
    attempts: int = 0
    last_error: str | None = None


@attrs.frozen(kw_only=True)
class FiredHook:
    """What a feed hands out: a hook that is due, and the store's clock when it was read.

    Attributes:
        hook: the hook as it was read; a trigger, never trusted.
        timestamp: the store's clock.
    """

    hook: Hook
    timestamp: datetime


def _by_key(steps: tuple[StepRecord, ...]) -> list[StepRecord]:
    return sorted(steps, key=lambda step: step.key)


def _by_id(hooks: tuple[Hook, ...]) -> list[Hook]:
    return sorted(hooks, key=lambda hook: hook.id)


@attrs.frozen(kw_only=True)
class Snapshot:
    """What one retrieve returns: all of it, one consistent cut, never truncated.

    Two snapshots are equal if they hold the same rows: ``now`` and the order of steps and hooks do not count.

    Attributes:
        instance: ``None`` if there is none.
        steps: all records of the current run, in any order.
        events: all that are not consumed, in order of arrival.
        hooks: all of this instance, in any order.
        now: the store's clock.
    """

    instance: Instance | None
    steps: tuple[StepRecord, ...] = attrs.field(default=(), eq=_by_key)
    events: tuple[Event, ...] = ()
    hooks: tuple[Hook, ...] = attrs.field(default=(), eq=_by_id)
    now: datetime = attrs.field(eq=False)
