"""How a test fails because of what it asked the kit for. They are assertion errors: facts are fields, all pickle."""

from __future__ import annotations

from datetime import datetime

import attrs


class SimulationError(AssertionError):
    """Base of what a simulation fails with."""


@attrs.define(eq=False)
class NeverFinishesError(SimulationError):
    """An instance was to run to its end, and it cannot.

    Attributes:
        ref: the instance.
        status: its status.
        at: the simulated time.
        explanation: what it waits for, until when, and what would wake it.
    """

    ref: str
    status: str
    at: datetime
    explanation: str

    def __str__(self) -> str:
        return (
            f"{self.ref!r} does not finish: at {self.at.isoformat()} it is {self.status}, and no time that passes ends "
            f"it\n{self.explanation}"
        )


@attrs.define(eq=False)
class EndlessError(SimulationError):
    """The bound on ticks was reached: something goes on without end.

    Attributes:
        ticks: the bound.
        at: the simulated time.
        refs: the instances that had the last ticks.
    """

    ticks: int
    at: datetime
    refs: tuple[str, ...]

    def __str__(self) -> str:
        return (
            f"{self.ticks} ticks, and still not done, at {self.at.isoformat()}; the last ones were of "
            f"{', '.join(self.refs)}. If a loop without end is not the reason, pass Simulation(..., max_ticks=)"
        )


@attrs.define(eq=False)
class UnusedModifierError(SimulationError):
    """The test asked for something that did not happen: a stub of a step that never ran, a failure too many.

    Attributes:
        unused: what was asked for, as it was written, and how often it happened.
        steps: keys of the steps that there were.
    """

    unused: tuple[str, ...]
    steps: tuple[str, ...]

    def __str__(self) -> str:
        there = ", ".join(self.steps) or "none"
        asked = "\n".join(f"  {each}" for each in self.unused)
        return f"not everything happened that the test asked for:\n{asked}\nThe steps that there were: {there}"


@attrs.define(eq=False)
class StubTypeError(SimulationError):
    """What a stub returned is no result of the step's type.

    Attributes:
        step_key: the step.
        path: where in the value.
        expected: what has to be there.
        found: what is there.
    """

    step_key: str
    path: str
    expected: str
    found: str

    def __str__(self) -> str:
        return (
            f"the stub of {self.step_key!r} returned what the step cannot: at {self.path} it must be {self.expected}, "
            f"not {self.found}; return a value of the step's type"
        )


@attrs.define(eq=False)
class ReplayDiffersError(SimulationError):
    """A run that ends was replayed from its records, and did not end in the same way again.

    The workflow code is not deterministic, or an effect hides in it.

    Attributes:
        ref: the instance.
        what: how the replay went.
    """

    ref: str
    what: str

    def __str__(self) -> str:
        return (
            f"{self.ref!r} ends, and its replay does not end like that: {self.what}. Workflow code must do the same "
            "each time: time, chance and effects belong into steps"
        )


@attrs.define(eq=False)
class UndeliverableError(SimulationError):
    """An event that was to be delivered at some time could not be.

    Attributes:
        ref: the instance.
        event: the type.
        at: the time.
        reason: why.
    """

    ref: str
    event: str
    at: datetime
    reason: str

    def __str__(self) -> str:
        return f"deliver({self.ref!r}, {self.event!r}) at {self.at.isoformat()}: {self.reason}"


@attrs.define(eq=False)
class ClockMismatchError(SimulationError):
    """A store does not live by the simulation's clock.

    Attributes:
        store: the store.
        store_now: its time.
        now: the simulation's time.
    """

    store: str
    store_now: datetime
    now: datetime

    def __str__(self) -> str:
        return (
            f"the clock of {self.store} shows {self.store_now.isoformat()}, the simulation's {self.now.isoformat()}; "
            "let them share one: clock = VirtualClock(); Simulation(..., store=SqliteStore(path, clock=clock), "
            "clock=clock)"
        )
