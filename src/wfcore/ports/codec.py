"""The codec port: values to payloads and back. Protocol only, no I/O."""

from __future__ import annotations

from typing import Any, Protocol

from wfcore.model import Payload


class Codec(Protocol):
    """Encodes values by type; the type is the truth, not the value (rule S15).

    ``typing.Any`` stands for "no type": plain JSON *exactly* (None, bool, int, str, finite float, list, dict with
    str keys; no subclasses, no tuples, no classes).
    """

    def encode(self, value: object, type_: Any) -> Payload:
        """Encode a value of that type; equal values give equal text in every process.

        Raises:
            CodecError: with path, expected and found.
        """
        ...

    def decode(self, payload: Payload, type_: Any) -> Any:
        """Decode a payload to that type, strictly.

        Raises:
            CodecError: with path, expected and found.
        """
        ...
