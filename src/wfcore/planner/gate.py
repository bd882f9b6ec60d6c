"""The gate: what a tick answers without running user code, rules G1 to G9 in their order. Pure: no I/O, no clock.

Each rule is one function that answers with a plan or passes on (``None``). A firing is only a trigger: rules read the
*stored* hooks. If the gate passes, user code is replayed (G11).
"""

from __future__ import annotations

from datetime import datetime

import attrs

from wfcore.keys import is_terminal_notice, timer_id
from wfcore.model import TERMINAL, FiredHook, Hook, Instance, Snapshot, StepRecord
from wfcore.outcome import Ignored, Paused, Rescheduled
from wfcore.plan import Absent, Mutation, Plan, PutHook
from wfcore.planner.carried import Known
from wfcore.planner.changes import change, consumed, handled, is_pause_request, nothing, timer
from wfcore.planner.ends import Done
from wfcore.planner.steps.decision import earliest_deadline, is_waiting, wanted_event


@attrs.frozen(kw_only=True)
class Tick:
    """One tick's inputs that are not user code.

    Attributes:
        snapshot: what the retrieve returned.
        fired: the hook that fired.
        execution_id: of the plan to make.
        now: the base of the tick's time.
        known: what the runner knows beside.
    """

    snapshot: Snapshot
    fired: FiredHook
    execution_id: str
    now: datetime
    known: Known

    @property
    def results(self) -> tuple[Done, ...]:
        """Results of at-most-once bodies whose start is still the one that is stored (rule S13)."""
        if not self.known.held:
            return ()
        starts = {(step.key, step.execution_id) for step in self.snapshot.steps if step.status == "started"}
        return tuple(done for done in self.known.held if (done.call.key, done.call.started_by) in starts)

    @property
    def has_own_start(self) -> bool:
        """Whether an at-most-once body is started that only this runner may run, or whose result it holds (S13)."""
        return any(step.status == "started" and step.execution_id in self.known.mine for step in self.snapshot.steps)


def no_instance(tick: Tick) -> Plan:
    """The plan for an instance that does not exist (rule G1)."""
    ref = tick.fired.hook.instance_ref
    deletions = handled(tick.snapshot.hooks)
    outcome = Ignored(f"there is no instance {ref!r}")
    return Plan(ref, tick.execution_id, (Absent(ref),) if deletions else (), deletions, outcome)


def answer(tick: Tick, instance: Instance) -> Plan | None:
    """The plan that needs no user code, or ``None``: replay."""
    for rule in (_other_run, _terminal, _running_elsewhere, _pause, _paused, _not_due):
        plan = rule(tick, instance)
        if plan is not None:
            return plan
    return None


def waiting(steps: tuple[StepRecord, ...]) -> list[StepRecord]:
    """The records that are not settled."""
    return [step for step in steps if is_waiting(step)]


def last_sequence(steps: tuple[StepRecord, ...]) -> int:
    """The number of the run's last settlement; 0: nothing has settled."""
    return max((step.sequence for step in steps if step.sequence), default=0)


def consumed_pauses(snapshot: Snapshot, instance: Instance, now: datetime) -> tuple[Mutation, ...]:
    """The pending requests to pause, as consumed."""
    return tuple(
        consumed(event, "#pause", instance.run_number, now) for event in snapshot.events if is_pause_request(event)
    )


def _ignored(tick: Tick, instance: Instance, mutations: tuple[Mutation, ...], why: str) -> Plan:
    if not mutations:
        return nothing(instance.ref, tick.execution_id, Ignored(why))
    return change(instance, mutations, Ignored(why), execution_id=tick.execution_id, now=tick.now)


def _other_run(tick: Tick, instance: Instance) -> Plan | None:
    fired = tick.fired.hook.run_number
    if fired is None or fired == instance.run_number:
        return None
    stale = [hook for hook in tick.snapshot.hooks if hook.run_number not in (None, instance.run_number)]
    return _ignored(
        tick, instance, handled(stale), f"the hook is for run {fired}, the instance is in run {instance.run_number}"
    )


def _terminal(tick: Tick, instance: Instance) -> Plan | None:
    if instance.status not in TERMINAL:
        return None
    mutations = (*consumed_pauses(tick.snapshot, instance, tick.now), *handled(tick.snapshot.hooks))
    return _ignored(tick, instance, mutations, f"the instance is {instance.status}")


def _running_elsewhere(tick: Tick, instance: Instance) -> Plan | None:
    if instance.status != "active" or instance.execution_id in tick.known.mine or tick.results:
        return None
    stored = stored_timer(tick.snapshot, instance)
    if stored is None or stored.due_at <= tick.now:
        return None
    why = f"another runner is at work on the instance, or tries again at {stored.due_at.isoformat()}"
    return nothing(instance.ref, tick.execution_id, Ignored(why))


def _pause(tick: Tick, instance: Instance) -> Plan | None:
    requests = consumed_pauses(tick.snapshot, instance, tick.now)
    if instance.status not in ("active", "waiting") or not requests:
        return None
    mutations = (*requests, *handled(tick.snapshot.hooks))
    return change(instance, mutations, Paused(), execution_id=tick.execution_id, now=tick.now, status="paused")


def _paused(tick: Tick, instance: Instance) -> Plan | None:
    if instance.status != "paused":
        return None
    return _ignored(tick, instance, handled(tick.snapshot.hooks), "the instance is paused")


def _not_due(tick: Tick, instance: Instance) -> Plan | None:
    if instance.status != "waiting" or tick.results or tick.has_own_start:
        return None
    records = waiting(tick.snapshot.steps)
    earliest = earliest_deadline(records)
    if earliest is not None and earliest <= tick.now:
        return None
    if any(wanted_event(record, tick.snapshot.events) for record in records):
        return None
    seen = [hook for hook in tick.snapshot.hooks if not is_terminal_notice(hook.id)]
    stored = stored_timer(tick.snapshot, instance)
    outcome = Rescheduled(earliest)
    messages = [hook for hook in seen if hook is not stored]
    if not messages and (stored.due_at if stored else None) == earliest:
        return nothing(instance.ref, tick.execution_id, outcome)
    if earliest is None:
        mutations: tuple[Mutation, ...] = handled(seen)
    else:
        mutations = (*handled(messages), PutHook(timer(instance, earliest, tick.now)))
    return change(instance, mutations, outcome, execution_id=tick.execution_id, now=tick.now)


def stored_timer(snapshot: Snapshot, instance: Instance) -> Hook | None:
    """The instance's timer hook as it is stored."""
    own = timer_id(instance.ref)
    return next((hook for hook in snapshot.hooks if hook.id == own), None)
