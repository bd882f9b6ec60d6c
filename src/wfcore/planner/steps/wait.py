"""``wait_for_event``: the first fitting event, or a deadline (rules W4 to W8, W11 to W13). Pure: no clock, no I/O."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

import attrs

from wfcore.errors import CodecError, EventTimeoutError, StepFailedError
from wfcore.failure import failure_of
from wfcore.model import Event, Payload, StepRecord
from wfcore.planner.attempt import Attempt
from wfcore.planner.steps.decision import LATEST, Raise, Return, Stamp
from wfcore.workflow import Received

_PAYLOAD = ',"payload":'


@attrs.frozen
class WaitForEvent:
    """What workflow code asks for.

    Attributes:
        types: payload types by event type.
        timeout: counted from the first visit; ``None``: no deadline.
        on_consume: a body that runs when the event is taken, with the attempt and what was received (rule W9).
    """

    types: Mapping[str, Any]
    timeout: timedelta | None
    on_consume: Callable[[Attempt, Received[Any]], Any] | None = None


def open_wait(blank: StepRecord, wait: WaitForEvent, stamp: Stamp) -> StepRecord:
    """The record of a first visit: the deadline is absolute from here on (W1); beyond the calendar there is none."""
    until = None
    if wait.timeout is not None and wait.timeout <= LATEST - stamp.now:
        until = stamp.now + wait.timeout
    return attrs.evolve(blank, wake_at=until, event_types=tuple(wait.types))


def is_unset(record: StepRecord) -> bool:
    """Whether a waiting record does not know what it waits for: it failed, and was opened again (rule M7)."""
    return record.kind == "wait_for_event" and not record.event_types


def decide_wait(record: StepRecord, wait: WaitForEvent, decode: Callable[[Payload, Any], Any]) -> Return | Raise | None:
    """What a record gives: the event that was taken, or the failure (rules W7, W8); ``None``: it has not settled."""
    if record.status == "completed":
        return Return(_received(record.result or "", wait, decode))
    if record.status == "errored" and record.failure is not None:
        if record.failure.is_a(EventTimeoutError):
            return Raise(_timeout(record))
        return Raise(StepFailedError(record.key, record.failure.without_traceback()))
    return None


def settle_wait(
    record: StepRecord, event: Event | None, decode: Callable[[Payload, Any], Any], wait: WaitForEvent, stamp: Stamp
) -> StepRecord:
    """The record of a wait that takes ``event``, or whose deadline has passed if there is none (rules W6, W7, W12)."""
    settled = attrs.evolve(record, sequence=stamp.sequence, settled_at=stamp.now, execution_id=stamp.execution_id)
    if event is None:
        return attrs.evolve(settled, status="errored", failure=failure_of(_timeout(record)))
    try:
        decode(event.payload, wait.types[event.type])
    except CodecError as error:
        return attrs.evolve(settled, status="errored", event_id=event.id, failure=failure_of(error))
    return attrs.evolve(settled, status="completed", event_id=event.id, result=_envelope(event))


def receive(event: Event, wait: WaitForEvent, decode: Callable[[Payload, Any], Any]) -> Received[Any]:
    """The event as workflow code and ``on_consume`` see it (rule W8). Raises ``CodecError`` (rule W12)."""
    return _received(_envelope(event), wait, decode)


def refuse_wait(record: StepRecord, error: Exception, stamp: Stamp) -> StepRecord:
    """The record of a wait whose ``on_consume`` raised: errored, and it has taken no event (rule W9)."""
    return attrs.evolve(
        record,
        status="errored",
        attempts=1,
        failure=failure_of(error),
        sequence=stamp.sequence,
        settled_at=stamp.now,
        execution_id=stamp.execution_id,
    )


def _timeout(record: StepRecord) -> EventTimeoutError:
    # A wait without a deadline never times out.
    return EventTimeoutError(record.key, record.event_types, record.wake_at or record.created_at)


def _envelope(event: Event) -> Payload:
    # The payload is put in as it came, byte for byte; everything before it is written here, so it can be split off.
    head = {"type": event.type, "id": event.id, "created_at": event.created_at.isoformat()}
    return json.dumps(head, separators=(",", ":"))[:-1] + _PAYLOAD + event.payload + "}"


def _received(envelope: Payload, wait: WaitForEvent, decode: Callable[[Payload, Any], Any]) -> Received[Any]:
    head, separator, payload = envelope.partition(_PAYLOAD)
    if not separator:
        raise CodecError("$", "a received event", "another text")
    fields = json.loads(head + "}")
    if fields["type"] not in wait.types:
        raise CodecError("$.type", f"one of {sorted(wait.types)}", repr(fields["type"]))
    return Received(
        type=fields["type"],
        payload=decode(payload[:-1], wait.types[fields["type"]]),
        id=fields["id"],
        created_at=datetime.fromisoformat(fields["created_at"]),
    )
