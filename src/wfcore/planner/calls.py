"""The border between the planner and the bodies it asks for: ``StepCall`` out, ``Settled`` in. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Generic, TypeAlias, TypeVar, final

import attrs

from wfcore.model import Event
from wfcore.planner.attempt import Attempt
from wfcore.retry import ONE_ATTEMPT, Retry

T_co = TypeVar("T_co", covariant=True)


@final
@attrs.frozen
class Returned(Generic[T_co]):
    """A body, or a branch, returned this value."""

    value: T_co


@final
@attrs.frozen
class Raised:
    """A body, or a branch, raised this error."""

    error: Exception


@final
@attrs.frozen(eq=False)
class StepCall:
    """A body to perform.

    Attributes:
        key: the step's key.
        name: the step's name.
        attempt: the body's argument.
        body: call it as ``body(attempt)``.
        returns: type of the result.
        retry: the policy that decides what a failure means.
        started_by: execution id of the committed start of an at-most-once body (rule S13), else ``None``.
        event: the event that is taken, if the body is the ``on_consume`` of a wait (rule W9), else ``None``.
    """

    key: str
    name: str
    attempt: Attempt
    body: Callable[[Attempt], Any]
    returns: Any = Any
    retry: Retry = ONE_ATTEMPT
    started_by: str | None = None
    event: Event | None = None


@final
@attrs.frozen(eq=False)
class Settled:
    """What came of a :class:`StepCall`.

    Attributes:
        result: what the body returned or raised. Only an ``Exception`` is a result: anything else that a body
            raises (``KeyboardInterrupt``, ``SystemExit``, cancellation) leaves the planner (rule S14).
        elapsed: the time since the snapshot was retrieved; never decreasing within a tick.
    """

    result: Returned[Any] | Raised
    elapsed: timedelta = timedelta(0)


Perform: TypeAlias = Callable[[StepCall], Settled]


def call_body(call: StepCall) -> Settled:
    """Perform a body in place, taking no time: the default of ``plan_tick``, for tests and simulations."""
    try:
        return Settled(Returned(call.body(call.attempt)))
    except Exception as error:
        return Settled(Raised(error))
