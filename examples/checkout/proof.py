"""The proof: reads the files as they are, with ``sqlite3`` and nothing of wfcore, and looks for what should not be.

Each claim is one query for whatever breaks it and one for what was counted.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from typing import Any

import attrs
from examples.checkout.app import Files
from examples.checkout.tables import connect


@attrs.frozen
class Claim:
    """A claim with two queries: ``counted`` gives the numbers of its ``text``, ``broken`` a row for every breach."""

    name: str
    text: str
    counted: str
    broken: str


@attrs.frozen
class Finding:
    claim: str
    counted: str
    problems: tuple[str, ...]


# What there should be by the file of orders; how every workflow ended; every step whose body has settled; what became
# of every order; the answers that came before the deadline of the wait for them.
_VIEWS = """
    CREATE TEMP TABLE wanted (order_id TEXT PRIMARY KEY, cents INTEGER);
    CREATE TEMP VIEW ended AS
        SELECT instance_id AS order_id, json_extract(output, '$.status') AS result
        FROM wfcore_instances WHERE status = 'complete';
    CREATE TEMP VIEW settled AS
        SELECT substr(instance_ref, length('checkout#') + 1) AS order_id, name AS step,
               CASE status WHEN 'completed' THEN 'done' ELSE 'failed' END AS outcome
        FROM wfcore_steps WHERE kind = 'do' AND status IN ('completed', 'errored');
    CREATE TEMP VIEW fates AS
        SELECT order_id, cents, (SELECT result FROM ended WHERE ended.order_id = wanted.order_id) AS result,
               (SELECT count(*) FROM gateway.charges c WHERE c.order_id = wanted.order_id) AS charges,
               (SELECT count(*) FROM gateway.refunds r WHERE r.order_id = wanted.order_id) AS refunds,
               (SELECT total(cents) FROM gateway.charges c WHERE c.order_id = wanted.order_id) AS charged,
               (SELECT total(cents) FROM gateway.refunds r WHERE r.order_id = wanted.order_id) AS refunded,
               (SELECT count(*) FROM paid p WHERE p.order_id = wanted.order_id) AS rows,
               (SELECT total(cents) FROM paid p WHERE p.order_id = wanted.order_id) AS earned
        FROM wanted;
    CREATE TEMP VIEW answered_in_time AS
        SELECT substr(w.instance_ref, length('checkout#') + 1) AS order_id, e.consumed_by
        FROM wfcore_steps w JOIN wfcore_events e ON e.instance_ref = w.instance_ref AND e.created_at <= w.wake_at
        WHERE w.kind = 'wait_for_event';
"""

_LOST_ORDERS = """
    SELECT order_id, 'is not in the table of orders' FROM wanted WHERE order_id NOT IN (SELECT order_id FROM orders)
    UNION ALL
    SELECT order_id, 'has no workflow' FROM wanted
    WHERE order_id NOT IN (SELECT instance_id FROM wfcore_instances)
    UNION ALL
    SELECT instance_id, 'is ' || status FROM wfcore_instances WHERE status <> 'complete'
    UNION ALL
    SELECT order_id, 'was never wanted' FROM orders WHERE order_id NOT IN (SELECT order_id FROM wanted)
    UNION ALL
    SELECT instance_id, 'was never wanted' FROM wfcore_instances
    WHERE instance_id NOT IN (SELECT order_id FROM wanted)
"""

# The ledger has no unique key, and each of its rows was committed by a step: what is there twice was committed twice.
_STEPS = """
    SELECT order_id, step || ' (' || outcome || ') stands ' || count(*) || ' times in the ledger'
    FROM ledger GROUP BY order_id, step HAVING count(*) > 1
    UNION ALL
    SELECT order_id, step || ' (' || outcome || ') is not in the ledger'
    FROM settled WHERE (order_id, step, outcome) NOT IN (SELECT order_id, step, outcome FROM ledger)
    UNION ALL
    SELECT order_id, step || ' (' || outcome || ') is in the ledger, and no such step has settled'
    FROM ledger WHERE (order_id, step, outcome) NOT IN (SELECT order_id, step, outcome FROM settled)
    UNION ALL
    SELECT order_id, 'is paid, with the steps ' || group_concat(step) FROM settled
    WHERE order_id IN (SELECT order_id FROM ended WHERE result = 'paid')
    GROUP BY order_id
    HAVING total(outcome = 'done' AND step IN ('charge', 'ask', 'pick', 'book', 'receipt')) <> 5 OR count(*) <> 5
    UNION ALL
    SELECT instance_ref, 'has gaps in the order of its steps' FROM wfcore_steps WHERE sequence IS NOT NULL
    GROUP BY instance_ref, run_number HAVING max(sequence) <> count(DISTINCT sequence) OR min(sequence) <> 1
