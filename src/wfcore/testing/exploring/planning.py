"""How far a dispatcher gets without anything from outside: to a body, to a plan, or to rest. Asked once per case."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, NamedTuple, TypeAlias

from wfcore.errors import CodecError, WfcoreError
from wfcore.evolve import Rows
from wfcore.keys import parse_ref
from wfcore.model import FiredHook, Hook, Snapshot
from wfcore.plan import Plan
from wfcore.planner import Continue, Done, Settled, StepCall, Stop
from wfcore.planner.tick import RECOVER_AFTER
from wfcore.ports import Codec, checked
from wfcore.runner.guard import WORKFLOW_CODE
from wfcore.testing.exploring.checks import BODIES, CODE
from wfcore.testing.exploring.engine import Engine
from wfcore.testing.exploring.normal import Shown
from wfcore.testing.exploring.options import Options
from wfcore.testing.exploring.state import Holding
from wfcore.testing.exploring.tables import Numbers, RowsTable
from wfcore.testing.exploring.unread import WatchingCodec, moment
from wfcore.testing.outcomes import Returns
from wfcore.testing.performing import result_of
from wfcore.workflow import Registry


class Body(NamedTuple):
    """It wants a body to run."""

    call: StepCall
    choices: int


class Ready(NamedTuple):
    """It has a plan.

    Attributes:
        plan: number of the plan.
        continues: whether it goes on from there.
        performed: the attempts whose results the plan may record, as key and number.
        held: results of at-most-once bodies among them.
    """

    plan: int
    continues: bool
    performed: tuple[tuple[str, int], ...]
    held: tuple[int, ...]


class Rest(NamedTuple):
    """There is nothing to do, or to write."""

    plan: Plan


class Trouble(NamedTuple):
    """An error of the author's, or of the one who explores: ``about`` names the invariant that it breaks."""

    about: str
    text: str


Boundary: TypeAlias = Body | Ready | Rest | Trouble
Held: TypeAlias = tuple[str, str, int, int]
"""Of a result that is held: key, start, attempt, number of the outcome."""


class _Asked(BaseException):
    """A body is asked for that has not run."""

    def __init__(self, call: StepCall) -> None:
        super().__init__(call.key)
        self.call = call


class Planning:
    """Calls the planner.

    Args:
        engine: the planner.
        registry: the workflows.
        options: what bodies may do.
        rows: the rows.
        codec: how values become payloads.
        exact: whether rows hold all instants as they are.
    """

    def __init__(
        self,
        engine: Engine,
        registry: Registry,
        options: Options,
        rows: RowsTable,
        codec: Codec,
        *,
        exact: bool,
    ) -> None:
        self.options = options
        self.plans: list[Plan] = []
        self._engine = engine
        self._registry = registry
        self._rows = rows
        self._plain_codec = codec
        self._codec = codec if exact else WatchingCodec(codec)
        self._exact = exact
        self._shown = Shown()
        self._rows_shown: dict[int, Rows] = {}
        self._held: Numbers[Held] = Numbers()
        self._done: dict[int, Done] = {}

    def boundary(self, worker: Holding) -> Boundary:
        """How far it gets."""
        return self._boundary(worker, self._snapshot(worker))

    def framed(self, worker: Holding) -> Boundary:
        """How far it gets if the planner goes on after its first checkpoint, as the runner's does."""
        snapshot = self._snapshot(worker)
        instance = snapshot.instance
        assert instance is not None
        following = execution_id(instance.created_by, instance.version + 2)
        return self._boundary(worker, snapshot, (following,))

    def replayed(self, worker: Holding, rows: Rows, at: datetime) -> Boundary:
        """How far it gets from other rows, at which no body has run."""
        blank = worker._replace(answers=(), held=(), mine=frozenset(), at=at)
        return self._boundary(blank, (rows if self._exact else self._shown.rows(rows)).snapshot(self._time(at)))

    def _snapshot(self, worker: Holding) -> Snapshot:
        rows = self._rows_shown.get(worker.rows)
        if rows is None:
            rows = self._rows[worker.rows]
            rows = self._rows_shown[worker.rows] = rows if self._exact else self._shown.rows(rows)
        return rows.snapshot(self._time(worker.at))

    def _time(self, at: datetime) -> datetime:
        return at if self._exact else moment(at)

    def done(self, number: int) -> Done:
        """A result that is held."""
        return self._done[number]

    def _boundary(self, worker: Holding, snapshot: Snapshot, following: tuple[str, ...] = ()) -> Boundary:
        call = _Call(worker, self.options, following)
        try:
            with WORKFLOW_CODE.around():
                plan = self._engine.plan_tick(
                    snapshot,
                    FiredHook(hook=_hook(worker), timestamp=self._time(worker.fired_at)),
                    self._registry,
                    execution_id=_execution_id(snapshot),
                    mine=worker.mine,
                    held=tuple(self._done[each] for each in worker.held),
                    absent=worker.absent,
                    perform=call.perform,
                    commit=call.commit,
                    codec=self._codec,
                    recover_after=RECOVER_AFTER,
                )
        except _Asked as asked:
            return self._asked(asked.call, snapshot)
        except (WfcoreError, CodecError) as error:
            return Trouble(CODE, f"{type(error).__name__}: {error}")
        captured = call.captured
        if captured is None and plan.is_empty:
            return Rest(plan)
        self.plans.append(plan if captured is None else captured)
        held = tuple(self._hold(done, choice) for done, choice in call.done if done.call.started_by is not None)
        performed = tuple((done.call.key, done.call.attempt.number) for done, _choice in call.done)
        return Ready(len(self.plans) - 1, captured is not None, performed, held)

    def _asked(self, call: StepCall, snapshot: Snapshot) -> Boundary:
        """The body that is to run, if what it may do is named and fits."""
        outcomes = self.options.of(call)
        if not outcomes:
            return Trouble(BODIES, _unnamed(call))
        assert snapshot.instance is not None
        codec = self._registry.get(snapshot.instance.workflow_name).local_codec(self._plain_codec)
        for outcome in outcomes if call.event is None else ():
            if isinstance(outcome, Returns):
                try:
                    checked(codec, outcome.value, call.returns, f"an outcome of {call.key!r}")
                except CodecError as error:
                    return Trouble(BODIES, str(error))
        return Body(call, len(outcomes))

    def _hold(self, done: Done, choice: int) -> int:
        number = self._held.of((done.call.key, done.call.started_by or "", done.call.attempt.number, choice))
        self._done.setdefault(number, done)
        return number


