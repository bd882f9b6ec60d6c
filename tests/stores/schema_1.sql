-- What the SQLite store made in a new file until schema version 2.
CREATE TABLE wfcore_meta (name TEXT NOT NULL PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID, STRICT;
CREATE TABLE wfcore_instances (
    ref text NOT NULL, workflow_name text NOT NULL, instance_id text NOT NULL, run_number integer NOT NULL,
    key_run integer NOT NULL, status text NOT NULL, params text NOT NULL, output text, failure text,
    tags text NOT NULL, created_at integer NOT NULL, updated_at integer NOT NULL, started_at integer,
    completed_at integer, version integer NOT NULL, execution_id text NOT NULL, created_by text NOT NULL,
    PRIMARY KEY (ref)
) WITHOUT ROWID, STRICT;
CREATE TABLE wfcore_steps (
    instance_ref text NOT NULL, run_number integer NOT NULL, key text NOT NULL, kind text NOT NULL,
    name text NOT NULL, parent_key text, depth integer NOT NULL, status text NOT NULL, attempts integer NOT NULL,
    max_attempts integer, next_retry_at integer, wake_at integer, event_types text NOT NULL, event_id text,
    result text, failure text, sequence integer, created_at integer NOT NULL, settled_at integer,
    execution_id text NOT NULL, PRIMARY KEY (instance_ref, run_number, key)
) WITHOUT ROWID, STRICT;
CREATE TABLE wfcore_hooks (
    instance_ref text NOT NULL, id text NOT NULL, run_number integer, workflow_name text NOT NULL,
    instance_id text NOT NULL, reason text NOT NULL, due_at integer NOT NULL, created_at integer NOT NULL,
    attempts integer NOT NULL, last_error text, PRIMARY KEY (instance_ref, id)
) WITHOUT ROWID, STRICT;
CREATE TABLE wfcore_events (
    arrival INTEGER PRIMARY KEY AUTOINCREMENT, instance_ref text NOT NULL, id text NOT NULL, type text NOT NULL,
    payload text NOT NULL, actor text NOT NULL, created_at integer NOT NULL, consumed_by text,
    consumed_run integer, delivered_at integer, UNIQUE (instance_ref, id)
) STRICT;
CREATE INDEX wfcore_events_pending ON wfcore_events (instance_ref, arrival) WHERE consumed_by IS NULL;
CREATE INDEX wfcore_hooks_due ON wfcore_hooks (due_at, id, workflow_name, instance_ref) WHERE substr(id, length(instance_ref) + 1, 10) IS NOT '#terminal:';
CREATE INDEX wfcore_hooks_notices ON wfcore_hooks (due_at, id, workflow_name, instance_ref) WHERE substr(id, length(instance_ref) + 1, 10) IS '#terminal:';
INSERT INTO wfcore_meta VALUES ('schema_version', 1);
