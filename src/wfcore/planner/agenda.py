"""What workflow code has asked for and not been answered, by what can become of it. Pure: no I/O, no clock.

A request is **open** until it is answered. If its branch is closed before that (rules P4, P5) it is **late**: nobody
waits for it, but what is recorded of it, or still comes of a body in flight, has its place in history.

What history does not answer is sorted: waits, bodies that may start, bodies that wait for their next attempt. A body
in flight is in none of these. Under a map with bounded concurrency a branch has to be *admitted* before a body of it
starts; it stays so until no body of it may start or is in flight: a parked branch holds no place (rule P1).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from datetime import datetime

from wfcore.planner.requests import Branch, Group, Request
from wfcore.planner.steps.decision import deadline, earliest_deadline


class Agenda:
    """The requests of one tick.

    Attributes:
        open: by key, in the order in which they were asked for.
        late: by key, those of closed branches that history, or a body in flight, still settles.
        asked: those that history does not settle and that are not sorted yet.
        waits: by key, the open waits, and the starts of at-most-once bodies that others have made.
        flying: by key, those whose body is in flight.
        unwanted: keys of bodies in flight that may be cancelled.
        draining: keys of late requests that settle before anything else: a group has failed and waits for them (P4).
    """

    def __init__(self) -> None:
        self.open: dict[str, Request] = {}
        self.late: dict[str, Request] = {}
        self.asked: list[Request] = []
        self.waits: dict[str, Request] = {}
        self.flying: dict[str, Request] = {}
        self.unwanted: set[str] = set()
        self.draining: set[str] = set()
        self._bodies: dict[str, Request] = {}
        self._retrying: dict[str, Request] = {}
        self._queues: dict[Group, _Queue] = {}

    # -- sorting

    def wait(self, request: Request) -> None:
        """It is settled by an event or by a deadline."""
        self.waits[request.key] = request

    def may_run(self, request: Request, *, at: datetime | None, now: datetime) -> None:
        """Its body may run; not before ``at``."""
        if at is not None and at > now:
            self._retrying[request.key] = request
        else:
            self._queue(request)

    def next_first(self, request: Request) -> None:
        """Its body goes before all others: it takes an event (rule W9)."""
        self.waits.pop(request.key, None)
        self._bodies = {request.key: request, **self._bodies}

    def retry_due(self, now: datetime) -> None:
        """Take up those whose next attempt is due."""
        for request in [each for each in self._retrying.values() if _at(each) <= now]:
            del self._retrying[request.key]
            self._queue(request)

    # -- bodies

    def startable(self) -> tuple[Request, ...]:
        """Those whose body may start now, the first that was asked for first; not all need be taken."""
        moved = True
        while moved:
            moved = False
            for group in [*self._queues]:
                moved = self._admit(group) or moved
        return tuple(self._bodies.values())

    def start(self, request: Request) -> None:
        """Its body is in flight."""
        self._bodies.pop(request.key, None)
        self.flying[request.key] = request
        mark_begun(request.branch)

    def landed(self, key: str) -> Request:
        """Its body is not in flight any more."""
        self.unwanted.discard(key)
        return self.flying.pop(key)

    def answered(self, request: Request) -> None:
        """Its event or deadline has come."""
        self.waits.pop(request.key, None)

    def drop(self, request: Request, *, settles: bool, unwanted: bool) -> None:
        """Its branch is closed; ``settles``: history, or a body in flight, settles it all the same."""
        key = request.key
        for table in (self.open, self.waits, self._bodies, self._retrying):
            table.pop(key, None)
        if settles:
            self.late[key] = request
        if unwanted and key in self.flying:
            self.unwanted.add(key)

    def next_deadline(self) -> datetime | None:
        """The earliest instant at which time settles or starts something."""
        records = (each.record for table in (self.waits, self._retrying) for each in table.values())
        return earliest_deadline(record for record in records if record is not None)

    # -- places in maps

    def _queue(self, request: Request) -> None:
        for branch, group in _bounds(request.branch):
            if branch not in group.admitted:
                queue = self._queues.setdefault(group, _Queue())
                queue.add(branch, request)
                return
        self._bodies[request.key] = request

    def _admit(self, group: Group) -> bool:
        """Give free places of a map to branches that wait for one; whether there were any."""
        group.admitted &= {
            branch
            for table in (self._bodies, self.flying)
            for request in table.values()
            for branch, around in _bounds(request.branch)
            if around is group
        }
        queue, moved = self._queues[group], False
        while len(group.admitted) < (group.fan.max_concurrency or 0) and (first := queue.pop()) is not None:
            branch, requests = first
            group.admitted.add(branch)
            for request in requests:
                if not request.branch.closed:
                    self._queue(request)
                    moved = True
        if queue.is_empty:
            del self._queues[group]
        return moved


class _Queue:
    """Branches of a map that wait for a place, with their requests; those that have begun go first."""

    def __init__(self) -> None:
        self._begun: OrderedDict[Branch, list[Request]] = OrderedDict()
        self._new: OrderedDict[Branch, list[Request]] = OrderedDict()

    @property
    def is_empty(self) -> bool:
        return not self._begun and not self._new

    def add(self, branch: Branch, request: Request) -> None:
        (self._begun if branch.has_run else self._new).setdefault(branch, []).append(request)

    def pop(self) -> tuple[Branch, list[Request]] | None:
        for table in (self._begun, self._new):
            if table:
                return table.popitem(last=False)
        return None


def _bounds(branch: Branch) -> Iterator[tuple[Branch, Group]]:
    """The branches of bounded maps around a branch, itself included, innermost first, each with its map."""
    around: Branch | None = branch
    while around is not None and (group := around.group) is not None:
        if group.fan.max_concurrency is not None:
            yield around, group
        around = group.request.branch


def mark_begun(branch: Branch) -> None:
    """A body of the branch has run: under a map it goes before branches that have not begun."""
    around: Branch | None = branch
    while around is not None:
        around.has_run = True
        around = around.group.request.branch if around.group else None


def _at(request: Request) -> datetime:
    record = request.record
    found = None if record is None else deadline(record)
    assert found is not None  # noqa: S101 - what has no next attempt is not put there
    return found
