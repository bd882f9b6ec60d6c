"""A client of either colour at a watched store, so that a test can ask both the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.runner.doubles import Machine, Watched
from tests.runner.loops import Awaited
from wfadapters.memory import MemoryStore
from wfcore.ports import DueQuery
from wfcore.runner import AsyncClient, Client, run_tick
from wfcore.workflow import Registry


class Office:
    """A watched store on a machine, a client of either colour, and one of somebody else who is not watched."""

    def __init__(self, registry: Registry, store: Any = None) -> None:
        self.machine = Machine()
        self.registry = registry
        self.store = Watched(MemoryStore(self.machine.clock) if store is None else store)
        self.others = Client(self.store.inner, registry, runtime=Machine(ids=100).runtime)
        self.blocking = Client(self.store, registry, runtime=self.machine.runtime)
        self.awaited = AsyncClient(Awaited(self.store), registry, runtime=self.machine.runtime)

    def tick(self) -> None:
        """Handle what is due, until nothing is."""
        while fired := self.store.inner.due(DueQuery()):
            run_tick(self.store.inner, self.registry, fired[0], runtime=Machine(ids=200).runtime)


def told(ask: Callable[[], Any]) -> tuple[str, str]:
    """What came of it, in words in which both colours are alike."""
    try:
        answer = ask()
    except Exception as error:
        return type(error).__name__, str(error)
    return "answer", repr(answer).replace("AsyncHandle", "Handle")
