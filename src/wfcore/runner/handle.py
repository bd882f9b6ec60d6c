"""Handles: one instance, typed by its workflow, with what can be asked of it and sent to it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, TypeVar, overload

import attrs

from wfcore.explain import Explanation
from wfcore.model import Instance, InstanceStatus
from wfcore.ports import History
from wfcore.runner.doors import at_once
from wfcore.runner.orders import deleting, resuming, retrying
from wfcore.runner.preview import Preview
from wfcore.runner.reading import history
from wfcore.runner.requests import Address, explanation, result
from wfcore.workflow import EventType

E = TypeVar("E")
R_co = TypeVar("R_co", covariant=True)


class Reading(Address[R_co]):
    """What can be asked of an instance: nothing is written."""

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

    def history(self, *, run: int | None = None) -> History:
        """What is recorded of a run, in order (rule M9).

        Args:
            run: number of the run, from 1; left out: the current one. Others need a store with a catalog.

        Raises:
            InstanceNotFoundError: there is no such instance.
            RunNotFoundError: it has no such run.
            MissingCapabilityError: it is a run before, and the store has no catalog.
        """
        return at_once(history(self._commander, self.ref, run))

    def explain(self) -> Explanation:
        """What the instance is waiting for, until when, and what would wake it (rule M10). ``print`` it.

        Raises:
            InstanceNotFoundError: there is no such instance.
        """
        return at_once(explanation(self._commander, self.ref))


class Handle(Reading[R_co]):
    """One instance. Making a handle reads nothing; it need not exist yet.

    Attributes:
        workflow: its workflow.
        id: its id within the workflow.
        ref: its identity in the store.
    """

    __slots__ = ()

    @property
    def preview(self) -> Preview:
        """Its commands as plans to look at: ``client.apply(handle.preview.terminate())``."""
        return Preview(self._commander, self.workflow, self.id)

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
        at_once(self._commander.execute(self._sending(event, payload, id)))

    def pause(self) -> None:
        """Ask the instance to pause; the next tick does, between two steps (rule M3).

        Raises:
            InstanceNotFoundError: there is no such instance.
            IllegalTransitionError: it has ended; the error names what can be done with it.
            ContentionError: it lost against other writers too often, or it is not known whether it took effect (M12).
        """
        at_once(self._commander.execute(self._pausing()))

    def resume(self) -> None:
        """Let a paused instance go on, and withdraw requests to pause (rule M4).

        Raises:
            InstanceNotFoundError: there is no such instance.
            IllegalTransitionError: it has ended; the error names what can be done with it.
            ContentionError: it lost against other writers too often, or it is not known whether it took effect (M12).
        """
        at_once(self._commander.execute(resuming(self.ref)))

    def terminate(self) -> None:
        """End the instance: what it waits for is cancelled, a tick at work is lost (rule M5).

        Raises:
            InstanceNotFoundError: there is no such instance.
            IllegalTransitionError: it has ended; the error names what can be done with it.
            ContentionError: it lost against other writers too often, or it is not known whether it took effect (M12).
        """
        at_once(self._commander.execute(self._terminating()))

    def restart(self, params: object = attrs.NOTHING, /, *, keep_keys: bool = False) -> None:
        """Begin a new run, from any status; the rows of the run before stay (rule M6).

        Args:
            params: of the new run; left out: those of the run before.
            keep_keys: whether its steps have the idempotency keys of the run before, and not new ones.

        Raises:
            InstanceNotFoundError: there is no such instance.
            CodecError: the params do not fit.
            ContentionError: it lost against other writers too often, or it is not known whether it took effect (M12).
        """
        at_once(self._commander.execute(self._restarting(params, keep_keys=keep_keys)))

    def retry(self) -> None:
        """Let an instance that has failed go on in the same run, from the steps that failed (rule M7).

        Raises:
            InstanceNotFoundError: there is no such instance.
            IllegalTransitionError: it has not failed; the error names what can be done with it.
            StepNotRetryableError: something was done after the step that failed: restart it instead.
            ContentionError: it lost against other writers too often, or it is not known whether it took effect (M12).
        """
        at_once(self._commander.execute(retrying(self.ref)))

    def delete(self) -> None:
        """Delete an instance that has ended, with all its rows of every run (rule M11).

        Raises:
            InstanceNotFoundError: there is no such instance.
            IllegalTransitionError: it has not ended: terminate it first.
            NoticePendingError: its end was not announced yet (rule O7).
            ContentionError: it lost against other writers too often, or it is not known whether it took effect (M12).
        """
        at_once(self._commander.execute(deleting(self.ref)))
