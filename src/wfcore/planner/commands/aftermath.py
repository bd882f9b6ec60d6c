"""What a runner plans after a tick that failed, or that it does not continue. Pure: no I/O, no clock."""

from __future__ import annotations

import attrs

from wfcore.errors import WriteFailedError
from wfcore.failure import failure_of
from wfcore.model import FiredHook, Instance, Snapshot, StepRecord
from wfcore.outcome import Deferred, Errored, Ignored
from wfcore.plan import AddHook, AtVersion, Mutation, Plan, PutHook, PutInstance, PutStep
from wfcore.planner.changes import change, handled, nothing, terminal_notice
from wfcore.planner.draft import cancelled
from wfcore.planner.gate import consumed_pauses, last_sequence, waiting
from wfcore.retry import DEFERRAL


def plan_defer(snapshot: Snapshot, fired: FiredHook, error: Exception, *, execution_id: str) -> Plan:
    """Put off the hook of a tick that failed for a reason that is not the workflow's (rules G10, D3, R1).

    The *snapshot's* row of the hook is put back with one attempt more, the error's text and a later time, without a
    new version of the instance: that disturbs no running tick. If the hook is gone, the plan is empty.

    Args:
        snapshot: of the instance.
        fired: the hook of the tick that failed.
        error: why it failed.
        execution_id: new for each try.
    """
    ref = fired.hook.instance_ref
    failure = failure_of(error)
    instance = snapshot.instance
    stored = next((hook for hook in snapshot.hooks if hook.id == fired.hook.id), None)
    if instance is None or stored is None:
        return nothing(ref, execution_id, Deferred(None, failure))
    attempts = stored.attempts + 1
    now = max(snapshot.now, fired.timestamp)
    due_at = max(stored.due_at, now + DEFERRAL.delay_after(attempts))
    deferred = attrs.evolve(stored, attempts=attempts, last_error=str(failure), due_at=due_at)
    held = AtVersion(ref, instance.version, instance.execution_id)
    return Plan(ref, execution_id, (held,), (PutHook(deferred),), Deferred(due_at, failure))


def plan_write_failure(
    snapshot: Snapshot, failed: Plan, error: WriteFailedError, *, notify: bool, execution_id: str
) -> Plan:
    """End an instance whose tick could not be applied because a user's write failed (rule T5).

    Nothing of that tick is kept, but for the record of the step that queued the write: it is written ``errored``, its
    attempt counted. If the instance has moved on since, the plan is empty.

    Args:
        snapshot: fresh.
        failed: the plan that was refused.
        error: what the store raised; its ``index`` names the write.
        notify: whether the end of the instance is to be announced: ``workflow.notify`` (rule O7).
        execution_id: new for each try.
    """
    instance = snapshot.instance
    if instance is None or AtVersion(failed.ref, instance.version, instance.execution_id) not in failed.preconditions:
        return nothing(failed.ref, execution_id, Ignored("the instance has moved on"))
    now = max(snapshot.now, instance.updated_at)
    failure = failure_of(error)
    before = failed.mutations[: error.index]
    step = next((mutation.step for mutation in reversed(before) if isinstance(mutation, PutStep)), None)
    records: dict[str, StepRecord] = {
        record.key: cancelled(record, now, execution_id) for record in waiting(snapshot.steps)
    }
    if step is not None:
        sequence = 1 + last_sequence(snapshot.steps)
        records[step.key] = attrs.evolve(
            step,
            status="errored",
            result=None,
            failure=failure,
            sequence=sequence,
            settled_at=now,
            execution_id=execution_id,
        )
    mutations: list[Mutation] = [
        *map(PutStep, records.values()),
        *consumed_pauses(snapshot, instance, now),
        *handled(snapshot.hooks),
    ]
    if notify:
        mutations.append(AddHook(terminal_notice(instance, instance.version + 1, now)))
    return change(
        instance,
        mutations,
        Errored(failure),
        execution_id=execution_id,
        now=now,
        status="errored",
        failure=failure,
        completed_at=now,
        started_at=instance.started_at or now,
    )


def released(checkpoint: Plan) -> Plan:
    """A checkpoint whose runner will not go on: its timer is due at once, so that another one may (rule O6).

    An at-most-once body that it was to start is not started: nobody would run it (rule S13).
    """
    row = next(mutation.instance for mutation in checkpoint.mutations if isinstance(mutation, PutInstance))
    return attrs.evolve(checkpoint, mutations=tuple(_released(each, row) for each in checkpoint.mutations))


def _released(mutation: Mutation, row: Instance) -> Mutation:
    match mutation:
        case PutHook(hook):
            return PutHook(attrs.evolve(hook, due_at=row.updated_at))
        case PutStep(step) if step.status == "started" and step.execution_id == row.execution_id:
            return PutStep(attrs.evolve(step, status="waiting", wake_at=None))
        case _:
            return mutation
