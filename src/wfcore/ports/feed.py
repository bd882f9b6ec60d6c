"""The feed port: which hooks are due. Protocols only, no I/O.

The feed is the safety net; a queue beside it, or a notification, is only a hint.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol, runtime_checkable

import attrs

from wfcore.model import FiredHook


@attrs.frozen(kw_only=True)
class DueQuery:
    """Which due hooks a dispatcher wants.

    Attributes:
        limit: at most so many (>= 1).
        workflow_names: only hooks of these workflows; ``None``: of all.
        exclude: refs of instances to leave out.
        terminal_notices: whether notices of terminal transitions are wanted too (``wfcore.keys.is_terminal_notice``,
            decided by the hook's id alone); otherwise it is as if they were not there (rule O7).
    """

    limit: int = 100
    workflow_names: frozenset[str] | None = None
    exclude: frozenset[str] = frozenset()
    terminal_notices: bool = False


@runtime_checkable
class HookFeed(Protocol):
    """What a dispatcher asks. A store usually implements it too."""

    def due(self, query: DueQuery) -> Sequence[FiredHook]:
        """Hooks with ``due_at <= now`` by the store's clock, ordered by ``(due_at, id)``: for each instance its first.

        The first of those that the query admits: a notice that is not wanted stands before no other hook.

        Raises:
            StoreUnavailableError: transient failure.
            CorruptRecordError: a row cannot be read.
        """

    def next_due_at(self, query: DueQuery) -> datetime | None:
        """The earliest ``due_at`` of all hooks that the query admits, due or not; ``None`` if there is none.

        Raises:
            StoreUnavailableError: transient failure.
        """


@runtime_checkable
class AsyncHookFeed(Protocol):
    """A :class:`HookFeed` for asyncio."""

    async def due(self, query: DueQuery) -> Sequence[FiredHook]:
        """As :meth:`HookFeed.due`."""

    async def next_due_at(self, query: DueQuery) -> datetime | None:
        """As :meth:`HookFeed.next_due_at`."""
