"""What a type becomes once it is compiled: a shape; no I/O, and no knowledge of any particular type.

A shape decodes JSON values (what ``json.loads`` gives) and encodes Python values to them. Shapes are made first and
linked to the shapes of their parts afterwards, so that recursive types need no special care, and are not changed any
more once they are in use, so that threads share them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Protocol

from wfcore.codec.refusal import Refusal, Segment, describe, long_name, short_name

SUBCLASS_ADVICE = "it would come back as its base class; convert it, or declare its own class"


class Link(Protocol):
    """Gives the shape of a part; ``segment`` says where the part is, for errors."""

    def __call__(self, type_: Any, segment: Segment | None = None, /) -> Shape:
        """The shape of that type; it may not be linked yet."""


class Shape(ABC):
    """One type, compiled.

    Attributes:
        name: the type, as errors call it.
        classes: the exact classes of values that it encodes.
        json: the exact classes of JSON values that it decodes.
    """

    def __init__(self, name: str, classes: tuple[type[Any], ...], json: tuple[type[Any], ...]) -> None:
        self.name = name
        self.classes = classes
        self.json = json

    def link(self, link: Link) -> None:  # noqa: B027 - a leaf has no parts
        """Find the shapes of the parts. A leaf has none."""

    @abstractmethod
    def decode(self, value: Any) -> Any:
        """A JSON value to a value of the type; raises :class:`Refusal`."""

    @abstractmethod
    def encode(self, value: Any) -> Any:
        """A value of the type to a JSON value; raises :class:`Refusal`."""

    def refuse(self, value: object, advice: str = "") -> Refusal:
        """The refusal of a value that is not of this type."""
        cls = type(value)
        for mine in self.classes:
            if cls is not mine and cls is not bool and issubclass(cls, mine):
                advice = advice or SUBCLASS_ADVICE
            if cls is not mine and short_name(cls) == short_name(mine):
                return Refusal(f"{self.name} ({long_name(mine)})", f"{describe(value)} ({long_name(cls)})", advice)
        return Refusal(self.name, describe(value), advice)


class Leaf(Shape):
    """A type without parts, from two functions that raise on bad values.

    Attributes:
        advice: what to do when a value is refused.
    """

    def __init__(
        self,
        cls: type[Any],
        json: type[Any],
        decoder: Callable[[Any], Any],
        encoder: Callable[[Any], Any],
        *,
        name: str = "",
        advice: str = "",
    ) -> None:
        super().__init__(name or short_name(cls), (cls,), (json,))
        self.advice = advice
        self._class = cls
        self._json = json
        self._decoder = decoder
        self._encoder = encoder

    def decode(self, value: Any) -> Any:
        """See :class:`Shape`."""
        if type(value) is self._json:
            try:
                return self._decoder(value)
            except (ValueError, ArithmeticError):
                pass  # refused below, so that this error is no part of ours
        raise self.refuse(value, self.advice)

    def encode(self, value: Any) -> Any:
        """See :class:`Shape`."""
        if type(value) is self._class:
            try:
                return self._encoder(value)
            except Exception:
                raise self.refuse(value, self.advice) from None
        raise self.refuse(value)
