"""The default codec, JSON by way of cattrs; no I/O."""

from wfcore.codec.json_codec import JSON, JsonCodec

__all__ = ["JSON", "JsonCodec"]
