"""Planning: pure functions from a snapshot to a plan; no I/O, no clock."""

from wfcore.planner.calls import Attempt, Perform, Raised, Returned, Settled, StepCall, call_body
from wfcore.planner.commands import plan_create, plan_defer, plan_send_event, plan_write_failure, released
from wfcore.planner.ends import Continue, Stop
from wfcore.planner.handles import AsyncStep, Step
from wfcore.planner.requests import Unwind
from wfcore.planner.tick import RECOVER_AFTER, Commit, plan_tick

__all__ = [
    "RECOVER_AFTER",
    "AsyncStep",
    "Attempt",
    "Commit",
    "Continue",
    "Perform",
    "Raised",
    "Returned",
    "Settled",
    "Step",
    "StepCall",
    "Stop",
    "Unwind",
    "call_body",
    "plan_create",
    "plan_defer",
    "plan_send_event",
    "plan_tick",
    "plan_write_failure",
    "released",
]
