"""Whether workflow code sees the same live and on replay (rule L8). Calls the planner; no I/O."""

from __future__ import annotations

import attrs

from wfcore.evolve import Rows
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
        self._known: dict[tuple[int, int], Broken | None] = {}

    def going_on(self, worker: Holding, ready: Ready, following: int) -> Broken | None:
        """Whether code that goes on after a checkpoint sees what replay shows it (rule L8)."""
        key = ready.plan, following
        if key not in self._known:
            self._known[key] = self._going_on(worker, following)
        return self._known[key]

    def _going_on(self, worker: Holding, following: int) -> Broken | None:
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
        key = ready.plan, ~world
        if key not in self._known:
            self._known[key] = self._at_the_end(world, worker, ready)
        return self._known[key]

    def _at_the_end(self, world: int, worker: Holding, ready: Ready) -> Broken | None:
        plan = self._space.plan(ready.plan)
        if not isinstance(plan.outcome, Completed | Errored) or not ready.performed:
            return None
        basis = self._space.rows[worker.rows]
        rows = self._space.rows[self._space.worlds.number(world, worker.ref)]
        at = written_at(plan) or worker.at
        boundary = self._space.planning.replayed(worker, _reopened(rows, basis), at)
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


def _reopened(rows: Rows, basis: Rows) -> Rows:
    """The rows of a run that has ended, as if it had not, without what the tick did not see."""
    assert rows.instance is not None
    assert basis.instance is not None
    instance = attrs.evolve(
        rows.instance, status="active", version=basis.instance.version, output=None, failure=None, completed_at=None
    )
    events = {key: event for key, event in rows.events.items() if key in basis.events}
    return attrs.evolve(rows, instance=instance, events=events, hooks={})
