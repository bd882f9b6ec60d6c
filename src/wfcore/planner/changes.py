"""Pieces of every plan of an existing instance: its row, its timer, its handled hooks. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import attrs

from wfcore.keys import is_terminal_notice, terminal_id, timer_id
from wfcore.model import PAUSE_REQUEST, Event, Hook, Instance
from wfcore.outcome import Outcome
from wfcore.plan import AtVersion, DeleteHook, LogLine, Mutation, Plan, PutEvent, PutInstance


def change(
    instance: Instance,
    mutations: Iterable[Mutation],
    outcome: Outcome,
    *,
    execution_id: str,
    now: datetime,
    logs: tuple[LogLine, ...] = (),
    **fields: Any,
) -> Plan:
    """A plan that writes the instance's row, with ``fields`` changed, at ``version + 1``, and then ``mutations``."""
    row = attrs.evolve(instance, version=instance.version + 1, updated_at=now, execution_id=execution_id, **fields)
    return Plan(
        ref=instance.ref,
        execution_id=execution_id,
        preconditions=(AtVersion(instance.ref, instance.version, instance.execution_id),),
        mutations=(PutInstance(row), *mutations),
        outcome=outcome,
        logs=logs,
    )


def nothing(ref: str, execution_id: str, outcome: Outcome) -> Plan:
    """An empty plan: there is only something to say."""
    return Plan(ref=ref, execution_id=execution_id, preconditions=(), mutations=(), outcome=outcome)


def timer(
    instance: Instance, due_at: datetime, now: datetime, *, attempts: int = 0, last_error: str | None = None
) -> Hook:
    """The one timer hook of the instance's current run."""
    return Hook(
        id=timer_id(instance.ref),
        instance_ref=instance.ref,
        run_number=instance.run_number,
        workflow_name=instance.workflow_name,
        instance_id=instance.instance_id,
        reason="wake",
        due_at=due_at,
        created_at=now,
        attempts=attempts,
        last_error=last_error,
    )


def terminal_notice(instance: Instance, version: int, now: datetime) -> Hook:
    """The hook that announces the terminal transition which a plan makes (rule O7).

    Args:
        instance: the row, before or after the transition.
        version: of the row after the transition; it makes the hook's id, so that each transition has one of its own.
        now: the instant of the transition, the row's ``completed_at``.
    """
    return Hook(
        id=terminal_id(instance.ref, version),
        instance_ref=instance.ref,
        run_number=None,
        workflow_name=instance.workflow_name,
        instance_id=instance.instance_id,
        reason="terminal",
        due_at=now,
        created_at=now,
    )


def handled(hooks: Iterable[Hook]) -> tuple[DeleteHook, ...]:
    """Delete the hooks that were seen; a notice of a terminal transition is never among them (rule O7)."""
    return tuple(DeleteHook(hook.id) for hook in hooks if not is_terminal_notice(hook.id))


def is_pause_request(event: Event) -> bool:
    """Whether the event asks the instance to pause (rule M3)."""
    return event.actor == "system" and event.type == PAUSE_REQUEST


def consumed(event: Event, by: str, run_number: int, now: datetime) -> PutEvent:
    """The event, taken by a step or a command."""
    return PutEvent(attrs.evolve(event, consumed_by=by, consumed_run=run_number, delivered_at=now))
