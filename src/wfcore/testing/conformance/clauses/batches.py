"""B2: many plans at once."""

from __future__ import annotations

from queue import Queue
from typing import Any

import pytest

from wfcore.errors import WriteFailedError
from wfcore.plan import Applied, Conflict, Plan, PutStep, Write
from wfcore.ports import BatchStore, Store
from wfcore.testing.conformance.adapter import Note
from wfcore.testing.conformance.build import (
    OTHER,
    REF,
    THIRD,
    create,
    hook,
    instance,
    message,
    must,
    send,
    step,
    tick,
)
from wfcore.testing.conformance.clauses.optional import Patient
from wfcore.testing.conformance.clauses.trouble import Strike, answered
from wfcore.testing.conformance.rig import Rig, cut


def three(place: int) -> list[Plan]:
    """Three plans, each for an instance of its own."""
    return [create(f"checkout#{place}-{number}") for number in range(3)]


class Batches(Patient):
    """Of many plans each is atomic on its own, and durable when they are answered."""

    def test_b2_each_plan_has_its_answer_in_their_order(self, batching: BatchStore) -> None:
        answers = batching.apply_many([create(), create(OTHER), create(), send(), send(ref=THIRD)])
        assert [type(each) for each in answers] == [Applied, Applied, Conflict, Applied, Conflict]
        assert answers[2] == Conflict(REF, 1, "e1")
        assert must(answers[3]).pending_hooks == {hook().id, message().id}

    def test_b2_a_plan_sees_those_before_it(self, batching: BatchStore) -> None:
        answers = batching.apply_many([create(), tick(1, PutStep(step())), tick(1), tick(2)])
        assert [type(each) for each in answers] == [Applied, Applied, Conflict, Applied]
        assert batching.retrieve(REF).instance == instance(version=3)

    def test_b2_a_conflict_leaves_no_trace_and_keeps_the_others(self, batching: BatchStore) -> None:
        batching.apply(create())
        batching.apply_many([tick(7, *create(OTHER).mutations), create(THIRD)])
        assert [each.instance for each in cut(batching, REF, OTHER, THIRD)] == [instance(), None, instance(THIRD)]

    def test_b2_no_plan_is_no_answer(self, batching: BatchStore) -> None:
        assert list(batching.apply_many([])) == []

    def test_b2_a_failing_write_keeps_the_plans_before_its_own_and_no_other(
        self, rig: Rig, writing: Store, batching: BatchStore
    ) -> None:
        failing = tick(2, Write(Note("never")), Write(Note("")), *create(OTHER).mutations)
        with pytest.raises(WriteFailedError) as caught:
            batching.apply_many([create(), tick(7), tick(1, Write(Note("good"))), failing, create(THIRD)])
        assert caught.value.index == 2
        assert [each.instance for each in cut(batching, REF, OTHER, THIRD)] == [instance(version=2), None, None]
        assert rig.written(writing) == ["good"]

    def test_b2_a_write_that_fails_at_commit_keeps_the_plans_before_its_own_and_no_other(
        self, rig: Rig, writing: Store, batching: BatchStore, failing_at_commit: object
    ) -> None:
        failing = tick(2, PutStep(step()), Write(failing_at_commit))
        others = tick(1, Write(Note("good"))), failing, tick(2, Write(Note("never"))), create(OTHER)
        with pytest.raises(WriteFailedError) as caught:
            batching.apply_many([create(), *others])
        assert caught.value.index == 2
        assert [each.instance for each in cut(batching, REF, OTHER)] == [instance(version=2), None]
        assert rig.written(writing) == ["good"]

    @pytest.mark.parametrize("lasting", [False, True], ids=["once", "until the call has ended"])
    def test_b2_a_fault_anywhere_leaves_whole_plans_and_none_after_one_that_is_missing(
        self, breaking: Rig, batching: BatchStore, lasting: bool
    ) -> None:
        strike, answers = Strike(), None
        store = breaking.open_faulty(strike)
        tried = strike.everywhere(lambda place: store.apply_many(three(place)), lasting=lasting)
        for place, told in enumerate(tried, start=1):
            refs = [plan.ref for plan in three(place)]
            found = [(each.instance, each.hooks) for each in cut(batching, *refs)]
            count = sum(row is not None for row, _hooks in found)
            whole = [(instance(ref), (hook(ref),)) for ref in refs[:count]]
            assert found == whole + [(None, ())] * (3 - count)
            answers = answered(told)
            assert answers is None or (count, [type(each) for each in answers]) == (3, [Applied] * 3)
        assert answers is not None, "it did not recover"

    def test_b2_what_was_applied_is_found_by_a_store_that_is_opened_again(
        self, durable: Rig, batching: BatchStore
    ) -> None:
        batching.apply_many([create(), send(), tick(7), tick(1, PutStep(step())), create(OTHER)])
        again = durable.open()
        assert [each.instance for each in cut(again, REF, OTHER)] == [instance(version=2), instance(OTHER)]
        assert cut(again, REF, OTHER) == cut(batching, REF, OTHER)

    def test_b2_listeners_are_told_of_every_plan_that_was_applied(self, listenable: Any, batching: BatchStore) -> None:
        heard: Queue[str] = Queue()
        listenable.listen(heard.put)
        batching.apply_many([create(), tick(7), create(OTHER)])
        missing = {REF, OTHER}
        while missing:
            missing.discard(heard.get(timeout=self.patience))
