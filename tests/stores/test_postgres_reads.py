"""How much PostgreSQL reads for an answer, of many rows: counted by the server, entry by entry.

For the first answer, which is planned for the parameters, and for the twelfth: by then the driver has prepared the
question, and the server may plan it once for all parameters.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from tests.postgres.database import SCHEMA, Database
from tests.stores.build import NOW
from wfadapters.postgres import PostgresStore, catalog
from wfadapters.postgres.question import Question
from wfadapters.postgres.statements import Statements
from wfadapters.postgres.transaction import ask
from wfcore.ports import DueQuery, InstanceQuery, Shard

pytestmark = pytest.mark.postgres
MANY = f"{SCHEMA}_many"
COUNT = 10_000
HOUR = timedelta(hours=1)
# One of five has ended, and has announced it. The others wait until the timer of a step, one every second.
_ROWS = f"""
    SET search_path = {MANY};
    CREATE TEMPORARY VIEW made AS
        SELECT format('order-%s#%s', n % 4, n) AS ref, format('order-%s', n % 4) AS workflow, n::text AS id,
            timestamptz '{NOW.isoformat()}' + n * interval '1 second' AS at, n % 5 = 0 AS ended,
            hashtext(n::text)::bigint + 2147483648 AS crc
        FROM generate_series(1, {COUNT}) n;
    INSERT INTO wfcore_instances (
        ref, workflow_name, instance_id, run_number, key_run, status, params, tags, created_at, updated_at, version,
        execution_id, created_by
    ) SELECT ref, workflow, id, 2, 2, CASE WHEN ended THEN 'complete' ELSE 'waiting' END, '{{}}',
        format('{{"customer": "%s", "region": "%s"}}', id::bigint % 5000, id::bigint % 4), at, at, 1, 'e1', 'e1'
        FROM made;
    INSERT INTO wfcore_steps (
        instance_ref, run_number, key, kind, name, depth, status, attempts, wake_at, event_types, created_at,
        execution_id
    ) SELECT ref, 2, 'sleep:nap', 'sleep', 'nap', 0, 'waiting', 0, at, '[]', at, 'e1' FROM made WHERE NOT ended;
    INSERT INTO wfcore_hooks (
        instance_ref, id, run_number, workflow_name, instance_id, reason, due_at, created_at, attempts, shard_hash
    ) SELECT ref, ref || CASE WHEN ended THEN '#terminal:2' ELSE '#timer' END, 2, workflow, id,
        CASE WHEN ended THEN 'terminal' ELSE 'wake' END, at, at, 0, crc FROM made;
    -- One of ten has an event that it has not taken, and a hook that says so.
    INSERT INTO wfcore_events (instance_ref, id, type, payload, actor, created_at)
        SELECT ref, 'm', 'approved', '{{}}', 'user', at FROM made WHERE id LIKE '%1';
    INSERT INTO wfcore_hooks (
        instance_ref, id, run_number, workflow_name, instance_id, reason, due_at, created_at, attempts, shard_hash
    ) SELECT ref, ref || '#msg:m', 2, workflow, id, 'event', at, at, 0, crc FROM made WHERE id LIKE '%1';
    -- All have taken one in their first run. One of them has recorded and taken a thousand then.
    INSERT INTO wfcore_events (instance_ref, id, type, payload, actor, created_at, consumed_by, consumed_run)
        SELECT ref, 'taken', 'approved', '{{}}', 'user', at, 'wait:approval', 1 FROM made;
    INSERT INTO wfcore_steps (
        instance_ref, run_number, key, kind, name, depth, status, attempts, event_types, created_at, execution_id
    ) SELECT 'order-1#1', 1, 'do:' || n, 'do', n::text, 0, 'completed', 1, '[]', at, 'e1'
        FROM made, generate_series(1, 1000) n WHERE id = '1';
    INSERT INTO wfcore_events (instance_ref, id, type, payload, actor, created_at, consumed_by, consumed_run)
        SELECT 'order-1#1', 'm' || n, 'approved', '{{}}', 'user', at, 'wait:' || n, 1
        FROM made, generate_series(1, 1000) n WHERE id = '1';
    ANALYZE wfcore_instances, wfcore_steps, wfcore_events, wfcore_hooks;
"""
_COUNTED = f"""
    SELECT relname, pg_stat_get_xact_tuples_returned(oid) FROM pg_class WHERE relnamespace = '{MANY}'::regnamespace
