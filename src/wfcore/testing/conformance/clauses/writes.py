"""A11: writes of the user, in the transaction of the plan."""

from __future__ import annotations

import attrs

from wfcore.errors import WriteFailedError
from wfcore.plan import AddHook, AddInstance, Applied, Conflict, Plan, PutStep, Write
from wfcore.ports import Store
from wfcore.testing.conformance.adapter import Note
from wfcore.testing.conformance.build import MANY, OTHER, REF, create, hook, instance, must, step, tick
from wfcore.testing.conformance.rig import Rig, cut


@attrs.frozen
class Unknown:
    """A value for which nobody has a writer."""


def failed(store: Store, plan: Plan) -> WriteFailedError:
    """The error that an apply raises."""
    try:
        answer = store.apply(plan)
    except WriteFailedError as error:
        return error
    raise AssertionError(f"no WriteFailedError, but {answer}")


class Writes:
    """A write commits with its plan, or fails it."""

    def test_a11_a_write_commits_with_its_plan_and_not_with_a_conflict(self, rig: Rig, writing: Store) -> None:
        writing.apply(create())
        writing.apply(tick(1, Write(Note("first"))))
        assert isinstance(writing.apply(tick(1, Write(Note("second")))), Conflict)
        assert rig.written(writing) == ["first"]

    def test_a11_writes_keep_their_order_among_themselves(self, rig: Rig, writing: Store) -> None:
        writing.apply(create())
        texts = ["b", "a", "✓ c", "a"]
        writing.apply(tick(1, PutStep(step()), *(Write(Note(text)) for text in texts)))
        writing.apply(tick(2, Write(Note("last")), PutStep(step())))
        assert rig.written(writing) == [*texts, "last"]

    def test_a11_a_failing_write_is_named_and_leaves_no_trace(self, rig: Rig, writing: Store) -> None:
        writing.apply(create())
        before = cut(writing, REF, OTHER)
        other = AddInstance(instance(OTHER)), AddHook(hook(OTHER))
        error = failed(writing, tick(1, *other, Write(Note("good")), Write(Note("")), PutStep(step())))
        assert error.index == 4
        assert error.value_type.endswith("Note")
        assert (cut(writing, REF, OTHER), rig.written(writing)) == (before, [])

    def test_a11_a_write_without_a_writer_is_named_and_leaves_no_trace(self, rig: Rig, writing: Store) -> None:
        writing.apply(create())
        before = cut(writing, REF)
        error = failed(writing, tick(1, Write(Note("good")), Write(Unknown())))
        assert error.index == 2
        assert error.value_type.endswith("Unknown")
        assert (cut(writing, REF), rig.written(writing)) == (before, [])

    def test_a11_a_write_that_fails_at_commit_is_named_and_leaves_no_trace(
        self, rig: Rig, writing: Store, failing_at_commit: object
    ) -> None:
        writing.apply(create())
        before = cut(writing, REF, OTHER)
        other = AddInstance(instance(OTHER)), AddHook(hook(OTHER))
        error = failed(writing, tick(1, *other, Write(Note("good")), Write(failing_at_commit), PutStep(step())))
        assert error.index == 4
        assert (cut(writing, REF, OTHER), rig.written(writing)) == (before, [])
        must(writing.apply(tick(1)))

    def test_a11_a_store_is_as_good_as_before_after_failing_writes(self, rig: Rig, writing: Store) -> None:
        writing.apply(create())
        for _ in range(MANY):
            failed(writing, tick(1, Write(Note(""))))
        assert isinstance(writing.apply(tick(1, Write(Note("good")))), Applied)
        assert rig.written(writing) == ["good"]

    def test_a11_a_write_of_a_plan_that_writes_no_row_is_committed_too(self, rig: Rig, writing: Store) -> None:
        must(writing.apply(create()))
        alone = attrs.evolve(tick(1), mutations=(Write(Note("alone")),))
        must(writing.apply(alone))
        assert rig.written(writing) == ["alone"]
        assert writing.retrieve(REF).instance == instance()
