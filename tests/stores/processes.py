"""What the processes of ``test_sqlite_processes`` do; a module of its own, because they import it."""

from collections.abc import Sequence
from pathlib import Path
from threading import Barrier

from tests.stores.build import REF, create, step, tick
from wfadapters.sqlite import SqliteStore
from wfcore.plan import Applied, PutStep


def open_together(paths: Sequence[Path], barrier: Barrier, name: str) -> list[bool]:
    """Open each file at the same moment as the others; tell whether this process created the instance."""
    won = []
    for path in paths:
        barrier.wait()
        with SqliteStore(path, synchronous="OFF") as store:
            won.append(isinstance(store.apply(create(created_by=name)), Applied))
    return won


def compete(path: Path, barrier: Barrier, name: str, last: int) -> list[int]:
    """Try to bring the instance from version to version; tell which versions this process has written."""
    won = []
    with SqliteStore(path, synchronous="OFF") as store:
        barrier.wait()
        version = 1
        while version < last:
            mine = tick(version, PutStep(step(f"do:{version + 1}", result=name)), created_by=name)
            if isinstance(store.apply(mine), Applied):
                won.append(version + 1)
            found = store.retrieve(REF).instance
            assert found is not None
            version = found.version
    return won
