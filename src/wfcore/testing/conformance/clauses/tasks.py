"""B4: tasks that are cancelled, and tasks at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Coroutine
from functools import partial
from typing import Any, TypeVar

from wfcore.errors import WriteFailedError
from wfcore.plan import AddEvent, AddHook, Conflict, Plan, PutStep, Write
from wfcore.ports import Store
from wfcore.testing.conformance.adapter import Note
from wfcore.testing.conformance.build import (
    MANY,
    OTHER,
    REF,
    THIRD,
    create,
    event,
    instance,
    message,
    must,
    plan,
    send,
    step,
    tick,
)
from wfcore.testing.conformance.cancelling import cancelled_everywhere, outcomes
from wfcore.testing.conformance.clauses.optional import Patient
from wfcore.testing.conformance.clauses.trouble import each_time, reads
from wfcore.testing.conformance.loop import Loop
from wfcore.testing.conformance.rig import Rig, cut

T = TypeVar("T")


def addressed(ref: str) -> Plan:
    """The plan that creates an instance and sends it a message."""
    made = create(ref)
    return plan(*made.mutations, AddEvent(event(ref=ref)), AddHook(message(ref=ref)), ref=ref, given=made.preconditions)


async def begun(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """A task that has begun."""
    task = asyncio.ensure_future(work)
    await asyncio.sleep(0)
    return task


class Tasks(Patient):
    """A task may be cancelled wherever it waits, and does no harm to others."""

    def soon(self, loop: Loop, work: Awaitable[T]) -> T:
        """The result, of what is kept waiting by nobody."""
        return loop.run(asyncio.wait_for(work, self.patience))

    def test_b4_an_apply_that_is_cancelled_is_done_whole_or_not_at_all(self, loop: Loop, store: Any) -> None:
        found = {}
        for place, _answer in cancelled_everywhere(loop, lambda at: store.native.apply(addressed(f"checkout#{at}"))):
            ref = f"checkout#{place}"
            found[ref] = cut(store, ref)
            must(self.soon(loop, store.native.apply(create(f"checkout#after-{place}"))))
        rows = [(each.instance is not None, len(each.events), len(each.hooks)) for [each] in found.values()]
        assert {*rows} <= {(False, 0, 0), (True, 1, 2)}
        assert rows[-1] == (True, 1, 2)
        assert {ref: cut(store, ref) for ref in found} == found, "an apply was at work after it had been cancelled"

    def test_b4_a_store_is_as_good_as_before_after_a_call_that_was_cancelled(self, loop: Loop, store: Any) -> None:
        must(store.apply(create()))
        expected = store.retrieve(REF)
        for call in reads(store.native):
            for _place, answer in cancelled_everywhere(loop, each_time(call)):
                assert not isinstance(answer, Exception), repr(answer)
                assert self.soon(loop, store.native.retrieve(REF)) == expected
        must(self.soon(loop, store.native.apply(tick(1, PutStep(step())))))

    def test_b4_a_store_is_as_good_as_before_after_many_calls_that_were_cancelled(self, loop: Loop, store: Any) -> None:
        must(store.apply(create()))
        for call in (partial(store.native.retrieve, REF), partial(store.native.apply, send())):
            left = 2 * MANY
            while left > 0:
                for _place, answer in cancelled_everywhere(loop, each_time(call)):
                    assert not isinstance(answer, Exception), repr(answer)
                    self.soon(loop, call())
                    left -= 1
        must(self.soon(loop, store.native.apply(tick(1))))

    def test_b4_an_apply_that_waits_for_another_transaction_does_not_keep_the_loop_waiting(
        self, rig: Rig, loop: Loop, binding: Any
    ) -> None:
        must(binding.apply(create()))
        with rig.within(binding) as bound:
            must(bound.apply(tick(1)))
            waiting = loop.run(begun(binding.native.apply(tick(1))))
        assert self.soon(loop, waiting) == Conflict(REF, 2, "e2")

    def test_b4_several_tasks_may_use_a_bound_store(self, rig: Rig, loop: Loop, binding: Store, writing: Store) -> None:
        made = create(OTHER)
        failing = plan(*made.mutations, Write(Note("")), ref=OTHER, given=made.preconditions)
        with rig.within(binding) as bound:
            work = (bound.native.apply(each) for each in (create(), failing, create(THIRD)))
            first, second, third = loop.run(outcomes(*work))
        must(first)
        assert isinstance(second, WriteFailedError)
        must(third)
        assert [each.instance for each in cut(writing, REF, OTHER, THIRD)] == [instance(), None, instance(THIRD)]
