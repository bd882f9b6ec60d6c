"""Planners, stores and runners that are broken on purpose, each in one way. They wrap the sound ones."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import attrs

from wfcore import (
    AtVersion,
    Conflict,
    DeleteHook,
    FiredHook,
    Mutation,
    NonDeterminismError,
    Plan,
    PutEvent,
    PutHook,
    PutInstance,
    PutStep,
    Registry,
    Snapshot,
    Suspended,
    UnknownWorkflowError,
    Workflow,
    evolve,
    plan_defer,
    plan_tick,
)
from wfcore.evolve import Rows, World
from wfcore.keys import timer_id
from wfcore.planner import Commit, Continue, Stop
from wfcore.planner.changes import change, handled
from wfcore.testing import Engine

Altered = Callable[[Snapshot, Plan], Plan]
SECOND = timedelta(seconds=1)


def planner(alter: Altered) -> Engine:
    """A planner whose plans are altered on their way out, checkpoints too."""

    def broken(snapshot: Snapshot, fired: FiredHook, *arguments: Any, commit: Commit, **others: Any) -> Plan:
        def altered(plan: Plan) -> Continue | Stop:
            return commit(alter(snapshot, plan))

        plan = plan_tick(snapshot, fired, *arguments, commit=altered, **others)
        return alter(snapshot, plan)

    return Engine(plan_tick=broken)


def misled(lie: Callable[[Snapshot, FiredHook], Snapshot]) -> Engine:
    """A planner that takes the snapshot for another one."""

    def broken(snapshot: Snapshot, fired: FiredHook, *arguments: Any, **others: Any) -> Plan:
        return plan_tick(lie(snapshot, fired), fired, *arguments, **others)

    return Engine(plan_tick=broken)


def mutated(alter: Callable[[Mutation], Mutation | None]) -> Altered:
    """An alteration of single mutations; ``None``: it is left out."""

    def altered(_snapshot: Snapshot, plan: Plan) -> Plan:
        found = (alter(each) for each in plan.mutations)
        return attrs.evolve(plan, mutations=tuple(each for each in found if each is not None))

    return altered


# -- stores


def without_version(world: World, plan: Plan) -> World | Conflict:
    found = evolve(world, plan)
    return found if not isinstance(found, Conflict) or found.version is None else _forced(world, plan)


def without_incarnation(world: World, plan: Plan) -> World | Conflict:
    found = evolve(world, plan)
    versions = {each.ref: each.version for each in plan.preconditions if isinstance(each, AtVersion)}
    same = isinstance(found, Conflict) and found.version is not None and versions.get(found.ref) == found.version
    return _forced(world, plan) if same else found


def _forced(world: World, plan: Plan) -> World | Conflict:
    row = world[plan.ref].instance
    assert row is not None
    return evolve(world, attrs.evolve(plan, preconditions=(AtVersion(plan.ref, row.version, row.execution_id),)))


def sweeping(world: World, plan: Plan) -> World | Conflict:
    """It deletes all hooks of the instance, those too that the plan has not seen."""
    after = evolve(world, plan)
    written = any(isinstance(each, PutInstance) for each in plan.mutations)
    if isinstance(after, Conflict) or not written:
        return after
    put = {each.hook.id for each in plan.mutations if isinstance(each, PutHook)}
    rows = after[plan.ref]
    kept = {key: hook for key, hook in rows.hooks.items() if key in put}
    return {**after, plan.ref: attrs.evolve(rows, hooks=kept)}


def half(world: World, plan: Plan) -> World | Conflict:
    """It commits the rows, and dies before it comes to the hooks."""
    rows = tuple(each for each in plan.mutations if not isinstance(each, PutHook))
    return evolve(world, attrs.evolve(plan, mutations=rows) if len(plan.preconditions) == 1 else plan)


# -- runners


def deferring(defer: Callable[[Snapshot, FiredHook, str], Plan]) -> Engine:
    """A stale firing comes to a process that does not know the workflow, and is put off there (rule G10)."""

    def tick(snapshot: Snapshot, fired: FiredHook, *arguments: Any, execution_id: str, **others: Any) -> Plan:
        stored = next((hook for hook in snapshot.hooks if hook.id == fired.hook.id), None)
        is_stale = stored is not None and fired.timestamp < snapshot.now < stored.due_at - 10 * SECOND
        if is_stale:
            return defer(snapshot, fired, execution_id)
        return plan_tick(snapshot, fired, *arguments, execution_id=execution_id, **others)

    return Engine(plan_tick=tick)


def defers(snapshot: Snapshot, fired: FiredHook, execution_id: str) -> Plan:
    """It puts off what is stored."""
    return plan_defer(snapshot, fired, UnknownWorkflowError("approval", ()), execution_id=execution_id)


def defers_the_fired_copy(snapshot: Snapshot, fired: FiredHook, execution_id: str) -> Plan:
    """It puts off what has fired, and so overwrites a newer timer."""
    plan = defers(snapshot, fired, execution_id)
    hook = attrs.evolve(fired.hook, due_at=snapshot.now + SECOND, attempts=1)
    return attrs.evolve(plan, mutations=(PutHook(hook),))


def drops_the_hook(world: World, plan: Plan) -> World:
    rows = world.get(plan.ref, Rows())
    return {**world, plan.ref: attrs.evolve(rows, hooks={})}


def writes_its_timer(world: World, plan: Plan) -> World:
    rows = world.get(plan.ref, Rows())
    hooks = {each.hook.id: each.hook for each in plan.mutations if isinstance(each, PutHook)}
    return {**world, plan.ref: attrs.evolve(rows, hooks={**rows.hooks, **hooks})} if rows.instance else world


# -- planners


def deployed(wrong: Workflow[Any, Any], seen: Callable[[Snapshot], Snapshot]) -> Engine:
    """Code that does not fit is deployed while the instance waits; once it is found out, the old code is there again.

    ``seen``: what the planner holds against the new code.
    """

    def tick(snapshot: Snapshot, fired: FiredHook, registry: Registry, **others: Any) -> Plan:
        if snapshot.instance is not None and any(step.status == "waiting" for step in snapshot.steps):
            try:
                return plan_tick(seen(snapshot), fired, Registry([wrong]), **others)
            except NonDeterminismError:
                pass
        return plan_tick(snapshot, fired, registry, **others)

    return Engine(plan_tick=tick)


def all_records(snapshot: Snapshot) -> Snapshot:
    return snapshot


def settled_records(snapshot: Snapshot) -> Snapshot:
    return attrs.evolve(snapshot, steps=tuple(step for step in snapshot.steps if step.status != "waiting"))


def at_once(snapshot: Snapshot, _fired: FiredHook) -> Snapshot:
    """A branch is resumed as soon as it asks for something that has settled, and not when its turn comes."""
    settled = sorted((step for step in snapshot.steps if step.sequence is not None), key=lambda step: step.key)
    numbered = [attrs.evolve(step, sequence=number) for number, step in enumerate(settled, 1)]
    others = (step for step in snapshot.steps if step.sequence is None)
    return attrs.evolve(snapshot, steps=(*numbered, *others))


def deletes_the_new_timer(snapshot: Snapshot, plan: Plan) -> Plan:
    if "the hook is for run" not in str(plan.outcome) or snapshot.instance is None:
        return plan
    deleted = handled(snapshot.hooks)
    return change(
        snapshot.instance, deleted, plan.outcome, execution_id=plan.execution_id, now=snapshot.instance.updated_at
    )


def counts_cancelled_waits(snapshot: Snapshot, plan: Plan) -> Plan:
    cancelled = [step.wake_at for step in snapshot.steps if step.status == "cancelled" and step.wake_at]
    put = [each.step for each in plan.mutations if isinstance(each, PutStep)]
    cancelled += [step.wake_at for step in put if step.status == "cancelled" and step.wake_at]
    if not isinstance(plan.outcome, Suspended):
        return plan
    return _timed(plan, lambda due_at: min([due_at, *cancelled]))


def forgets_a_branch(snapshot: Snapshot, plan: Plan) -> Plan:
    put = {each.step.key: each.step for each in plan.mutations if isinstance(each, PutStep)}
    steps = {step.key: step for step in snapshot.steps} | put
    deadlines = [step.next_retry_at or step.wake_at for step in steps.values() if step.status == "waiting"]
    if not isinstance(plan.outcome, Suspended):
        return plan
    return _timed(plan, lambda due_at: max([due_at, *(at for at in deadlines if at is not None)]))


def _timed(plan: Plan, due_at: Callable[[Any], Any]) -> Plan:
    def alter(mutation: Mutation) -> Mutation:
        if isinstance(mutation, PutHook) and mutation.hook.id == timer_id(plan.ref):
            return PutHook(attrs.evolve(mutation.hook, due_at=due_at(mutation.hook.due_at)))
        return mutation

    return mutated(alter)(None, plan)  # type: ignore[arg-type] # it does not look


def leaves_the_event(mutation: Mutation) -> Mutation | None:
    return None if isinstance(mutation, PutEvent) else mutation


def loses_the_taker(mutation: Mutation) -> Mutation | None:
    if isinstance(mutation, PutStep) and mutation.step.event_id is not None:
        return PutStep(attrs.evolve(mutation.step, event_id=None))
    return mutation


def forgets_attempts(mutation: Mutation) -> Mutation | None:
    if isinstance(mutation, PutStep) and mutation.step.kind == "do" and mutation.step.status == "waiting":
        return PutStep(attrs.evolve(mutation.step, attempts=0))
    return mutation


def records_something_else(mutation: Mutation) -> Mutation | None:
    if isinstance(mutation, PutStep) and mutation.step.kind == "do" and mutation.step.status == "completed":
        return PutStep(attrs.evolve(mutation.step, result='"another"'))
    return mutation


def starts_without_deadline(mutation: Mutation) -> Mutation | None:
    if isinstance(mutation, PutStep) and mutation.step.status == "started":
        return PutStep(attrs.evolve(mutation.step, wake_at=None))
    return mutation


def extends_waits(snapshot: Snapshot, plan: Plan) -> Plan:
    """Whoever looks at a sleep puts it off."""
    put = {each.step.key for each in plan.mutations if isinstance(each, PutStep)}
    later = [
        attrs.evolve(step, wake_at=step.wake_at + 10 * SECOND)
        for step in snapshot.steps
        if step.status == "waiting" and step.kind == "sleep" and step.wake_at and step.key not in put
    ]
    if plan.is_empty or not later:
        return plan
    moved = attrs.evolve(plan, mutations=(*plan.mutations, *map(PutStep, later)))
    return _timed(moved, lambda due_at: due_at + 10 * SECOND)


def wakes_the_dead(snapshot: Snapshot, plan: Plan) -> Plan:
    row = snapshot.instance
    if row is None or row.status not in ("complete", "errored"):
        return plan
    hooks = tuple(map(DeleteHook, (hook.id for hook in snapshot.hooks)))
    return change(
        row, hooks, plan.outcome, execution_id=plan.execution_id, now=snapshot.now, status="paused", output=None
    )


def by_reason(snapshot: Snapshot, fired: FiredHook) -> Snapshot:
    """A hook of reason ``wake`` means that the sleep is over."""
    deadlines = [step.wake_at for step in snapshot.steps if step.status == "waiting" and step.wake_at]
    if fired.hook.reason != "wake" or not deadlines:
        return snapshot
    return attrs.evolve(snapshot, now=max(snapshot.now, *deadlines))


def time_of_the_firing(snapshot: Snapshot, fired: FiredHook) -> Snapshot:
    row = snapshot.instance and attrs.evolve(snapshot.instance, updated_at=fired.timestamp)
    return attrs.evolve(snapshot, instance=row, now=fired.timestamp)


def impatient(snapshot: Snapshot, _fired: FiredHook) -> Snapshot:
    """A retry is due whenever somebody looks."""
    steps = (attrs.evolve(step, next_retry_at=step.next_retry_at and snapshot.now) for step in snapshot.steps)
    return attrs.evolve(snapshot, steps=tuple(steps))


def too_late(snapshot: Snapshot, _fired: FiredHook) -> Snapshot:
    """A late tick looks at the clock before it looks into the mailbox."""
    waits = (step for step in snapshot.steps if step.kind == "wait_for_event" and step.status == "waiting")
    over = any(step.wake_at is not None and step.wake_at <= snapshot.now for step in waits)
    return attrs.evolve(snapshot, events=()) if over else snapshot
