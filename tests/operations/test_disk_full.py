"""No room on the disk, by a small file system or by a quota: it is said, and all goes on once there is room (T6)."""

import json
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from tests.operations.said import Said
from tests.operations.scarce import run_short
from tests.operations.sites import Colour, on_postgres, on_sqlite
from tests.operations.trade import Trade, all_done, each_once
from tests.postgres.server import NOBODY, Server

EITHER = pytest.mark.parametrize("colour", ["threads", "asyncio"])
ROOT = Path(__file__).parents[2]


def fill(folder: Path) -> None:
    """Take all the room of a file system."""
    with suppress(OSError), (folder / "ballast").open("wb", buffering=0) as ballast:
        for size in (1 << 20, 1 << 12, 1):
            with suppress(OSError):
                while True:
                    ballast.write(b"\0" * size)


def free(folder: Path) -> None:
    (folder / "ballast").unlink()


# ---- SQLite


@EITHER
def test_t6_workflows_in_sqlite_go_on_once_a_full_disk_has_room(small_disk: Path, colour: Colour, said: Said) -> None:
    with on_sqlite(small_disk / "workflows.db", colour) as site:
        refused = run_short(site, said, lambda: fill(small_disk), lambda: free(small_disk))
    assert "then it goes on" in refused


@EITHER
def test_t6_workflows_in_sqlite_go_on_once_a_quota_is_raised(tmp_path: Path, colour: Colour) -> None:
    program = [sys.executable, "-m", "tests.operations.scarce", str(tmp_path / "workflows.db"), colour]
    done = subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    assert "then it goes on" in json.loads(done.stdout)


# ---- PostgreSQL


@pytest.mark.postgres
@EITHER
def test_t6_workflows_in_postgres_go_on_once_a_full_disk_has_room(
    small_disk: Path, server: Server, colour: Colour, said: Said
) -> None:
    place = small_disk / "tables"
    place.mkdir()
    os.chown(place, NOBODY, NOBODY)
    with psycopg.connect(server.url, autocommit=True) as own:
        own.execute(f"CREATE TABLESPACE small LOCATION '{place}'".encode())
        own.execute("CREATE DATABASE small TABLESPACE small")
    url = psycopg.conninfo.make_conninfo(server.url, dbname="small")
    with on_postgres(url, colour) as site:
        refused = run_short(site, said, lambda: fill(small_disk), lambda: free(small_disk))
    with psycopg.connect(server.url, autocommit=True) as own:
        own.execute("DROP DATABASE small")
        own.execute("DROP TABLESPACE small")
    assert "No space left on device" in refused
    assert "(53100); the server's disk is full, or cannot be read or written: see to it, then it goes on" in refused


@pytest.mark.postgres
def test_t6_workflows_go_on_once_a_server_that_stopped_for_want_of_room_is_started(small_disk: Path) -> None:
    """It stops if it has no room for its log."""
    server = Server(where=small_disk, wal_segment=1, min_wal_size="2MB")
    server.start()
    with on_postgres(server.url) as site:
        trade = Trade(site.client)
        trade.begin(3)
        with site.dispatching():
            fill(small_disk)
            with suppress(psycopg.OperationalError), psycopg.connect(server.url, autocommit=True) as own:
                while True:
                    own.execute("SELECT pg_logical_emit_message(false, '', repeat('x', 500000))")
            server.wait_until_stopped()
            free(small_disk)
            server.start()
            trade.begin(3)
            trade.approve()
            assert trade.outcome() == all_done(6)
        assert site.rows() == each_once(6)
    server.remove()


HEAVY = b"""
    -- With each of the users' rows comes one that fills a page of a file, which is as large as the quota allows.
    CREATE TABLE heavy (text text STORAGE PLAIN);
    INSERT INTO heavy SELECT repeat('x', 7000) FROM generate_series(1, 128);
    CREATE RULE heavily AS ON INSERT TO records DO ALSO INSERT INTO heavy VALUES (repeat('x', 7000));
"""


@pytest.mark.postgres
@pytest.mark.skipif(shutil.which("prlimit") is None, reason="needs prlimit of util-linux")
@EITHER
def test_t6_a_users_write_that_meets_a_quota_is_not_the_workflows_fault(
    server_with_quota: Server, colour: Colour, said: Said
) -> None:
    """For a quota PostgreSQL has no code but that of an internal error."""
    with on_postgres(server_with_quota.url, colour) as site:
        with psycopg.connect(server_with_quota.url, autocommit=True) as own:
            own.execute(HEAVY)
        trade = Trade(site.client)
        trade.begin(3)
        server_with_quota.limit_files(1 << 20)
        with site.dispatching():
            said.wait_for("File too large", 3)
            server_with_quota.limit_files(None)
            trade.approve()
            assert trade.outcome() == all_done(3)
        assert site.rows() == each_once(3)
