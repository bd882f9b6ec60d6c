"""Unions: JSON tells which member a value is of, and classes carry a tag; no I/O, nothing is tried out.

The members of a union must be told apart by what JSON calls them (null, boolean, integer, number, string, array,
object). Classes are all objects, so that an object of a union always holds the name of its class under ``$type``,
also if there is only one class: another one can be added later.
"""

from __future__ import annotations

from types import NoneType
from typing import Any

from wfcore.codec.classes import Record
from wfcore.codec.foreign import Foreign
from wfcore.codec.refusal import JSON_NAMES, Refusal, describe
from wfcore.codec.shape import Link, Shape

TAG = "$type"
"""The key that holds the class's name."""


class Optional(Shape):
    """One type, or ``None``."""

    def __init__(self, name: str, shape: Shape) -> None:
        super().__init__(name, (*shape.classes, NoneType), (*shape.json, NoneType))
        self._shape = shape

    def decode(self, value: Any) -> Any:
        """See :class:`Shape`."""
        return None if value is None else self._call(self._shape.decode, value)

    def encode(self, value: Any) -> Any:
        """See :class:`Shape`."""
        return None if value is None else self._call(self._shape.encode, value)

    def _call(self, convert: Any, value: Any) -> Any:
        try:
            return convert(value)
        except Refusal as refusal:
            if not refusal.trail:
                refusal.expected += " | None"
            raise


class Tagged(Shape):
    """Classes, told apart by a tag."""

    def __init__(self, name: str, members: list[Record | Foreign]) -> None:
        super().__init__(name, tuple(cls for member in members for cls in member.classes), (dict,))
        self._by_class = {cls: member for member in members for cls in member.classes}
        self._by_tag = {cls.__name__: member for cls, member in self._by_class.items()}
        if len(self._by_tag) != len(members):
            raise Refusal(
                "classes with names of their own, which are their tags",
                f"a name twice, or a type that is no class, in {name}",
                "rename one of the classes",
            )
        self._tags = ", ".join(map(repr, self._by_tag))

    def decode(self, value: Any) -> Any:
        """See :class:`Shape`. A union gives it nothing but objects."""
        tag = value.get(TAG)
        member = self._by_tag.get(tag) if type(tag) is str else None
        if member is None:
            found = describe(tag) if TAG in value else "nothing: the tag is missing"
            raise Refusal(f"a tag, one of {self._tags}", found, trail=[TAG])
        return member.decode({key: item for key, item in value.items() if key != TAG})

    def encode(self, value: Any) -> Any:
        """See :class:`Shape`. A union gives it nothing but values of its classes."""
        member = self._by_class[type(value)]
        encoded = member.encode(value)
        if type(encoded) is not dict or TAG in encoded:  # only a hook gives such
            raise Refusal(
                f"an object without {TAG!r} from the hook of {member.name}, to carry the tag", describe(encoded)
            )
        return {TAG: type(value).__name__, **encoded}


class Union(Shape):
    """Members that JSON tells apart."""

    def __init__(self, name: str, types: tuple[Any, ...]) -> None:
        super().__init__(name, (), ())
        self._types = types
        self._by_class: dict[type[Any], Shape] = {}
        self._by_json: dict[type[Any], Shape] = {}

    def link(self, link: Link) -> None:
        """See :class:`Shape`."""
        members = [link(type_) for type_ in self._types]
        classes = [member for member in members if isinstance(member, Record | Foreign)]
        others = [member for member in members if not isinstance(member, Record | Foreign)]
        for member in [*others, Tagged(self.name, classes)] if classes else others:
            for cls in member.json:
                if self._by_json.setdefault(cls, member) is not member:
                    raise self._refuse_members(self._by_json[cls], member, cls)
            self._by_class.update(dict.fromkeys(member.classes, member))
        if float in self._by_json:
            self._by_json.setdefault(int, self._by_json[float])
            self._by_class.setdefault(int, self._by_json[float])
        self.classes, self.json = tuple(self._by_class), tuple(self._by_json)

    def _refuse_members(self, one: Shape, other: Shape, cls: type[Any]) -> Refusal:
        return Refusal(
            "a union whose members JSON tells apart",
            f"{one.name} and {other.name}, each a JSON {JSON_NAMES[cls]}, in {self.name}",
            "make them attrs classes or dataclasses, which carry a tag",
        )

    def decode(self, value: Any) -> Any:
        """See :class:`Shape`."""
        member = self._by_json.get(type(value))
        if member is None:
            raise self.refuse(value)
        return member.decode(value)

    def encode(self, value: Any) -> Any:
        """See :class:`Shape`."""
        member = self._by_class.get(type(value))
        if member is None:
            raise self.refuse(value)
        return member.encode(value)
