"""A simulation that never fails proves nothing: stores, runners and workflows that are broken on purpose are found."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import attrs
import pytest

from tests.testing.shop import MINUTE
from wfadapters.memory import MemoryStore
from wfcore import AsyncStep, Attempt, WfcoreError, workflow
from wfcore.plan import AddHook, Applied, AtVersion, Conflict, DeleteHook, Plan, PutEvent, PutHook, PutStep, Write
from wfcore.ports import DueQuery
from wfcore.testing import Simulation, VirtualClock

SEEDS = range(20)


class NoVersionCheck(MemoryStore):
    """Applies whatever comes."""

    def apply(self, plan: Plan) -> Applied | Conflict:
        found = self.retrieve(plan.ref).instance
        if found is not None:
            here = tuple(
                attrs.evolve(each, version=found.version, execution_id=found.execution_id)
                if isinstance(each, AtVersion)
                else each
                for each in plan.preconditions
            )
            plan = attrs.evolve(plan, preconditions=here)
        return super().apply(plan)


def without(*kinds: type[Any], when: Callable[[Plan], bool] = lambda plan: True) -> type[MemoryStore]:
    """A store that forgets some mutations."""

    class Forgetful(MemoryStore):
        def apply(self, plan: Plan) -> Applied | Conflict:
            if when(plan):
                kept = tuple(each for each in plan.mutations if not isinstance(each, kinds))
                plan = attrs.evolve(plan, mutations=kept)
            return super().apply(plan)

    return Forgetful


class DeletesUnseenHooks(MemoryStore):
    """Deletes all messages' hooks with a plan that deletes any hook, those that its tick has not seen as well."""

    def apply(self, plan: Plan) -> Applied | Conflict:
        if any(isinstance(each, DeleteHook) for each in plan.mutations):
            there = tuple(DeleteHook(hook.id) for hook in self.retrieve(plan.ref).hooks if "#msg:" in hook.id)
            plan = attrs.evolve(plan, mutations=(*plan.mutations, *there))
        return super().apply(plan)


class WritesTwice(MemoryStore):
    """Repeats users' writes if a plan conflicts."""

    def apply(self, plan: Plan) -> Applied | Conflict:
        answer = super().apply(plan)
        if isinstance(answer, Conflict):
            writes = tuple(each for each in plan.mutations if isinstance(each, Write))
            super().apply(attrs.evolve(plan, preconditions=(), mutations=writes))
        return answer


BROKEN: dict[str, type[MemoryStore]] = {
    "no version check": NoVersionCheck,
    "forgets records": without(PutStep),
    "forgets timers": without(PutHook),
    "forgets message hooks": without(AddHook),
    "forgets that events are taken": without(PutEvent),
    "never deletes a hook": without(DeleteHook),
    "deletes unseen hooks": DeletesUnseenHooks,
    "writes of losers": WritesTwice,
}


def writes(number: int, attempt: Attempt) -> int:
    attempt.write((attempt.idempotency_key, number))
    return number


async def hears(step: AsyncStep) -> list[object]:
    return [(await step.wait_for_event("word", "word")).payload for _ in range(5)]


async def works(step: AsyncStep) -> int:
    total = 0
    for number in range(3):
        total += await step.do("one", partial(writes, number))
        await step.sleep("nap", MINUTE)
    return total


@workflow(name="whole")
async def whole(step: AsyncStep) -> list[Any]:
    return list(await step.gather("all", hears, works))


def live(store: type[MemoryStore], seed: int) -> None:
    """Lives with everything in them, and what has to come of them."""
    clock = VirtualClock()
    inside = store(clock)
    with Simulation([whole], seed=seed, store=inside, clock=clock, dispatchers=2, max_ticks=500) as sim:
        runs = [sim.create(whole, id=str(number)) for number in range(3)]
        for run in runs:
            for word in range(5):
                sim.deliver(run, "word", word, at=10 * MINUTE)
        for run in runs:
            sim.run_until_done(run)
        assert [[[0, 1, 2, 3, 4], 3]] * 3 == [run.result() for run in runs]
        assert 9 == len(inside.writes) == len(set(inside.writes))
        assert 10 * MINUTE == sim.now - clock.start
        assert None is inside.next_due_at(DueQuery())


def is_found(store: type[MemoryStore]) -> bool:
    for seed in SEEDS:
        try:
            live(store, seed)
        except (AssertionError, WfcoreError):
            return True
    return False


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_store_is_found(name: str) -> None:
    assert is_found(BROKEN[name])


def test_one_that_works_passes() -> None:
    assert not is_found(MemoryStore)
