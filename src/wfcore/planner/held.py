"""Results of at-most-once bodies that cannot wait until user code runs again (rule S13). Pure: no I/O, no clock."""

from __future__ import annotations

from wfcore.model import Instance
from wfcore.plan import Plan
from wfcore.planner.draft import Draft
from wfcore.planner.gate import Tick
from wfcore.planner.interpret import settle_call
from wfcore.ports import Codec


def record_while_paused(tick: Tick, instance: Instance, codec: Codec) -> Plan | None:
    """Record such results of a paused instance, with their writes; ``None``: there are none, or it is not paused."""
    if instance.status != "paused" or not tick.results:
        return None
    draft = Draft(tick.snapshot, instance, tick.execution_id, tick.now)
    for done in tick.results:
        draft.advance(done.settled.elapsed)
        stamp = draft.stamp()
        record = settle_call(draft.waiting[done.call.key], done.call, done.settled.result, codec, stamp)
        ended = record.sequence is not None
        effects = done.call.attempt.effects(
            succeeded=record.status == "completed", now=stamp.now, execution_id=stamp.execution_id
        )
        draft.put(record, effects=effects if ended else ())
    keys = ", ".join(done.call.key for done in tick.results)
    return draft.paused(f"the instance is paused; the result of {keys} was recorded")
