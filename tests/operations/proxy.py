"""A wire between clients and a PostgreSQL server that can be cut, or go dead, at a moment that matters."""

import selectors
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from threading import Event, Lock, Thread
from typing import Any, Literal, TypeAlias

import attrs
import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

Blow: TypeAlias = Literal["before", "after", "dead"]
"""Cut before the server gets it; cut after the server has done it, and before the client knows; or nothing comes
through any more, and nobody is told."""
Judge: TypeAlias = Callable[[bytes], Blow | None]
_READY = b"Z\x00\x00\x00\x05"  # and one byte: the server waits for the next


def unharmed(said: bytes) -> None:
    """What is said comes through."""


@attrs.define
class Wire:
    """The proxy.

    Attributes:
        url: what goes through it.
        judge: asked about everything that a client says.
        blows: those that were dealt.
    """

    url: str
    _server: Callable[[], socket.socket]
    judge: Judge = unharmed
    blows: list[Blow] = attrs.field(factory=list)
    _ended: Event = attrs.field(factory=Event)
    _lock: Lock = attrs.field(factory=Lock)

    def serve(self, door: socket.socket) -> None:
        with suppress(OSError):  # it is closed
            while True:
                client, _ = door.accept()
                Thread(target=self._carry, args=(client,), name="wire", daemon=True).start()

    def end(self) -> None:
        self._ended.set()

    def _carry(self, client: socket.socket) -> None:
        with (
            closing(client),
            suppress(OSError),
            closing(self._server()) as server,
            selectors.DefaultSelector() as either,
        ):
            either.register(client, selectors.EVENT_READ)
            either.register(server, selectors.EVENT_READ)
            while not self._ended.is_set():
                for key, _ in either.select(0.2):
                    said = key.fileobj.recv(1 << 20)  # type: ignore[union-attr]
                    if not said:
                        return
                    if key.fileobj is server:
                        client.sendall(said)
                    elif not self._pass_on(said, server):
                        return

    def _pass_on(self, said: bytes, server: socket.socket) -> bool:
        with self._lock:
            blow = self.judge(said)
            if blow is not None:
                self.blows.append(blow)
        if blow == "dead":
            self._ended.wait()
        if blow in ("dead", "before"):
            return False
        server.sendall(said)
        if blow == "after":
            answer = server.recv(1 << 20)
            while answer[-6:-1] != _READY:
                answer += server.recv(1 << 20)
        return blow is None


@contextmanager
def wire_to(url: str, **options: Any) -> Iterator[Wire]:
    """A wire to that server, on a port of this machine.

    Args:
        url: of the server.
        options: what the wire's own URL says beside.
    """
    with psycopg.connect(url) as connection:
        host, port = connection.info.host, connection.info.port

    def connect() -> socket.socket:
        if not host.startswith("/"):
            return socket.create_connection((host, port))
        server = socket.socket(socket.AF_UNIX)
        server.connect(f"{host}/.s.PGSQL.{port}")
        return server

    with ExitStack() as stack:
        door = stack.enter_context(closing(socket.socket()))
        # Small, so that what a dead wire does not take is soon seen by who sends it.
        door.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        door.bind(("127.0.0.1", 0))
        door.listen()
        place = {"host": "127.0.0.1", "port": door.getsockname()[1]}
        wire = Wire(make_conninfo("", **{**conninfo_to_dict(url), **place, **options}), connect)
        stack.callback(wire.end)
        Thread(target=wire.serve, args=(door,), name="wire", daemon=True).start()
        yield wire
        door.shutdown(socket.SHUT_RDWR)
