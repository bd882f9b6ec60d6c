"""Which decision or settlement function answers a request: the one place that knows all step kinds. Pure: no I/O."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any, cast

import attrs

from wfcore.errors import CodecError, CorruptRecordError, InstanceNotFoundError, NonDeterminismError
from wfcore.failure import Failure
from wfcore.keys import digest
from wfcore.model import Event, Instance, Payload, StepRecord
from wfcore.planner.attempt import Attempt
from wfcore.planner.bodies import check_arity, item_type, result_type
from wfcore.planner.calls import Raised, Returned, StepCall
from wfcore.planner.refusals import outgrown
from wfcore.planner.requests import Request
from wfcore.planner.steps.decision import Raise, Return, Stamp, is_waiting, wanted_event
from wfcore.planner.steps.do import Do, decide_do, interrupted, settle_do, start_do
from wfcore.planner.steps.sleep import Sleep, decide_sleep, open_sleep, settle_sleep
from wfcore.planner.steps.wait import (
    WaitForEvent,
    decide_wait,
    is_unset,
    open_wait,
    refuse_wait,
    settle_wait,
)
from wfcore.ports import Codec, checked
from wfcore.workflow import Received, Workflow


@attrs.frozen(kw_only=True)
class Interpreter:
    """Answers requests of one instance's workflow.

    Attributes:
        workflow: the workflow.
        instance: the instance as it was retrieved: only what no plan of the run changes is read of it.
        codec: how values become payloads.
    """

    workflow: Workflow[Any, Any]
    instance: Instance
    codec: Codec

    def answer(self, request: Request, record: StepRecord) -> Return | Raise:
        """What a settled record gives back to workflow code.

        Raises:
            CodecError: the stored result does not fit the type that the code gives it now.
            StepBodyError: the type of a result cannot be resolved.
            CorruptRecordError: the record has a place in the order of settlement, and is not settled.
        """
        spec = request.spec
        try:
            if isinstance(spec, Do):  # not an arm of a match, which is slow: replay asks this for each recorded step
                decision: Return | Raise | None = decide_do(record, spec, self._decode)
            elif isinstance(spec, WaitForEvent):
                decision = decide_wait(record, spec, self.codec.decode)
            else:
                decision = decide_sleep(record)
        except CodecError as error:
            raise outgrown(error, f"the result of step {record.key!r}") from None
        if decision is not None:
            return decision
        identity = f"{record.instance_ref}, run {record.run_number}, {record.key}"
        raise CorruptRecordError("steps", identity, f"sequence {record.sequence}, but status {record.status}")

    def open(self, request: Request, stamp: Stamp) -> StepRecord:
        """The record of the first visit of a sleep or a wait; a ``do`` has none before its first attempt."""
        blank = self._blank(request, stamp)
        if isinstance(request.spec, WaitForEvent):
            return open_wait(blank, request.spec, stamp)
        return open_sleep(blank, cast(Sleep, request.spec), stamp)

    def mark(self, request: Request, result: Payload | None, stamp: Stamp) -> StepRecord:
        """The record of a patch, or of the list under a map: complete, without a place in the order (rules K3, D4)."""
        return attrs.evolve(self._blank(request, stamp), status="completed", result=result, settled_at=stamp.now)

    def waiting(self, record: StepRecord, stamp: Stamp) -> StepRecord:
        """The record as a waiting one: a cancelled one is open again, with the deadline that it had (rule M7)."""
        if is_waiting(record):
            return record
        if record.kind == "do" and record.wake_at is not None:  # a start: who has made it stays on record (rule S13)
            return attrs.evolve(record, status="started", settled_at=None)
        return attrs.evolve(record, status="waiting", settled_at=None, execution_id=stamp.execution_id)

    def check(self, request: Request, record: StepRecord) -> None:
        """Refuse a request whose open record wants other event types (rule W13).

        Raises:
            NonDeterminismError: it does.
        """
        spec = request.spec
        if not isinstance(spec, WaitForEvent) or not is_waiting(record) or is_unset(record):
            return
        if {*record.event_types} != {*spec.types}:
            raise NonDeterminismError(
                self.instance.ref,
                record.key,
                None,
                (request.key,),
                record.parent_key or "",
                f"an open wait for {sorted(record.event_types)} would now wait for {sorted(spec.types)}",
            )

    def settle_due(self, request: Request, record: StepRecord, event: Event | None, stamp: Stamp) -> StepRecord:
        """The record of a wait that is due, or of a start that has left no result (rule S13)."""
        if isinstance(request.spec, WaitForEvent):
            return settle_wait(record, event, self.codec.decode, request.spec, stamp)
        if isinstance(request.spec, Do):
            return settle_do(record, interrupted(record), request.spec.retry, str, stamp)
        return settle_sleep(record, stamp)

    def digest(self, name: str, items: list[Any], function: Any) -> Payload:
        """What is recorded of a list under a map: its number of items, and a digest of them encoded (rule P1).

        Raises:
            CodecError: they cannot be encoded by the type that the function gives its item.
            StepBodyError: that type cannot be resolved.
        """
        type_: Any = list[item_type(name, function, self.workflow.local_names)]  # type: ignore[misc] # a type at run time
        encoded = self.codec.encode(items, type_)
        return json.dumps({"count": len(items), "digest": digest("map", encoded).hex()[:32]})

    # -- bodies

    def call(self, request: Request) -> StepCall:
        """The body to perform.

        Raises:
            StepBodyError: it does not take exactly one argument, or the type of its result cannot be resolved
                (rule S16): found before it runs, so that it does not run again and again because of it.
        """
        do = cast(Do, request.spec)
        check_arity(request.key, do.body)
        record = request.record
        number = 1 if record is None else record.attempts + 1
        last = None if record is None else record.failure
        attempt = self._attempt(request, number, last and last.without_traceback())
        return StepCall(request.key, request.name, attempt, do.body, self._type(request.key, do), do.retry)

    def consume(self, request: Request, event: Event, received: Received[Any]) -> StepCall:
        """The body that decides whether an event is taken (rule W9).

        Raises:
            StepBodyError: it does not take exactly two arguments.
        """
        wait = cast(WaitForEvent, request.spec)
        check_arity(request.key, wait.on_consume, ("attempt", "received"))
        body = partial(_consume, wait.on_consume, received)
        return StepCall(request.key, request.name, self._attempt(request, 1, None), body, event=event)

    def start(self, request: Request, stamp: Stamp) -> StepRecord:
        """The record of an attempt that is committed before its body runs (rule S13)."""
        at_most_once = cast(timedelta, cast(Do, request.spec).at_most_once)
        return start_do(request.record or self._blank(request, stamp), at_most_once, stamp)

    def settle_body(self, request: Request, call: StepCall, result: Returned[Any] | Raised, stamp: Stamp) -> StepRecord:
        """The record after an attempt."""
        record = request.record or self._blank(request, stamp)
        if call.event is not None:
            if isinstance(result, Raised):
                return refuse_wait(record, result.error, stamp)
            return settle_wait(record, call.event, self.codec.decode, cast(WaitForEvent, request.spec), stamp)
        return settle_call(record, call, result, self.codec, stamp)

    def _attempt(self, request: Request, number: int, last: Failure | None) -> Attempt:
        parts = (self.instance.ref, self.instance.created_by, str(self.instance.key_run), request.key)
        return Attempt(number, digest("idempotency", *parts).hex()[:32], last, self.codec)

    def _decode(self, record: StepRecord, do: Do) -> Any:
        return self.codec.decode(record.result or "", self._type(record.key, do))

    def _type(self, step_key: str, do: Do) -> Any:
        if do.returns is not attrs.NOTHING:
            return do.returns
        return result_type(step_key, do.body, self.workflow.local_names)

    def _blank(self, request: Request, stamp: Stamp) -> StepRecord:
        return request.blank(stamp.now, self.instance.ref, self.instance.run_number, stamp.execution_id)


def first_due(
    requests: Iterable[Request], events: tuple[Event, ...], now: datetime, held_until: datetime | None = None
) -> tuple[Request, StepRecord, Event | None] | None:
    """What became due first, and the event it takes, if any (rule W10); ``None``: nothing is due.

    By instant, events before deadlines, then by branch, the one that stands first in the code. An event that came until
    ``held_until`` is not taken yet: a body in flight decides about one that came before.
    """
    by_type: dict[str, list[Event]] = {}
    for event in events:
        by_type.setdefault(event.type, []).append(event)
    first = None
    for request in requests:
        record = request.record
        if record is None:
            continue
        one_type = len(record.event_types) == 1  # of thousands of branches each may wait for a type of its own
        found = _due(record, by_type.get(record.event_types[0], ()) if one_type else events, now)
        if found is None or (held_until is not None and found[2] is not None and found[0] <= held_until):
            continue
        place = (*found[:2], request.branch.order)
        if first is None or place < first[0]:
            first = place, (request, record, found[2])
    return first and first[1]


def settle_call(
    record: StepRecord, call: StepCall, result: Returned[Any] | Raised, codec: Codec, stamp: Stamp
) -> StepRecord:
    """The record of a ``do`` after an attempt; needs nothing of workflow code (rule S13)."""

    def encode(value: object) -> Payload:
        return checked(codec, value, call.returns, f"the result of step {call.key!r}")

    return settle_do(record, result, call.retry, encode, stamp)


def unless_undeliverable(
    call: StepCall, result: Returned[Any] | Raised, absent: frozenset[str]
) -> Returned[Any] | Raised:
    """The result, or the failure that it is if a required event has nobody to go to (rule T4)."""
    missing = call.attempt.undeliverable(absent) if isinstance(result, Returned) else None
    return result if missing is None else Raised(InstanceNotFoundError(missing))


def _consume(on_consume: Any, received: Received[Any], attempt: Attempt) -> Any:
    return on_consume(attempt, received)


def _due(record: StepRecord, events: Sequence[Event], now: datetime) -> tuple[datetime, int, Event | None] | None:
    """When it became due, whether by an event (0) or by its deadline (1), and the event (rule W6)."""
    event = wanted_event(record, events)
    if event is not None:
        return max(event.created_at, record.created_at), 0, event
    if record.wake_at is not None and record.wake_at <= now:
        return max(record.wake_at, record.created_at), 1, None
    return None
