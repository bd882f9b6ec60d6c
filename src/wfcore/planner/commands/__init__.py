"""Commands as pure plans: a snapshot and arguments in, a plan out; no I/O, no clock: the snapshot's time counts.

A command that is not possible raises a ``CommandError``; nothing is written then. A command whose plan meets a conflict
is planned again on a fresh snapshot (rule M12); who applies the plan sees to that.
"""

from wfcore.planner.commands.aftermath import plan_defer, plan_write_failure, released
from wfcore.planner.commands.create import plan_create
from wfcore.planner.commands.mailbox import plan_send_event

__all__ = ["plan_create", "plan_defer", "plan_send_event", "plan_write_failure", "released"]
