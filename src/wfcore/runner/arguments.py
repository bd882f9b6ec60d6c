"""What clients and dispatchers are made of, checked where they are made: a wrong one would be found out much later."""

from __future__ import annotations

from datetime import timedelta

from wfcore.workflow import Registry


def check_parts(store: object, registry: object) -> None:
    """Refuse what is no store, or no registry. Raises ``TypeError``."""
    if not (hasattr(store, "retrieve") and hasattr(store, "apply")):
        raise TypeError(f"{store!r} is no store: it has no retrieve() and apply(); pass one, such as SqliteStore(path)")
    if not isinstance(registry, Registry):
        raise TypeError(f"registry: pass Registry([...]), not a {type(registry).__name__}")


def check_durations(**durations: object) -> None:
    """Refuse numbers in place of durations. Raises ``TypeError``."""
    for name, value in durations.items():
        if not isinstance(value, timedelta):
            raise TypeError(f"{name}={value!r}: must be a timedelta, such as timedelta(seconds=10)")


def check_settings(concurrency: int, *, poll_interval: timedelta, recover_after: timedelta) -> None:
    """Refuse a dispatcher's settings that are out of range. Raises ``TypeError``, ``ValueError``."""
    if concurrency < 1:
        raise ValueError(f"concurrency={concurrency}: must be at least 1")
    check_durations(poll_interval=poll_interval, recover_after=recover_after)
    if min(poll_interval, recover_after) <= timedelta(0):
        raise ValueError("poll_interval and recover_after must be longer than zero")
