-- A database as schema version 1 left it: never change it.
CREATE SCHEMA {schema};
CREATE TABLE {schema}.wfcore_meta (name text PRIMARY KEY, value bigint NOT NULL);
INSERT INTO {schema}.wfcore_meta VALUES ('schema_version', 1);

    CREATE TABLE {schema}.wfcore_instances (ref text COLLATE "C" NOT NULL, workflow_name text COLLATE "C" NOT NULL, instance_id text COLLATE "C" NOT NULL, run_number bigint NOT NULL, key_run bigint NOT NULL, status text COLLATE "C" NOT NULL, params text COLLATE "C" NOT NULL, output text COLLATE "C", failure text COLLATE "C", tags text COLLATE "C" NOT NULL, created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL, started_at timestamptz, completed_at timestamptz, version bigint NOT NULL, execution_id text COLLATE "C" NOT NULL, created_by text COLLATE "C" NOT NULL, PRIMARY KEY (ref)) WITH (fillfactor = 80);
    CREATE TABLE {schema}.wfcore_steps (instance_ref text COLLATE "C" NOT NULL, run_number bigint NOT NULL, key text COLLATE "C" NOT NULL, kind text COLLATE "C" NOT NULL, name text COLLATE "C" NOT NULL, parent_key text COLLATE "C", depth bigint NOT NULL, status text COLLATE "C" NOT NULL, attempts bigint NOT NULL, max_attempts bigint, next_retry_at timestamptz, wake_at timestamptz, event_types text COLLATE "C" NOT NULL, event_id text COLLATE "C", result text COLLATE "C", failure text COLLATE "C", sequence bigint, created_at timestamptz NOT NULL, settled_at timestamptz, execution_id text COLLATE "C" NOT NULL, PRIMARY KEY (instance_ref, run_number, key));
    CREATE TABLE {schema}.wfcore_events (
        instance_ref text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL, type text COLLATE "C" NOT NULL, payload text COLLATE "C" NOT NULL, actor text COLLATE "C" NOT NULL, created_at timestamptz NOT NULL, consumed_by text COLLATE "C", consumed_run bigint, delivered_at timestamptz, arrival bigint GENERATED ALWAYS AS IDENTITY, PRIMARY KEY (instance_ref, id)
    );
    CREATE TABLE {schema}.wfcore_hooks (instance_ref text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL, run_number bigint, workflow_name text COLLATE "C" NOT NULL, instance_id text COLLATE "C" NOT NULL, reason text COLLATE "C" NOT NULL, due_at timestamptz NOT NULL, created_at timestamptz NOT NULL, attempts bigint NOT NULL, last_error text COLLATE "C", shard_hash bigint NOT NULL, PRIMARY KEY (instance_ref, id)) WITH (fillfactor = 80);
    -- A retrieve must not grow with the events that were consumed long ago.
    CREATE INDEX wfcore_events_pending ON {schema}.wfcore_events (instance_ref, arrival) WHERE consumed_by IS NULL;
    -- The order of due. Notices have an index of their own: if nobody takes them, they stay due for ever, and nobody
    -- else may have to read past them.
    CREATE INDEX wfcore_hooks_due ON {schema}.wfcore_hooks (due_at, id) WHERE substr(id, length(instance_ref) + 1, 10) <> '#terminal:';
    CREATE INDEX wfcore_hooks_notices ON {schema}.wfcore_hooks (due_at, id) WHERE NOT substr(id, length(instance_ref) + 1, 10) <> '#terminal:';
    
    CREATE FUNCTION {schema}.wfcore_apply(
        plan jsonb, OUT conflict_ref text, OUT found_version bigint, OUT found_execution_id text,
        OUT pending text[], OUT undelivered text[]
    ) LANGUAGE plpgsql AS $wfcore$
    DECLARE
        item jsonb;
    BEGIN
        FOR item IN SELECT value FROM jsonb_array_elements(plan -> 'locks') LOOP
            IF (item -> 1)::boolean THEN
                PERFORM pg_advisory_xact_lock(hashtextextended('{schema} ' || (item ->> 0), 0));
            END IF;
            CASE item ->> 2
            WHEN 'delete' THEN PERFORM FROM {schema}.wfcore_instances WHERE ref = item ->> 0 FOR UPDATE;
            WHEN 'write' THEN PERFORM FROM {schema}.wfcore_instances WHERE ref = item ->> 0 FOR NO KEY UPDATE;
            ELSE PERFORM FROM {schema}.wfcore_instances WHERE ref = item ->> 0 FOR KEY SHARE;
            END CASE;
        END LOOP;
        FOR item IN SELECT value FROM jsonb_array_elements(plan -> 'given') LOOP
            SELECT version, execution_id INTO found_version, found_execution_id
            FROM {schema}.wfcore_instances WHERE ref = item ->> 0;
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
            WHEN 'put wfcore_instances' THEN INSERT INTO {schema}.wfcore_instances (ref, workflow_name, instance_id, run_number, key_run, status, params, output, failure, tags, created_at, updated_at, started_at, completed_at, version, execution_id, created_by) VALUES ((item ->> 1), (item ->> 2), (item ->> 3), (item ->> 4)::bigint, (item ->> 5)::bigint, (item ->> 6), (item ->> 7), (item ->> 8), (item ->> 9), (item ->> 10), (item ->> 11)::timestamptz, (item ->> 12)::timestamptz, (item ->> 13)::timestamptz, (item ->> 14)::timestamptz, (item ->> 15)::bigint, (item ->> 16), (item ->> 17)) ON CONFLICT (ref) DO UPDATE SET workflow_name = excluded.workflow_name, instance_id = excluded.instance_id, run_number = excluded.run_number, key_run = excluded.key_run, status = excluded.status, params = excluded.params, output = excluded.output, failure = excluded.failure, tags = excluded.tags, created_at = excluded.created_at, updated_at = excluded.updated_at, started_at = excluded.started_at, completed_at = excluded.completed_at, version = excluded.version, execution_id = excluded.execution_id, created_by = excluded.created_by;
