"""The fixtures of the suite: one to fill, the others made of it; what a store cannot do is skipped with a reason."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from wfcore.ports import BatchStore, Catalog, HookFeed, Listenable, Store
from wfcore.testing.conformance.adapter import Adapter, Clock
from wfcore.testing.conformance.contents import CLAUSES, clause_of
from wfcore.testing.conformance.loop import Loop
from wfcore.testing.conformance.rig import Rig, StoreAndCatalog, native_of
from wfcore.testing.faults import StoreAndFeed


class Fixtures:
    """What the tests ask for.

    Attributes:
        asynchronous: whether the adapter's stores are asyncio's.
        examples: how many sequences of generated plans are tried (clause E1).
        shrink: whether a sequence that fails is made as short as possible, which may take minutes.
    """

    asynchronous: ClassVar[bool] = False
    examples: ClassVar[int] = 25
    shrink: ClassVar[bool] = True

    @pytest.fixture
    def adapter(self) -> Adapter:
        """The one to fill: an adapter with a new, empty place for its data."""
        raise NotImplementedError(f"{type(self).__name__} needs a fixture `adapter` that gives an Adapter")

    @pytest.fixture(autouse=True)
    def left_out(self, request: pytest.FixtureRequest, adapter: Adapter) -> None:
        """Skip what the adapter's list of skips names."""
        problem = wrong_with(adapter, type(self))
        if problem is not None:
            pytest.fail(problem, pytrace=False)
        test = getattr(request.node, "originalname", request.node.name)
        reason = adapter.skips.get(test) or adapter.skips.get(clause_of(test) or "")
        if reason is not None:
            pytest.skip(f"left out: {reason}")

    @pytest.fixture
    def clock(self) -> Clock:
        """The clock of all stores."""
        return Clock()

    @pytest.fixture
    def rig(self, adapter: Adapter, clock: Clock, left_out: None) -> Iterator[Rig]:  # noqa: ARG002 - first
        """Opens stores."""
        with Rig(adapter, clock, Loop() if self.asynchronous else None) as rig:
            yield rig

    @pytest.fixture
    def store(self, rig: Rig) -> Store:
        """A store."""
        opened: Store = rig.open()
        return opened


def wrong_with(adapter: object, suite: type) -> str | None:
    """What is wrong with what should be an adapter for that suite, if anything is."""
    if not isinstance(adapter, Adapter):
        return f"{adapter!r} is no wfcore.testing.conformance.Adapter"
    unknown = [what for what in adapter.skips if what not in CLAUSES and not hasattr(suite, what)]
    return f"skips: there is no test {', '.join(unknown)}" if unknown else None


class Capabilities:
    """Stores that can do more than the two methods, and adapters that say how to look at it."""

    @pytest.fixture
    def feed(self, store: Any) -> StoreAndFeed:
        """A store that is a feed."""
        found: StoreAndFeed = _able(store, HookFeed)
        return found

    @pytest.fixture
    def catalog(self, store: Any) -> StoreAndCatalog:
        """A store that is a catalog."""
        found: StoreAndCatalog = _able(store, Catalog)
        return found

    @pytest.fixture
    def listenable(self, store: Any) -> Any:
        """A store that tells of applied plans."""
        found = _able(store, Listenable)
        native = native_of(store)
        if inspect.iscoroutinefunction(native.listen):
            pytest.fail(f"`listen` of {native!r} is `async def`: it has to be a plain function", pytrace=False)
        return found

    @pytest.fixture
    def batching(self, store: Any) -> BatchStore:
        """A store that takes many plans at once."""
        found: BatchStore = _able(store, BatchStore)
        return found

    @pytest.fixture
    def writing(self, rig: Rig, store: Store) -> Store:
        """A store with a writer of notes."""
        _declared(rig, "written")
        return store

    @pytest.fixture
    def failing_at_commit(self, rig: Rig) -> object:
        """A value whose writer breaks what the database looks at when it commits."""
        _declared(rig, "fails_at_commit")
        return rig.adapter.fails_at_commit

    @pytest.fixture
    def binding(self, rig: Rig, store: Store) -> Store:
        """A store that can be bound to a transaction."""
        _declared(rig, "within")
        return store

    @pytest.fixture
    def breaking(self, rig: Rig) -> Rig:
        """A rig that opens stores whose database fails when it is told to."""
        _declared(rig, "faulty")
        return rig

    @pytest.fixture
    def loop(self, rig: Rig) -> Loop:
        """The loop of a store for asyncio."""
        if rig.loop is None:
            pytest.skip("the store blocks: no task of it is cancelled")
        return rig.loop

    @pytest.fixture
    def durable(self, rig: Rig) -> Rig:
        """A rig whose stores, opened again, find what was applied."""
        if not rig.adapter.durable:
            pytest.skip("the adapter is not durable")
        return rig


def _declared(rig: Rig, capability: str) -> None:
    if getattr(rig.adapter, capability) is None:
        pytest.skip(f"the adapter has no {capability!r}")


def _able(store: Any, port: type) -> Any:
    """The store, if it has all methods of the port. Some of them are a mistake, a name misspelt: it must not pass."""
    native = native_of(store)
    methods = sorted(name for name in vars(port) if not name.startswith("_"))
    missing = [name for name in methods if not hasattr(native, name)]
    if missing == methods:
        pytest.skip(f"the store is no {port.__name__}")
    if missing:
        found = ", ".join(name for name in methods if name not in missing)
        pytest.fail(f"the store has {found}, but no {', no '.join(missing)}: a {port.__name__} has all", pytrace=False)
    return store
