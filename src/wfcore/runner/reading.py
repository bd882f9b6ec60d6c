"""What clients and handles of either colour read through the store's catalog, one coroutine each (rules M9, R7)."""

from __future__ import annotations

import attrs

from wfcore.errors import CorruptRecordError, InstanceNotFoundError, MissingCapabilityError
from wfcore.model import Instance
from wfcore.planner.progress import breaks_o5
from wfcore.ports import History, InstanceQuery
from wfcore.runner.commander import Commander

EVERYTHING = InstanceQuery()
"""All instances."""
EXAMINED_AT_ONCE = 200
"""How many candidates an audit asks a catalog for at a time."""


@attrs.frozen
class AuditFinding:
    """An instance that would never go on by itself (rule R7).

    Attributes:
        instance: its row.
        problem: what is wrong, in words.
    """

    instance: Instance
    problem: str


async def history(commander: Commander, ref: str, run: int | None) -> History:
    """What is recorded of a run; by a retrieve if the store has no catalog, which tells of the current run only."""
    try:
        return await commander.doors.catalog(f"history(run={run})").history(ref, run)
    except MissingCapabilityError as error:
        missing = error
    snapshot = await commander.doors.retrieve(ref)
    if snapshot.instance is None:
        raise InstanceNotFoundError(ref)
    if run is not None and 1 <= run < snapshot.instance.run_number:
        raise missing
    return History.of(snapshot.instance, run, snapshot.steps, snapshot.events)


async def audit(commander: Commander, limit: int) -> tuple[AuditFinding, ...]:
    """The first instances, by ref, that break rule O5. Each is judged by a retrieve of its own, one consistent cut."""
    if limit < 1:
        raise ValueError(f"limit={limit}: must be at least 1")
    catalog = commander.doors.catalog("audit()")
    found: list[AuditFinding] = []
    after: str | None = None
    while True:
        candidates = await catalog.suspects(EXAMINED_AT_ONCE, after)
        for candidate in candidates:
            finding = await _examined(commander, candidate)
            if finding is not None:
                found.append(finding)
            if len(found) == limit:
                return tuple(found)
        if len(candidates) < EXAMINED_AT_ONCE:
            return tuple(found)
        after = candidates[-1].ref


async def _examined(commander: Commander, candidate: Instance) -> AuditFinding | None:
    try:
        snapshot = await commander.doors.retrieve(candidate.ref)
    except CorruptRecordError as error:
        return AuditFinding(candidate, str(error))
    problem = breaks_o5(snapshot)
    return AuditFinding(snapshot.instance, problem) if problem and snapshot.instance else None
