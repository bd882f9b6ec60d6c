"""A6, A13: one row per identity, and what the answer says of it."""

from __future__ import annotations

import attrs
import pytest

from wfcore.model import Snapshot
from wfcore.plan import (
    AddEvent,
    AddHook,
    AddInstance,
    Applied,
    DeleteHook,
    DeleteStep,
    Plan,
    PutEvent,
    PutHook,
    PutStep,
)
from wfcore.ports import Store
from wfcore.testing.conformance.build import (
    FAILURE,
    MINUTE,
    NOW,
    OTHER,
    REF,
    create,
    delete,
    event,
    hook,
    instance,
    message,
    must,
    notice,
    plan,
    send,
    step,
    tick,
)


class Identities:
    """A put replaces, an add does not, a delete takes all rows."""

    def test_a6_a_put_replaces_the_row_of_that_identity(self, store: Store) -> None:
        store.apply(create())
        store.apply(tick(1, PutStep(step(status="waiting", next_retry_at=NOW, failure=FAILURE))))
        store.apply(tick(2, PutStep(step(result="1")), PutHook(hook(due_at=NOW + MINUTE))))
        found = store.retrieve(REF)
        assert (found.steps, found.hooks) == ((step(result="1"),), (hook(due_at=NOW + MINUTE),))

    def test_a6_an_add_leaves_the_row_that_is_there(self, store: Store) -> None:
        store.apply(create(params="1"))
        store.apply(send(payload="1"))
        again = (
            AddInstance(instance(params="2")),
            AddEvent(event(payload="2")),
            AddHook(attrs.evolve(message(), attempts=7)),
        )
        assert store.apply(plan(*again)) == Applied(frozenset({hook().id, message().id}))
        found = store.retrieve(REF)
        assert (found.instance, found.events) == (instance(params="1"), (event(payload="1"),))
        assert message() in found.hooks

    def test_a6_an_event_that_was_consumed_is_not_offered_again(self, store: Store) -> None:
        store.apply(create())
        store.apply(send())
        store.apply(tick(1, PutEvent(event(consumed_by="do:charge", consumed_run=1, delivered_at=NOW))))
        must(store.apply(send()))
        assert store.retrieve(REF).events == ()

    def test_a6_an_event_keeps_its_place_when_it_is_put_again(self, store: Store) -> None:
        store.apply(create())
        for name in ("b", "a", "c"):
            store.apply(send(name))
        store.apply(tick(1, PutEvent(event("b", consumed_by="#pause", consumed_run=1, delivered_at=NOW))))
        store.apply(tick(2, PutEvent(event("b", payload="[]"))))
        assert [each.id for each in store.retrieve(REF).events] == ["b", "a", "c"]

    def test_a6_an_event_that_comes_back_after_a_delete_is_the_last(self, store: Store) -> None:
        store.apply(create())
        store.apply(send("a"))
        store.apply(delete(1))
        store.apply(create())
        for name in ("b", "a"):
            store.apply(send(name))
        assert [each.id for each in store.retrieve(REF).events] == ["b", "a"]

    def test_a6_events_arrive_in_the_order_of_their_applies(self, store: Store) -> None:
        """Whatever their ids and instants are."""
        store.apply(create())
        store.apply(create(OTHER))
        for number in (5, 3, 4, 1, 2):
            store.apply(send(f"m{number}", created_at=NOW + number * MINUTE))
            store.apply(send(f"m{6 - number}", OTHER))
        assert [each.id for each in store.retrieve(REF).events] == ["m5", "m3", "m4", "m1", "m2"]

    def test_a6_ids_are_of_their_instance(self, store: Store) -> None:
        for ref in (REF, OTHER):
            store.apply(create(ref))
            store.apply(send(ref=ref, payload=f'"{ref}"'))
            store.apply(tick(1, PutStep(step(ref=ref)), ref=ref))
        store.apply(tick(2, DeleteStep(REF, 1, step().key)))
        assert (store.retrieve(REF).steps, store.retrieve(OTHER).steps) == ((), (step(ref=OTHER),))
        assert store.retrieve(OTHER).events == (event(ref=OTHER, payload=f'"{OTHER}"'),)

    def test_a6_identities_are_told_apart_to_the_letter(self, store: Store) -> None:
        """No collation, no folding of cases, no trimming."""
        refs = ["w#a", "w#A", "w#a ", "w#ä", "w#a\u0308", "W#a", "w#a%", "w#a_"]
        for ref in refs:
            must(store.apply(create(ref, params=f'"{ref}"')))
        assert [store.retrieve(ref).instance for ref in refs] == [instance(ref, params=f'"{ref}"') for ref in refs]

    def test_a6_identities_within_an_instance_are_told_apart_to_the_letter(self, store: Store) -> None:
        """Keys of steps, ids of events and hooks; one that looks like a number is none."""
        ids = ["a", "A", "a ", "ä", "a\u0308", "a%", "a_", "1", "01", "1.0", "1e0"]
        store.apply(create())
        for name in ids:
            must(store.apply(send(name, payload=f'"{name}"')))
        must(store.apply(tick(1, *(PutStep(step(name, result=f'"{name}"')) for name in ids))))
        found = store.retrieve(REF)
        assert [(each.id, each.payload) for each in found.events] == [(name, f'"{name}"') for name in ids]
        assert {each.key: each.result for each in found.steps} == {name: f'"{name}"' for name in ids}
        assert {each.id for each in found.hooks} == {hook().id, *(message(name).id for name in ids)}

    def test_a6_a_step_belongs_to_its_run(self, store: Store) -> None:
        store.apply(create())
        store.apply(tick(1, PutStep(step()), PutStep(step(run_number=2)), DeleteStep(REF, 2, step().key)))
        assert store.retrieve(REF).steps == (step(),)
        store.apply(tick(2, run_number=2))
        assert store.retrieve(REF).steps == ()


