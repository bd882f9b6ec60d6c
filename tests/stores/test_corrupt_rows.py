"""A row that was changed or damaged outside wfcore is named, and never read as something else."""

import pickle
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.stores.build import NOW, OTHER, REF, busy_tick, create, event, hook, message, send, step, tick
from tests.stores.conftest import Clock, OpenSqlite
from wfadapters import rows
from wfadapters.sqlite import SqliteStore, schema
from wfcore.errors import CorruptRecordError
from wfcore.plan import AddEvent, PutEvent, PutHook, PutStep
from wfcore.ports import DueQuery, InstanceQuery

FAILURE = '{"type": "a.B", "message": "", "details": null, "bases": [], "traceback": ""}'
TOO_LATE = 253_402_300_800_000_000  # the year 10000, in microseconds

DAMAGES = [
    ("instances", "status", "running", "status 'running' is none of active, waiting"),
    ("instances", "status", None, "status must be text, and is null"),
    ("instances", "version", "many", "version must be integer, and is str"),
    ("instances", "version", 1.5, "version must be integer, and is float"),
    ("instances", "params", b"{}", "params must be text, and is bytes"),
    ("instances", "created_at", TOO_LATE, f"{TOO_LATE} is no instant between the years 1 and 9999"),
    ("instances", "completed_at", -TOO_LATE, f"-{TOO_LATE} is no instant"),
    ("instances", "tags", "{", "Expecting property name"),
    ("instances", "tags", "[]", "tags must be an object of strings, and is []"),
    ("instances", "tags", '{"a": 1}', "tags must be an object of strings"),
    ("instances", "failure", "broken", "Expecting value"),
    ("instances", "failure", "[" * 100_000, "recursion"),
    ("instances", "failure", "null", "failure has not the fields of a failure: null"),
    ("instances", "failure", FAILURE.replace("[]", "[1]"), "failure has not the fields"),
    ("instances", "failure", FAILURE.replace("message", "text"), "failure has not the fields"),
    ("steps", "status", "done", "status 'done' is none of waiting, started"),
    ("steps", "kind", "activity", "kind 'activity' is none of do, sleep"),
    ("steps", "event_types", '"a"', "event_types must be a list of strings"),
    ("steps", "event_types", "[1]", "event_types must be a list of strings"),
    ("steps", "sequence", "first", "sequence must be integer, and is str"),
    ("steps", "wake_at", TOO_LATE, "is no instant"),
    ("steps", "failure", "{}", "failure has not the fields"),
    ("events", "actor", "robot", "actor 'robot' is none of user, system"),
    ("events", "payload", None, "payload must be text, and is null"),
    ("events", "created_at", "yesterday", "created_at must be integer, and is str"),
    ("hooks", "reason", "luck", "reason 'luck' is none of create, event"),
    ("hooks", "attempts", None, "attempts must be integer, and is null"),
    ("hooks", "due_at", -TOO_LATE, "is no instant"),
    ("hooks", "last_error", "no json", "Expecting value"),
    ("hooks", "last_error", "[]", "last_error must be a JSON string"),
]
IDENTITIES = {
    "instances": f"ref {REF!r}",
    "steps": f"instance_ref {REF!r}, run_number 1, key 'do:charge'",
    "events": f"instance_ref {REF!r}, id 'm1'",
    "hooks": f"instance_ref {REF!r}, id '{REF}#timer'",
}


@pytest.fixture
def lax_store(open_sqlite: OpenSqlite, path: Path) -> SqliteStore:
    """A store whose database, like those before SQLite 3.37, takes any type; and null too."""
    with closing(sqlite3.connect(path)) as connection:
        for statement in schema.statements(strict=False):
            connection.execute(statement.replace("text NOT NULL", "text").replace("integer NOT NULL", "integer"))
        connection.execute("INSERT INTO wfcore_meta VALUES ('schema_version', ?)", (schema.SCHEMA_VERSION,))
        connection.commit()
    store = open_sqlite()
    store.apply(create())
    store.apply(tick(1, PutStep(step()), AddEvent(event())))
    return store


def damage(path: Path, table: str, column: str, value: object) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"UPDATE wfcore_{table} SET {column} = ?", (value,))
        connection.commit()


