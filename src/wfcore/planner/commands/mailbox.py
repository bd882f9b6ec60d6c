"""Commands that only append to a mailbox (rules M2, M3). Pure: no I/O, no clock: the snapshot's time counts.

They need the instance to exist and not a version of it: a running tick neither refuses them nor conflicts with them.
"""

from __future__ import annotations

from typing import Any

from wfcore.codec import JSON
from wfcore.keys import check_id, message_id, pause_request_id
from wfcore.model import PAUSE_REQUEST, Event, Hook, HookReason, Instance, Snapshot
from wfcore.outcome import EventSent, Outcome, PauseRequested
from wfcore.plan import AddEvent, AddHook, Exists, Plan
from wfcore.planner.changes import is_pause_request, nothing
from wfcore.planner.lifecycle import transition
from wfcore.ports import Codec, checked
from wfcore.workflow import EventType, Workflow


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
    instance, _ = transition(snapshot, ref, "send an event to")
    sent = Event(instance_ref=ref, id=event_id, type=name, payload=encoded, created_at=snapshot.now)
    return _append(instance, sent, "event", EventSent(event_id), execution_id)


def plan_pause(snapshot: Snapshot, ref: str, *, request_id: str, execution_id: str) -> Plan:
    """Ask an instance to pause; the next tick does (rules M3, G5).

    Never in conflict with a running tick: what that tick has got done is committed, or its body runs again after the
    instance was resumed. If the instance is paused, or was asked already, the plan is empty.

    Args:
        snapshot: of the instance.
        ref: the instance.
        request_id: fixed before the first try and the same in every retry.
        execution_id: new for each try.

    Raises:
        InstanceNotFoundError: there is no such instance.
        IllegalTransitionError: it has ended.
        StepNameError: the id cannot be used.
    """
    event_id = pause_request_id(request_id)
    instance, _ = transition(snapshot, ref, "pause")
    if instance.status == "paused":
        return nothing(ref, execution_id, PauseRequested(None))
    pending = next((event.id for event in snapshot.events if is_pause_request(event)), None)
    if pending is not None:
        return nothing(ref, execution_id, PauseRequested(pending))
    request = Event(
        instance_ref=ref, id=event_id, type=PAUSE_REQUEST, payload="null", actor="system", created_at=snapshot.now
    )
    return _append(instance, request, "pause", PauseRequested(event_id), execution_id)


def _append(instance: Instance, event: Event, reason: HookReason, outcome: Outcome, execution_id: str) -> Plan:
    hook = Hook(
        id=message_id(instance.ref, event.id),
        instance_ref=instance.ref,
        run_number=None,
        workflow_name=instance.workflow_name,
        instance_id=instance.instance_id,
        reason=reason,
        due_at=event.created_at,
        created_at=event.created_at,
    )
    return Plan(instance.ref, execution_id, (Exists(instance.ref),), (AddEvent(event), AddHook(hook)), outcome)
