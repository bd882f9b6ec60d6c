"""The web shop in a process of its own: ``python -m tests.examples.serve FD DATABASE INDEX COUNT CARRIER``.

It serves on a socket that its parent listens at, and ends with its parent.
"""

import asyncio
import os
import socket
import sys
import threading
from datetime import timedelta

import uvicorn
from examples.litestar_app.app import create_app
from examples.litestar_app.orders import Order, Partner, pretend

from wfcore import Shard


def carrier_at(port: int) -> Partner:
    """A partner whose parcels are shipped by somebody at a port, who answers when it suits him."""

    async def ask(what: str, order: Order, key: str) -> str:
        if what != "ship":
            return await pretend(what, order, key)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"{key}\n".encode())
        try:
            return (await reader.readline()).decode().strip()
        finally:
            writer.close()

    return ask


def end_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    fd, database, index, count, carrier = sys.argv[1:]
    threading.Thread(target=end_with_parent, daemon=True).start()
    app = create_app(
        database,
        shard=Shard(int(index), int(count)),
        partner=carrier_at(int(carrier)),
        recover_after=timedelta(seconds=1),
    )
    uvicorn.Server(uvicorn.Config(app, access_log=False)).run(sockets=[socket.socket(fileno=int(fd))])
