"""A step that does nothing, blocking and under asyncio, on a store in memory: what the runners themselves take.

One wake-up is a workflow of 10 such steps: a retrieve, 10 bodies, 10 applies. The rows:

* ``await``: an ``async def`` body on the event loop; the store is awaited and has its answer at hand.
* ``thread``: a plain body, in a thread of its own.
* ``to_async``: as ``await``; every retrieve and apply goes through a thread.
"""

import asyncio
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import attrs
from bench.rounds import Spread, alternate, ratio, table

from wfadapters.memory import MemoryStore
from wfcore import (
    AsyncStep,
    AsyncStore,
    Attempt,
    Client,
    Registry,
    Workflow,
    run_tick,
    run_tick_async,
    to_async,
    workflow,
)
from wfcore.model import FiredHook, Snapshot
from wfcore.plan import Applied, Conflict, Plan

STEPS = 10


def plain(_attempt: Attempt) -> int:
    return 7


async def awaitable(_attempt: Attempt) -> int:
    return 7


def ten(body: Callable[[Attempt], Any]) -> Workflow[None, int]:
    @workflow(name="ten")
    async def steps(step: AsyncStep) -> int:
        return sum([await step.do("work", body, returns=int) for _ in range(STEPS)])

    return steps


@attrs.frozen
class AtHand:
    """A store whose answers need no waiting."""

    store: MemoryStore

    async def retrieve(self, ref: str) -> Snapshot:
        return self.store.retrieve(ref)

    async def apply(self, plan: Plan) -> Applied | Conflict:
        return self.store.apply(plan)


class Side:
    """One way to run the wake-ups of new instances."""

    def __init__(self, body: Callable[[Attempt], Any], instances: int) -> None:
        self.store = MemoryStore()
        self.workflow = ten(body)
        self.registry = Registry([self.workflow])
        self._instances = instances
        self._created = 0

    def prepare(self) -> list[FiredHook]:
        client, fired = Client(self.store, self.registry), []
        for _ in range(self._instances):
            self._created += 1
            snapshot = self.store.retrieve(client.create(self.workflow, id=str(self._created)).ref)
            fired.append(FiredHook(hook=snapshot.hooks[0], timestamp=snapshot.now))
        return fired

    def per_step(self, seconds: float) -> float:
        return seconds / (self._instances * STEPS)


def blocking(side: Side) -> Callable[[int], float]:
    def sample(_number: int) -> float:
        fired = side.prepare()
        began = perf_counter()
        for each in fired:
            assert isinstance(run_tick(side.store, side.registry, each).result, Applied)
        return side.per_step(perf_counter() - began)

    return sample


def awaited(side: Side, adapt: Callable[[MemoryStore], AsyncStore]) -> Callable[[int], float]:
    store = adapt(side.store)

    async def ticks(fired: Sequence[FiredHook]) -> float:
        began = perf_counter()
        for each in fired:
            assert isinstance((await run_tick_async(store, side.registry, each)).result, Applied)
        return perf_counter() - began

    def sample(_number: int) -> float:
        return side.per_step(asyncio.run(ticks(side.prepare())))

    return sample


def measure(*, quick: bool) -> str:
    """The table."""
    rounds, instances = (3, 5) if quick else (41, 20)
    spreads = alternate(
        rounds,
        blocking(Side(plain, instances)),
        awaited(Side(awaitable, instances), AtHand),
        awaited(Side(plain, instances), AtHand),
        awaited(Side(awaitable, instances), to_async),
    )
    names = ("blocking", "asyncio, await", "asyncio, thread", "asyncio, to_async")
    rows = [_row(name, spread, spreads[0]) for name, spread in zip(names, spreads, strict=True)]
    heads = ("runner, body", "us/step", "min-max", "ratio")
    return table("A step that does nothing, in memory: medians of alternating rounds", heads, rows)


def _row(name: str, spread: Spread, base: Spread) -> tuple[str, ...]:
    return (
        name,
        f"{spread.median * 1e6:.0f}",
        f"{spread.best * 1e6:.0f}-{spread.worst * 1e6:.0f}",
        f"{ratio(spread, base):.2f}",
    )
