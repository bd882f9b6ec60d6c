"""What the processes of ``test_sqlite_processes`` do; a module of its own, because they import it."""

from collections.abc import Sequence
from pathlib import Path
from threading import Barrier

from tests.stores.build import create
from wfadapters.sqlite import SqliteStore
from wfcore.plan import Applied


def open_together(paths: Sequence[Path], barrier: Barrier, name: str) -> list[bool]:
    """Open each file at the same moment as the others; tell whether this process created the instance."""
    won = []
    for path in paths:
        barrier.wait()
        with SqliteStore(path, synchronous="OFF") as store:
            won.append(isinstance(store.apply(create(created_by=name)), Applied))
    return won
