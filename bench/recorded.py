"""What the store says to SQLite, written down, so that a raw script can say the same again."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

Statement = tuple[str, Sequence[Any]]


class _Recorder(sqlite3.Cursor):
    """A cursor that writes down what it executes."""

    said: list[Statement]

    def execute(self, sql: str, parameters: Any = (), /) -> "_Recorder":
        self.said.append((sql, parameters))
        super().execute(sql, parameters)
        return self


class _Connection(sqlite3.Connection):
    said: list[Statement]

    def cursor(self, *_: Any, **__: Any) -> Any:
        cursor = super().cursor(_Recorder)
        cursor.said = self.said
        return cursor


def _connect(said: list[Statement], connect: Any, *args: Any, **options: Any) -> _Connection:
    connection: _Connection = connect(*args, factory=_Connection, **options)
    connection.said = said
    return connection


@contextmanager
def listening() -> Iterator[list[Statement]]:
    """The list of what is said on connections that are opened meanwhile."""
    said: list[Statement] = []
    connect = sqlite3.connect
    sqlite3.connect = partial(_connect, said, connect)  # type: ignore[assignment] # same call, other class
    try:
        yield said
    finally:
        sqlite3.connect = connect


class Raw:
    """The raw script: one connection, and the statements as they were recorded."""

    def __init__(self, path: Path, synchronous: str, opening: list[Statement]) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._cursor = self._connection.cursor()
        self.run([*opening, (f"PRAGMA synchronous = {synchronous}", ())])

    def run(self, statements: list[Statement]) -> None:
        execute = self._cursor.execute
        fetch = self._cursor.fetchall
        for sql, parameters in statements:
            execute(sql, parameters)
            fetch()

    def close(self) -> None:
        self._connection.close()
