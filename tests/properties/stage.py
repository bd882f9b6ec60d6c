"""Plays a program with all that can go wrong, by both doors of the planner; what was committed is judged afterwards.

Bytes decide what happens: which body settles first and after how long, whether a deadline passes before, whether a
body that nobody waits for is dropped or ends late, which hook fires when, who else is at work, what is lost. Zeros,
and the end of the bytes, are calm.

The runner that is played here is a model of ``wfcore.runner``: it knows what design section 6 and rules O6, R2 and S13
let it know, and forgets all of it when it crashes.
"""

from datetime import datetime, timedelta
from typing import Any, Literal, Self, TypeAlias

import attrs
from hypothesis import currently_in_test_context, note
from hypothesis import strategies as st

from tests.lab import T0, Lab
from tests.properties.play import Letter, letters_of
from tests.properties.programs import TYPES, Chances, Kinds, Program, chances, program_of
from tests.twins import as_async_def
from wfcore.evolve import Rows, evolve
from wfcore.keys import timer_id
from wfcore.model import TERMINAL, FiredHook, Snapshot
from wfcore.plan import Conflict, Plan
from wfcore.planner import (
    Bodies,
    Continue,
    Done,
    Dropped,
    Elapsed,
    Known,
    Raised,
    Returned,
    Settled,
    StepCall,
    Stop,
    call_body,
    plan_tick,
    tick_loop,
)
from wfcore.planner.ends import Answer

Door: TypeAlias = Literal["by ticks", "continued", "concurrent"]
Verdict: TypeAlias = Literal["committed", "again", "over"]
Result: TypeAlias = Returned[Any] | Raised
NONE = timedelta(0)
AT_REST = 2_000


@attrs.frozen
class Drama:
    """A program and all that happens to it.

    Attributes:
        program: the program.
        letters: events, in the order in which they are sent.
        door: how the planner is called.
        chances: decide everything else.
        faults: whether anything may fail, or only hooks be strange.
    """

    program: Program
    letters: tuple[Letter, ...]
    door: Door
    chances: bytes
    faults: bool = True


def drama_of(drawn: tuple[bytes, ...], kinds: Kinds, *, faults: bool) -> Drama:
    """The drama that these bytes stand for."""
    letters = Chances(drawn[1])
    door = letters.pick("concurrent", "concurrent", "continued", "by ticks")
    return Drama(program_of(drawn[0], kinds), letters_of(letters), door, drawn[2], faults)


def dramas(*, timed: bool = True, faults: bool = True) -> st.SearchStrategy[Drama]:
    """Dramas of programs with branches."""
    kinds = Kinds(timed=timed, fans=True)
    drawn = chances(56, 90, 20, 120)
    return drawn.map(lambda found: drama_of(found, kinds, faults=faults))


# -- what is noted


@attrs.define(eq=False)
class Segment:
    """What led from one plan to the next: enough to plan the second again from the rows that the first one left.

    Attributes:
        door: how the planner was called.
        snapshot: what the planner knew of the rows, as of ``began``.
        fired: what fired.
        known: what the runner knew beside.
        began: when it began.
        answers: what bodies and deadlines said, with the instants.
    """

    door: Door
    snapshot: Snapshot
    fired: FiredHook
    known: Known
    began: datetime
    answers: list[tuple[Answer, datetime]] = attrs.field(factory=list)


@attrs.frozen(eq=False)
class Commit:
    """A plan that was committed.

    Attributes:
        plan: the plan.
        before: the rows of the instance.
        after: the rows after it.
        at: the time of the plan.
        seen: what the code had seen by then; ``None``: it did not run.
        segment: what led to it.
    """

    plan: Plan
    before: Rows
    after: Rows
    at: datetime
    seen: tuple[str, ...] | None
    segment: Segment


@attrs.frozen
class Tried:
    """A body that was started, at an instant; ``not_before``: when the rows say it may."""

    key: str
    number: int
    at: datetime
    not_before: datetime | None
    idempotency_key: str


