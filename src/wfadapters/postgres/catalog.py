"""What an operator asks, each a single statement: lists, counts, histories, candidates for an audit. No I/O.

A *lane* is the instances of one status, and of one workflow if the query names any. An index has each lane in the order
of a list, so a page is merged of the beginnings of its lanes. Tags have an index of their own, for those that are rare;
which ones are, PostgreSQL knows for given tags only, so lists and counts are planned each time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from wfadapters import rows
from wfadapters.postgres.cut import Cut, arm
from wfadapters.postgres.question import Question
from wfadapters.postgres.tables import labels, reading
from wfcore.errors import InstanceNotFoundError
from wfcore.model import Instance, InstanceStatus
from wfcore.ports import History, InstanceQuery, Page
from wfcore.ports.catalog import STATUSES

_INSTANCE = reading(rows.INSTANCES, "i")
_SINCE, _BEFORE = "i.created_at >= %(since)s::timestamptz", "i.created_at < %(before)s::timestamptz"
_TAGGED = f"i.tags <> '{{}}' AND {labels('i.tags')} @> {labels('%(tags)s::text')}"
_AFTER = "(i.created_at, i.ref) < (%(at)s::timestamptz, %(after)s::text)"

# ---- lists and counts


def list_instances(s: str, query: InstanceQuery) -> Question[Page[Instance]]:
    """One page; see :class:`wfcore.ports.Catalog`."""
    position = query.position()
    parameters = _parameters(query)
    if position is not None:
        parameters |= {"at": position[0], "after": position[1]}
    conditions = [*_filters(query), *[_AFTER] * (position is not None)]
    first = f"ORDER BY i.created_at DESC, i.ref DESC LIMIT {query.limit + 1}"
    lanes = []
    for place, lane in enumerate(_lanes(query)):
        parameters |= {f"{column}{place}": value for column, value in lane.items()}
        own = [f"i.{column} = %({column}{place})s" for column in lane]
        lanes.append(f"(SELECT * FROM {s}.wfcore_instances i WHERE {' AND '.join(own + conditions)} {first})")
    walked = " UNION ALL ".join(lanes) or f"SELECT * FROM {s}.wfcore_instances i WHERE false"
    sql = f"SELECT {_INSTANCE} FROM ({walked}) i {first}"
    return Question(sql.encode(), parameters, partial(_page, query), prepare=False)


def count_by_status(s: str, query: InstanceQuery) -> Question[Mapping[InstanceStatus, int]]:
    """How many there are; see :class:`wfcore.ports.Catalog`."""
    conditions = ["true", *_filters(query)]
    conditions += ["i.status = ANY (%(statuses)s::text[])"] * (query.statuses is not None)
    conditions += ["i.workflow_name = ANY (%(names)s::text[])"] * (query.workflow_names is not None)
    sql = f"SELECT i.status, count(*) FROM {s}.wfcore_instances i WHERE {' AND '.join(conditions)} GROUP BY i.status"
    return Question(sql.encode(), _parameters(query), _counts, prepare=False)


def _page(query: InstanceQuery, found: Sequence[Sequence[Any]]) -> Page[Instance]:
    return query.page([rows.read_instance(row) for row in found])


def _counts(found: Sequence[Sequence[Any]]) -> Mapping[InstanceStatus, int]:
    counts = {row[0]: row[1] for row in found}
    return {status: counts.get(status, 0) for status in STATUSES}


def _filters(query: InstanceQuery) -> list[str]:
    """Only those that are given: no index is of use for `$1 IS NULL OR ...`."""
    given = {_SINCE: query.created_since, _BEFORE: query.created_before, _TAGGED: query.tags or None}
    return [condition for condition, value in given.items() if value is not None]


def _lanes(query: InstanceQuery) -> list[dict[str, str]]:
    statuses = sorted(STATUSES if query.statuses is None else query.statuses)
    if query.workflow_names is None:
        return [{"status": status} for status in statuses]
    return [{"workflow_name": name, "status": status} for name in sorted(query.workflow_names) for status in statuses]


def _parameters(query: InstanceQuery) -> dict[str, Any]:
    return {
        "since": query.created_since,
        "before": query.created_before,
        "tags": json.dumps(query.tags),
        "statuses": sorted(query.statuses or ()),
        "names": sorted(query.workflow_names or ()),
    }


# ---- one instance


def history(s: str, ref: str, run_number: int | None) -> Question[History]:
    """What is recorded of a run; see :class:`wfcore.ports.Catalog`."""
    current = f"(SELECT run_number FROM {s}.wfcore_instances WHERE ref = %(ref)s)"
    run = f"coalesce(%(run)s::bigint, {current})"
    taken = f"consumed_run = {run} OR consumed_by IS NULL AND {run} = {current}"
    arms = [
        arm(s, rows.INSTANCES, "ref = %(ref)s"),
        arm(s, rows.STEPS, f"instance_ref = %(ref)s AND run_number = {run}"),
        arm(s, rows.EVENTS, f"instance_ref = %(ref)s AND ({taken})", "t.arrival"),
    ]
    return Question(
        " UNION ALL ".join(arms).encode(), {"ref": ref, "run": run_number}, partial(_history, ref, run_number)
    )


def _history(ref: str, run_number: int | None, found: Sequence[Sequence[Any]]) -> History:
    cut = Cut.of(found)
    if not cut.instances:
        raise InstanceNotFoundError(ref)
    instance = rows.read_instance(cut.instances[0])
    return History.of(instance, run_number, map(rows.read_step, cut.steps), map(rows.read_event, cut.events))


# ---- audit


def suspects(s: str, limit: int, after: str | None) -> Question[Sequence[Instance]]:
    """Candidates for an audit; see :class:`wfcore.ports.Catalog`.

    Whatever breaks rule O5, seen from afar: the timer is not where the earliest deadline is, a message has no hook.
    Hooks that were put off are among it, and starts by other instances. Live steps are counted, by their index:
    for EXISTS PostgreSQL may read the whole table.
    """
    live = f"""
        FROM {s}.wfcore_steps t
        WHERE t.instance_ref = i.ref AND t.run_number = i.run_number AND t.status IN ('waiting', 'started')
    """
    deadline = f"""
        SELECT min(CASE WHEN t.kind = 'do' AND t.status = 'waiting' THEN t.next_retry_at ELSE t.wake_at END) {live}
    """
    timer = f"""
        SELECT h.due_at FROM {s}.wfcore_hooks h WHERE h.instance_ref = i.ref AND h.id = i.ref || '#timer'
        AND coalesce(h.run_number, i.run_number) = i.run_number
    """
    unannounced = f"""
        SELECT FROM {s}.wfcore_events e WHERE e.instance_ref = i.ref AND e.consumed_by IS NULL AND NOT EXISTS (
            SELECT FROM {s}.wfcore_hooks h WHERE h.instance_ref = i.ref AND h.id = i.ref || '#msg:' || e.id
        )
    """
    sql = f"""
        SELECT {_INSTANCE} FROM {s}.wfcore_instances i WHERE i.ref > %(after)s AND CASE i.status
            WHEN 'active' THEN ({timer}) IS NULL
            WHEN 'waiting' THEN ({timer}) IS DISTINCT FROM ({deadline}) OR (SELECT count(*) {live}) = 0
                OR EXISTS ({unannounced})
            WHEN 'paused' THEN ({timer}) IS NOT NULL
            ELSE ({timer}) IS NOT NULL OR (SELECT count(*) {live}) > 0
        END ORDER BY i.ref LIMIT %(limit)s
    """
    return Question(sql.encode(), {"after": after or "", "limit": limit}, _instances)


def _instances(found: Sequence[Sequence[Any]]) -> Sequence[Instance]:
    return tuple(map(rows.read_instance, found))
