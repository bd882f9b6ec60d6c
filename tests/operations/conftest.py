"""Servers that may be mistreated, and what is logged meanwhile."""

import logging
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import psycopg
import pytest

from tests.operations.said import Said
from tests.postgres.database import new_database
from tests.postgres.server import Server


def started(**settings: Any) -> Iterator[Server]:
    server = Server(**settings)
    server.start()
    yield server
    server.remove()


@pytest.fixture(scope="session")
def _server() -> Iterator[Server]:
    yield from started()


@pytest.fixture
def server(_server: Server) -> Server:
    """A server of these tests', with an empty database; however the last test has left it, it runs."""
    if not _server.is_running:
        _server.start()
    _server.begin_anew()
    return _server


@pytest.fixture(scope="session")
def _url() -> str:
    return new_database()


@pytest.fixture
def url(_url: str) -> str:
    """An empty database on the server that all tests share."""
    with psycopg.connect(_url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS wfcore CASCADE; DROP TABLE IF EXISTS records")
    return _url


@pytest.fixture
def narrow_server() -> Iterator[Server]:
    """A server that takes a dozen connections."""
    yield from started(max_connections="12", superuser_reserved_connections="0", max_wal_senders="0")


@pytest.fixture
def server_with_quota() -> Iterator[Server]:
    """A server whose files may be limited to 1 MB."""
    yield from started(wal_segment=1, min_wal_size="2MB")


@pytest.fixture
def said() -> Iterator[Said]:
    said = Said()
    logging.getLogger().addHandler(said)
    yield said
    logging.getLogger().removeHandler(said)


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of 48 MB."""
    folder = Path(mkdtemp(prefix="wfcore-small-"))
    mounting = ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(folder)]
    try:
        if os.geteuid() != 0 or subprocess.run(mounting, check=False, capture_output=True).returncode:
            pytest.skip("needs a file system of its own, which only root may mount")
        yield folder
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
    finally:
        folder.rmdir()
