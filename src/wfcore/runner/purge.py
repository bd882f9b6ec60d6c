"""Deleting instances that ended long ago, one transaction each (rule M11)."""

from __future__ import annotations

from datetime import datetime

import attrs

from wfcore.errors import IllegalTransitionError, InstanceNotFoundError, NoticePendingError
from wfcore.model import TERMINAL, Instance, Snapshot
from wfcore.outcome import Unchanged
from wfcore.plan import Plan
from wfcore.planner.changes import nothing
from wfcore.ports import InstanceQuery
from wfcore.runner.arguments import check_instants
from wfcore.runner.commander import Commander
from wfcore.runner.orders import Order, deleting

_GONE_ON = (InstanceNotFoundError, IllegalTransitionError, NoticePendingError)
"""What may have become of an instance since it was listed; it is left alone then."""


async def purge(commander: Commander, query: InstanceQuery, ended_before: datetime) -> int:
    """Delete what the query admits and what ended before an instant; how many that were.

    Each is judged by its own row when it is deleted: one that was restarted since it was listed is left alone, also if
    it has ended again.
    """
    check_instants(ended_before=ended_before)
    catalog = commander.doors.catalog("purge()")
    deleted = 0
    wanted = TERMINAL if query.statuses is None else query.statuses & TERMINAL
    page: InstanceQuery | None = attrs.evolve(query, statuses=wanted) if wanted else None
    while page is not None:
        found = await catalog.list_instances(page)
        for row in found.items:
            if _ended_before(row, ended_before) and await _delete(commander, row.ref, ended_before):
                deleted += 1
        page = page.after(found)
    return deleted


def _ended_before(row: Instance, instant: datetime) -> bool:
    return row.completed_at is not None and row.completed_at < instant


async def _delete(commander: Commander, ref: str, ended_before: datetime) -> bool:
    order = deleting(ref)

    def make(snapshot: Snapshot, execution_id: str) -> Plan:
        row = snapshot.instance
        if row is None or _ended_before(row, ended_before):
            return order.make(snapshot, execution_id)
        return nothing(ref, execution_id, Unchanged(row.status))

    guarded: Order = attrs.evolve(order, make=make)
    try:
        return not (await commander.execute(guarded)).is_empty
    except _GONE_ON:
        return False
