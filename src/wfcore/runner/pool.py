"""Threads that do a runner's work. Daemons: a body that never ends must not keep the process from ending."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import final


@final
class Pool:
    """Threads, started when none is free and used again; at most ``size`` of them, if that is given."""

    def __init__(self, name: str, size: int | None = None) -> None:
        self._name = name
        self._size = size
        self._lock = threading.Lock()
        self._started = 0
        self._free = 0  # less those that a waiting task will take
        self._tasks: SimpleQueue[Callable[[], None] | None] = SimpleQueue()

    def submit(self, task: Callable[[], None]) -> None:
        """Run the task, which raises nothing, in one of the threads."""
        with self._lock:
            begins = self._free <= 0 and self._started != self._size
            if begins:
                self._started += 1
            else:
                self._free -= 1
        self._tasks.put(task)
        if begins:
            threading.Thread(target=self._work, name=f"{self._name}-{self._started}", daemon=True).start()

    def close(self) -> None:
        """Let the threads end after what they do now."""
        for _ in range(self._started):
            self._tasks.put(None)

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            task()
            with self._lock:
                self._free += 1
