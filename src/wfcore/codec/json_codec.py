"""The default codec: values to JSON text and back, by type. No I/O, no clock, no logging.

The type is the truth, not the value (rule S15): what a type checker infers is what a replay gives.
``docs/reference/payloads.md`` has the table of types.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import cattrs

from wfcore.codec.compiler import Compiler
from wfcore.codec.refusal import Refusal
from wfcore.codec.text import dump, load
from wfcore.errors import CodecError
from wfcore.model import Payload

_DEPTH_ADVICE = "break the cycle, or store it flat: a list of items that name each other by id"


class JsonCodec:
    """Encodes values by type, strictly (``wfcore.ports.Codec``); threads may share one.

    Args:
        max_payload_bytes: longest payload that is encoded, in UTF-8 bytes. What is stored already is decoded whatever
            its size, so that the limit may be lowered.
        configure: called once with the codec's cattrs converter, to register hooks for further types: one with
            ``register_structure_hook`` or ``..._func`` and one with the ``unstructure`` twin of it.

    Attributes:
        max_payload_bytes: the longest payload that is encoded.
    """

    def __init__(
        self,
        *,
        max_payload_bytes: int = 1_048_576,
        configure: Callable[[cattrs.Converter], None] | None = None,
    ) -> None:
        self.max_payload_bytes = max_payload_bytes
        self._compiler = Compiler(configure)
        self._shapes = self._compiler.shapes

    def encode(self, value: object, type_: Any) -> Payload:
        """Encode a value of that type.

        Raises:
            CodecError: with path, expected and found.
        """
        try:
            try:
                shape = self._shapes[type_]
            except (KeyError, TypeError):
                shape = self._compiler.shape(type_)
            text, size = dump(shape.encode(value))
        except Refusal as refusal:
            raise refusal.error() from None
        except RecursionError:
            raise _refuse_depth() from None
        if size > self.max_payload_bytes:
            raise CodecError(
                "$",
                f"a payload of at most {self.max_payload_bytes} bytes",
                f"{size} bytes",
                "store it elsewhere and pass a reference, or raise JsonCodec(max_payload_bytes=...)",
            )
        return text

    def decode(self, payload: Payload, type_: Any) -> Any:
        """Decode a payload to that type.

        Raises:
            CodecError: with path, expected and found.
        """
        try:
            try:
                shape = self._shapes[type_]
            except (KeyError, TypeError):
                shape = self._compiler.shape(type_)
            return shape.decode(load(payload))
        except Refusal as refusal:
            raise refusal.error() from None
        except RecursionError:
            raise _refuse_depth() from None

    def check_type(self, type_: Any, namespace: Mapping[str, Any] | None = None) -> None:
        """Find out whether the codec can handle a type, and prepare for it.

        Args:
            type_: the type.
            namespace: names that string annotations may use beside those of their modules, such as the local names of
                the function in which the classes are defined.

        Raises:
            CodecError: it cannot; the path leads to the offending part of the type.
        """
        try:
            self._compiler.shape(type_, namespace)
        except Refusal as refusal:
            raise refusal.error() from None


def _refuse_depth() -> CodecError:
    return CodecError("$", "a value of limited depth", "one that is nested too deeply, or in itself", _DEPTH_ADVICE)


JSON = JsonCodec()
"""The codec that is used if none is given."""
