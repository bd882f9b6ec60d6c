"""Cursors: a place in a list of instances as text, good for the same filters only. Pure: no I/O, no clock.

A cursor is URL-safe Base64 of a small JSON object: the instance before the next page (``created_at`` in microseconds
since 1970, and ``ref``), and a digest of the filters. It holds nothing that the page before did not show.
"""

from __future__ import annotations

import json
from base64 import b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from wfcore.errors import CursorError
from wfcore.keys import digest

Position: TypeAlias = tuple[datetime, str]
"""``created_at`` and ``ref`` of an instance: its place in a list, which shows the greatest first."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_GARBAGE = "no page has given it, or a part of it is missing"


def encode(position: Position, filters: str) -> str:
    """The cursor of the page that begins after this instance.

    Args:
        position: the last instance of the page before.
        filters: what the list leaves out, as text that is the same for the same filters.
    """
    created_at, ref = position
    place = {"at": microseconds(created_at), "ref": ref, "of": _of(filters)}
    return urlsafe_b64encode(json.dumps(place, separators=(",", ":")).encode()).decode().rstrip("=")


def decode(cursor: str, filters: str) -> Position:
    """The inverse of :func:`encode`.

    Raises:
        CursorError: no page has given it, or one of a list with other filters.
    """
    try:
        place = json.loads(b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
        match place:
            case {"at": int(at), "ref": str(ref), "of": str(of), **rest} if not rest and type(at) is int:
                position = _EPOCH + timedelta(0, 0, at), ref
            case _:
                raise CursorError(cursor, _GARBAGE)
    except (ValueError, OverflowError, RecursionError, TypeError):
        raise CursorError(cursor, _GARBAGE) from None
    if of != _of(filters):
        raise CursorError(cursor, "it belongs to a list with other filters")
    return position


def microseconds(instant: datetime) -> int:
    """Since 1970 UTC, exact."""
    return (instant - _EPOCH) // _MICROSECOND


def _of(filters: str) -> str:
    return digest("cursor", filters).hex()[:16]
