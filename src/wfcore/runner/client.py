"""``Client``: creates instances and finds them. Every command is retrieve, plan, apply; nothing is kept in memory."""

from __future__ import annotations

import builtins
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, TypeVar, final, overload

from wfcore.codec import JSON
from wfcore.model import TERMINAL, Instance, InstanceStatus
from wfcore.plan import Applied, Conflict, Plan
from wfcore.ports import Codec, InstanceQuery, Page, Store
from wfcore.runner.arguments import check_client, check_statuses, check_store
from wfcore.runner.bulk import create_many
from wfcore.runner.commander import Commander
from wfcore.runner.doors import BlockingDoors, at_once
from wfcore.runner.handle import Handle
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
class Client:
    """Creates workflow instances and hands out handles.

    Args:
        store: where instances live; a bound store (``store.within(connection)``) makes the client's commands part of
            the caller's own transaction.
        registry: the workflows that may be created.
        codec: how values become payloads; the same as the dispatcher's.
        poll_interval: how often ``result(timeout=...)`` looks whether another process has ended the instance.
        runtime: ids and pauses.
    """

    __slots__ = ("_commander", "_registry")

    def __init__(
        self,
        store: Store,
        registry: Registry,
        *,
        codec: Codec = JSON,
        poll_interval: timedelta = timedelta(milliseconds=250),
        runtime: Runtime = REAL,
    ) -> None:
        check_store(store)
        check_client(registry, poll_interval)
        self._commander = Commander(BlockingDoors(store, runtime), codec, poll_interval)
        self._registry = registry
        registry.check_types(codec)

    @overload
    def create(
        self,
        workflow: Workflow[None, R],
        /,
        *,
        id: str | None = None,
        tags: Mapping[str, str] | None = None,
        on_conflict: OnConflict = "raise",
    ) -> Handle[R]: ...
    @overload
    def create(
        self,
        workflow: Workflow[P, R],
        params: P,
        /,
        *,
        id: str | None = None,
        tags: Mapping[str, str] | None = None,
        on_conflict: OnConflict = "raise",
    ) -> Handle[R]: ...
    def create(
        self,
        workflow: Workflow[Any, R],
        params: Any = None,
        /,
        *,
        id: str | None = None,
        tags: Mapping[str, str] | None = None,
        on_conflict: OnConflict = "raise",
    ) -> Handle[R]:
        """Create an instance, durably; a dispatcher will run it (rule M1).

        Args:
            workflow: one of the registry's.
            params: checked against the workflow's type before anything is stored.
            id: unique within the workflow; left out: a new one.
            tags: labels of your own.
            on_conflict: what to do if the id exists: raise, or return the handle of the instance that is there.

        Raises:
            InstanceExistsError: the id exists.
            UnknownWorkflowError: the registry does not hold the workflow.
            CodecError: the params do not fit.
            StepNameError: the id cannot be used.
            ContentionError, StoreUnavailableError: it is not known to exist; create it again by that id.
        """
        handle = self.handle(workflow, self._commander.runtime.new_id() if id is None else id)
        at_once(create(self._commander, handle, params, tags=tags, on_conflict=on_conflict))
        return handle

    def create_many(
        self, workflow: Workflow[P, R], instances: Iterable[tuple[str, P]], /, *, tags: Mapping[str, str] | None = None
    ) -> builtins.list[Handle[R]]:
        """Create many instances of one workflow, each by itself or not at all; ids that exist are skipped.

        A store that takes many plans at once (``BatchStore``, as those of wfcore are) commits a hundred of them in the
        time of one; others, and bound stores, are given one after the other.

        Args:
            workflow: one of the registry's.
            instances: ``(id, params)`` pairs; a generator is asked for more as it goes.
            tags: labels for all of them.

        Returns:
            The handles of those that were created.

        Raises:
            As :meth:`create`, but for ``InstanceExistsError``; instances before the one that failed are created.
        """
        made = ((self.handle(workflow, instance_id), params) for instance_id, params in instances)
        return at_once(create_many(self._commander, made, tags=tags))

    @overload
    def restart_or_create(
        self,
        workflow: Workflow[None, R],
        /,
        *,
        id: str,
        when: Collection[InstanceStatus] = TERMINAL,
        tags: Mapping[str, str] | None = None,
    ) -> tuple[Handle[R], Ensured]: ...
    @overload
    def restart_or_create(
        self,
        workflow: Workflow[P, R],
        params: P,
        /,
        *,
        id: str,
        when: Collection[InstanceStatus] = TERMINAL,
        tags: Mapping[str, str] | None = None,
    ) -> tuple[Handle[R], Ensured]: ...
    def restart_or_create(
        self,
        workflow: Workflow[Any, R],
        params: Any = None,
        /,
        *,
        id: str,
        when: Collection[InstanceStatus] = TERMINAL,
        tags: Mapping[str, str] | None = None,
    ) -> tuple[Handle[R], Ensured]:
        """Create an instance, or begin a new run of the one that is there, or leave it alone (rule M8).

        Args:
            workflow: one of the registry's.
            params: of the new run, checked against the workflow's type before anything is stored.
            id: unique within the workflow.
            when: the statuses in which the instance is restarted: those of one that has ended by default.
            tags: labels of an instance that is created; one that is restarted keeps its own.

        Returns:
            The instance's handle, and what happened: ``"created"``, ``"restarted"`` or ``"unchanged"``.

        Raises:
            UnknownWorkflowError: the registry does not hold the workflow.
            CodecError: the params do not fit.
            StepNameError: the id cannot be used.
            ContentionError: it lost against other writers too often, or it is not known whether it took effect.
        """
        check_statuses(when)
        handle = self.handle(workflow, id)
        return handle, at_once(restart_or_create(self._commander, handle, params, when=when, tags=tags))

    def handle(self, workflow: Workflow[Any, R], id: str, /) -> Handle[R]:
        """The handle of an instance; nothing is read.

        Raises:
            UnknownWorkflowError: the registry does not hold the workflow.
            StepNameError: the id cannot be used.
        """
        check_known(workflow, self._registry)
        return Handle(self._commander, workflow, id)

    def get(self, ref: str) -> Instance:
        """The row of an instance by its ref (``workflow#id``).

        Raises:
            InstanceNotFoundError: there is no such instance.
        """
        return at_once(self._commander.instance(ref))

    def list(self, query: InstanceQuery = EVERYTHING, /) -> Page[Instance]:
        """One page of the instances that the query admits, newest first (rule M9).

        Args:
            query: filters, and how many a page holds; left out: all instances. ``query.after(page)`` is the query for
                the next page.

        Raises:
            MissingCapabilityError: the store has no catalog.
        """
        return at_once(self._commander.doors.catalog("list()").list_instances(query))

    def count_by_status(self, query: InstanceQuery = EVERYTHING, /) -> Mapping[InstanceStatus, int]:
        """How many instances the query admits, for each status (rule M9); limit and cursor do not count.

        Raises:
            MissingCapabilityError: the store has no catalog.
        """
        return at_once(self._commander.doors.catalog("count_by_status()").count_by_status(query))

    def audit(self, *, limit: int = 100) -> tuple[AuditFinding, ...]:
        """The instances that would never go on by themselves: those that break rule O5 (rule R7).

        None, unless a store has lost rows or somebody has changed them. It reads all of a store that holds many.

        Args:
            limit: how many it finds at most, in the order of their refs.

        Raises:
            MissingCapabilityError: the store has no catalog.
        """
        return at_once(audit(self._commander, limit))

    def apply(self, plan: Plan, /) -> Applied | Conflict:
        """Apply a plan that was looked at, such as ``handle.preview.terminate()``, exactly as it is.

        Args:
            plan: the plan; it may have been stored as text meanwhile (``export_plan``).

        Returns:
            ``Applied``; or ``Conflict`` if the instance has moved on since the plan was made: nothing was written, ask
            for a new plan. A plan that was applied already is such a conflict too, with its own ``execution_id``.

        Raises:
            ContentionError: the store's answer was lost, and it is not known whether the plan took effect (rule M12).
            StoreUnavailableError: the store failed again and again; nothing was written.
        """
        return at_once(self._commander.apply(plan))

    def adopt_bare_keys(self, handle: Handle[Any], /) -> tuple[tuple[str, str], ...]:
        """Give the records of an older engine the keys of this one (rule K5); ``handle.preview`` shows the plan.

        Returns:
            The old and the new key of each record.

        Raises:
            InstanceNotFoundError: there is no such instance.
            StepNameError: a name cannot be used in a key.
            ContentionError: it lost against other writers too often.
        """
        return at_once(adopt_bare_keys(self._commander, handle.ref))

    def purge(self, query: InstanceQuery = EVERYTHING, /, *, ended_before: datetime) -> int:
        """Delete the instances that have ended before an instant, with all their rows, one by one (rule M11).

        One that was restarted meanwhile, or whose end was not announced yet, is left alone. If the store fails, those
        before are deleted; purge again.

        Args:
            query: filters, such as ``InstanceQuery(workflow_names="order")``; left out: all instances. What has not
                ended is never among them.
            ended_before: an instant, such as a month ago.

        Returns:
            How many were deleted.

        Raises:
            MissingCapabilityError: the store has no catalog.
            ContentionError, StoreUnavailableError: as any command; those before are deleted.
        """
        return at_once(purge(self._commander, query, ended_before))
