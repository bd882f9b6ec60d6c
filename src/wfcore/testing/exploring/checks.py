"""What has to hold whenever rows change: the invariants, each with a name. Pure: no I/O, no clock.

They are written down a second time here, from the rules and not from the planner, and look at rows only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import NamedTuple

import attrs

from wfcore.evolve import Rows
from wfcore.keys import message_id, start_id, timer_id
from wfcore.model import TERMINAL, Instance, StepRecord
from wfcore.outcome import Retried, Stuck
from wfcore.plan import Plan, PutInstance

ONE_COMMIT = "one commit per version"
SETTLES_ONCE = "a step settles once"
ABSORBS = "an end is final"
WAKE_UP = "whatever can go on has a hook"
NOT_EARLY = "nothing is early"
ONE_TAKER = "an event is taken once"
NO_LOSS = "no event is lost"
REPLAY = "live equals replay"
BODY_RUNS = "a body runs again only after a conflict or a crash"
EQUAL_RESULTS = "equal results"
GOES_ON = "it can always go on"
CODE = "workflow code"
BODIES = "bodies"
OWN = "invariant"


class Broken(NamedTuple):
    """An invariant that does not hold.

    Attributes:
        invariant: its name.
        message: what was found.
    """

    invariant: str
    message: str


@attrs.frozen
class Change:
    """What a plan has done to the rows of one instance.

    Attributes:
        ref: the instance.
        before: its rows.
        after: its rows.
        plan: the plan.
        basis: the rows that it was made from; ``None``: it is not this instance's, or that of a command.
        now: the time.
        planned_at: when the rows were read that it was made from.
    """

    ref: str
    before: Rows
    after: Rows
    plan: Plan
    basis: Rows | None
    now: datetime
    planned_at: datetime


def broken_by(change: Change) -> Broken | None:
    """The first invariant that a change breaks."""
    return next((broken for check in _CHECKS for broken in check(change)), None)


def broken_in(ref: str, rows: Rows) -> Broken | None:
    """What is wrong with rows by themselves (rule O5)."""
    instance = rows.instance
    if instance is None or instance.status in TERMINAL or instance.status == "paused":
        return None
    timer = rows.hooks.get(timer_id(ref))
    if instance.status == "active":
        if timer is None and start_id(ref) not in rows.hooks:
            return Broken(WAKE_UP, f"{ref} is active and has no timer hook (rule O5)")
        return None
    live = [step for step in _steps(rows, instance) if step.status in ("waiting", "started")]
    earliest = min((at for at in map(_deadline, live) if at is not None), default=None)
    if (timer.due_at if timer else None) != earliest:
        found = f"its timer stands at {timer.due_at}" if timer else "it has no timer hook"
        return Broken(WAKE_UP, f"{ref} waits until {earliest}, but {found} (rules O5, P7)")
    stranded = [step.key for step in live if _deadline(step) is None and not step.event_types]
    if stranded:
        return Broken(GOES_ON, f"{stranded[0]!r} of {ref} waits for nothing that could come (rules O5, S13)")
    if not live:
        return Broken(WAKE_UP, f"{ref} is waiting, but no step of it is (rule O5)")
    for event in rows.events.values():
        takers = [step.key for step in live if _may_take(step, event.type, event.created_at)]
        pending = event.consumed_by is None and event.actor == "user"
        if pending and takers and message_id(ref, event.id) not in rows.hooks:
            text = f"event {event.id!r} waits for {takers[0]!r} of {ref}, and no hook announces it (rule O5)"
            return Broken(WAKE_UP, text)
    return None


# -- of an instance


def _one_commit(change: Change) -> Iterator[Broken]:
    before, after, basis = change.before.instance, change.after.instance, change.basis
    writes = any(isinstance(each, PutInstance) and each.ref == change.ref for each in change.plan.mutations)
    if before is None or after is None:
        return
    if writes and after.version != before.version + 1:
        yield Broken(ONE_COMMIT, f"{change.ref}: version {before.version} was followed by {after.version} (rule A3)")
    if basis is not None and writes and basis.instance is not None and not _same(basis.instance, before):
        read = f"version {basis.instance.version} of {basis.instance.execution_id}"
        found = f"version {before.version} of {before.execution_id}"
        yield Broken(ONE_COMMIT, f"{change.ref}: a plan made from {read} was applied to {found} (rules A2, A3)")


def _absorbs(change: Change) -> Iterator[Broken]:
    before, after = change.before.instance, change.after.instance
    if before is None or after is None or before.status not in TERMINAL or before.run_number != after.run_number:
        return
    if before.status == "errored" and isinstance(change.plan.outcome, Retried):
        return
    if (before.status, before.output, before.failure) != (after.status, after.output, after.failure):
        yield Broken(ABSORBS, f"{change.ref} was {before.status} and became {after.status}")


def _time(change: Change) -> Iterator[Broken]:
    before, after = change.before.instance, change.after.instance
    if after is None or change.basis is None or before is after:
        return
    if not change.planned_at <= after.updated_at <= change.now:
        text = f"{change.ref} is written as of {after.updated_at}, by a tick from {change.planned_at} to {change.now}"
        yield Broken(NOT_EARLY, f"{text} (rule 'Now')")


def _stuck(change: Change) -> Iterator[Broken]:
    if isinstance(change.plan.outcome, Stuck) and change.basis is not None:
        yield Broken(CODE, str(change.plan.outcome.error))


# -- of its steps


def _settles_once(change: Change) -> Iterator[Broken]:
    sequences: dict[int, str] = {}
    outcome = change.plan.outcome
    retried = {*outcome.reopened, *outcome.removed} if isinstance(outcome, Retried) else set()
    run = change.after.instance and change.after.instance.run_number
    for (number, key), after in change.after.steps.items():
        before = change.before.steps.get((number, key))
        if before is not None and before.sequence is not None and before != after and key not in retried:
            yield Broken(SETTLES_ONCE, f"{key} was {before.status}, and was written again as {after.status}")
        if after.sequence is not None and number == run:
            other = sequences.setdefault(after.sequence, key)
            if other != key:
                yield Broken(SETTLES_ONCE, f"{other} and {key} both are number {after.sequence} of the run")
    if change.after.instance is not None:
        for number, key in change.before.steps.keys() - change.after.steps.keys():
            if key in retried:
                continue
            yield Broken(SETTLES_ONCE, f"{key} of run {number} is gone")


def _not_early(change: Change) -> Iterator[Broken]:
    for key, after in change.after.steps.items():
        before = change.before.steps.get(key)
        if before is not None and before == after:
            continue
        due_at = after.wake_at if before is None else before.wake_at
        if before is not None and before.status == after.status == "waiting" and before.kind != "do":
            if before.wake_at != after.wake_at:
                yield Broken(NOT_EARLY, f"the deadline of {after.key} moved from {before.wake_at} to {after.wake_at}")
        elif _by_time(before, after) and due_at is not None and change.now < due_at:
            text = f"{after.key} was over at {change.now}, and its deadline is {due_at} (rule W3)"
            yield Broken(NOT_EARLY, text)
        elif before is None and change.basis is not None and after.created_at < change.planned_at:
            text = f"{after.key} counts from {after.created_at}, before the tick that made it (rule 'Now')"
            yield Broken(NOT_EARLY, text)


def _by_time(before: StepRecord | None, after: StepRecord) -> bool:
    if after.kind == "sleep":
        return after.status == "completed"
    if after.kind == "wait_for_event":
        return after.status == "errored" and after.event_id is None
    return (
        before is not None
        and before.status == "started"
        and "StepInterruptedError" in str(after.failure and after.failure.type)
    )


# -- of its events


def _taken_once(change: Change) -> Iterator[Broken]:
    takers: dict[str, str] = {}
    for step in change.after.steps.values():
        if step.event_id is None:
            continue
        other = takers.setdefault(step.event_id, step.key)
        if other != step.key:
            yield Broken(ONE_TAKER, f"event {step.event_id!r} was taken by {other} and by {step.key} (rule W5)")
    for event in change.after.events.values():
        before = change.before.events.get(event.id)
        taken = before is not None and before.consumed_by is not None
        if taken and before is not None and before.consumed_by != event.consumed_by:
            yield Broken(ONE_TAKER, f"event {event.id!r} was taken by {before.consumed_by}, then {event.consumed_by}")
        if event.consumed_by is None and event.id in takers:
            yield Broken(ONE_TAKER, f"{takers[event.id]} took event {event.id!r}, which may be taken again (rule W5)")


def _no_loss(change: Change) -> Iterator[Broken]:
    if change.after.instance is None:
        return
    for event_id in change.before.events.keys() - change.after.events.keys():
        yield Broken(NO_LOSS, f"event {event_id!r} is gone")
    for event in change.after.events.values():
        before_it = change.before.events.get(event.id)
        newly = before_it is None or before_it.consumed_by is None
        if not newly or event.actor != "user" or event.consumed_by in (None, "#restart"):
            continue
        taker = change.after.steps.get((event.consumed_run or 0, event.consumed_by or ""))
        if taker is None or taker.event_id != event.id:
            yield Broken(NO_LOSS, f"event {event.id!r} is marked as taken by {event.consumed_by}, which has not got it")
    basis = change.basis
    for step in change.after.steps.values():
        before = change.before.steps.get((step.run_number, step.key))
        if basis is None or not _by_time(before, step) or step.kind != "wait_for_event" or before == step:
            continue
        for event in basis.events.values():
            pending = event.consumed_by is None and change.after.events[event.id].consumed_by is None
            if pending and event.type in step.event_types and event.created_at <= (step.wake_at or event.created_at):
                yield Broken(NO_LOSS, f"{step.key} timed out, and event {event.id!r} was there in time (rule W6)")


_CHECKS: tuple[Callable[[Change], Iterator[Broken]], ...] = (
    _stuck,
    _one_commit,
    _absorbs,
    _settles_once,
    _not_early,
    _time,
    _taken_once,
    _no_loss,
)


def _same(one: Instance, other: Instance) -> bool:
    return (one.version, one.execution_id, one.created_by) == (other.version, other.execution_id, other.created_by)


def _steps(rows: Rows, instance: Instance) -> list[StepRecord]:
    return [step for (number, _key), step in rows.steps.items() if number == instance.run_number]


def _deadline(step: StepRecord) -> datetime | None:
    return step.next_retry_at if step.kind == "do" and step.status != "started" else step.wake_at


def _may_take(step: StepRecord, type_: str, at: datetime) -> bool:
    return type_ in step.event_types and (step.wake_at is None or at <= step.wake_at)
