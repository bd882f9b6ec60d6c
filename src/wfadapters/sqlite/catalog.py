"""The catalog inside an open transaction: lists and counts by walking indexes, histories, candidates for an audit.

A *lane* is the instances of one status, and of one workflow or tag if the query names any. An index has each lane in
the order of a list, so a page is the beginning of the lanes' merge, and nothing is sorted, however many there are.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from heapq import merge
from itertools import islice
from typing import Any, TypeAlias

from wfadapters import rows
from wfadapters.columns import instant_column
from wfadapters.sqlite.connections import plain_cursor
from wfadapters.sqlite.tags import text_of
from wfadapters.sqlite.transaction import READ_INSTANCE, READ_STEPS, select
from wfcore.errors import InstanceNotFoundError
from wfcore.model import Instance, InstanceStatus
from wfcore.ports import History, InstanceQuery, Page
from wfcore.ports.catalog import STATUSES, place

_Lane: TypeAlias = tuple[InstanceStatus, str, tuple[Any, ...]]
"""Its status; what follows ``FROM``, and its arguments."""
_Tag: TypeAlias = tuple[str, str]
"""Name and value, each as JSON in a list."""

_FIRST = -(2**63)
_LAST = 2**63 - 1
_TAG = f"json_extract({text_of('?')}, '$[0]')"
# The table that is walked is w.
_BY_STATUS = "wfcore_instances AS w WHERE w.status = ?"
_BY_WORKFLOW = "wfcore_instances AS w WHERE w.workflow_name = ? AND w.status = ?"
_BY_TAG = f"wfcore_tags AS w WHERE w.name = {_TAG} AND w.value = {_TAG} AND w.status = ?"
_SINCE_AND_BEFORE = " AND w.created_at >= ? AND w.created_at < ?"
_SINCE_AND_AFTER = " AND w.created_at >= ? AND (w.created_at, w.ref) < (?, ?)"
_OF_WORKFLOWS = " AND substr(w.ref, 1, instr(w.ref, '#') - 1) IN (SELECT value FROM json_each(?))"
_HAS_TAG = f"wfcore_tags AS o WHERE o.name = {_TAG} AND o.value = {_TAG}"
_SAME = "o.status = w.status AND o.created_at = w.created_at AND o.ref = w.ref"
_TAGGED = f" AND EXISTS (SELECT 1 FROM {_HAS_TAG} AND {_SAME})"  # noqa: S608 # names of our own
_MANY = f"SELECT count(*) FROM (SELECT 1 FROM {_HAS_TAG} LIMIT 1000)"  # noqa: S608 # as above
_JOINED = "wfcore_tags AS w CROSS JOIN wfcore_instances USING (ref, status, created_at) WHERE"
_COLUMNS = ", ".join(rows.INSTANCES.columns)

READ_EVENTS = select(
    rows.EVENTS, "instance_ref = ?1 AND (consumed_run = ?2 OR consumed_by IS NULL AND ?2 = ?3) ORDER BY arrival"
)

# ---- lists and counts


def list_instances(cursor: sqlite3.Cursor, query: InstanceQuery) -> Page[Instance]:
    """One page; see :class:`wfcore.ports.Catalog`."""
    with ExitStack() as cursors:
        walks = []
        for _status, source, arguments in lanes(query, _tags(cursor, query)):
            walk = cursors.enter_context(closing(plain_cursor(cursor.connection)))
            walk.execute(listing(source), arguments)
            walks.append(map(rows.read_instance, walk))
        return query.page(list(islice(merge(*walks, key=place, reverse=True), query.limit + 1)))


def count_by_status(cursor: sqlite3.Cursor, query: InstanceQuery) -> Mapping[InstanceStatus, int]:
    """How many there are; see :class:`wfcore.ports.Catalog`."""
    counts = Counter[InstanceStatus](dict.fromkeys(STATUSES, 0))
    for status, source, arguments in lanes(query, _tags(cursor, query), after=False):
        counts[status] += cursor.execute(counting(source), arguments).fetchone()[0]
    return dict(counts)


def listing(source: str) -> str:
    """The statement that walks a lane from its newest instance to its oldest."""
    joined = source.replace("wfcore_tags AS w WHERE", _JOINED)
    return f"SELECT {_COLUMNS} FROM {joined} ORDER BY w.created_at DESC, w.ref DESC"  # noqa: S608 # as above


def counting(source: str) -> str:
    """The statement that counts a lane."""
    return f"SELECT count(*) FROM {source}"  # noqa: S608 # as above


def _tags(cursor: sqlite3.Cursor, query: InstanceQuery) -> list[_Tag]:
    """The query's tags, one that few instances have first: its lanes are walked, the others looked up."""
    tags = [(json.dumps([name]), json.dumps([value])) for name, value in query.tags.items()]
    return tags if len(tags) < 2 else sorted(tags, key=lambda tag: cursor.execute(_MANY, tag).fetchone()[0])


