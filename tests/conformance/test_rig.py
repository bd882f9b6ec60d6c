"""The suite's hands: what they say of a store that is not as it should be, and what they see beside its calls."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from wfadapters.memory import MemoryStore
from wfcore.model import Snapshot
from wfcore.plan import Applied, Conflict, Plan
from wfcore.ports import DueQuery
from wfcore.testing.conformance import Adapter
from wfcore.testing.conformance.adapter import noon
from wfcore.testing.conformance.build import REF, create, instance
from wfcore.testing.conformance.loop import Loop
from wfcore.testing.conformance.rig import Rig


class Native:
    """A store for asyncio whose author has forgotten an ``async``."""

    def __init__(self, _clock: object) -> None:
        self.store = MemoryStore(noon)

    async def retrieve(self, ref: str) -> Snapshot:
        return self.store.retrieve(ref)

    async def apply(self, plan: Plan) -> Applied | Conflict:
        return self.store.apply(plan)

    def due(self, _query: DueQuery) -> list[object]:
        return []

    async def next_due_at(self, _query: DueQuery) -> None:
        return None

    async def within(self) -> "Native":
        return self


@pytest.fixture
def open_rig() -> Iterator[Callable[..., Rig]]:
    rigs: list[Rig] = []

    def rig(open_store: Callable[[object], Any], **more: Any) -> Rig:
        rigs.append(Rig(Adapter(open=open_store, durable=False, **more), noon, Loop()))
        return rigs[-1]

    yield rig
    for each in rigs:
        each.close()


def test_a_method_whose_async_was_forgotten_is_named(open_rig: Callable[..., Rig]) -> None:
    with pytest.raises(TypeError, match=r"^`due` of <.*Native.*> is not `async def`$"):
        open_rig(Native).open().due(DueQuery())


def test_a_store_that_is_blocking_throughout_is_told_where_it_belongs(open_rig: Callable[..., Rig]) -> None:
    told = "^`retrieve` of .*MemoryStore.* is not `async def`: a blocking store wants a StoreSuite \\(no --asyncio\\)$"
    with pytest.raises(TypeError, match=told):
        open_rig(MemoryStore).open().retrieve(REF)


@pytest.mark.parametrize("within_is_async", [False, True])
def test_within_may_be_asynchronous_in_every_way(open_rig: Callable[..., Rig], within_is_async: bool) -> None:
    @asynccontextmanager
    async def transaction(store: Native) -> AsyncIterator[Any]:
        yield store.within()

    async def later(store: Native) -> Any:
        return transaction(store)

    rig = open_rig(Native, within=later if within_is_async else transaction)
    store = rig.open()
    with rig.within(store) as bound:
        bound.apply(create())
    assert store.retrieve(REF).instance == instance()


def test_what_within_gives_is_told_if_it_is_no_store(open_rig: Callable[..., Rig]) -> None:
    @asynccontextmanager
    async def transaction(_store: Native) -> AsyncIterator[object]:
        yield "a connection"

    rig = open_rig(Native, within=transaction)
    told = r"^within\(store\) of the adapter has given 'a connection', which is no store: it has no retrieve, no apply$"
    with pytest.raises(TypeError, match=told), rig.within(rig.open()):
        pass


async def fail() -> None:
    raise LookupError("nobody looks at it")


class Careless(Native):
    """Goes on in the background."""

    async def apply(self, plan: Plan) -> Applied | Conflict:
        asyncio.ensure_future(fail())  # noqa: RUF006 - that is what is wrong
        return await super().apply(plan)


class Lingering(Native):
    """Never ends what it has begun."""

    async def apply(self, plan: Plan) -> Applied | Conflict:
        self.task = asyncio.ensure_future(asyncio.Event().wait())
        return await super().apply(plan)


@pytest.mark.parametrize(
    ("store", "told"),
    [
        (Careless, r"Task exception was never retrieved: LookupError\('nobody looks at it'\)$"),
        (Lingering, "it has left a task behind: <Task .*Event.wait"),
    ],
)
def test_what_goes_wrong_beside_the_calls_fails_the_test(store: type[Native], told: str) -> None:
    rig = Rig(Adapter(open=store, durable=False), noon, Loop())
    rig.open().apply(create())
    with pytest.raises(AssertionError, match=told):
        rig.close()
