"""Plans over a few instances that come and go, generated: what clause E1 applies, and compares with ``evolve``.

Creates, ticks, commands, appends to what exists and what does not, several instances at once, stale versions. Every
mutation is covered by the precondition that it needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import cache

from hypothesis import strategies as st

from wfcore.evolve import NOTHING, World
from wfcore.keys import message_id, parse_ref, terminal_id, timer_id
from wfcore.model import Event, Hook, Instance, StepRecord
from wfcore.outcome import Checkpointed
from wfcore.plan import (
    Absent,
    AddEvent,
    AddHook,
    AddInstance,
    AtVersion,
    DeleteHook,
    DeleteInstance,
    DeleteStep,
    Exists,
    Mutation,
    Plan,
    Precondition,
    PutEvent,
    PutHook,
    PutInstance,
    PutStep,
    Write,
)
from wfcore.testing.conformance.build import NOW

RUNS = st.integers(1, 2)
VERSIONS = st.integers(1, 3)
EXECUTIONS = st.sampled_from(["e1", "e2"])
EVENT_IDS = st.sampled_from(["m1", "m2"])
KEYS = st.sampled_from(["do:a", "do:b", "a"])
STATUSES = st.sampled_from(["active", "waiting", "paused", "complete"])
CONSUMERS = st.sampled_from([(None, None), ("do:a", 1), ("do:a", 2)])
"""By what an event was consumed, and in which run."""
DUE = st.integers(-2, 2).map(lambda hours: NOW + timedelta(hours=hours))
# Each row says in one of its columns which of all rows it is, so that none is taken for another. The other columns
# are the business of clause A7.
MARKS = st.integers(0, 2**40).map(str)


@cache
def instances(ref: str, versions: st.SearchStrategy[int]) -> st.SearchStrategy[Instance]:
    """Rows of an instance."""
    workflow_name, instance_id = parse_ref(ref)
    return st.builds(
        Instance,
        ref=st.just(ref),
        workflow_name=st.just(workflow_name),
        instance_id=st.just(instance_id),
        run_number=RUNS,
        status=STATUSES,
        params=MARKS,
        created_at=st.just(NOW),
        updated_at=st.just(NOW),
        version=versions,
        execution_id=EXECUTIONS,
        created_by=st.just("e1"),
    )


@cache
def steps(ref: str) -> st.SearchStrategy[StepRecord]:
    """Records of steps."""
    return st.builds(
        StepRecord,
        instance_ref=st.just(ref),
        run_number=RUNS,
        key=KEYS,
        kind=st.just("do"),
        name=st.just("a"),
        status=st.just("completed"),
        result=MARKS,
        created_at=st.just(NOW),
        execution_id=st.just("e1"),
    )


@cache
def events(ref: str) -> st.SearchStrategy[Event]:
    """Events, pending or consumed."""

    def event(id: str, payload: str, consumer: tuple[str | None, int | None]) -> Event:
        by, run = consumer
        return Event(
            instance_ref=ref,
            id=id,
            type="approved",
            payload=payload,
            created_at=NOW,
            consumed_by=by,
            consumed_run=run,
        )

    return st.builds(event, EVENT_IDS, MARKS, CONSUMERS)


@cache
def hooks(ref: str) -> st.SearchStrategy[Hook]:
    """Hooks of an instance."""
    workflow_name, instance_id = parse_ref(ref)
    return st.builds(
        Hook,
        id=hook_ids(ref),
        instance_ref=st.just(ref),
        run_number=st.just(1),
        workflow_name=st.just(workflow_name),
        instance_id=st.just(instance_id),
        reason=st.just("wake"),
        due_at=DUE,
        created_at=st.just(NOW),
        last_error=MARKS,
    )


@cache
def hook_ids(ref: str) -> st.SearchStrategy[str]:
    """Ids of its hooks: timer, messages, notices."""
    return st.sampled_from(
        [timer_id(ref), message_id(ref, "m1"), message_id(ref, "m2"), terminal_id(ref, 1), terminal_id(ref, 2)]
    )


@cache
def appends(ref: str, values: st.SearchStrategy[object]) -> st.SearchStrategy[Mutation]:
    """Mutations that need no version; ``values`` are those that are written."""
    return st.one_of(
        events(ref).map(AddEvent),
        hooks(ref).map(AddHook),
        instances(ref, VERSIONS).map(AddInstance),
        st.builds(Write, values),
    )


@cache
def changes(ref: str, values: st.SearchStrategy[object]) -> st.SearchStrategy[Mutation]:
    """All mutations of one instance; ``values`` are those that are written."""
    return st.one_of(
        steps(ref).map(PutStep),
        steps(ref).map(PutStep),
        events(ref).map(PutEvent),
        events(ref).map(PutEvent),
        hooks(ref).map(PutHook),
        instances(ref, VERSIONS).map(PutInstance),
        hook_ids(ref).map(DeleteHook),
        st.builds(DeleteStep, st.just(ref), RUNS, KEYS),
        st.just(DeleteInstance(ref)),
        appends(ref, values),
    )


@st.composite
def plans(draw: st.DrawFn, world: World, refs: Sequence[str], values: st.SearchStrategy[object]) -> Plan:
    """A plan that a store has to take.

    Args:
        draw: given by Hypothesis.
        world: what the store holds.
        refs: the instances that it may be about.
        values: what it may write; ``st.nothing()``: it writes none.
    """
    given: list[Precondition] = []
    mutations: list[Mutation] = []
    for ref in draw(st.lists(st.sampled_from(refs), min_size=1, unique=True)):
        found = world.get(ref, NOTHING).instance
        kind = draw(st.sampled_from(["version", "version", "version", "stale", "exists", "absent", "none"]))
        covered = appends(ref, values)
        if kind == "version" and found is not None:
            given.append(AtVersion(ref, found.version, found.execution_id))
            covered = changes(ref, values)
        elif kind == "stale":
            given.append(AtVersion(ref, draw(VERSIONS), draw(EXECUTIONS)))
            covered = changes(ref, values)
        elif kind == "exists":
            given.append(Exists(ref))
        elif kind == "absent" or found is None:
            given.append(Absent(ref))
            covered |= hook_ids(ref).map(DeleteHook)
        mutations += draw(st.lists(covered, max_size=5))
    if draw(st.booleans()):
        mutations.reverse()
    return Plan(draw(st.sampled_from(refs)), "e1", tuple(given), tuple(mutations), Checkpointed())
