"""Errors that cross the border of workflow code and step bodies; values only, no I/O."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import attrs

from wfcore.failure import Failure


@attrs.define(eq=False)
class StepFailedError(Exception):
    """Raised into workflow code: a step ended ``errored`` (rules S2, S7).

    Attributes:
        step_key: the step.
        failure: why; ``failure.is_a(CardDeclined)`` compares names. Without traceback.
    """

    step_key: str
    failure: Failure

    def __str__(self) -> str:
        return f"step {self.step_key!r} failed: {self.failure}"


@attrs.define(eq=False)
class EventTimeoutError(TimeoutError):
    """Raised into workflow code: no wanted event was created before the wait's deadline (rule W7).

    Attributes:
        step_key: the wait.
        event_types: the types that were wanted.
        deadline: the deadline.
    """

    step_key: str
    event_types: tuple[str, ...]
    deadline: datetime

    def __str__(self) -> str:
        wanted = " or ".join(map(repr, self.event_types))
        return f"no event {wanted} for {self.step_key!r} until {self.deadline.isoformat()}"


@attrs.define(eq=False)
class NonRetryableError(Exception):
    """Raised by a step body: this failure is final, whatever ``retry=`` says (rule S7).

    Attributes:
        message: what happened.
        details: plain JSON that reaches workflow code as ``error.failure.details``.
    """

    message: str = ""
    details: Any = attrs.field(default=None, kw_only=True)

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild_non_retryable, (type(self), self.message, self.details)


def _rebuild_non_retryable(cls: type[NonRetryableError], message: str, details: Any) -> NonRetryableError:
    return cls(message, details=details)


@attrs.define(eq=False)
class RetryAfterError(Exception):
    """Raised by a step body: try again after this delay, within the attempts that ``retry=`` grants (rule S6).

    Attributes:
        delay: from the failure on; not negative.
        message: what happened.
    """

    delay: timedelta = attrs.field()
    message: str = ""

    @delay.validator
    def _check(self, _attribute: object, value: object) -> None:
        if not isinstance(value, timedelta) or value < timedelta(0):
            raise ValueError(f"RetryAfterError(delay={value!r}): must be a timedelta that is not negative")

    def __str__(self) -> str:
        return self.message


@attrs.define(eq=False)
class StepInterruptedError(Exception):
    """The failure of an at-most-once attempt that was started and left no result in time (rule S13).

    Whether its body ran, and how far, is not known: the worker may have died, or lost its store.

    Attributes:
        step_key: the step.
        deadline: when the attempt was given up.
    """

    step_key: str
    deadline: datetime

    def __str__(self) -> str:
        return (
            f"step {self.step_key!r} was started and left no result until {self.deadline.isoformat()}; "
            "whether its body ran is not known"
        )