def lanes(query: InstanceQuery, tags: Sequence[_Tag], *, after: bool = True) -> Iterator[_Lane]:
    """The lanes of a query; from its cursor on, or, without ``after``, as a whole."""
    since = _FIRST if query.created_since is None else instant_column(query.created_since)
    before = _LAST if query.created_before is None else instant_column(query.created_before)
    position = query.position() if after else None
    bounds: tuple[Any, ...]
    if position is None:
        within, bounds = _SINCE_AND_BEFORE, (since, before)
    else:
        within, bounds = _SINCE_AND_AFTER, (since, *min((before, ""), (instant_column(position[0]), position[1])))
    names = None if query.workflow_names is None else sorted(query.workflow_names)
    for status in STATUSES if query.statuses is None else sorted(query.statuses):
        if tags:
            yield _tagged(status, tags, names, within, bounds)
        elif names is None:
            yield status, _BY_STATUS + within, (status, *bounds)
        else:
            yield from ((status, _BY_WORKFLOW + within, (name, status, *bounds)) for name in names)


def _tagged(
    status: InstanceStatus, tags: Sequence[_Tag], names: list[str] | None, within: str, bounds: tuple[Any, ...]
) -> _Lane:
    first, *others = tags
    source = _BY_TAG + within + _TAGGED * len(others)
    arguments = (*first, status, *bounds, *(text for tag in others for text in tag))
    if names is None:
        return status, source, arguments
    return status, source + _OF_WORKFLOWS, (*arguments, json.dumps(names))


# ---- one instance


def history(cursor: sqlite3.Cursor, ref: str, run_number: int | None) -> History:
    """What is recorded of a run; see :class:`wfcore.ports.Catalog`."""
    found = cursor.execute(READ_INSTANCE, (ref,)).fetchone()
    if found is None:
        raise InstanceNotFoundError(ref)
    instance = rows.read_instance(found)
    run = instance.run_number if run_number is None else run_number
    steps = cursor.execute(READ_STEPS, (ref, run)).fetchall()
    events = cursor.execute(READ_EVENTS, (ref, run, instance.run_number)).fetchall()
    return History.of(instance, run, map(rows.read_step, steps), map(rows.read_event, events))


# ---- audit

# Whatever breaks rule O5, seen from afar: the timer is not where the earliest deadline is, a message has no hook.
# Hooks that were put off are among it, and starts by other instances.
_LIVE = """
    FROM wfcore_steps AS s
    WHERE s.instance_ref = i.ref AND s.run_number = i.run_number AND s.status IN ('waiting', 'started')
"""
_DEADLINE = f"""
    SELECT min(CASE WHEN s.kind = 'do' AND s.status = 'waiting' THEN s.next_retry_at ELSE s.wake_at END) {_LIVE}
"""
_TIMER = """
    SELECT h.due_at FROM wfcore_hooks AS h
    WHERE h.instance_ref = i.ref AND h.id = i.ref || '#timer' AND coalesce(h.run_number, i.run_number) = i.run_number
"""
_UNANNOUNCED = """
    SELECT 1 FROM wfcore_events AS e WHERE e.instance_ref = i.ref AND e.consumed_by IS NULL AND NOT EXISTS (
        SELECT 1 FROM wfcore_hooks AS h WHERE h.instance_ref = i.ref AND h.id = i.ref || '#msg:' || e.id
    )
"""
SUSPECTS = f"""
    SELECT {_COLUMNS} FROM wfcore_instances AS i WHERE i.ref > ? AND CASE i.status
        WHEN 'active' THEN ({_TIMER}) IS NULL
        WHEN 'waiting' THEN ({_TIMER}) IS NOT ({_DEADLINE}) OR NOT EXISTS (SELECT 1 {_LIVE}) OR EXISTS ({_UNANNOUNCED})
        WHEN 'paused' THEN ({_TIMER}) IS NOT NULL
        ELSE ({_TIMER}) IS NOT NULL OR EXISTS (SELECT 1 {_LIVE})
    END ORDER BY i.ref LIMIT ?
"""  # noqa: S608 # as above


def suspects(cursor: sqlite3.Cursor, limit: int, after: str | None) -> Sequence[Instance]:
    """Candidates for an audit; see :class:`wfcore.ports.Catalog`."""
    return [rows.read_instance(row) for row in cursor.execute(SUSPECTS, (after or "", limit)).fetchall()]
