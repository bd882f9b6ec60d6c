"""Taking over the records of an engine that named steps without their kind (rule K5). Pure: no I/O, no clock."""

from __future__ import annotations

import attrs

from wfcore.keys import StepKey, is_bare
from wfcore.model import Snapshot, StepRecord
from wfcore.outcome import BareKeysAdopted
from wfcore.plan import DeleteStep, Mutation, Plan, PutHook, PutStep
from wfcore.planner.changes import change, nothing, timer
from wfcore.planner.gate import last_sequence
from wfcore.planner.lifecycle import transition

_UNNUMBERED = frozenset({"patch", "map"})
"""Kinds that are recorded and never settle (rule K3)."""


def plan_adopt_bare_keys(snapshot: Snapshot, ref: str, *, execution_id: str) -> Plan:
    """Give the records of an instance's current run the keys that this engine asks for (rule K5).

    ``charge`` becomes ``do:charge``; the kind is the record's. A record that stands under the new key already wins.
    Settled records without a place in the order of settlement are numbered, after those that have one, by the instant
    at which they settled, then the instant at which they were reached, then the key.

    A parked instance becomes ``active``, its timer due now: the next tick shows whether the code fits, and parks it
    again. Without anything to do the plan is empty. Look at ``plan.outcome.keys`` before you apply it.

    Args:
        snapshot: of the instance.
        ref: the instance.
        execution_id: new for each try.

    Raises:
        InstanceNotFoundError: there is no such instance.
        StepNameError: a name cannot be used in a key (rule K4).
    """
    instance, becomes = transition(snapshot, ref, "adopt bare step keys of")
    records = sorted(snapshot.steps, key=lambda record: record.key)
    bare = {record.key: _adopted(record, execution_id) for record in records if is_bare(record.key, record.kind)}
    standing = {record.key: record for record in records if record.key not in bare}
    adopted = {old: record for old, record in bare.items() if record.key not in standing}
    written = {record.key: record for record in adopted.values()}
    written.update(_numbered([*standing.values(), *adopted.values()], execution_id))
    outcome = BareKeysAdopted(tuple((old, record.key) for old, record in adopted.items()))
    if not bare and not written:
        return nothing(ref, execution_id, outcome)
    mutations: list[Mutation] = [DeleteStep(ref, record.run_number, old) for old, record in bare.items()]
    mutations.extend(map(PutStep, written.values()))
    now = max(snapshot.now, instance.updated_at)
    if becomes == "active":
        mutations.append(PutHook(timer(instance, now, now)))
    return change(instance, mutations, outcome, execution_id=execution_id, now=now, status=becomes)


def _adopted(record: StepRecord, execution_id: str) -> StepRecord:
    """The record under the key that this engine asks for; raises :class:`StepNameError`."""
    key = StepKey.parse(f"{record.kind}:{record.key}")
    return attrs.evolve(
        record,
        key=key.build(),
        name=key.path[-1].name,
        parent_key=None,  # a bare name tells of no scope around it
        depth=0,
        execution_id=execution_id,
    )


def _numbered(records: list[StepRecord], execution_id: str) -> dict[str, StepRecord]:
    """The settled records that had no sequence, with one; by key."""
    unnumbered = [
        record
        for record in records
        if record.sequence is None and record.status in ("completed", "errored") and record.kind not in _UNNUMBERED
    ]
    unnumbered.sort(key=lambda record: (record.settled_at or record.created_at, record.created_at, record.key))
    return {
        record.key: attrs.evolve(
            record, sequence=sequence, settled_at=record.settled_at or record.created_at, execution_id=execution_id
        )
        for sequence, record in enumerate(unnumbered, start=1 + last_sequence(tuple(records)))
    }
