"""The tables and the function that performs a plan; and who makes them: the first store that opens the database.

**Why a function.** A plan is one statement, ``SELECT wfcore_apply(plan)``: one round trip, one transaction, and inside
somebody else's transaction the same. It decides nothing: it locks, compares, and puts rows in the order given.

**Locks** are taken in the order of refs, so plans do not deadlock, and before anything is compared:

* ``AtVersion``: the instance's row, ``FOR NO KEY UPDATE``; whoever comes second waits, then compares with what the
  first has written (A3). A plan that deletes the instance takes it ``FOR UPDATE``.
* ``Exists``, and appends: the row ``FOR KEY SHARE``. It keeps deletes away, and nobody else: a tick and an append do
  not wait for each other (A10).
* ``Absent``, ``AddInstance`` and ``AddEvent``: a row that does not exist cannot be locked, so an advisory lock of the
  transaction stands for the ref. So of two that create an instance the second finds the first's row: ``Conflict``.

Each statement of the function sees what was committed before it began (``READ COMMITTED``). In a stricter transaction
of a caller PostgreSQL raises a serialisation failure instead of a wrong answer.

**Order of arrival.** Numbers of a sequence are given when a row is inserted, but rows are seen when they are committed,
which may be the other way round: an event could appear *before* one that was read already. The advisory lock of
``AddEvent`` lasts until the commit, so for one instance the order of numbers is the order of commits, and a list of
pending events only ever grows at its end. The price: who sends to an instance in a long transaction makes others who
send to the same instance wait; ticks do not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from wfadapters import rows
from wfadapters.columns import Table
from wfadapters.postgres.driver import psycopg
from wfadapters.postgres.faults import explained, is_transient
from wfadapters.postgres.settings import Settings
from wfadapters.postgres.tables import HOOKS, definitions, inserting, labels, putting, updating
from wfcore.errors import CorruptRecordError, SchemaVersionError


def wake_up(of: str = "") -> str:
    """Which hooks are no terminal notices: what ``wfcore.keys.is_terminal_notice`` says, as an index has it."""
    return f"substr({of}id, length({of}instance_ref) + 1, 10) <> '#terminal:'"


def notice(of: str = "") -> str:
    """Which hooks are terminal notices."""
    return f"NOT {wake_up(of)}"


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


def _mutations(s: str) -> str:
    """The arms that perform one mutation: ``item`` is its name, then its row or identity; a ref comes first."""
    # Not an upsert at once: an event that is there keeps its number, and no lock is needed for it.
    put_event = f"""
        {updating(s, rows.EVENTS)};
        IF NOT FOUND THEN
            PERFORM {_lock(s, "item ->> 1")};
            {putting(s, rows.EVENTS)};
        END IF;
    """
    return f"""
    WHEN 'PutInstance' THEN {putting(s, rows.INSTANCES)};
    WHEN 'PutStep' THEN {putting(s, rows.STEPS)};
    WHEN 'PutHook' THEN {putting(s, HOOKS)};
    WHEN 'DeleteHook' THEN DELETE FROM {s}.wfcore_hooks WHERE instance_ref = item ->> 1 AND id = item ->> 2;
    WHEN 'PutEvent' THEN {put_event}
    WHEN 'AddEvent' THEN {_append(s, rows.EVENTS)}
    WHEN 'AddHook' THEN {_append(s, HOOKS)}
    WHEN 'AddInstance' THEN {inserting(s, rows.INSTANCES)} ON CONFLICT DO NOTHING;
    WHEN 'DeleteStep' THEN
        DELETE FROM {s}.wfcore_steps
        WHERE instance_ref = item ->> 1 AND run_number = (item -> 2)::bigint AND key = item ->> 3;
    WHEN 'DeleteInstance' THEN
        DELETE FROM {s}.wfcore_instances WHERE ref = item ->> 1;
        DELETE FROM {s}.wfcore_steps WHERE instance_ref = item ->> 1;
        DELETE FROM {s}.wfcore_events WHERE instance_ref = item ->> 1;
        DELETE FROM {s}.wfcore_hooks WHERE instance_ref = item ->> 1;
    """


def _append(s: str, table: Table) -> str:
    return f"""
        PERFORM FROM {s}.wfcore_instances WHERE ref = item ->> 1 FOR KEY SHARE;
        IF FOUND THEN {inserting(s, table)} ON CONFLICT DO NOTHING; END IF;
    """


def _lock(s: str, ref: str) -> str:
    return f"pg_advisory_xact_lock(hashtextextended('{s} ' || ({ref}), 0))"


def _function(s: str) -> str:
    return f"""
    CREATE FUNCTION {s}.wfcore_apply(
        plan jsonb, OUT conflict_ref text, OUT found_version bigint, OUT found_execution_id text,
        OUT pending text[], OUT undelivered text[]
    ) LANGUAGE plpgsql AS $wfcore$
    DECLARE
        item jsonb;
    BEGIN
        FOR item IN SELECT value FROM jsonb_array_elements(plan -> 'locks') LOOP
            IF (item -> 1)::boolean THEN
                PERFORM {_lock(s, "item ->> 0")};
            END IF;
            CASE item ->> 2
            WHEN 'delete' THEN PERFORM FROM {s}.wfcore_instances WHERE ref = item ->> 0 FOR UPDATE;
            WHEN 'write' THEN PERFORM FROM {s}.wfcore_instances WHERE ref = item ->> 0 FOR NO KEY UPDATE;
            ELSE PERFORM FROM {s}.wfcore_instances WHERE ref = item ->> 0 FOR KEY SHARE;
            END CASE;
        END LOOP;
        FOR item IN SELECT value FROM jsonb_array_elements(plan -> 'given') LOOP
            SELECT version, execution_id INTO found_version, found_execution_id
            FROM {s}.wfcore_instances WHERE ref = item ->> 0;
            IF NOT (CASE item ->> 1
                WHEN 'Absent' THEN found_version IS NULL
                WHEN 'Exists' THEN found_version IS NOT NULL
                ELSE coalesce(found_version = (item -> 2)::bigint AND found_execution_id = item ->> 3, false)
            END) THEN
                conflict_ref := item ->> 0;
                RETURN;
            END IF;
        END LOOP;
        FOR item IN SELECT value FROM jsonb_array_elements(plan -> 'mutations') LOOP
            CASE item ->> 0
            {_mutations(s)}
            END CASE;
        END LOOP;
        PERFORM pg_notify('{s}', value) FROM jsonb_array_elements_text(plan -> 'told');
        pending := ARRAY(SELECT id FROM {s}.wfcore_hooks WHERE instance_ref = plan ->> 'ref');
        undelivered := ARRAY(
            SELECT value FROM jsonb_array_elements_text(plan -> 'appended')
            WHERE NOT EXISTS (SELECT FROM {s}.wfcore_instances WHERE ref = value)
        );
    END
    $wfcore$;
    """


def _version_1(s: str) -> str:
    return _tables(s) + _function(s)


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
                connection.execute("SELECT " + _lock(s, "'migration'"))
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
