"""Creating an instance as a plan (rule M1). Pure: no I/O, no clock: the snapshot's time counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from wfcore.codec import JSON
from wfcore.errors import InstanceExistsError
from wfcore.keys import build_ref
from wfcore.model import Instance, Snapshot
from wfcore.outcome import Created
from wfcore.plan import Absent, AddHook, AddInstance, Plan
from wfcore.planner.changes import handled, timer
from wfcore.ports import Codec, checked
from wfcore.workflow import Workflow


def plan_create(
    snapshot: Snapshot,
    workflow: Workflow[Any, Any],
    params: object = None,
    *,
    instance_id: str,
    execution_id: str,
    tags: Mapping[str, str] | None = None,
    codec: Codec = JSON,
) -> Plan:
    """Create an instance: ``active``, its timer due now (rule M1).

    Args:
        snapshot: of the ref that the instance will have.
        workflow: the workflow.
        params: encoded and decoded to the workflow's type before anything is stored.
        instance_id: unique within the workflow.
        execution_id: new for each try; kept as ``created_by``.
        tags: the caller's labels.
        codec: how values become payloads.

    Raises:
        InstanceExistsError: there is one of that id.
        CodecError: the params do not fit the workflow's type.
        StepNameError: the id cannot be used.
    """
    ref = build_ref(workflow.name, instance_id)
    payload = checked(workflow.local_codec(codec), params, workflow.params_type, f"the parameters of {workflow.name!r}")
    if snapshot.instance is not None:
        raise InstanceExistsError(ref, snapshot.instance.status)
    instance = Instance(
        ref=ref,
        workflow_name=workflow.name,
        instance_id=instance_id,
        status="active",
        params=payload,
        tags=codec.decode(checked(codec, dict(tags or {}), dict[str, str], "the tags"), dict[str, str]),
        created_at=snapshot.now,
        updated_at=snapshot.now,
        execution_id=execution_id,
        created_by=execution_id,
    )
    hook = attrs.evolve(timer(instance, snapshot.now, snapshot.now), reason="create")
    return Plan(
        ref,
        execution_id,
        (Absent(ref),),
        (*handled(snapshot.hooks), AddInstance(instance), AddHook(hook)),
        Created(ref),
    )
