"""Going on after a failure (rule M7). Pure: no I/O, no clock: the snapshot's time counts."""

from __future__ import annotations

import attrs

from wfcore.errors import StepNotRetryableError
from wfcore.model import Snapshot, StepRecord
from wfcore.outcome import Retried
from wfcore.plan import DeleteStep, Mutation, Plan, PutHook, PutStep
from wfcore.planner.changes import change, timer
from wfcore.planner.commands.control import withdrawn_pauses
from wfcore.planner.lifecycle import transition
from wfcore.planner.reopening import reopening


def plan_retry(snapshot: Snapshot, ref: str, *, execution_id: str) -> Plan:
    """Let a failed instance go on in the same run, from the steps that failed (rule M7).

    Steps that failed are opened again, with fresh attempts, if nothing that is kept was done after them; what is
    recorded before them is kept. The instance becomes ``active``, its timer due now. If no step failed, the code is
    replayed over what is recorded: after a corrected deploy it goes on. ``plan.outcome`` says what is opened.

    Args:
        snapshot: of the instance.
        ref: the instance.
        execution_id: new for each try.

    Raises:
        InstanceNotFoundError: there is no such instance.
        IllegalTransitionError: it is not ``errored``.
        StepNotRetryableError: it failed because of a step, and something that is kept was done after that.
    """
    instance, becomes = transition(snapshot, ref, "retry")
    found = reopening(snapshot.steps, instance.failure)
    if found.held_by is not None:
        raise StepNotRetryableError(ref, found.held_by.key)
    now = max(snapshot.now, instance.updated_at)
    mutations: tuple[Mutation, ...] = (
        *(PutStep(_opened(record, execution_id)) for record in found.reopened),
        *(DeleteStep(ref, record.run_number, record.key) for record in found.removed),
        *withdrawn_pauses(snapshot, instance, now),
        PutHook(timer(instance, now, now)),
    )
    outcome = Retried(tuple(record.key for record in found.reopened), tuple(record.key for record in found.removed))
    return change(
        instance,
        mutations,
        outcome,
        execution_id=execution_id,
        now=now,
        status=becomes,
        output=None,
        failure=None,
        completed_at=None,
    )


def _opened(record: StepRecord, execution_id: str) -> StepRecord:
    """The record of a step that failed, as one that has not been tried; why it failed stays to be seen.

    A wait for an event wants nothing until the next visit says what, and until when.
    """
    return attrs.evolve(
        record,
        status="waiting",
        attempts=0,
        next_retry_at=None,
        wake_at=None,
        event_types=(),
        event_id=None,
        sequence=None,
        settled_at=None,
        execution_id=execution_id,
    )
