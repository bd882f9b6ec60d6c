"""The door for other class systems: a cattrs converter that the user registers hooks with; no I/O.

The converter decides which hook a type has. Where the answer is one of ours, the compiler makes a shape; so a hook of
the user's goes before everything that the codec knows itself. Hooks may call the converter for their parts: they get
the codec's strict semantics.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cattrs

from wfcore.codec.foreign import Foreign
from wfcore.codec.refusal import Refusal, name_of
from wfcore.codec.shape import Shape

# cattrs has hooks for these and their subclasses, which go before any predicate. (It has some for Path too, and may.)
_BUILT_IN = (str, bytes, int, float)


class _Structure:
    """The structure hook of every type that the user has none for."""

    def __init__(self, shape_of: Callable[[Any], Shape]) -> None:
        self._shape_of = shape_of

    def __call__(self, value: Any, type_: Any) -> Any:
        return self._shape_of(type_).decode(value)


class _Unstructure:
    """The unstructure hook of a type that the user has none for; without a type, the value's class is it."""

    def __init__(self, shape_of: Callable[[Any], Shape], type_: Any = None) -> None:
        self._shape_of = shape_of
        self._type = type_

    def __call__(self, value: Any) -> Any:
        return self._shape_of(type(value) if self._type is None else self._type).encode(value)


class Hooks:
    """Finds the user's hooks."""

    def __init__(self, shape_of: Callable[[Any], Shape], configure: Callable[[cattrs.Converter], None] | None) -> None:
        self._shape_of = shape_of
        self._converter = cattrs.Converter(detailed_validation=False)
        # A predicate, and not register_structure_hook(object, ...): that would go before later hooks of subclasses.
        self._converter.register_structure_hook_func(_is_any_type, _Structure(shape_of))
        self._converter.register_unstructure_hook_factory(_is_any_type, self._unstructure)
        for cls in _BUILT_IN:
            self._converter.register_structure_hook(cls, _Structure(shape_of))
            self._converter.register_unstructure_hook(cls, _Unstructure(shape_of))
        if configure is not None:
            configure(self._converter)

    def _unstructure(self, type_: Any) -> _Unstructure:
        return _Unstructure(self._shape_of, type_)

    def find(self, type_: Any) -> Shape | None:
        """The shape of a type with hooks of the user's; ``None`` if it has none."""
        structure = self._converter.get_structure_hook(type_)
        unstructure = self._converter.get_unstructure_hook(type_)
        is_structured = not isinstance(structure, _Structure)
        is_unstructured = not isinstance(unstructure, _Unstructure)
        if is_structured and is_unstructured:
            return Foreign(type_, structure, unstructure)
        if is_structured or is_unstructured:
            missing = "unstructure" if is_structured else "structure"
            raise Refusal(
                "a hook for each direction",
                f"no {missing} hook for {name_of(type_)}",
                f"call converter.register_{missing}_hook_func(...) in configure=",
            )
        return None


def _is_any_type(_: Any) -> bool:
    return True
