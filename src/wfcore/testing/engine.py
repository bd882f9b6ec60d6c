"""What moves a simulation: its dispatchers at each moment, and time from one moment to the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import final

import attrs

from wfcore.errors import CommandError, ContentionError, StoreUnavailableError
from wfcore.failure import Failure
from wfcore.model import TERMINAL, Instance, StepRecord
from wfcore.outcome import Deferred, Stuck
from wfcore.plan import Plan, PutStep, Write
from wfcore.runner import Handle
from wfcore.runner.commander import Commander
from wfcore.testing.bodies import Bodies
from wfcore.testing.clock import VirtualClock
from wfcore.testing.crew import Crew
from wfcore.testing.errors import UndeliverableError
from wfcore.testing.faults import FaultPlan, FaultyStore, StoreAndFeed
from wfcore.testing.modifiers import Delivery, Skip
from wfcore.testing.recording import RecordingStore
from wfcore.testing.trace import Trace


@final
@attrs.define(eq=False, kw_only=True)
class Record:
    """What was committed so far.

    Attributes:
        plans: in the order of their commits.
        writes: the values of their ``Write``.
        refs: the instances that they touch, in the order of their first.
        keys: of all steps.
        stuck: instances whose last tick failed because of their code, and why.
    """

    plans: list[Plan] = attrs.field(factory=list)
    writes: list[object] = attrs.field(factory=list)
    refs: dict[str, None] = attrs.field(factory=dict)
    keys: set[str] = attrs.field(factory=set)
    stuck: dict[str, Failure] = attrs.field(factory=dict)

    def add(self, plan: Plan, refs: Sequence[str]) -> list[StepRecord]:
        """Note a plan; the records of steps that it has written."""
        self.plans.append(plan)
        self.refs.update(dict.fromkeys(refs))
        self.writes.extend(each.value for each in plan.mutations if isinstance(each, Write))
        records = [each.step for each in plan.mutations if isinstance(each, PutStep)]
        self.keys.update(record.key for record in records)
        match plan.outcome:
            case Stuck(failure):
                self.stuck[plan.ref] = failure
            case Deferred(_, failure) if not failure.is_a(ContentionError):
                self.stuck[plan.ref] = failure
            case _:
                self.stuck.pop(plan.ref, None)
        return records


@final
class Engine:
    """Runs dispatchers and moves time.

    Args:
        store: as it is, without faults.
        clock: the time of all.
        bodies: how often which step has run.
        faults: what a store does to the dispatchers.
        skips: deadlines to which time is moved.
        deliveries: events that are to be sent.
    """

    def __init__(
        self,
        store: StoreAndFeed,
        clock: VirtualClock,
        bodies: Bodies,
        *,
        faults: FaultPlan,
        skips: list[Skip],
        deliveries: list[Delivery],
    ) -> None:
        self.record = Record()
        self.trace = Trace(clock.start)
        self.store = RecordingStore(store, self._committed)
        self.faulty = FaultyStore(self.store, clock=clock, seed=faults.seed, faults=faults)
        self.crew: Crew
        self.commander: Commander
        self._clock = clock
        self._bodies = bodies
        self._faults = faults
        self._skips = skips
        self._deliveries = deliveries

    @property
    def step_keys(self) -> tuple[str, ...]:
        """Keys of all steps that there were, recorded or not."""
        return tuple(sorted({*self.record.keys, *(key for _, key in self._bodies.runs)}))

    def instance(self, ref: str) -> Instance | None:
        """The row of an instance."""
        return self.store.retrieve(ref).instance

    def has_ended(self, ref: str) -> bool:
        """Whether an instance is terminal."""
        found = self.instance(ref)
        return found is not None and found.status in TERMINAL

    def until_idle(self) -> None:
        """Handle what is due; then move time as far as the test wants it skipped."""
        self._settle()
        while self._waits_for_skipped() and (instant := self._next_instant()) is not None:
            self.move_to(instant)

    def travel(self, until: datetime | None, is_over: Callable[[], bool]) -> None:
        """Move time from one thing that is due to the next, until ``until``, or until it is over."""
        self._settle()
        while not is_over():
            instant = self._next_instant()
            if instant is None or (until is not None and instant > until):
                break
            self.move_to(instant)

    def move_to(self, instant: datetime) -> None:
        """Move time, with nothing due on the way, and handle what is due then."""
        self._clock.advance_to(instant)
        self._settle()

    def _settle(self) -> None:
        self.crew.hear(None)  # time has passed, or somebody has used the store directly
        self.crew.until_idle()

    def _next_instant(self) -> datetime | None:
        """When something happens next."""
        now = self._clock()
        instants = [each.at for each in self._deliveries if each.asked.left]
        if self._faults.down_until is not None:
            instants.append(self._faults.down_until)
        instants.extend(self._next_hooks())
        return min((instant for instant in instants if instant > now), default=None)

    def _next_hooks(self) -> Iterator[datetime]:
        left_out = self.crew.left_out()
        for ref in sorted(left_out):
            yield from (hook.due_at for hook in self.store.retrieve(ref).hooks)
        query = attrs.evolve(self.crew.workers[0].query(), exclude=left_out)
        try:
            earliest = self.faulty.next_due_at(query)
        except StoreUnavailableError:  # until it is there again
            return
        if earliest is not None:
            yield earliest

    def _waits_for_skipped(self) -> bool:
        """Whether any instance waits for what the test wants skipped."""
        snapshots = (self.store.retrieve(ref) for ref in self.record.refs) if self._skips else ()
        return any(
            skip.is_awaited(record)
            for snapshot in snapshots
            if snapshot.instance is not None and snapshot.instance.status in ("active", "waiting")
            for record in snapshot.steps
            for skip in self._skips
        )

    def next_delivery(self) -> Callable[[], None] | None:
        """The event that is to be sent now, if there is one."""
        due = [each for each in self._deliveries if each.asked.left and each.at <= self._clock()]
        return partial(self._deliver, min(due, key=lambda each: each.at)) if due else None

    def _deliver(self, delivery: Delivery) -> None:
        target = delivery.target
        workflow, instance_id = target if isinstance(target, tuple) else (target.workflow, target.id)
        delivery.asked.happened += 1
        try:
            Handle(self.commander, workflow, instance_id).send_event(delivery.event, delivery.payload, id=delivery.id)
        except CommandError as error:
            name = delivery.event if isinstance(delivery.event, str) else delivery.event.name
            raise UndeliverableError(delivery.ref, name, delivery.at, str(error)) from error

    def _committed(self, plan: Plan, refs: Sequence[str]) -> None:
        for record in self.record.add(plan, refs):
            for skip in self._skips:
                skip.note(record)
        for ref in refs:
            self.crew.hear(ref)

    def noted(self, plan: Plan) -> None:
        """A command of the test was committed."""
        self.trace.add(self._clock(), "test", self.trace.outcome_of(plan), ref=plan.ref)
