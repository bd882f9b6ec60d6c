"""Enums, flags and literals: types that are a choice of values; no I/O.

A value is told from another by its class too: ``True`` is not ``1``, and ``1.0`` is not either.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from enum import Enum, Flag
from types import NoneType
from typing import Any

from wfcore.codec.refusal import Refusal, describe, name_of, short_name, shorten
from wfcore.codec.shape import Shape

_SCALARS = frozenset({NoneType, bool, int, float, str})


class Choice(Shape):
    """One of these values.

    Attributes:
        pairs: each value and its JSON.
    """

    def __init__(self, name: str, pairs: Iterable[tuple[Any, Any]]) -> None:
        self.pairs = tuple(pairs)
        values, jsons = zip(*self.pairs, strict=True) if self.pairs else ((), ())
        super().__init__(_with_choice(name, jsons), _classes(values), _classes(jsons))
        self._values = {(type(json), json): value for value, json in self.pairs}
        self._jsons = {(type(value), value): json for value, json in self.pairs}

    def decode(self, value: Any) -> Any:
        """See :class:`Shape`."""
        key = (type(value), value)
        if key[0] in self.json and key in self._values:
            return self._values[key]
        raise self.refuse(value)

    def encode(self, value: Any) -> Any:
        """See :class:`Shape`."""
        key = (type(value), value)
        if key[0] in self.classes and key in self._jsons:
            return self._jsons[key]
        raise self.refuse(value)


class Flags(Shape):
    """A ``Flag``: the integer of all its bits."""

    def __init__(self, cls: type[Flag]) -> None:
        super().__init__(short_name(cls), (cls,), (int,))
        self._class = cls

    def decode(self, value: Any) -> Any:
        """See :class:`Shape`."""
        if type(value) is int:
            try:
                flags = self._class(value)
            except ValueError:
                raise self.refuse(value) from None
            if type(flags) is self._class and flags.value == value:
                return flags
        raise self.refuse(value)

    def encode(self, value: Any) -> Any:
        """See :class:`Shape`."""
        if type(value) is self._class:
            return value.value
        raise self.refuse(value)


def enum_shape(cls: type[Enum]) -> Shape:
    """The shape of an enum: its members' values, which must be JSON scalars."""
    if issubclass(cls, Flag):
        return Flags(cls)
    for member in cls:
        if not _is_scalar(member.value):
            raise Refusal(
                "an enum whose values are str, int, float, bool or None",
                f"{short_name(cls)}.{member.name} = {describe(member.value)}",
                "give the members str or int values, or pass a hook with JsonCodec(configure=...)",
            )
    return Choice(short_name(cls), [(member, member.value) for member in cls])


def literal_shape(type_: Any, choices: tuple[Any, ...]) -> Shape:
    """The shape of a ``Literal``: JSON scalars and enum members."""
    pairs: list[tuple[Any, Any]] = []
    for choice in choices:
        json = choice.value if isinstance(choice, Enum) else choice
        if not _is_scalar(json) or any(type(json) is type(other) and json == other for _, other in pairs):
            raise Refusal(
                "a Literal whose choices JSON tells apart",
                f"{describe(choice)} in {name_of(type_)}",
                "use str, int, bool, None or members of enums with such values, each once",
            )
        pairs.append((choice, json))
    return Choice(name_of(type_), pairs)


def _is_scalar(value: object) -> bool:
    return type(value) in _SCALARS and not (type(value) is float and not math.isfinite(value))


def _classes(values: Iterable[object]) -> tuple[type[Any], ...]:
    return tuple({type(value): None for value in values})


def _with_choice(name: str, jsons: Iterable[object]) -> str:
    if name.startswith("Literal["):
        return name
    choice = ", ".join(map(repr, jsons)) or "no members"
    return f"{name} ({shorten(choice)})"
