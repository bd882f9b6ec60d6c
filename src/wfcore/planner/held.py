"""Results of at-most-once bodies that cannot wait until user code runs again (rule S13). Pure: no I/O, no clock."""

from __future__ import annotations

from wfcore.model import Instance
from wfcore.outcome import Ignored, Paused
from wfcore.plan import Plan
from wfcore.planner.draft import Draft
from wfcore.planner.gate import Tick, consumed_pauses
from wfcore.planner.interpret import settle_call, unless_undeliverable
from wfcore.ports import Codec


def record_while_paused(tick: Tick, instance: Instance, codec: Codec) -> Plan | None:
    """Record such results of an instance that is paused, or is to be paused now, with their writes (rules G5, G6).

    The time that a result took was counted from an earlier retrieve, and does not move the time of this tick.

    Returns:
        The plan; ``None``: there are no such results, or user code may run and take them.
    """
    requests = consumed_pauses(tick.snapshot, instance, tick.now)
    pauses = instance.status in ("active", "waiting") and bool(requests)
    if not tick.results or not (pauses or instance.status == "paused"):
        return None
    draft = Draft(tick.snapshot, instance, tick.execution_id, tick.now)
    for done in tick.results:
        call, stamp = done.call, draft.stamp()
        result = unless_undeliverable(call, done.settled.result, tick.known.absent)
        record = settle_call(draft.waiting[call.key], call, result, codec, stamp)
        succeeded = record.status == "completed"
        effects = call.attempt.effects(succeeded=succeeded, now=stamp.now, execution_id=stamp.execution_id)
        if succeeded:
            draft.require(call.attempt.required())
        draft.put(record, effects=effects if record.sequence is not None else ())
    if pauses:
        return draft.paused(Paused(), requests)
    keys = ", ".join(done.call.key for done in tick.results)
    return draft.paused(Ignored(f"the instance is paused; the result of {keys} was recorded"), ())
