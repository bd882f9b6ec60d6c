"""What clients and dispatchers are made of, checked where they are made: a wrong one would be found out much later."""

from __future__ import annotations

import inspect
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import get_args

from wfcore.model import InstanceStatus
from wfcore.ports import Shard
from wfcore.workflow import Registry


def check_store(store: object, *, awaited: bool = False) -> None:
    """Refuse what is no store, or one of the other colour. Raises ``TypeError``."""
    if not (hasattr(store, "retrieve") and hasattr(store, "apply")):
        raise TypeError(f"{store!r} is no store: it has no retrieve() and apply(); pass one, such as SqliteStore(path)")
    check_colour(store, store.apply, awaited=awaited)


def check_colour(port: object, method: object, *, awaited: bool) -> None:
    """Refuse a port that blocks where it is awaited, and one that is awaited where it blocks. Raises ``TypeError``."""
    name = type(port).__name__
    if awaited and not inspect.iscoroutinefunction(method):
        raise TypeError(f"{name} blocks the event loop; pass to_async(...), which calls it in threads")
    if not awaited and inspect.iscoroutinefunction(method):
        raise TypeError(f"{name} is for asyncio; use AsyncClient, AsyncDispatcher and run_tick_async")


def check_client(registry: object, poll_interval: timedelta) -> None:
    """Refuse a client's other arguments. Raises ``TypeError``, ``ValueError``."""
    check_registry(registry)
    check_durations(poll_interval=poll_interval)
    if poll_interval <= timedelta(0):
        raise ValueError("poll_interval must be longer than zero")


def check_registry(registry: object) -> None:
    """Refuse what is no registry. Raises ``TypeError``."""
    if not isinstance(registry, Registry):
        raise TypeError(f"registry: pass Registry([...]), not a {type(registry).__name__}")


def check_durations(**durations: object) -> None:
    """Refuse numbers in place of durations. Raises ``TypeError``."""
    for name, value in durations.items():
        if not isinstance(value, timedelta):
            raise TypeError(f"{name}={value!r}: must be a timedelta, such as timedelta(seconds=10)")


def check_instants(**instants: object) -> None:
    """Refuse what is no instant, or in no time zone. Raises ``ValueError``."""
    for name, value in instants.items():
        if not isinstance(value, datetime) or value.tzinfo is None:
            raise ValueError(f"{name}={value!r}: must be a datetime with a time zone")


def check_shard(shard: object) -> None:
    """Refuse what is no shard. Raises ``TypeError``."""
    if shard is not None and not isinstance(shard, Shard):
        raise TypeError(f"shard={shard!r}: pass Shard(index, count)")


def check_statuses(when: object) -> None:
    """Refuse what is no collection of statuses. Raises ``TypeError``, ``ValueError``."""
    if isinstance(when, str) or not isinstance(when, Collection):
        raise TypeError(f'when={when!r}: pass a collection of statuses, such as {{"errored"}}')
    known = get_args(InstanceStatus)
    for status in when:
        if status not in known:
            raise ValueError(f"when: {status!r} is no status; the statuses are {', '.join(known)}")


def check_settings(concurrency: int, *, poll_interval: timedelta, recover_after: timedelta) -> None:
    """Refuse a dispatcher's settings that are out of range. Raises ``TypeError``, ``ValueError``."""
    if concurrency < 1:
        raise ValueError(f"concurrency={concurrency}: must be at least 1")
    check_durations(poll_interval=poll_interval, recover_after=recover_after)
    if min(poll_interval, recover_after) <= timedelta(0):
        raise ValueError("poll_interval and recover_after must be longer than zero")
