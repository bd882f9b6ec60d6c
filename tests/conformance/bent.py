"""A memory store that can be bent: each place where a store may go wrong is a function that a saboteur replaces."""

import copy
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs

from wfadapters.memory import MemoryStore
from wfadapters.writes import writes_of
from wfcore.errors import StoreUnavailableError
from wfcore.evolve import NOTHING, Rows, evolve
from wfcore.model import FiredHook, Hook, Instance, Snapshot
from wfcore.plan import Applied, Conflict, Mutation, Plan, RowMutation, Write
from wfcore.ports import DueQuery
from wfcore.testing.conformance import Adapter, Note

Make = Callable[[Path], Adapter]


def same(value: Any) -> Any:
    return value


@attrs.frozen
class Doomed:
    """A value whose writer breaks what is looked at only at the commit."""


@attrs.frozen(kw_only=True)
class Bends:
    """What is wrong with a store; whatever is left out is right.

    Attributes:
        plan: of the plan before it is applied.
        answer: of the answer, given the plan and the store.
        snapshot: of what a retrieve gives.
        query: of what a feed is asked.
        fired: of what a feed gives, given the query.
        earliest: of when the next hook is due, given the query and the store.
    """

    plan: Callable[[Plan], Plan] = same
    answer: Callable[[Applied | Conflict, Plan, "BentStore"], Applied | Conflict] = lambda answer, _plan, _store: answer
    snapshot: Callable[[Snapshot], Snapshot] = same
    query: Callable[[DueQuery], DueQuery] = same
    fired: Callable[[Sequence[FiredHook], DueQuery], Sequence[FiredHook]] = lambda fired, _query: fired
    earliest: Callable[[datetime | None, DueQuery, "BentStore"], datetime | None] = lambda at, _query, _store: at


class BentStore(MemoryStore):
    """Does what a memory store does, and what was bent; its writers refuse what they have to."""

    bends: Bends = Bends()

    def retrieve(self, ref: str) -> Snapshot:
        return self.bends.snapshot(super().retrieve(ref))

    def apply(self, plan: Plan) -> Applied | Conflict:
        check_writes(plan)
        plan = self.bends.plan(plan)
        return self.bends.answer(super().apply(plan), plan, self)

    def due(self, query: DueQuery) -> Sequence[FiredHook]:
        return self.bends.fired(super().due(self.bends.query(query)), query)

    def next_due_at(self, query: DueQuery) -> datetime | None:
        return self.bends.earliest(super().next_due_at(self.bends.query(query)), query, self)

    def rows(self, ref: str) -> Rows:
        """What it holds of an instance."""
        return self._world.get(ref, NOTHING)

    def replace(self, ref: str, rows: Rows) -> None:
        """Put all rows of an instance, whatever was there."""
        with self._lock:
            self._put(ref, rows)

    def roll_back(self, before: Mapping[str, Rows]) -> None:
        """Put all rows as they were."""
        for ref in {*self._world, *before}:
            self.replace(ref, before.get(ref, NOTHING))

    def perform(self, mutations: Iterable[Mutation]) -> None:
        """Perform mutations, whatever is there, each on its own."""
        for mutation in mutations:
            if isinstance(mutation, Write):
                self._writes.append(mutation.value)
            else:
                self.perform_one(mutation)

    def perform_one(self, mutation: RowMutation) -> None:
        after = evolve(self._world, unchecked(_NO_PLAN, mutations=(mutation,)))
        assert not isinstance(after, Conflict)
        self.replace(mutation.ref, after[mutation.ref])

    def hooks(self) -> list[Hook]:
        """All hooks."""
        return [hook for rows in self._world.values() for hook in rows.hooks.values()]

    def all_instances(self) -> list[Instance]:
        """All instances."""
        return list(self._instances())


def bent(**bends: Any) -> Make:
    """A store that is wrong in these places."""
    return of(type("Bent", (BentStore,), {"bends": Bends(**bends)}))


def of(store: type[BentStore], **declared: Any) -> Make:
    """An adapter of a class of stores."""

    def make(_folder: Path) -> Adapter:
        return Adapter(
            **{
                "open": store,
                "durable": False,
                "written": lambda opened: [note.text for note in opened.writes],
                "fails_at_commit": Doomed(),
                **declared,
            }
        )

    return make


def bent_mutations(change: Callable[[Any], Any]) -> Callable[[Plan], Plan]:
    """A plan whose mutations are changed; one that is changed to nothing is left out."""

    def bend(plan: Plan) -> Plan:
        changed = (change(each) for each in plan.mutations)
        return unchecked(plan, mutations=tuple(each for each in changed if each is not None))

    return bend


def unchecked(plan: Plan, **changes: Any) -> Plan:
    """A plan that a planner would never make."""
    made = copy.copy(plan)
    for name, value in changes.items():
        object.__setattr__(made, name, value)
    return made


def check_writes(plan: Plan) -> None:
    """Raise what a store with a writer of notes raises."""
    for each in writes_of([plan]):
        if isinstance(each.value, Doomed):
            raise each.failed("at commit")
        if not isinstance(each.value, Note):
            raise each.failed("no writer")
        if not each.value.text:
            raise each.failed("empty")


def unreadable(mutation: Mutation) -> bool:
    """Whether it is one that no database takes."""
    step, instance = getattr(mutation, "step", None), getattr(mutation, "instance", None)
    texts = (step and step.result, instance and instance.params)
    return not all(text is None or isinstance(text, str) for text in texts)


def away(ref: str) -> StoreUnavailableError:
    return StoreUnavailableError("apply", f"the connection is lost, while it was about {ref}")


def dawdle() -> None:
    """Let other threads come first."""
    threading.Event().wait(0.001)


_NO_PLAN = Plan("none#none", "e", (), (), None)  # type: ignore[arg-type] # nobody looks at the outcome
