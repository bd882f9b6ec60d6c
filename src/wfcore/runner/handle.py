"""Handles: one instance, typed by its workflow, with what can be asked of it and sent to it."""

from __future__ import annotations

from collections.abc import Container
from datetime import timedelta
from typing import Any, Generic, TypeVar, final, overload

import attrs

from wfcore.errors import (
    InstanceFailedError,
    InstanceNotFoundError,
    InstanceTerminatedError,
    NotFinishedError,
)
from wfcore.failure import Failure
from wfcore.keys import build_ref
from wfcore.model import TERMINAL, Event, Instance, InstanceStatus, Snapshot, StepRecord
from wfcore.plan import Plan
from wfcore.planner import plan_send_event
from wfcore.runner.arguments import check_durations
from wfcore.runner.commander import Commander
from wfcore.workflow import EventType, Workflow

E = TypeVar("E")
R_co = TypeVar("R_co", covariant=True)


@attrs.frozen(kw_only=True)
class History:
    """What is recorded of one run.

    Attributes:
        instance: the instance.
        steps: its records: those that have settled in the order in which they did, then those that wait.
        events: those that nobody has taken yet, in the order of arrival.
    """

    instance: Instance
    steps: tuple[StepRecord, ...]
    events: tuple[Event, ...]


@final
class Handle(Generic[R_co]):
    """One instance. Making a handle reads nothing; it need not exist yet.

    Attributes:
        workflow: its workflow.
        id: its id within the workflow.
        ref: its identity in the store.
    """

    __slots__ = ("_commander", "id", "ref", "workflow")

    def __init__(self, commander: Commander, workflow: Workflow[Any, R_co], id: str) -> None:
        self._commander = commander
        self.workflow = workflow
        self.id = id
        self.ref = build_ref(workflow.name, id)

    def __repr__(self) -> str:
        return f"Handle({self.ref!r})"

    def get(self) -> Instance:
        """The instance's row.

        Raises:
            InstanceNotFoundError: there is no such instance.
        """
        return self._commander.instance(self.ref)

    def status(self) -> InstanceStatus:
        """Its status.

        Raises:
            InstanceNotFoundError: there is no such instance.
        """
        return self.get().status

    def result(self, *, timeout: timedelta | None = timedelta(0)) -> R_co:
        """What the workflow returned, decoded to its type (rule M9).

        Args:
            timeout: how long to wait for the end: not at all by default; ``None``: without limit. Waiting is woken
                by whoever ends the instance in this process, and polls for other processes.

        Raises:
            NotFinishedError: it has not ended in time.
            InstanceFailedError: it is ``errored``; the error holds the failure.
            InstanceTerminatedError: it was terminated.
            InstanceNotFoundError: there is no such instance.
            CodecError: the stored result does not fit the type that the workflow has now.
        """
        if timeout is not None:
            check_durations(timeout=timeout)
        instance = self._commander.wait(self.ref, lambda found: found.status in TERMINAL, timeout)
        match instance.status:
            case "complete":
                result: R_co = self.workflow.local_codec(self._commander.codec).decode(
                    instance.output or "", self.workflow.result_type
                )
                return result
            case "errored":
                raise InstanceFailedError(
                    self.ref, instance.failure or Failure(type="?", message="no failure recorded")
                )
            case "terminated":
                raise InstanceTerminatedError(self.ref)
            case _:
                raise NotFinishedError(self.ref, instance.status, timeout)

    def history(self) -> History:
        """What is recorded of the current run.

        Raises:
            InstanceNotFoundError: there is no such instance.
        """
        snapshot = self._commander.store.retrieve(self.ref)
        if snapshot.instance is None:
            raise InstanceNotFoundError(self.ref)
        steps = sorted(snapshot.steps, key=lambda step: (step.sequence is None, step.sequence or 0, step.created_at))
        return History(instance=snapshot.instance, steps=tuple(steps), events=snapshot.events)

    @overload
    def send_event(self, event: EventType[None], /, *, id: str | None = None) -> None: ...
    @overload
    def send_event(self, event: EventType[E], payload: E, /, *, id: str | None = None) -> None: ...
    @overload
    def send_event(self, event: str, payload: object = None, /, *, id: str | None = None) -> None: ...
    def send_event(self, event: EventType[Any] | str, payload: Any = None, /, *, id: str | None = None) -> None:
        """Put an event into the instance's mailbox, durably, and wake it (rule M2).

        Args:
            event: the type; a ``str`` means a plain JSON payload.
            payload: checked against the type before anything is stored.
            id: the event's id; sending the same id again changes nothing. Left out: a new one, kept in every retry.

        Raises:
            InstanceNotFoundError: there is no such instance.
            IllegalTransitionError: it has ended.
            UnknownEventTypeError: the workflow lists its event types, and this is none of them.
            CodecError: the payload does not fit.
            StepNameError: the id cannot be used.
            ContentionError, StoreUnavailableError: it is not known to have been sent; send it again by that id.
        """
        event_id = self._commander.runtime.new_id() if id is None else id

        def plan(snapshot: Snapshot, execution_id: str) -> Plan:
            return plan_send_event(
                snapshot,
                self.ref,
                self.workflow,
                event,
                payload,
                event_id=event_id,
                execution_id=execution_id,
                codec=self._commander.codec,
            )

        def was_applied(snapshot: Snapshot, _execution_ids: Container[str]) -> bool | None:
            if any(each.id == event_id for each in snapshot.events):
                return True
            if snapshot.instance is None or snapshot.instance.status in TERMINAL:
                return None  # it may have been taken before the end
            return False  # sending it again is harmless, whether it was taken or not

        self._commander.execute(self.ref, "send_event", plan, was_applied)
