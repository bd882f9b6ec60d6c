"""``Step``: the steps of a ``def`` workflow. They make requests: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, TypeVar, final, overload

import attrs
from typing_extensions import TypeForm

from wfcore.planner.attempt import Attempt
from wfcore.planner.handles import Handle
from wfcore.retry import Retry
from wfcore.workflow import EventType, Received

T = TypeVar("T")
E = TypeVar("E")
E1 = TypeVar("E1")
E2 = TypeVar("E2")


@final
class Step(Handle):
    """The steps of a ``def`` workflow. Calls return when the step has settled; a wait unwinds the call stack."""

    __slots__ = ()

    def scope(self, name: str) -> Step:
        """A handle whose step names are counted on their own (rule K2)."""
        return Step(self._replay, self._branch, self._child(name))

    @overload
    def do(
        self,
        name: str,
        body: Callable[[Attempt], T],
        *,
        returns: TypeForm[T],
        retry: Retry | None = None,
        at_most_once: timedelta | None = None,
    ) -> T: ...
    @overload
    def do(
        self,
        name: str,
        body: Callable[[Attempt], T],
        *,
        retry: Retry | None = None,
        at_most_once: timedelta | None = None,
    ) -> T: ...
    def do(
        self,
        name: str,
        body: Callable[[Attempt], Any],
        *,
        returns: Any = attrs.NOTHING,
        retry: Retry | None = None,
        at_most_once: timedelta | None = None,
    ) -> Any:
        """Run a body once its turn comes, record its result, and return it; on replay return the recorded result.

        Bodies are at-least-once (rule S12): use ``attempt.idempotency_key`` for effects outside.

        Args:
            name: the step's name, unique by repetition number within its scope.
            body: called with the :class:`Attempt`.
            returns: type of the result; left out: the body's return annotation, else plain JSON (rule S15).
            retry: how often and how fast to try again; left out: one attempt.
            at_most_once: commit the start of an attempt before its body runs. A start that leaves no result within
                that time, because its worker has died, counts as a failed attempt and is not run again, unless
                ``retry`` says so (rule S13).

        Raises:
            StepFailedError: no attempts are left, or the failure is final (rules S2, S7).
        """
        return self._replay.call(self._do(name, body, returns, retry, at_most_once))

    def sleep(self, name: str, duration: timedelta) -> None:
        """Go on after ``duration``, counted from the first visit (rules W1 to W3)."""
        self._replay.call(self._sleep(name, duration))

    def sleep_until(self, name: str, instant: datetime) -> None:
        """Go on at ``instant`` (aware); at once if it has passed (rules W1 to W3)."""
        self._replay.call(self._sleep_until(name, instant))

    @overload
    def wait_for_event(
        self,
        name: str,
        event: EventType[E],
        /,
        *,
        timeout: timedelta | None = None,
        on_consume: Callable[[Attempt, Received[E]], Any] | None = None,
    ) -> Received[E]: ...
    @overload
    def wait_for_event(
        self,
        name: str,
        event: EventType[E],
        second: EventType[E1],
        /,
        *,
        timeout: timedelta | None = None,
        on_consume: Callable[[Attempt, Received[E] | Received[E1]], Any] | None = None,
    ) -> Received[E] | Received[E1]: ...
    @overload
    def wait_for_event(
        self,
        name: str,
        event: EventType[E],
        second: EventType[E1],
        third: EventType[E2],
        /,
        *,
        timeout: timedelta | None = None,
        on_consume: Callable[[Attempt, Received[E] | Received[E1] | Received[E2]], Any] | None = None,
    ) -> Received[E] | Received[E1] | Received[E2]: ...
    @overload
    def wait_for_event(
        self,
        name: str,
        event: EventType[Any] | str,
        /,
        *more: EventType[Any] | str,
        timeout: timedelta | None = None,
    ) -> Received[Any]: ...
    @overload
    def wait_for_event(
        self,
        name: str,
        event: str,
        /,
        *more: EventType[Any] | str,
        timeout: timedelta | None = None,
        on_consume: Callable[[Attempt, Received[Any]], Any],
    ) -> Received[Any]: ...
    @overload
    def wait_for_event(
        self,
        name: str,
        event: EventType[Any],
        second: str,
        /,
        *more: EventType[Any] | str,
        timeout: timedelta | None = None,
        on_consume: Callable[[Attempt, Received[Any]], Any],
    ) -> Received[Any]: ...
    @overload
    def wait_for_event(
        self,
        name: str,
        event: EventType[Any],
        second: EventType[Any],
        third: EventType[Any] | str,
        fourth: EventType[Any] | str,
        /,
        *more: EventType[Any] | str,
        timeout: timedelta | None = None,
        on_consume: Callable[[Attempt, Received[Any]], Any],
    ) -> Received[Any]: ...
    def wait_for_event(
        self,
        name: str,
        event: EventType[Any] | str,
        /,
        *more: EventType[Any] | str,
        timeout: timedelta | None = None,
        on_consume: Callable[[Attempt, Received[Any]], Any] | None = None,
    ) -> Received[Any]:
        """Take the first event of the wanted type(s), in order of arrival; also one that was sent before (W4 to W8).

        Args:
            name: the step's name.
            event: the type; a ``str`` means plain JSON payloads.
            more: further types, one of which will do.
            timeout: counted from the first visit; ``None``: wait for ever; zero: only what is already there.
            on_consume: a body that runs when the event is taken, with the attempt and what was received; what it
                queues commits with the consumption. If it raises, the step fails and the event is offered to the
                other open waits (rule W9).

        Raises:
            EventTimeoutError: no such event was created before the deadline.
            StepFailedError: the event's payload does not fit its type (rule W12), or ``on_consume`` raised.
        """
        received: Received[Any] = self._replay.call(self._wait(name, (event, *more), timeout, on_consume))
        return received
