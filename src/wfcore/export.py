"""Snapshots and plans as JSON text that later versions can read. No I/O: what becomes of the text is the caller's.

For bug reports, for tests with rows of production, for reviewing a plan before it is applied. Every text begins with
its ``format_version``. Reading is strict, but a field that is not known is ignored, and a field that is missing has its
default: a format version lives as long as that is enough.
"""

from __future__ import annotations

from typing import Any

import attrs

from wfcore.codec import JsonCodec
from wfcore.errors import CodecError
from wfcore.model import Snapshot
from wfcore.plan import Plan

FORMAT_VERSION = 1
"""Of the texts that this version writes."""
_CODEC = JsonCodec(max_payload_bytes=2**63)  # an export holds many payloads


@attrs.frozen
class _Versioned:
    format_version: int


@attrs.frozen
class _ExportedSnapshot:
    format_version: int
    snapshot: Snapshot


@attrs.frozen
class _ExportedPlan:
    format_version: int
    plan: Plan


def export_snapshot(snapshot: Snapshot) -> str:
    """A snapshot as JSON text: all rows of it, payloads byte for byte, instants to the microsecond.

    It holds what the workflow's users stored; nothing is left out or hidden.

    Args:
        snapshot: what a store's ``retrieve`` returned.
    """
    return _CODEC.encode(_ExportedSnapshot(FORMAT_VERSION, snapshot), _ExportedSnapshot)


def import_snapshot(text: str) -> Snapshot:
    """The snapshot that :func:`export_snapshot` wrote, by this version or an older one.

    Args:
        text: the whole text.

    Raises:
        CodecError: the text is damaged, holds something else, or has a format version that is not known.
    """
    exported: _ExportedSnapshot = _imported(text, _ExportedSnapshot)
    return exported.snapshot


def export_plan(plan: Plan) -> str:
    """A plan as JSON text.

    Args:
        plan: what a planner returned.

    Raises:
        CodecError: a ``Write`` in it holds something else than plain JSON.
    """
    return _CODEC.encode(_ExportedPlan(FORMAT_VERSION, plan), _ExportedPlan)


def import_plan(text: str) -> Plan:
    """The plan that :func:`export_plan` wrote, by this version or an older one.

    Args:
        text: the whole text.

    Raises:
        CodecError: as :func:`import_snapshot`.
    """
    exported: _ExportedPlan = _imported(text, _ExportedPlan)
    return exported.plan


def _imported(text: str, type_: type[Any]) -> Any:
    found = _CODEC.decode(text, _Versioned).format_version
    if found != FORMAT_VERSION:
        raise CodecError(
            "$.format_version",
            str(FORMAT_VERSION),
            str(found),
            "another version of wfcore wrote it: read it with that one",
        )
    return _CODEC.decode(text, type_)
