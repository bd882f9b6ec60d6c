"""Handles: one instance, typed by its workflow, with what can be asked of it and sent to it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, TypeVar, overload

from wfcore.model import Instance, InstanceStatus
from wfcore.runner.doors import at_once
from wfcore.runner.requests import Address, History, history, result, send_event
from wfcore.workflow import EventType

E = TypeVar("E")
R_co = TypeVar("R_co", covariant=True)


class Handle(Address[R_co]):
    """One instance. Making a handle reads nothing; it need not exist yet.

    Attributes:
        workflow: its workflow.
        id: its id within the workflow.
        ref: its identity in the store.
    """

    __slots__ = ()

    def get(self) -> Instance:
        """The instance's row.

        Raises:
            InstanceNotFoundError: there is no such instance.
        """
        return at_once(self._commander.instance(self.ref))

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
        return at_once(result(self._commander, self, timeout))

    def history(self) -> History:
        """What is recorded of the current run.

        Raises:
            InstanceNotFoundError: there is no such instance.
        """
        return at_once(history(self._commander, self.ref))

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
        at_once(send_event(self._commander, self, event, payload, id=id))