class Deletes:
    """A delete takes all rows, of every run."""

    def test_a6_a_delete_takes_all_rows_of_every_run(self, store: Store) -> None:
        store.apply(create())
        hooks = AddHook(message("m2")), AddHook(notice())
        store.apply(tick(1, PutStep(step()), AddEvent(event("m2")), *hooks))
        store.apply(tick(2, PutStep(step(run_number=2)), run_number=2))
        store.apply(create(OTHER))
        store.apply(delete(3))
        assert store.retrieve(REF) == Snapshot(instance=None, now=NOW)
        for run in (1, 2):
            store.apply(create(run_number=run))
            assert store.retrieve(REF) == Snapshot(instance=instance(run_number=run), hooks=(hook(),), now=NOW)
            store.apply(delete(1))
        assert store.retrieve(OTHER).instance == instance(OTHER)

    def test_a6_a_delete_takes_consumed_events_too(self, store: Store) -> None:
        store.apply(create())
        store.apply(tick(1, PutEvent(event(consumed_by="do:charge"))))
        store.apply(delete(2))
        store.apply(create())
        store.apply(send())
        assert store.retrieve(REF).events == (event(),)


class Answers:
    """Which hooks are pending, and what was not delivered."""

    def test_a13_the_answer_names_the_hooks_that_are_now_pending(self, store: Store) -> None:
        assert must(store.apply(create())).pending_hooks == {hook().id}
        assert must(store.apply(send())).pending_hooks == {hook().id, message().id}
        assert must(store.apply(tick(1, DeleteHook(hook().id)))).pending_hooks == {message().id}
        assert must(store.apply(create(OTHER))).pending_hooks == {hook(OTHER).id}
        assert must(store.apply(delete(2))).pending_hooks == frozenset()

    def test_a13_the_answer_is_about_the_ref_of_the_plan(self, store: Store) -> None:
        store.apply(create())
        store.apply(create(OTHER))
        assert must(store.apply(plan(AddHook(message(ref=OTHER))))).pending_hooks == {hook().id}

    @pytest.mark.parametrize(
        ("sent", "undelivered"),
        [
            (plan(AddEvent(event(ref=OTHER)), AddHook(message(ref=OTHER))), True),
            (plan(AddEvent(event()), AddHook(message())), False),
        ],
    )
    def test_a13_the_answer_names_appends_whose_instance_does_not_exist(
        self, store: Store, sent: Plan, undelivered: bool
    ) -> None:
        store.apply(create())
        assert must(store.apply(sent)).undelivered == (sent.mutations if undelivered else ())
        assert store.retrieve(OTHER) == Snapshot(instance=None, now=NOW)

    def test_a13_a_repeated_append_is_no_undelivered_one(self, store: Store) -> None:
        store.apply(create())
        store.apply(send())
        assert must(store.apply(send())).undelivered == ()

    def test_a13_an_append_to_an_instance_that_the_plan_starts_is_delivered(self, store: Store) -> None:
        store.apply(create())
        started = AddInstance(instance(OTHER)), AddEvent(event(ref=OTHER)), AddHook(message(ref=OTHER))
        assert must(store.apply(tick(1, *started))).undelivered == ()
        assert store.retrieve(OTHER).events == (event(ref=OTHER),)
