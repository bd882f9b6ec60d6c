"""Tests of users' own workflows: simulate them in virtual time, explore every interleaving, check single ticks."""

from wfcore.testing.clock import VirtualClock
from wfcore.testing.errors import (
    ClockMismatchError,
    EndlessError,
    NeverFinishesError,
    ReplayDiffersError,
    SimulationError,
    StubTypeError,
    UndeliverableError,
    UnusedModifierError,
)
from wfcore.testing.faults import FaultyStore, StoreAndFeed
from wfcore.testing.handles import SimulatedHandle
from wfcore.testing.modifiers import InjectedError
from wfcore.testing.outcomes import Fails, Returns, fails, returns
from wfcore.testing.replaycheck import ReplayVerdict, check_replay
from wfcore.testing.simulation import Simulation
from wfcore.testing.trace import Trace, TraceRow

__all__ = [
    "ClockMismatchError",
    "EndlessError",
    "Fails",
    "FaultyStore",
    "InjectedError",
    "NeverFinishesError",
    "ReplayDiffersError",
    "ReplayVerdict",
    "Returns",
    "SimulatedHandle",
    "Simulation",
    "SimulationError",
    "StoreAndFeed",
    "StubTypeError",
    "Trace",
    "TraceRow",
    "UndeliverableError",
    "UnusedModifierError",
    "VirtualClock",
    "check_replay",
    "fails",
    "returns",
]
