"""Whether an instance can still go on: rule O5, written once. Pure: no I/O, no clock.

The draft asks before a plan leaves; an audit asks of what is stored (rule R7). What is stored may hold more than a
plan leaves behind: messages that no tick has seen yet, each with a hook of its own, and hooks that were put off.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from wfcore.keys import message_id, start_id, timer_id
from wfcore.model import TERMINAL, Event, Hook, Instance, InstanceStatus, Snapshot, StepRecord
from wfcore.planner.changes import is_pause_request
from wfcore.planner.steps.decision import earliest_deadline, is_waiting, wanted_event


def breaks_o5(snapshot: Snapshot) -> str | None:
    """Which clause of rule O5 what is stored breaks, in words; ``None``: none, or there is no instance (rule R7).

    Time does not count: an instance that is overdue because nobody runs a dispatcher breaks nothing.

    Args:
        snapshot: what a store's ``retrieve`` returned.
    """
    instance = snapshot.instance
    if instance is None:
        return None
    hooks = {hook.id: hook for hook in snapshot.hooks}
    unseen = tuple(event for event in snapshot.events if message_id(instance.ref, event.id) not in hooks)
    if instance.status == "waiting" and any(map(is_pause_request, unseen)):
        return "it was asked to pause, and no wake-up says so"
    live = [step for step in snapshot.steps if is_waiting(step)]
    return broken_clause(instance.status, _due_at(instance, hooks, earliest_deadline(live)), live, unseen)


def broken_clause(
    status: InstanceStatus, due_at: datetime | None, live: Iterable[StepRecord], events: Iterable[Event]
) -> str | None:
    """Which clause of rule O5 an instance would break, in words; ``None``: none.

    Args:
        status: of the instance.
        due_at: of its timer; ``None``: it has none.
        live: its records that have not settled.
        events: those that are pending and have no hook of their own.
    """
    if status == "active":  # first, and without a look at the records: every checkpoint asks
        return "active, and it has no timer" if due_at is None else None
    if status == "paused":
        return None if due_at is None else f"paused, and its timer is due at {due_at.isoformat()}"
    live = tuple(live)
    if status in TERMINAL:
        if due_at is not None:
            return f"{status}, and its timer is due at {due_at.isoformat()}"
        return f"{status}, and {live[0].key!r} still waits" if live else None
    if not live:
        return "waiting for nothing"
    wanted = {type_ for record in live for type_ in record.event_types}
    events = tuple(event for event in events if event.type in wanted)
    for record in live:
        if (event := wanted_event(record, events)) is not None:
            return f"waiting, and {record.key!r} may take the event {event.id!r}, which no wake-up announces"
    first = earliest_deadline(live)
    if due_at == first:
        return None
    stands = "it has no timer" if due_at is None else f"its timer is due at {due_at.isoformat()}"
    return f"waiting, and {stands}, but the earliest deadline is {first.isoformat() if first else 'none'}"


def _due_at(instance: Instance, hooks: dict[str, Hook], first: datetime | None) -> datetime | None:
    """When the hook is due that stands for the timer; one that was put off counts as if it stood where it should."""
    timer = hooks.get(timer_id(instance.ref))
    if timer is None or timer.run_number not in (None, instance.run_number):
        start = hooks.get(start_id(instance.ref)) if instance.status == "active" else None
        return start.due_at if start else None
    if instance.status == "waiting" and timer.attempts and first is not None:
        return first
    return timer.due_at