@pytest.mark.parametrize(("table", "column", "value", "problem"), DAMAGES)
def test_a_corrupt_row_is_named_by_retrieve(
    lax_store: SqliteStore, path: Path, table: str, column: str, value: object, problem: str
) -> None:
    damage(path, table, column, value)
    with pytest.raises(CorruptRecordError) as caught:
        lax_store.retrieve(REF)
    error = caught.value
    assert (error.table, error.identity, error.ref) == (f"wfcore_{table}", IDENTITIES[table], REF)
    assert problem in error.problem
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.parametrize(("table", "column", "value", "problem"), [each for each in DAMAGES if each[0] == "hooks"])
def test_a_corrupt_hook_is_named_by_the_feed(
    lax_store: SqliteStore, path: Path, table: str, column: str, value: object, problem: str
) -> None:
    damage(path, table, column, value)
    for ask in (lax_store.due, lax_store.next_due_at):
        with pytest.raises(CorruptRecordError, match=problem.replace("[", r"\[")) as caught:
            ask(DueQuery())
        assert caught.value.ref == REF


@pytest.mark.parametrize(
    ("table", "column"), [("instances", "params"), ("steps", "kind"), ("events", "actor"), ("instances", "tags")]
)
def test_a_corrupt_row_is_named_by_the_catalog(lax_store: SqliteStore, path: Path, table: str, column: str) -> None:
    """M9. An event that was taken is read too."""
    lax_store.apply(tick(2, PutEvent(event(consumed_by="do:charge", consumed_run=1))))
    damage(path, table, column, b"{}")
    asked: list[Callable[[], object]] = [lambda: lax_store.history(REF)]
    if table == "instances":
        asked.append(lambda: lax_store.list_instances(InstanceQuery()))
    for ask in asked:
        with pytest.raises(CorruptRecordError) as caught:
            ask()
        assert (caught.value.table, caught.value.ref) == (f"wfcore_{table}", REF)


def test_the_rest_goes_on_without_the_instance_whose_hook_is_corrupt(lax_store: SqliteStore, path: Path) -> None:
    damage(path, "hooks", "reason", "luck")
    lax_store.apply(create(OTHER))
    without = DueQuery(exclude=frozenset({REF}))
    assert [fired.hook.instance_ref for fired in lax_store.due(without)] == [OTHER]
    assert lax_store.next_due_at(without) == NOW


def test_a_mended_row_is_read_again(lax_store: SqliteStore, path: Path) -> None:
    before = lax_store.retrieve(REF)
    damage(path, "steps", "status", "done")
    with pytest.raises(CorruptRecordError):
        lax_store.retrieve(REF)
    damage(path, "steps", "status", "completed")
    assert lax_store.retrieve(REF) == before


def test_a_lax_database_stores_the_same_rows(lax_store: SqliteStore, open_sqlite: OpenSqlite, tmp_path: Path) -> None:
    strict = open_sqlite(path=tmp_path / "strict.db", writers={object: lambda connection, value: None})
    for plan in (create(), tick(1, PutStep(step()), AddEvent(event()))):
        strict.apply(plan)
    for plan in (busy_tick(2), send("m3"), tick(3, PutEvent(event(payload="1")), PutHook(message()))):
        lax_store.apply(plan)
        strict.apply(plan)
    assert strict.retrieve(REF) == lax_store.retrieve(REF)


def test_strict_tables_keep_wrong_types_out(sqlite_store: SqliteStore, connection: sqlite3.Connection) -> None:
    sqlite_store.apply(create())
    with pytest.raises(sqlite3.IntegrityError, match="cannot store TEXT value in INTEGER column"):
        connection.execute("UPDATE wfcore_hooks SET due_at = 'tomorrow'")


def test_a_row_of_the_wrong_width_is_corrupt() -> None:
    row = rows.hook_row(hook())
    with pytest.raises(CorruptRecordError):
        rows.read_hook(row[:-1])


def test_the_failing_row_does_not_hide_behind_a_clock(lax_store: SqliteStore, path: Path, clock: Clock) -> None:
    damage(path, "hooks", "reason", "luck")
    clock.now = NOW.replace(year=2000)  # not due yet
    assert list(lax_store.due(DueQuery())) == []
    with pytest.raises(CorruptRecordError):
        lax_store.next_due_at(DueQuery())
