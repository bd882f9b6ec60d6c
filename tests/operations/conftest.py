"""Servers that may be mistreated, and what is logged meanwhile."""

import logging
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest

from tests.operations.said import Said
from tests.postgres.server import Server


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of the test's own."""
    server = Server()
    server.start()
    yield server
    server.remove()


@pytest.fixture
def server_with_quota() -> Iterator[Server]:
    """A server whose files may be limited to 1 MB."""
    server = Server(wal_segment=1, min_wal_size="2MB")
    server.start()
    yield server
    server.remove()


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