"""

CLAIMS = (
    Claim(
        "no order was lost",
        "{} orders in the file, {} in the shop, {} workflows that have ended",
        "SELECT (SELECT count(*) FROM wanted), (SELECT count(*) FROM orders), (SELECT count(*) FROM ended)",
        _LOST_ORDERS,
    ),
    Claim(
        "every step was committed once",
        "{} steps have settled, {} rows in the ledger, {} different",
        """SELECT (SELECT count(*) FROM settled), (SELECT count(*) FROM ledger),
                  (SELECT count(*) FROM (SELECT DISTINCT order_id, step FROM ledger))""",
        _STEPS,
    ),
    Claim(
        "every paid order has one row",
        "{} orders are paid, {} rows, {} different",
        """SELECT (SELECT count(*) FROM ended WHERE result = 'paid'), (SELECT count(*) FROM paid),
                  (SELECT count(DISTINCT order_id) FROM paid)""",
        """SELECT order_id, 'is ' || ifnull(result, 'not ended') || ' and has ' || rows || ' rows of '
                  || CAST(earned AS INTEGER) || ' cents'
           FROM fates WHERE rows <> (result IS 'paid') OR earned <> cents * (result IS 'paid')
           UNION ALL
           SELECT order_id, 'has a row and was never wanted' FROM paid
           WHERE order_id NOT IN (SELECT order_id FROM wanted)""",
    ),
    Claim(
        "every card was charged once",
        "{} charges of {} orders, {} refunds, {} declined",
        """SELECT (SELECT count(*) FROM gateway.charges), (SELECT count(DISTINCT order_id) FROM gateway.charges),
                  (SELECT count(*) FROM gateway.refunds), (SELECT count(*) FROM ended WHERE result = 'declined')""",
        """SELECT order_id, 'is ' || result || ' with ' || charges || ' charges and ' || refunds || ' refunds'
           FROM fates WHERE charges <> (result <> 'declined') OR refunds <> (result = 'refunded')
           OR charged <> cents * (result <> 'declined') OR refunded <> cents * (result = 'refunded')
           UNION ALL
           SELECT order_id, 'was charged and was never wanted' FROM gateway.charges
           WHERE order_id NOT IN (SELECT order_id FROM wanted)""",
    ),
    Claim(
        "every answer in time was taken",
        "{} answers, {} of them in time, {} taken",
        """SELECT (SELECT count(*) FROM questions WHERE answer IS NOT NULL), count(*), count(consumed_by)
           FROM answered_in_time""",
        """SELECT order_id, 'was answered in time, and nobody noticed' FROM answered_in_time WHERE consumed_by IS NULL
           UNION ALL
           SELECT order_id, 'was answered, and the event is gone' FROM questions
           WHERE answer <> 'too late' AND 'checkout#' || order_id NOT IN (SELECT instance_ref FROM wfcore_events)""",
    ),
    Claim(
        "nothing is left to do",
        "{} wake-ups stored, {} questions open",
        "SELECT (SELECT count(*) FROM wfcore_hooks), (SELECT count(*) FROM questions WHERE answer IS NULL)",
        """SELECT instance_id, 'has a wake-up left' FROM wfcore_hooks
           UNION ALL SELECT order_id, 'has an open question' FROM questions WHERE answer IS NULL""",
    ),
)


def prove(files: Files, wanted: Iterable[tuple[str, int]]) -> list[Finding]:
    """Look at every claim; ``wanted``: id and cents of the orders that there should be."""
    with closing(connect(files.db)) as connection:
        connection.execute("ATTACH ? AS gateway", (str(files.gateway),))
        connection.executescript(_VIEWS)
        connection.executemany("INSERT INTO wanted VALUES (?, ?)", wanted)
        return [_look_at(connection, claim) for claim in CLAIMS]


def _look_at(connection: sqlite3.Connection, claim: Claim) -> Finding:
    numbers: tuple[Any, ...] = connection.execute(claim.counted).fetchone()
    problems = tuple(f"{order_id} {what}" for order_id, what in connection.execute(claim.broken))
    return Finding(claim.name, claim.text.format(*numbers), problems)


# What a demo of the proof may do to the files: each of them has to be found.
SABOTAGE = {
    "lost-row": "DELETE FROM paid WHERE rowid = (SELECT max(rowid) FROM paid)",
    "double-row": "INSERT INTO paid SELECT * FROM paid LIMIT 1",
    "lost-step": "DELETE FROM ledger WHERE rowid = (SELECT max(rowid) FROM ledger)",
    "double-step": "INSERT INTO ledger SELECT * FROM ledger LIMIT 1",
    "lost-order": "DELETE FROM wfcore_instances WHERE ref = (SELECT min(ref) FROM wfcore_instances)",
    "lost-charge": "DELETE FROM gateway.charges WHERE key = (SELECT min(key) FROM gateway.charges)",
    "double-charge": """INSERT INTO gateway.charges
                        SELECT key || '-again', payment_id, order_id, cents FROM gateway.charges LIMIT 1""",
    "lost-answer": "DELETE FROM wfcore_events WHERE arrival = (SELECT min(arrival) FROM wfcore_events)",
    "unheard-answer": """UPDATE wfcore_events SET consumed_by = NULL
                         WHERE arrival = (SELECT min(arrival) FROM wfcore_events)""",
}


def sabotage(files: Files, how: str) -> None:
    with closing(connect(files.db)) as connection:
        connection.execute("ATTACH ? AS gateway", (str(files.gateway),))
        connection.execute(SABOTAGE[how])
