"""Commands that a test gives in place of a wake-up: each is planned by its ``plan_*``. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, final

import attrs

from wfcore.model import Snapshot
from wfcore.plan import Plan
from wfcore.planner import plan_pause, plan_restart, plan_resume, plan_send_event, plan_terminate
from wfcore.ports import Codec
from wfcore.workflow import EventType, Workflow


@attrs.frozen(kw_only=True)
class Occasion:
    """What a command is planned from.

    Attributes:
        snapshot: of the instance.
        ref: the instance.
        workflow: its workflow.
        execution_id: of the plan.
        codec: how values become payloads.
    """

    snapshot: Snapshot
    ref: str
    workflow: Workflow[Any, Any]
    execution_id: str
    codec: Codec


@final
@attrs.frozen
class Command:
    """A command. Made by :func:`pause` and its neighbours."""

    plan: Callable[[Occasion], Plan]


MakePlan: TypeAlias = Callable[[Snapshot, str], Plan]
"""Any other command: from a snapshot and a new execution id to its plan."""


def send_event(type: EventType[Any] | str, payload: object = None, *, id: str = "e1") -> Command:
    """Somebody sends an event (rule M2)."""
    return Command(
        lambda at: plan_send_event(
            at.snapshot,
            at.ref,
            at.workflow,
            type,
            payload,
            event_id=id,
            execution_id=at.execution_id,
            codec=at.codec,
        )
    )


def pause(id: str = "1") -> Command:
    """Somebody asks the instance to pause (rule M3)."""
    return Command(lambda at: plan_pause(at.snapshot, at.ref, request_id=id, execution_id=at.execution_id))


def resume() -> Command:
    """Somebody lets the instance go on (rule M4)."""
    return Command(lambda at: plan_resume(at.snapshot, at.ref, execution_id=at.execution_id))


def terminate() -> Command:
    """Somebody ends the instance (rule M5)."""
    return Command(
        lambda at: plan_terminate(at.snapshot, at.ref, notify=at.workflow.notify, execution_id=at.execution_id)
    )


def restart(params: object = attrs.NOTHING, *, keep_keys: bool = False) -> Command:
    """Somebody begins a new run (rule M6)."""
    return Command(
        lambda at: plan_restart(
            at.snapshot,
            at.ref,
            at.workflow,
            params,
            execution_id=at.execution_id,
            keep_keys=keep_keys,
            codec=at.codec,
        )
    )