@attrs.frozen(eq=False)
class Run:
    """A run of workflow code, and how many plans were committed when it began."""

    seen: list[str]
    commits: int


# -- playing


class Crash(BaseException):
    """The process is gone."""


@attrs.define(eq=False)
class Runner:
    """What one process knows of the instance.

    Attributes:
        mine: execution ids of plans that it has committed, or tried to.
        held: results of at-most-once bodies that no plan has recorded.
        flights: bodies in flight, with what they will say.
        wrote: version and execution id of the row that it wrote last.
        unrecorded: results of at-most-once bodies since the last plan.
    """

    mine: set[str] = attrs.field(factory=set)
    held: dict[str, Done] = attrs.field(factory=dict)
    flights: dict[str, tuple[StepCall, Result]] = attrs.field(factory=dict)
    wrote: tuple[int, str] | None = None
    unrecorded: list[Done] = attrs.field(factory=list)

    def known(self) -> Known:
        return Known(
            mine=frozenset(self.mine),
            held=tuple(self.held.values()),
            flights=tuple(call for call, _result in self.flights.values()),
        )

    def lost(self) -> None:
        """The plan was lost: bodies in flight are thrown away, but for at-most-once bodies (rules O6, S13)."""
        landed = [Done(call, Settled(result)) for call, result in self.flights.values() if call.started_by]
        for done in (*self.unrecorded, *landed):
            self.held[done.call.key] = Done(done.call, Settled(done.settled.result))
        self.flights, self.unrecorded = {}, []


