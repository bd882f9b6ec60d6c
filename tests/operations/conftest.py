"""Servers that may be mistreated, and what is logged meanwhile."""

import logging
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.operations.said import Said
from tests.postgres.server import NOBODY, Server


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of the test's own."""
    server = Server()
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
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 48 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounting = ["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mounting, check=False, capture_output=True).returncode:
        pytest.skip("needs a file system of its own, which only root may mount")
    os.chown(folder, NOBODY, NOBODY)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
