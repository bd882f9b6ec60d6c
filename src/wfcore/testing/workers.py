"""A simulated dispatcher: what the real one does with threads and time, one turn after the other."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeAlias, final

import attrs

from wfcore.errors import StoreUnavailableError
from wfcore.keys import is_terminal_notice
from wfcore.model import FiredHook
from wfcore.plan import Applied, Conflict, Plan
from wfcore.ports import DueQuery
from wfcore.runner.errand import Errand, StopSignal
from wfcore.runner.notices import OnTerminal, TerminalNotice, announced
from wfcore.runner.observe import TickReport
from wfcore.runner.roster import has_got_on
from wfcore.runner.runtime import Runtime
from wfcore.testing.asked import Asked
from wfcore.testing.bodies import Bodies, Crash
from wfcore.testing.faults import FaultyStore
from wfcore.testing.ticks import SimulatedRun, TurnDoors
from wfcore.testing.trace import Trace

End: TypeAlias = TickReport | bool
"""What a tick ends with; of a terminal notice: whether anything became of it."""


@final
@attrs.define(eq=False)
class CrashPoint:
    """A process that dies around the ``number``-th apply from now.

    Attributes:
        when: ``before`` or ``after`` it.
        number: how many applies from now.
        asked: whether it has happened.
    """

    when: str
    number: int
    asked: Asked

    def is_now(self, when: str) -> bool:
        """Whether it is time; called once before and once after each apply."""
        if when != self.when or not self.asked.left:
            return False
        self.number -= 1
        return self.number == 0 and self.asked.takes_place()


@final
@attrs.frozen(kw_only=True)
class Setting:
    """What all dispatchers of a simulation share.

    Attributes:
        store: with faults.
        runtime: virtual time, counted ids.
        errand: what each tick is asked to do; its hook differs.
        bodies: how bodies are performed.
        trace: where it is written down.
        on_terminal: is told of the ends of instances.
        continues: whether ticks go on from checkpoints without a read.
        concurrency: how many ticks each dispatcher has at once.
        max_ticks: the bound.
    """

    store: FaultyStore
    runtime: Runtime
    errand: Callable[[FiredHook], Errand]
    bodies: Bodies
    trace: Trace
    on_terminal: OnTerminal | None
    continues: bool
    concurrency: int
    max_ticks: int
    crashes: list[CrashPoint] = attrs.field(factory=list)


@final
@attrs.define(eq=False)
class Tick:
    """A tick that goes on."""

    fired: FiredHook
    coroutine: Coroutine[Any, Any, End]


@final
class Worker:
    """One simulated dispatcher: what it works on, and which instances it leaves alone until something happens.

    Attributes:
        name: in the trace.
        ticks: that go on, in the order in which they began.
        curious: whether there may be something due that it does not know of.
        left_out: refs of instances whose tick came to nothing although a hook of theirs is due (rules G4, R1).
        applied: how many plans it has applied, or tried to.
    """

    def __init__(self, name: str, setting: Setting) -> None:
        self.name = name
        self.ticks: list[Tick] = []
        self.curious = True
        self.left_out: set[str] = set()
        self.applied = 0
        self._setting = setting

    @property
    def may_look(self) -> bool:
        """Whether it makes sense to look for due hooks."""
        return self.curious and len(self.ticks) < self._setting.concurrency

    def hear(self, ref: str | None) -> None:
        """An instance was written, or (``None``) time has passed."""
        self.curious = True
        if ref is None:
            self.left_out.clear()
        else:
            self.left_out.discard(ref)

    def look(self) -> int:
        """Begin ticks of what is due; how many there were."""
        query = self.query()
        try:
            fired = self._setting.store.due(query)
        except StoreUnavailableError:
            self._note("the store is down")
            fired = ()
        self.curious = len(fired) == query.limit
        self.ticks.extend(Tick(each, self._handled(each)) for each in fired)
        return len(fired)

    def query(self) -> DueQuery:
        """What it asks its feed for."""
        setting = self._setting
        return DueQuery(
            limit=setting.concurrency - len(self.ticks),
            workflow_names=setting.bodies.registry.names,
            exclude=frozenset(self.left_out) | {tick.fired.hook.instance_ref for tick in self.ticks},
            terminal_notices=setting.on_terminal is not None,
        )

    def go_on(self, tick: Tick) -> None:
        """Let a tick come to its next turn, or to its end."""
        ref = tick.fired.hook.instance_ref
        try:
            tick.coroutine.send(None)
        except StopIteration as end:
            self._ended(tick, end.value)
        except StoreUnavailableError as error:
            self._note(f"StoreUnavailableError in {error.operation}", tick.fired)
            self.ticks.remove(tick)
            self.curious = True
        except Crash:
            self._crash(tick)
        except BaseException:
            self.ticks.remove(tick)
            self.hear(ref)
            raise

    def drop(self) -> None:
        """Forget everything."""
        lost, self.ticks = self.ticks, []
        for each in lost:
            each.coroutine.close()
        self.hear(None)

    def _ended(self, tick: Tick, report: End) -> None:
        self.ticks.remove(tick)
        got_on = has_got_on(report) if isinstance(report, TickReport) else report
        if not got_on:
            self.left_out.add(tick.fired.hook.instance_ref)
        self.curious = True
        plan = report.plan if isinstance(report, TickReport) else None
        if plan is not None and plan.is_empty:
            self._note(self._setting.trace.outcome_of(plan), tick.fired)

    def _crash(self, tick: Tick) -> None:
        """The process dies, with all that it knows, and a new one takes its place."""
        self.drop()
        if self._setting.bodies.fault is None:
            self._note("crashed", tick.fired)

    def _handled(self, fired: FiredHook) -> Coroutine[Any, Any, End]:
        setting = self._setting
        doors = TurnDoors(setting.store, setting.runtime, self._crashes, partial(self._applied, fired))
        if is_terminal_notice(fired.hook.id):
            return announced(doors, fired, self._tell, stop=StopSignal())
        run = SimulatedRun(doors, setting.errand(fired), setting.bodies, continues=setting.continues)
        return run.to_the_end()

    async def _tell(self, notice: TerminalNotice) -> None:
        answer = self._setting.on_terminal(notice) if self._setting.on_terminal else None
        if inspect.isawaitable(answer):  # as under asyncio
            self._setting.bodies.loop.wait_for(answer)

    def _crashes(self, when: str) -> bool:
        hits = [point for point in self._setting.crashes if point.is_now(when)]  # all of them count each apply
        return bool(hits)

    def _applied(self, fired: FiredHook, plan: Plan, answer: Applied | Conflict) -> None:
        self.applied += 1
        trace = self._setting.trace
        if isinstance(answer, Conflict):
            self._note(f"Conflict ({type(plan.outcome).__name__})", fired)
        else:
            self._note(trace.outcome_of(plan), fired, trace.steps_of(plan))

    def _note(self, outcome: str, fired: FiredHook | None = None, steps: tuple[str, ...] = ()) -> None:
        setting = self._setting
        ref = fired.hook.instance_ref if fired else ""
        hook = fired.hook.id.removeprefix(f"{ref}#") if fired else ""
        setting.trace.add(setting.runtime.now(), self.name, outcome, ref=ref, fired=hook, steps=steps)
