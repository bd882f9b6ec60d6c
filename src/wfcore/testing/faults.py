"""What a store and its feed can do to a runner, injected at the port: :class:`FaultyStore`.

Every fault keeps the contract of the ports: what is refused leaves no trace, a conflict is a real one, and a hook may
come late, twice or out of order, never early and never not at all.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol, final

import attrs

from wfcore.errors import StoreUnavailableError
from wfcore.keys import digest
from wfcore.model import FiredHook, Hook, Snapshot
from wfcore.outcome import Checkpointed
from wfcore.plan import Applied, AtVersion, Conflict, Plan, PutInstance
from wfcore.ports import Catalog, DueQuery, HookFeed, Store
from wfcore.testing.asked import Asked
from wfcore.testing.inside import CatalogInside

EVERYTHING = 1_000_000
"""A limit for feeds that limits nothing."""


class StoreAndFeed(Store, HookFeed, Protocol):
    """A store that is its own feed."""


class Faults:
    """The faults that can be asked for; a :class:`FaultyStore` and a ``Simulation`` have them alike.

    Args:
        seed: what is left to chance is decided by it.
        clock: tells until when a store is down.
    """

    def __init__(self, seed: int, clock: Callable[[], datetime]) -> None:
        self._faults = FaultPlan(seed, clock)

    def conflict(self, *, times: int = 1) -> None:
        """Another writer is faster at the next ``times`` applies that change an instance: they conflict, truly.

        The row gets a new version and keeps everything else.
        """
        self._faults.conflicts.append(Asked(f"conflict(times={times})", times))

    def lose_ack(self, *, times: int = 1, committed: bool = True) -> None:
        """Let the next ``times`` applies raise ``StoreUnavailableError``.

        Args:
            times: how many.
            committed: whether the plans are committed all the same, or not.
        """
        asked = Asked(f"lose_ack(times={times}, committed={committed})", times)
        self._faults.acks.append((asked, committed))

    def store_down(self, *, for_: timedelta) -> None:
        """From now on, and for so long, every call raises ``StoreUnavailableError``."""
        self._faults.down_until = self._faults.clock() + for_
        self._faults.downs.append(Asked(f"store_down(for_={for_})"))

    def duplicate_hooks(self) -> None:
        """Hand out every hook once more later, with the time at which it was first read."""
        self._faults.duplicates = True

    def delay_hooks(self, max_delay: timedelta) -> None:
        """Hand out each hook late, by something between nothing and ``max_delay``, derived from the seed."""
        self._faults.max_delay = max_delay

    def reorder_hooks(self) -> None:
        """Hand out what is due in any order."""
        self._faults.reordered = True


@attrs.define(eq=False)
class FaultPlan:
    """What was asked for."""

    seed: int
    clock: Callable[[], datetime]
    conflicts: list[Asked] = attrs.field(factory=list)
    acks: list[tuple[Asked, bool]] = attrs.field(factory=list)
    downs: list[Asked] = attrs.field(factory=list)
    down_until: datetime | None = None
    duplicates: bool = False
    reordered: bool = False
    max_delay: timedelta = timedelta(0)

    @property
    def asked(self) -> list[Asked]:
        """What has to happen. Late, repeated and reordered hooks are conditions: nothing has to come of them."""
        return [*self.conflicts, *(asked for asked, _ in self.acks), *self.downs]

    def delay_of(self, hook: Hook) -> timedelta:
        """By how much a hook is late."""
        chance = int.from_bytes(digest(str(self.seed), hook.id, hook.due_at.isoformat())[:4]) / 2**32
        return self.max_delay * chance

    def check_up(self, operation: str) -> None:
        """Raises ``StoreUnavailableError`` while the store is down."""
        if self.down_until is not None and self.clock() < self.down_until:
            for asked in self.downs:
                asked.happened += 1
            raise StoreUnavailableError(operation, f"the test wants it to be down until {self.down_until.isoformat()}")


@final
class FaultyStore(Faults, CatalogInside):
    """A store with a store inside that works: in between, what a test asks for goes wrong.

    It listens and is a catalog if the store inside does and is. It takes one plan at a time, whatever the store inside
    does: so a fault may come between any two.

    Args:
        store: a store that is its own feed.
        seed: what is left to chance is decided by it.
        clock: the store's own.
        faults: left out: those that are asked for by this object's own methods.
    """

    def __init__(
        self, store: StoreAndFeed, *, clock: Callable[[], datetime], seed: int = 0, faults: FaultPlan | None = None
    ) -> None:
        super().__init__(seed, clock)
        self._faults = faults or self._faults
        self._store: StoreAndFeed = store
        self._random = random.Random(f"hooks {seed}")
        self._again: list[FiredHook] = []
        self._handed_out: set[tuple[str, datetime]] = set()

    def retrieve(self, ref: str) -> Snapshot:
        """As :meth:`wfcore.ports.Store.retrieve`."""
        self._faults.check_up("retrieve")
        return self._store.retrieve(ref)

    def apply(self, plan: Plan) -> Applied | Conflict:
        """As :meth:`wfcore.ports.Store.apply`."""
        self._faults.check_up("apply")
        changes = any(isinstance(each, AtVersion) for each in plan.preconditions)
        if changes and any(asked.takes_place() for asked in self._faults.conflicts):
            self._write_again(plan.ref)
        lost = next(((asked, committed) for asked, committed in self._faults.acks if asked.takes_place()), None)
        if lost is None:
            return self._store.apply(plan)
        if lost[1]:
            self._store.apply(plan)
        raise StoreUnavailableError("apply", f"the test wants it so: {lost[0].what}")

    def due(self, query: DueQuery) -> Sequence[FiredHook]:
        """As :meth:`wfcore.ports.HookFeed.due`, late, twice and in any order if that was asked for."""
        self._faults.check_up("due")
        now = self._faults.clock()
        all_of_it = self._faults.max_delay or self._faults.reordered
        wanted = attrs.evolve(query, limit=EVERYTHING) if all_of_it else query
        fired = [each for each in self._store.due(wanted) if each.hook.due_at + self._faults.delay_of(each.hook) <= now]
        if self._faults.reordered:
            self._random.shuffle(fired)
        fired = fired[: query.limit]
        for each in fired:
            self._repeat_later(each)
        return [*fired, *self._repeated(query, fired)]

    def next_due_at(self, query: DueQuery) -> datetime | None:
        """As :meth:`wfcore.ports.HookFeed.next_due_at`; of a hook that is late, when it will be handed out."""
        self._faults.check_up("next_due_at")
        late = self._store.due(attrs.evolve(query, limit=EVERYTHING)) if self._faults.max_delay else ()
        rest = attrs.evolve(query, exclude=query.exclude | {each.hook.instance_ref for each in late})
        found = [each.hook.due_at + self._faults.delay_of(each.hook) for each in late]
        if (earliest := self._store.next_due_at(rest)) is not None:
            found.append(earliest)
        return min(found, default=None)

    def listen(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """As :class:`wfcore.ports.Listenable`; a store that is not never calls."""
        listen = getattr(self._store, "listen", None)
        stop: Callable[[], None] = listen(callback) if listen else _nothing
        return stop

    def _catalog(self, operation: str) -> Catalog:
        self._faults.check_up(operation)
        return super()._catalog(operation)

    def _write_again(self, ref: str) -> None:
        """Be another writer, who is faster and changes nothing but the version."""
        row = self._store.retrieve(ref).instance
        if row is not None:
            raised = attrs.evolve(row, version=row.version + 1)
            held = AtVersion(ref, row.version, row.execution_id)
            self._store.apply(Plan(ref, row.execution_id, (held,), (PutInstance(raised),), Checkpointed()))

    def _repeated(self, query: DueQuery, fired: Sequence[FiredHook]) -> Sequence[FiredHook]:
        """What was handed out before and fits in now: one of each instance, like everything else."""
        busy = query.exclude | {each.hook.instance_ref for each in fired}
        found: dict[str, FiredHook] = {}
        for each in self._again:
            hook = each.hook
            known = query.workflow_names is None or hook.workflow_name in query.workflow_names
            if known and hook.instance_ref not in busy and len(fired) + len(found) < query.limit:
                found.setdefault(hook.instance_ref, each)
        self._again = [each for each in self._again if found.get(each.hook.instance_ref) is not each]
        return list(found.values())

    def _repeat_later(self, fired: FiredHook) -> None:
        identity = fired.hook.id, fired.hook.due_at
        if self._faults.duplicates and identity not in self._handed_out:
            self._handed_out.add(identity)
            self._again.append(fired)


def _nothing() -> None:
    pass
