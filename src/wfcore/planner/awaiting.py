"""The steps of an ``async def`` workflow that are no branches. They make requests: no I/O, no clock, no event loop."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar, overload

import attrs
from typing_extensions import TypeForm

from wfcore.errors import CodecError, StepBodyError, StepNameError
from wfcore.keys import check_name
from wfcore.model import Payload
from wfcore.planner.attempt import Attempt
from wfcore.planner.bodies import misfit
from wfcore.planner.handles import Handle
from wfcore.retry import Retry
from wfcore.workflow import EventType, Received

T = TypeVar("T")
E = TypeVar("E")
E1 = TypeVar("E1")
E2 = TypeVar("E2")


class Awaiting(Handle):
    """``do``, ``sleep``, ``wait_for_event``: calls give what is to be awaited."""

    __slots__ = ()

    @overload
    def do(
        self,
        name: str,
        body: Callable[[Attempt], Coroutine[Any, Any, T]],
        *,
        returns: TypeForm[T],
        retry: Retry | None = None,
        at_most_once: timedelta | None = None,
    ) -> Coroutine[Any, Any, T]: ...
    @overload
    def do(
        self,
        name: str,
        body: Callable[[Attempt], T],
        *,
        returns: TypeForm[T],
        retry: Retry | None = None,
        at_most_once: timedelta | None = None,
    ) -> Coroutine[Any, Any, T]: ...
    @overload
    def do(
        self,
        name: str,
        body: Callable[[Attempt], Coroutine[Any, Any, T]],
        *,
        retry: Retry | None = None,
        at_most_once: timedelta | None = None,
    ) -> Coroutine[Any, Any, T]: ...
    @overload
    def do(
        self,
        name: str,
        body: Callable[[Attempt], T],
        *,
        retry: Retry | None = None,
        at_most_once: timedelta | None = None,
    ) -> Coroutine[Any, Any, T]: ...
    def do(
        self,
        name: str,
        body: Callable[[Attempt], Any],
        *,
        returns: Any = attrs.NOTHING,
        retry: Retry | None = None,
        at_most_once: timedelta | None = None,
    ) -> Coroutine[Any, Any, Any]:
        """Run a body once its turn comes, record its result, and give it; on replay give the recorded result.

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
        return self._do(name, body, returns, retry, at_most_once)

    def sleep(self, name: str, duration: timedelta) -> Coroutine[Any, Any, None]:
        """Go on after ``duration``, counted from the first visit (rules W1 to W3)."""
        return self._sleep(name, duration)

    def sleep_until(self, name: str, instant: datetime) -> Coroutine[Any, Any, None]:
        """Go on at ``instant`` (aware); at once if it has passed (rules W1 to W3)."""
        return self._sleep_until(name, instant)

    @overload
    def wait_for_event(
        self,
        name: str,
        event: EventType[E],
        /,
        *,
        timeout: timedelta | None = None,
        on_consume: Callable[[Attempt, Received[E]], Any] | None = None,
    ) -> Coroutine[Any, Any, Received[E]]: ...
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
        on_consume: Callable[[Attempt, Received[E] | Received[E1] | Received[E2]], Any] | None = None,
    ) -> Coroutine[Any, Any, Received[E] | Received[E1] | Received[E2]]: ...
    @overload
    def wait_for_event(
        self,
        name: str,
        event: EventType[Any] | str,
        /,
        *more: EventType[Any] | str,
        timeout: timedelta | None = None,
    ) -> Coroutine[Any, Any, Received[Any]]: ...
    @overload
    def wait_for_event(
        self,
        name: str,
        event: str,
        /,
        *more: EventType[Any] | str,
        timeout: timedelta | None = None,
        on_consume: Callable[[Attempt, Received[Any]], Any],
    ) -> Coroutine[Any, Any, Received[Any]]: ...
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
    ) -> Coroutine[Any, Any, Received[Any]]: ...
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
    ) -> Coroutine[Any, Any, Received[Any]]: ...
    def wait_for_event(
        self,
        name: str,
        event: EventType[Any] | str,
        /,
        *more: EventType[Any] | str,
        timeout: timedelta | None = None,
        on_consume: Callable[[Attempt, Received[Any]], Any] | None = None,
    ) -> Coroutine[Any, Any, Received[Any]]:
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
        return self._wait(name, (event, *more), timeout, on_consume)

    def _branches(self, name: str, branches: tuple[Any, ...]) -> tuple[tuple[str, ...] | None, tuple[Any, ...]]:
        """The names of the branches, ``None`` if they have none, and their functions."""
        labels = None
        if len(branches) == 1 and isinstance(branches[0], Mapping):
            labels = self._labels(name, branches[0])
            branches = tuple(branches[0].values())
        for each in branches:
            self._require_branch(name, each, ("step",))
        return labels, branches

    def _require_branch(self, name: str, function: Any, arguments: tuple[str, ...]) -> None:
        """Refuse a branch that cannot be called, with the step and perhaps an item."""
        named = ", ".join(arguments)
        if not callable(function):
            advice = f"pass a function that takes a step of its own: 'async def branch({named})'"
            raise self._refused(name, f"branch {function!r}", advice)
        if (signature := misfit(function, arguments)) is not None:
            advice = f"a branch is called with ({named}): bind other arguments with functools.partial"
            raise self._refused(name, f"branch {function!r}, which takes {signature},", advice)

    def _labels(self, name: str, labels: Iterable[str]) -> tuple[str, ...]:
        found = tuple(labels)
        for label in found:
            if not isinstance(label, str):
                raise self._refused(name, f"key {label!r} of a branch", "name each branch by a str")
            try:
                check_name(label, "branch name")
            except StepNameError as error:
                self._replay.require_current(self._branch, name)
                raise self._replay.fault(error) from None
        seen: set[str] = set()
        for label in found:
            if label in seen:
                raise self._refused(name, f"key {label!r} of two branches", "give each branch a key of its own")
            seen.add(label)
        return found

    def _items(self, name: str, items: Any) -> list[Any]:
        if not isinstance(items, Iterable) and not hasattr(items, "__getitem__"):
            raise self._refused(name, f"items={items!r}", "pass a list, or something else that can be iterated over")
        return [*items]

    def _digest(self, name: str, items: list[Any], fn: Any) -> Payload:
        try:
            return self._replay.interpreter.digest(name, items, fn)
        except CodecError as error:
            advice = "annotate the item's parameter of the function with a type that can be encoded, or pass key="
            raise self._refused(name, f"the list of items ({error})", advice) from None
        except StepBodyError as error:
            self._replay.require_current(self._branch, name)
            raise self._replay.fault(error) from None
