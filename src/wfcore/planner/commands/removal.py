"""Commands that take rows away: an instance that has ended, a notice that was handed over. Pure: no I/O, no clock."""

from __future__ import annotations

from wfcore.errors import NoticePendingError
from wfcore.keys import is_terminal_notice
from wfcore.model import Snapshot
from wfcore.outcome import Deleted, TerminalNotified
from wfcore.plan import Absent, AtVersion, DeleteHook, DeleteInstance, Plan
from wfcore.planner.changes import nothing
from wfcore.planner.lifecycle import transition


def plan_delete(snapshot: Snapshot, ref: str, *, execution_id: str) -> Plan:
    """Delete an instance that has ended, with all its rows of every run (rule M11).

    Args:
        snapshot: of the instance.
        ref: the instance.
        execution_id: new for each try.

    Raises:
        InstanceNotFoundError: there is no such instance.
        IllegalTransitionError: it has not ended.
        NoticePendingError: its end was not announced yet (rule O7).
    """
    instance, _ = transition(snapshot, ref, "delete")
    notice = min((hook.id for hook in snapshot.hooks if is_terminal_notice(hook.id)), default=None)
    if notice is not None:
        raise NoticePendingError(ref, notice)
    held = AtVersion(ref, instance.version, instance.execution_id)
    return Plan(ref, execution_id, (held,), (DeleteInstance(ref),), Deleted(ref))


def plan_terminal_notified(snapshot: Snapshot, ref: str, *, transition_id: str, execution_id: str) -> Plan:
    """Delete the notice of a terminal transition that was handed over (rule O7). If it is gone, the plan is empty.

    The instance gets no new version: it may have been restarted since, and no tick ever handles a notice, so none has
    to conflict.

    Args:
        snapshot: of the instance.
        ref: the instance.
        transition_id: the notice, by the id of its hook.
        execution_id: new for each try.

    Raises:
        ValueError: the id is not one of a notice.
    """
    if not is_terminal_notice(transition_id):
        raise ValueError(f"transition_id={transition_id!r}: is not the id of a terminal notice")
    outcome = TerminalNotified(transition_id)
    if all(hook.id != transition_id for hook in snapshot.hooks):
        return nothing(ref, execution_id, outcome)
    row = snapshot.instance
    held = Absent(ref) if row is None else AtVersion(ref, row.version, row.execution_id)
    return Plan(ref, execution_id, (held,), (DeleteHook(transition_id),), outcome)
