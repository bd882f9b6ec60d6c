"""What other processes do in the test of clause A3; a module of its own, because they import it."""

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from threading import Barrier
from typing import Any

from wfcore.plan import Applied, PutStep
from wfcore.testing.conformance.adapter import Adapter, noon
from wfcore.testing.conformance.build import REF, step, tick
from wfcore.testing.conformance.loop import Loop
from wfcore.testing.conformance.rig import Rig

PROCESSES = 3
LAST_VERSION = 100
PATIENCE = 60
"""Seconds that a process waits for the others."""


def cannot_be_opened(open_: Callable[..., Any]) -> str | None:
    """Why other processes cannot call an adapter's ``open``; ``None``: they can."""
    try:
        pickle.dumps(open_)
    except Exception as error:
        return f"the adapter's `open` cannot be pickled, so no other process can call it: {error}"
    return None


def competed(open_: Callable[..., Any], *, asynchronous: bool) -> list[list[int]]:
    """Let several processes bring the instance from version to version; which versions each of them has written."""
    spawn = multiprocessing.get_context("spawn")
    with spawn.Manager() as manager, ProcessPoolExecutor(PROCESSES, spawn) as pool:
        barrier = manager.Barrier(PROCESSES)
        running = [pool.submit(_compete, open_, asynchronous, barrier, f"p{n}") for n in range(PROCESSES)]
        return [each.result() for each in running]


def _compete(open_: Callable[..., Any], asynchronous: bool, barrier: Barrier, name: str) -> list[int]:  # noqa: FBT001 - by the pool
    won = []
    with Rig(Adapter(open=open_), noon, Loop() if asynchronous else None) as rig:
        store = rig.open()
        barrier.wait(PATIENCE)
        version = 1
        for _ in range(PROCESSES * LAST_VERSION):
            if version >= LAST_VERSION:
                break
            mine = tick(version, PutStep(step(f"do:{version + 1}", result=name)), created_by=name)
            if isinstance(store.apply(mine), Applied):
                won.append(version + 1)
            found = store.retrieve(REF).instance
            assert found is not None
            version = found.version
    return won
