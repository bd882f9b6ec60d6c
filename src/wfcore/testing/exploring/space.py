"""The space that is searched: its tables, and what follows from which plan. No I/O."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from wfcore.evolve import NOTHING, Rows, World
from wfcore.outcome import Retried
from wfcore.plan import Conflict, Plan, PutInstance, PutStep, Write
from wfcore.testing.exploring.checks import Broken, Change, broken_by, broken_in
from wfcore.testing.exploring.engine import Engine
from wfcore.testing.exploring.normal import Normal, shifted
from wfcore.testing.exploring.planning import Boundary, Planning, Ready, finished
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
        normal: tells which differences between rows mean nothing.
    """

    def __init__(self, engine: Engine, planning: Planning, rows: RowsTable, normal: Normal) -> None:
        self.engine = engine
        self.planning = planning
        self.rows = rows
        self.normal = normal
        self.counting = normal.knowledge.counting
        self._collapses = not (self.counting or normal.knowledge.reborn or engine.is_altered_by_conflicts)
        self.worlds = Worlds(rows)
        self.workers: Numbers[Worker] = Numbers(None)
        self.firings: Numbers[tuple[Firing, ...]] = Numbers(())
        self.pasts: Numbers[Past] = Numbers(Past())
        self.writes: list[object] = []
        self._write_numbers: Numbers[tuple[str, str, int, str]] = Numbers()
        self._boundaries: dict[int, Boundary] = {}
        self._evolved: dict[tuple[int, int, datetime], int | Conflict | Broken] = {}
        self._beaten: dict[tuple[int, int], int] = {}
        self._later: dict[tuple[int, tuple[int, ...], timedelta], tuple[int, tuple[int, ...]]] = {}
        self._renumbered: dict[tuple[int, tuple[int, ...]], int] = {}

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

    def evolved(self, world: int, plan: int, worker: Holding, now: datetime) -> int | Conflict | Broken:
        """The world after a plan, its versions as the plan has them."""
        found = self._evolved.get((world, plan, now))
        if found is None:
            found = self._evolved[world, plan, now] = self.applied(world, self.plan(plan), worker, now)
        return found

    def applied(self, world: int, plan: Plan, worker: Holding | None, now: datetime) -> int | Conflict | Broken:
        """The same, of any plan; ``worker``: who has made it, unless it was a command."""
        before = self.worlds.world(world)
        after = self.engine.evolve(before, plan)
        if isinstance(after, Conflict):
            return after
        return self.changed(before, after, plan, worker, now)

    def changed(self, before: World, after: World, plan: Plan, worker: Holding | None, now: datetime) -> int | Broken:
        """The world after rows have changed, or the invariant that this breaks."""
        normal = dict(after)
        for ref, rows in after.items():
            old = before.get(ref, NOTHING)
            if rows is old:
                continue
            own = worker is not None and worker.ref == ref
            change = Change(
                ref=ref,
                before=old,
                after=rows,
                plan=plan,
                basis=self.rows[worker.rows] if worker is not None and own else None,
                now=now,
                planned_at=worker.at if worker is not None else now,
            )
            broken = broken_by(change) or broken_in(ref, rows)
            if broken is not None:
                return broken
            normal[ref] = self.normal.rows(rows, old)
        return self.worlds.of(normal)

    def later(self, world: int, workers: tuple[int, ...], by: timedelta) -> tuple[int, tuple[int, ...]]:
        """The world and the dispatchers, as they are seen after some time."""
        key = world, workers, by
        found = self._later.get(key)
        if found is None:
            rows = {ref: shifted(each, by) for ref, each in self.worlds.world(world).items()}
            found = self._later[key] = self.worlds.of(rows), tuple(self._worker_later(each, by) for each in workers)
        return found

    def _worker_later(self, number: int, by: timedelta) -> int:
        worker = self.workers[number]
        if not isinstance(worker, Holding):
            return number
        rows = self.rows.of(worker.ref, shifted(self.rows[worker.rows], by))
        return self.workers.of(worker._replace(rows=rows, at=worker.at - by, fired_at=worker.fired_at - by))

    def renumbered(self, world: int, workers: tuple[int, ...]) -> int:
        """The world with the first versions again, of instances at which nobody is at work with older rows."""
        found = self._renumbered.get((world, workers))
        if found is None:
            found = self._renumbered[world, workers] = self._renumber(world, workers)
        return found

    def _renumber(self, world: int, workers: tuple[int, ...]) -> int:
        busy = {worker.ref for worker in map(self.workers.__getitem__, workers) if isinstance(worker, Holding)}
        rows = self.worlds.world(world)
        return self.worlds.of(
            {ref: each if ref in busy else self.normal.renumbered(each) for ref, each in rows.items()}
        )

    def retrieved(self, worker: Holding, world: int, now: datetime) -> Holding:
        """A dispatcher that has just retrieved; of its own plans it knows those that the rows name."""
        number = self.worlds.number(world, worker.ref)
        mine = frozenset(worker.mine & _names(self.rows[number])) if worker.mine else worker.mine
        return worker._replace(rows=number, at=now, mine=mine, answers=(), fired_at=now)

    def continued(self, worker: Holding, world: int, plan: Plan, held: tuple[int, ...]) -> Holding:
        """A dispatcher that goes on from the checkpoint which it has just committed."""
        number = self.worlds.number(world, worker.ref)
        rows = self.rows[number]
        mine = (worker.mine | {plan.execution_id}) & _names(rows)
        if rows.instance is not None:
            mine |= {rows.instance.execution_id}
        at = written_at(plan) or worker.at
        return worker._replace(rows=number, at=at, mine=mine, held=held, answers=(), fired_at=at)

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
        if not isinstance(worker, Holding) or not self._collapses:
            return number
        rows = self.worlds.number(world, worker.ref)
        if rows == worker.rows:
            return number
        found = self._beaten.get((number, rows))
        if found is None:
            found = self._beaten[number, rows] = self._after_beating(number, worker, rows, world)
        return found

    def _after_beating(self, number: int, worker: Holding, rows: int, world: int) -> int:
        if _version(self.rows[rows]) == _version(self.rows[worker.rows]):
            return number
        started = _starts(self.rows[rows]) | _starts(self.rows[worker.rows])
        if worker.held or started & worker.mine:
            return number
        if not self.engine.is_own:  # then seeing is believing
            plan = finished(worker, lambda each: self.boundary(self.workers.of(each)))
            if not isinstance(plan, Ready):
                return number
            after = self.engine.evolve(self.worlds.world(world), self.plan(plan.plan))
            if not isinstance(after, Conflict) or after.ref != worker.ref:
                return number
        return self.workers.of(Beaten(worker.ref, worker.firing, worker.absent))

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


def _version(rows: Rows) -> tuple[object, ...]:
    instance = rows.instance
    return () if instance is None else (instance.version, instance.execution_id, instance.created_by)


def reopened(past: Past, plan: Plan) -> Past:
    """The past after a command: a step that is tried again has fresh attempts (rule M7)."""
    if not isinstance(plan.outcome, Retried):
        return past
    fresh = {*plan.outcome.reopened, *plan.outcome.removed}
    return past._replace(recorded=frozenset(place for place in past.recorded if place[2] not in fresh))


def written_at(plan: Plan) -> datetime | None:
    """The time of a plan, by the row that it writes."""
    rows = (each.instance for each in plan.mutations if isinstance(each, PutInstance))
    return next((row.updated_at for row in rows if row.ref == plan.ref), None)
