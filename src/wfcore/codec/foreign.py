"""Types that come in by hooks of the user's own, such as other class systems; no I/O of ours.

A hook is somebody else's code: what it raises becomes a refusal, and what it gives must be plain JSON.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wfcore.codec.refusal import Refusal, describe, name_of, say
from wfcore.codec.scalars import refuse_plain
from wfcore.codec.shape import Shape
from wfcore.failure import is_plain

_REFUSED: Any = object()


class Foreign(Shape):
    """A type with a hook for each direction."""

    def __init__(self, type_: Any, structure: Callable[[Any, Any], Any], unstructure: Callable[[Any], Any]) -> None:
        # In a union it stands as an object, with a tag.
        super().__init__(name_of(type_), (type_,) if isinstance(type_, type) else (), (dict,))
        self._type = type_
        self._structure = structure
        self._unstructure = unstructure

    def decode(self, value: Any) -> Any:
        """See :class:`Shape`."""
        try:
            return self._structure(value, self._type)
        except Refusal:
            raise  # from a part that the hook gave back to the converter
        except Exception as error:
            raise Refusal(self.name, describe(value), f"its hook says: {say(error)}") from None

    def encode(self, value: Any) -> Any:
        """See :class:`Shape`."""
        try:
            encoded = self._unstructure(value) if self._is_mine(value) else _REFUSED
        except Refusal:
            raise
        except Exception as error:
            raise Refusal(self.name, describe(value), f"its hook says: {say(error)}") from None
        if encoded is _REFUSED:
            raise Refusal(self.name, describe(value))
        if not is_plain(encoded):
            raise refuse_plain(encoded, f"the hook of {self.name} must give plain JSON")
        return encoded

    def _is_mine(self, value: Any) -> bool:
        # Not exact: only the hook knows what its class is made of (a Path is always a subclass).
        return not self.classes or isinstance(value, self.classes)
