"""The records' tables as SQL: their columns, how they are read in one statement and put by another. No I/O.

Instants are ``timestamptz``; they are written as ISO 8601 and read as the microseconds that ``wfadapters.rows`` takes,
so neither the session's time zone nor its date style matters. Text is collated by code point, as Python sorts it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wfadapters.columns import Table, read_instant


def _is_instant(column: str) -> bool:
    return column.endswith("_at")


def definitions(table: Table) -> str:
    """The columns, for ``CREATE TABLE``."""
    return ", ".join(f"{name} {_type(name, kind)}" for name, kind in table.columns.items())


def _type(name: str, kind: str) -> str:
    type_ = "timestamptz" if _is_instant(name) else 'text COLLATE "C"' if kind.startswith("text") else "bigint"
    return type_ if kind.endswith("?") else f"{type_} NOT NULL"


def microseconds(instant: str) -> str:
    """The expression that gives an instant as microseconds since 1970 UTC, exactly."""
    return f"(extract(epoch FROM {instant}) * 1000000)::bigint"


def reading(table: Table, of: str) -> str:
    """The columns in their order, as ``wfadapters.rows`` reads them; ``of``: the table's alias."""
    return ", ".join(read(of, column) for column in table.columns)


def read(of: str, column: str) -> str:
    """One column, as ``wfadapters.rows`` reads it."""
    return microseconds(f"{of}.{column}") if _is_instant(column) else f"{of}.{column}"


def named(table: Table, row: Sequence[Any]) -> Mapping[str, Any]:
    """A row as the JSON object that :func:`inserting` takes."""
    return {
        column: read_instant(value).isoformat() if _is_instant(column) else value
        for column, value in zip(table.columns, row, strict=True)
        if value is not None
    }


def inserting(schema: str, table: Table) -> str:
    """The statement that inserts the JSON object ``item -> 1``, up to what to do if its identity exists."""
    name, columns = f"{schema}.{table.name}", ", ".join(table.columns)
    return f"INSERT INTO {name} ({columns}) SELECT {columns} FROM jsonb_populate_record(NULL::{name}, item -> 1)"


def putting(schema: str, table: Table) -> str:
    """The statement that inserts the JSON object ``item -> 1``, or puts it in place of the row of its identity."""
    changes = ", ".join(f"{column} = excluded.{column}" for column in table.columns if column not in table.key)
    return f"{inserting(schema, table)} ON CONFLICT ({', '.join(table.key)}) DO UPDATE SET {changes}"


def labels(tags: str) -> str:
    r"""The expression that makes tags, JSON text in ASCII, comparable by ``@>``.

    PostgreSQL has no NUL and no half of a surrogate pair: they become text, ``\0`` and ``\ud800``; a backslash, two.
    """
    escaped = rf"replace(replace({tags}, '\\', '\u005c\u005c'), '\u0000', '\u005c0')"
    return rf"replace({escaped}, '\ud', '\u005cud')::jsonb"
