"""The records' tables as SQL: their columns, how they are read in one statement and put by another. No I/O.

Rows are written as JSON arrays, which take half as long as objects to build and to read. Instants are ``timestamptz``;
they are written as ISO 8601 and read as the microseconds that ``wfadapters.rows`` takes, so neither the session's time
zone nor its date style matters. Text is collated by code point, as Python sorts it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from typing import Any

import attrs

from wfadapters import rows
from wfadapters.columns import Table, read_instant

HOOKS = attrs.evolve(rows.HOOKS, columns={**rows.HOOKS.columns, "shard_hash": "integer"})
"""The hooks as they are stored, with ``wfcore.keys.shard_hash`` of their instance (rule R4)."""


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


def written(table: Table, row: Sequence[Any]) -> list[Any]:
    """A row as :func:`putting` and :func:`adding` take it, behind the words that say what to do with it."""
    values = list(row)
    for place in _instants(table):
        if values[place] is not None:
            values[place] = _iso(values[place])
    return values


@cache
def _instants(table: Table) -> list[int]:
    return [place for place, column in enumerate(table.columns) if _is_instant(column)]


@lru_cache(maxsize=1024)  # most rows of a plan have the same few
def _iso(column: int) -> str:
    return read_instant(column).isoformat()


def _taken(table: Table) -> Mapping[str, str]:
    """For each column the expression that takes its value from the JSON array ``item``."""
    casts = {"text": "", "bigint": "::bigint", "timestamptz": "::timestamptz"}
    kinds = ((name, _type(name, kind).split()[0]) for name, kind in table.columns.items())
    return {name: f"(item ->> {place}){casts[kind]}" for place, (name, kind) in enumerate(kinds, start=1)}


def _inserting(schema: str, table: Table) -> str:
    taken = _taken(table)
    return f"INSERT INTO {schema}.{table.name} ({', '.join(taken)}) VALUES ({', '.join(taken.values())})"


def adding(schema: str, table: Table) -> str:
    """The statement that inserts a row from ``item``, unless its identity exists."""
    return f"{_inserting(schema, table)} ON CONFLICT DO NOTHING"


def putting(schema: str, table: Table) -> str:
    """The statement that inserts a row from ``item``, or puts it in place of the one of its identity."""
    changes = ", ".join(f"{column} = excluded.{column}" for column in table.columns if column not in table.key)
    return f"{_inserting(schema, table)} ON CONFLICT ({', '.join(table.key)}) DO UPDATE SET {changes}"


def updating(schema: str, table: Table) -> str:
    """The statement that puts a row from ``item`` in place of the one of its identity, if there is one."""
    changes = ", ".join(f"{column} = {value}" for column, value in _taken(table).items() if column not in table.key)
    return f"UPDATE {schema}.{table.name} SET {changes} WHERE {_found(table, table.key)}"


def deleting(schema: str, table: Table, by: Sequence[str]) -> str:
    """The statement that deletes the rows that have what ``item`` says in these columns, the table's first."""
    return f"DELETE FROM {schema}.{table.name} WHERE {_found(table, by)}"


def _found(table: Table, by: Sequence[str]) -> str:
    taken = _taken(table)
    return " AND ".join(f"{column} = {taken[column]}" for column in by)


def wake_up(of: str = "") -> str:
    """Which hooks are no terminal notices: what ``wfcore.keys.is_terminal_notice`` says, as an index has it."""
    return f"substr({of}id, length({of}instance_ref) + 1, 10) <> '#terminal:'"


def notice(of: str = "") -> str:
    """Which hooks are terminal notices."""
    return f"NOT {wake_up(of)}"


def labels(tags: str) -> str:
    r"""The expression that makes tags, JSON text in ASCII, comparable by ``@>``.

    PostgreSQL has no NUL and no half of a surrogate pair: they become text, ``\0`` and ``\ud800``; a backslash, two.
    """
    escaped = rf"replace(replace({tags}, '\\', '\u005c\u005c'), '\u0000', '\u005c0')"
    return rf"replace({escaped}, '\ud', '\u005cud')::jsonb"