@attrs.define(eq=False)
class Stage:
    """A drama, played.

    Attributes:
        drama: what is played.
        lab: the world.
        sightings: what the code saw in each of its runs.
        commits: all committed plans.
        runs: all runs of the code.
        in_flight: the bodies in flight, whenever that has changed.
        tried: all bodies that were started.
    """

    drama: Drama
    lab: Lab
    chances: Chances
    sightings: list[list[str]]
    commits: list[Commit] = attrs.field(factory=list)
    runs: list[Run] = attrs.field(factory=list)
    in_flight: list[tuple[str, ...]] = attrs.field(factory=list)
    tried: list[Tried] = attrs.field(factory=list)
    _letters: list[Letter] = attrs.field(factory=list)
    _starts: set[tuple[str, str]] = attrs.field(factory=set)
    _fired: list[FiredHook] = attrs.field(factory=list)

    @classmethod
    def of(cls, drama: Drama, *, id: str = "1") -> Self:
        if currently_in_test_context():
            note(drama)
        sightings: list[list[str]] = []
        twin = drama.program.twin(as_async_def, sightings)
        lab = Lab.of(twin)
        lab.create(twin, id=id)
        return cls(drama, lab, Chances(drama.chances), sightings, letters=list(drama.letters))

    def play(self, *, plans: int | None = None) -> Self:
        """Play until the instance is at rest, or so many plans are committed."""
        runner = Runner()
        for _ in range(AT_REST):
            if plans is not None and len(self.commits) >= plans:
                return self
            hooks = self.lab.world[self.lab.ref].hooks.values()
            due_at = min((hook.due_at for hook in hooks), default=None)
            if self._letters and (due_at is None or self._arrives_at() <= due_at):
                self._pass(max(self._arrives_at(), self.lab.now))
            elif due_at is not None:
                runner = self._wake(runner, due_at)
            else:
                return self
        raise AssertionError(f"the instance does not come to rest: {self.lab.snapshot()}")

    def _wake(self, runner: Runner, due_at: datetime) -> Runner:
        trouble = self.chances.pick("", "", "", "", "late", "early", "twice", "other hook", "stale hook", "elsewhere")
        if trouble != "early":
            self._pass(max(self.lab.now, due_at) + timedelta(seconds=33 if trouble == "late" else 0))
        stored = sorted(self.lab.world[self.lab.ref].hooks.values(), key=lambda hook: (hook.due_at, hook.id))
        fired = self.lab.fired(stored[-1 if trouble == "other hook" else 0])
        if trouble == "stale hook" and self._fired:
            fired = self._fired[0]
        self._fired.append(fired)
        before = len(self.commits)
        visitor = Runner() if trouble == "elsewhere" else runner
        try:
            for _ in range(2 if trouble == "twice" else 1):
                self._visit(visitor, fired)
        except Crash:
            return Runner()
        if before == len(self.commits):  # somebody else is at work, or was (rule R1)
            self._pass(self.lab.now + timedelta(seconds=1))
        return visitor

    def _visit(self, runner: Runner, fired: FiredHook) -> None:
        """Handle a hook as a runner does: until there is nothing to do, or too many conflicts."""
        for _ in range(500):
            snapshot = self.lab.snapshot()
            instance = snapshot.instance
            if instance is None or runner.wrote != (instance.version, instance.execution_id):
                runner.lost()
            verdict = self._tick(runner, fired, snapshot)
            if verdict == "over":
                runner.lost()
                return
        raise AssertionError("a tick without end")

    # -- one conversation

    def _tick(self, runner: Runner, fired: FiredHook, snapshot: Snapshot) -> Verdict:
        segment = Segment(self.drama.door, snapshot, fired, runner.known(), self.lab.now)
        tick = _Tick(self, runner, segment, self.lab.now, len(self.sightings))
        begun = len(self.commits)
        try:
            return tick.run()
        finally:
            if len(self.sightings) > tick.run_number:
                self.runs.append(Run(self.sightings[tick.run_number], begun))

    def perform(self, call: StepCall) -> Result:
        """Run a body."""
        if call.started_by:
            start = call.key, call.started_by
            assert start not in self._starts, f"{call.key} was run twice for one start"
            self._starts.add(start)
        record = self.lab.world[self.lab.ref].steps.get((1, call.key))
        not_before = record.next_retry_at if record and record.attempts + 1 == call.attempt.number else None
        self.tried.append(Tried(call.key, call.attempt.number, self.lab.now, not_before, call.attempt.idempotency_key))
        return call_body(call).result

    def apply(self, plan: Plan, segment: Segment, seen: tuple[str, ...] | None) -> bool:
        """Commit a plan, unless it conflicts."""
        before = self.lab.world
        after = evolve(before, plan)
        if isinstance(after, Conflict):
            return False
        self.lab.world = after
        ref = self.lab.ref
        self.commits.append(Commit(plan, before[ref], after[ref], self.lab.instance.updated_at, seen, segment))
        return True

    def rival(self, fired: FiredHook) -> None:
        """Somebody else handles the hook, as far as the first plan, and is gone."""
        number = len(self.sightings)
        snapshot = self.lab.snapshot()
        segment = Segment("by ticks", snapshot, fired, Known(), self.lab.now)

        def perform(call: StepCall) -> Settled:
            settled = Settled(self.perform(call))
            segment.answers.append((Done(call, settled), self.lab.now))
            return settled

        plan = plan_tick(snapshot, fired, self.lab.registry, execution_id=self.lab.next_id("rival"), perform=perform)
        seen = tuple(self.sightings[number]) if len(self.sightings) > number else None
        if not plan.is_empty:
            assert self.apply(plan, segment, seen)

    # -- time

    def _arrives_at(self) -> datetime:
        return T0 + timedelta(seconds=self._letters[0].seconds)

    def _pass(self, until: datetime) -> None:
        """Time passes, and letters arrive."""
        while self._letters and self._arrives_at() <= until:
            self.lab.now = max(self.lab.now, self._arrives_at())
            letter = self._letters.pop(0)
            if self.lab.instance.status not in TERMINAL:
                self.lab.send(TYPES[letter.type], letter.payload, id=f"letter {len(self._letters)}")
        self.lab.now = until

    def later(self, seconds: float) -> None:
        self._pass(self.lab.now + timedelta(seconds=seconds))

    def until(self, instant: datetime) -> None:
        self._pass(max(self.lab.now, instant))


