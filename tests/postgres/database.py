"""The tables of tests in a PostgreSQL database: made once, emptied for each test, read without the store."""

import atexit
from collections.abc import Sequence
from functools import cache
from os import getpid
from typing import Any
from uuid import uuid4

import attrs
import psycopg

from tests.postgres.server import server_url
from wfadapters.columns import Table
from wfadapters.postgres import PostgresStore
from wfadapters.postgres.tables import reading

SCHEMA = f"wfcore_test_{getpid()}"
PAID = f"INSERT INTO {SCHEMA}.paid (order_id, cents) VALUES (%s, %s)"
NUMBER = f"INSERT INTO {SCHEMA}.numbers (number) VALUES (%s)"
TWICE = f"INSERT INTO {SCHEMA}.later VALUES (1), (1)"
NOTE = f"INSERT INTO {SCHEMA}.note (text) VALUES (%s)"
_PLACE = "place bigint GENERATED ALWAYS AS IDENTITY"
_OWN = f"""
    CREATE TABLE paid ({_PLACE}, order_id text PRIMARY KEY, cents bigint CHECK (cents >= 0));
    CREATE TABLE numbers ({_PLACE}, number bigint);
    CREATE TABLE later (id int UNIQUE DEFERRABLE INITIALLY DEFERRED);
    CREATE TABLE note ({_PLACE}, text text CHECK (text <> ''));
"""
_TABLES = ("numbers", "note", "wfcore_instances", "wfcore_steps", "wfcore_events", "wfcore_hooks", "paid")


def new_database() -> str:
    """The URL of a database that nobody else uses; it is dropped at the end."""
    name = f"wfcore_test_{uuid4().hex}"
    _administer(f"CREATE DATABASE {name}")
    atexit.register(_administer, f"DROP DATABASE {name} WITH (FORCE)")
    return psycopg.conninfo.make_conninfo(server_url(), dbname=name)


def _administer(statement: str) -> None:
    with psycopg.connect(server_url(), autocommit=True) as connection:
        connection.execute(statement.encode())


@attrs.frozen
class Database:
    """One schema."""

    url: str
    schema: str
    connection: psycopg.Connection[Any]

    @classmethod
    @cache
    def shared(cls) -> "Database":
        url = server_url()
        PostgresStore(url, schema=SCHEMA).close()
        connection = psycopg.connect(url, autocommit=True, options=f"-c search_path={SCHEMA}")
        connection.execute(_OWN.encode())
        return cls(url, SCHEMA, connection)

    def clear(self) -> None:
        self.connection.execute("".join(f"DELETE FROM {table};" for table in _TABLES).encode())

    def rows(self, statement: str) -> list[Any]:
        return self.connection.execute(statement.encode()).fetchall()

    def table(self, of: Table, order: str = "") -> Sequence[Any]:
        return self.rows(f"SELECT {reading(of, 't')} FROM {of.name} t {order}")

    def wait_until_blocked(self) -> None:
        """Return as soon as a store of these tests waits for a lock of another transaction."""
        blocked = f"SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%{SCHEMA}.%'"
        while self.rows(blocked) == [(0,)]:
            self.connection.execute("SELECT pg_sleep(0.005)")

    def end_connections(self, of: str) -> None:
        """End the server's side of those whose last statement contains a text, but not of this one."""
        self.rows(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
            f" WHERE pid <> pg_backend_pid() AND query LIKE '%{of}%'"
        )
