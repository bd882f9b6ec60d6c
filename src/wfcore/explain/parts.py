"""What holds an instance up and what will wake it, one by one: data with a line of text each. Pure: no I/O, no clock.

No payload stands in any of them; an error's text may quote a value that did not fit.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypeAlias, assert_never

import attrs

from wfcore.explain.wording import brief, counted, either, when
from wfcore.failure import Failure

WaitsFor: TypeAlias = Literal["time", "event", "next attempt", "result"]
"""What a step that has not settled waits for."""
About: TypeAlias = Literal["timer", "event", "pause", "start", "notice"]
"""What a wake-up is about."""


@attrs.frozen(kw_only=True)
class NearMiss:
    """A pending event that no open wait takes, although somebody may have sent it for just that.

    Attributes:
        event_id: the event.
        type: its type.
        created_at: when it was sent.
        why: ``late``: of a type that an open wait wants, and sent after its deadline; ``type``: no open wait wants it.
    """

    event_id: str
    type: str
    created_at: datetime
    why: Literal["late", "type"]

    def text(self, now: datetime) -> str:
        """One line."""
        why = "it came after the deadline" if self.why == "late" else "no open wait is for that type"
        return f"event {self.type!r} ({self.event_id!r}), sent {when(self.created_at, now)}, is not taken: {why}"


@attrs.frozen(kw_only=True)
class Unsettled:
    """A step that has begun and has not settled: where one live branch of the workflow stands.

    Attributes:
        step_key: the step.
        branch: the scopes and branches around it, ``""`` at the top.
        waits_for: ``time``: a sleep; ``event``; ``next attempt``: of a body that has failed, or is to run again;
            ``result``: of a body that was started at most once (rule S13).
        until: when it is over, tried again or given up; ``None``: not by itself.
        event_types: the types of events that it takes; none: it was opened again by a retry (M7), and not yet ticked.
        event_id: the first pending event that it may take, if there is one.
        attempts: attempts that have ended.
        max_attempts: granted by the retry policy at the last attempt; ``None``: not known yet.
        failure: the last failure.
    """

    step_key: str
    branch: str
    waits_for: WaitsFor
    until: datetime | None
    event_types: tuple[str, ...] = ()
    event_id: str | None = None
    attempts: int = 0
    max_attempts: int | None = None
    failure: Failure | None = None

    def text(self, now: datetime) -> str:
        """One line."""
        by = "" if self.until is None else when(self.until, now)
        match self.waits_for:
            case "time":
                return f"{self.step_key!r} sleeps until {by}"
            case "event" if not self.event_types:
                return f"{self.step_key!r} was opened again: the next tick says for which events, and until when"
            case "event":
                return f"{self.step_key!r} waits for event {either(self.event_types)}{self._deadline(by)}{self._mail()}"
            case "next attempt":
                return f"{self.step_key!r} {self._failed()}attempt {self._attempt()} {f'at {by}' if by else 'is next'}"
            case "result":
                return (
                    f"{self.step_key!r} {self._failed()}attempt {self._attempt()} was started, at most once: its "
                    f"result counts until {by}, then that attempt has failed (StepInterruptedError)"
                )
            case unreachable:
                assert_never(unreachable)

    def _deadline(self, by: str) -> str:
        return f" until {by}, then EventTimeoutError" if by else ", without a deadline"

    def _mail(self) -> str:
        return "" if self.event_id is None else f"; event {self.event_id!r} is there for it"

    def _failed(self) -> str:
        if self.failure is None or not self.attempts:
            return ""
        return f"failed {counted(self.attempts, 'time')} ({brief(self.failure)}); "

    def _attempt(self) -> str:
        number = self.attempts + 1
        return f"{number} of {self.max_attempts}" if (self.max_attempts or 0) >= number else str(number)


@attrs.frozen(kw_only=True)
class WakeUp:
    """A stored hook: when the instance is looked at again.

    Attributes:
        hook_id: the hook.
        about: ``timer``: the earliest deadline, or a runner's promise to be heard of; ``event``, ``pause``: a message;
            ``start``: of an instance that another one has made; ``notice``: the end is still to be announced (O7).
        event_id: the message, if it is about one.
        due_at: when.
        attempts: how often it was put off because its tick failed for a reason that is not the workflow's.
        last_error: why, the last time.
    """

    hook_id: str
    about: About
    event_id: str | None
    due_at: datetime
    attempts: int
    last_error: str | None

    def text(self, now: datetime) -> str:
        """One line."""
        about = "notice of the end" if self.about == "notice" else self.about
        message = "" if self.event_id is None else f" {self.event_id!r}"
        put_off = f", put off {counted(self.attempts, 'time')}: {brief(self.last_error)}" if self.attempts else ""
        return f"wake-up (hook), {about}{message}: due {when(self.due_at, now)}{put_off}"
