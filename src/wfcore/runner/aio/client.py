"""``AsyncClient``: a client whose methods are awaited."""

from __future__ import annotations

import builtins
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar, final, overload

from wfcore.codec import JSON
from wfcore.model import TERMINAL, Instance, InstanceStatus
from wfcore.plan import Applied, Conflict, Plan
from wfcore.ports import AsyncStore, Codec, InstanceQuery, Page
from wfcore.runner.aio.doors import AsyncDoors
from wfcore.runner.aio.handle import AsyncHandle
from wfcore.runner.arguments import check_client, check_statuses, check_store
from wfcore.runner.bulk import create_many
from wfcore.runner.commander import Commander
from wfcore.runner.purge import purge
from wfcore.runner.reading import EVERYTHING, AuditFinding, audit
from wfcore.runner.requests import (
    Ensured,
    OnConflict,
    adopt_bare_keys,
    check_known,
    create,
    restart_or_create,
)
from wfcore.runner.runtime import REAL, Runtime
from wfcore.workflow import Registry, Workflow

P = TypeVar("P")
R = TypeVar("R")


@final
class AsyncClient:
    """Creates workflow instances and hands out handles. As :class:`wfcore.Client`, to be awaited.

    Args:
        store: where instances live; ``to_async(store)`` for one that blocks.
        registry: the workflows that may be created.
        codec: how values become payloads; the same as the dispatcher's.
        poll_interval: how often ``result(timeout=...)`` looks whether another process has ended the instance.
        runtime: ids and pauses.
    """

    __slots__ = ("_commander", "_registry")

    def __init__(
        self,
        store: AsyncStore,
        registry: Registry,
        *,
        codec: Codec = JSON,
        poll_interval: timedelta = timedelta(milliseconds=250),
        runtime: Runtime = REAL,
    ) -> None:
        check_store(store, awaited=True)
        check_client(registry, poll_interval)
        self._commander = Commander(AsyncDoors(store, runtime), codec, poll_interval)
        self._registry = registry
        registry.check_types(codec)

    @overload
    async def create(
        self,
        workflow: Workflow[None, R],
        /,
        *,
        id: str | None = None,
        tags: Mapping[str, str] | None = None,
        on_conflict: OnConflict = "raise",
    ) -> AsyncHandle[R]: ...
    @overload
    async def create(
        self,
        workflow: Workflow[P, R],
        params: P,
        /,
        *,
        id: str | None = None,
        tags: Mapping[str, str] | None = None,
        on_conflict: OnConflict = "raise",
    ) -> AsyncHandle[R]: ...
    async def create(
        self,
        workflow: Workflow[Any, R],
        params: Any = None,
        /,
        *,
        id: str | None = None,
        tags: Mapping[str, str] | None = None,
        on_conflict: OnConflict = "raise",
    ) -> AsyncHandle[R]:
        """Create an instance, durably; a dispatcher will run it (rule M1).

        Arguments and errors are those of :meth:`wfcore.Client.create`. A task that is cancelled while the instance is
        stored may have created it: with an ``id`` of your own you can find out.
        """
        handle = self.handle(workflow, self._commander.runtime.new_id() if id is None else id)
        await create(self._commander, handle, params, tags=tags, on_conflict=on_conflict)
        return handle

    async def create_many(
        self, workflow: Workflow[P, R], instances: Iterable[tuple[str, P]], /, *, tags: Mapping[str, str] | None = None
    ) -> builtins.list[AsyncHandle[R]]:
        """Create many instances of one workflow, many of them in one go; as :meth:`wfcore.Client.create_many`."""
        made = ((self.handle(workflow, instance_id), params) for instance_id, params in instances)
        return await create_many(self._commander, made, tags=tags)

    @overload
    async def restart_or_create(
        self,
        workflow: Workflow[None, R],
        /,
        *,
        id: str,
        when: Collection[InstanceStatus] = TERMINAL,
        tags: Mapping[str, str] | None = None,
    ) -> tuple[AsyncHandle[R], Ensured]: ...
    @overload
    async def restart_or_create(
        self,
        workflow: Workflow[P, R],
        params: P,
        /,
        *,
        id: str,
        when: Collection[InstanceStatus] = TERMINAL,
        tags: Mapping[str, str] | None = None,
    ) -> tuple[AsyncHandle[R], Ensured]: ...
    async def restart_or_create(
        self,
        workflow: Workflow[Any, R],
        params: Any = None,
        /,
        *,
        id: str,
        when: Collection[InstanceStatus] = TERMINAL,
        tags: Mapping[str, str] | None = None,
    ) -> tuple[AsyncHandle[R], Ensured]:
        """Create an instance, or begin a new run of it (rule M8); as :meth:`wfcore.Client.restart_or_create`."""
        check_statuses(when)
        handle = self.handle(workflow, id)
        return handle, await restart_or_create(self._commander, handle, params, when=when, tags=tags)

    def handle(self, workflow: Workflow[Any, R], id: str, /) -> AsyncHandle[R]:
        """The handle of an instance; nothing is read, so nothing is awaited.

        Raises:
            UnknownWorkflowError: the registry does not hold the workflow.
            StepNameError: the id cannot be used.
        """
        check_known(workflow, self._registry)
        return AsyncHandle(self._commander, workflow, id)

    async def get(self, ref: str) -> Instance:
        """The row of an instance by its ref (``workflow#id``); raises as :meth:`wfcore.Client.get`."""
        return await self._commander.instance(ref)

    async def list(self, query: InstanceQuery = EVERYTHING, /) -> Page[Instance]:
        """One page of the instances that the query admits, newest first; as :meth:`wfcore.Client.list`."""
        return await self._commander.doors.catalog("list()").list_instances(query)

    async def count_by_status(self, query: InstanceQuery = EVERYTHING, /) -> Mapping[InstanceStatus, int]:
        """How many instances the query admits, for each status; as :meth:`wfcore.Client.count_by_status`."""
        return await self._commander.doors.catalog("count_by_status()").count_by_status(query)

    async def audit(self, *, limit: int = 100) -> tuple[AuditFinding, ...]:
        """The instances that would never go on by themselves; as :meth:`wfcore.Client.audit`."""
        return await audit(self._commander, limit)

    async def apply(self, plan: Plan, /) -> Applied | Conflict:
        """Apply a plan that was looked at, exactly as it is; as :meth:`wfcore.Client.apply`."""
        return await self._commander.apply(plan)

    async def adopt_bare_keys(self, handle: AsyncHandle[Any], /) -> tuple[tuple[str, str], ...]:
        """Adopt the keys of an older engine (rule K5); as :meth:`wfcore.Client.adopt_bare_keys`."""
        return await adopt_bare_keys(self._commander, handle.ref)

    async def purge(self, query: InstanceQuery = EVERYTHING, /, *, ended_before: datetime) -> int:
        """Delete the instances that have ended before an instant (rule M11); as :meth:`wfcore.Client.purge`."""
        return await purge(self._commander, query, ended_before)
