"""Tests of users' own workflows: simulate them in virtual time, explore every interleaving, check single ticks."""

from wfcore.testing.clock import START, VirtualClock
from wfcore.testing.commands import Command, pause, restart, resume, send_event, terminate
from wfcore.testing.diff import diff
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
from wfcore.testing.expect import (
    Expected,
    add_event,
    add_instance,
    failure,
    hooks_left,
    no_step,
    no_timer,
    output,
    put_event,
    put_instance,
    put_step,
    timer_at,
    writes,
)
from wfcore.testing.failures import PlanMismatchError, UnexpectedBodyError, UnfitValueError
from wfcore.testing.faults import FaultyStore, StoreAndFeed
from wfcore.testing.handles import SimulatedHandle
from wfcore.testing.modifiers import InjectedError
from wfcore.testing.outcomes import Fails, Returns, fails, returns
from wfcore.testing.performing import Body
from wfcore.testing.planned import Given, Planned
from wfcore.testing.replaycheck import ReplayVerdict, check_replay
from wfcore.testing.rows import (
    GivenEvent,
    GivenHook,
    GivenStep,
    Stored,
    cancelled,
    completed,
    errored,
    event,
    hook,
    message,
    pause_request,
    started,
    stored,
    timed_out,
    timer,
    waiting,
)
from wfcore.testing.simulation import Simulation
from wfcore.testing.spec import given
from wfcore.testing.trace import Trace, TraceRow

__all__ = [
    "START",
    "Body",
    "ClockMismatchError",
    "Command",
    "EndlessError",
    "Expected",
    "Fails",
    "FaultyStore",
    "Given",
    "GivenEvent",
    "GivenHook",
    "GivenStep",
    "InjectedError",
    "NeverFinishesError",
    "PlanMismatchError",
    "Planned",
    "ReplayDiffersError",
    "ReplayVerdict",
    "Returns",
    "SimulatedHandle",
    "Simulation",
    "SimulationError",
    "StoreAndFeed",
    "Stored",
    "StubTypeError",
    "Trace",
    "TraceRow",
    "UndeliverableError",
    "UnexpectedBodyError",
    "UnfitValueError",
    "UnusedModifierError",
    "VirtualClock",
    "add_event",
    "add_instance",
    "cancelled",
    "check_replay",
    "completed",
    "diff",
    "errored",
    "event",
    "fails",
    "failure",
    "given",
    "hook",
    "hooks_left",
    "message",
    "no_step",
    "no_timer",
    "output",
    "pause",
    "pause_request",
    "put_event",
    "put_instance",
    "put_step",
    "restart",
    "resume",
    "returns",
    "send_event",
    "started",
    "stored",
    "terminate",
    "timed_out",
    "timer",
    "timer_at",
    "waiting",
    "writes",
]