@attrs.define(eq=False)
class _Tick:
    """One call of the planner."""

    stage: Stage
    runner: Runner
    segment: Segment
    retrieved_at: datetime
    run_number: int
    halt: Verdict | None = None

    @property
    def seen(self) -> tuple[str, ...] | None:
        runs = self.stage.sightings
        return tuple(runs[self.run_number]) if len(runs) > self.run_number else None

    def run(self) -> Verdict:
        plan = self._converse() if self.segment.door == "concurrent" else self._call()
        if self.halt is not None:
            return self.halt
        if plan.is_empty:
            return "over"
        verdict = self._apply(plan)
        if verdict == "committed":
            instance = self.stage.lab.instance
            return "again" if self.segment.door == "by ticks" and instance.status == "active" else "over"
        return verdict

    def _call(self) -> Plan:
        continues = self.segment.door == "continued"
        known = self.segment.known
        return plan_tick(
            self.segment.snapshot,
            self.segment.fired,
            self.stage.lab.registry,
            execution_id=self.stage.lab.next_id("tick"),
            mine=known.mine,
            held=known.held,
            perform=self._perform,
            commit=self._commit if continues else None,
        )

    def _perform(self, call: StepCall) -> Settled:
        answer = self._answer(Bodies((call,), frozenset(), None))
        assert isinstance(answer, Done)
        return answer.settled

    def _converse(self) -> Plan:
        segment, lab = self.segment, self.stage.lab
        loop = tick_loop(
            segment.snapshot,
            segment.fired,
            lab.registry,
            execution_id=lab.next_id("tick"),
            known=segment.known,
        )
        try:
            asked = next(loop)
            while True:
                asked = loop.send(self._commit(asked) if isinstance(asked, Plan) else self._answer(asked))
        except StopIteration as stop:
            plan: Plan = stop.value
            return plan
        finally:
            loop.close()

    # -- bodies

    def _answer(self, bodies: Bodies) -> Answer:
        stage, flights, chances = self.stage, self.runner.flights, self.stage.chances
        for call in bodies.start:
            flights[call.key] = call, stage.perform(call)
        stage.in_flight.append(tuple(flights))
        if stage.drama.faults and chances.below(24) == 23:
            raise Crash
        answer = self._first(bodies)
        self.segment.answers.append((answer, stage.lab.now))
        return answer

    def _first(self, bodies: Bodies) -> Answer:
        stage, chances, flights = self.stage, self.stage.chances, self.runner.flights
        if bodies.until is not None and chances.below(3) == 2:
            stage.until(self.retrieved_at + bodies.until)
            return Elapsed(stage.lab.now - self.retrieved_at)
        stage.later(chances.pick(stage.drama.program.body_time, 0, 0, 1, 7, 40))
        # At-most-once bodies are not cancelled: if the plan is lost, no row tells that the start is used up (S13).
        droppable = sorted(key for key in bodies.unwanted if not flights[key][0].started_by)
        if droppable and chances.below(2):
            key = droppable[0]
            return Dropped(flights.pop(key)[0])
        landing = [key for key in flights if bodies.only is None or key in bodies.only]
        key = landing[chances.below(len(landing))]
        call, result = flights.pop(key)
        done = Done(call, Settled(result, stage.lab.now - self.retrieved_at))
        if call.started_by:
            self.runner.unrecorded.append(done)
        return done

    # -- plans

    def _commit(self, plan: Plan) -> Continue | Stop:
        verdict = self._apply(plan)
        if verdict == "committed":
            lab, segment = self.stage.lab, self.segment
            seen = {hook.id for hook in segment.snapshot.hooks} | {timer_id(lab.ref)}
            if lab.world[lab.ref].hooks.keys() <= seen:
                self.segment = self._next_segment(plan)
                return Continue(lab.next_id("continued"))
        self.halt = "again" if verdict == "committed" else verdict
        return Stop()

    def _next_segment(self, plan: Plan) -> Segment:
        segment, ref = self.segment, self.stage.lab.ref
        snapshot = segment.snapshot
        rows = Rows(
            instance=snapshot.instance,
            steps={(step.run_number, step.key): step for step in snapshot.steps},
            events={event.id: event for event in snapshot.events},
            hooks={hook.id: hook for hook in snapshot.hooks},
        )
        after = evolve({ref: rows}, plan)
        assert not isinstance(after, Conflict)
        instance = after[ref].instance
        assert instance is not None
        now = instance.updated_at  # time that a dropped body took is not known to the planner
        return Segment(segment.door, after[ref].snapshot(now), segment.fired, self.runner.known(), now)

    def _apply(self, plan: Plan) -> Verdict:
        stage, runner = self.stage, self.runner
        runner.mine.add(plan.execution_id)
        fault = stage.chances.pick(*[""] * 11, *_FAULTS) if stage.drama.faults else ""
        if fault == "rival":
            stage.rival(self.segment.fired)
        if fault == "crash before":
            raise Crash
        if fault == "lost" or not stage.apply(plan, self.segment, self.seen):
            runner.lost()
            return "again"
        if fault == "crash after":
            raise Crash
        instance = stage.lab.instance
        runner.wrote = instance.version, instance.execution_id
        runner.unrecorded = []
        return "again" if fault == "lost acknowledgement" else "committed"


