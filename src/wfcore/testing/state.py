"""Rows out of what a test says of them: everything else as the rules have it (rule O5). No I/O, no clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import attrs

from wfcore.errors import EventTimeoutError
from wfcore.failure import Failure, failure_of
from wfcore.keys import StepKey, build_ref, parse_ref
from wfcore.model import TERMINAL, Event, Hook, HookReason, Instance, InstanceStatus, Payload, Snapshot, StepRecord
from wfcore.planner.steps.decision import Stamp, earliest_deadline, is_waiting
from wfcore.planner.steps.wait import WaitForEvent, settle_wait
from wfcore.ports import Codec
from wfcore.testing.rows import GivenEvent, GivenHook, GivenStep, InstanceFields, Stored, type_name
from wfcore.testing.values import encoded, items_mark, type_of, with_results
from wfcore.workflow import EventType, Registry, Workflow

BEFORE = "before"
"""Execution id of the plan that has written what a test gives."""
_SETTLED = ("completed", "errored")
_ORDERED = ("do", "sleep", "wait_for_event")


@attrs.frozen(kw_only=True)
class Said:
    """What a test says of an instance.

    Attributes:
        workflow: its workflow.
        params: a value, or ``Stored`` text.
        fields: of its row.
        steps: of its run, settled ones in the order of their settlement.
        events: that nobody has taken, in order of arrival.
        hooks: all of them; ``None``: as rule O5 wants them.
        at: when the test begins.
    """

    workflow: Workflow[Any, Any]
    params: Any
    fields: InstanceFields
    steps: Sequence[GivenStep]
    events: Sequence[GivenEvent]
    hooks: Sequence[GivenHook] | None
    at: datetime

    def snapshot(self, registry: Registry, codec: Codec) -> Snapshot:
        """The snapshot that holds what was said.

        Raises:
            UnfitValueError: a value does not fit its type.
        """
        local = self.workflow.local_codec(codec)
        instance = self._instance(local)
        steps = tuple(self._steps(instance, local))
        events = tuple(event_row(each, number, self, instance, local) for number, each in enumerate(self.events, 1))
        hooks = self._hooks(instance, steps, events)
        snapshot = Snapshot(instance=instance, steps=steps, events=events, hooks=hooks, now=self.at)
        values = {
            each.key: each.result
            for each in self.steps
            if each.kind == "do" and each.status == "completed" and not isinstance(each.result, Stored)
        }
        return with_results(snapshot, values, registry, codec)

    def _instance(self, codec: Codec) -> Instance:
        said: dict[str, Any] = dict(self.fields)
        instance_id = said.pop("id", "1")
        if "output" in said:
            what = f"the output of {self.workflow.name!r}"
            said["output"] = encoded(codec, said["output"], self.workflow.result_type, what)
        if isinstance(said.get("failure"), Exception):
            said["failure"] = failure_of(said["failure"])
        status = said.get("status", self._status())
        has_begun = bool(self.steps) or status in ("waiting", *TERMINAL)
        dull = {
            "status": status,
            "key_run": said.get("run_number", 1),
            "created_at": self.at,
            "updated_at": self.at,
            "started_at": self.at if has_begun else None,
            "completed_at": self.at if status in TERMINAL else None,
            "execution_id": BEFORE,
            "created_by": BEFORE,
        }
        return Instance(
            ref=build_ref(self.workflow.name, instance_id),
            workflow_name=self.workflow.name,
            instance_id=instance_id,
            params=encoded(codec, self.params, self.workflow.params_type, f"the parameters of {self.workflow.name!r}"),
            **{**dull, **said},
        )

    def _status(self) -> InstanceStatus:
        """The status that the steps show: parked, unless there is more to do, or a body may be running."""
        statuses = {step.status for step in self.steps}
        return "waiting" if "waiting" in statuses and "started" not in statuses else "active"

    def _steps(self, instance: Instance, codec: Codec) -> Iterable[StepRecord]:
        last = 0
        for key, count in Counter(said.key for said in self.steps).items():
            if count > 1:
                raise ValueError(f"steps: {count} records of {key!r}; the next one of that name is {key + '#1'!r}")
        for said in self.steps:
            record = step_row(said, instance, self.at, last + 1, codec)
            last = max(last, record.sequence or 0)
            yield record

    def _hooks(self, instance: Instance, steps: Iterable[StepRecord], events: Iterable[Event]) -> tuple[Hook, ...]:
        if self.hooks is not None:
            return tuple(hook_row(each, instance.ref, instance.run_number, self.at) for each in self.hooks)
        messages = (GivenHook(f"msg:{each.id}", each.created_at) for each in events)
        live = earliest_deadline(step for step in steps if is_waiting(step))
        due_at = {"active": live or self.at, "waiting": live}.get(instance.status)
        timers = [GivenHook("timer", due_at, "current")] if due_at is not None else []
        return tuple(hook_row(each, instance.ref, instance.run_number, self.at) for each in (*timers, *messages))


def step_row(said: GivenStep, instance: Instance, at: datetime, sequence: int, codec: Codec) -> StepRecord:
    """The record of a step; ``sequence`` is the number that it takes if it has settled."""
    key = StepKey.parse(said.key)
    began = said.fields.get("created_at", instance.started_at or at)
    has_settled = said.status not in ("waiting", "started")
    attempts = int(said.kind == "do" and said.status not in ("started", "cancelled"))
    dull: dict[str, Any] = {
        "attempts": attempts,
        "max_attempts": said.fields.get("attempts", attempts) + (not has_settled) if said.kind == "do" else None,
        "sequence": sequence if said.status in _SETTLED and said.kind in _ORDERED else None,
        "created_at": began,
        "settled_at": began if has_settled else None,
        "wake_at": began if has_settled and said.kind == "sleep" else None,
        "execution_id": BEFORE,
    }
    record = StepRecord(
        instance_ref=instance.ref,
        run_number=instance.run_number,
        key=said.key,
        kind=said.kind,
        name=key.path[-1].name,
        parent_key=key.parent_key,
        depth=key.depth,
        status=said.status,
        failure=_failure(said.failure),
        **{**dull, **said.fields},
    )
    if said.timed_out:
        error = EventTimeoutError(record.key, record.event_types, record.wake_at or began)
        return attrs.evolve(record, failure=failure_of(error))
    return _with_result(record, said.result, codec, at)


def _with_result(record: StepRecord, result: Any, codec: Codec, at: datetime) -> StepRecord:
    what = f"the result of {record.key!r}"
    if isinstance(result, Stored):
        return attrs.evolve(record, result=result.payload)
    if isinstance(result, GivenEvent):
        sent = Event(
            instance_ref=record.instance_ref,
            id=result.id or "e1",
            type=type_name(result.type),
            payload=_payload(result, codec, result.type),
            created_at=result.at or at,
        )
        taken = WaitForEvent({sent.type: Any}, None)
        stamp = Stamp(now=record.settled_at or at, sequence=record.sequence or 1, execution_id=record.execution_id)
        received = settle_wait(record, sent, lambda _payload, _type: None, taken, stamp)
        return attrs.evolve(record, result=received.result, event_id=sent.id)
    if record.kind == "map" and record.status == "completed":
        return attrs.evolve(record, result=items_mark(codec, result, what))
    return record


def event_row(said: GivenEvent, number: int, given: Said, instance: Instance, codec: Codec) -> Event:
    """The row of an event in the mailbox."""
    type_: EventType[Any] | str = said.type
    if said.actor == "user" and given.workflow.events is not None:
        type_ = given.workflow.events.get(type_name(said.type), said.type)
    return Event(
        instance_ref=instance.ref,
        id=said.id or f"e{number}",
        type=type_name(type_),
        payload=_payload(said, codec, type_),
        actor=said.actor,
        created_at=said.at or given.at,
    )


def hook_row(said: GivenHook, ref: str, run_number: int, at: datetime) -> Hook:
    """The row of a wake-up; the one that fires is one, too."""
    workflow_name, instance_id = parse_ref(ref)
    reasons: dict[str, HookReason] = {"msg": "event", "terminal": "terminal"}
    return Hook(
        id=f"{ref}#{said.name}",
        instance_ref=ref,
        run_number=run_number if said.run == "current" else said.run,
        workflow_name=workflow_name,
        instance_id=instance_id,
        reason=reasons.get(said.name.partition(":")[0], "wake"),
        due_at=said.due_at or at,
        created_at=at,
        attempts=said.attempts,
        last_error=said.last_error,
    )


def _payload(said: GivenEvent, codec: Codec, type_: EventType[Any] | str) -> Payload:
    payload_type = type_of(said.payload) if isinstance(type_, str) else type_.payload_type
    return encoded(codec, said.payload, payload_type, f"the payload of event {type_name(type_)!r}")


def _failure(failure: Exception | Failure | None) -> Failure | None:
    return failure_of(failure) if isinstance(failure, Exception) else failure