WHEN 'put wfcore_steps' THEN INSERT INTO {schema}.wfcore_steps (instance_ref, run_number, key, kind, name, parent_key, depth, status, attempts, max_attempts, next_retry_at, wake_at, event_types, event_id, result, failure, sequence, created_at, settled_at, execution_id) VALUES ((item ->> 1), (item ->> 2)::bigint, (item ->> 3), (item ->> 4), (item ->> 5), (item ->> 6), (item ->> 7)::bigint, (item ->> 8), (item ->> 9)::bigint, (item ->> 10)::bigint, (item ->> 11)::timestamptz, (item ->> 12)::timestamptz, (item ->> 13), (item ->> 14), (item ->> 15), (item ->> 16), (item ->> 17)::bigint, (item ->> 18)::timestamptz, (item ->> 19)::timestamptz, (item ->> 20)) ON CONFLICT (instance_ref, run_number, key) DO UPDATE SET kind = excluded.kind, name = excluded.name, parent_key = excluded.parent_key, depth = excluded.depth, status = excluded.status, attempts = excluded.attempts, max_attempts = excluded.max_attempts, next_retry_at = excluded.next_retry_at, wake_at = excluded.wake_at, event_types = excluded.event_types, event_id = excluded.event_id, result = excluded.result, failure = excluded.failure, sequence = excluded.sequence, created_at = excluded.created_at, settled_at = excluded.settled_at, execution_id = excluded.execution_id;
WHEN 'put wfcore_hooks' THEN INSERT INTO {schema}.wfcore_hooks (instance_ref, id, run_number, workflow_name, instance_id, reason, due_at, created_at, attempts, last_error, shard_hash) VALUES ((item ->> 1), (item ->> 2), (item ->> 3)::bigint, (item ->> 4), (item ->> 5), (item ->> 6), (item ->> 7)::timestamptz, (item ->> 8)::timestamptz, (item ->> 9)::bigint, (item ->> 10), (item ->> 11)::bigint) ON CONFLICT (instance_ref, id) DO UPDATE SET run_number = excluded.run_number, workflow_name = excluded.workflow_name, instance_id = excluded.instance_id, reason = excluded.reason, due_at = excluded.due_at, created_at = excluded.created_at, attempts = excluded.attempts, last_error = excluded.last_error, shard_hash = excluded.shard_hash;
WHEN 'delete wfcore_hooks' THEN DELETE FROM {schema}.wfcore_hooks WHERE instance_ref = (item ->> 1) AND id = (item ->> 2);
WHEN 'delete wfcore_steps' THEN DELETE FROM {schema}.wfcore_steps WHERE instance_ref = (item ->> 1) AND run_number = (item ->> 2)::bigint AND key = (item ->> 3);
WHEN 'put wfcore_events' THEN 
        UPDATE {schema}.wfcore_events SET type = (item ->> 3), payload = (item ->> 4), actor = (item ->> 5), created_at = (item ->> 6)::timestamptz, consumed_by = (item ->> 7), consumed_run = (item ->> 8)::bigint, delivered_at = (item ->> 9)::timestamptz WHERE instance_ref = (item ->> 1) AND id = (item ->> 2);
        IF NOT FOUND THEN
            PERFORM pg_advisory_xact_lock(hashtextextended('{schema} ' || (item ->> 1), 0));
            INSERT INTO {schema}.wfcore_events (instance_ref, id, type, payload, actor, created_at, consumed_by, consumed_run, delivered_at) VALUES ((item ->> 1), (item ->> 2), (item ->> 3), (item ->> 4), (item ->> 5), (item ->> 6)::timestamptz, (item ->> 7), (item ->> 8)::bigint, (item ->> 9)::timestamptz) ON CONFLICT (instance_ref, id) DO UPDATE SET type = excluded.type, payload = excluded.payload, actor = excluded.actor, created_at = excluded.created_at, consumed_by = excluded.consumed_by, consumed_run = excluded.consumed_run, delivered_at = excluded.delivered_at;
        END IF
    ;
