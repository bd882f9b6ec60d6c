"""Planning: pure functions from a snapshot to a plan; no I/O, no clock."""

from wfcore.planner.async_step import AsyncStep
from wfcore.planner.attempt import Attempt
from wfcore.planner.calls import Perform, Raised, Returned, Settled, StepCall, call_body
from wfcore.planner.carried import Known
from wfcore.planner.commands import (
    plan_adopt_bare_keys,
    plan_create,
    plan_defer,
    plan_delete,
    plan_pause,
    plan_restart,
    plan_restart_or_create,
    plan_resume,
    plan_retry,
    plan_send_event,
    plan_terminal_notified,
    plan_terminate,
    plan_write_failure,
    released,
)
from wfcore.planner.ends import Bodies, Continue, Done, Dropped, Elapsed, Stop
from wfcore.planner.progress import breaks_o5
from wfcore.planner.requests import Unwind
from wfcore.planner.step import Step
from wfcore.planner.tick import RECOVER_AFTER, Commit, plan_tick, tick_loop

__all__ = [
    "RECOVER_AFTER",
    "AsyncStep",
    "Attempt",
    "Bodies",
    "Commit",
    "Continue",
    "Done",
    "Dropped",
    "Elapsed",
    "Known",
    "Perform",
    "Raised",
    "Returned",
    "Settled",
    "Step",
    "StepCall",
    "Stop",
    "Unwind",
    "breaks_o5",
    "call_body",
    "plan_adopt_bare_keys",
    "plan_create",
    "plan_defer",
    "plan_delete",
    "plan_pause",
    "plan_restart",
    "plan_restart_or_create",
    "plan_resume",
    "plan_retry",
    "plan_send_event",
    "plan_terminal_notified",
    "plan_terminate",
    "plan_tick",
    "plan_write_failure",
    "released",
    "tick_loop",
]
