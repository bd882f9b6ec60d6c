"""What happens inside an open transaction, whoever opened it: read one instance, perform one plan."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias, assert_never

from wfadapters import rows
from wfadapters.columns import Table
from wfadapters.sql import Sql
from wfadapters.sqlite.faults import describe, is_transient
from wfcore.errors import StoreUnavailableError, WriteFailedError
from wfcore.evolve import conflict, holds
from wfcore.failure import class_name
from wfcore.keys import hook_ref
from wfcore.model import Snapshot
from wfcore.plan import (
    AddEvent,
    AddHook,
    AddInstance,
    Applied,
    Conflict,
    DeleteHook,
    DeleteInstance,
    DeleteStep,
    Plan,
    PutEvent,
    PutHook,
    PutInstance,
    PutStep,
    RowMutation,
    Write,
)

Writer: TypeAlias = Callable[[sqlite3.Connection, Any], None]
"""Executes a user's ``Write`` in the store's open transaction, which it may neither commit nor roll back."""


def execute_sql(connection: sqlite3.Connection, value: Sql) -> None:
    """The writer of :class:`Sql`."""
    connection.execute(value.statement, value.parameters)


def select(table: Table, condition: str) -> str:
    """The statement that reads whole rows of a table."""
    return f"SELECT {', '.join(table.columns)} FROM {table.name} WHERE {condition}"  # noqa: S608 # names of our own


def _insert(table: Table, clash: str) -> str:
    values = ", ".join("?" for _ in table.columns)
    return f"INSERT INTO {table.name} ({', '.join(table.columns)}) VALUES ({values}) ON CONFLICT {clash}"  # noqa: S608


def _update(table: Table) -> str:
    # Not INSERT OR REPLACE, which deletes the row, and with it what the user's own tables hang on it by a foreign key.
    changes = ", ".join(f"{column} = excluded.{column}" for column in table.columns)
    return _insert(table, f"({', '.join(table.key)}) DO UPDATE SET {changes}")


def _touch(table: Table, kept: Collection[str]) -> str:
    places = {column: f"{column} = ?{place}" for place, column in enumerate(table.columns, start=1)}
    changes = ", ".join(place for column, place in places.items() if column not in kept)
    return f"UPDATE {table.name} SET {changes} WHERE {' AND '.join(places[column] for column in kept)}"  # noqa: S608


def _append(table: Table) -> str:
    values = ", ".join("?" for _ in table.columns)
    condition = "EXISTS (SELECT 1 FROM wfcore_instances WHERE ref = ?1) ON CONFLICT DO NOTHING"  # the first column
    return f"INSERT INTO {table.name} ({', '.join(table.columns)}) SELECT {values} WHERE {condition}"


READ_INSTANCE = select(rows.INSTANCES, "ref = ?")
READ_STEPS = select(rows.STEPS, "instance_ref = ? AND run_number = ?")
_READ_EVENTS = select(rows.EVENTS, "instance_ref = ? AND consumed_by IS NULL ORDER BY arrival")
_READ_HOOKS = select(rows.HOOKS, "instance_ref = ?")
_READ_HOOK_IDS = "SELECT id FROM wfcore_hooks WHERE instance_ref = ?"
_READ_VERSION = "SELECT version, execution_id FROM wfcore_instances WHERE ref = ?"
_PUT_INSTANCE = _update(rows.INSTANCES)
# SQLite writes every index that has one of the columns which a statement sets, whether or not the value is another.
_TOUCH_INSTANCE = _touch(rows.INSTANCES, ("ref", "workflow_name", "status", "tags", "created_at"))
_PUT_STEP = _update(rows.STEPS)
_PUT_EVENT = _update(rows.EVENTS)
_PUT_HOOK = _update(rows.HOOKS)
_ADD_INSTANCE = _insert(rows.INSTANCES, "DO NOTHING")
_ADD_EVENT = _append(rows.EVENTS)
_ADD_HOOK = _append(rows.HOOKS)
_DELETE_STEP = "DELETE FROM wfcore_steps WHERE instance_ref = ? AND run_number = ? AND key = ?"
_DELETE_HOOK = "DELETE FROM wfcore_hooks WHERE instance_ref = ? AND id = ?"
_DELETE_INSTANCE = [
    f"DELETE FROM {table.name} WHERE {table.key[0]} = ?"  # noqa: S608 # as above
    for table in (rows.INSTANCES, rows.STEPS, rows.EVENTS, rows.HOOKS)
]


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
    appended = [each for each in plan.mutations if isinstance(each, (AddEvent, AddHook))]
    for index, mutation in enumerate(plan.mutations):  # first: a writer that commits must not commit half a plan
        if isinstance(mutation, Write):
            _write(cursor.connection, index, mutation.value, writers)
    for mutation in plan.mutations:
        if not isinstance(mutation, Write):
            _put(cursor, mutation)
    pending = frozenset(hook_id for (hook_id,) in cursor.execute(_READ_HOOK_IDS, (plan.ref,)).fetchall())
    undelivered = [each for each in appended if _version(cursor, each.ref) is None]
    return Applied(pending, tuple(undelivered))


class _Version(NamedTuple):
    version: int
    execution_id: str


def _version(cursor: sqlite3.Cursor, ref: str) -> _Version | None:
    found = cursor.execute(_READ_VERSION, (ref,)).fetchone()
    return None if found is None else _Version(*found)


def _put(cursor: sqlite3.Cursor, mutation: RowMutation) -> None:
    match mutation:
        case PutInstance(instance):
            row = rows.instance_row(instance)
            if cursor.execute(_TOUCH_INSTANCE, row).rowcount == 0:
                cursor.execute(_PUT_INSTANCE, row)
        case PutStep(step):
            cursor.execute(_PUT_STEP, rows.step_row(step))
        case PutHook(hook):
            cursor.execute(_PUT_HOOK, rows.hook_row(hook))
        case DeleteHook(hook_id):
            cursor.execute(_DELETE_HOOK, (hook_ref(hook_id), hook_id))
        case PutEvent(event):
            cursor.execute(_PUT_EVENT, rows.event_row(event))
        case AddInstance(instance):
            cursor.execute(_ADD_INSTANCE, rows.instance_row(instance))
        case AddEvent(event):
            cursor.execute(_ADD_EVENT, rows.event_row(event))
        case AddHook(hook):
            cursor.execute(_ADD_HOOK, rows.hook_row(hook))
        case DeleteStep(ref, run_number, key):
            cursor.execute(_DELETE_STEP, (ref, run_number, key))
        case DeleteInstance(ref):
            for statement in _DELETE_INSTANCE:
                cursor.execute(statement, (ref,))
        case unreachable:
            assert_never(unreachable)


def _write(connection: sqlite3.Connection, index: int, value: object, writers: Mapping[type, Writer]) -> None:
    name = class_name(type(value))
    writer = next((writers[cls] for cls in type(value).__mro__ if cls in writers), None)
    if writer is None:
        raise WriteFailedError(
            index, name, "the store has no writer for it", f"pass writers={{{type(value).__name__}: ...}} to the store"
        )
    try:
        writer(connection, value)
    except StoreUnavailableError:
        raise
    except sqlite3.Error as error:
        if is_transient(error):
            raise  # the disk's or another connection's fault, not the writer's (rule T6)
        raise WriteFailedError(index, name, describe(error)) from error
    except Exception as error:
        raise WriteFailedError(index, name, f"{type(error).__name__}: {error}") from error
    if not connection.in_transaction:
        raise WriteFailedError(
            index,
            name,
            "its writer ended the transaction, by commit, rollback, executescript or 'with connection'",
            "what it committed stays; remove that, the store commits",
        )


def commit(cursor: sqlite3.Cursor, plans: Sequence[Plan]) -> None:
    """Commit. A constraint that is only checked now was broken by a user's ``Write``; of several, the last is named."""
    try:
        cursor.execute("COMMIT")
    except sqlite3.IntegrityError as error:
        places = ((index, each) for plan in plans for index, each in enumerate(plan.mutations))
        writes = [(index, class_name(type(each.value))) for index, each in places if isinstance(each, Write)]
        if not writes:
            raise
        raise WriteFailedError(*writes[-1], f"at commit: {describe(error)}") from error
