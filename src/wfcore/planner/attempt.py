"""``Attempt``: the argument of a step body, and what the body queues to commit with the step. Values only, no I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, TypeAlias, TypeVar, assert_never, final, overload

import attrs

from wfcore.codec import JSON
from wfcore.failure import Failure
from wfcore.keys import build_ref, check_id, message_id, start_id
from wfcore.model import Event, Hook, HookReason, Instance, Payload
from wfcore.plan import AddEvent, AddHook, AddInstance, Mutation, Write
from wfcore.ports import Codec, checked
from wfcore.workflow import EventType, Workflow

P = TypeVar("P")
E = TypeVar("E")


@attrs.frozen(kw_only=True)
class Start:
    """An instance to create unless there is one of that id (rule T4)."""

    workflow_name: str
    instance_id: str
    params: Payload
    tags: Mapping[str, str]

    @property
    def ref(self) -> str:
        """The instance."""
        return build_ref(self.workflow_name, self.instance_id)


@attrs.frozen(kw_only=True)
class Message:
    """An event to append to another instance's mailbox unless there is one of that id (rule T4)."""

    workflow_name: str
    instance_id: str
    event_id: str
    type: str
    payload: Payload
    required: bool

    @property
    def ref(self) -> str:
        """The instance."""
        return build_ref(self.workflow_name, self.instance_id)


Queued: TypeAlias = Write | Start | Message


