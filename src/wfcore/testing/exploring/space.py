"""The space that is searched: its tables, and what follows from which plan. No I/O."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

import attrs

from wfcore.evolve import Rows
from wfcore.model import Instance, Snapshot
from wfcore.outcome import Completed, Errored
from wfcore.plan import Conflict, Plan, PutStep, Write
from wfcore.testing.exploring.checks import REPLAY, Broken, Change, broken_by, broken_in
from wfcore.testing.exploring.engine import Engine
from wfcore.testing.exploring.planning import Body, Boundary, Planning, Ready, Rest, finished
from wfcore.testing.exploring.state import Action, Beaten, Firing, Holding, Past, State, Worker
from wfcore.testing.exploring.tables import Numbers, RowsTable, Worlds


class Move(NamedTuple):
    """What may happen in a state.

    Attributes:
        action: what happens.
        state: the state after it; ``None``: something is broken.
        happened: what came of it, in a word.
        broken: the invariant that does not hold.
    """

    action: Action
    state: State | None
    happened: str = ""
    broken: Broken | None = None


class Space:
    """All that is known of the states so far.

    Args:
        engine: the planner, and the meaning of plans.
        planning: calls the planner.
        rows: the rows.
        counting: whether runs of bodies are counted.
    """

    def __init__(self, engine: Engine, planning: Planning, rows: RowsTable, *, counting: bool) -> None:
        self.engine = engine
        self.planning = planning
        self.rows = rows
        self.counting = counting
        self.worlds = Worlds(rows)
        self.workers: Numbers[Worker] = Numbers(None)
        self.firings: Numbers[tuple[tuple[Firing, datetime], ...]] = Numbers(())
        self.pasts: Numbers[Past] = Numbers(Past())
        self.writes: list[object] = []
        self.witnessed: set[str] = set()
        self._write_numbers: Numbers[tuple[str, str, int, str]] = Numbers()
        self._boundaries: dict[int, Boundary] = {}
        self._evolved: dict[tuple[int, int], int | Conflict] = {}
        self._checked: dict[tuple[int, int, int, datetime], Broken | None] = {}
        self._beaten: dict[tuple[int, int], int] = {}
        self._sound: dict[int, Broken | None] = {}

    def boundary(self, worker: int) -> Boundary:
        """How far a dispatcher gets by itself."""
        found = self._boundaries.get(worker)
        if found is None:
            holding = self.workers[worker]
            assert isinstance(holding, Holding)
            found = self._boundaries[worker] = self.planning.boundary(holding)
        return found

    def plan(self, number: int) -> Plan:
        """A plan by its number."""
        return self.planning.plans[number]

    def evolved(self, world: int, plan: int) -> int | Conflict:
        """The world after a plan."""
        found = self._evolved.get((world, plan))
        if found is None:
            after = self.engine.evolve(self.worlds.world(world), self.plan(plan))
            found = after if isinstance(after, Conflict) else self.worlds.of(after)
            self._evolved[world, plan] = found
        return found

    def retrieved(self, worker: Holding, world: int, now: datetime) -> Holding:
        """A dispatcher that has just retrieved; of its own plans it knows those that the rows name."""
        number = self.worlds.number(world, worker.ref)
        mine = frozenset(worker.mine & _names(self.rows[number])) if worker.mine else worker.mine
        return worker._replace(rows=number, at=now, mine=mine, answers=())

    def continued(self, worker: Holding, world: int, plan: Plan, held: tuple[int, ...]) -> Holding:
        """A dispatcher that goes on from the checkpoint which it has committed."""
        number = self.worlds.number(world, worker.ref)
        rows = self.rows[number]
        mine = (worker.mine | {plan.execution_id}) & _names(rows)
        at = rows.instance.updated_at if rows.instance is not None else worker.at
        return worker._replace(rows=number, at=at, mine=mine, held=held, answers=())

    def still_held(self, worker: Holding, ready: Ready) -> tuple[int, ...]:
        """The results of at-most-once bodies that a committed plan has not recorded."""
        held = {*worker.held, *ready.held}
        if not held:
            return ()
        steps = (each.step for each in self.plan(ready.plan).mutations if isinstance(each, PutStep))
        recorded = {step.key for step in steps if step.status != "started"}
        return tuple(sorted(each for each in held if self.planning.done(each).call.key not in recorded))

    def beaten(self, number: int, world: int) -> int:
        """What becomes of another dispatcher at work when the rows change: a plan from older rows will conflict.

        What it still does until then has no effect, so that all such dispatchers are alike. At-most-once bodies are
        an exception: their results are kept (rule S13).
        """
        worker = self.workers[number]
        if not isinstance(worker, Holding) or self.counting:
            return number
        rows = self.worlds.number(world, worker.ref)
        if rows == worker.rows:
            return number
        found = self._beaten.get((number, rows))
        if found is None:
            found = self._beaten[number, rows] = self._after_beating(number, worker, rows, world)
        return found

    def _after_beating(self, number: int, worker: Holding, rows: int, world: int) -> int:
        instance = self.rows[rows].instance
        if instance is not None and instance == self.rows[worker.rows].instance:
            return number
        plan = finished(worker, lambda each: self.boundary(self.workers.of(each)))
        if not isinstance(plan, Ready) or plan.held or worker.held or _starts(self.rows[rows]) & worker.mine:
            return number
        after = self.engine.evolve(self.worlds.world(world), self.plan(plan.plan))
        if not isinstance(after, Conflict) or after.ref != worker.ref:
            return number
        return self.workers.of(Beaten(worker.ref, worker.firing, worker.fired_at, worker.absent))

    # -- what has to hold

    def check(self, before: int, after: int, plan: int, worker: Holding, now: datetime) -> Broken | None:
        """The invariant that an applied plan has broken."""
        key = before, plan, worker.rows, now
        if key not in self._checked:
            self._checked[key] = self.check_change(before, after, self.plan(plan), worker, now)
        return self._checked[key]

    def check_change(self, before: int, after: int, plan: Plan, worker: Holding | None, now: datetime) -> Broken | None:
        """The invariant that a plan has broken; ``worker``: who has made it, unless it was a command."""
        for ref, number in self.worlds.refs(after).items():
            old = self.worlds.number(before, ref)
            if old == number:
                continue
            own = worker is not None and worker.ref == ref
            change = Change(
                ref=ref,
                before=self.rows[old],
                after=self.rows[number],
                plan=plan,
                basis=self.rows[worker.rows] if worker is not None and own else None,
                now=now,
                planned_at=worker.at if worker is not None else now,
            )
            broken = broken_by(change) or self._check_rows(ref, number)
            if broken is not None:
                return broken
        return None

    def _check_rows(self, ref: str, number: int) -> Broken | None:
        if number not in self._sound:
            self._sound[number] = broken_in(ref, self.rows[number])
        return self._sound[number]

    def check_replay(self, worker: Holding, following: int) -> Broken | None:
        """Whether code that goes on after a checkpoint sees what replay shows it (rule L8)."""
        live, replayed = self.planning.framed(worker), self.boundary(following)
        if self._alike(live, replayed):
            return None
        return Broken(REPLAY, f"going on, {self._told(live)}; on replay, {self._told(replayed)}")

    def _alike(self, live: Boundary, replayed: Boundary) -> bool:
        match live, replayed:
            case Body(one), Body(other):
                return _identity(one) == _identity(other)
            case Ready(one_plan), Ready(other_plan):
                return self.plan(one_plan) == self.plan(other_plan)
            case Rest(), Rest():
                return True
            case _:
                return False

    def check_end(self, world: int, worker: Holding, ready: Ready) -> Broken | None:
        """Whether a run that has ended would end in the same way if it were replayed from its records."""
        plan = self.plan(ready.plan)
        if not isinstance(plan.outcome, Completed | Errored) or not ready.performed:
            return None
        basis = self.rows[worker.rows].instance
        rows = self.rows[self.worlds.number(world, worker.ref)]
        ended = rows.instance
        if basis is None or ended is None:
            return None
        again = _reopened(rows, basis, ended)
        boundary = self.planning.replayed(worker, again)
        outcome = self.plan(boundary.plan).outcome if isinstance(boundary, Ready) else None
        if outcome == plan.outcome:
            return None
        return Broken(REPLAY, f"it ended with {plan.outcome}; on replay, {self._told(boundary)}")

    def _told(self, boundary: Boundary) -> str:
        match boundary:
            case Body(call):
                return f"it runs {call.key!r}, attempt {call.attempt.number}"
            case Ready(plan):
                return f"it plans {self.plan(plan).outcome}"
            case Rest(plan):
                return f"it does nothing: {plan.outcome}"
            case _:
                return f"{boundary.about}: {boundary.text}"

    # -- the past

    def written(self, past: Past, plan: Plan) -> Past:
        """The past after a plan with writes of the user's."""
        values = [each.value for each in plan.mutations if isinstance(each, Write)]
        if not values:
            return past
        numbers = []
        for index, value in enumerate(values):
            number = self._write_numbers.of((plan.ref, plan.execution_id, index, repr(value)))
            if number == len(self.writes):
                self.writes.append(value)
            numbers.append(number)
        return past._replace(writes=(*past.writes, *numbers))


def _names(rows: Rows) -> frozenset[str]:
    """The execution ids in these rows that a runner compares with its own."""
    instance = rows.instance
    return _starts(rows) if instance is None else _starts(rows) | {instance.execution_id}


def _starts(rows: Rows) -> frozenset[str]:
    return frozenset(step.execution_id for step in rows.steps.values() if step.status == "started")


def _identity(call: Any) -> tuple[object, ...]:
    attempt = call.attempt
    return call.key, attempt.number, attempt.idempotency_key, attempt.last_failure, call.started_by, call.retry


def _reopened(rows: Rows, basis: Instance, ended: Instance) -> Snapshot:
    instance = attrs.evolve(
        ended, status="active", version=basis.version, output=None, failure=None, completed_at=None
    )
    return attrs.evolve(rows, instance=instance, hooks={}).snapshot(ended.updated_at)
