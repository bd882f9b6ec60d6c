"""The clock that stores use unless they are given another."""

from __future__ import annotations

from datetime import UTC, datetime


def utc_now() -> datetime:
    """The time of this machine."""
    return datetime.now(UTC)