@final
@attrs.define(eq=False)
class Attempt:
    """One run of a step body: what it gets to know, and what it may queue to commit with the step.

    Attributes:
        number: 1 for the first attempt.
        idempotency_key: the same for every attempt of this step, another for every other step, run and instance (S10).
        last_failure: why the attempt before this one failed, ``None`` on the first, unless the instance was retried by
            command (rule M7).
    """

    number: int
    idempotency_key: str
    last_failure: Failure | None = None
    _codec: Codec = attrs.field(default=JSON, repr=False)
    _queued: list[Queued] = attrs.field(factory=list, init=False, repr=False)
    _terminal_writes: list[Write] = attrs.field(factory=list, init=False, repr=False)

    def write(self, value: object) -> None:
        """Queue a write that commits, once, in the transaction that records this attempt's success (rule T1)."""
        self._queued.append(Write(value))

    def on_terminal_error(self, value: object) -> None:
        """Queue a write that commits, once, if this attempt ends the step ``errored`` (rule T2)."""
        self._terminal_writes.append(Write(value))

    @overload
    def start(self, workflow: Workflow[None, Any], /, *, id: str, tags: Mapping[str, str] | None = None) -> None: ...
    @overload
    def start(
        self, workflow: Workflow[P, Any], params: P, /, *, id: str, tags: Mapping[str, str] | None = None
    ) -> None: ...
    def start(
        self, workflow: Workflow[Any, Any], params: Any = None, /, *, id: str, tags: Mapping[str, str] | None = None
    ) -> None:
        """Queue the start of another instance; it commits with this attempt's success (rules T1, T4).

        Args:
            workflow: the workflow of the other instance.
            params: checked against its type here and now.
            id: its id; if there is an instance of that id, whatever its state, nothing happens.
            tags: labels.

        Raises:
            CodecError: the params, or the tags, do not fit.
            StepNameError: the id cannot be used.
        """
        what = f"the parameters of {workflow.name!r}"
        labels = checked(self._codec, dict(tags or {}), dict[str, str], "the tags")
        self._queued.append(
            Start(
                workflow_name=workflow.name,
                instance_id=check_id(id, "instance id"),
                params=checked(workflow.local_codec(self._codec), params, workflow.params_type, what),
                tags=self._codec.decode(labels, dict[str, str]),
            )
        )

    @overload
    def send_event(
        self,
        workflow: Workflow[Any, Any],
        id: str,
        event: EventType[None],
        /,
        *,
        event_id: str | None = None,
        required: bool = False,
    ) -> None: ...
    @overload
    def send_event(
        self,
        workflow: Workflow[Any, Any],
        id: str,
        event: EventType[E],
        payload: E,
        /,
        *,
        event_id: str | None = None,
        required: bool = False,
    ) -> None: ...
    @overload
    def send_event(
        self,
        workflow: Workflow[Any, Any],
        id: str,
        event: str,
        payload: object = None,
        /,
        *,
        event_id: str | None = None,
        required: bool = False,
    ) -> None: ...
    def send_event(
        self,
        workflow: Workflow[Any, Any],
        id: str,
        event: EventType[Any] | str,
        payload: Any = None,
        /,
        *,
        event_id: str | None = None,
        required: bool = False,
    ) -> None:
        """Queue an event for another instance; it commits with this attempt's success (rules T1, T4).

        Args:
            workflow: the workflow of the other instance.
            id: its id.
            event: the type; a ``str`` means a plain JSON payload.
            payload: checked against the type here and now.
            event_id: id of the event, added once; left out: derived from this step, the same in every attempt.
            required: an instance that does not exist fails this attempt. Otherwise the event has no effect then, and
                is reported (``Applied.undelivered``, the observer, the log).

        Raises:
            UnknownEventTypeError: the other workflow does not list that type.
            CodecError: the payload does not fit.
            StepNameError: an id cannot be used.
        """
        name, payload_type = workflow.payload_type(event)
        what = f"the payload of event {name!r}"
        count = sum(isinstance(each, Message) for each in self._queued)
        self._queued.append(
            Message(
                workflow_name=workflow.name,
                instance_id=check_id(id, "instance id"),
                event_id=f"{self.idempotency_key}-{count}" if event_id is None else check_id(event_id, "event id"),
                type=name,
                payload=checked(workflow.local_codec(self._codec), payload, payload_type, what),
                required=required,
            )
        )

    def undeliverable(self, absent: frozenset[str]) -> str | None:
        """The ref of an instance that a required event needs and that was found not to exist."""
        return min(self.required() & absent, default=None)

    def required(self) -> frozenset[str]:
        """The refs of the instances that required events need, but for those that this attempt has started before."""
        started: set[str] = set()
        needed: set[str] = set()
        for each in self._queued:
            if isinstance(each, Start):
                started.add(each.ref)
            elif isinstance(each, Message) and each.required and each.ref not in started:
                needed.add(each.ref)
        return frozenset(needed)

    def effects(self, *, succeeded: bool, now: datetime, execution_id: str) -> tuple[Mutation, ...]:
        """What was queued for that ending, as mutations in the order in which they were queued."""
        if not succeeded:
            return tuple(self._terminal_writes)
        return tuple(mutation for each in self._queued for mutation in _mutations(each, now, execution_id))


def _mutations(queued: Queued, now: datetime, execution_id: str) -> Iterator[Mutation]:
    match queued:
        case Write():
            yield queued
        case Start(workflow_name=name, instance_id=instance_id, params=params, tags=tags):
            yield AddInstance(
                Instance(
                    ref=queued.ref,
                    workflow_name=name,
                    instance_id=instance_id,
                    status="active",
                    params=params,
                    tags=tags,
                    created_at=now,
                    updated_at=now,
                    execution_id=execution_id,
                    created_by=execution_id,
                )
            )
            yield AddHook(_hook(queued, start_id(queued.ref), "create", now))
        case Message(event_id=event_id):
            yield AddEvent(
                Event(
                    instance_ref=queued.ref,
                    id=event_id,
                    type=queued.type,
                    payload=queued.payload,
                    created_at=now,
                )
            )
            yield AddHook(_hook(queued, message_id(queued.ref, event_id), "event", now))
        case unreachable:
            assert_never(unreachable)


def _hook(queued: Start | Message, hook_id: str, reason: HookReason, now: datetime) -> Hook:
    return Hook(
        id=hook_id,
        instance_ref=queued.ref,
        run_number=None,
        workflow_name=queued.workflow_name,
        instance_id=queued.instance_id,
        reason=reason,
        due_at=now,
        created_at=now,
    )
