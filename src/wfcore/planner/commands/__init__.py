"""Commands as pure plans: a snapshot and arguments in, a plan out; no I/O, no clock: the snapshot's time counts.

A command that is not possible raises a ``CommandError``; nothing is written then. A command whose plan meets a conflict
is planned again on a fresh snapshot (rule M12); who applies the plan sees to that.
"""

from wfcore.planner.commands.adoption import plan_adopt_bare_keys
from wfcore.planner.commands.aftermath import plan_defer, plan_write_failure, released
from wfcore.planner.commands.again import plan_restart_or_create
from wfcore.planner.commands.control import plan_restart, plan_resume, plan_terminate
from wfcore.planner.commands.create import plan_create
from wfcore.planner.commands.mailbox import plan_pause, plan_send_event
from wfcore.planner.commands.removal import plan_delete, plan_terminal_notified
from wfcore.planner.commands.retry import plan_retry

__all__ = [
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
    "plan_write_failure",
    "released",
]
