"""Warnings about limits that a committed plan has come near to: one for each crossing, without payloads (R6, O8)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import final

from wfcore.explain.limits import is_near, size_of
from wfcore.model import MANY_RECORDS, Payload, Snapshot, StepRecord
from wfcore.outcome import Completed, Continued, Restarted
from wfcore.plan import AddEvent, AddInstance, Plan, PutInstance, PutStep
from wfcore.ports import Codec, payload_limit

_log = logging.getLogger("wfcore.runner")


@final
class Limits:
    """What one tick has read and committed, as far as limits go.

    Args:
        ref: the instance.
        codec: the one in use.
    """

    def __init__(self, ref: str, codec: Codec) -> None:
        self._ref = ref
        self._codec = codec
        self._read: tuple[StepRecord, ...] = ()
        self._put: set[str] = set()
        self._told = False

    def saw(self, snapshot: Snapshot) -> None:
        """This was retrieved."""
        self._read, self._put = snapshot.steps, set()

    def wrote(self, plan: Plan) -> int:
        """This was applied. Returns how long the longest payload in it is, in bytes."""
        self._put.update(each.step.key for each in plan.mutations if isinstance(each, PutStep))
        if not self._told and self._crosses():
            self._told = True
            _log.warning(
                "%s has more than %d records in one run; end runs by step.continue_with (rule O8)",
                self._ref,
                MANY_RECORDS,
            )
        return tell_sizes(plan, self._codec)

    def _crosses(self) -> bool:
        if not len(self._read) <= MANY_RECORDS < len(self._read) + len(self._put):
            return False
        return len(self._put.union(step.key for step in self._read)) > MANY_RECORDS


def tell_sizes(plan: Plan, codec: Codec) -> int:
    """Warn of each payload of a committed plan that is near the codec's limit; how long the longest is, in bytes."""
    limit, longest = payload_limit(codec), 0
    for ref, what, payload in _payloads(plan):
        size = size_of(payload)
        longest = max(longest, size)
        if limit is not None and is_near(size, limit):
            _log.warning(
                "%s: %s has %d bytes, of %d that a payload may have; store it elsewhere and pass a reference",
                ref,
                what,
                size,
                limit,
            )
    return longest


def _payloads(plan: Plan) -> Iterator[tuple[str, str, Payload]]:
    """Those that the plan is the first to store, each with the instance and with what it is."""
    for mutation in plan.mutations:
        match mutation:
            case PutStep(step) if step.result is not None and step.execution_id == plan.execution_id:
                yield step.instance_ref, f"the result of {step.key!r}", step.result
            case PutInstance(row) if isinstance(plan.outcome, Completed):
                yield row.ref, "its result", plan.outcome.output
            case PutInstance(row) if isinstance(plan.outcome, Continued | Restarted):
                yield row.ref, "the value of its parameters", row.params
            case AddInstance(row):
                yield row.ref, "the value of its parameters", row.params
            case AddEvent(event):
                yield event.instance_ref, f"the payload of event {event.type!r}", event.payload
            case _:
                pass
