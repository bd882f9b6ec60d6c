"""The tables, and who makes them: the first store that opens the database, under an advisory lock."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wfadapters import rows
from wfadapters.postgres.driver import psycopg
from wfadapters.postgres.faults import explained, is_transient
from wfadapters.postgres.function import lock, performing
from wfadapters.postgres.settings import Settings
from wfadapters.postgres.tables import HOOKS, definitions, labels, notice, wake_up
from wfcore.errors import CorruptRecordError, SchemaVersionError


def _tables(s: str) -> str:
    return f"""
    CREATE TABLE {s}.wfcore_instances ({definitions(rows.INSTANCES)}, PRIMARY KEY (ref)) WITH (fillfactor = 80);
    CREATE TABLE {s}.wfcore_steps ({definitions(rows.STEPS)}, PRIMARY KEY (instance_ref, run_number, key));
    CREATE TABLE {s}.wfcore_events (
        {definitions(rows.EVENTS)}, arrival bigint GENERATED ALWAYS AS IDENTITY, PRIMARY KEY (instance_ref, id)
    );
    CREATE TABLE {s}.wfcore_hooks ({definitions(HOOKS)}, PRIMARY KEY (instance_ref, id)) WITH (fillfactor = 80);
    -- A retrieve must not grow with the events that were consumed long ago.
    CREATE INDEX wfcore_events_pending ON {s}.wfcore_events (instance_ref, arrival) WHERE consumed_by IS NULL;
    -- The order of due. Notices have an index of their own: if nobody takes them, they stay due for ever, and nobody
    -- else may have to read past them.
    CREATE INDEX wfcore_hooks_due ON {s}.wfcore_hooks (due_at, id) WHERE {wake_up()};
    CREATE INDEX wfcore_hooks_notices ON {s}.wfcore_hooks (due_at, id) WHERE {notice()};
    """


def _version_1(s: str) -> str:
    return _tables(s) + performing(s)


def _version_2(s: str) -> str:
    """The indexes of the catalog, and how often tags occur: rare ones are found by their index, common ones walking."""
    return f"""
    CREATE INDEX wfcore_instances_status ON {s}.wfcore_instances (status, created_at, ref);
    CREATE INDEX wfcore_instances_workflow ON {s}.wfcore_instances (workflow_name, status, created_at, ref);
    CREATE INDEX wfcore_instances_tags ON {s}.wfcore_instances
        USING gin (({labels("tags")}) jsonb_path_ops) WHERE tags <> '{{}}';
    CREATE STATISTICS {s}.wfcore_instances_labels ON ({labels("tags")}) FROM {s}.wfcore_instances;
    """


_MIGRATIONS: tuple[Callable[[str], str], ...] = (_version_1, _version_2)
SCHEMA_VERSION = len(_MIGRATIONS)
"""What this adapter writes into ``wfcore_meta``: a change of the above is one more migration."""

_NEWER = "a newer wfcore has migrated it: install that version here, or use another schema"
_OLDER = "it was replaced since this store was opened: open the store again, which makes what is missing"


def migrate(settings: Settings, then: Callable[[psycopg.Connection[Any]], object] | None = None) -> None:
    """Bring the schema to this version, whoever else may be doing the same; one that has it is only read.

    Args:
        settings: how to connect.
        then: called with the connection at the end.

    Raises:
        StoreUnavailableError: the server cannot be reached now.
        SchemaVersionError: it has a newer version.
        StoreError: it cannot be made, or is damaged.
    """
    s = settings.schema
    with explained("open"), psycopg.connect(settings.address, autocommit=True) as connection:
        if _version(connection, s) != SCHEMA_VERSION:
            with connection.transaction():
                connection.execute("SELECT " + lock(s, "'migration'"))
                _migrate(connection, s, _version(connection, s))
        if then:
            then(connection)


def tell_if_outgrown(settings: Settings, error: psycopg.Error) -> None:
    """A statement of ours failed: was it because a wfcore of another version has migrated the schema meanwhile?

    A migration leaves what processes of before need, if it can. If it cannot, they say so, and not what is missing.

    Raises:
        SchemaVersionError: it was. Nothing if that cannot be told now.
    """
    if is_transient(error):
        return
    try:
        with psycopg.connect(settings.address, autocommit=True) as connection:
            found = _version(connection, settings.schema)
    except psycopg.Error:
        return
    if found != SCHEMA_VERSION:
        raise SchemaVersionError(found, SCHEMA_VERSION, _NEWER if found > SCHEMA_VERSION else _OLDER) from error


def _migrate(connection: psycopg.Connection[Any], s: str, found: int) -> None:
    if found > SCHEMA_VERSION:
        raise SchemaVersionError(found, SCHEMA_VERSION, _NEWER)
    if found == 0:
        if connection.execute(f"SELECT FROM pg_namespace WHERE nspname = '{s}'").fetchone() is None:
            connection.execute(f"CREATE SCHEMA {s}")
        connection.execute(f"CREATE TABLE {s}.wfcore_meta (name text PRIMARY KEY, value bigint NOT NULL)")
        connection.execute(f"INSERT INTO {s}.wfcore_meta VALUES ('schema_version', 0)")
    for migration in _MIGRATIONS[found:]:
        connection.execute(migration(s).encode())
    connection.execute(f"UPDATE {s}.wfcore_meta SET value = {SCHEMA_VERSION} WHERE name = 'schema_version'")


def _version(connection: psycopg.Connection[Any], s: str) -> int:
    # Not to_regclass, which may remember what it did not find.
    tables = f"SELECT FROM pg_tables WHERE schemaname = '{s}' AND tablename = 'wfcore_meta'"
    if connection.execute(tables).fetchone() is None:
        return 0
    row = connection.execute(f"SELECT value FROM {s}.wfcore_meta WHERE name = 'schema_version'").fetchone()
    if row is None:
        raise CorruptRecordError(f"{s}.wfcore_meta", "schema_version", "there is no such number")
    return int(row[0])
