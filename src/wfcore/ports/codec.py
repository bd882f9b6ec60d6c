"""The codec port: values to payloads and back. Protocol only, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from wfcore.errors import CodecError
from wfcore.model import Payload


class Codec(Protocol):
    """Encodes values by type; the type is the truth, not the value (rule S15).

    ``typing.Any`` stands for "no type": plain JSON *exactly* (None, bool, int, str, finite float, list, dict with
    str keys; no subclasses, no tuples, no classes).
    """

    def check_type(self, type_: Any, namespace: Mapping[str, Any] | None = None) -> None:
        """Find out whether the codec can handle a type, and prepare for it; called often, so remember the answer.

        Args:
            type_: the type.
            namespace: names that annotations inside the type may use beside those of their modules: the local names of
                the function in which a workflow and its classes are defined.

        Raises:
            CodecError: it cannot handle the type; the path leads to the offending part of it.
        """

    def encode(self, value: object, type_: Any) -> Payload:
        """Encode a value of that type; the same value gives the same text in every process.

        Raises:
            CodecError: with path, expected and found.
        """

    def decode(self, payload: Payload, type_: Any) -> Any:
        """Decode a payload to that type, strictly.

        Raises:
            CodecError: with path, expected and found.
        """


def payload_limit(codec: Codec) -> int | None:
    """The longest payload that a codec encodes, in bytes: its ``max_payload_bytes``, if it has one."""
    limit = getattr(codec, "max_payload_bytes", None)
    return limit if isinstance(limit, int) else None


def checked(codec: Codec, value: object, type_: Any, what: str) -> Payload:
    """Encode a value, and make sure that it can be decoded again, before anything is stored (rules S5, M1, W11).

    Raises:
        CodecError: it cannot; the advice begins with ``what`` it is.
    """
    try:
        payload = codec.encode(value, type_)
        codec.decode(payload, type_)
    except CodecError as error:
        advice = f"in {what}: {error.advice}" if error.advice else f"in {what}"
        raise CodecError(error.path, error.expected, error.found, advice) from None
    return payload
