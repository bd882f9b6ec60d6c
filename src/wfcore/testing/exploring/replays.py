"""Whether workflow code sees the same live and on replay (rule L8). Calls the planner; no I/O."""

from __future__ import annotations

import attrs

from wfcore.evolve import Rows
from wfcore.model import Instance
from wfcore.outcome import Completed, Errored
from wfcore.planner import StepCall
from wfcore.testing.exploring.checks import REPLAY, Broken
from wfcore.testing.exploring.planning import Body, Boundary, Ready, Rest, Trouble
from wfcore.testing.exploring.space import Space, written_at
from wfcore.testing.exploring.state import Holding


class Replays:
    """Compares what a planner does in one go with what it does from the rows that are committed in between.

    Args:
        space: the tables.
    """

    def __init__(self, space: Space) -> None:
        self._space = space

    def going_on(self, worker: Holding, following: int) -> Broken | None:
        """Whether code that goes on after a checkpoint sees what replay shows it (rule L8)."""
        live, replayed = self._space.planning.framed(worker), self._space.boundary(following)
        if isinstance(replayed, Trouble) or self._alike(live, replayed):
            return None
        return Broken(REPLAY, f"going on, {self._told(live)}; on replay, {self._told(replayed)}")

    def _alike(self, live: Boundary, replayed: Boundary) -> bool:
        match live, replayed:
            case Body(one), Body(other):
                return _identity(one) == _identity(other)
            case Ready(one_plan), Ready(other_plan):
                return self._space.plan(one_plan) == self._space.plan(other_plan)
            case Rest(), Rest():
                return True
            case _:
                return False

    def at_the_end(self, world: int, worker: Holding, ready: Ready) -> Broken | None:
        """Whether a run that has ended would end in the same way if it were replayed from its records."""
        plan = self._space.plan(ready.plan)
        if not isinstance(plan.outcome, Completed | Errored) or not ready.performed:
            return None
        basis = self._space.rows[worker.rows].instance
        rows = self._space.rows[self._space.worlds.number(world, worker.ref)]
        ended = rows.instance
        if basis is None or ended is None:
            return None
        at = written_at(plan) or worker.at
        boundary = self._space.planning.replayed(worker, _reopened(rows, basis, ended), at)
        outcome = self._space.plan(boundary.plan).outcome if isinstance(boundary, Ready) else None
        if outcome == plan.outcome:
            return None
        return Broken(REPLAY, f"it ended with {plan.outcome}; on replay, {self._told(boundary)}")

    def _told(self, boundary: Boundary) -> str:
        match boundary:
            case Body(call):
                return f"it runs {call.key!r}, attempt {call.attempt.number}"
            case Ready(plan):
                return f"it plans {self._space.plan(plan).outcome}"
            case Rest(plan):
                return f"it does nothing: {plan.outcome}"
            case _:
                return f"{boundary.about}: {boundary.text}"


def _identity(call: StepCall) -> tuple[object, ...]:
    attempt = call.attempt
    return call.key, attempt.number, attempt.idempotency_key, attempt.last_failure, call.started_by, call.retry


def _reopened(rows: Rows, basis: Instance, ended: Instance) -> Rows:
    instance = attrs.evolve(ended, status="active", version=basis.version, output=None, failure=None, completed_at=None)
    return attrs.evolve(rows, instance=instance, hooks={})
