"""``evolve`` behind a lock: the store that says what every other store has to do."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from heapq import nlargest, nsmallest
from itertools import islice, takewhile
from threading import Lock

from wfadapters.clock import utc_now
from wfadapters.listeners import Listeners
from wfcore.errors import InstanceNotFoundError
from wfcore.evolve import NOTHING, Rows, applied, evolve
from wfcore.keys import is_terminal_notice
from wfcore.model import FiredHook, Hook, Instance, InstanceStatus, Snapshot
from wfcore.plan import Applied, Conflict, Plan, Write
from wfcore.ports import DueQuery, History, InstanceQuery, Page
from wfcore.ports.catalog import STATUSES, place


class MemoryStore:
    """Keeps everything in this process, for as long as it lives: a BatchStore, a HookFeed, a Catalog, and Listenable.

    Args:
        clock: tells the time, as an aware UTC ``datetime``.
    """

    def __init__(self, clock: Callable[[], datetime] = utc_now) -> None:
        self._clock = clock
        self._lock = Lock()
        self._world: dict[str, Rows] = {}
        # By when the first hook of each instance is due; with terminal notices, and without.
        self._agendas: dict[bool, list[tuple[datetime, str, str]]] = {True: [], False: []}
        self._writes: list[object] = []
        self._listeners = Listeners()

    @property
    def writes(self) -> tuple[object, ...]:
        """The values of all committed ``Write`` mutations, in the order of their commits (rule T7)."""
        with self._lock:
            return tuple(self._writes)

    def retrieve(self, ref: str) -> Snapshot:
        """All rows of one instance; see :class:`wfcore.ports.Store`."""
        with self._lock:
            rows = self._world.get(ref, NOTHING)
            return rows.snapshot(self._clock())

    def apply(self, plan: Plan) -> Applied | Conflict:
        """Perform a plan; see :class:`wfcore.ports.Store`. Takes any ``Write`` and keeps its value."""
        with self._lock:
            after = evolve({ref: self._world[ref] for ref in plan.refs if ref in self._world}, plan)
            if isinstance(after, Conflict):
                return after
            for ref, rows in after.items():
                self._put(ref, rows)
            self._writes.extend(each.value for each in plan.mutations if isinstance(each, Write))
        self._listeners.notify(plan)
        return applied(after, plan)

    def apply_many(self, plans: Sequence[Plan]) -> Sequence[Applied | Conflict]:
        """Perform plans, one after the other; see :class:`wfcore.ports.BatchStore`."""
        return [self.apply(plan) for plan in plans]

    def due(self, query: DueQuery) -> Sequence[FiredHook]:
        """The hooks that are due; see :class:`wfcore.ports.HookFeed`."""
        with self._lock:
            now = self._clock()
            hooks = takewhile(lambda hook: hook.due_at <= now, self._admitted(query))
            taken = (hook for hook in hooks if _taken_at(hook, query) <= now)
            return [FiredHook(hook=hook, timestamp=now) for hook in islice(taken, query.limit)]

    def next_due_at(self, query: DueQuery) -> datetime | None:
        """When the next hook is due; see :class:`wfcore.ports.HookFeed`."""
        with self._lock:
            taken: list[datetime] = []
            for hook in self._admitted(query):
                taken.append(_taken_at(hook, query))
                if taken[-1] == hook.due_at:  # its own: what is due later is taken later
                    break
            return min(taken, default=None)

    def listen(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """Call ``callback(ref)`` after every applied plan; see :class:`wfcore.ports.Listenable`."""
        return self._listeners.listen(callback)

    def list_instances(self, query: InstanceQuery) -> Page[Instance]:
        """One page of instances; see :class:`wfcore.ports.Catalog`."""
        position = query.position()
        with self._lock:
            found = (each for each in self._instances() if query.admits(each))
            rest = (each for each in found if position is None or place(each) < position)
            return query.page(nlargest(query.limit + 1, rest, key=place))

    def count_by_status(self, query: InstanceQuery) -> Mapping[InstanceStatus, int]:
        """How many instances there are; see :class:`wfcore.ports.Catalog`."""
        with self._lock:
            counted = Counter(each.status for each in self._instances() if query.admits(each))
        return {status: counted[status] for status in STATUSES}

    def history(self, ref: str, run_number: int | None = None) -> History:
        """What is recorded of a run; see :class:`wfcore.ports.Catalog`."""
        with self._lock:
            rows = self._world.get(ref, NOTHING)
        if rows.instance is None:
            raise InstanceNotFoundError(ref)
        return History.of(rows.instance, run_number, rows.steps.values(), rows.events.values())

    def suspects(self, limit: int, after: str | None = None) -> Sequence[Instance]:
        """All instances; see :class:`wfcore.ports.Catalog`."""
        with self._lock:
            rest = (each for each in self._instances() if after is None or after < each.ref)
            return nsmallest(limit, rest, key=lambda each: each.ref)

    def _instances(self) -> Iterator[Instance]:
        return (rows.instance for rows in self._world.values() if rows.instance is not None)

    def _put(self, ref: str, rows: Rows) -> None:
        before = self._world.get(ref, NOTHING)
        if rows is before:
            return
        for notices, agenda in self._agendas.items():
            replaced, first = _first(before, notices), _first(rows, notices)
            if replaced:
                del agenda[bisect_left(agenda, (replaced.due_at, replaced.id, ref))]
            if first:
                insort(agenda, (first.due_at, first.id, ref))
        if rows == NOTHING:
            self._world.pop(ref, None)
        else:
            self._world[ref] = rows

    def _admitted(self, query: DueQuery) -> Iterator[Hook]:
        # The first hook of each instance, in the order in which they are due.
        for _due_at, hook_id, ref in self._agendas[query.terminal_notices]:
            hook = self._world[ref].hooks[hook_id]
            known = query.workflow_names is None or hook.workflow_name in query.workflow_names
            if known and ref not in query.exclude:
                yield hook


def _taken_at(hook: Hook, query: DueQuery) -> datetime:
    return hook.due_at if query.shard is None else query.shard.takes_at(hook.instance_ref, hook.due_at)


def _first(rows: Rows, notices: bool) -> Hook | None:  # noqa: FBT001 - a key of the agendas
    hooks = (hook for hook in rows.hooks.values() if notices or not is_terminal_notice(hook.id))
    return min(hooks, key=lambda hook: (hook.due_at, hook.id), default=None)
