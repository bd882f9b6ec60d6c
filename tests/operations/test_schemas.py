"""Processes of an older wfcore, and the schema of a newer one: they go on, or say what to do; nothing is lost."""

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, closing
from pathlib import Path

import attrs
import psycopg
import pytest

from tests.crash.shop import CHECKOUT
from tests.operations.said import Said
from tests.operations.sites import Site, on_postgres, on_sqlite
from tests.operations.trade import Trade, all_done, each_once
from wfadapters.postgres.schema import SCHEMA_VERSION as OF_POSTGRES
from wfadapters.sqlite.schema import SCHEMA_VERSION as OF_SQLITE
from wfcore import SchemaVersionError

KINDS = [
    pytest.param((kind, colour), id=f"{kind}-{colour}", marks=[pytest.mark.postgres] * (kind == "postgres"))
    for kind in ("sqlite", "postgres")
    for colour in ("threads", "asyncio")
]


@attrs.frozen
class Place:
    """A database.

    Attributes:
        kind: what it is.
        open: a site on it.
        execute: statements, by somebody else.
        version: what this adapter writes.
    """

    kind: str
    open: Callable[[], AbstractContextManager[Site]]
    execute: Callable[[str], None]
    version: int


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    kind, colour = request.param
    if kind == "sqlite":
        path = tmp_path / "workflows.db"
        return Place(kind, lambda: on_sqlite(path, colour), lambda script: in_sqlite(path, script), OF_SQLITE)
    url = request.getfixturevalue("url")
    return Place(kind, lambda: on_postgres(url, colour), lambda script: in_postgres(url, script), OF_POSTGRES)


def in_sqlite(path: Path, script: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None, timeout=30)) as connection:
        connection.executescript(f"BEGIN IMMEDIATE; {script}; COMMIT;")


def in_postgres(url: str, script: str) -> None:
    with psycopg.connect(url, options="-c search_path=wfcore") as connection:
        connection.execute(script.encode())


COMPATIBLE = """
    ALTER TABLE wfcore_instances ADD COLUMN owner text;
    CREATE INDEX wfcore_instances_by_owner ON wfcore_instances (owner);
    UPDATE wfcore_meta SET value = 99
"""
INCOMPATIBLE = "ALTER TABLE wfcore_instances RENAME COLUMN params TO parameters; UPDATE wfcore_meta SET value = 99"
UNDONE = "ALTER TABLE wfcore_instances RENAME COLUMN parameters TO params; UPDATE wfcore_meta SET value = {}"


def test_an_old_process_goes_on_in_a_newer_schema_that_has_what_it_needs(place: Place) -> None:
    with place.open() as site, site.dispatching():
        trade = Trade(site.client)
        trade.begin(4)
        place.execute(COMPATIBLE)
        trade.begin(4)
        trade.approve()
        assert trade.outcome() == all_done(8)
        assert site.rows() == each_once(8)


def test_an_old_process_in_a_newer_schema_that_it_cannot_use_says_so_and_changes_nothing(
    place: Place, said: Said
) -> None:
    with place.open() as site:
        trade = Trade(site.client)
        trade.begin(3)
        place.execute(INCOMPATIBLE)
        with site.dispatching():
            said.wait_for("a newer wfcore has")
            with pytest.raises(SchemaVersionError, match=r"a newer wfcore has .*: install that version here") as caught:
                site.client.create(CHECKOUT, 3, id="3")
            assert (caught.value.found, caught.value.supported) == (99, place.version)
            with pytest.raises(SchemaVersionError), place.open():
                pass
            place.execute(UNDONE.format(place.version))  # stands for processes that know the newer schema
            trade.begin(1)
            trade.approve()
            assert trade.outcome() == all_done(4)
        assert site.rows() == each_once(4)


BACK_TO_1 = {
    "sqlite": """
        DROP TRIGGER wfcore_tags_insert; DROP TRIGGER wfcore_tags_update; DROP TRIGGER wfcore_tags_delete;
        DROP TABLE wfcore_tags; DROP INDEX wfcore_instances_by_status; DROP INDEX wfcore_instances_by_workflow;
        UPDATE wfcore_meta SET value = 1
    """,
    "postgres": """
        DROP STATISTICS wfcore_instances_labels;
        DROP INDEX wfcore_instances_status, wfcore_instances_workflow, wfcore_instances_tags;
        UPDATE wfcore_meta SET value = 1
    """,
}


def test_an_old_schema_is_migrated_while_processes_that_have_it_open_are_at_work(place: Place) -> None:
    """They need nothing that a newer one lacks: here, that of version 1."""
    with place.open() as site:
        place.execute(BACK_TO_1[place.kind])
        trade = Trade(site.client)
        with site.dispatching(), site.dispatching(), ThreadPoolExecutor(1) as customers:
            trade.begin(10)
            begun = customers.submit(trade.begin, 10)
            with place.open() as newer:
                begun.result()
                trade.approve()
                assert trade.outcome() == all_done(20)
                assert sum(newer.client.count_by_status().values()) == 20
        assert site.rows() == each_once(20)
