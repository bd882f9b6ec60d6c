"""What a planner returns: preconditions, mutations and an outcome, as data. No I/O; nothing here can be executed.

A mutation is the after-image of a row, or names a row to delete. A store checks the preconditions and performs the
mutations in the order given, all or nothing; ``wfcore.evolve`` says what each of them means.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import attrs

from wfcore.keys import hook_ref
from wfcore.model import Event, Hook, Instance, StepRecord
from wfcore.outcome import Outcome

# ---- preconditions


@attrs.frozen
class Absent:
    """There is no instance of that ref."""

    ref: str


@attrs.frozen
class Exists:
    """There is an instance of that ref, in whatever state."""

    ref: str


@attrs.frozen
class AtVersion:
    """The row has this version *and* this execution id, so that a re-created instance is not taken for the old one."""

    ref: str
    version: int
    execution_id: str


Precondition: TypeAlias = Absent | Exists | AtVersion

# ---- mutations


@attrs.frozen
class PutInstance:
    """Store this row in place of the one with its identity."""

    instance: Instance

    @property
    def ref(self) -> str:
        """The instance that the mutation is about."""
        return self.instance.ref


@attrs.frozen
class PutStep:
    """Store this record, in place of the one with its identity if there is one."""

    step: StepRecord

    @property
    def ref(self) -> str:
        """The instance that the mutation is about."""
        return self.step.instance_ref


@attrs.frozen
class DeleteStep:
    """Delete this record if it is there."""

    ref: str
    run_number: int
    key: str


@attrs.frozen
class PutEvent:
    """Store this event in place of the one with its identity; it keeps its place in the order of arrival."""

    event: Event

    @property
    def ref(self) -> str:
        """The instance that the mutation is about."""
        return self.event.instance_ref


@attrs.frozen
class PutHook:
    """Store this hook, in place of the one with its identity if there is one."""

    hook: Hook

    @property
    def ref(self) -> str:
        """The instance that the mutation is about."""
        return self.hook.instance_ref


@attrs.frozen
class DeleteHook:
    """Delete this hook if it is there."""

    id: str

    @property
    def ref(self) -> str:
        """The instance that the mutation is about."""
        return hook_ref(self.id)


@attrs.frozen
class DeleteInstance:
    """Delete the instance and all its rows: steps and events of every run, and hooks."""

    ref: str


@attrs.frozen
class AddInstance:
    """Store this row unless its identity exists."""

    instance: Instance

    @property
    def ref(self) -> str:
        """The instance that the mutation is about."""
        return self.instance.ref


@attrs.frozen
class AddEvent:
    """Append this event unless its identity exists, and only if its instance exists."""

    event: Event

    @property
    def ref(self) -> str:
        """The instance that the mutation is about."""
        return self.event.instance_ref


@attrs.frozen
class AddHook:
    """Store this hook unless its identity exists, and only if its instance exists."""

    hook: Hook

    @property
    def ref(self) -> str:
        """The instance that the mutation is about."""
        return self.hook.instance_ref


@attrs.frozen
class Write:
    """A user's own write, executed by the store in the same transaction (rules T1, T7).

    Writes keep their order among themselves; whether the plan's rows stand before or after them is the store's choice.
    """

    value: object


RowMutation: TypeAlias = (
    PutInstance
    | PutStep
    | DeleteStep
    | PutEvent
    | PutHook
    | DeleteHook
    | DeleteInstance
    | AddInstance
    | AddEvent
    | AddHook
)
Mutation: TypeAlias = RowMutation | Write
_APPENDS = (Write, AddInstance, AddEvent, AddHook)

# ---- the plan


@attrs.frozen
class LogLine:
    """A line of ``step.log``; the runner emits it when the plan that carries it is committed (rule D8)."""

    message: str
    fields: Mapping[str, object]


@attrs.frozen
class Plan:
    """One atomic, conditional change of a store.

    Attributes:
        ref: the instance that the plan is about.
        execution_id: new for each try; the rows that the plan writes carry it.
        preconditions: all must hold, in the transaction that performs the mutations.
        mutations: performed in this order.
        outcome: what the plan means.
        logs: lines of workflow code to emit once the plan is committed.

    Raises:
        ValueError: a mutation is not covered by a precondition that it needs. A planner never makes such a plan.
    """

    ref: str
    execution_id: str
    preconditions: tuple[Precondition, ...]
    mutations: tuple[Mutation, ...]
    outcome: Outcome
    logs: tuple[LogLine, ...] = ()

    def __attrs_post_init__(self) -> None:
        held = {each.ref for each in self.preconditions if isinstance(each, AtVersion)}
        absent = {each.ref for each in self.preconditions if isinstance(each, Absent)}
        for mutation in self.mutations:
            if isinstance(mutation, _APPENDS) or mutation.ref in held:
                continue
            if not (isinstance(mutation, DeleteHook) and mutation.ref in absent):
                raise ValueError(f"{type(mutation).__name__} of {mutation.ref!r} needs AtVersion")

    @property
    def refs(self) -> frozenset[str]:
        """All instances that the plan names: those that a store has to keep from others while it applies the plan."""
        changed = (each.ref for each in self.mutations if not isinstance(each, Write))
        return frozenset((self.ref, *(each.ref for each in self.preconditions), *changed))

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to apply."""
        return not self.mutations


# ---- what apply answers


@attrs.frozen
class Applied:
    """The plan is committed (rule A13).

    Attributes:
        pending_hooks: ids of the hooks now stored for the plan's ref.
        undelivered: the ``AddEvent`` and ``AddHook`` that were skipped because their instance does not exist.
    """

    pending_hooks: frozenset[str] = frozenset()
    undelivered: tuple[AddEvent | AddHook, ...] = ()


@attrs.frozen
class Conflict:
    """A precondition did not hold: nothing was written (rule A2).

    Attributes:
        ref: the instance whose precondition failed.
        version: the version found, ``None`` if there is no instance.
        execution_id: the execution id found, ``None`` if there is no instance.
    """

    ref: str
    version: int | None
    execution_id: str | None
