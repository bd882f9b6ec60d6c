"""Workflows, event types and registries as values; no I/O, and no registry but the one that is passed.

The decorator that makes a :class:`Workflow` of a function is in ``wfcore.define``: it needs the step handles, and
those need the values of this module.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Generic, Literal, TypeAlias, TypeVar, final, overload

import attrs
from typing_extensions import TypeForm

from wfcore.errors import CodecError, UnknownEventTypeError, UnknownWorkflowError, WorkflowDefinitionError
from wfcore.keys import check_id
from wfcore.model import Payload
from wfcore.ports import Codec

P = TypeVar("P")
R = TypeVar("R")
E = TypeVar("E")
E_co = TypeVar("E_co", covariant=True)
P_contra = TypeVar("P_contra", contravariant=True)
R_co = TypeVar("R_co", covariant=True)

Checkpoint: TypeAlias = Literal["step", "tick"]


@final
class EventType(Generic[E]):
    """A type of event: one value that sender and receiver share (rule W11).

    Args:
        name: the type's name, as it is stored.
        payload: the payload's type; left out: events of this type carry ``None``.
    """

    __slots__ = ("name", "payload_type")
    name: str
    payload_type: Any

    @overload
    def __init__(self: EventType[None], name: str) -> None: ...
    @overload
    def __init__(self, name: str, payload: TypeForm[E]) -> None: ...
    def __init__(self, name: str, payload: Any = None) -> None:
        self.name = check_id(name, "event type")
        self.payload_type = type(None) if payload is None else payload

    def __repr__(self) -> str:
        return f"EventType({self.name!r}, {self.payload_type!r})"


@final
@attrs.frozen(kw_only=True)
class Received(Generic[E_co]):
    """An event as a workflow receives it; equal live and on replay (rule W8).

    Attributes:
        type: name of its type.
        payload: decoded to the type of its :class:`EventType`.
        id: the sender's id of the event.
        created_at: when it was sent.
    """

    type: str
    payload: E_co
    id: str
    created_at: datetime


@final
@attrs.frozen(kw_only=True, eq=False)
class Workflow(Generic[P_contra, R_co]):
    """A workflow: a function with a name and resolved types. Made by ``@workflow``.

    Attributes:
        name: stored with every instance; renaming the function changes nothing.
        fn: the decorated function.
        is_async: whether it is an ``async def``.
        takes_params: whether it takes ``(step, params)`` or ``(step)``.
        params_type: type of the parameters; ``NoneType`` without, ``Any`` (plain JSON) if it is not annotated.
        result_type: type of the result; ``Any`` (plain JSON) if it is not annotated.
        checkpoint: when settled steps are committed (rule O6).
        events: the event types that senders may use, by name; ``None``: any.
        notify: whether the end of each instance is announced (rule O7).
        local_names: names of the scope in which the function was defined, for annotations of bodies.
    """

    name: str
    fn: Callable[..., Any]
    is_async: bool
    takes_params: bool
    params_type: Any
    result_type: Any
    checkpoint: Checkpoint = "step"
    events: Mapping[str, EventType[Any]] | None = None
    notify: bool = False
    local_names: Mapping[str, Any] = attrs.field(factory=dict, repr=False)

    def check_types(self, codec: Codec) -> None:
        """Refuse parameters, results and listed events that the codec cannot handle.

        Raises:
            WorkflowDefinitionError: it cannot.
        """
        types = {"parameters": self.params_type, "result": self.result_type}
        types.update({f"event {event.name!r}": event.payload_type for event in (self.events or {}).values()})
        for what, type_ in types.items():
            try:
                codec.check_type(type_, self.local_names)
            except CodecError as error:
                raise WorkflowDefinitionError(
                    self.name, f"its {what} cannot be stored: {error}", "see docs/reference/payloads.md for the types"
                ) from error

    def local_codec(self, codec: Codec) -> Codec:
        """The codec, for classes that may be local to the function in which the workflow is defined."""
        return _LocalCodec(codec, self.local_names) if self.local_names else codec

    def payload_type(self, event: EventType[Any] | str) -> tuple[str, Any]:
        """Name and payload type of an event for this workflow.

        A listed type's payload is what the list says, also if the sender's value of that name says otherwise. If no
        types are listed, a ``str`` means plain JSON.

        Raises:
            UnknownEventTypeError: the workflow lists its event types, and this is none of them.
        """
        name = check_id(event, "event type") if isinstance(event, str) else event.name
        if self.events is not None and name not in self.events:
            raise UnknownEventTypeError(self.name, name, tuple(self.events))
        if self.events is not None:
            return name, self.events[name].payload_type
        return name, Any if isinstance(event, str) else event.payload_type


@attrs.frozen
class _LocalCodec:
    """A codec that is told the local names before it first sees a type."""

    codec: Codec
    namespace: Mapping[str, Any]

    def check_type(self, type_: Any, namespace: Mapping[str, Any] | None = None) -> None:
        self.codec.check_type(type_, namespace or self.namespace)

    def encode(self, value: object, type_: Any) -> Payload:
        self.check_type(type_)
        return self.codec.encode(value, type_)

    def decode(self, payload: Payload, type_: Any) -> Any:
        self.check_type(type_)
        return self.codec.decode(payload, type_)


@final
class Registry:
    """The workflows that a process can run: an object that is passed, never global.

    Args:
        workflows: the workflows; two of one name are refused.

    Raises:
        WorkflowDefinitionError: something is not a workflow, or a name stands twice.
    """

    __slots__ = ("_workflows",)

    def __init__(self, workflows: Iterable[Workflow[Any, Any]]) -> None:
        self._workflows: dict[str, Workflow[Any, Any]] = {}
        for each in workflows:
            if not isinstance(each, Workflow):
                raise WorkflowDefinitionError(
                    repr(each), "it is not a workflow", "decorate the function with @workflow(name=...)"
                )
            if each.name in self._workflows:
                raise WorkflowDefinitionError(each.name, "two workflows of this name", "give each a name of its own")
            self._workflows[each.name] = each

    def check_types(self, codec: Codec) -> None:
        """Refuse workflows whose types the codec cannot handle. Raises ``WorkflowDefinitionError``."""
        for workflow in self:
            workflow.check_types(codec)

    @property
    def names(self) -> frozenset[str]:
        """The names of the workflows."""
        return frozenset(self._workflows)

    def get(self, name: str) -> Workflow[Any, Any]:
        """The workflow of that name.

        Raises:
            UnknownWorkflowError: there is none; the text lists the names that are known (rule G10).
        """
        try:
            return self._workflows[name]
        except KeyError:
            raise UnknownWorkflowError(name, tuple(sorted(self._workflows))) from None

    def __contains__(self, workflow: object) -> bool:
        return isinstance(workflow, Workflow) and self._workflows.get(workflow.name) is workflow

    def __iter__(self) -> Iterator[Workflow[Any, Any]]:
        return iter(self._workflows.values())

    def __repr__(self) -> str:
        return f"Registry({', '.join(sorted(self._workflows))})"
