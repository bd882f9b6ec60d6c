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
