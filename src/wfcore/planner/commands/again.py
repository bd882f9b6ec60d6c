"""One command for an instance that may or may not be there (rule M8). Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

from wfcore.codec import JSON
from wfcore.keys import build_ref
from wfcore.model import InstanceStatus, Snapshot
from wfcore.outcome import Unchanged
from wfcore.plan import Plan
from wfcore.planner.changes import nothing
from wfcore.planner.commands.control import plan_restart
from wfcore.planner.commands.create import plan_create
from wfcore.ports import Codec
from wfcore.workflow import Workflow


def plan_restart_or_create(  # noqa: PLR0913 - as plan_tick
    snapshot: Snapshot,
    workflow: Workflow[Any, Any],
    params: object = None,
    *,
    instance_id: str,
    when: Container[InstanceStatus],
    execution_id: str,
    tags: Mapping[str, str] | None = None,
    codec: Codec = JSON,
) -> Plan:
    """Create an instance if there is none of that id, or begin a new run of the one that is there (rule M8).

    Args:
        snapshot: of the ref that the instance has, or will have.
        workflow: the workflow.
        params: of the new run, encoded and decoded to the workflow's type.
        instance_id: unique within the workflow.
        when: the statuses in which an instance is restarted; in others the plan is empty, its outcome ``Unchanged``.
        execution_id: new for each try.
        tags: the caller's labels, of an instance that is created; one that is restarted keeps its own.
        codec: how values become payloads.

    Raises:
        CodecError: the params do not fit the workflow's type.
        StepNameError: the id cannot be used.
    """
    ref = build_ref(workflow.name, instance_id)
    if snapshot.instance is None:
        return plan_create(
            snapshot,
            workflow,
            params,
            instance_id=instance_id,
            execution_id=execution_id,
            tags=tags,
            codec=codec,
        )
    if snapshot.instance.status not in when:
        return nothing(ref, execution_id, Unchanged(snapshot.instance.status))
    return plan_restart(snapshot, ref, workflow, params, execution_id=execution_id, codec=codec)
