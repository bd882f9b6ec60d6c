"""What is new in a tick, once history is used up: waits open, one thing settles at a time. Pure: no I/O, no clock.

One call of :meth:`Live.settle` is step (2) of the loop of rule P2: choose one settlement. A body that has settled goes
first, then a wait that is due (rule W10); else bodies that may start are asked for, and what comes next settles.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator
from datetime import timedelta
from typing import TypeAlias

import attrs

from wfcore.errors import CodecError
from wfcore.model import Event, StepRecord
from wfcore.plan import AddInstance, Mutation, Plan
from wfcore.planner.agenda import Agenda
from wfcore.planner.calls import Returned, StepCall
from wfcore.planner.carried import Carried, started_by
from wfcore.planner.draft import Draft, cancelled
from wfcore.planner.ends import (
    Answer,
    Bodies,
    Checkpoint,
    Continue,
    Done,
    Dropped,
    Elapsed,
    End,
    Manner,
    Parked,
    Stopped,
)
from wfcore.planner.intake import Intake
from wfcore.planner.interpret import Interpreter, first_due, unless_undeliverable
from wfcore.planner.refusals import awaitable_refused, misplaced
from wfcore.planner.requests import Request
from wfcore.planner.steps.decision import is_waiting
from wfcore.planner.steps.do import must_start
from wfcore.planner.steps.wait import WaitForEvent, receive

Asking: TypeAlias = Generator[Bodies | Plan, Answer, StepRecord | End | None]


class Live:
    """Settles what history has not.

    Args:
        draft: takes the records.
        agenda: what is asked for.
        interpreter: knows the step kinds.
        manner: how bodies run and when to checkpoint.
        carried: what the runner knows.

    Attributes:
        intake: what was asked for.
        is_over: tells whether the tick has ended: it may do so while bodies run, if one of them uses a step.
    """

    def __init__(
        self, draft: Draft, agenda: Agenda, interpreter: Interpreter, manner: Manner, carried: Carried
    ) -> None:
        self.intake = Intake(draft, agenda, interpreter, carried)
        self._draft = draft
        self._agenda = agenda
        self._interpreter = interpreter
        self._manner = manner
        self._each_step = interpreter.workflow.checkpoint == "step"
        # A checkpoint between two bodies is the end of a tick (rule O6): the next takes the first event of then.
        self._one_by_one = self._each_step and not manner.concurrent
        self._absent = carried.absent
        self.is_over: Callable[[], bool]  # the replay sets it

    # -- one settlement

    def settle(self) -> Asking:
        """Settle one thing, or end the tick: the record to deliver, the end, or ``None`` for another look."""
        self.intake.write()
        if (held := self.intake.next_result()) is not None:
            return self._settle_body(*held)
        if self._agenda.draining:
            return (yield from self._take(Bodies(only=frozenset(self._agenda.draining))))
        while due := self._first_due():
            request, record, event = due
            if event is not None and self._takes(request, event) and not self._one_by_one:
                continue
            if self._agenda.first:  # bodies that take what came before
                return (yield from self._run(only_first=True))
            return self._settle_wait(request, record, event)
        return (yield from self._run())

    def _run(self, *, only_first: bool = False) -> Asking:
        """Start what may start, and wait for what comes first; nothing is in flight then: the tick ends.

        ``only_first``: only bodies that take events; something that came later is due before others.
        """
        self._agenda.retry_due(self._draft.now)
        ready = self._agenda.startable(None if self._manner.concurrent else 1, only_first=only_first)
        if not ready and not self._agenda.flying:
            return Parked()
        calls = [self._call(request) for request in ready]
        starts = [index for index, request in enumerate(ready) if must_start(request.spec, request.record)]
        if starts:
            for index in starts:
                self.intake.put(ready[index], self._interpreter.start(ready[index], self._draft.stamp()))
            end = yield from self._checkpoint(others=self._agenda.ready_count > len(starts))
            if end is not None:
                return end
        for index, request in enumerate(ready):
            if (start := started_by(request)) is not None:
                calls[index] = attrs.evolve(calls[index], started_by=start)
            self._agenda.start(request)
            if calls[index].event is not None:
                self._agenda.holds_for(request, self._draft.now)
        deadline = self._agenda.next_deadline()
        until = None if deadline is None else max(timedelta(0), deadline - self._draft.base)
        return (yield from self._take(Bodies(tuple(calls), frozenset(self._agenda.unwanted), until)))

    def drain(self) -> Asking:
        """Take what comes of a body in flight, or is held: the tick ends when there is none (rule P3)."""
        if (held := self.intake.next_result()) is not None:
            return self._settle_body(*held)
        return (yield from self._take(Bodies(unwanted=frozenset(self._agenda.unwanted))))

    def _take(self, bodies: Bodies) -> Asking:
        """Take what comes of bodies in flight; what has settled before is committed first (rule O6)."""
        if self._draft.has_body_result and self._each_step:
            end = yield from self._checkpoint(others=True)
            if end is not None:
                return end
        answer = yield bodies
        match answer:
            case Done(call, settled):
                self._draft.advance(settled.elapsed)
                request = self._agenda.landed(call.key)
                if self._manner.concurrent or not self.is_over():  # else it has used a step: it counts for nothing
                    return self._settle_body(request, answer)
            case Dropped(call):
                request = self._agenda.landed(call.key)
                if self._agenda.late.pop(call.key, None) is not None:
                    request.leave_logs()
                elif not self.is_over():  # the loop of another instance, whose step the body has used, knows already
                    raise misplaced(call.key)
                if request.record is not None and is_waiting(request.record):
                    self.intake.put(request, cancelled(request.record, self._draft.now, self._draft.execution_id))
                self._release(call)
            case Elapsed(elapsed):
                self._draft.advance(elapsed)
            case _:
                raise TypeError(f"bodies in flight were answered with {answer!r}")
        return None

    def _checkpoint(self, *, others: bool) -> Generator[Plan, Answer, End | None]:
        """Commit; ``others``: there is more to do than at-most-once bodies that are started now (rule O4)."""
        draft = self._draft
        delay = self._manner.recover_after if self._manner.continues else timedelta(0)
        plan = draft.checkpoint(delay, at_deadline=not self._manner.continues and not others)
        if not self._manner.continues:
            return Checkpoint(plan)
        answer = yield plan
        if not isinstance(answer, Continue):
            return Stopped()
        draft.committed(plan, answer.execution_id)
        return None

    def _first_due(self) -> tuple[Request, StepRecord, Event | None] | None:
        offered = self._draft.mailbox.offered
        held_until = self._agenda.held_until
        return first_due(self._agenda.waits.candidates(offered), offered, self._draft.now, held_until)

    def _settle_wait(self, request: Request, record: StepRecord, event: Event | None) -> StepRecord | None:
        settled = self._interpreter.settle_due(request, record, event, self._draft.stamp())
        if event is not None:
            self._consume(event, request)
        self._agenda.waits.discard(request)
        return self._settled(request, settled)

    def _takes(self, request: Request, event: Event) -> bool:
        """Whether a body decides if the event is taken (rule W9); it may run then, before all others."""
        if not isinstance(request.spec, WaitForEvent) or request.spec.on_consume is None:
            return False
        try:
            received = receive(event, request.spec, self._interpreter.codec.decode)
        except CodecError:
            return False
        self.intake.taking[request.key] = event, received
        self._draft.mailbox.reserve(event)
        self._agenda.take_event(request)
        return True

    def _consume(self, event: Event, request: Request) -> None:
        self._draft.mailbox.consume(event, request.key, self._draft.instance.run_number, self._draft.now)

    # -- bodies

    def _call(self, request: Request) -> StepCall:
        taking = self.intake.taking.get(request.key)
        return self._interpreter.call(request) if taking is None else self._interpreter.consume(request, *taking)

    def _settle_body(self, request: Request, done: Done) -> StepRecord | None:
        call, result = done.call, done.settled.result
        if isinstance(result, Returned) and inspect.isawaitable(result.value):
            raise awaitable_refused(request.key, result.value)
        result = unless_undeliverable(call, result, self._absent)
        stamp = self._draft.stamp()
        record = self._interpreter.settle_body(request, call, result, stamp)
        if request.branch.closed and record.sequence is None:  # nobody waits for another attempt (rule P5)
            record = cancelled(record, stamp.now, stamp.execution_id)
        effects: tuple[Mutation, ...] = ()
        if record.status in ("completed", "errored"):
            succeeded = record.status == "completed"
            effects = call.attempt.effects(succeeded=succeeded, now=stamp.now, execution_id=stamp.execution_id)
            if succeeded:
                self._draft.require(call.attempt.required())
                self._absent -= {each.ref for each in effects if isinstance(each, AddInstance)}
        self._release(call)
        if call.event is not None and record.status == "completed":
            self._consume(call.event, request)
        self._draft.has_body_result = True
        return self._settled(request, record, effects)

    def _settled(self, request: Request, record: StepRecord, effects: tuple[Mutation, ...] = ()) -> StepRecord | None:
        """Put the record; it is delivered if it has settled, else its body may run again."""
        self.intake.put(request, record, effects)
        if record.status != "waiting":
            return record
        self._agenda.may_run_at(request, record.next_retry_at, self._draft.now)
        return None

    def _release(self, call: StepCall) -> None:
        """Offer the event again that a body has decided about, unless it is consumed now (rule W9)."""
        if call.event is not None:
            self._draft.mailbox.release(call.event)
