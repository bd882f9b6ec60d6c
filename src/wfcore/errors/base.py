"""The root of the hierarchy; values only, no I/O."""

from __future__ import annotations


class WfcoreError(Exception):
    """Base of everything that wfcore raises at its users."""
