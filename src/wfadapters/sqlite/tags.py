"""The table of tags: which instances have a label, in each status, in the order of a list.

The database itself keeps it, by triggers on the table of instances, whose tags are JSON: a process that opened the file
before there was such a table writes to it as before, and so may you.
"""

from __future__ import annotations

from collections.abc import Iterator

_COLUMNS = ("name", "value", "status", "created_at", "ref")


def text_of(json: str) -> str:
    """The SQL that makes JSON's strings fit for SQLite, which cuts text at a NUL: different ones stay different.

    Args:
        json: the SQL of the JSON, as ``json.dumps`` writes it.
    """
    return rf"replace(replace({json}, '\\', '\u005c\u005c'), '\u0000', '\u005c0')"


def _rows_of(row: str, source: str = "") -> str:
    tags = f"CASE WHEN json_valid({row}.tags) THEN {text_of(f'{row}.tags')} END"  # JSON, unless somebody damaged it
    columns = f"key, json_each.value, {row}.status, {row}.created_at, {row}.ref"
    return f"SELECT {columns} FROM {source} json_each({tags}) WHERE json_each.type = 'text'"  # noqa: S608 # our own


def _added(row: str, source: str = "") -> str:
    return f"INSERT OR IGNORE INTO wfcore_tags {_rows_of(row, source)}"


def _deleted(row: str) -> str:
    return f"DELETE FROM wfcore_tags WHERE ({', '.join(_COLUMNS)}) IN ({_rows_of(row)})"  # noqa: S608 # as above


FILL = _added("wfcore_instances", "wfcore_instances,")
"""Writes the tags of all instances that are there already."""


def statements(types: str) -> Iterator[str]:
    """The statements that make the table and its triggers; ``types``: what a table's definition ends with."""
    key = ", ".join(_COLUMNS)
    columns = ", ".join(f"{name} {'integer' if name == 'created_at' else 'text'} NOT NULL" for name in _COLUMNS)
    yield f"CREATE TABLE wfcore_tags ({columns}, PRIMARY KEY ({key})) WITHOUT ROWID{types}"
    copied = ("tags", "status", "created_at", "ref")
    moved = " OR ".join(f"NEW.{column} IS NOT OLD.{column}" for column in copied)
    tagged = "NEW.tags IS NOT '{}' OR OLD.tags IS NOT '{}'"
    for event, condition, actions in (
        ("INSERT", "NEW.tags IS NOT '{}'", (_added("NEW"),)),
        (f"UPDATE OF {', '.join(copied)}", f"({tagged}) AND ({moved})", (_deleted("OLD"), _added("NEW"))),
        ("DELETE", "OLD.tags IS NOT '{}'", (_deleted("OLD"),)),
    ):
        body = "".join(f"{each}; " for each in actions)
        yield (
            f"CREATE TRIGGER wfcore_tags_{event.split()[0].lower()} AFTER {event} ON wfcore_instances "
            f"WHEN {condition} BEGIN {body}END"
        )
