"""From types to shapes, by way of a cattrs converter that knows the user's hooks; no I/O.

All shapes that a type needs are made and linked before any of them is published: two threads may both do that, and
neither sees half of it.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, MutableSet, Sequence
from collections.abc import Set as AbstractSet
from enum import Enum
from functools import partial
from typing import (
    Annotated,
    Any,
    Final,
    ForwardRef,
    Literal,
    NewType,
    NotRequired,
    Required,
    TypeVar,
    Unpack,
    get_args,
    get_origin,
)

import cattrs
from typing_extensions import ReadOnly

from wfcore.codec.choices import enum_shape, literal_shape
from wfcore.codec.classes import Keyed, Record
from wfcore.codec.containers import Entries, Fixed, Items, Members
from wfcore.codec.fields import fields_of, has_fields, is_typed_dict, substitute
from wfcore.codec.hooks import Hooks
from wfcore.codec.refusal import Refusal, Segment, name_of, say
from wfcore.codec.scalars import SCALARS
from wfcore.codec.shape import Shape
from wfcore.codec.unions import Optional, Union

TYPE_ADVICE = (
    "make it an attrs class or a dataclass, or teach the codec: "
    "JsonCodec(configure=lambda converter: ...) with a structure and an unstructure hook"
)

_ARRAYS: dict[Any, tuple[type[Items], tuple[type[Any], ...], Callable[[list[Any]], Any]]] = {
    list: (Items, (list,), list),
    MutableSequence: (Items, (list,), list),
    Sequence: (Items, (tuple, list), tuple),
    set: (Members, (set,), set),
    MutableSet: (Members, (set,), set),
    frozenset: (Members, (frozenset,), frozenset),
    AbstractSet: (Members, (frozenset, set), frozenset),
}
_DICTS = frozenset({dict, Mapping, MutableMapping})
_UNIONS = frozenset({typing.Union, types.UnionType})
_WRAPPERS: frozenset[Any] = frozenset({Annotated, Final, NotRequired, ReadOnly, Required})


class Compiler:
    """Makes shapes and keeps them.

    Attributes:
        shapes: the shapes made so far, by type; complete and never changed.
    """

    def __init__(self, configure: Callable[[cattrs.Converter], None] | None) -> None:
        self.shapes: dict[Any, Shape] = {}
        self.hooks = Hooks(self.shape, configure)

    def shape(self, type_: Any, namespace: Mapping[str, Any] | None = None) -> Shape:
        """The shape of a type; raises :class:`Refusal` if there is none."""
        try:
            if type_ in self.shapes:
                return self.shapes[type_]
        except TypeError:
            pass  # an unhashable type is compiled each time
        batch = _Batch(self, namespace or {})
        shape = batch.run(type_)
        self.shapes.update(batch.made)
        return shape


class _Batch:
    """The shapes made for one type, on their way to be linked."""

    def __init__(self, compiler: Compiler, namespace: Mapping[str, Any]) -> None:
        self.made: dict[Any, Shape] = {}
        self._known = compiler.shapes
        self._hooks = compiler.hooks
        self._namespace = namespace
        self._pending: list[tuple[Shape, tuple[Segment, ...]]] = []

    def run(self, type_: Any) -> Shape:
        """Make the shape of a type and all that it needs."""
        try:
            first = self._shape((), type_)
            for shape, path in self._pending:  # grows while it is read
                try:
                    shape.link(partial(self._link, path))
                except Refusal as refusal:
                    refusal.trail.extend(reversed(path))
                    raise
        except RecursionError:
            raise Refusal("a type of finite size", name_of(type_), "an alias may not stand for itself") from None
        return first

    def _link(self, path: tuple[Segment, ...], type_: Any, segment: Segment | None = None) -> Shape:
        if segment is None:
            return self._shape(path, type_)
        try:
            return self._shape((*path, segment), type_)
        except Refusal as refusal:
            raise refusal.at(segment) from None

    def _shape(self, path: tuple[Segment, ...], type_: Any) -> Shape:
        try:
            shape = self._known.get(type_) or self.made.get(type_)
        except TypeError:  # unhashable, such as Annotated[int, []]
            return self._make(path, type_)
        if shape is None:
            shape = self._hooks.find(type_) or SCALARS.get(type_) or self._make(path, type_)
            self.made[type_] = shape
        return shape

    def _make(self, path: tuple[Segment, ...], type_: Any) -> Shape:
        inner = _inner(type_)
        if inner is not type_:
            return self._shape(path, inner)
        try:
            shape = self._composite(path, type_)
        except (Refusal, RecursionError):
            raise
        except Exception as error:
            raise Refusal("a type that the codec can read", f"{name_of(type_)}: {say(error)}", TYPE_ADVICE) from None
        self._pending.append((shape, path))
        return shape

    def _composite(self, path: tuple[Segment, ...], type_: Any) -> Shape:
        origin, args, name = get_origin(type_) or type_, get_args(type_), name_of(type_)
        if origin is Literal:
            return literal_shape(type_, args)
        if origin in _UNIONS:
            return self._union(path, name, args)
        if origin is tuple:
            return _tuple(type_, name, args)
        if origin in _ARRAYS:
            shape, classes, build = _ARRAYS[origin]
            return shape(name, classes, args[0] if args else Any, build)
        if origin in _DICTS:
            return Entries(name, *(args or (Any, Any)))
        if isinstance(origin, type) and issubclass(origin, Enum):
            return enum_shape(origin)
        if has_fields(origin):
            fields = fields_of(type_, self._namespace)
            return Keyed(name, fields) if is_typed_dict(origin) else Record(name, origin, fields)
        raise _refuse_type(type_)

    def _union(self, path: tuple[Segment, ...], name: str, args: tuple[Any, ...]) -> Shape:
        members = dict.fromkeys(_flat(args))
        if len(members) == 2 and type(None) in members:
            (member,) = members.keys() - {type(None)}
            return Optional(name, self._shape(path, member))
        return Union(name, tuple(members))


def _inner(type_: Any) -> Any:
    """What a ``NewType``, an alias, ``Annotated`` or a type variable stands for; other types themselves."""
    origin = get_origin(type_)
    if origin in _WRAPPERS:
        return get_args(type_)[0]
    if isinstance(type_, NewType):
        return type_.__supertype__
    if isinstance(type_, TypeVar):
        return _stands_for(type_)
    alias = origin or type_
    if not isinstance(alias, type) and hasattr(alias, "__value__") and hasattr(alias, "__type_params__"):
        return substitute(alias.__value__, dict(zip(alias.__type_params__, get_args(type_), strict=False)))
    return type_


def _stands_for(variable: TypeVar) -> Any:
    """A type variable without an argument, as in a bare ``Page``, is its bound, or plain JSON."""
    return Any if variable.__bound__ is None else variable.__bound__


def _flat(members: tuple[Any, ...]) -> list[Any]:
    """The members of a union, those of unions inside it included."""
    flat: list[Any] = []
    for member in members:
        inner = _inner(member)
        if get_origin(inner) in _UNIONS:
            flat += _flat(get_args(inner))
        else:
            flat.append(member)
    return flat


def _tuple(type_: Any, name: str, args: tuple[Any, ...]) -> Shape:
    if type_ in {tuple, typing.Tuple}:  # noqa: UP006 - tuple[()] has no arguments either
        args = (Any, ...)
    if any(getattr(arg, "__unpacked__", False) or get_origin(arg) is Unpack for arg in args):
        raise Refusal("a tuple of fixed places, or of one type and any length", repr(type_), "use a class")
    if len(args) == 2 and args[1] is ...:
        return Items(name, (tuple,), args[0], tuple)
    return Fixed(name, args)


def _refuse_type(type_: Any) -> Refusal:
    if isinstance(type_, str | ForwardRef):
        return Refusal("a type", f"the unresolved name {name_of(type_)}", "pass the type itself, not its name")
    return Refusal("a type that the codec knows", name_of(type_), TYPE_ADVICE)
