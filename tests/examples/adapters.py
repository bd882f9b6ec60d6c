"""The store of examples/adapters for the conformance suite: where its data is, and how its database fails."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cache, partial
from typing import Any

import sqlalchemy as sa
from examples.adapters.sqlalchemy_store import SqlAlchemyStore, metadata, open_engine
from psycopg.conninfo import conninfo_to_dict

from tests.postgres.database import new_database
from tests.postgres.server import server_url
from wfcore.testing.conformance import Adapter, Note

OURS = sa.MetaData()
NOTES = sa.Table(
    "notes",
    OURS,
    sa.Column("place", sa.Integer, primary_key=True),
    sa.Column("text", sa.Text, sa.CheckConstraint("text <> ''")),
)
_DEFERRED = sa.ForeignKey(NOTES.c.place, deferrable=True, initially="DEFERRED")
REPLIES = sa.Table("replies", OURS, sa.Column("place", sa.Integer, _DEFERRED))


class ReplyToNothing:
    """Breaks the foreign key, which the database looks at when it commits."""


def adapter(url: str) -> Adapter:
    """Make the tables, or empty them."""
    engine = open_engine(url)
    for tables in (metadata, OURS):
        tables.create_all(engine)
    with engine.begin() as connection:
        for table in (*metadata.tables.values(), NOTES):
            connection.execute(sa.delete(table))
    engine.dispose()
    return Adapter(
        open=partial(opened, url),
        written=written,
        fails_at_commit=ReplyToNothing(),
        within=within,
        faulty=partial(faulty, url),
    )


@cache
def postgres_url() -> str:
    """The URL of a database of our own."""
    database = conninfo_to_dict(new_database())["dbname"]
    url = sa.make_url(server_url()).set(drivername="postgresql+psycopg", database=str(database))
    return url.render_as_string(hide_password=False)


@contextmanager
def opened(url: str, clock: Callable[[], datetime] | None = None, **options: Any) -> Iterator[SqlAlchemyStore]:
    engine = open_engine(url, **options)
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA foreign_keys = ON"))
    try:
        yield SqlAlchemyStore(engine, clock=clock, writers={Note: write_note, ReplyToNothing: reply})
    finally:
        engine.dispose()


def write_note(connection: sa.Connection, note: Note) -> None:
    connection.execute(sa.insert(NOTES), {"text": note.text})


def reply(connection: sa.Connection, _value: ReplyToNothing) -> None:
    connection.execute(sa.insert(REPLIES), {"place": 0})


def written(store: SqlAlchemyStore) -> list[str]:
    with store.engine.begin() as connection:
        return [str(text) for text in connection.scalars(sa.select(NOTES.c.text).order_by("place"))]


@contextmanager
def within(store: SqlAlchemyStore) -> Iterator[SqlAlchemyStore]:
    with store.engine.begin() as connection:
        yield store.within(connection)


@contextmanager
def faulty(url: str, clock: Callable[[], datetime], strikes: Callable[[], bool]) -> Iterator[SqlAlchemyStore]:
    """Its database may fail before every statement and rollback, and before and after every commit."""
    with opened(url, clock) as store:
        dialect = store.engine.dialect
        do_execute, do_commit, do_rollback = dialect.do_execute, dialect.do_commit, dialect.do_rollback

        def execute(cursor: Any, *arguments: Any, **options: Any) -> None:
            if strikes():
                fail(cursor.connection)
            do_execute(cursor, *arguments, **options)

        def commit(connection: Any) -> None:
            if strikes():
                fail(connection.dbapi_connection)
            do_commit(connection)
            if strikes():
                fail(connection.dbapi_connection)

        def rollback(connection: Any) -> None:
            if strikes():
                fail(connection.dbapi_connection)
            do_rollback(connection)

        dialect.do_execute, dialect.do_commit = execute, commit  # type: ignore[method-assign, assignment]
        dialect.do_rollback = rollback  # type: ignore[method-assign, assignment]
        yield store


def fail(connection: Any) -> None:
    """PostgreSQL: the connection is lost. SQLite: the disk cannot be read."""
    if not isinstance(connection, sqlite3.Connection):
        connection.close()
        connection.commit()
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode, error.sqlite_errorname = sqlite3.SQLITE_IOERR, "SQLITE_IOERR"
    raise error
