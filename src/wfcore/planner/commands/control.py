"""Commands that move an instance: resume, terminate, restart (rules M4 to M6). Pure: no I/O, no clock.

They write the instance's row, so that a tick that is at work meanwhile conflicts and plans again from what they left.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import attrs

from wfcore.codec import JSON
from wfcore.keys import message_id, timer_id
from wfcore.model import Event, Instance, Snapshot
from wfcore.outcome import Restarted, Resumed, Terminated
from wfcore.plan import AddHook, DeleteHook, Mutation, Plan, PutHook, PutStep
from wfcore.planner.changes import change, consumed, handled, is_pause_request, nothing, terminal_notice, timer
from wfcore.planner.draft import cancelled
from wfcore.planner.gate import consumed_pauses, waiting
from wfcore.planner.lifecycle import transition
from wfcore.ports import Codec, checked
from wfcore.workflow import Workflow


def plan_resume(snapshot: Snapshot, ref: str, *, execution_id: str) -> Plan:
    """Let a paused instance go on, and withdraw requests to pause that are pending (rule M4).

    A paused instance becomes ``active``, its timer due now: the next tick honours what came due meanwhile, each wait by
    its own deadline. One that is not paused yet keeps its status; if it is ``active``, it is due now too, because the
    runner that is at work on it conflicts and leaves it. If nobody asked for a pause, the plan is empty.

    Args:
        snapshot: of the instance.
        ref: the instance.
        execution_id: new for each try.

    Raises:
        InstanceNotFoundError: there is no such instance.
        IllegalTransitionError: it has ended.
    """
    instance, becomes = transition(snapshot, ref, "resume")
    now = max(snapshot.now, instance.updated_at)
    requests = [event.id for event in snapshot.events if is_pause_request(event)]
    if instance.status != "paused" and not requests:
        return nothing(ref, execution_id, Resumed())
    mutations = [*withdrawn_pauses(snapshot, instance, now)]
    if becomes == "active":
        mutations.append(PutHook(timer(instance, now, now)))
    return change(instance, mutations, Resumed(tuple(requests)), execution_id=execution_id, now=now, status=becomes)


def plan_terminate(snapshot: Snapshot, ref: str, *, notify: bool, execution_id: str) -> Plan:
    """End an instance (rule M5): what it waits for is cancelled, a tick that is at work conflicts.

    Args:
        snapshot: of the instance.
        ref: the instance.
        notify: whether its end is to be announced: ``workflow.notify`` (rule O7).
        execution_id: new for each try.

    Raises:
        InstanceNotFoundError: there is no such instance.
        IllegalTransitionError: it has ended already.
    """
    instance, becomes = transition(snapshot, ref, "terminate")
    now = max(snapshot.now, instance.updated_at)
    mutations: list[Mutation] = [
        *(PutStep(cancelled(record, now, execution_id)) for record in waiting(snapshot.steps)),
        *consumed_pauses(snapshot, instance, now),
        *handled(snapshot.hooks),
    ]
    if notify:
        mutations.append(AddHook(terminal_notice(instance, instance.version + 1, now)))
    return change(
        instance, mutations, Terminated(), execution_id=execution_id, now=now, status=becomes, completed_at=now
    )


def plan_restart(
    snapshot: Snapshot,
    ref: str,
    workflow: Workflow[Any, Any],
    params: object = attrs.NOTHING,
    *,
    execution_id: str,
    keep_keys: bool = False,
    codec: Codec = JSON,
) -> Plan:
    """Begin a new run, from any status (rule M6): ``active``, its timer due now, nothing recorded.

    The rows of the run before are kept as history; what it waited for is cancelled. Pending events of users are taken
    out of the mailbox. A request to pause that has come to nothing so far holds for the new run; one that finds the
    instance paused or ended has nothing to say any more.

    Args:
        snapshot: of the instance.
        ref: the instance.
        workflow: its workflow.
        params: of the new run, encoded and decoded to the workflow's type; left out: those of the run before.
        execution_id: new for each try.
        keep_keys: whether steps have the idempotency keys of the run before, and not new ones.
        codec: how values become payloads.

    Raises:
        InstanceNotFoundError: there is no such instance.
        CodecError: the params do not fit the workflow's type.
    """
    instance, becomes = transition(snapshot, ref, "restart")
    encoded = instance.params
    if params is not attrs.NOTHING:
        what = f"the parameters of {workflow.name!r}"
        encoded = checked(workflow.local_codec(codec), params, workflow.params_type, what)
    now = max(snapshot.now, instance.updated_at)
    run_number = instance.run_number + 1
    moot = () if instance.status in ("active", "waiting") else consumed_pauses(snapshot, instance, now)
    mutations: tuple[Mutation, ...] = (
        *(PutStep(cancelled(record, now, execution_id)) for record in waiting(snapshot.steps)),
        *_given_up(snapshot.events, instance.run_number, now),
        *moot,
        *handled(hook for hook in snapshot.hooks if hook.id != timer_id(ref)),
        PutHook(timer(attrs.evolve(instance, run_number=run_number), now, now)),
    )
    return change(
        instance,
        mutations,
        Restarted(run_number),
        execution_id=execution_id,
        now=now,
        status=becomes,
        run_number=run_number,
        key_run=instance.key_run if keep_keys else run_number,
        params=encoded,
        output=None,
        failure=None,
        started_at=None,
        completed_at=None,
    )


def withdrawn_pauses(snapshot: Snapshot, instance: Instance, now: datetime) -> Iterator[Mutation]:
    """The pending requests to pause as consumed, and nothing any more that announces them."""
    yield from consumed_pauses(snapshot, instance, now)
    announced = {message_id(event.instance_ref, event.id) for event in snapshot.events if is_pause_request(event)}
    yield from (DeleteHook(hook.id) for hook in snapshot.hooks if hook.id in announced)


def _given_up(events: Iterable[Event], run_number: int, now: datetime) -> list[Mutation]:
    """Events of users that the run before did not take: kept in the history, not delivered to the next."""
    return [consumed(event, "#restart", run_number, now) for event in events if event.actor == "user"]