"""
STATEMENTS = Statements(MANY, lambda: NOW + HOUR, "")
AUDITED = {"wfcore_instances_pkey", "wfcore_steps_pkey", "wfcore_hooks_pkey", "wfcore_events_pending"}
CASES: dict[str, tuple[Question[Any], set[str], int]] = {
    "retrieve": (STATEMENTS.retrieve("order-1#1"), AUDITED, 10),
    "history": (
        catalog.history(MANY, "order-1#1", None),
        {"wfcore_instances_pkey", "wfcore_steps_pkey", "wfcore_events_pkey"},
        1_010,
    ),
    "audit": (catalog.suspects(MANY, 100, None), AUDITED, 6 * COUNT),
    "audit of the last": (catalog.suspects(MANY, 100, "order-3#9990"), AUDITED, 60),
}
FEED: dict[str, tuple[Question[Any], set[str], int]] = {}
for name, shard in {
    "": None,
    " of a shard": Shard(1, 4, timedelta.max),
    " of a shard that steals": Shard(1, 4, timedelta(minutes=5)),
}.items():
    due, notices = DueQuery(limit=10, shard=shard), DueQuery(limit=10, shard=shard, terminal_notices=True)
    WALKED = {"wfcore_hooks_due", "wfcore_hooks_notices"}
    FEED |= {
        f"due{name}": (STATEMENTS.due(due), {"wfcore_hooks_due", "wfcore_hooks_pkey"}, 100),
        f"due{name}, and notices": (STATEMENTS.due(notices), {*WALKED, "wfcore_hooks_pkey"}, 200),
        f"next_due_at{name}": (STATEMENTS.next_due_at(due), {"wfcore_hooks_due"}, 10),
        f"next_due_at{name}, and of notices": (STATEMENTS.next_due_at(notices), WALKED, 20),
    }
LISTED: dict[str, tuple[InstanceQuery, set[str], int]] = {
    "all": (InstanceQuery(limit=10), {"wfcore_instances_status"}, 30),
    "a status": (InstanceQuery(limit=10, statuses=["complete"]), {"wfcore_instances_status"}, 20),
    "two workflows": (
        InstanceQuery(limit=10, workflow_names=["order-1", "order-2"]),
        {"wfcore_instances_workflow", "wfcore_instances_status"},  # either will do for a lane that is empty
        60,
    ),
    "a rare tag": (InstanceQuery(limit=10, tags={"customer": "7"}), {"wfcore_instances_tags"}, 30),
    "a common tag": (InstanceQuery(limit=10, tags={"region": "1"}), {"wfcore_instances_status"}, 100),
    "created in an hour": (
        InstanceQuery(limit=10, created_since=NOW, created_before=NOW + HOUR),
        {"wfcore_instances_status"},
        30,
    ),
}
CASES |= {
    f"list of {name}": (catalog.list_instances(MANY, query), indexes, most)
    for name, (query, indexes, most) in LISTED.items()
}


@pytest.fixture(scope="module")
def many() -> Iterator[Database]:
    """The database, with a schema that holds many rows."""
    database = Database.shared()
    PostgresStore(database.url, schema=MANY).close()
    with psycopg.connect(database.url) as connection:
        connection.execute(_ROWS.encode())
    yield database
    database.connection.execute(f"DROP SCHEMA {MANY} CASCADE".encode())


@pytest.mark.parametrize(("question", "indexes", "most"), CASES.values(), ids=CASES)
def test_m9_a_question_reads_entries_of_indexes_and_few_of_them(
    many: Database, question: Question[Any], indexes: set[str], most: int
) -> None:
    check(many, question, indexes, most)


@pytest.mark.parametrize(("question", "indexes", "most"), FEED.values(), ids=FEED)
def test_r4_the_feed_is_walked_no_further_than_the_limit_and_what_it_passes_over(
    many: Database, question: Question[Any], indexes: set[str], most: int
) -> None:
    check(many, question, indexes, most)


def check(many: Database, question: Question[Any], indexes: set[str], most: int) -> None:
    with psycopg.connect(many.url) as connection:
        reads = [entries_read(connection, question) for _ in range(12)]
    for read in (reads[0], reads[-1]):
        assert ([], True) == ([name for name in read if name not in indexes], read.total() <= most), read


def entries_read(connection: psycopg.Connection[Any], question: Question[Any]) -> Counter[str]:
    """By index how many of its entries are read for an answer, and by table how many rows without an index."""
    before = Counter(dict(connection.execute(_COUNTED.encode()).fetchall()))
    ask(connection, question)
    return Counter(dict(connection.execute(_COUNTED.encode()).fetchall())) - before
