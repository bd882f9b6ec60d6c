"""The default codec, JSON by way of cattrs; no I/O."""

from wfcore.codec.json_codec import JSON, MAX_PAYLOAD_BYTES, JsonCodec

__all__ = ["JSON", "MAX_PAYLOAD_BYTES", "JsonCodec"]
