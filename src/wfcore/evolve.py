"""The meaning of a plan, written once: ``evolve(world, plan)``. Pure: no I/O, no clock, no lock.

The memory store is this function behind a lock. Every other store must be indistinguishable from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol, TypeAlias, assert_never

import attrs

from wfcore.model import Event, Hook, Instance, Snapshot, StepRecord
from wfcore.plan import (
    Absent,
    AddEvent,
    AddHook,
    AddInstance,
    Applied,
    AtVersion,
    Conflict,
    DeleteHook,
    DeleteInstance,
    DeleteStep,
    Exists,
    Plan,
    Precondition,
    PutEvent,
    PutHook,
    PutInstance,
    PutStep,
    RowMutation,
    Write,
)


@attrs.frozen(kw_only=True)
class Rows:
    """All rows of one instance, of every run.

    Attributes:
        instance: the instance, if it exists.
        steps: by ``(run_number, key)``.
        events: by id, consumed ones too, in order of arrival.
        hooks: by id.
    """

    instance: Instance | None = None
    steps: Mapping[tuple[int, str], StepRecord] = attrs.field(factory=dict)
    events: Mapping[str, Event] = attrs.field(factory=dict)
    hooks: Mapping[str, Hook] = attrs.field(factory=dict)

    def snapshot(self, now: datetime) -> Snapshot:
        """What a retrieve returns of these rows: the current run's steps, the pending events, all hooks."""
        run = self.instance.run_number if self.instance else None
        return Snapshot(
            instance=self.instance,
            steps=tuple(step for (number, _key), step in self.steps.items() if number == run),
            events=tuple(event for event in self.events.values() if event.consumed_by is None),
            hooks=tuple(self.hooks.values()),
            now=now,
        )


World: TypeAlias = Mapping[str, Rows]
"""The rows of a store, or of a part of it, by ref."""
NOTHING = Rows()
"""The rows of an instance that does not exist."""


def evolve(world: World, plan: Plan) -> World | Conflict:
    """The world after ``plan``, or the conflict that keeps it from being applied.

    ``world`` is not changed; rows of instances that the plan does not touch are shared. It need hold only the
    refs that the plan names. ``Write`` changes no row of wfcore's and is left to the store.
    """
    for precondition in plan.preconditions:
        found = world.get(precondition.ref, NOTHING).instance
        if not holds(precondition, found):
            return conflict(precondition.ref, found)
    drafts: dict[str, _Draft] = {}
    for mutation in plan.mutations:
        if not isinstance(mutation, Write):
            if mutation.ref not in drafts:
                drafts[mutation.ref] = _Draft(world.get(mutation.ref, NOTHING))
            _perform(drafts[mutation.ref], mutation)
    return {**world, **{ref: draft.rows() for ref, draft in drafts.items()}}


class Versioned(Protocol):
    """What a precondition looks at: an instance, or two columns of its row."""

    @property
    def version(self) -> int:
        """The instance's version."""

    @property
    def execution_id(self) -> str:
        """Of the plan that wrote it last."""


def holds(precondition: Precondition, found: Versioned | None) -> bool:
    """Whether a precondition holds, given what its instance is; ``None``: there is none."""
    match precondition:
        case Absent():
            return found is None
        case Exists():
            return found is not None
        case AtVersion(_, version, execution_id):
            return found is not None and found.version == version and found.execution_id == execution_id
        case unreachable:
            assert_never(unreachable)


def conflict(ref: str, found: Versioned | None) -> Conflict:
    """The conflict to report, given what was found in place of the expected one (rule A2)."""
    return Conflict(ref, found.version, found.execution_id) if found else Conflict(ref, None, None)


def applied(after: World, plan: Plan) -> Applied:
    """What ``apply`` answers, given the world after the plan (rule A13)."""
    return Applied(
        frozenset(after.get(plan.ref, NOTHING).hooks),
        tuple(
            mutation
            for mutation in plan.mutations
            if isinstance(mutation, AddEvent | AddHook) and after.get(mutation.ref, NOTHING).instance is None
        ),
    )


class _Draft:
    """Rows under change: copied once for each instance that a plan touches."""

    def __init__(self, rows: Rows) -> None:
        self.instance = rows.instance
        self.steps = dict(rows.steps)
        self.events = dict(rows.events)
        self.hooks = dict(rows.hooks)

    def rows(self) -> Rows:
        return Rows(instance=self.instance, steps=self.steps, events=self.events, hooks=self.hooks)


def _perform(draft: _Draft, mutation: RowMutation) -> None:
    match mutation:
        case PutInstance(instance):
            draft.instance = instance
        case AddInstance(instance):
            draft.instance = draft.instance or instance
        case DeleteInstance():
            draft.instance = None
            for table in (draft.steps, draft.events, draft.hooks):
                table.clear()
        case PutStep(step):
            draft.steps[step.run_number, step.key] = step
        case DeleteStep(_, run_number, key):
            draft.steps.pop((run_number, key), None)
        case PutEvent(event):
            draft.events[event.id] = event
        case AddEvent(event):
            if draft.instance:
                draft.events.setdefault(event.id, event)
        case PutHook(hook):
            draft.hooks[hook.id] = hook
        case AddHook(hook):
            if draft.instance:
                draft.hooks.setdefault(hook.id, hook)
        case DeleteHook(hook_id):
            draft.hooks.pop(hook_id, None)
        case unreachable:
            assert_never(unreachable)
