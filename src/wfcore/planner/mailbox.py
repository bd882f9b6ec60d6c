"""The events that a tick may take: in order of arrival, each for one wait (rules W4, W5, W9). Pure: no I/O."""

from __future__ import annotations

from datetime import datetime

from wfcore.model import Event
from wfcore.plan import PutEvent
from wfcore.planner.changes import consumed


class Mailbox:
    """Pending user events of one instance.

    Args:
        events: all that are pending, in order of arrival.

    Attributes:
        pending: those that no wait has taken.
        offered: those that a wait may take now.
        taken: the mutations that consume those that were taken since the last plan.
    """

    def __init__(self, events: tuple[Event, ...]) -> None:
        self.pending = tuple(event for event in events if event.actor == "user")
        self._reserved: frozenset[str] = frozenset()
        self.offered = self.pending
        self.taken: list[PutEvent] = []

    def reserve(self, event: Event) -> None:
        """Offer it to nobody: a body decides whether it is taken."""
        self._offer(self.pending, self._reserved | {event.id})

    def release(self, event: Event) -> None:
        """Offer a reserved event again, in its place."""
        self._offer(self.pending, self._reserved - {event.id})

    def consume(self, event: Event, step_key: str, run_number: int, now: datetime) -> None:
        """A wait takes it."""
        self._offer(tuple(each for each in self.pending if each.id != event.id), self._reserved - {event.id})
        self.taken.append(consumed(event, step_key, run_number, now))

    def _offer(self, pending: tuple[Event, ...], reserved: frozenset[str]) -> None:
        self.pending, self._reserved = pending, reserved
        self.offered = tuple(each for each in pending if each.id not in reserved)
