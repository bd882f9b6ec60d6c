"""The objects that workflow code holds: ``Step`` and ``AsyncStep``. They make requests: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar, final, overload
from uuid import UUID

import attrs
from typing_extensions import TypeForm

from wfcore.errors import StepNameError, StepUsageError, UnknownEventTypeError
from wfcore.failure import is_plain
from wfcore.keys import digest
from wfcore.plan import LogLine
from wfcore.planner.calls import Attempt
from wfcore.planner.replay import Replay
from wfcore.planner.requests import Branch, Request, Scope
from wfcore.planner.steps.do import Do
from wfcore.planner.steps.sleep import Sleep
from wfcore.planner.steps.wait import WaitForEvent
from wfcore.retry import ONE_ATTEMPT, Retry
from wfcore.workflow import EventType, Received

T = TypeVar("T")
E = TypeVar("E")
E1 = TypeVar("E1")
E2 = TypeVar("E2")


class _Handle:
    """What both colours share: making requests, and the plain calls, which take no sequence."""

    __slots__ = ("_branch", "_replay", "_scope")

    def __init__(self, replay: Replay, branch: Branch, scope: Scope) -> None:
        self._replay = replay
        self._branch = branch
        self._scope = scope

    def now(self) -> datetime:
        """The time as history tells it: of the last settlement that this code has seen, at first of the run's start.

        The same live and on replay (rule D5).
        """
        self._replay.require_current(self._branch, "now")
        return self._branch.clock

    def uuid(self, name: str) -> UUID:
        """An identifier that is the same on every replay: derived from instance, run, scope, name, occurrence (D5)."""
        return UUID(bytes=self._derived("uuid", name)[:16], version=5)

    def random(self, name: str) -> float:
        """A number in [0, 1) that is the same on every replay: derived like :meth:`uuid` (rule D5)."""
        return (int.from_bytes(self._derived("random", name)[:8]) >> 11) / (1 << 53)

    def log(self, message: str, /, **fields: object) -> None:
        """Log a line once, when it is new, under ``wfcore.workflow.<name>`` (rule D8).

        The line is emitted when the step after it, or the end of the workflow, is committed. Fields that are not
        plain JSON are logged as their ``repr``.
        """
        self._replay.require_current(self._branch, "log")
        plain = {name: value if is_plain(value) else repr(value) for name, value in fields.items()}
        self._branch.logs.append(LogLine(str(message), plain))

    def _derived(self, kind: str, name: str) -> bytes:
        key = self._replay.key(self._branch, self._scope, kind, name)
        instance = self._replay.interpreter.instance
        return digest(kind, instance.ref, instance.created_by, str(instance.run_number), key)

    def _child(self, name: str) -> Scope:
        key = self._replay.key(self._branch, self._scope, "scope", name)
        return Scope(key, self._scope.depth + 1)

    def _do(self, name: str, body: Callable[[Attempt], Any], returns: Any, retry: Retry | None) -> Request:
        if retry is not None and not isinstance(retry, Retry):
            raise self._refused(name, f"retry={retry!r}", "pass wfcore.Retry(max_attempts=...)")
        do = Do(body, returns, retry or ONE_ATTEMPT)
        return self._replay.request(self._branch, self._scope, "do", name, do)

    def _sleep(self, name: str, duration: timedelta) -> Request:
        self._require_duration(name, "duration", duration)
        return self._replay.request(self._branch, self._scope, "sleep", name, Sleep(duration))

    def _sleep_until(self, name: str, instant: datetime) -> Request:
        sleep = Sleep(self._require_instant(name, instant))
        return self._replay.request(self._branch, self._scope, "sleep", name, sleep)

    def _wait(self, name: str, events: tuple[EventType[Any] | str, ...], timeout: timedelta | None) -> Request:
        if timeout is not None:
            self._require_duration(name, "timeout", timeout)
        types: dict[str, Any] = {}
        for event in events:
            if not isinstance(event, EventType | str):
                raise self._refused(name, f"event={event!r}", "pass an EventType, or the name of a type as str")
            try:
                event_name, payload_type = self._replay.interpreter.workflow.payload_type(event)
            except StepNameError as error:
                raise self._replay.fault(error) from None
            except UnknownEventTypeError as error:
                raise self._refused(name, f"event={event!r}", f"list it in @workflow(events=...): {error}") from None
            if event_name in types:
                raise self._refused(name, f"event={event!r}", "name each type of event once")
            types[event_name] = payload_type
        return self._replay.request(self._branch, self._scope, "wait_for_event", name, WaitForEvent(types, timeout))

    def _require_duration(self, name: str, what: str, value: object) -> None:
        if not isinstance(value, timedelta) or value < timedelta(0):
            raise self._refused(name, f"{what}={value!r}", "pass a timedelta that is not negative")

    def _require_instant(self, name: str, value: object) -> datetime:
        if isinstance(value, datetime) and value.utcoffset() is not None:
            with suppress(OverflowError):  # at the ends of the calendar, UTC has no such instant
                return value.astimezone(UTC)
        raise self._refused(name, f"instant={value!r}", "pass an aware datetime, such as one from step.now()")

    def _refused(self, name: str, problem: str, advice: str) -> BaseException:
        self._replay.require_current(self._branch, name)
        return self._replay.fault(StepUsageError(name, f"{problem} cannot be used", advice))


@final
class Step(_Handle):
    """The steps of a ``def`` workflow. Calls return when the step has settled; a wait unwinds the call stack."""

    __slots__ = ()

    def scope(self, name: str) -> Step:
        """A handle whose step names are counted on their own (rule K2)."""
        return Step(self._replay, self._branch, self._child(name))

    @overload
    def do(self, name: str, body: Callable[[Attempt], T], *, returns: TypeForm[T], retry: Retry | None = None) -> T: ...
    @overload
    def do(self, name: str, body: Callable[[Attempt], T], *, retry: Retry | None = None) -> T: ...
    def do(
        self, name: str, body: Callable[[Attempt], Any], *, returns: Any = attrs.NOTHING, retry: Retry | None = None
    ) -> Any:
        """Run a body once its turn comes, record its result, and return it; on replay return the recorded result.

        Bodies are at-least-once (rule S12): use ``attempt.idempotency_key`` for effects outside.

        Args:
            name: the step's name, unique by repetition number within its scope.
            body: called with the :class:`Attempt`.
            returns: type of the result; left out: the body's return annotation, else plain JSON (rule S15).
            retry: how often and how fast to try again; left out: one attempt.

        Raises:
            StepFailedError: no attempts are left, or the failure is final (rules S2, S7).
        """
        return self._replay.call(self._do(name, body, returns, retry))

    def sleep(self, name: str, duration: timedelta) -> None:
        """Go on after ``duration``, counted from the first visit (rules W1 to W3)."""
        self._replay.call(self._sleep(name, duration))

    def sleep_until(self, name: str, instant: datetime) -> None:
        """Go on at ``instant`` (aware); at once if it has passed (rules W1 to W3)."""
        self._replay.call(self._sleep_until(name, instant))

    @overload
    def wait_for_event(self, name: str, event: EventType[E], /, *, timeout: timedelta | None = None) -> Received[E]: ...
    @overload
    def wait_for_event(
        self, name: str, event: EventType[E], second: EventType[E1], /, *, timeout: timedelta | None = None
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
    ) -> Received[E] | Received[E1] | Received[E2]: ...
    @overload
    def wait_for_event(
        self, name: str, event: EventType[Any] | str, /, *more: EventType[Any] | str, timeout: timedelta | None = None
    ) -> Received[Any]: ...
    def wait_for_event(
        self, name: str, event: EventType[Any] | str, /, *more: EventType[Any] | str, timeout: timedelta | None = None
    ) -> Received[Any]:
        """Take the first event of the wanted type(s), in order of arrival; also one that was sent before (W4 to W8).

        Args:
            name: the step's name.
            event: the type; a ``str`` means plain JSON payloads.
            more: further types, one of which will do.
            timeout: counted from the first visit; ``None``: wait for ever; zero: only what is already there.

        Raises:
            EventTimeoutError: no such event was created before the deadline.
            StepFailedError: the event's payload does not fit its type (rule W12).
        """
        received: Received[Any] = self._replay.call(self._wait(name, (event, *more), timeout))
        return received


@final
class AsyncStep(_Handle):
    """The steps of an ``async def`` workflow. Calls return what is to be awaited; no event loop is needed."""

    __slots__ = ()

    def scope(self, name: str) -> AsyncStep:
        """A handle whose step names are counted on their own (rule K2)."""
        return AsyncStep(self._replay, self._branch, self._child(name))

    @overload
    def do(
        self,
        name: str,
        body: Callable[[Attempt], Coroutine[Any, Any, T]],
        *,
        returns: TypeForm[T],
        retry: Retry | None = None,
    ) -> Coroutine[Any, Any, T]: ...
    @overload
    def do(
        self, name: str, body: Callable[[Attempt], T], *, returns: TypeForm[T], retry: Retry | None = None
    ) -> Coroutine[Any, Any, T]: ...
    @overload
    def do(
        self, name: str, body: Callable[[Attempt], Coroutine[Any, Any, T]], *, retry: Retry | None = None
    ) -> Coroutine[Any, Any, T]: ...
    @overload
    def do(self, name: str, body: Callable[[Attempt], T], *, retry: Retry | None = None) -> Coroutine[Any, Any, T]: ...
    def do(
        self, name: str, body: Callable[[Attempt], Any], *, returns: Any = attrs.NOTHING, retry: Retry | None = None
    ) -> Coroutine[Any, Any, Any]:
        """Run a body once its turn comes, record its result, and give it; on replay give the recorded result.

        Bodies are at-least-once (rule S12): use ``attempt.idempotency_key`` for effects outside.

        Args:
            name: the step's name, unique by repetition number within its scope.
            body: called with the :class:`Attempt`.
            returns: type of the result; left out: the body's return annotation, else plain JSON (rule S15).
            retry: how often and how fast to try again; left out: one attempt.

        Raises:
            StepFailedError: no attempts are left, or the failure is final (rules S2, S7).
        """
        return self._do(name, body, returns, retry)

    def sleep(self, name: str, duration: timedelta) -> Coroutine[Any, Any, None]:
        """Go on after ``duration``, counted from the first visit (rules W1 to W3)."""
        return self._sleep(name, duration)

    def sleep_until(self, name: str, instant: datetime) -> Coroutine[Any, Any, None]:
        """Go on at ``instant`` (aware); at once if it has passed (rules W1 to W3)."""
        return self._sleep_until(name, instant)

    @overload
    def wait_for_event(
        self, name: str, event: EventType[E], /, *, timeout: timedelta | None = None
    ) -> Coroutine[Any, Any, Received[E]]: ...
    @overload
    def wait_for_event(
        self, name: str, event: EventType[E], second: EventType[E1], /, *, timeout: timedelta | None = None
    ) -> Coroutine[Any, Any, Received[E] | Received[E1]]: ...
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
    ) -> Coroutine[Any, Any, Received[E] | Received[E1] | Received[E2]]: ...
    @overload
    def wait_for_event(
        self, name: str, event: EventType[Any] | str, /, *more: EventType[Any] | str, timeout: timedelta | None = None
    ) -> Coroutine[Any, Any, Received[Any]]: ...
    def wait_for_event(
        self, name: str, event: EventType[Any] | str, /, *more: EventType[Any] | str, timeout: timedelta | None = None
    ) -> Coroutine[Any, Any, Received[Any]]:
        """Take the first event of the wanted type(s), in order of arrival; also one that was sent before (W4 to W8).

        Args:
            name: the step's name.
            event: the type; a ``str`` means plain JSON payloads.
            more: further types, one of which will do.
            timeout: counted from the first visit; ``None``: wait for ever; zero: only what is already there.

        Raises:
            EventTimeoutError: no such event was created before the deadline.
            StepFailedError: the event's payload does not fit its type (rule W12).
        """
        return self._wait(name, (event, *more), timeout)
