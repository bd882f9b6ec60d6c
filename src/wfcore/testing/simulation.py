"""``Simulation``: the real planner and the real runner in virtual time, scheduled by a seed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar, final, overload

from wfadapters.memory import MemoryStore
from wfcore.codec import JSON
from wfcore.keys import build_ref
from wfcore.plan import Plan
from wfcore.planner import RECOVER_AFTER
from wfcore.ports import Codec
from wfcore.runner import Client, OnTerminal, Runtime
from wfcore.runner.arguments import check_durations
from wfcore.runner.commander import Commander
from wfcore.runner.doors import BlockingDoors, at_once
from wfcore.runner.requests import OnConflict, check_known, create
from wfcore.testing.bodies import Bodies
from wfcore.testing.clock import START, VirtualClock
from wfcore.testing.crew import Crew
from wfcore.testing.engine import Engine
from wfcore.testing.errors import NeverFinishesError, UnusedModifierError
from wfcore.testing.faults import Faults, StoreAndFeed
from wfcore.testing.handles import SimulatedHandle
from wfcore.testing.modifiers import Modifiers
from wfcore.testing.recording import ClientStore, living_by
from wfcore.testing.ticks import errand
from wfcore.testing.trace import Trace
from wfcore.testing.workers import Setting
from wfcore.workflow import Registry, Workflow

P = TypeVar("P")
R = TypeVar("R")


@final
class Simulation(Modifiers, Faults):
    """Runs workflows in virtual time, in this thread: nothing waits, and time stands still until it is moved.

    The planner and the runner are the real ones. Dispatchers are simulated: where a tick reads and where it writes,
    the seed decides who goes on. The same seed gives the same run, in any process. Every run of an instance that ends
    is replayed from its records, and has to end in the same way again (``ReplayDiffersError``).

    Args:
        workflows: the workflows, or a registry of them.
        seed: decides what is left to chance.
        store: where instances live; left out: in memory. It is its own feed, and lives by ``clock``.
        clock: the time of the simulation and of the store.
        dispatchers: how many there are; with more than one, ticks run into each other.
        concurrency: how many ticks each of them has at once.
        continuations: whether a tick goes on from a checkpoint without a read, as a real one does (rule O6). By
            default every tick replays what is stored, which finds more mistakes.
        codec: how values become payloads.
        recover_after: with ``continuations``: as a dispatcher's.
        on_terminal: is told of the ends of instances, as by a dispatcher (rule O7).
        start: when the simulation begins, if no clock is given.
        max_ticks: how many ticks one call may need before it fails.

    Attributes:
        client: sends commands to any instance, at the simulated time; faults do not concern it.
        clock: the time.
        store: the store, without faults.
        trace: what has happened; prints as a table.

    Raises:
        ClockMismatchError: the store lives by another clock.

    As a context manager it closes itself, and fails if something that was asked for has not happened (:meth:`check`).
    """

    def __init__(  # noqa: PLR0913 - one thing, and settings by keyword
        self,
        workflows: Registry | Iterable[Workflow[Any, Any]],
        *,
        seed: int = 0,
        store: StoreAndFeed | None = None,
        clock: VirtualClock | None = None,
        dispatchers: int = 1,
        concurrency: int = 8,
        continuations: bool = False,
        codec: Codec = JSON,
        recover_after: timedelta = RECOVER_AFTER,
        on_terminal: OnTerminal | None = None,
        start: datetime = START,
        max_ticks: int = 10_000,
    ) -> None:
        registry = workflows if isinstance(workflows, Registry) else Registry(workflows)
        check_durations(recover_after=recover_after)
        if min(dispatchers, concurrency, max_ticks) < 1:
            raise ValueError("dispatchers, concurrency and max_ticks must be at least 1")
        clock = clock or VirtualClock(start)
        self.store = living_by(clock, MemoryStore(clock) if store is None else store)
        bodies = Bodies(registry, codec)
        Modifiers.__init__(self, clock, bodies)
        Faults.__init__(self, seed, clock)
        self._engine = Engine(
            self.store, clock, bodies, faults=self._faults, skips=self._skips, deliveries=self._deliveries
        )
        self.trace: Trace = self._engine.trace
        runtime = Runtime(now=clock, monotonic=clock.monotonic, new_id=clock.new_id, pause=_at_once, sleep=_soon)
        setting = Setting(
            store=self._engine.faulty,
            runtime=runtime,
            errand=partial(errand, registry, codec, recover_after),
            bodies=bodies,
            trace=self.trace,
            on_terminal=on_terminal,
            continues=continuations,
            concurrency=concurrency,
            max_ticks=max_ticks,
            crashes=self._crashes,
        )
        self._engine.crew = Crew(dispatchers, seed, setting, self._engine.next_delivery)
        commands = ClientStore(self._engine.store, self._engine.noted)
        self.client = Client(commands, registry, codec=codec, runtime=runtime)
        self._engine.commander = self._commander = Commander(
            BlockingDoors(commands, runtime), codec, timedelta(seconds=1)
        )
        self._registry = registry

    def __repr__(self) -> str:
        return f"Simulation({self._registry!r}, seed={self._faults.seed}, now={self.now.isoformat()})"

    # -- what there is

    @property
    def now(self) -> datetime:
        """The simulated time."""
        return self.clock()

    @property
    def plans(self) -> tuple[Plan, ...]:
        """All committed plans, of ticks and of commands, in the order of their commits."""
        return tuple(self._engine.record.plans)

    @property
    def writes(self) -> tuple[object, ...]:
        """The values of all committed ``attempt.write``, in the order of their commits (rule T7)."""
        return tuple(self._engine.record.writes)

    def body_runs(self, step: str, /, run: SimulatedHandle[Any] | None = None) -> int:
        """How often a step's body, or its stub, has run, of all instances or of one.

        Args:
            step: the step's key, or its bare name.
            run: of this instance only.
        """
        return self._bodies.count(step, run.ref if run else None)

    # -- instances

    @overload
    def create(
        self,
        workflow: Workflow[None, R],
        /,
        *,
        id: str | None = None,
        tags: Mapping[str, str] | None = None,
        on_conflict: OnConflict = "raise",
    ) -> SimulatedHandle[R]: ...
    @overload
    def create(
        self,
        workflow: Workflow[P, R],
        params: P,
        /,
        *,
        id: str | None = None,
        tags: Mapping[str, str] | None = None,
        on_conflict: OnConflict = "raise",
    ) -> SimulatedHandle[R]: ...
    def create(
        self,
        workflow: Workflow[Any, R],
        params: Any = None,
        /,
        *,
        id: str | None = None,
        tags: Mapping[str, str] | None = None,
        on_conflict: OnConflict = "raise",
    ) -> SimulatedHandle[R]:
        """Create an instance, as :meth:`wfcore.Client.create`; nothing runs yet."""
        handle = self.handle(workflow, self._commander.runtime.new_id() if id is None else id)
        at_once(create(self._commander, handle, params, tags=tags, on_conflict=on_conflict))
        return handle

    def handle(self, workflow: Workflow[Any, R], id: str, /) -> SimulatedHandle[R]:
        """The handle of an instance, as :meth:`wfcore.Client.handle`."""
        check_known(workflow, self._registry)
        self._engine.record.refs.setdefault(build_ref(workflow.name, id))
        return SimulatedHandle(self._commander, workflow, id, self._pass)

    # -- time

    def run_until_idle(self) -> None:
        """Handle everything that is due, and what becomes due by that. Time stands still, unless it is skipped.

        Raises:
            SimulationError: the test has asked for something that cannot be; a replay differs; there is no end to it.
            BaseException: what a body raised that is no ``Exception`` (rule S14).
        """
        self._engine.crew.count_anew()
        self._engine.until_idle()

    def advance(self, duration: timedelta, /) -> None:
        """Let time pass: everything that becomes due meanwhile is handled at its time. Raises as run_until_idle."""
        self.advance_to(self.now + duration)

    def advance_to(self, instant: datetime, /) -> None:
        """Let time pass until an instant, which must not be over. Raises as :meth:`run_until_idle`."""
        if instant < self.now:
            raise ValueError(f"time never goes back: it is {self.now.isoformat()}, not {instant.isoformat()}")
        self._engine.crew.count_anew()
        self._engine.travel(instant, lambda: False)
        self._engine.move_to(instant)
        self._engine.until_idle()

    def run_until_done(self, run: SimulatedHandle[Any], /) -> None:
        """Let time pass until an instance has ended; it need not have ended well.

        Raises:
            NeverFinishesError: nothing will happen any more that could end it, or its code is in the way; the text
                says what it waits for.
            SimulationError, BaseException: as :meth:`run_until_idle`.
            InstanceNotFoundError: there is no such instance.
        """
        engine, ref = self._engine, run.ref
        run.get()  # it is there
        engine.crew.count_anew()
        engine.travel(None, lambda: engine.has_ended(ref) or ref in engine.record.stuck)
        if engine.has_ended(ref):
            return
        explanation = run.explain()
        raise NeverFinishesError(ref, explanation.status, self.now, str(explanation))

    # -- the end

    def check(self) -> None:
        """Fail if something that the test has asked for has not happened: a stub that never ran, a failure too many.

        Raises:
            UnusedModifierError: it lists what, and the steps that there were.
        """
        lacking = tuple(str(each) for each in (*self._asked(), *self._faults.asked) if each.left)
        if lacking:
            raise UnusedModifierError(lacking, self._engine.step_keys)

    def close(self) -> None:
        """Close the event loop of awaitable bodies. It is closed with the last reference to the simulation as well."""
        self._bodies.loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if error is None:
            self.check()

    def _pass(self, run: SimulatedHandle[Any], timeout: timedelta | None) -> None:
        """Let time pass until an instance has ended, at most so long."""
        if timeout is None:
            self.run_until_done(run)
            return
        self._engine.crew.count_anew()
        until = self.now + timeout
        self._engine.travel(until, lambda: self._engine.has_ended(run.ref))
        if not self._engine.has_ended(run.ref):
            self._engine.move_to(until)


def _at_once(_seconds: float) -> None:
    """A pause that takes no time."""


async def _soon(_seconds: float) -> None:
    """A pause of asyncio that takes no time."""
