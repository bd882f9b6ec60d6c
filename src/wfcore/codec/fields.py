"""What the fields of a class are, with their types resolved; no I/O, nothing is encoded here.

Four class systems are known: attrs, dataclasses, ``NamedTuple`` and ``TypedDict``.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Mapping
from typing import Any, Final, Generic, NotRequired, Protocol, Required, TypeVar, get_args, get_origin, get_type_hints

import attrs
from typing_extensions import ReadOnly

from wfcore.codec.refusal import Refusal, say, short_name

_WRAPPERS: frozenset[Any] = frozenset({Final, NotRequired, ReadOnly, Required})


@attrs.frozen
class Field:
    """A field that is stored.

    Attributes:
        name: of the attribute, and in JSON.
        argument: what the constructor calls it.
        type: its type.
        is_required: whether it must be there.
    """

    name: str
    argument: str
    type: Any
    is_required: bool


def is_typed_dict(cls: Any) -> bool:
    """Whether it is a ``TypedDict``, of typing or of typing_extensions."""
    return isinstance(cls, type) and issubclass(cls, dict) and hasattr(cls, "__required_keys__")


def is_named_tuple(cls: Any) -> bool:
    """Whether it is a ``NamedTuple`` or comes from ``collections.namedtuple``."""
    return isinstance(cls, type) and issubclass(cls, tuple) and hasattr(cls, "_fields")


def has_fields(cls: Any) -> bool:
    """Whether :func:`fields_of` can tell the fields of that class."""
    if not isinstance(cls, type):
        return False
    return attrs.has(cls) or dataclasses.is_dataclass(cls) or is_typed_dict(cls) or is_named_tuple(cls)


def fields_of(type_: Any, namespace: Mapping[str, Any]) -> tuple[Field, ...]:
    """The fields of a class, or of a generic class with its arguments, such as ``Page[int]``.

    ``namespace`` resolves what the module of the class does not hold: names local to a function.
    """
    cls: Any = get_origin(type_) or type_
    types = _types(type_, namespace)
    if is_typed_dict(cls):
        return tuple(_of_typed_dict(cls, name, types[name]) for name in types)
    return tuple(attrs.evolve(field, type=_unwrapped(types.get(field.name, field.type))) for field in _untyped(cls))


def _untyped(cls: Any) -> list[Field]:
    if attrs.has(cls):
        return [
            Field(each.name, each.alias or each.name, _or_any(each.type), each.default is attrs.NOTHING)
            for each in attrs.fields(cls)
            if each.init
        ]
    if is_named_tuple(cls):
        return [Field(name, name, Any, name not in cls._field_defaults) for name in cls._fields]
    _refuse_init_vars(cls)
    missing = dataclasses.MISSING
    return [
        Field(each.name, each.name, each.type, each.default is missing and each.default_factory is missing)
        for each in dataclasses.fields(cls)
        if each.init
    ]


def _or_any(type_: Any) -> Any:
    return Any if type_ is None else type_


def _refuse_init_vars(cls: Any) -> None:
    stored = {field.name for field in dataclasses.fields(cls)}
    for name, parameter in inspect.signature(cls).parameters.items():
        is_needed = parameter.default is parameter.empty and parameter.kind in {
            parameter.POSITIONAL_OR_KEYWORD,
            parameter.KEYWORD_ONLY,
        }
        if is_needed and name not in stored:
            raise Refusal(
                "arguments that are stored as fields",
                f"{name} of {short_name(cls)}",
                "an InitVar is not kept: give it a default, or make it a field",
                [name],
            )


def _of_typed_dict(cls: Any, name: str, type_: Any) -> Field:
    is_required = name in cls.__required_keys__
    while get_origin(type_) in _WRAPPERS:
        if get_origin(type_) in {NotRequired, Required}:  # string annotations escape __required_keys__
            is_required = get_origin(type_) is Required
        type_ = get_args(type_)[0]
    return Field(name, name, type_, is_required)


def _unwrapped(type_: Any) -> Any:
    if type_ is Final:
        return Any
    return get_args(type_)[0] if get_origin(type_) in _WRAPPERS else type_


def _types(type_: Any, namespace: Mapping[str, Any]) -> dict[str, Any]:
    """The annotations of a class and its bases, type variables replaced by what stands for them."""
    cls: Any = get_origin(type_) or type_
    arguments = _arguments(type_)
    if is_typed_dict(cls):  # has no bases of its kind; it holds all their annotations
        merged = {variable: each for owner in arguments.values() for variable, each in owner.items()}
        return {name: substitute(each, merged) for name, each in _hints(cls, namespace).items()}
    types: dict[str, Any] = {}
    for base in reversed(cls.__mro__[:-1]):
        hints = _hints(base, namespace)
        for name in inspect.get_annotations(base):
            types[name] = substitute(hints[name], arguments.get(base, {}))
    return types


def _hints(cls: Any, namespace: Mapping[str, Any]) -> dict[str, Any]:
    try:
        try:
            return get_type_hints(cls, include_extras=True)
        except NameError:
            return get_type_hints(cls, localns={**namespace, cls.__name__: cls}, include_extras=True)
    except NameError as error:
        raise _refuse_name(cls, error.name or "") from None
    except Exception as error:
        raise Refusal(f"annotations of {short_name(cls)} that are types", say(error)) from None


def _refuse_name(cls: Any, name: str) -> Refusal:
    where = [
        field
        for base in cls.__mro__
        for field, annotation in inspect.get_annotations(base).items()
        if re.search(rf"\b{re.escape(name)}\b", str(annotation))
    ]
    return Refusal(
        "an annotation that can be resolved when the program runs",
        f"the unknown name {name!r} in {short_name(cls)}",
        "a name that is imported under 'if TYPE_CHECKING' exists for type checkers only: import it outside, or "
        "define it at the top of a module",
        where[:1],
    )


def _arguments(type_: Any) -> dict[Any, dict[Any, Any]]:
    """For each class of the bases, what its own type variables stand for: two classes may use one variable."""
    cls: Any = get_origin(type_) or type_
    parameters = getattr(cls, "__parameters__", ())
    mine = dict(zip(parameters, get_args(type_), strict=False))
    found = {cls: mine}
    generic = [base for base in getattr(cls, "__orig_bases__", ()) if get_origin(base) not in {Generic, Protocol}]
    for base in [*(substitute(each, mine) for each in generic), *getattr(cls, "__bases__", ())]:
        for owner, arguments in _arguments(base).items():
            found.setdefault(owner, arguments)
    return found


def substitute(type_: Any, arguments: Mapping[Any, Any]) -> Any:
    """Replace type variables; those without an argument stay."""
    if isinstance(type_, TypeVar):
        return arguments.get(type_, type_)
    parameters = getattr(type_, "__parameters__", ())
    if not parameters or (isinstance(type_, type) and get_origin(type_) is None):
        return type_
    return type_[tuple(arguments.get(parameter, parameter) for parameter in parameters)]
