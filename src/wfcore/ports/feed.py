"""The feed port: which hooks are due. Protocols only, no I/O.

The feed is the safety net; a queue beside it, or a notification, is only a hint.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Protocol, runtime_checkable

import attrs

from wfcore.keys import shard_of
from wfcore.model import FiredHook

_NEVER = datetime.max.replace(tzinfo=UTC)
_ALWAYS = datetime.min.replace(tzinfo=UTC)


@attrs.frozen
class Shard:
    """A part of all instances, for a dispatcher that shares a store with others (rule R4).

    An instance belongs to one shard, by its ref alone (``wfcore.keys.shard_of``). A shard takes the hooks of its own
    instances when they are due, and those of others when they are overdue by ``steal_after``: nobody is at work on
    them.

    Attributes:
        index: which part: 0 to ``count - 1``.
        count: how many parts there are, the same for all dispatchers of a store (>= 1).
        steal_after: by how much a hook of another shard must be overdue; ``timedelta.max``: it is never taken.

    Raises:
        TypeError, ValueError: an argument is out of its range.
    """

    index: int
    count: int
    steal_after: timedelta = timedelta(minutes=5)

    def __attrs_post_init__(self) -> None:
        if type(self.index) is not int or type(self.count) is not int:
            raise TypeError(f"Shard({self.index!r}, {self.count!r}): index and count must be integers")
        if not isinstance(self.steal_after, timedelta):
            raise TypeError(f"Shard(steal_after={self.steal_after!r}): must be a timedelta")
        if not 0 <= self.index < self.count:
            raise ValueError(f"Shard({self.index}, {self.count}): shards are numbered from 0 to count - 1")
        if self.steal_after <= timedelta(0):
            raise ValueError(f"Shard(steal_after={self.steal_after!r}): must be longer than zero")

    def owns(self, ref: str) -> bool:
        """Whether an instance belongs to this shard."""
        return shard_of(ref, self.count) == self.index

    def takes_at(self, ref: str, due_at: datetime) -> datetime:
        """From when on a dispatcher of this shard takes a hook of that instance."""
        if self.owns(ref):
            return due_at
        return due_at + self.steal_after if self.steal_after < _NEVER - due_at else _NEVER

    def steals_until(self, now: datetime) -> datetime:
        """Hooks of others with ``due_at`` up to here are taken at that time."""
        return now - self.steal_after if self.steal_after < now - _ALWAYS else _ALWAYS


@attrs.frozen(kw_only=True)
class DueQuery:
    """Which due hooks a dispatcher wants.

    Attributes:
        limit: at most so many (>= 1).
        workflow_names: only hooks of these workflows; ``None``: of all.
        exclude: refs of instances to leave out.
        terminal_notices: whether notices of terminal transitions are wanted too (``wfcore.keys.is_terminal_notice``,
            decided by the hook's id alone); otherwise it is as if they were not there (rule O7).
        shard: only hooks that it takes: of its own instances when they are due, of others once they are overdue by
            ``steal_after`` (rule R4); ``None``: of all instances when they are due.
    """

    limit: int = 100
    workflow_names: frozenset[str] | None = None
    exclude: frozenset[str] = frozenset()
    terminal_notices: bool = False
    shard: Shard | None = None


@runtime_checkable
class HookFeed(Protocol):
    """What a dispatcher asks. A store usually implements it too."""

    def due(self, query: DueQuery) -> Sequence[FiredHook]:
        """Hooks with ``due_at <= now`` by the store's clock, ordered by ``(due_at, id)``: for each instance its first.

        The first of those that the query admits: a notice that is not wanted stands before no other hook. With a shard
        in the query, a hook of another shard's is due at ``due_at + steal_after``; the order stays that of ``due_at``.

        Raises:
            StoreUnavailableError: transient failure.
            CorruptRecordError: a row cannot be read.
        """

    def next_due_at(self, query: DueQuery) -> datetime | None:
        """The earliest ``due_at`` of all hooks that the query admits, due or not; ``None`` if there is none.

        With a shard in the query: the earliest ``shard.takes_at(...)``, which is the earlier one of the first of its
        own and, later by ``steal_after``, the first of the others.

        Raises:
            StoreUnavailableError: transient failure.
        """


@runtime_checkable
class AsyncHookFeed(Protocol):
    """A :class:`HookFeed` for asyncio; each call may be cancelled, see :class:`wfcore.ports.AsyncStore`.

    A dispatcher that is cancelled leaves them.
    """

    async def due(self, query: DueQuery) -> Sequence[FiredHook]:
        """As :meth:`HookFeed.due`."""

    async def next_due_at(self, query: DueQuery) -> datetime | None:
        """As :meth:`HookFeed.next_due_at`."""
