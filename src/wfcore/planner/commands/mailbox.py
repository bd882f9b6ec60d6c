"""Commands that only append to a mailbox (rules M2, M3). Pure: no I/O, no clock: the snapshot's time counts.

They need the instance to exist and not a version of it: a running tick neither refuses them nor conflicts with them.
"""

from __future__ import annotations

from typing import Any

from wfcore.codec import JSON
from wfcore.errors import IllegalTransitionError, InstanceNotFoundError
from wfcore.keys import check_id, message_id
from wfcore.model import TERMINAL, Event, Hook, Snapshot
from wfcore.outcome import EventSent
from wfcore.plan import AddEvent, AddHook, Exists, Plan
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
