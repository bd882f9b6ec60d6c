"""What both stores are given, checked; no I/O."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import timedelta
from secrets import token_hex
from typing import Any

import attrs

from wfadapters.postgres.driver import psycopg
from wfcore.errors import StoreUnavailableError

_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,62}")
# A server, or a network, that is gone without a word: nobody may wait for it for the hours that systems allow. What is
# answered late by a machine that is there is waited for. In seconds, but the last, which is in milliseconds.
_GONE: Mapping[str, Any] = {
    "connect_timeout": 10,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}


def _check_schema(_settings: object, _field: object, value: str) -> None:
    if not _SCHEMA.fullmatch(value):
        raise ValueError(f"schema={value!r}: must be a lower-case name of letters, digits and _, at most 63 long")


def _check_timeout(_settings: object, _field: object, value: timedelta) -> None:
    if value <= timedelta(0):
        raise ValueError(f"timeout={value!r}: must be positive")


def _check_size(_settings: object, _field: object, value: int) -> None:
    if value < 1:
        raise ValueError(f"pool_size={value!r}: must be at least 1")


@attrs.frozen
class Settings:
    """How a store connects.

    Attributes:
        conninfo: a connection string or URL.
        schema: the name of the schema that holds the tables.
        timeout: how long to wait for a free connection, and for the locks of others.
        pool_size: at most so many connections, the listener's not counted.
        sender: tells this store's notifications from others'.
        process: the process that opened the store.
    """

    conninfo: str = attrs.field(repr=False)
    schema: str = attrs.field(validator=_check_schema)
    timeout: timedelta = attrs.field(validator=_check_timeout)
    pool_size: int = attrs.field(validator=_check_size)
    sender: str = attrs.field(factory=lambda: token_hex(8), init=False)
    process: int = attrs.field(factory=os.getpid, init=False)

    @property
    def address(self) -> str:
        """Where to connect, and when to give up a server that is gone, unless somebody has said that already.

        The connection string may, or an environment variable, or the service file that either of them names.
        """
        given = psycopg.conninfo.conninfo_to_dict(self.conninfo)
        said = {each.keyword.decode() for each in psycopg.pq.Conninfo.get_defaults() if each.val is not None}
        ours = {} if "service" in given else {name: value for name, value in _GONE.items() if name not in said}
        return psycopg.conninfo.make_conninfo("", **{**ours, **given})

    @property
    def pool(self) -> Mapping[str, Any]:
        """Arguments of a pool. A lost connection is replaced when it is next needed, however long that takes."""
        return {
            "kwargs": {"autocommit": True},
            "min_size": 1,
            "max_size": self.pool_size,
            "open": False,
            "timeout": self.timeout.total_seconds(),
            "reconnect_timeout": self.timeout.total_seconds(),
        }

    @property
    def opening(self) -> float:
        """Seconds that a pool may take for its first connection, which has to be made: no less than a machine takes."""
        return max(self.timeout.total_seconds(), 2.0)

    @property
    def limits(self) -> bytes:
        """The statement that a new connection begins with."""
        milliseconds = max(self.timeout // timedelta(milliseconds=1), 1)
        return f"SET lock_timeout = {min(milliseconds, 2**31 - 1)}".encode()

    def check_process(self, operation: str) -> None:
        """Raise :class:`StoreUnavailableError` in a forked child: two processes cannot share a connection."""
        if os.getpid() != self.process:
            reason = "the store was opened before this process was forked"
            raise StoreUnavailableError(operation, reason, "open a store of its own in every process, after the fork")
