"""What workflow code has asked for and not been answered, by what can become of it. Pure: no I/O, no clock.

A request is **open** until it is answered. If its branch is closed before that (rules P4, P5) it is **late**: nobody
waits for it, but what is recorded of it, or still comes of a body in flight, has its place in history.

What history does not answer is sorted: waits, bodies that may start, bodies that wait for their next attempt. A body
in flight is in none of these. Under a map with bounded concurrency a body waits until its branch has a place
(``places.py``). However many there are of each, a settlement looks at few of them.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime
from itertools import chain, islice

from wfcore.planner.due import Timers, Waits
from wfcore.planner.places import Places
from wfcore.planner.requests import Request


class Agenda:
    """The requests of one tick.

    Attributes:
        open: by key, in the order in which they were asked for.
        late: by key, those of closed branches that history, or a body in flight, still settles.
        asked: those that history does not settle and that are not sorted yet.
        waits: the open waits, and the starts of at-most-once bodies that others have made.
        first: by key, those whose body takes an event and is to be started before all others (rule W9).
        flying: by key, those whose body is in flight.
        unwanted: keys of bodies in flight that may be cancelled.
        held_until: what was due by then waits for bodies in flight that take events which came before (W9, W10).
        draining: keys of late requests that settle before anything else: a group has failed and waits for them (P4).
    """

    def __init__(self) -> None:
        self.open: dict[str, Request] = {}
        self.late: dict[str, Request] = {}
        self.asked: list[Request] = []
        self.waits = Waits()
        self.first: OrderedDict[str, Request] = OrderedDict()
        self.flying: dict[str, Request] = {}
        self.unwanted: set[str] = set()
        self.held_until: datetime | None = None
        self.draining: set[str] = set()
        self._takers: set[str] = set()
        self._ready: OrderedDict[str, Request] = OrderedDict()
        self._retrying = Timers()
        self._places = Places()

    # -- sorting

    def may_run(self, request: Request) -> None:
        """Its body may run."""
        if self._places.enter(request):
            self._ready[request.key] = request

    def may_run_at(self, request: Request, at: datetime | None, now: datetime) -> None:
        """Its body may run; not before ``at``."""
        if at is not None and at > now:
            self._retrying.add(request)
        else:
            self.may_run(request)

    def take_event(self, request: Request) -> None:
        """Its body goes before all others, and needs no place in a map: it takes an event (rule W9)."""
        self.waits.discard(request)
        self.first[request.key] = request

    def retry_due(self, now: datetime) -> None:
        """Take up those whose next attempt is due."""
        for request in self._retrying.pop_due(now):
            self.may_run(request)

    # -- bodies

    def startable(self, most: int | None, *, only_first: bool) -> tuple[Request, ...]:
        """Those whose body may start now, the first that was asked for first; not all need be taken.

        ``only_first``: only those that take an event; something else is due before new bodies.
        """
        if only_first:
            return tuple(islice(self.first.values(), most))
        for request in self._places.admit():
            self._ready[request.key] = request
        return tuple(islice(chain(self.first.values(), self._ready.values()), most))

    @property
    def ready_count(self) -> int:
        """How many bodies may start now."""
        return len(self.first) + len(self._ready)

    def start(self, request: Request) -> None:
        """Its body is in flight."""
        self.first.pop(request.key, None)
        self._ready.pop(request.key, None)
        self.flying[request.key] = request
        request.branch.mark_begun()

    def holds_for(self, request: Request, now: datetime) -> None:
        """Its body, in flight now, decides whether an event is taken: what is due by now came later, and waits."""
        self._takers.add(request.key)
        self.held_until = now
        self.waits.hold(now)

    def flies_on(self, request: Request) -> None:
        """Its body is in flight since before the tick."""
        self._places.occupy(request)
        self.start(request)

    def landed(self, key: str) -> Request:
        """Its body is not in flight any more."""
        self.unwanted.discard(key)
        if key in self._takers:
            self._takers.remove(key)
            if not self._takers:
                self.held_until = None
                self.waits.release()
        request = self.flying.pop(key)
        self._places.leave(request)
        return request

    def drop(self, request: Request, *, settles: bool, unwanted: bool) -> None:
        """Its branch is closed; ``settles``: history, or a body in flight, settles it all the same."""
        key = request.key
        for table in (self.open, self.first, self._ready):
            table.pop(key, None)
        self.waits.discard(request)
        self._retrying.discard(key)
        if settles:
            self.late[key] = request
        if key not in self.flying:
            self._places.leave(request)
        elif unwanted:
            self.unwanted.add(key)

    def next_deadline(self) -> datetime | None:
        """The earliest instant at which time settles or starts something."""
        both = (self.waits.timers.deadline(), self._retrying.deadline())
        return min((at for at in both if at is not None), default=None)
