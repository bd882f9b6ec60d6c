"""A driver of ``tick_loop`` for tests that say which body settles next, and when time passes.

Nothing runs by itself: a body that the loop starts is in flight until the test lands or drops it. Checkpoints are
applied to the laboratory at once; the last plan of a tick too, so that the next tick can begin.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from datetime import timedelta
from typing import Any

from tests.lab import Lab
from wfcore.define import workflow
from wfcore.plan import Plan
from wfcore.planner import (
    AsyncStep,
    Bodies,
    Continue,
    Done,
    Dropped,
    Elapsed,
    Known,
    Raised,
    Returned,
    Settled,
    StepCall,
    Stop,
    call_body,
    tick_loop,
)

_OPEN: Any = object()


class Flights:
    """One tick of the laboratory's instance, with its bodies in flight.

    Attributes:
        calls: the bodies in flight, by key, in the order in which they were started.
        started: keys of all bodies that were started in this tick, in order.
        asked: the last ``Bodies``.
        plan: the last plan of the tick, ``None`` while it goes on.
        checkpoints: the plans that were committed before it.
    """

    def __init__(self, lab: Lab, *, known: Known | None = None, stop_at: int | None = None) -> None:
        self._lab = lab
        self._stop_at = stop_at
        self.calls: dict[str, StepCall] = {call.key: call for call in known.flights} if known else {}
        self.started: list[str] = []
        self.asked: Bodies | None = None
        self.plan: Plan | None = None
        self.checkpoints: list[Plan] = []
        self._elapsed = timedelta(0)
        self.loop: Generator[Any, Any, Plan] = tick_loop(
            lab.snapshot(),
            lab.fired(),
            lab.registry,
            execution_id=lab.next_id("tick"),
            known=known or Known(),
            codec=lab.codec,
        )
        self._send(None)

    @property
    def flying(self) -> list[str]:
        return [*self.calls]

    @property
    def outcome(self) -> Any:
        assert self.plan is not None, f"in flight: {self.flying}"
        return self.plan.outcome

    def lands(self, key: str, value: Any = _OPEN, *, after: timedelta | None = None) -> Flights:
        """The body settles: with ``value``, raises it if it is an exception; left out: as it is run now.

        ``after``: so much time after the retrieve; left out: no time has passed since the last answer.
        """
        assert self.asked is None or self.asked.only is None or key in self.asked.only, self.asked
        call = self.calls.pop(key)
        if value is _OPEN:
            result = call_body(call).result
        elif isinstance(value, Exception):
            result = Raised(value)
        else:
            result = Returned(value)
        self._pass(after)
        return self._send(Done(call, Settled(result, self._elapsed)))

    def drops(self, key: str) -> Flights:
        """The body was not wanted, and is cancelled."""
        return self._send(Dropped(self.calls.pop(key)))

    def elapses(self, after: timedelta) -> Flights:
        """So much time after the retrieve no body has settled, and a deadline has passed."""
        self._pass(after)
        return self._send(Elapsed(self._elapsed))

    def crashes(self) -> None:
        """The process is gone, with all that was in flight."""
        self.loop.close()

    def _pass(self, after: timedelta | None) -> None:
        self._elapsed = max(self._elapsed, after or timedelta(0))

    def _send(self, answer: Any) -> Flights:
        return self._go_on(lambda: self.loop.send(answer))

    def _go_on(self, resume: Callable[[], Any]) -> Flights:
        try:
            asked = resume()
            while isinstance(asked, Plan):
                asked = self.loop.send(self._commit(asked))
        except StopIteration as stop:
            self.plan = stop.value
            if self.plan is not None and not self.plan.is_empty:
                self._lab.apply(self.plan)
            return self
        self.asked = asked
        for call in asked.start:
            assert call.key not in self.calls, f"{call.key} is in flight already"
            self.calls[call.key] = call
            self.started.append(call.key)
        return self

    def _commit(self, plan: Plan) -> Continue | Stop:
        self._lab.apply(plan)
        self.checkpoints.append(plan)
        if self._stop_at is not None and len(self.checkpoints) >= self._stop_at:
            return Stop()
        return Continue(self._lab.next_id("continued"))


def made(function: Callable[[AsyncStep], Any], **options: Any) -> Lab:
    """A laboratory with one instance of a workflow of this function, created and not yet ticked."""
    lab = Lab.of(workflow(name="w", **options)(function))
    lab.create(lab.registry.get("w"))
    return lab


def body(_attempt: Any) -> Any:
    """What is to be run where the test says what comes of it."""
    raise AssertionError("the test lands this body by itself")


def doing(name: str) -> Callable[[AsyncStep], Any]:
    """A branch of one body."""
    return lambda step: step.do(name, body)
