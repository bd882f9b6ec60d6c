"""Lists, tuples, sets and dicts; no I/O, and nothing is taken for something else: a tuple is no list."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from wfcore.codec.choices import Choice
from wfcore.codec.refusal import Part, Refusal, count_of, describe, say
from wfcore.codec.scalars import SCALARS, UUIDS
from wfcore.codec.shape import Link, Shape

_INTEGER = re.compile(r"0|-?[1-9][0-9]*")


def _each(items: Iterable[Any], convert: Callable[[Any], Any]) -> list[Any]:
    done: list[Any] = []
    try:
        for item in items:
            done.append(convert(item))  # noqa: PERF401 - how many are done says where it was refused
    except Refusal as refusal:
        raise refusal.at(len(done)) from None
    return done


class Items(Shape):
    """A list, or a tuple of any length: an array of items of one type."""

    def __init__(self, name: str, classes: tuple[type[Any], ...], item: Any, build: Callable[[list[Any]], Any]) -> None:
        super().__init__(name, classes, (list,))
        self._item = item
        self._build = build
        self._shape: Shape

    def link(self, link: Link) -> None:
        """See :class:`Shape`."""
        self._shape = link(self._item, Part.ITEM)

    def decode(self, value: Any) -> Any:
        """See :class:`Shape`."""
        if type(value) is not list:
            raise self.refuse(value)
        return self._build(_each(value, self._shape.decode))

    def encode(self, value: Any) -> Any:
        """See :class:`Shape`."""
        if type(value) not in self.classes:
            raise self.refuse(value)
        return _each(value, self._shape.encode)


class Members(Items):
    """A set: an array in an order that does not depend on hashes."""

    def decode(self, value: Any) -> Any:
        """See :class:`Shape`."""
        if type(value) is not list:
            raise self.refuse(value)
        members = _each(value, self._shape.decode)
        try:
            return self._build(members)
        except Exception as error:
            advice = "make the class frozen, or declare a list"
            raise Refusal(f"{self.name} of hashable members", say(error), advice) from None

    def encode(self, value: Any) -> Any:
        """See :class:`Shape`."""
        if type(value) not in self.classes:
            raise self.refuse(value)
        encode = self._shape.encode
        try:
            encoded = [encode(member) for member in value]
        except Refusal as refusal:
            raise refusal.at(Part.ITEM) from None  # a set has no first or second member
        kinds = {type(member) for member in encoded}
        if kinds in ({int}, {str}):
            return sorted(encoded)
        try:
            return sorted(encoded, key=json.dumps)
        except ValueError:
            raise Refusal("integers that Python converts to text", describe(encoded), trail=[Part.ITEM]) from None


class Fixed(Shape):
    """A tuple with a type for each place."""

    def __init__(self, name: str, items: tuple[Any, ...]) -> None:
        super().__init__(name, (tuple,), (list,))
        self._items = items
        self._shapes: tuple[Shape, ...]

    def link(self, link: Link) -> None:
        """See :class:`Shape`."""
        self._shapes = tuple(link(item, index) for index, item in enumerate(self._items))

    def decode(self, value: Any) -> Any:
        """See :class:`Shape`."""
        self._check(value, list)
        shapes = iter(self._shapes)
        return tuple(_each(value, lambda item: next(shapes).decode(item)))

    def encode(self, value: Any) -> Any:
        """See :class:`Shape`."""
        self._check(value, tuple)
        shapes = iter(self._shapes)
        return _each(value, lambda item: next(shapes).encode(item))

    def _check(self, value: Any, cls: type[Any]) -> None:
        if type(value) is not cls:
            raise self.refuse(value)
        if len(value) != len(self._shapes):
            raise Refusal(f"{self.name} ({count_of(self._shapes)})", count_of(value))


class Entries(Shape):
    """A dict; its order is kept. Keys become text."""

    def __init__(self, name: str, key: Any, item: Any) -> None:
        super().__init__(name, (dict,), (dict,))
        self._key = key
        self._item = item
        self._shape: Shape
        self._keys: Keys

    def link(self, link: Link) -> None:
        """See :class:`Shape`."""
        self._shape = link(self._item, Part.ENTRY)
        self._keys = _keys(link(str if self._key is Any else self._key))

    def decode(self, value: Any) -> Any:
        """See :class:`Shape`."""
        if type(value) is not dict:
            raise self.refuse(value)
        decode, decode_key = self._shape.decode, self._keys.decode
        done = {}
        for text, item in value.items():
            key = decode_key(text)
            try:
                done[key] = decode(item)
            except Refusal as refusal:
                raise refusal.at(text) from None
        return done

    def encode(self, value: Any) -> Any:
        """See :class:`Shape`."""
        if type(value) is not dict:
            raise self.refuse(value)
        encode, encode_key = self._shape.encode, self._keys.encode
        done = {}
        for key, item in value.items():
            text = encode_key(key)
            try:
                done[text] = encode(item)
            except Refusal as refusal:
                raise refusal.at(text) from None
        return done


class Keys(Protocol):
    """How the keys of a dict are read and written. A refusal stands at the dict: a key that is none has no path."""

    def decode(self, text: str) -> Any:
        """The key of that text."""

    def encode(self, key: Any) -> str:
        """The text of that key."""


class TextKeys:
    """Keys whose JSON is a string: ``str`` and ``UUID``."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape

    def decode(self, text: str) -> Any:
        """See :class:`Keys`."""
        return _key(text, self._shape.decode)

    def encode(self, key: Any) -> str:
        """See :class:`Keys`."""
        text: str = _key(key, self._shape.encode)
        return text


class IntegerKeys:
    """``int``: in decimal, as JSON writes it."""

    def decode(self, text: str) -> int:
        """See :class:`Keys`."""
        try:
            if _INTEGER.fullmatch(text) is not None:
                return int(text)
        except ValueError:
            pass  # more digits than Python converts
        raise Refusal("int keys", f"key {describe(text)}")

    def encode(self, key: Any) -> str:
        """See :class:`Keys`."""
        try:
            if type(key) is int:
                return str(key)
        except ValueError:
            pass  # more digits than Python converts
        raise Refusal("int keys", f"key {describe(key)}")


class ChoiceKeys:
    """Enums, by the text of their values."""

    def __init__(self, choice: Choice) -> None:
        self._choice = choice
        self._texts = {str(json): json for _, json in choice.pairs}
        if len(self._texts) != len(choice.pairs) or not set(choice.json) <= {int, str}:
            raise _refuse_keys(choice)

    def decode(self, text: str) -> Any:
        """See :class:`Keys`."""
        return _key(self._texts.get(text, text), self._choice.decode)

    def encode(self, key: Any) -> str:
        """See :class:`Keys`."""
        return str(_key(key, self._choice.encode))


def _key(key: Any, convert: Callable[[Any], Any]) -> Any:
    try:
        return convert(key)
    except Refusal as refusal:
        raise Refusal(f"{refusal.expected} keys", f"key {refusal.found}", refusal.advice) from None


def _keys(shape: Shape) -> Keys:
    if shape is SCALARS[int]:
        return IntegerKeys()
    if shape is SCALARS[str] or shape is UUIDS:
        return TextKeys(shape)
    if isinstance(shape, Choice):
        return ChoiceKeys(shape)
    raise _refuse_keys(shape)


def _refuse_keys(shape: Shape) -> Refusal:
    return Refusal(
        "dict keys of type str, int, UUID, or of an enum whose values differ as text",
        f"{shape.name} keys",
        "use a list of pairs, or another key",
    )