WHEN 'add wfcore_instances' THEN INSERT INTO {schema}.wfcore_instances (ref, workflow_name, instance_id, run_number, key_run, status, params, output, failure, tags, created_at, updated_at, started_at, completed_at, version, execution_id, created_by) VALUES ((item ->> 1), (item ->> 2), (item ->> 3), (item ->> 4)::bigint, (item ->> 5)::bigint, (item ->> 6), (item ->> 7), (item ->> 8), (item ->> 9), (item ->> 10), (item ->> 11)::timestamptz, (item ->> 12)::timestamptz, (item ->> 13)::timestamptz, (item ->> 14)::timestamptz, (item ->> 15)::bigint, (item ->> 16), (item ->> 17)) ON CONFLICT DO NOTHING;
WHEN 'append wfcore_events' THEN 
            PERFORM FROM {schema}.wfcore_instances WHERE ref = item ->> 1 FOR KEY SHARE;
            IF FOUND THEN INSERT INTO {schema}.wfcore_events (instance_ref, id, type, payload, actor, created_at, consumed_by, consumed_run, delivered_at) VALUES ((item ->> 1), (item ->> 2), (item ->> 3), (item ->> 4), (item ->> 5), (item ->> 6)::timestamptz, (item ->> 7), (item ->> 8)::bigint, (item ->> 9)::timestamptz) ON CONFLICT DO NOTHING; END IF
        ;
WHEN 'append wfcore_hooks' THEN 
            PERFORM FROM {schema}.wfcore_instances WHERE ref = item ->> 1 FOR KEY SHARE;
            IF FOUND THEN INSERT INTO {schema}.wfcore_hooks (instance_ref, id, run_number, workflow_name, instance_id, reason, due_at, created_at, attempts, last_error, shard_hash) VALUES ((item ->> 1), (item ->> 2), (item ->> 3)::bigint, (item ->> 4), (item ->> 5), (item ->> 6), (item ->> 7)::timestamptz, (item ->> 8)::timestamptz, (item ->> 9)::bigint, (item ->> 10), (item ->> 11)::bigint) ON CONFLICT DO NOTHING; END IF
        ;
WHEN 'purge wfcore_instances' THEN DELETE FROM {schema}.wfcore_instances WHERE ref = (item ->> 1);
WHEN 'purge wfcore_steps' THEN DELETE FROM {schema}.wfcore_steps WHERE instance_ref = (item ->> 1);
WHEN 'purge wfcore_events' THEN DELETE FROM {schema}.wfcore_events WHERE instance_ref = (item ->> 1);
WHEN 'purge wfcore_hooks' THEN DELETE FROM {schema}.wfcore_hooks WHERE instance_ref = (item ->> 1);

            END CASE;
        END LOOP;
        PERFORM pg_notify('{schema}', value) FROM jsonb_array_elements_text(plan -> 'told');
        pending := ARRAY(SELECT id FROM {schema}.wfcore_hooks WHERE instance_ref = plan ->> 'ref');
        undelivered := ARRAY(
            SELECT value FROM jsonb_array_elements_text(plan -> 'appended')
            WHERE NOT EXISTS (SELECT FROM {schema}.wfcore_instances WHERE ref = value)
        );
    END
    $wfcore$;
    INSERT INTO {schema}.wfcore_instances (
    ref, workflow_name, instance_id, run_number, key_run, status, params, tags, created_at, updated_at, version,
    execution_id, created_by
) VALUES (
    'checkout#order-1', 'checkout', 'order-1', 1, 1, 'active', '{}', '{"team": "red"}', '2026-03-01T12:00:00Z',
    '2026-03-01T12:00:00Z', 1, 'e1', 'e1'
);
INSERT INTO {schema}.wfcore_hooks (
    instance_ref, id, run_number, workflow_name, instance_id, reason, due_at, created_at, attempts,
    shard_hash
) VALUES (
    'checkout#order-1', 'checkout#order-1#timer', 1, 'checkout', 'order-1', 'wake', '2026-03-01T12:00:00Z',
    '2026-03-01T12:00:00Z', 0, 3878100809
);
