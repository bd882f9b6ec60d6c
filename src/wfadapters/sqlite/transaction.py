"""What happens inside an open transaction, whoever opened it: read one instance, perform one plan."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any, TypeAlias, assert_never

from wfadapters import rows
from wfadapters.changes import Verb, appended, changes
from wfadapters.columns import Table
from wfadapters.sql import Sql
from wfadapters.sqlite.faults import FAULTS
from wfadapters.writes import OneWrite, writes_of
from wfcore.evolve import conflict, holds
from wfcore.model import Snapshot
from wfcore.plan import Applied, AtVersion, Conflict, Plan

Writer: TypeAlias = Callable[[sqlite3.Connection, Any], None]
"""Executes a user's ``Write`` in the store's open transaction, which it may neither commit nor roll back."""


def execute_sql(connection: sqlite3.Connection, value: Sql) -> None:
    """The writer of :class:`Sql`."""
    connection.execute(value.statement, value.parameters)


def select(table: Table, condition: str) -> str:
    """The statement that reads whole rows of a table."""
    return f"SELECT {', '.join(table.columns)} FROM {table.name} WHERE {condition}"  # noqa: S608 # names of our own


@cache
def _statement(verb: Verb, table: Table) -> str:
    # Not INSERT OR REPLACE, which deletes the row, and with it what the user's own tables hang on it by a foreign key.
    columns, values = ", ".join(table.columns), ", ".join("?" for _ in table.columns)
    into, key = f"INSERT INTO {table.name} ({columns})", ", ".join(table.key)
    match verb:
        case "put":
            changed = ", ".join(f"{column} = excluded.{column}" for column in table.columns)
            return f"{into} VALUES ({values}) ON CONFLICT ({key}) DO UPDATE SET {changed}"
        case "add":
            return f"{into} VALUES ({values}) ON CONFLICT DO NOTHING"
        case "append":  # the first column is the instance's ref
            there = "EXISTS (SELECT 1 FROM wfcore_instances WHERE ref = ?1)"
            return f"{into} SELECT {values} WHERE {there} ON CONFLICT DO NOTHING"
        case "delete":
            return f"DELETE FROM {table.name} WHERE {' AND '.join(f'{column} = ?' for column in table.key)}"  # noqa: S608
        case "purge":
            return f"DELETE FROM {table.name} WHERE {table.key[0]} = ?"  # noqa: S608 # as above
        case unreachable:
            assert_never(unreachable)


def _touch(table: Table, kept: Sequence[str]) -> str:
    places = {column: f"{column} = ?{place}" for place, column in enumerate(table.columns, start=1)}
    changed = ", ".join(place for column, place in places.items() if column not in kept)
    return f"UPDATE {table.name} SET {changed} WHERE {' AND '.join(places[column] for column in kept)}"  # noqa: S608


READ_INSTANCE = select(rows.INSTANCES, "ref = ?")
READ_STEPS = select(rows.STEPS, "instance_ref = ? AND run_number = ?")
_READ_EVENTS = select(rows.EVENTS, "instance_ref = ? AND consumed_by IS NULL ORDER BY arrival")
_READ_HOOKS = select(rows.HOOKS, "instance_ref = ?")
_READ_HOOK_IDS = "SELECT id FROM wfcore_hooks WHERE instance_ref = ?"
_READ_VERSION = "SELECT ref, version, execution_id FROM wfcore_instances WHERE ref = ?"
# SQLite writes every index that has one of the columns which a statement sets, whether or not the value is another.
_TOUCH_INSTANCE = _touch(rows.INSTANCES, ("ref", "workflow_name", "status", "tags", "created_at"))


def read(cursor: sqlite3.Cursor, ref: str, clock: Callable[[], datetime]) -> Snapshot:
    """All rows of one instance."""
    found = cursor.execute(READ_INSTANCE, (ref,)).fetchone()
    instance = None if found is None else rows.read_instance(found)
    run = (ref, instance.run_number if instance else None)
    return Snapshot(
        instance=instance,
        steps=tuple(map(rows.read_step, cursor.execute(READ_STEPS, run).fetchall())),
        events=tuple(map(rows.read_event, cursor.execute(_READ_EVENTS, (ref,)).fetchall())),
        hooks=tuple(map(rows.read_hook, cursor.execute(_READ_HOOKS, (ref,)).fetchall())),
        now=clock(),
    )


def perform(cursor: sqlite3.Cursor, plan: Plan, writers: Mapping[type, Writer]) -> Applied | Conflict:
    """Perform a plan; a :class:`Conflict` is found before anything is written."""
    for precondition in plan.preconditions:
        found = _version(cursor, precondition.ref)
        if not holds(precondition, found):
            return conflict(precondition.ref, found)
    for write in writes_of([plan]):  # first: a writer that commits must not commit half a plan
        _write(cursor.connection, write, writers)
    for verb, table, values in changes(plan):
        if verb == "put" and table is rows.INSTANCES and cursor.execute(_TOUCH_INSTANCE, values).rowcount:
            continue
        cursor.execute(_statement(verb, table), values)
    pending = frozenset(hook_id for (hook_id,) in cursor.execute(_READ_HOOK_IDS, (plan.ref,)).fetchall())
    return Applied(pending, tuple(each for each in appended(plan) if _version(cursor, each.ref) is None))


def _version(cursor: sqlite3.Cursor, ref: str) -> AtVersion | None:
    found = cursor.execute(_READ_VERSION, (ref,)).fetchone()
    return None if found is None else AtVersion(*found)


def _write(connection: sqlite3.Connection, write: OneWrite, writers: Mapping[type, Writer]) -> None:
    with FAULTS.of_writer(write, writers) as writer:
        writer(connection, write.value)
    if not connection.in_transaction:
        reason = "its writer ended the transaction, by commit, rollback, executescript or 'with connection'"
        raise write.failed(reason, "what it committed stays; remove that, the store commits")


def commit(cursor: sqlite3.Cursor, plans: Sequence[Plan]) -> None:
    """Commit; see :meth:`Faults.of_commit`."""
    with FAULTS.of_commit(plans):
        cursor.execute("COMMIT")
