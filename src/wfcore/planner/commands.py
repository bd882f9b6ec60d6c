"""Commands as pure plans: a snapshot and arguments in, a plan out; no I/O, no clock: the snapshot's time counts.

A command that is not possible raises a ``CommandError``; nothing is written then. A command whose plan meets a conflict
is planned again on a fresh snapshot (rule M12); who applies the plan sees to that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from wfcore.codec import JSON
from wfcore.errors import (
    IllegalTransitionError,
    InstanceExistsError,
    InstanceNotFoundError,
    WriteFailedError,
)
from wfcore.failure import failure_of
from wfcore.keys import build_ref, check_id, message_id
from wfcore.model import TERMINAL, Event, FiredHook, Hook, Instance, Snapshot, StepRecord
from wfcore.outcome import Created, Deferred, Errored, EventSent, Ignored
from wfcore.plan import (
    Absent,
    AddEvent,
    AddHook,
    AddInstance,
    AtVersion,
    Exists,
    Mutation,
    Plan,
    PutHook,
    PutInstance,
    PutStep,
)
from wfcore.planner.changes import change, handled, nothing, timer
from wfcore.planner.draft import cancelled
from wfcore.planner.gate import consumed_pauses, last_sequence, waiting
from wfcore.ports import Codec, checked
from wfcore.retry import DEFERRAL
from wfcore.workflow import EventType, Workflow


def plan_create(
    snapshot: Snapshot,
    workflow: Workflow[Any, Any],
    params: object = None,
    *,
    instance_id: str,
    execution_id: str,
    tags: Mapping[str, str] | None = None,
    codec: Codec = JSON,
) -> Plan:
    """Create an instance: ``active``, its timer due now (rule M1).

    Args:
        snapshot: of the ref that the instance will have.
        workflow: the workflow.
        params: encoded and decoded to the workflow's type before anything is stored.
        instance_id: unique within the workflow.
        execution_id: new for each try; kept as ``created_by``.
        tags: the caller's labels.
        codec: how values become payloads.

    Raises:
        InstanceExistsError: there is one of that id.
        CodecError: the params do not fit the workflow's type.
        StepNameError: the id cannot be used.
    """
    ref = build_ref(workflow.name, instance_id)
    payload = checked(workflow.local_codec(codec), params, workflow.params_type, f"the parameters of {workflow.name!r}")
    if snapshot.instance is not None:
        raise InstanceExistsError(ref, snapshot.instance.status)
    instance = Instance(
        ref=ref,
        workflow_name=workflow.name,
        instance_id=instance_id,
        status="active",
        params=payload,
        tags=codec.decode(checked(codec, dict(tags or {}), dict[str, str], "the tags"), dict[str, str]),
        created_at=snapshot.now,
        updated_at=snapshot.now,
        execution_id=execution_id,
        created_by=execution_id,
    )
    hook = attrs.evolve(timer(instance, snapshot.now, snapshot.now), reason="create")
    return Plan(
        ref,
        execution_id,
        (Absent(ref),),
        (*handled(snapshot.hooks), AddInstance(instance), AddHook(hook)),
        Created(ref),
    )


def plan_send_event(  # noqa: PLR0913 - as plan_tick
    snapshot: Snapshot,
    ref: str,
    workflow: Workflow[Any, Any],
    event: EventType[Any] | str,
    payload: object = None,
    *,
    event_id: str,
    execution_id: str,
    codec: Codec = JSON,
) -> Plan:
    """Append an event and the hook that announces it (rule M2).

    Idempotent by ``event_id``, and never in conflict with a running tick.

    Args:
        snapshot: of the instance.
        ref: the instance.
        workflow: its workflow; if it lists event types, others are refused.
        event: the type.
        payload: encoded and decoded to the type's payload before it is stored.
        event_id: fixed before the first try and the same in every retry.
        execution_id: new for each try.
        codec: how values become payloads.

    Raises:
        InstanceNotFoundError: there is no such instance.
        IllegalTransitionError: it has ended.
        UnknownEventTypeError: the workflow does not list that type.
        CodecError: the payload does not fit the type.
        StepNameError: the id cannot be used.
    """
    name, payload_type = workflow.payload_type(event)
    check_id(event_id, "event id")
    encoded = checked(workflow.local_codec(codec), payload, payload_type, f"the payload of event {name!r}")
    instance = snapshot.instance
    if instance is None:
        raise InstanceNotFoundError(ref)
    if instance.status in TERMINAL:
        raise IllegalTransitionError(ref, instance.status, "send an event to")
    sent = Event(instance_ref=ref, id=event_id, type=name, payload=encoded, created_at=snapshot.now)
    hook = Hook(
        id=message_id(ref, event_id),
        instance_ref=ref,
        run_number=None,
        workflow_name=instance.workflow_name,
        instance_id=instance.instance_id,
        reason="event",
        due_at=snapshot.now,
        created_at=snapshot.now,
    )
    return Plan(ref, execution_id, (Exists(ref),), (AddEvent(sent), AddHook(hook)), EventSent(event_id))


def plan_defer(snapshot: Snapshot, fired: FiredHook, error: Exception, *, execution_id: str) -> Plan:
    """Put off the hook of a tick that failed for a reason that is not the workflow's (rules G10, D3, R1).

    The *snapshot's* row of the hook is put back with one attempt more, the error's text and a later time, without a
    new version of the instance: that disturbs no running tick. If the hook is gone, the plan is empty.

    Args:
        snapshot: of the instance.
        fired: the hook of the tick that failed.
        error: why it failed.
        execution_id: new for each try.
    """
    ref = fired.hook.instance_ref
    failure = failure_of(error)
    instance = snapshot.instance
    stored = next((hook for hook in snapshot.hooks if hook.id == fired.hook.id), None)
    if instance is None or stored is None:
        return nothing(ref, execution_id, Deferred(None, failure))
    attempts = stored.attempts + 1
    now = max(snapshot.now, fired.timestamp)
    due_at = max(stored.due_at, now + DEFERRAL.delay_after(attempts))
    deferred = attrs.evolve(stored, attempts=attempts, last_error=str(failure), due_at=due_at)
    held = AtVersion(ref, instance.version, instance.execution_id)
    return Plan(ref, execution_id, (held,), (PutHook(deferred),), Deferred(due_at, failure))


def plan_write_failure(snapshot: Snapshot, failed: Plan, error: WriteFailedError, *, execution_id: str) -> Plan:
    """End an instance whose tick could not be applied because a user's write failed (rule T5).

    Nothing of that tick is kept, but for the record of the step that queued the write: it is written ``errored``, its
    attempt counted. If the instance has moved on since, the plan is empty.

    Args:
        snapshot: fresh.
        failed: the plan that was refused.
        error: what the store raised; its ``index`` names the write.
        execution_id: new for each try.
    """
    instance = snapshot.instance
    if instance is None or AtVersion(failed.ref, instance.version, instance.execution_id) not in failed.preconditions:
        return nothing(failed.ref, execution_id, Ignored("the instance has moved on"))
    now = max(snapshot.now, instance.updated_at)
    failure = failure_of(error)
    before = failed.mutations[: error.index]
    step = next((mutation.step for mutation in reversed(before) if isinstance(mutation, PutStep)), None)
    records: dict[str, StepRecord] = {
        record.key: cancelled(record, now, execution_id) for record in waiting(snapshot.steps)
    }
    if step is not None:
        sequence = 1 + last_sequence(snapshot.steps)
        records[step.key] = attrs.evolve(
            step,
            status="errored",
            result=None,
            failure=failure,
            sequence=sequence,
            settled_at=now,
            execution_id=execution_id,
        )
    mutations: tuple[Mutation, ...] = (
        *map(PutStep, records.values()),
        *consumed_pauses(snapshot, instance, now),
        *handled(snapshot.hooks),
    )
    return change(
        instance,
        mutations,
        Errored(failure),
        execution_id=execution_id,
        now=now,
        status="errored",
        failure=failure,
        completed_at=now,
        started_at=instance.started_at or now,
    )


def released(checkpoint: Plan) -> Plan:
    """A checkpoint whose runner will not go on: its timer is due at once, so that another one may (rule O6)."""
    row = next(mutation.instance for mutation in checkpoint.mutations if isinstance(mutation, PutInstance))
    return attrs.evolve(
        checkpoint,
        mutations=tuple(
            PutHook(attrs.evolve(mutation.hook, due_at=row.updated_at)) if isinstance(mutation, PutHook) else mutation
            for mutation in checkpoint.mutations
        ),
    )
