"""What a runner knows and the rows do not tell: what it has started, and what came of it. Values: no I/O, no clock."""

from __future__ import annotations

import attrs

from wfcore.planner.calls import StepCall
from wfcore.planner.ends import Done
from wfcore.planner.requests import Request


@attrs.frozen(kw_only=True)
class Known:
    """What the runner carries over into a tick (rules O6, S13, T4).

    Attributes:
        mine: execution ids of plans that this runner has committed, or tried to, for this instance.
        held: results of at-most-once bodies that no plan has recorded yet.
        flights: bodies that are in flight since before the snapshot.
        absent: refs of instances that a required event did not find.
    """

    mine: frozenset[str] = frozenset()
    held: tuple[Done, ...] = ()
    flights: tuple[StepCall, ...] = ()
    absent: frozenset[str] = frozenset()


class Carried:
    """:class:`Known`, looked up by what workflow code asks for.

    Attributes:
        absent: as :class:`Known` has it.
    """

    def __init__(self, known: Known) -> None:
        self.absent = known.absent
        self._mine = known.mine
        self._held = {done.call.key: done for done in known.held}
        self._flights = {call.key: call for call in known.flights}

    def flight(self, request: Request) -> StepCall | None:
        """The body of this very attempt, in flight since before the snapshot; told once."""
        call = self._flights.get(request.key)
        attempts = request.record.attempts if request.record else 0
        if call is None or call.attempt.number != attempts + 1 or call.started_by != started_by(request):
            return None
        return self._flights.pop(request.key)

    def result(self, request: Request) -> Done | None:
        """The result of this very start of an at-most-once body (rule S13); told once."""
        done = self._held.get(request.key)
        if done is None or done.call.started_by != started_by(request):
            return None
        return self._held.pop(request.key)

    def is_mine(self, request: Request) -> bool:
        """Whether this runner has committed the start that is recorded: only it may run the body (rule S13)."""
        return started_by(request) in self._mine


def started_by(request: Request) -> str | None:
    """Execution id of the plan that has started an at-most-once body; ``None``: it is not started."""
    record = request.record
    return record.execution_id if record is not None and record.status == "started" else None
