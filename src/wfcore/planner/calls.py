"""The border between the planner and the bodies it asks for: ``StepCall`` out, ``Settled`` in. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Generic, TypeAlias, TypeVar, final

import attrs

from wfcore.failure import Failure

T_co = TypeVar("T_co", covariant=True)


@final
@attrs.frozen
class Returned(Generic[T_co]):
    """A body returned this value."""

    value: T_co


@final
@attrs.frozen
class Raised:
    """A body raised this error."""

    error: Exception


@final
@attrs.define(eq=False)
class Attempt:
    """One run of a step body: what it gets to know, and what it may queue to commit with the step.

    Attributes:
        number: 1 for the first attempt.
        idempotency_key: the same for every attempt of this step, another for every other step, run and instance (S10).
        last_failure: why the attempt before this one failed, ``None`` on the first.
    """

    number: int
    idempotency_key: str
    last_failure: Failure | None = None
    _writes: list[object] = attrs.field(factory=list, init=False, repr=False)
    _terminal_writes: list[object] = attrs.field(factory=list, init=False, repr=False)

    def write(self, value: object) -> None:
        """Queue a write that commits, once, in the transaction that records this attempt's success (rule T1)."""
        self._writes.append(value)

    def on_terminal_error(self, value: object) -> None:
        """Queue a write that commits, once, if this attempt ends the step ``errored`` (rule T2)."""
        self._terminal_writes.append(value)

    def queued(self, *, succeeded: bool) -> tuple[object, ...]:
        """What was queued for that ending."""
        return tuple(self._writes if succeeded else self._terminal_writes)


@final
@attrs.frozen(eq=False)
class StepCall:
    """A body that the planner asks the runner to perform.

    Attributes:
        key: the step's key.
        name: the step's name.
        attempt: the body's argument.
        body: call it as ``body(attempt)``.
    """

    key: str
    name: str
    attempt: Attempt
    body: Callable[[Attempt], Any]


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
