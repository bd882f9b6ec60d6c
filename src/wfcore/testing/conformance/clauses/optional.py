"""B1, B3: bound stores, listeners."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from queue import Queue
from typing import Any, ClassVar

import pytest

from wfcore.errors import WriteFailedError
from wfcore.evolve import NOTHING, World, applied, evolve
from wfcore.model import Instance
from wfcore.plan import AddEvent, AddHook, AddInstance, AtVersion, Conflict, DeleteHook, PutStep, Write
from wfcore.ports import Store
from wfcore.testing.conformance.adapter import Note
from wfcore.testing.conformance.build import (
    NOW,
    OTHER,
    REF,
    create,
    delete,
    event,
    filled,
    hook,
    instance,
    must,
    plan,
    send,
    step,
    tick,
)
from wfcore.testing.conformance.rig import Rig, cut


class Patient:
    """Tests that wait for what must come.

    Attributes:
        patience: how many seconds, before it is said not to come.
    """

    patience: ClassVar[float] = 5.0


class Change(Exception):  # noqa: N818 - no error
    """The caller changes their mind."""


class Bound:
    """A bound store is a store, in the caller's transaction."""

    def test_b1_what_a_bound_store_applies_commits_with_the_caller(self, rig: Rig, binding: Store) -> None:
        with rig.within(binding) as bound:
            must(bound.apply(create()))
            must(bound.apply(tick(1, PutStep(step()))))
        assert binding.retrieve(REF).instance == instance(version=2)

    def test_b1_what_a_bound_store_applies_is_rolled_back_with_the_caller(self, rig: Rig, binding: Store) -> None:
        before = cut(binding, REF)
        with suppress(Change), rig.within(binding) as bound:
            must(bound.apply(create()))
            raise Change
        assert cut(binding, REF) == before

    def test_b1_a_bound_store_reads_what_it_wrote_and_others_do_not(self, rig: Rig, binding: Store) -> None:
        before = cut(binding, REF)
        with rig.within(binding) as bound:
            must(bound.apply(create()))
            assert bound.retrieve(REF).instance == instance()
            assert cut(binding, REF) == before

    def test_b1_a_bound_store_answers_and_reads_as_any_store(self, rig: Rig, binding: Store) -> None:
        """Rows and answers are those of ``evolve``."""
        rows = filled(2)
        plans = [create(), send(), rows.put(instance()), tick(1), send(ref=OTHER), create(OTHER), delete(1, OTHER)]
        plans.append(plan(AddEvent(event(ref=OTHER)), DeleteHook(rows.hook.id), given=(_held(rows.instance),)))
        world: World = {}
        with rig.within(binding) as bound:
            for each in plans:
                after = evolve(world, each)
                assert bound.apply(each) == (after if isinstance(after, Conflict) else applied(after, each))
                world = world if isinstance(after, Conflict) else after
                expected = [world.get(ref, NOTHING).snapshot(NOW) for ref in (REF, OTHER)]
                assert cut(bound, REF, OTHER) == expected
        assert cut(binding, REF, OTHER) == [world.get(ref, NOTHING).snapshot(NOW) for ref in (REF, OTHER)]

    def test_b1_a_conflict_leaves_the_transaction_usable(self, rig: Rig, binding: Store) -> None:
        binding.apply(create(OTHER))
        with rig.within(binding) as bound:
            must(bound.apply(create()))
            assert isinstance(bound.apply(tick(7, PutStep(step()))), Conflict)
            must(bound.apply(tick(1, ref=OTHER)))
        assert [each.instance for each in cut(binding, REF, OTHER)] == [instance(), instance(OTHER, 2)]

    def test_b1_a_failing_write_leaves_the_transaction_as_it_was(self, rig: Rig, binding: Store) -> None:
        if rig.adapter.written is None:
            pytest.skip("the adapter has no 'written'")
        with rig.within(binding) as bound:
            must(bound.apply(create()))
            with pytest.raises(WriteFailedError):
                bound.apply(tick(1, PutStep(step()), Write(Note("good")), Write(Note(""))))
            must(bound.apply(create(OTHER)))
        assert [each.instance for each in cut(binding, REF, OTHER)] == [instance(), instance(OTHER)]
        assert (binding.retrieve(REF).steps, rig.written(binding)) == ((), [])


def _held(row: Instance) -> AtVersion:
    return AtVersion(row.ref, row.version, row.execution_id)


class Listeners(Patient):
    """Listeners are told of every instance that an applied plan touches."""

    def next(self, heard: Queue[str]) -> str:
        """The next ref; an empty one says that some may have been missed, which may always be said."""
        while not (ref := heard.get(timeout=self.patience)):
            pass
        return ref

    def test_b3_a_listener_is_told_of_every_instance_that_a_plan_touches(self, listenable: Any) -> None:
        heard: Queue[str] = Queue()
        listenable.listen(heard.put)
        listenable.apply(create())
        assert self.next(heard) == REF
        listenable.apply(tick(1, AddInstance(instance(OTHER)), AddHook(hook(OTHER)), AddEvent(event(ref=OTHER))))
        while self.next(heard) != OTHER:
            pass

    def test_b3_a_listener_that_has_stopped_is_not_told(self, listenable: Any) -> None:
        heard: Queue[str] = Queue()
        other: list[str] = []
        stop = listenable.listen(other.append)
        listenable.listen(heard.put)
        stop()
        listenable.apply(create())
        assert self.next(heard) == REF
        assert other == []

    def test_b3_what_a_listener_raises_fails_no_apply(self, listenable: Any) -> None:
        def fail(ref: str) -> None:
            raise LookupError(ref)

        heard: Queue[str] = Queue()
        listenable.listen(fail)
        listenable.listen(heard.put)
        must(listenable.apply(create()))
        assert self.next(heard) == REF

    def test_b3_a_listener_that_is_told_finds_the_plan_applied(self, rig: Rig, listenable: Any) -> None:
        with _reader(rig, listenable) as reader:
            found: Queue[object] = Queue()
            stop = listenable.listen(lambda ref: found.put(reader.retrieve(ref).instance) if ref else None)
            listenable.apply(create())
            assert found.get(timeout=self.patience) == instance()
            stop()


@contextmanager
def _reader(rig: Rig, store: Store) -> Iterator[Store]:
    """Who reads while a listener is called: a store on a loop of its own, if the listener may hold up this one."""
    if rig.loop is None:
        yield store
    elif not rig.adapter.durable:
        pytest.skip("a listener on the event loop cannot wait for a retrieve, and there is no other store on this data")
    else:
        with Rig(rig.adapter, rig.clock, type(rig.loop)()) as other:
            yield other.open()
