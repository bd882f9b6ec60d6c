"""One tick's pending rows: the only mutable object of the core. Still pure: no I/O, no clock; time comes in.

A draft starts from a snapshot's rows, takes the records that the replay settles, and is frozen into plans: one for
each checkpoint, one at the end. What it freezes keeps rule O5: an instance that can make progress always has a hook.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import attrs

from wfcore.failure import Failure
from wfcore.model import Event, Hook, Instance, InstanceStatus, Payload, Snapshot, StepRecord
from wfcore.outcome import Checkpointed, Completed, Continued, Errored, Ignored, Outcome, Paused, Stuck, Suspended
from wfcore.plan import AddHook, AddInstance, Exists, LogLine, Mutation, Plan, PutHook, PutInstance, PutStep
from wfcore.planner.changes import change, handled, terminal_notice, timer
from wfcore.planner.gate import last_sequence, stored_timer, waiting
from wfcore.planner.mailbox import Mailbox
from wfcore.planner.progress import broken_clause
from wfcore.planner.steps.decision import Stamp, earliest_deadline, is_waiting, later
from wfcore.retry import DEFERRAL


class Draft:
    """The rows of one instance during one tick.

    Args:
        snapshot: with an instance.
        execution_id: of the next plan.
        now: the base of the tick's time.
        notify: whether the end of the instance is to be announced (rule O7).
    """

    def __init__(
        self, snapshot: Snapshot, instance: Instance, execution_id: str, now: datetime, *, notify: bool = False
    ) -> None:
        self.instance = instance if instance.started_at else attrs.evolve(instance, started_at=now)
        self.execution_id = execution_id
        self.now = self.base = now
        self.mailbox = Mailbox(snapshot.events)
        self.waiting: dict[str, StepRecord] = {step.key: step for step in waiting(snapshot.steps)}
        self._sequence = last_sequence(snapshot.steps)
        self._hooks = snapshot.hooks
        stored = stored_timer(snapshot, instance)
        self._attempts = stored.attempts if stored else 0
        self._steps: dict[str, tuple[Mutation, ...]] = {}
        self._logs: list[LogLine] = []
        self._required: frozenset[str] = frozenset()
        self._added: frozenset[str] = frozenset()
        self._committed = False
        self._notify = notify
        self.has_body_result = False

    @property
    def has_new_work(self) -> bool:
        """Whether anything was made, settled or committed since the snapshot."""
        return self._committed or bool(self._steps)

    def stamp(self) -> Stamp:
        """The stamp of a record that is written now."""
        return Stamp(now=self.now, sequence=self._sequence + 1, execution_id=self.execution_id)

    def advance(self, elapsed: timedelta) -> None:
        """Move the tick's time: its base and the time since the retrieve. It never goes back."""
        self.now = max(self.now, self.base + elapsed)

    def put(self, record: StepRecord, *, effects: tuple[Mutation, ...] = (), logs: tuple[LogLine, ...] = ()) -> None:
        """Take a record that was made, tried or settled, with what commits with it."""
        self._steps.pop(record.key, None)
        self._steps[record.key] = (PutStep(record), *effects)
        if effects:
            self._added |= {each.ref for each in effects if isinstance(each, AddInstance)}
        self._logs.extend(logs)
        if record.sequence is not None:
            self._sequence = record.sequence
        if is_waiting(record):
            self.waiting[record.key] = record
        else:
            self.waiting.pop(record.key, None)

    def require(self, refs: frozenset[str]) -> None:
        """The plan holds only if these instances exist, or are added by what it does before (rule T4)."""
        self._required |= refs - self._added

    def checkpoint(self, delay: timedelta, *, at_deadline: bool) -> Plan:
        """What has settled so far; the timer is due after ``delay`` (rule O6).

        ``at_deadline``: at the earliest deadline instead, as there is nothing else to do before (rule O4).
        """
        self.has_body_result = False
        due_at = earliest_deadline(self.waiting.values()) if at_deadline else None
        return self._freeze("active", Checkpointed(), timer(self.instance, due_at or later(self.now, delay), self.now))

    def committed(self, plan: Plan, execution_id: str) -> None:
        """The checkpoint was committed: go on from the rows that it wrote, with a new execution id."""
        for mutation in plan.mutations:
            if isinstance(mutation, PutInstance):
                self.instance = mutation.instance
            elif isinstance(mutation, PutHook):
                self._hooks = (mutation.hook,)
        self._attempts = 0  # the checkpoint's timer is a new one
        self._steps, self._logs, self._required, self._added = {}, [], frozenset(), frozenset()
        self.mailbox.taken.clear()
        self.execution_id = execution_id
        self._committed = True

    def suspended(self) -> Plan:
        """The workflow is parked: the timer stands at the earliest deadline of all waiting records (rules O3, P7)."""
        until = earliest_deadline(self.waiting.values())
        hook = None if until is None else timer(self.instance, until, self.now)
        return self._freeze("waiting", Suspended(until, tuple(self.waiting)), hook)

    def ended(self, outcome: Completed | Errored, logs: tuple[LogLine, ...]) -> Plan:
        """The workflow returned, or an exception escaped from it (rules O1, O2)."""
        self._end(logs)
        if isinstance(outcome, Completed):
            plan = self._freeze("complete", outcome, None, output=outcome.output, completed_at=self.now)
        else:
            plan = self._freeze("errored", outcome, None, failure=outcome.failure, completed_at=self.now)
        if not self._notify:
            return plan
        notice = AddHook(terminal_notice(self.instance, self.instance.version + 1, self.now))
        return attrs.evolve(plan, mutations=(*plan.mutations, notice))

    def continued(self, params: Payload, logs: tuple[LogLine, ...]) -> Plan:
        """The run ends, and the next one begins with new parameters; the mailbox stays (rule O8)."""
        self._end(logs)
        run_number = self.instance.run_number + 1
        hook = timer(attrs.evolve(self.instance, run_number=run_number), self.now, self.now)
        return self._freeze(
            "active",
            Continued(run_number),
            hook,
            run_number=run_number,
            key_run=run_number,
            params=params,
            started_at=None,
        )

    def paused(self, outcome: Paused | Ignored, requests: tuple[Mutation, ...]) -> Plan:
        """The instance is paused; what at-most-once bodies have left is recorded all the same (rule S13).

        ``requests``: those to pause, as consumed.
        """
        plan = self._freeze("paused", outcome, None)
        return attrs.evolve(plan, mutations=(*plan.mutations, *requests))

    def stuck(self, failure: Failure) -> Plan:
        """An error of the author after new work: keep the work, try again later (rule D9)."""
        attempts = self._attempts + 1
        due_at = self.now + DEFERRAL.delay_after(attempts)
        hook = timer(self.instance, due_at, self.now, attempts=attempts, last_error=str(failure))
        return self._freeze("active", Stuck(failure), hook)

    def _end(self, logs: tuple[LogLine, ...]) -> None:
        self._logs.extend(logs)
        for record in self.waiting.values():
            self._steps[record.key] = (PutStep(cancelled(record, self.now, self.execution_id)),)
        self.waiting.clear()

    def _freeze(self, status: InstanceStatus, outcome: Outcome, hook: Hook | None, **fields: object) -> Plan:
        _require_progress(status, hook, self.waiting, self.mailbox.pending, self.now)
        hooks: list[Mutation] = [PutHook(hook)] if hook else []
        hooks.extend(each for each in handled(self._hooks) if hook is None or each.id != hook.id)
        mutations = (*(each for step in self._steps.values() for each in step), *self.mailbox.taken, *hooks)
        plan = change(
            self.instance,
            mutations,
            outcome,
            execution_id=self.execution_id,
            now=self.now,
            logs=tuple(self._logs),
            status=status,
            **fields,
        )
        if not self._required:
            return plan
        needed = (Exists(ref) for ref in sorted(self._required - {self.instance.ref}))
        return attrs.evolve(plan, preconditions=(*plan.preconditions, *needed))


def cancelled(record: StepRecord, now: datetime, execution_id: str) -> StepRecord:
    """A waiting record of a run that has ended."""
    return attrs.evolve(record, status="cancelled", settled_at=now, execution_id=execution_id)


def _require_progress(
    status: InstanceStatus, hook: Hook | None, live: Mapping[str, StepRecord], events: tuple[Event, ...], now: datetime
) -> None:
    """Rule O5: whatever can make progress has a stored hook that will say so."""
    broken = broken_clause(status, hook.due_at if hook else None, live.values(), events)
    if broken is not None:
        raise AssertionError(f"a plan would break rule O5: {broken} (at {now.isoformat()})")