class _Call:
    """One call of the planner: answers for the bodies that have run, and a stop at the last checkpoint."""

    def __init__(self, worker: Holding, options: Options, following: tuple[str, ...]) -> None:
        self._options = options
        self._answers = list(worker.answers)
        self._following = list(following)
        self.done: list[tuple[Done, int]] = []
        self.captured: Plan | None = None

    def perform(self, call: StepCall) -> Settled:
        """What a body did, if it has run."""
        if len(self.done) == len(self._answers):
            raise _Asked(call)
        choice, elapsed = self._answers[len(self.done)]
        settled = Settled(result_of(self._options.of(call)[choice], call), elapsed)
        self.done.append((Done(call, settled), choice))
        return settled

    def commit(self, plan: Plan) -> Continue | Stop:
        """Go on after the checkpoints that are committed."""
        if self._following:
            return Continue(self._following.pop(0))
        self.captured = plan
        return Stop()


def execution_id(created_by: str, version: int) -> str:
    """The id of the plan that makes an instance's version: at most one such plan is ever committed."""
    return f"{created_by}:{version}"


def _execution_id(snapshot: Snapshot) -> str:
    instance = snapshot.instance
    return "nobody" if instance is None else execution_id(instance.created_by, instance.version + 1)


def _hook(worker: Holding) -> Hook:
    ref, hook_id, run_number, reason = worker.firing
    workflow_name, instance_id = parse_ref(ref)
    return Hook(
        id=hook_id,
        instance_ref=ref,
        run_number=run_number,
        workflow_name=workflow_name,
        instance_id=instance_id,
        reason=reason,  # type: ignore[arg-type] # it comes from a hook
        due_at=worker.fired_at,
        created_at=worker.fired_at,
    )


def _unnamed(call: StepCall) -> str:
    name = call.name if call.event is None else call.key
    return f"there is no outcome for step {call.key!r}; pass bodies={{{name!r}: [returns(...), fails(...)]}}"


NO_TIME = timedelta(0)


def finished(worker: Holding, boundary: Callable[[Holding], Boundary]) -> Boundary:
    """Where it would get if all bodies took their first outcome."""
    elapsed = worker.answers[-1][1] if worker.answers else NO_TIME
    found: Any = boundary(worker)
    while isinstance(found, Body):
        worker = worker._replace(answers=(*worker.answers, (0, elapsed)))
        found = boundary(worker)
    return found  # type: ignore[no-any-return] # it is a Boundary
