"""What the step handles of both colours share: they make requests, and answer plain calls. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Never
from uuid import UUID

from wfcore.errors import StepNameError, StepUsageError, UnknownEventTypeError
from wfcore.failure import is_plain
from wfcore.keys import digest
from wfcore.plan import LogLine
from wfcore.planner.attempt import Attempt
from wfcore.planner.replay import Replay
from wfcore.planner.requests import Branch, Request, Scope
from wfcore.planner.steps.do import Do
from wfcore.planner.steps.sleep import Sleep
from wfcore.planner.steps.wait import WaitForEvent
from wfcore.retry import ONE_ATTEMPT, Retry
from wfcore.workflow import EventType, Received


class Handle:
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

    def patched(self, patch_id: str) -> bool:
        """Whether this run goes by new code; put it where code that runs already has to change (rule D4).

        ``if step.patched("two parcels"): ... else: ...``: a run that has recorded steps further down in this scope
        keeps to the old code (False), all others take the new code (True). Decided once for the whole run.

        Args:
            patch_id: names the change; a name like those of steps.
        """
        return self._replay.patched(self._branch, self._scope, patch_id)

    def continue_with(self, params: Any = None) -> Never:
        """End this run and begin the next one with new parameters: ``return step.continue_with(params)`` (rule O8).

        For loops without end: the next run has a history of its own, and new idempotency keys. Events that nobody has
        taken stay in the mailbox.

        Args:
            params: of the workflow's parameter type.
        """
        self._replay.require_current(self._branch, "continue_with")
        return self._replay.continue_with(params)  # type: ignore[misc] # only to be returned

    def _derived(self, kind: str, name: str) -> bytes:
        key = self._replay.key(self._branch, self._scope, kind, name)
        instance = self._replay.interpreter.instance
        return digest(kind, instance.ref, instance.created_by, str(instance.run_number), key)

    def _child(self, name: str) -> Scope:
        key = self._replay.key(self._branch, self._scope, "scope", name)
        return Scope(key, self._scope.depth + 1)

    def _do(
        self,
        name: str,
        body: Callable[[Attempt], Any],
        returns: Any,
        retry: Retry | None,
        at_most_once: timedelta | None,
    ) -> Request:
        if retry is not None and not isinstance(retry, Retry):
            raise self._refused(name, f"retry={retry!r}", "pass wfcore.Retry(max_attempts=...)")
        if at_most_once is not None and not _is_positive(at_most_once):
            advice = "pass a timedelta longer than zero: when a started body without a result counts as failed"
            raise self._refused(name, f"at_most_once={at_most_once!r}", advice)
        do = Do(body, returns, retry or ONE_ATTEMPT, at_most_once)
        return self._replay.request(self._branch, self._scope, "do", name, do)

    def _sleep(self, name: str, duration: timedelta) -> Request:
        self._require_duration(name, "duration", duration)
        return self._replay.request(self._branch, self._scope, "sleep", name, Sleep(duration))

    def _sleep_until(self, name: str, instant: datetime) -> Request:
        sleep = Sleep(self._require_instant(name, instant))
        return self._replay.request(self._branch, self._scope, "sleep", name, sleep)

    def _wait(
        self,
        name: str,
        events: tuple[EventType[Any] | str, ...],
        timeout: timedelta | None,
        on_consume: Callable[[Attempt, Received[Any]], Any] | None,
    ) -> Request:
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
        wait = WaitForEvent(types, timeout, on_consume)
        return self._replay.request(self._branch, self._scope, "wait_for_event", name, wait)

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


def _is_positive(duration: object) -> bool:
    return isinstance(duration, timedelta) and duration > timedelta(0)
