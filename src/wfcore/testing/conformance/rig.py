"""The suite's hands: opens stores of an adapter and closes them, blocking or on an event loop."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import datetime
from types import TracebackType
from typing import Any, Protocol, Self

import attrs

from wfcore.model import Snapshot
from wfcore.ports import Catalog, Store
from wfcore.testing.conformance.adapter import Adapter
from wfcore.testing.conformance.loop import Bridge, Loop

_FOR_ASYNCIO = "a store for asyncio wants an AsyncStoreSuite (--asyncio)"


class StoreAndCatalog(Store, Catalog, Protocol):
    """A store that is its own catalog."""


@attrs.define
class Rig:
    """An adapter under test.

    Attributes:
        adapter: what its author has filled in.
        clock: what its stores are opened with.
        loop: of asyncio's stores; ``None``: they block.
    """

    adapter: Adapter
    clock: Callable[[], datetime]
    loop: Loop | None = None
    _open: ExitStack = attrs.field(factory=ExitStack, init=False)

    def open(self) -> Any:
        """A store, to be used as a blocking one; closed with the rig."""
        return self._entered(self.adapter.open(self.clock))

    def open_faulty(self, strikes: Callable[[], bool]) -> Any:
        """A store whose database fails whenever it ``strikes()``."""
        assert self.adapter.faulty is not None
        return self._entered(self.adapter.faulty(self.clock, strikes))

    def written(self, store: Any) -> list[str]:
        """The texts of the notes that are committed."""
        assert self.adapter.written is not None
        return list(self._value(self.adapter.written(native_of(store))))

    @contextmanager
    def within(self, store: Any) -> Iterator[Any]:
        """A bound store in a transaction that is committed at the end."""
        assert self.adapter.within is not None
        with self._managed(self._value(self.adapter.within(native_of(store)))) as bound:
            yield self._view(self._value(bound), "within(store)")

    def close(self) -> None:
        """Close all stores, then the loop."""
        try:
            self._open.close()
        finally:
            if self.loop is not None:
                self.loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _entered(self, made: Any) -> Any:
        made = self._value(made)
        kind = type(made)  # where `with` looks: a store may answer to any name
        if hasattr(kind, "__enter__") or hasattr(kind, "__aenter__"):
            return self._view(self._open.enter_context(self._managed(made)))
        close = getattr(made, "close", None)
        if close is not None:
            self._open.callback(lambda: self._value(close()))
        return self._view(made)

    def _value(self, given: Any) -> Any:
        if not inspect.isawaitable(given):
            return given
        if self.loop is None:
            raise TypeError(f"{given!r} has to be awaited: {_FOR_ASYNCIO}")
        return self.loop.run(given)

    def _view(self, native: Any, given_by: str = "open(clock)") -> Any:
        missing = [name for name in ("retrieve", "apply") if not hasattr(native, name)]
        if missing:
            problem = f"which is no store: it has no {', no '.join(missing)}"
            raise TypeError(f"{given_by} of the adapter has given {native!r}, {problem}")
        if self.loop is None and inspect.iscoroutinefunction(native.apply):
            raise TypeError(f"`apply` of {native!r} is async: {_FOR_ASYNCIO}")
        return native if self.loop is None else self.loop.blocking(native)

    def _managed(self, manager: Any) -> AbstractContextManager[Any]:
        if not hasattr(type(manager), "__aenter__"):
            managed: AbstractContextManager[Any] = manager
            return managed
        if self.loop is None:
            raise TypeError(f"{manager!r} is entered by `async with`: {_FOR_ASYNCIO}")
        return _managed(manager, self.loop)


@contextmanager
def _managed(manager: Any, loop: Loop) -> Iterator[Any]:
    value, leave = loop.entered(manager)
    try:
        yield value
    except BaseException as error:
        if not leave(type(error), error, error.__traceback__):
            raise
    else:
        leave(None, None, None)


def native_of(store: Any) -> Any:
    """The store as the adapter has opened it."""
    return store.native if isinstance(store, Bridge) else store


def cut(store: Store, *refs: str) -> list[Snapshot]:
    """What a store holds of some instances."""
    return [store.retrieve(ref) for ref in refs]
