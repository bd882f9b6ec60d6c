"""Notifications of other stores: one connection that waits for them, opened with the first listener. Only hints.

What is sent while the connection is lost is lost; a dispatcher finds the work at its next poll.
"""

from __future__ import annotations

import asyncio
import logging
import selectors
import socket
from threading import Lock, Thread
from typing import Any

from wfadapters.listeners import Listeners
from wfadapters.postgres.driver import psycopg
from wfadapters.postgres.settings import Settings

_logger = logging.getLogger("wfcore.store")
_RETRY_EVERY = 1.0


def heard(settings: Settings, listeners: Listeners, notify: psycopg.Notify) -> None:
    """Pass a notification on, unless this store has sent it: then its listeners know."""
    sender, _, ref = notify.payload.partition(" ")
    if sender != settings.sender:
        listeners.tell(ref)


class Ear:
    """Listens in a thread, from :meth:`start` to :meth:`stop`."""

    def __init__(self, settings: Settings, listeners: Listeners) -> None:
        self._settings = settings
        self._listeners = listeners
        self._lock = Lock()
        self._thread: Thread | None = None

    def start(self) -> None:
        """Begin; a second call does nothing. It listens when this returns, if the server can be reached now."""
        with self._lock:
            if self._thread is None:
                self._stop, self._stopped = socket.socketpair()
                self._thread = Thread(target=self._run, args=(self._connect(),), name="wfcore-listen", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """End; a second call does nothing, and it cannot begin again."""
        with self._lock:
            if self._thread is not None:
                self._stop.close()
                self._thread.join()
                self._stopped.close()

    def _connect(self) -> psycopg.Connection[Any] | None:
        try:
            connection = psycopg.connect(self._settings.conninfo, autocommit=True)
            connection.execute(f"LISTEN {self._settings.schema}".encode())
        except psycopg.Error as error:
            _logger.warning("cannot listen for notifications: %s", error)
            return None
        return connection

    def _run(self, connection: psycopg.Connection[Any] | None) -> None:
        while not self._stop_after_waiting_for(connection):
            connection = self._hear(connection) if connection else self._connect()
        if connection:
            connection.close()

    def _stop_after_waiting_for(self, connection: psycopg.Connection[Any] | None) -> bool:
        """Wait for news, or without a connection for the time to try again; tell whether to stop instead."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._stopped, selectors.EVENT_READ)
            if connection:
                selector.register(connection.fileno(), selectors.EVENT_READ)
            return any(key.fileobj is self._stopped for key, _ in selector.select(None if connection else _RETRY_EVERY))

    def _hear(self, connection: psycopg.Connection[Any]) -> psycopg.Connection[Any] | None:
        try:
            for notify in connection.notifies(timeout=0):
                heard(self._settings, self._listeners, notify)
        except psycopg.Error as error:
            _logger.warning("lost the connection that listens for notifications: %s", error)
            connection.close()
            return None
        return connection


class AsyncEar:
    """Listens in a task of the store's loop, from :meth:`start` to :meth:`stop`."""

    def __init__(self, settings: Settings, listeners: Listeners) -> None:
        self._settings = settings
        self._listeners = listeners
        self._task: asyncio.Task[None] | None = None
        self._ended = False

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
                await asyncio.sleep(_RETRY_EVERY)

    async def _listen(self) -> None:
        connection = await psycopg.AsyncConnection.connect(self._settings.conninfo, autocommit=True)
        async with connection:
            await connection.execute(f"LISTEN {self._settings.schema}".encode())
            async for notify in connection.notifies():
                heard(self._settings, self._listeners, notify)
