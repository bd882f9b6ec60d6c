"""Open requests by what settles them: deadlines in order, events by type. Pure: no I/O, no clock.

A tick may hold thousands of waits and settles one at a time, so none of them may be looked at for each settlement.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from heapq import heappop, heappush

from wfcore.model import Event
from wfcore.planner.requests import Request
from wfcore.planner.steps.decision import deadline


class Timers:
    """Requests with a deadline, the one that is due first at the front: by instant, then by branch (rule W10)."""

    def __init__(self) -> None:
        self._heap: list[tuple[datetime, tuple[int, ...], int, Request, datetime]] = []
        self._places: dict[str, int] = {}
        self._count = 0

    def add(self, request: Request) -> None:
        """Take a request; nothing is kept of one that is never due by itself."""
        record = request.record
        if record is None or (at := deadline(record)) is None:
            return
        self._count += 1
        self._places[request.key] = self._count
        instant = max(at, record.created_at)
        heappush(self._heap, (instant, request.branch.order, self._count, request, at))

    def discard(self, key: str) -> None:
        """Forget a request."""
        self._places.pop(key, None)

    def first(self) -> Request | None:
        """The one that is due first."""
        return self._heap[0][3] if self._settled() else None

    def deadline(self) -> datetime | None:
        """The first deadline."""
        return self._heap[0][4] if self._settled() else None

    def pop_due(self, now: datetime) -> Iterator[Request]:
        """Take out those that are due."""
        while (at := self.deadline()) is not None and at <= now:
            request = self._heap[0][3]
            self.discard(request.key)
            yield request

    def _settled(self) -> bool:
        """Whether any is left; those that were discarded are not in front then."""
        while self._heap and self._places.get(self._heap[0][3].key) != self._heap[0][2]:
            heappop(self._heap)
        return bool(self._heap)


class Waits:
    """Open waits, and the starts of at-most-once bodies that others have made."""

    def __init__(self) -> None:
        self.timers = Timers()
        self._held: dict[str, Request] = {}
        self._listening: dict[str, dict[str, Request]] = {}

    def add(self, request: Request) -> None:
        """Take a request that has a record."""
        self.timers.add(request)
        for type_ in request.record.event_types if request.record else ():
            self._listening.setdefault(type_, {})[request.key] = request

    def discard(self, request: Request) -> None:
        """Forget a request."""
        self.timers.discard(request.key)
        self._held.pop(request.key, None)
        for type_ in request.record.event_types if request.record else ():
            self._listening.get(type_, {}).pop(request.key, None)

    def hold(self, now: datetime) -> None:
        """Set those aside whose deadline has passed: something that came before is not decided yet."""
        self._held.update((request.key, request) for request in self.timers.pop_due(now))

    def release(self) -> None:
        """Take up those that were set aside."""
        held, self._held = self._held, {}
        for request in held.values():
            self.timers.add(request)

    def candidates(self, events: tuple[Event, ...]) -> Iterator[Request]:
        """Those of which one is due first, if any is: with the first deadline, or wanting one of these events."""
        if (first := self.timers.first()) is not None:
            yield first
        for type_ in {event.type: None for event in events}:
            yield from self._listening.get(type_, {}).values()
