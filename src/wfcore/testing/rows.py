"""What a test says of stored rows; what it does not say is filled in later. Values only: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, TypedDict, Unpack, final

import attrs

from wfcore.failure import Failure
from wfcore.keys import StepKey, pause_request_id
from wfcore.model import PAUSE_REQUEST, Actor, InstanceStatus, Payload, StepKind, StepStatus
from wfcore.workflow import EventType

# ---- what may be said of a row, by field


class StepFields(TypedDict, total=False):
    """Fields of a step's record that a test may set; see :class:`wfcore.StepRecord`."""

    attempts: int
    max_attempts: int | None
    sequence: int | None
    next_retry_at: datetime | None
    wake_at: datetime | None
    event_types: tuple[str, ...]
    event_id: str | None
    created_at: datetime
    settled_at: datetime | None
    execution_id: str


class InstanceFields(TypedDict, total=False):
    """Fields of an instance that a test may set; see :class:`wfcore.Instance`. Values are encoded, errors described."""

    id: str
    status: InstanceStatus
    run_number: int
    key_run: int
    version: int
    output: Any
    failure: Exception | Failure
    tags: Mapping[str, str]
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    execution_id: str
    created_by: str


@final
@attrs.frozen
class Stored:
    """A payload as it is stored."""

    payload: Payload


def stored(payload: Payload) -> Stored:
    """A payload as it is stored, such as an older version of the code has left it; it is not checked.

    Args:
        payload: JSON text.
    """
    return Stored(payload)


# ---- events


@final
@attrs.frozen
class GivenEvent:
    """An event in the mailbox, or one that a wait has taken. Made by :func:`event`.

    Attributes:
        type: of the event.
        payload: a value, or ``Stored`` text.
        id: ``None``: ``e1``, ``e2``, ... by place.
        at: when it was sent, ``None``: when the test begins.
        actor: ``system`` for requests of commands.
    """

    type: EventType[Any] | str
    payload: Any = None
    id: str | None = None
    at: datetime | None = None
    actor: Actor = "user"


def event(
    type: EventType[Any] | str, payload: Any = None, *, id: str | None = None, at: datetime | None = None
) -> GivenEvent:
    """An event that was sent, and that nobody has taken yet; or, in :func:`completed`, the one that a wait has taken.

    Args:
        type: of the event.
        payload: encoded by its type.
        id: left out: ``e1``, ``e2``, ... by its place in the list.
        at: when it was sent; left out: the instant at which the test begins.
    """
    return GivenEvent(type, payload, id, at)


def pause_request(id: str = "1") -> GivenEvent:
    """A request to pause that no tick has seen yet (rule M3); ``pause()`` is the command."""
    return GivenEvent(PAUSE_REQUEST, None, pause_request_id(id), actor="system")


# ---- steps


@final
@attrs.frozen
class GivenStep:
    """A step's record. Made by :func:`completed` and its neighbours.

    Attributes:
        key: the step's key.
        status: of the record.
        result: a value, ``Stored`` text, or the :class:`GivenEvent` that a wait has taken.
        failure: why it failed, or failed last.
        timed_out: whether it is a wait that failed because its deadline has passed.
        fields: what else was said.
    """

    key: str
    status: StepStatus
    result: Any = None
    failure: Failure | Exception | None = None
    timed_out: bool = False
    fields: StepFields = attrs.field(factory=StepFields)

    @property
    def kind(self) -> StepKind:
        """What kind of step it is."""
        kind: Any = StepKey.parse(self.key).path[-1].kind
        return kind  # type: ignore[no-any-return] # the last segment of a key is a step


def completed(key: str, result: Any = None, /, **fields: Unpack[StepFields]) -> GivenStep:
    """A step that has given a result.

    Args:
        key: of the step: ``do:charge``, ``sleep:settle``, ``gather:fulfil[0]>do:ship``.
        result: of a ``do``, encoded by the type that the workflow's code gives it; the ``event(...)`` that a
            ``wait_for_event`` has taken; the list of items of a ``map`` without ``key``.
        fields: of the record; left out: settled when the test begins, in the order of the list, at the first attempt.
    """
    if isinstance(result, GivenEvent):
        return GivenStep(key, "completed", result, fields={"event_types": (type_name(result.type),), **fields})
    return GivenStep(key, "completed", result, fields=fields)


