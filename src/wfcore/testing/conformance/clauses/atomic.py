"""A1, A2, A8: all or nothing, if and only if the preconditions hold."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from wfcore.model import Snapshot
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
    PutHook,
    PutInstance,
    PutStep,
)
from wfcore.ports import Store
from wfcore.testing.conformance.build import (
    MANY,
    MINUTE,
    NOW,
    OTHER,
    REF,
    THIRD,
    create,
    delete,
    event,
    hook,
    instance,
    message,
    must,
    plan,
    step,
    tick,
)
from wfcore.testing.conformance.rig import cut

MIXED: tuple[Mutation, ...] = (
    PutInstance(instance(version=2)),
    PutStep(step("do:a")),
    AddEvent(event("m2")),
    PutHook(hook(due_at=NOW + MINUTE)),
    AddInstance(instance(OTHER)),
    AddHook(hook(OTHER)),
    DeleteHook(message().id),
)
UNREADABLE: Any = object()
"""No database takes it, so the statement that is given it fails."""


class Atomic:
    """A plan is applied whole, in the order given, or not at all."""

    def test_a1_a_plan_is_applied_whole(self, store: Store) -> None:
        store.apply(create())
        mutations = PutStep(step(result='{"id": 7}')), PutHook(hook(due_at=NOW + MINUTE))
        store.apply(tick(1, *mutations, AddEvent(event("m2")), AddHook(message("m2"))))
        assert store.retrieve(REF) == Snapshot(
            instance=instance(version=2),
            steps=(step(result='{"id": 7}'),),
            events=(event("m2"),),
            hooks=(hook(due_at=NOW + MINUTE), message("m2")),
            now=NOW,
        )

    def test_a1_one_plan_may_touch_several_instances(self, store: Store) -> None:
        store.apply(create())
        store.apply(tick(1, AddInstance(instance(OTHER)), AddHook(hook(OTHER))))
        assert cut(store, REF, OTHER) == [
            Snapshot(instance=instance(version=2), hooks=(hook(),), now=NOW),
            Snapshot(instance=instance(OTHER), hooks=(hook(OTHER),), now=NOW),
        ]

    def test_a1_mutations_are_performed_in_the_order_given(self, store: Store) -> None:
        store.apply(create())
        store.apply(
            tick(
                1,
                PutStep(step("do:a")),
                DeleteStep(REF, 1, "do:a"),
                DeleteStep(REF, 1, "do:b"),
                PutStep(step("do:b")),
                DeleteHook(hook().id),
                PutHook(hook(due_at=NOW + MINUTE)),
                PutHook(message()),
                DeleteHook(message().id),
            )
        )
        found = store.retrieve(REF)
        assert (found.steps, found.hooks) == ((step("do:b"),), (hook(due_at=NOW + MINUTE),))

    def test_a1_an_instance_may_be_deleted_and_made_again_in_one_plan(self, store: Store) -> None:
        store.apply(create())
        store.apply(tick(1, PutStep(step())))
        again = AddInstance(instance(execution_id="again")), AddHook(hook(due_at=NOW + MINUTE))
        store.apply(plan(DeleteInstance(REF), *again, given=(AtVersion(REF, 2, "e2"),)))
        expected = Snapshot(instance=instance(execution_id="again"), hooks=(hook(due_at=NOW + MINUTE),), now=NOW)
        assert store.retrieve(REF) == expected

    @pytest.mark.parametrize("place", range(len(MIXED) + 1))
    def test_a1_a_mutation_that_fails_leaves_no_trace_of_those_before_it(self, store: Store, place: int) -> None:
        """What fails is a row that no database takes; a store that takes everything has to store it."""
        store.apply(create())
        before = cut(store, REF, OTHER)
        mutations = *MIXED[:place], PutStep(step("do:bad", result=UNREADABLE)), *MIXED[place:]
        try:
            answer = store.apply(plan(*mutations, given=(AtVersion(REF, 1, "e1"),)))
        except Exception:  # whatever the database's driver raises
            assert cut(store, REF, OTHER) == before
        else:
            assert isinstance(answer, Applied)
            assert step("do:bad", result=UNREADABLE) in store.retrieve(REF).steps

    def test_a1_a_store_is_as_good_as_before_after_mutations_that_failed(self, store: Store) -> None:
        store.apply(create(OTHER))
        bad = tick(1, AddInstance(instance(THIRD, params=UNREADABLE)), ref=OTHER)
        for _ in range(MANY):
            with suppress(Exception):  # as above
                store.apply(bad)
                break
        else:
            must(store.apply(tick(1, ref=OTHER)))
        assert cut(store, OTHER)[0].instance == instance(OTHER, 2)


class Preconditions:
    """A plan is applied if and only if every precondition holds."""

    @pytest.mark.parametrize("given", [Absent(OTHER), Exists(REF), AtVersion(REF, 1, "e1")])
    def test_a2_a_plan_whose_preconditions_hold_is_applied(self, store: Store, given: Any) -> None:
        store.apply(create())
        assert isinstance(store.apply(plan(AddEvent(event()), given=(given,))), Applied)
        assert store.retrieve(REF).events == (event(),)

    @pytest.mark.parametrize(
        ("given", "conflict"),
        [
            (Absent(REF), Conflict(REF, 1, "e1")),
            (Exists(OTHER), Conflict(OTHER, None, None)),
            (AtVersion(OTHER, 1, "e1"), Conflict(OTHER, None, None)),
            (AtVersion(REF, 2, "e1"), Conflict(REF, 1, "e1")),
            (AtVersion(REF, 1, "another"), Conflict(REF, 1, "e1")),
        ],
    )
    def test_a2_a_conflict_says_what_was_found_and_leaves_no_trace(
        self, store: Store, given: Any, conflict: Conflict
    ) -> None:
        store.apply(create())
        before = cut(store, REF, OTHER)
        mutations = AddEvent(event()), AddHook(message()), AddInstance(instance(OTHER))
        assert store.apply(plan(*mutations, given=(Exists(REF), given))) == conflict
        assert cut(store, REF, OTHER) == before

    def test_a2_a_store_is_as_good_as_before_after_many_conflicts(self, store: Store) -> None:
        store.apply(create())
        for _ in range(MANY):
            assert store.apply(tick(7)) == Conflict(REF, 1, "e1")
        must(store.apply(tick(1)))

    def test_a2_the_first_precondition_that_fails_is_reported(self, store: Store) -> None:
        store.apply(create())
        given = Exists(REF), AtVersion(REF, 7, "e7"), Exists(OTHER), Absent(REF)
        assert store.apply(plan(AddEvent(event()), given=given)) == Conflict(REF, 1, "e1")

    def test_a2_preconditions_are_about_what_was_there_before_the_plan(self, store: Store) -> None:
        store.apply(create())
        given = AtVersion(REF, 1, "e1"), Absent(OTHER)
        both = AddInstance(instance(OTHER)), PutInstance(instance(version=2))
        assert isinstance(store.apply(plan(*both, given=given)), Applied)

    def test_a2_a_precondition_may_be_about_another_instance_than_the_plan(self, store: Store) -> None:
        store.apply(create())
        store.apply(create(OTHER))
        required = tick(1, AddEvent(event(ref=OTHER)))
        with_receiver = plan(*required.mutations, given=(*required.preconditions, Exists(OTHER)))
        store.apply(delete(1, OTHER))
        assert store.apply(with_receiver) == Conflict(OTHER, None, None)
        assert store.retrieve(REF).instance == instance()

    def test_a2_hooks_of_an_instance_that_does_not_exist_are_deleted_under_absent(self, store: Store) -> None:
        gone = plan(DeleteHook(hook(OTHER).id), ref=OTHER, given=(Absent(OTHER),))
        assert isinstance(store.apply(gone), Applied)
        store.apply(create(OTHER))
        assert store.apply(gone) == Conflict(OTHER, 1, "e1")
        assert store.retrieve(OTHER).hooks == (hook(OTHER),)

    def test_a8_an_empty_plan_writes_nothing(self, store: Store) -> None:
        store.apply(create())
        before = store.retrieve(REF)
        assert store.apply(plan(given=(AtVersion(REF, 1, "e1"),))) == Applied(frozenset({hook().id}))
        assert store.retrieve(REF) == before

    def test_a8_an_empty_plan_may_conflict(self, store: Store) -> None:
        assert store.apply(plan(given=(Exists(REF),))) == Conflict(REF, None, None)
        assert store.retrieve(REF) == Snapshot(instance=None, now=NOW)
