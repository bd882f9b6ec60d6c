"""The function of the database that performs a plan. No I/O.

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

from wfadapters import rows
from wfadapters.postgres.tables import HOOKS, adding, deleting, putting, updating


def _changes(s: str) -> str:
    """The arms that perform one change: ``item`` is what it does to which table, then its values; a ref comes first."""
    arms = {f"put {table.name}": putting(s, table) for table in (rows.INSTANCES, rows.STEPS, HOOKS)}
    arms |= {f"delete {table.name}": deleting(s, table, table.key) for table in (rows.HOOKS, rows.STEPS)}
    # Not an upsert at once: an event that is there keeps its number, and no lock is needed for it.
    arms["put wfcore_events"] = f"""
        {updating(s, rows.EVENTS)};
        IF NOT FOUND THEN
            PERFORM {lock(s, "item ->> 1")};
            {putting(s, rows.EVENTS)};
        END IF
    """
    arms["add wfcore_instances"] = adding(s, rows.INSTANCES)
    arms |= {
        f"append {table.name}": f"""
            PERFORM FROM {s}.wfcore_instances WHERE ref = item ->> 1 FOR KEY SHARE;
            IF FOUND THEN {adding(s, table)}; END IF
        """
        for table in (rows.EVENTS, HOOKS)
    }
    arms |= {f"purge {table.name}": deleting(s, table, table.key[:1]) for table in rows.TABLES}
    return "".join(f"WHEN '{name}' THEN {statement};\n" for name, statement in arms.items())


def lock(s: str, ref: str) -> str:
    """The call that takes the lock of a ref, or of another word, until the end of the transaction."""
    return f"pg_advisory_xact_lock(hashtextextended('{s} ' || ({ref}), 0))"


def performing(s: str) -> str:
    """The statement that makes the function."""
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
                PERFORM {lock(s, "item ->> 0")};
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
            {_changes(s)}
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
