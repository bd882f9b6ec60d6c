"""What clients and handles of either colour ask for, one coroutine each."""

from __future__ import annotations

from collections.abc import Container, Mapping
from datetime import timedelta
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from wfcore.errors import (
    InstanceExistsError,
    InstanceFailedError,
    InstanceNotFoundError,
    InstanceTerminatedError,
    NotFinishedError,
    UnknownWorkflowError,
)
from wfcore.explain import Explanation, explain
from wfcore.failure import Failure
from wfcore.keys import build_ref
from wfcore.model import TERMINAL, InstanceStatus
from wfcore.outcome import BareKeysAdopted, Created, Restarted
from wfcore.runner.arguments import check_durations
from wfcore.runner.commander import Commander
from wfcore.runner.orders import (
    Order,
    adopting,
    creating,
    pausing,
    restarting,
    restarting_or_creating,
    sending,
    terminating,
)
from wfcore.workflow import EventType, Registry, Workflow

R_co = TypeVar("R_co", covariant=True)
OnConflict: TypeAlias = Literal["raise", "return_existing"]
Ensured: TypeAlias = Literal["created", "restarted", "unchanged"]
"""What became of an instance that was to be restarted or created."""


class Address(Generic[R_co]):
    """What a handle is, before anything is asked through it.

    Attributes:
        workflow: the instance's workflow.
        id: its id within the workflow.
        ref: its identity in the store.
    """

    __slots__ = ("_commander", "id", "ref", "workflow")

    def __init__(self, commander: Commander, workflow: Workflow[Any, R_co], id: str) -> None:
        self._commander = commander
        self.workflow = workflow
        self.id = id
        self.ref = build_ref(workflow.name, id)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.ref!r})"

    # -- the commands that need more than the ref

    def _sending(self, event: EventType[Any] | str, payload: object, id: str | None) -> Order:
        event_id = self._commander.runtime.new_id() if id is None else id
        return sending(self.ref, self.workflow, event, payload, id=event_id, codec=self._commander.codec)

    def _pausing(self) -> Order:
        return pausing(self.ref, request_id=self._commander.runtime.new_id())

    def _terminating(self) -> Order:
        return terminating(self.ref, notify=self.workflow.notify)

    def _restarting(self, params: object, *, keep_keys: bool) -> Order:
        return restarting(self.ref, self.workflow, params, keep_keys=keep_keys, codec=self._commander.codec)


def check_known(workflow: object, registry: Registry) -> None:
    """Refuse what is no workflow of the registry's. Raises ``TypeError``, ``UnknownWorkflowError``."""
    if not isinstance(workflow, Workflow):
        raise TypeError(f"{workflow!r} is no workflow; pass what @workflow(name=...) made, not its name or function")
    if workflow not in registry:
        raise UnknownWorkflowError(workflow.name, tuple(sorted(registry.names)))


async def create(
    commander: Commander,
    address: Address[Any],
    params: object,
    *,
    tags: Mapping[str, str] | None,
    on_conflict: OnConflict,
) -> None:
    """Create an instance (rule M1)."""
    order = creating(address.workflow, address.id, params, tags=tags, codec=commander.codec)
    try:
        await commander.execute(order)
    except InstanceExistsError:
        if on_conflict != "return_existing":
            raise


async def restart_or_create(
    commander: Commander,
    address: Address[Any],
    params: object,
    *,
    when: Container[InstanceStatus],
    tags: Mapping[str, str] | None,
) -> Ensured:
    """Create an instance, or restart it, or leave it alone (rule M8); what happened."""
    plan = await commander.execute(
        restarting_or_creating(address.workflow, address.id, params, when=when, tags=tags, codec=commander.codec)
    )
    match plan.outcome:
        case Created():
            return "created"
        case Restarted():
            return "restarted"
        case _:
            return "unchanged"


async def adopt_bare_keys(commander: Commander, ref: str) -> tuple[tuple[str, str], ...]:
    """Adopt the keys of an older engine (rule K5); each as ``(old, new)``."""
    outcome = (await commander.execute(adopting(ref))).outcome
    return outcome.keys if isinstance(outcome, BareKeysAdopted) else ()


async def explanation(commander: Commander, ref: str) -> Explanation:
    """What an instance is waiting for (rule M10)."""
    snapshot = await commander.doors.retrieve(ref)
    if snapshot.instance is None:
        raise InstanceNotFoundError(ref)
    return explain(snapshot, codec=commander.codec)


async def result(commander: Commander, address: Address[R_co], within: timedelta | None) -> R_co:
    """What a workflow returned, within a time (rule M9)."""
    if within is not None:
        check_durations(timeout=within)
    instance = await commander.wait(address.ref, lambda found: found.status in TERMINAL, within)
    match instance.status:
        case "complete":
            codec = address.workflow.local_codec(commander.codec)
            value: R_co = codec.decode(instance.output or "", address.workflow.result_type)
            return value
        case "errored":
            raise InstanceFailedError(address.ref, instance.failure or Failure(type="?", message="no failure recorded"))
        case "terminated":
            raise InstanceTerminatedError(address.ref)
        case _:
            raise NotFinishedError(address.ref, instance.status, within)
