"""``evolve``: the meaning of every precondition and mutation (design 4)."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from tests.lab import MINUTE, T0
from tests.planner.rows import REF, event, hook, instance, message, record, snapshot, timer
from wfcore.evolve import NOTHING, Rows, Versioned, World, applied, evolve, holds
from wfcore.model import Event, Hook, Instance, StepRecord
from wfcore.outcome import Paused
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
    Mutation,
    Plan,
    Precondition,
    PutEvent,
    PutHook,
    PutInstance,
    PutStep,
    Write,
)

ROW = instance()
OLD_STEP = record("do:a", run_number=0)
STEP = record("do:a")
FIRST, SECOND, THIRD = event("e1"), event("e2"), event("e3")
HELD = AtVersion(REF, 7, "before")


def rows(row: Instance | None, *stored: StepRecord | Event | Hook) -> Rows:
    return Rows(
        instance=row,
        steps={(each.run_number, each.key): each for each in stored if isinstance(each, StepRecord)},
        events={each.id: each for each in stored if isinstance(each, Event)},
        hooks={each.id: each for each in stored if isinstance(each, Hook)},
    )


def change(given: tuple[Precondition, ...], *mutations: Mutation) -> Plan:
    return Plan(REF, "e", given, mutations, Paused())


def after(before: Rows, *mutations: Mutation, given: Precondition = HELD) -> Rows:
    world = evolve({REF: before}, change((given,), *mutations))
    assert not isinstance(world, Conflict)
    return world[REF]


# ---- preconditions


@pytest.mark.parametrize(
    ("precondition", "found", "expected"),
    [
        (Absent(REF), None, True),
        (Absent(REF), ROW, False),
        (Exists(REF), None, False),
        (Exists(REF), ROW, True),
        (AtVersion(REF, 7, "before"), ROW, True),
        (AtVersion(REF, 6, "before"), ROW, False),
        (AtVersion(REF, 8, "before"), ROW, False),
        (AtVersion(REF, 7, "another"), ROW, False),
        (AtVersion(REF, 7, "before"), None, False),
        (AtVersion(REF, 7, "before"), AtVersion(REF, 7, "before"), True),  # a row of which no more was read
        (AtVersion(REF, 7, "before"), AtVersion(REF, 8, "after"), False),
    ],
)
def test_a_precondition_holds(precondition: Precondition, found: Versioned | None, expected: bool) -> None:
    """A2, A3: version and execution id must both match, so that a re-created instance is not taken for the old one."""
    assert expected == holds(precondition, found)


@pytest.mark.parametrize(
    ("precondition", "found", "conflict"),
    [
        (Absent(REF), ROW, Conflict(REF, 7, "before")),
        (Exists(REF), None, Conflict(REF, None, None)),
        (AtVersion(REF, 6, "before"), ROW, Conflict(REF, 7, "before")),
        (AtVersion(REF, 7, "another"), ROW, Conflict(REF, 7, "before")),
        (AtVersion(REF, 7, "before"), None, Conflict(REF, None, None)),
    ],
)
def test_a_conflict_says_what_was_found(precondition: Precondition, found: Instance | None, conflict: Conflict) -> None:
    """A2."""
    assert conflict == evolve({REF: rows(found)}, change((precondition,)))


def test_an_instance_that_the_world_does_not_hold_is_absent() -> None:
    assert Conflict(REF, None, None) == evolve({}, change((HELD,), PutHook(timer())))


def test_every_precondition_must_hold() -> None:
    """A2."""
    world = {REF: rows(ROW)}
    assert Conflict("w#2", None, None) == evolve(world, change((HELD, Exists("w#2")), PutHook(timer())))


def test_a_conflict_changes_nothing() -> None:
    """A1."""
    world: World = {REF: rows(ROW)}
    evolve(world, change((AtVersion(REF, 1, "x"),), PutHook(timer())))
    assert {REF: rows(ROW)} == world


# ---- mutations

CHANGED = instance(version=8, status="paused")
DONE = record("do:a", status="completed", result="1", sequence=1)
TAKEN = event("e1", consumed_by="do:a", consumed_run=1, delivered_at=T0)


@pytest.mark.parametrize(
    ("before", "mutation", "expected"),
    [
        (rows(ROW), PutInstance(CHANGED), rows(CHANGED)),
        (rows(ROW), AddInstance(CHANGED), rows(ROW)),
        (rows(ROW, STEP, OLD_STEP, FIRST, timer()), DeleteInstance(REF), NOTHING),
        (rows(ROW), PutStep(STEP), rows(ROW, STEP)),
        (rows(ROW, STEP), PutStep(DONE), rows(ROW, DONE)),
        (rows(ROW, OLD_STEP), PutStep(STEP), rows(ROW, OLD_STEP, STEP)),
        (rows(ROW, OLD_STEP, STEP), DeleteStep(REF, 1, "do:a"), rows(ROW, OLD_STEP)),
        (rows(ROW, STEP), DeleteStep(REF, 2, "do:a"), rows(ROW, STEP)),
        (rows(ROW, STEP), DeleteStep(REF, 1, "do:b"), rows(ROW, STEP)),
        (rows(ROW, FIRST), PutEvent(TAKEN), rows(ROW, TAKEN)),
        (rows(ROW), PutEvent(FIRST), rows(ROW, FIRST)),
        (rows(ROW), AddEvent(FIRST), rows(ROW, FIRST)),
        (rows(ROW, TAKEN), AddEvent(FIRST), rows(ROW, TAKEN)),
        (NOTHING, AddEvent(FIRST), NOTHING),
        (rows(ROW), PutHook(timer()), rows(ROW, timer())),
        (rows(ROW, timer()), PutHook(timer(T0 + MINUTE)), rows(ROW, timer(T0 + MINUTE))),
        (rows(ROW), AddHook(timer()), rows(ROW, timer())),
        (rows(ROW, timer()), AddHook(timer(T0 + MINUTE)), rows(ROW, timer())),
        (NOTHING, AddHook(timer()), NOTHING),
        (rows(ROW, timer(), message()), DeleteHook(f"{REF}#timer"), rows(ROW, message())),
        (rows(ROW), DeleteHook(f"{REF}#timer"), rows(ROW)),
        (rows(None, timer()), DeleteHook(f"{REF}#timer"), NOTHING),
        (NOTHING, AddInstance(ROW), rows(ROW)),
        (rows(ROW), Write("paid"), rows(ROW)),
    ],
    ids=[
        "PutInstance replaces the row",
        "AddInstance leaves a row that is there",
        "DeleteInstance deletes all rows of all runs",
        "PutStep stores a record",
        "PutStep replaces a record",
        "PutStep leaves the record of another run",
        "DeleteStep deletes a record",
        "DeleteStep leaves the record of another run",
        "DeleteStep of no record",
        "PutEvent replaces an event",
        "PutEvent stores an event",
        "AddEvent appends an event",
        "AddEvent leaves an event that is there",
        "AddEvent to no instance",
        "PutHook stores a hook",
        "PutHook replaces a hook",
        "AddHook stores a hook",
        "AddHook leaves a hook that is there",
        "AddHook of no instance",
        "DeleteHook deletes a hook",
        "DeleteHook of no hook",
        "DeleteHook of no instance",
        "AddInstance stores a row",
        "Write changes no row",
    ],
)
def test_what_a_mutation_means(before: Rows, mutation: Mutation, expected: Rows) -> None:
    given = Absent(REF) if before.instance is None else HELD
    assert expected == after(before, mutation, given=given)


def test_mutations_are_performed_in_their_order() -> None:
    deleted = after(rows(ROW), PutHook(timer()), DeleteHook(f"{REF}#timer"))
    put = after(rows(ROW), DeleteHook(f"{REF}#timer"), PutHook(timer()))
    assert (rows(ROW), rows(ROW, timer())) == (deleted, put)


def test_what_is_added_with_its_instance_is_there() -> None:
    """M1: A9, read your writes."""
    assert rows(ROW, FIRST, timer()) == after(
        NOTHING, AddInstance(ROW), AddEvent(FIRST), AddHook(timer()), given=Absent(REF)
    )


def test_what_is_added_after_its_instance_was_deleted_is_not() -> None:
    assert NOTHING == after(rows(ROW), DeleteInstance(REF), AddEvent(FIRST), AddHook(timer()))


def test_a_consumed_event_keeps_its_place_in_the_order_of_arrival() -> None:
    """W4."""
    found = after(rows(ROW, FIRST, SECOND), PutEvent(TAKEN), AddEvent(THIRD), PutEvent(event("e1")))
    assert ["e1", "e2", "e3"] == list(found.events)


def test_one_plan_may_touch_several_instances() -> None:
    """Design 5: all instances of a store share one atomic domain."""
    other = hook("w#2#timer", instance_ref="w#2")
    world = evolve(
        {REF: rows(ROW), "w#2": rows(instance(ref="w#2"))}, change((HELD,), PutHook(timer()), AddHook(other))
    )
    assert {REF: rows(ROW, timer()), "w#2": rows(instance(ref="w#2"), other)} == world


def test_the_world_before_stays_as_it_was() -> None:
    before = {REF: rows(ROW, STEP, FIRST, timer())}
    evolve(before, change((HELD,), DeleteInstance(REF)))
    assert {REF: rows(ROW, STEP, FIRST, timer())} == before


def test_instances_that_a_plan_does_not_touch_are_shared() -> None:
    before = {REF: rows(ROW), "w#2": rows(instance(ref="w#2"))}
    world = evolve(before, change((HELD,), PutHook(timer())))
    assert not isinstance(world, Conflict)
    assert before["w#2"] is world["w#2"]


def test_an_empty_plan_changes_nothing() -> None:
    """A8."""
    assert {REF: rows(ROW)} == evolve({REF: rows(ROW)}, change(()))


# ---- what apply answers


@pytest.mark.parametrize(
    ("world", "mutations", "expected"),
    [
        ({}, (), Applied()),
        ({REF: rows(ROW, timer(), message())}, (), Applied(frozenset({f"{REF}#timer", f"{REF}#msg:e1"}))),
        ({REF: rows(ROW)}, (AddEvent(FIRST), AddHook(message())), Applied()),
        ({}, (AddEvent(FIRST), AddHook(message())), Applied(undelivered=(AddEvent(FIRST), AddHook(message())))),
        ({}, (AddInstance(ROW), Write("paid")), Applied()),
        (
            {REF: rows(ROW, timer()), "w#2": rows(instance(ref="w#2"), hook("w#2#timer", instance_ref="w#2"))},
            (),
            Applied(frozenset({f"{REF}#timer"})),
        ),
    ],
)
def test_an_apply_answers_with_pending_hooks_and_what_was_not_delivered(
    world: World, mutations: tuple[Mutation, ...], expected: Applied
) -> None:
    """A13: of the plan's own instance."""
    assert expected == applied(world, change((), *mutations))


