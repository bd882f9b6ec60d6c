"""The database of many processes in PostgreSQL: one that nobody else uses, on the server of the tests."""

from contextlib import AbstractContextManager
from typing import Any

import attrs
import psycopg

from tests.crash.fleet import WholeStore
from tests.crash.shop import RECORDS, Record
from tests.postgres.database import new_database
from wfadapters.postgres import PostgresStore


@attrs.frozen
class PostgresDatabase:
    url: str = attrs.field(factory=new_database)

    def prepare(self) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(RECORDS.encode())

    def open(self) -> AbstractContextManager[WholeStore]:
        return PostgresStore(self.url, pool_size=3, writers={Record: write_record})

    def records(self) -> list[tuple[int, str]]:
        with psycopg.connect(self.url) as connection:
            return connection.execute("SELECT number, step FROM records ORDER BY number, step").fetchall()


def write_record(connection: psycopg.Connection[Any], record: Record) -> None:
    connection.execute("INSERT INTO records VALUES (%s, %s)", (record.number, record.step))