def errored(key: str, failure: Exception | Failure, /, **fields: Unpack[StepFields]) -> GivenStep:
    """A step that has failed for good.

    Args:
        key: of the step.
        failure: what its last attempt has raised.
        fields: as for :func:`completed`.
    """
    return GivenStep(key, "errored", failure=failure, fields=fields)


def timed_out(key: str, /, *types: EventType[Any] | str, until: datetime, **fields: Unpack[StepFields]) -> GivenStep:
    """A ``wait_for_event`` whose deadline has passed (rule W7).

    Args:
        key: of the step.
        types: of the events that it waited for.
        until: its deadline.
        fields: as for :func:`completed`.
    """
    said: StepFields = {"event_types": tuple(map(type_name, types)), "wake_at": until, **fields}
    return GivenStep(key, "errored", timed_out=True, fields=said)


def waiting(
    key: str,
    /,
    *types: EventType[Any] | str,
    until: datetime | None = None,
    failure: Exception | Failure | None = None,
    **fields: Unpack[StepFields],
) -> GivenStep:
    """A step that has not settled.

    Args:
        key: of the step.
        types: of the events that a ``wait_for_event`` waits for.
        until: the end of a sleep; the deadline of a ``wait_for_event``, left out: none; when a failed ``do`` is tried
            again.
        failure: what the last attempt of a ``do`` has raised.
        fields: of the record; left out: first reached when the test begins, after one attempt of a ``do``.
    """
    step = GivenStep(key, "waiting", failure=failure, fields=fields)
    if until is None and step.kind != "wait_for_event":
        raise ValueError(f"waiting({key!r}): say until when: until=")
    if not types and step.kind == "wait_for_event" and "event_types" not in fields:
        raise ValueError(f"waiting({key!r}): say for which events: waiting({key!r}, Approved)")
    said: StepFields = {"next_retry_at": until} if step.kind == "do" else {"wake_at": until}
    if types:
        said["event_types"] = tuple(map(type_name, types))
    return attrs.evolve(step, fields={**said, **fields})


def started(key: str, /, *, until: datetime, **fields: Unpack[StepFields]) -> GivenStep:
    """A ``do`` whose attempt was committed before its body ran, and that has left no result (rule S13).

    Args:
        key: of the step.
        until: when the attempt counts as failed.
        fields: of the record; ``execution_id`` is ``"before"`` unless said: ``.when(..., mine=["before"])`` is a tick
            of the runner that has started it.
    """
    return GivenStep(key, "started", fields={"wake_at": until, **fields})


def cancelled(key: str, /, **fields: Unpack[StepFields]) -> GivenStep:
    """A step that nobody waits for any more (rules P4, P5).

    Args:
        key: of the step.
        fields: of the record.
    """
    return GivenStep(key, "cancelled", fields=fields)


def type_name(type: EventType[Any] | str) -> str:
    """The name of an event type."""
    return type if isinstance(type, str) else type.name


# ---- hooks


@final
@attrs.frozen
class GivenHook:
    """A wake-up (hook): a stored one, or the one that fires. Made by :func:`timer`, :func:`message`, :func:`hook`.

    Attributes:
        name: what its id ends in, after the instance's ref.
        due_at: ``None``: as it is stored; else when the test begins.
        run: the run that it is for; ``None``: any; ``current``: as it is stored, else the current one.
        attempts: how often it was put off.
        last_error: why.
    """

    name: str
    due_at: datetime | None = None
    run: int | Literal["current"] | None = None
    attempts: int = 0
    last_error: str | None = None


def timer(
    due_at: datetime | None = None, *, run: int | None = None, attempts: int = 0, last_error: str | None = None
) -> GivenHook:
    """The instance's timer.

    Args:
        due_at: when it is due; left out: as it is stored, else when the test begins.
        run: of another run than the current one.
        attempts: how often it was put off.
        last_error: why.
    """
    return GivenHook("timer", due_at, "current" if run is None else run, attempts, last_error)


def message(event_id: str = "e1", *, due_at: datetime | None = None) -> GivenHook:
    """The wake-up that announces an event.

    Args:
        event_id: of the event.
        due_at: when it is due; left out: when the test begins.
    """
    return GivenHook(f"msg:{event_id}", due_at)


def hook(name: str, due_at: datetime | None = None, *, run: int | None = None) -> GivenHook:
    """Any other wake-up.

    Args:
        name: what its id ends in: ``start``, ``terminal:7``.
        due_at: when it is due; left out: when the test begins.
        run: the run that it is for; ``None``: any.
    """
    return GivenHook(name, due_at, run)
