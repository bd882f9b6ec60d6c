"""Which hooks are due: walks along the index of ``due_at``, which has all that a query asks about."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime
from functools import cache

from wfadapters import rows
from wfadapters.columns import instant_column
from wfadapters.sqlite import schema
from wfadapters.sqlite.connections import plain_cursor
from wfadapters.sqlite.transaction import select
from wfcore.model import FiredHook, Hook
from wfcore.ports import DueQuery

_ADMITTED = """
    (? IS NULL OR workflow_name IN (SELECT value FROM json_each(?)))
    AND instance_ref NOT IN (SELECT value FROM json_each(?))
"""
# wfcore_shard is a function of each connection (connections.py): no column, so any count of shards will do, and older
# processes may write to the file. It is called for the hooks that a walk meets, about `count` for each that it takes.
OWN = "wfcore_shard(instance_ref, ?) = ?"
FOREIGN = f"NOT {OWN}"
DUE = "due_at <= ?"
TAKEN = f"{DUE} AND (due_at <= ? OR {OWN})"
FIRST = "LIMIT 1"


def due(cursor: sqlite3.Cursor, query: DueQuery, now: datetime) -> Sequence[FiredHook]:
    """For each instance its first hook that is due; see :class:`wfcore.ports.HookFeed`."""
    until: tuple[int, ...] = (instant_column(now),)
    condition = DUE
    if query.shard is not None:
        stolen = instant_column(query.shard.steals_until(now))
        condition, until = TAKEN, (*until, stolen, query.shard.count, query.shard.index)
    fired: dict[str, FiredHook] = {}
    with closing(plain_cursor(cursor.connection)) as found:
        for hook in _walk(found, query, condition, until):
            fired.setdefault(hook.instance_ref, FiredHook(hook=hook, timestamp=now))
            if len(fired) == query.limit:
                break
    return tuple(fired.values())


def next_due_at(cursor: sqlite3.Cursor, query: DueQuery) -> datetime | None:
    """When the next hook is due; see :class:`wfcore.ports.HookFeed`."""
    shard = query.shard
    if shard is None or shard.count == 1:
        return next((hook.due_at for hook in _walk(cursor, query, "true", (), FIRST)), None)
    which = (shard.count, shard.index)
    own, foreign = ([*_walk(cursor, query, condition, which, FIRST)] for condition in (OWN, FOREIGN))
    return min((shard.takes_at(hook.instance_ref, hook.due_at) for hook in own + foreign), default=None)


@cache
def walking(condition: str, limit: str = "", *, notices: bool) -> str:
    """The statement that reads hooks in their order. With notices: each half in that of its own index, and merged."""
    kinds = (schema.WAKE_UP, schema.NOTICE) if notices else (schema.WAKE_UP,)
    halves = (select(rows.HOOKS, f"{kind} AND {_ADMITTED} AND {condition}") for kind in kinds)
    return f"{' UNION ALL '.join(halves)} ORDER BY due_at, id {limit}"


def _walk(
    cursor: sqlite3.Cursor, query: DueQuery, condition: str, arguments: tuple[int, ...], limit: str = ""
) -> Iterator[Hook]:
    names = None if query.workflow_names is None else json.dumps(sorted(query.workflow_names))
    each = (names, names, json.dumps(sorted(query.exclude)), *arguments)
    statement = walking(condition, limit, notices=query.terminal_notices)
    return map(rows.read_hook, cursor.execute(statement, each * 2 if query.terminal_notices else each))
