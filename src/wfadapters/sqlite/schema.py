"""The tables, and who makes them: the adapter, when it opens a file that has none, or those of an older version."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from wfadapters import rows
from wfadapters.columns import Table
from wfadapters.sqlite import tags
from wfcore.errors import CorruptRecordError, SchemaVersionError

SCHEMA_VERSION = 2
"""What this adapter writes into ``wfcore_meta``. A change of the tables below is a new version, with a migration."""

_KIND = "substr(id, length(instance_ref) + 1, 10)"
NOTICE = f"{_KIND} IS '#terminal:'"
"""Which hooks are terminal notices: what ``wfcore.keys.is_terminal_notice`` says, for an index and its queries."""
WAKE_UP = f"{_KIND} IS NOT '#terminal:'"
"""Which hooks are not."""

_META = "CREATE TABLE wfcore_meta (name TEXT NOT NULL PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID"
_INDEXES = (
    # A retrieve must not grow with the events that were consumed long ago.
    "CREATE INDEX wfcore_events_pending ON wfcore_events (instance_ref, arrival) WHERE consumed_by IS NULL",
    # The order of due; it holds all that a DueQuery asks about. Notices have one of their own: if nobody takes them,
    # they stay due for ever, and nobody else may have to read past them.
    f"CREATE INDEX wfcore_hooks_due ON wfcore_hooks (due_at, id, workflow_name, instance_ref) WHERE {WAKE_UP}",
    f"CREATE INDEX wfcore_hooks_notices ON wfcore_hooks (due_at, id, workflow_name, instance_ref) WHERE {NOTICE}",
)
# Since version 2. A list of several statuses, or workflows, is a merge of several walks, each in the list's order.
_CATALOG_INDEXES = (
    "CREATE INDEX wfcore_instances_by_status ON wfcore_instances (status, created_at, ref)",
    "CREATE INDEX wfcore_instances_by_workflow ON wfcore_instances (workflow_name, status, created_at, ref)",
)


def statements(*, strict: bool) -> Iterator[str]:
    """The statements that make the tables; ``strict``: the database enforces types, as it can since SQLite 3.37."""
    types = ", STRICT" if strict else ""
    yield _META + types
    for table in (rows.INSTANCES, rows.STEPS, rows.HOOKS):
        key = ", ".join(table.key)
        yield f"CREATE TABLE {table.name} ({_columns(table)}, PRIMARY KEY ({key})) WITHOUT ROWID{types}"
    # AUTOINCREMENT: a place in the order of arrival is never given twice.
    arrival = "arrival INTEGER PRIMARY KEY AUTOINCREMENT"
    events = f"CREATE TABLE wfcore_events ({arrival}, {_columns(rows.EVENTS)}, UNIQUE (instance_ref, id))"
    yield events + types.lstrip(",")
    yield from _INDEXES
    yield from _CATALOG_INDEXES
    yield from tags.statements(types)


def _columns(table: Table) -> str:
    nulls = {True: "", False: " NOT NULL"}
    return ", ".join(f"{name} {kind.rstrip('?')}{nulls[kind.endswith('?')]}" for name, kind in table.columns.items())


def ensure(cursor: sqlite3.Cursor) -> None:
    """Make the tables if there are none, or bring those of an older version up to date; then check their version.

    Others may be doing the same.
    """
    if _version(cursor) in (None, 1):
        cursor.execute("BEGIN IMMEDIATE")
        found = _version(cursor)
        types = ", STRICT" if sqlite3.sqlite_version_info >= (3, 37) else ""
        if found is None:
            for statement in statements(strict=bool(types)):
                cursor.execute(statement)
            cursor.execute("INSERT INTO wfcore_meta VALUES ('schema_version', ?)", (SCHEMA_VERSION,))
        elif found == 1:
            for statement in (*_CATALOG_INDEXES, *tags.statements(types), tags.FILL):
                cursor.execute(statement)
            cursor.execute("UPDATE wfcore_meta SET value = ? WHERE name = 'schema_version'", (SCHEMA_VERSION,))
        cursor.execute("COMMIT")
    check(cursor)


def _version(cursor: sqlite3.Cursor) -> object:
    """What the file says; ``None``: it has no tables of ours."""
    found = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'wfcore_meta'"
    if cursor.execute(found).fetchone() is None:
        return None
    row = cursor.execute("SELECT value FROM wfcore_meta WHERE name = 'schema_version'").fetchone()
    return row[0] if row else "none"


def check(cursor: sqlite3.Cursor) -> None:
    """Raise if the tables are not those of this version: :class:`SchemaVersionError`, or ``CorruptRecordError``."""
    found = _version(cursor)
    if type(found) is not int:
        raise CorruptRecordError("wfcore_meta", "schema_version", "there is no such number")
    if found > SCHEMA_VERSION:
        raise SchemaVersionError(
            found, SCHEMA_VERSION, "a newer wfcore has written it: install that version here, or open another file"
        )
    if found < SCHEMA_VERSION:
        raise SchemaVersionError(found, SCHEMA_VERSION, "no release has written it: restore the file or open another")
