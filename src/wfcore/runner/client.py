"""``Client``: creates instances and finds them. Every command is retrieve, plan, apply; nothing is kept in memory."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from datetime import timedelta
from typing import Any, Literal, TypeVar, final, overload

from wfcore.codec import JSON
from wfcore.errors import InstanceExistsError, UnknownWorkflowError
from wfcore.model import Instance, Snapshot
from wfcore.plan import Plan
from wfcore.planner import plan_create
from wfcore.ports import Codec, Store
from wfcore.runner.arguments import check_durations, check_parts
from wfcore.runner.commander import Commander
from wfcore.runner.handle import Handle
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
        check_parts(store, registry)
        check_durations(poll_interval=poll_interval)
        if poll_interval <= timedelta(0):
            raise ValueError("poll_interval must be longer than zero")
        self._commander = Commander(store, codec, runtime, poll_interval)
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
        on_conflict: Literal["raise", "return_existing"] = "raise",
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
        on_conflict: Literal["raise", "return_existing"] = "raise",
    ) -> Handle[R]: ...
    def create(
        self,
        workflow: Workflow[Any, R],
        params: Any = None,
        /,
        *,
        id: str | None = None,
        tags: Mapping[str, str] | None = None,
        on_conflict: Literal["raise", "return_existing"] = "raise",
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

        def plan(snapshot: Snapshot, execution_id: str) -> Plan:
            return plan_create(
                snapshot,
                workflow,
                params,
                instance_id=handle.id,
                execution_id=execution_id,
                tags=tags,
                codec=self._commander.codec,
            )

        try:
            self._commander.execute(handle.ref, "create", plan, _was_created)
        except InstanceExistsError:
            if on_conflict != "return_existing":
                raise
        return handle

    def create_many(
        self, workflow: Workflow[P, R], instances: Iterable[tuple[str, P]], /, *, tags: Mapping[str, str] | None = None
    ) -> list[Handle[R]]:
        """Create many instances of one workflow, each in a transaction of its own; ids that exist are skipped.

        Args:
            workflow: one of the registry's.
            instances: ``(id, params)`` pairs.
            tags: labels for all of them.

        Returns:
            The handles of those that were created.

        Raises:
            As :meth:`create`, but for ``InstanceExistsError``; instances before the one that failed are created.
        """
        created = []
        for instance_id, params in instances:
            try:
                created.append(self.create(workflow, params, id=instance_id, tags=tags))
            except InstanceExistsError:
                continue
        return created

    def handle(self, workflow: Workflow[Any, R], id: str, /) -> Handle[R]:
        """The handle of an instance; nothing is read.

        Raises:
            UnknownWorkflowError: the registry does not hold the workflow.
            StepNameError: the id cannot be used.
        """
        if not isinstance(workflow, Workflow):
            raise TypeError(
                f"{workflow!r} is no workflow; pass what @workflow(name=...) made, not its name or function"
            )
        if workflow not in self._registry:
            raise UnknownWorkflowError(workflow.name, tuple(sorted(self._registry.names)))
        return Handle(self._commander, workflow, id)

    def get(self, ref: str) -> Instance:
        """The row of an instance by its ref (``workflow#id``).

        Raises:
            InstanceNotFoundError: there is no such instance.
        """
        return self._commander.instance(ref)


def _was_created(snapshot: Snapshot, execution_ids: Container[str]) -> bool:
    return snapshot.instance is not None and snapshot.instance.created_by in execution_ids
