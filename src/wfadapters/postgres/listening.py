"""Notifications of other stores: one connection that waits for them, opened with the first listener. Only hints.

What is sent while there is no connection is lost; so listeners are told whenever there is one again.
"""

from __future__ import annotations

import asyncio
import logging
from threading import Event, Lock, Thread

from wfadapters.listeners import Listeners
from wfadapters.postgres.driver import psycopg
from wfadapters.postgres.settings import Settings

_logger = logging.getLogger("wfcore.store")
_RETRY_EVERY = 1.0


class AsyncEar:
    """Listens in a task of a loop, from :meth:`start` to :meth:`stop`."""

    def __init__(self, settings: Settings, listeners: Listeners) -> None:
        self._settings = settings
        self._listeners = listeners
        self._task: asyncio.Task[None] | None = None
        self._ended = False
        self.tried = Event()
        """Set once it listens, or cannot."""

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin soon; a second call does nothing. Any thread may call it."""
        loop.call_soon_threadsafe(self._begin, loop)

    async def stop(self) -> None:
        """End; it cannot begin again."""
        self._ended = True
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._task is None and not self._ended:
            self._task = loop.create_task(self._run(), name="wfcore-listen")

    async def _run(self) -> None:
        while True:
            try:
                await self._listen()
            except psycopg.Error as error:
                _logger.warning("cannot listen for notifications: %s", error)
                self.tried.set()
                await asyncio.sleep(_RETRY_EVERY)

    async def _listen(self) -> None:
        connection = await psycopg.AsyncConnection.connect(self._settings.address, autocommit=True)
        async with connection:
            await connection.execute(f"LISTEN {self._settings.schema}".encode())
            self._listeners.tell("")  # until now, they may have missed something
            self.tried.set()
            async for notify in connection.notifies():
                self._hear(notify)

    def _hear(self, notify: psycopg.Notify) -> None:
        """Pass a notification on, unless this store has sent it: then its listeners know."""
        sender, _, ref = notify.payload.partition(" ")
        if sender != self._settings.sender:
            self._listeners.tell(ref)


class Ear:
    """The same for a store without a loop: it has one of its own, in a thread, from the first :meth:`start` on."""

    def __init__(self, settings: Settings, listeners: Listeners) -> None:
        self._ear = AsyncEar(settings, listeners)
        self._lock = Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        """Begin; a second call does nothing. It listens when this returns, if the server can be reached now."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.SelectorEventLoop()  # what psycopg needs, on Windows too
                self._thread = Thread(target=self._loop.run_forever, name="wfcore-listen", daemon=True)
                self._thread.start()
                self._ear.start(self._loop)
                self._ear.tried.wait()

    def stop(self) -> None:
        """End; a second call does nothing, and it cannot begin again."""
        with self._lock:
            if self._loop and self._thread.is_alive():  # not in a forked child
                asyncio.run_coroutine_threadsafe(self._ear.stop(), self._loop).result()
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._thread.join()
                self._loop.close()