# ---- what a retrieve returns


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (NOTHING, snapshot(None)),
        (rows(None, timer()), snapshot(None, hooks=[timer()])),
        (rows(ROW, OLD_STEP, STEP), snapshot(ROW, steps=[STEP])),
        (rows(ROW, TAKEN, SECOND, THIRD), snapshot(ROW, events=[SECOND, THIRD])),
        (rows(ROW, timer(), message(), hook(f"{REF}#old", run=0)), None),
    ],
    ids=["nothing", "hooks of no instance", "steps of this run", "pending events", "all hooks"],
)
def test_a_snapshot_holds_the_current_run_the_pending_events_and_all_hooks(stored: Rows, expected: Any) -> None:
    """Design 3."""
    expected = expected or snapshot(ROW, hooks=stored.hooks.values())
    assert expected == stored.snapshot(T0)


def test_a_snapshot_has_the_time_it_was_given() -> None:
    assert T0 + MINUTE == NOTHING.snapshot(T0 + MINUTE).now


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (snapshot(ROW, steps=[DONE, record("do:b")], events=[FIRST, SECOND], hooks=[timer(), message()]), True),
        (snapshot(ROW, steps=[record("do:b"), DONE], events=[FIRST, SECOND], hooks=[message(), timer()]), True),
        (snapshot(ROW, steps=[DONE, record("do:b")], events=[SECOND, FIRST], hooks=[timer(), message()]), False),
        (snapshot(ROW, steps=[DONE], events=[FIRST, SECOND], hooks=[timer(), message()]), False),
        (snapshot(ROW, steps=[DONE, record("do:b")], events=[FIRST, SECOND], hooks=[timer()]), False),
        (snapshot(CHANGED, steps=[DONE, record("do:b")], events=[FIRST, SECOND], hooks=[timer(), message()]), False),
    ],
    ids=[
        "the same",
        "another order of steps and hooks",
        "another order of events",
        "a step less",
        "a hook less",
        "row",
    ],
)
def test_snapshots_are_equal_if_they_hold_the_same_rows(other: Any, expected: bool) -> None:
    """Design 3: the order of events is the order of arrival, and ``now`` does not count."""
    one = snapshot(ROW, steps=[DONE, record("do:b")], events=[FIRST, SECOND], hooks=[timer(), message()])
    assert expected == (one == attrs.evolve(other, now=T0 + MINUTE))
