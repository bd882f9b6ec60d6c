"""What a test may ask of a simulation beside running it: other bodies, failures, crashes, time that is skipped."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final, Literal, TypeAlias, TypeVar, final, overload

import attrs

from wfcore.errors import EventTimeoutError
from wfcore.keys import build_ref
from wfcore.model import StepRecord
from wfcore.planner import Attempt
from wfcore.runner.requests import Address
from wfcore.testing.asked import Asked
from wfcore.testing.bodies import Bodies, Failing, Interrupt, Stub
from wfcore.testing.clock import VirtualClock
from wfcore.testing.outcomes import names_step
from wfcore.testing.workers import CrashPoint
from wfcore.workflow import EventType, Workflow

E = TypeVar("E")
Target: TypeAlias = Address[Any] | tuple[Workflow[Any, Any], str]
"""An instance: its handle, or its workflow and id, for one that need not exist yet."""


class InjectedError(Exception):
    """What a step fails with if the test does not say with what."""


@final
class _Missing:
    """Stands for an argument that was left out."""


_MISSING: Final = _Missing()


@final
@attrs.define(eq=False)
class Skip:
    """Deadlines that ``run_until_idle`` moves time to.

    Attributes:
        kind: ``sleep``: ends of sleeps; ``do``: ends of back-offs; ``wait_for_event``: deadlines of a wait.
        step: the wait.
    """

    kind: Literal["sleep", "do", "wait_for_event"]
    asked: Asked
    step: str = ""

    def is_awaited(self, record: StepRecord) -> bool:
        """Whether the record waits for what is to be skipped."""
        deadline = record.next_retry_at if self.kind == "do" else record.wake_at
        return record.status == "waiting" and deadline is not None and self._means(record)

    def note(self, record: StepRecord) -> None:
        """A plan has written this record: was that what was asked for?"""
        if not self._means(record):
            return
        match self.kind:
            case "sleep":
                self.asked.happened += record.status == "completed"
            case "do":
                self.asked.happened += record.attempts > 1
            case "wait_for_event":
                failure = record.failure
                self.asked.happened += failure is not None and failure.is_a(EventTimeoutError)

    def _means(self, record: StepRecord) -> bool:
        return record.kind == self.kind and (not self.step or names_step(self.step, record.key, self.kind))


@final
@attrs.frozen(eq=False)
class Delivery:
    """An event that is to be sent at some time."""

    at: datetime
    target: Target
    event: EventType[Any] | str
    payload: Any
    id: str | None
    asked: Asked

    @property
    def ref(self) -> str:
        """The instance."""
        if isinstance(self.target, Address):
            return self.target.ref
        workflow, instance_id = self.target
        return build_ref(workflow.name, instance_id)


class Modifiers:
    """What may be asked for, before or after the instances are there that it is about.

    A step is named by its key (``"do:charge"``, ``"scope:parcel#1>do:ship"``), or by a bare name: every ``do`` of that
    name, in any scope. What never happens fails the test (:meth:`Simulation.check`).
    """

    def __init__(self, clock: VirtualClock, bodies: Bodies) -> None:
        self.clock = clock
        self._bodies = bodies
        self._skips: list[Skip] = []
        self._crashes: list[CrashPoint] = []
        self._deliveries: list[Delivery] = []

    def stub(self, step: str, body: Callable[[Attempt], Any] | None = None, /, *, returns: Any = _MISSING) -> None:
        """Run another body in place of the step's own, for every attempt.

        Args:
            step: the step.
            body: called with the attempt, like a real one; what it raises is the step's failure.
            returns: in place of ``body``: the value that it returns.

        Raises:
            TypeError: neither or both of ``body`` and ``returns`` are given.

        What a stub returns has to be of the step's type; if it is not, the test fails with ``StubTypeError``, not the
        step. The last stub of a step counts.
        """
        if (body is None) == (returns is _MISSING):
            raise TypeError(f"stub({step!r}): pass either a body or returns=")
        what = f"stub({step!r}, returns={returns!r})" if body is None else f"stub({step!r}, ...)"
        self._bodies.stubs.append(Stub(step, body or (lambda _attempt: returns), Asked(what)))

    def fail(self, step: str, /, *, times: int = 1, error: Exception | None = None) -> None:
        """Let the next ``times`` attempts of a step fail, before its body runs.

        Args:
            step: the step.
            times: how many attempts.
            error: what they raise; left out: an ``InjectedError``.
        """
        raised = InjectedError(f"the test wants {step!r} to fail") if error is None else error
        self._bodies.failing.append(Failing(step, raised, Asked(f"fail({step!r}, times={times})", times)))

    def interrupt(self, step: str, /, *, times: int = 1) -> None:
        """Let the process die after the step's body has run, before its result is committed, ``times`` times."""
        self._bodies.interrupts.append(Interrupt(step, Asked(f"interrupt({step!r}, times={times})", times)))

    def crash(self, when: Literal["before", "after"] = "before", /, *, apply: int = 1) -> None:
        """Let a dispatcher's process die around an apply, and a new one begin.

        Args:
            when: ``before`` the apply: nothing is written; ``after`` it: the plan is committed, and nobody knows.
            apply: which of the applies that dispatchers make from now on; 1: the next.
        """
        if when not in ("before", "after") or apply < 1:
            raise ValueError(f"crash({when!r}, apply={apply}): pass 'before' or 'after', and a number from 1 on")
        self._crashes.append(CrashPoint(when, apply, Asked(f"crash({when!r}, apply={apply})")))

    def skip_sleeps(self) -> None:
        """Let :meth:`Simulation.run_until_idle` move time to the end of every sleep.

        Time really passes: what else becomes due on the way is handled at its time.
        """
        self._skips.append(Skip("sleep", Asked("skip_sleeps()")))

    def skip_backoff(self) -> None:
        """Let :meth:`Simulation.run_until_idle` move time to the next attempt of every step that has failed."""
        self._skips.append(Skip("do", Asked("skip_backoff()")))

    def time_out(self, wait: str, /) -> None:
        """Let :meth:`Simulation.run_until_idle` move time to the deadline of a ``wait_for_event``.

        Args:
            wait: its key (``"wait_for_event:approval"``), or its bare name.
        """
        self._skips.append(Skip("wait_for_event", Asked(f"time_out({wait!r})"), wait))

    @overload
    def deliver(
        self, run: Target, event: EventType[None], /, *, at: datetime | timedelta, id: str | None = None
    ) -> None: ...
    @overload
    def deliver(
        self, run: Target, event: EventType[E], payload: E, /, *, at: datetime | timedelta, id: str | None = None
    ) -> None: ...
    @overload
    def deliver(
        self, run: Target, event: str, payload: object = None, /, *, at: datetime | timedelta, id: str | None = None
    ) -> None: ...
    def deliver(
        self,
        run: Target,
        event: EventType[Any] | str,
        payload: Any = None,
        /,
        *,
        at: datetime | timedelta,
        id: str | None = None,
    ) -> None:
        """Send an event at some time. It is there before what else is due then, if there is only one dispatcher.

        With several it comes at any moment of that instant: also in the middle of a tick.

        Args:
            run: a handle, or ``(workflow, id)``, for an instance that need not exist yet.
            event: its type.
            payload: its payload.
            at: an instant, or a time from now.
            id: the event's id; left out: a new one.
        """
        instant = self.clock() + at if isinstance(at, timedelta) else at
        name = event if isinstance(event, str) else event.name
        asked = Asked(f"deliver(..., {name!r}, at={instant.isoformat()})")
        self._deliveries.append(Delivery(instant, run, event, payload, id, asked))

    def _asked(self) -> list[Asked]:
        """What has to happen."""
        asking: tuple[Skip | CrashPoint | Delivery, ...] = (*self._skips, *self._crashes, *self._deliveries)
        return [*self._bodies.asked, *(each.asked for each in asking)]
