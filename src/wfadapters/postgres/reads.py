"""What stores are asked, each by a question of its own; blocking, and for asyncio. Who waits is the stores' part."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from wfadapters.postgres import catalog
from wfadapters.postgres.question import Question
from wfadapters.postgres.settings import Settings
from wfadapters.postgres.statements import Statements
from wfcore.model import FiredHook, Instance, InstanceStatus, Snapshot
from wfcore.ports import DueQuery, History, InstanceQuery, Page

T = TypeVar("T")


class Reads(ABC):
    """A store but for its writing."""

    _settings: Settings
    _statements: Statements

    @abstractmethod
    def _ask(self, operation: str, question: Question[T]) -> T: ...

    def retrieve(self, ref: str) -> Snapshot:
        """All rows of one instance; see :class:`wfcore.ports.Store`."""
        return self._ask("retrieve", self._statements.retrieve(ref))

    def due(self, query: DueQuery) -> Sequence[FiredHook]:
        """The hooks that are due; see :class:`wfcore.ports.HookFeed`."""
        return self._ask("due", self._statements.due(query))

    def next_due_at(self, query: DueQuery) -> datetime | None:
        """When the next hook is due; see :class:`wfcore.ports.HookFeed`."""
        return self._ask("next_due_at", self._statements.next_due_at(query))

    def list_instances(self, query: InstanceQuery) -> Page[Instance]:
        """One page of instances; see :class:`wfcore.ports.Catalog`."""
        return self._ask("list_instances", catalog.list_instances(self._settings.schema, query))

    def count_by_status(self, query: InstanceQuery) -> Mapping[InstanceStatus, int]:
        """How many instances there are; see :class:`wfcore.ports.Catalog`."""
        return self._ask("count_by_status", catalog.count_by_status(self._settings.schema, query))

    def history(self, ref: str, run_number: int | None = None) -> History:
        """What is recorded of a run; see :class:`wfcore.ports.Catalog`."""
        return self._ask("history", catalog.history(self._settings.schema, ref, run_number))

    def suspects(self, limit: int, after: str | None = None) -> Sequence[Instance]:
        """Candidates for an audit; see :class:`wfcore.ports.Catalog`."""
        return self._ask("suspects", catalog.suspects(self._settings.schema, limit, after))


class AsyncReads(ABC):
    """The same for asyncio."""

    _settings: Settings
    _statements: Statements

    @abstractmethod
    async def _ask(self, operation: str, question: Question[T]) -> T: ...

    async def retrieve(self, ref: str) -> Snapshot:
        """All rows of one instance; see :class:`wfcore.ports.Store`."""
        return await self._ask("retrieve", self._statements.retrieve(ref))

    async def due(self, query: DueQuery) -> Sequence[FiredHook]:
        """The hooks that are due; see :class:`wfcore.ports.HookFeed`."""
        return await self._ask("due", self._statements.due(query))

    async def next_due_at(self, query: DueQuery) -> datetime | None:
        """When the next hook is due; see :class:`wfcore.ports.HookFeed`."""
        return await self._ask("next_due_at", self._statements.next_due_at(query))

    async def list_instances(self, query: InstanceQuery) -> Page[Instance]:
        """One page of instances; see :class:`wfcore.ports.Catalog`."""
        return await self._ask("list_instances", catalog.list_instances(self._settings.schema, query))

    async def count_by_status(self, query: InstanceQuery) -> Mapping[InstanceStatus, int]:
        """How many instances there are; see :class:`wfcore.ports.Catalog`."""
        return await self._ask("count_by_status", catalog.count_by_status(self._settings.schema, query))

    async def history(self, ref: str, run_number: int | None = None) -> History:
        """What is recorded of a run; see :class:`wfcore.ports.Catalog`."""
        return await self._ask("history", catalog.history(self._settings.schema, ref, run_number))

    async def suspects(self, limit: int, after: str | None = None) -> Sequence[Instance]:
        """Candidates for an audit; see :class:`wfcore.ports.Catalog`."""
        return await self._ask("suspects", catalog.suspects(self._settings.schema, limit, after))
