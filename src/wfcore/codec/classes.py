"""Classes with fields: attrs, dataclasses, ``NamedTuple`` and ``TypedDict``, objects in JSON; no I/O.

Unknown fields are ignored and missing ones take their default, so that a class can grow; a missing field without a
default is refused. A value must be of the class itself: a subclass would come back as its base.
"""

from __future__ import annotations

from typing import Any

from wfcore.codec.fields import Field
from wfcore.codec.refusal import Refusal, describe, say
from wfcore.codec.shape import Link, Shape

SUBCLASS_OF_FIELDS_ADVICE = (
    "a subclass would lose its own fields: declare it, or a union such as A | B, which carries a tag"
)

_MISSING: Any = object()


def _missing(field: Field, shape: Shape) -> Refusal:
    advice = "a field with a default may be missing"
    return Refusal(shape.name, "nothing: the field is missing", advice, [field.name])


class Record(Shape):
    """A class that is built from its fields."""

    def __init__(self, name: str, cls: type[Any], fields: tuple[Field, ...]) -> None:
        super().__init__(name, (cls,), (dict,))
        self._class = cls
        self._fields = fields
        self._plan: tuple[tuple[Field, str, str, Shape], ...]

    def link(self, link: Link) -> None:
        """See :class:`Shape`."""
        self._plan = tuple((each, each.name, each.argument, link(each.type, each.name)) for each in self._fields)

    def decode(self, value: Any) -> Any:
        """See :class:`Shape`."""
        if type(value) is not dict:
            raise self.refuse(value)
        arguments = {}
        for field, name, argument, shape in self._plan:
            item = value.get(name, _MISSING)
            if item is not _MISSING:
                try:
                    arguments[argument] = shape.decode(item)
                except Refusal as refusal:
                    raise refusal.at(name) from None
            elif field.is_required:
                raise _missing(field, shape)
        try:
            return self._class(**arguments)
        except Exception as error:
            advice = f"the class does not take it: {say(error)}"
            raise Refusal(self.name, describe(value), advice) from None

    def encode(self, value: Any) -> Any:
        """See :class:`Shape`."""
        if type(value) is not self._class:
            advice = SUBCLASS_OF_FIELDS_ADVICE if isinstance(value, self._class) else ""
            raise self.refuse(value, advice)
        done = {}
        for _, name, _, shape in self._plan:
            try:
                done[name] = shape.encode(getattr(value, name))
            except Refusal as refusal:
                raise refusal.at(name) from None
            except RecursionError:
                raise  # a cycle: the whole is at fault
            except Exception as error:
                raise Refusal(shape.name, f"no value: {type(error).__name__}", trail=[name]) from None
        return done


class Keyed(Shape):
    """A ``TypedDict``. Keys that it does not declare would be lost, and are refused when it is encoded."""

    def __init__(self, name: str, fields: tuple[Field, ...]) -> None:
        super().__init__(name, (dict,), (dict,))
        self._fields = fields
        self._plan: tuple[tuple[Field, Shape], ...]
        self._names = frozenset(field.name for field in fields)

    def link(self, link: Link) -> None:
        """See :class:`Shape`."""
        self._plan = tuple((field, link(field.type, field.name)) for field in self._fields)

    def decode(self, value: Any) -> Any:
        """See :class:`Shape`."""
        if type(value) is not dict:
            raise self.refuse(value)
        done = {}
        for field, shape in self._plan:
            item = value.get(field.name, _MISSING)
            if item is not _MISSING:
                try:
                    done[field.name] = shape.decode(item)
                except Refusal as refusal:
                    raise refusal.at(field.name) from None
            elif field.is_required:
                raise _missing(field, shape)
        return done

    def encode(self, value: Any) -> Any:
        """See :class:`Shape`."""
        if type(value) is not dict:
            raise self.refuse(value)
        for key in value:
            if type(key) is not str or key not in self._names:
                advice = "declare it, or take it out: it could not be rebuilt"
                raise Refusal(f"the keys of {self.name}", f"key {describe(key)}", advice)
        done = {}
        for field, shape in self._plan:
            item = value.get(field.name, _MISSING)
            if item is not _MISSING:
                try:
                    done[field.name] = shape.encode(item)
                except Refusal as refusal:
                    raise refusal.at(field.name) from None
            elif field.is_required:
                raise _missing(field, shape)
        return done
