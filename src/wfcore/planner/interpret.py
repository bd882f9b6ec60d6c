"""Which decision or settlement function answers a request: the one place that knows all step kinds. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, assert_never

import attrs

from wfcore.errors import CodecError, CorruptRecordError, NonDeterminismError
from wfcore.keys import digest
from wfcore.model import Event, Instance, Payload, StepRecord
from wfcore.planner.bodies import check_arity, result_type
from wfcore.planner.calls import Attempt, Raised, Returned, StepCall
from wfcore.planner.refusals import outgrown
from wfcore.planner.requests import Request
from wfcore.planner.steps.decision import Decision, Raise, Return, Run, Stamp, wanted_event
from wfcore.planner.steps.do import Do, decide_do, settle_do
from wfcore.planner.steps.sleep import Sleep, decide_sleep, open_sleep, settle_sleep
from wfcore.planner.steps.wait import WaitForEvent, decide_wait, open_wait, settle_wait
from wfcore.ports import Codec, checked
from wfcore.workflow import Workflow


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
            if isinstance(spec, Do):  # not an arm of the match, which is slow: replay asks this for each recorded step
                decision: Decision = decide_do(record, spec, record.created_at, self._decode)
            else:
                match spec:
                    case Sleep():
                        decision = decide_sleep(record)
                    case WaitForEvent():
                        decision = decide_wait(record, spec, self.codec.decode)
                    case unreachable:
                        assert_never(unreachable)
        except CodecError as error:
            raise outgrown(error, f"the result of step {record.key!r}") from None
        if isinstance(decision, (Return, Raise)):
            return decision
        identity = f"{record.instance_ref}, run {record.run_number}, {record.key}"
        raise CorruptRecordError("steps", identity, f"sequence {record.sequence}, but status {record.status}")

    def open(self, request: Request, stamp: Stamp) -> StepRecord | None:
        """The record of a wait's first visit; a ``do`` has none before its first attempt."""
        match request.spec:
            case Do():
                return None
            case Sleep():
                return open_sleep(self._blank(request, stamp), request.spec, stamp)
            case WaitForEvent():
                return open_wait(self._blank(request, stamp), request.spec, stamp)
            case unreachable:
                assert_never(unreachable)

    def check(self, request: Request, record: StepRecord) -> None:
        """Refuse a request whose open record wants other event types (rule W13).

        Raises:
            NonDeterminismError: it does.
        """
        spec = request.spec
        if isinstance(spec, WaitForEvent) and record.status == "waiting" and {*record.event_types} != {*spec.types}:
            raise NonDeterminismError(
                self.instance.ref,
                record.key,
                record.sequence,
                (request.key,),
                record.parent_key or "",
                f"an open wait for {sorted(record.event_types)} would now wait for {sorted(spec.types)}",
            )

    def first_due(
        self, requests: Iterable[Request], events: tuple[Event, ...], now: datetime
    ) -> tuple[Request, StepRecord, Event | None] | None:
        """The open wait that became due first, and the event it takes, if any (rule W10); ``None``: none is due.

        By instant, events before deadlines, then in the order in which they were asked for.
        """
        first = None
        for request in requests:
            record = request.record
            if record is None or (found := _due(record, events, now)) is None:
                continue
            if first is None or found[:2] < first[0]:
                first = found[:2], (request, record, found[2])
        return first and first[1]

    def first_ready(self, requests: Iterable[Request], now: datetime) -> tuple[Request, Do, int] | None:
        """The body that was asked for first and may run, and as which attempt; ``None``: none may."""
        for request in requests:
            if isinstance(request.spec, Do):
                decision = decide_do(request.record, request.spec, now, self._decode)
                if isinstance(decision, Run):
                    return request, request.spec, decision.attempt
        return None

    def settle_due(self, request: Request, record: StepRecord, event: Event | None, stamp: Stamp) -> StepRecord:
        """The record of a wait that is due."""
        if isinstance(request.spec, WaitForEvent):
            return settle_wait(record, event, self.codec.decode, request.spec, stamp)
        return settle_sleep(record, stamp)

    def call(self, request: Request, do: Do, attempt: int) -> StepCall:
        """The body to perform.

        Raises:
            StepBodyError: it does not take exactly one argument, or the type of its result cannot be resolved
                (rule S16): found before it runs, so that it does not run again and again because of it.
        """
        check_arity(request.key, do.body)
        self._type(request.key, do)
        last = request.record.failure if request.record else None
        key = digest(
            "idempotency", self.instance.ref, self.instance.created_by, str(self.instance.key_run), request.key
        ).hex()[:32]
        return StepCall(request.key, request.name, Attempt(attempt, key, last and last.without_traceback()), do.body)

    def settle_body(self, request: Request, do: Do, result: Returned[Any] | Raised, stamp: Stamp) -> StepRecord:
        """The record after an attempt."""
        record = request.record or self._blank(request, stamp)

        def encode(value: object) -> Payload:
            return checked(self.codec, value, self._type(request.key, do), f"the result of step {request.key!r}")

        return settle_do(record, result, do.retry, encode, stamp)

    def _decode(self, record: StepRecord, do: Do) -> Any:
        return self.codec.decode(record.result or "", self._type(record.key, do))

    def _type(self, step_key: str, do: Do) -> Any:
        if do.returns is not attrs.NOTHING:
            return do.returns
        return result_type(step_key, do.body, self.workflow.local_names)

    def _blank(self, request: Request, stamp: Stamp) -> StepRecord:
        return request.blank(stamp.now, self.instance.ref, self.instance.run_number, stamp.execution_id)


def _due(record: StepRecord, events: tuple[Event, ...], now: datetime) -> tuple[datetime, int, Event | None] | None:
    """When an open wait became due, whether by an event (0) or by its deadline (1), and the event (rule W6)."""
    event = wanted_event(record, events)
    if event is not None:
        return max(event.created_at, record.created_at), 0, event
    if record.wake_at is not None and record.wake_at <= now:
        return max(record.wake_at, record.created_at), 1, None
    return None
