"""Threads that do a dispatcher's work. Daemons: a body that never ends must not keep the process from ending."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import final


@final
class Pool:
    """At most ``size`` threads, started when they are needed and used again. One thread may call its methods."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._started = 0
        self._tasks: SimpleQueue[Callable[[], None] | None] = SimpleQueue()

    def submit(self, task: Callable[[], None]) -> None:
        """Run the task, which raises nothing, in one of the threads."""
        self._tasks.put(task)
        if self._started < self._size:
            self._started += 1
            threading.Thread(target=self._work, name=f"wfcore-tick-{self._started}", daemon=True).start()

    def close(self) -> None:
        """Let the threads end after what they do now."""
        for _ in range(self._started):
            self._tasks.put(None)

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            task()