_FAULTS = "rival", "rival", "lost", "crash before", "crash after", "lost acknowledgement"


# -- and planned again


class OtherBody(BaseException):
    """Another body is given the first place, where places are bounded: that is no part of the law."""


def plan_again(stage: Stage, segment: Segment, execution_id: str) -> Plan:
    """The plan that a segment led to, from the rows alone: by a new call, in which nothing goes wrong."""
    answers = iter(segment.answers)
    if segment.door == "concurrent":
        return _converse_again(stage, segment, execution_id)

    def perform(call: StepCall) -> Settled:
        answer, at = next(answers)
        assert isinstance(answer, Done)
        if answer.call.key != call.key:  # which body starts first is no part of the law
            raise OtherBody
        return attrs.evolve(call_body(call), elapsed=at - segment.began)

    committed: list[Plan] = []

    def commit(plan: Plan) -> Stop:
        committed.append(plan)
        return Stop()

    plan = plan_tick(
        segment.snapshot,
        segment.fired,
        stage.lab.registry,
        execution_id=execution_id,
        mine=segment.known.mine,
        held=segment.known.held,
        perform=perform,
        commit=commit if segment.door == "continued" else None,
    )
    return committed[0] if committed else plan


def _converse_again(stage: Stage, segment: Segment, execution_id: str) -> Plan:
    loop = tick_loop(
        segment.snapshot, segment.fired, stage.lab.registry, execution_id=execution_id, known=segment.known
    )
    calls = {call.key: call for call in segment.known.flights}
    fresh: set[str] = set()
    try:
        asked = next(loop)
        for answer, at in segment.answers:
            if isinstance(asked, Plan):
                break
            calls.update({call.key: call for call in asked.start})
            fresh.update(call.key for call in asked.start)
            if isinstance(answer, Done | Dropped) and answer.call.key not in calls:
                raise OtherBody
            match answer:
                case Done(call, settled):
                    own = calls[call.key]
                    result = call_body(own).result if call.key in fresh else settled.result
                    asked = loop.send(Done(own, Settled(result, at - segment.began)))
                case Dropped(call):
                    asked = loop.send(Dropped(calls[call.key]))
                case _:
                    asked = loop.send(Elapsed(at - segment.began))
        assert isinstance(asked, Plan), "it asks for more bodies than the first time"
        return asked
    except StopIteration as stop:
        plan: Plan = stop.value
        return plan
    finally:
        loop.close()
